"""What a person can act on: the command prints the text alone, without a traceback."""


class ActionableError(Exception):
    """Something is wrong outside this program; the text says what, and where."""
