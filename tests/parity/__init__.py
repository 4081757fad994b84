"""One graph, one answer: what a model says in this process, in Triton, and on the wire."""
