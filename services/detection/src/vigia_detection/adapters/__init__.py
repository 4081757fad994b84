"""The ports' makers: Triton, Kafka, the object store, decoding threads."""
