"""Errors of the two protocols, whichever way they are written."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError


@dataclass(eq=False)
class AwsError(Exception):
    """An error for the caller. ``code`` is what AWS Query calls it, ``shape`` what the newer protocols call it."""

    code: str
    message: str
    status: int = 400
    shape: str = ""

    def __post_init__(self) -> None:
        self.shape = self.shape or self.code
        super().__init__(self.message)


def bad_value(message: str) -> AwsError:
    """A parameter has a value that it cannot have."""
    return AwsError("InvalidParameterValue", message, shape="InvalidParameterValueException")


def bad_combination(message: str) -> AwsError:
    """Parameters contradict each other."""
    return AwsError("InvalidParameterCombination", message, shape="InvalidParameterCombinationException")


def missing(message: str) -> AwsError:
    """A parameter that is needed is not there."""
    return AwsError("MissingParameter", message, shape="MissingRequiredParameterException")


def internal() -> AwsError:
    """A fault of ours: the same request may work later."""
    message = "The service cannot answer now. Try again."
    return AwsError("InternalServiceError", message, 500, "InternalServiceFault")


def of_invalid(error: ValidationError) -> AwsError:
    """What is wrong with the parameters, by the first of them."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    if first["type"] == "missing":
        return missing(f"The parameter {where} is required.")
    return bad_value(f"The parameter {where} is not valid: {first['msg']}.")
