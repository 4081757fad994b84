"""The two doors: frames from Kafka, requests over HTTP."""
