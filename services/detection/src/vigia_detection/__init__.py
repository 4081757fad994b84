"""Detection: a frame or a request in, an inspection out."""
