"""Refuses fields that a payload does not have.

Payloads ignore them when they are read from Kafka, so that a newer writer may add some; a person's typing error in a
request must not be ignored.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidatorFunctionWrapHandler, WrapValidator


def _refuse_unknown(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    found = validate(value)
    if isinstance(value, dict) and isinstance(found, BaseModel):
        unknown = sorted(set(map(str, value)) - set(type(found).model_fields))
        if unknown:
            raise ValueError(f"unknown field: {', '.join(unknown)[:200]}")
    return found


#: ``Annotated[SomePayload, Strict]``
Strict = WrapValidator(_refuse_unknown)
