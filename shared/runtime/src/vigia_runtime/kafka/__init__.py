"""Kafka on aiokafka: a producer that acknowledges, a consumer that commits after the effect, compacted tables."""
