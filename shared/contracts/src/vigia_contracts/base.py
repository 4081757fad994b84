"""What every payload shares: frozen, closed, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: Root of all derived ids. Never change it: ids of stored inspections depend on it.
VIGIA_NAMESPACE = UUID("6f1c5a52-2f0e-5d0b-9a35-7d5c1f2b8a10")


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone; times are UTC")
    return value.astimezone(UTC)


#: An aware time, converted to UTC.
UtcTime = Annotated[datetime, AfterValidator(_utc)]

#: The name of a camera, line or station: what may stand in a URL, a metric label and an object key.
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$")]


class Payload(BaseModel):
    """A message body. Unknown fields are ignored on reading, so that a newer writer may add optional ones."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", protected_namespaces=())

    def to_json(self) -> bytes:
        """The body as UTF-8 JSON, without fields that are None."""
        return self.model_dump_json(exclude_none=True).encode()


class ObjectRef(Payload):
    """An object in the object store. ``sha256`` (hex) and ``size`` (bytes) are set by whoever wrote it."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    size: int | None = Field(default=None, ge=0)
    version_id: str | None = None


def derived_id(*parts: str) -> UUID:
    """A stable UUID of the given parts; the same parts give the same id anywhere, any time."""
    return uuid5(VIGIA_NAMESPACE, "\x1f".join(parts))


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a payload as a reader sees it."""
    return model.model_json_schema(mode="validation")
