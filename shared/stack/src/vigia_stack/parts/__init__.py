"""The parts: one module each says how it is prepared, started and asked whether it is ready."""
