"""Messages on the wire: CloudEvents 1.0 in Kafka binary mode.

Attributes are headers (``ce_id``, ``ce_type``, ``ce_source``, ``ce_time``, ``ce_subject``, ``ce_<extension>``), the
value is the payload itself. The binding is the ``cloudevents`` library's; this module adds the contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.base import Format
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from vigia_contracts.base import Payload
from vigia_contracts.topics import Topic

JSON: Final = "application/json"
_REQUIRED = frozenset({"ce_specversion", "ce_id", "ce_source", "ce_type"})
_CORE = frozenset({"id", "type", "source", "time", "subject", "specversion", "datacontenttype", "dataschema"})


class ContractError(ValueError):
    """A message that breaks its topic's contract. ``code`` is stable and short, ``str()`` names what is wrong."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Event:
    """One message. ``data`` is the topic's payload, or bytes where the value is an image.

    ``time`` is when it happened (UTC). ``time_stated`` is False where the publisher gave none and the broker's
    timestamp stands in. ``extensions`` are further CloudEvents attributes, lower-case letters and digits; known ones:
    ``partid`` (part), ``traceparent`` (W3C trace context).
    """

    type: str
    source: str
    id: str
    time: datetime
    data: Payload | bytes
    key: str | None = None
    subject: str | None = None
    content_type: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    time_stated: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """What is handed to a Kafka producer."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class _Raw(JSONFormat):
    """Leaves the value alone: payloads are serialised and validated by pydantic, images by nobody."""

    def write_data(self, data: object, datacontenttype: str | None) -> bytes:
        if not isinstance(data, bytes):
            raise TypeError("data must already be bytes")
        return data

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        return body


_FORMAT: Final[Format] = _Raw()


def encode(topic: Topic, event: Event) -> Record:
    """The record to produce for ``event``; ContractError when the topic does not carry it."""
    if event.type not in topic.events:
        raise ContractError("unknown_type", f"{topic.name} does not carry {event.type!r}")
    expected = topic.events[event.type]
    if expected is None:
        if not isinstance(event.data, bytes):
            raise ContractError("bad_data", f"{event.type} carries bytes, not {type(event.data).__name__}")
        value, content_type = event.data, event.content_type
    else:
        if not isinstance(event.data, expected):
            raise ContractError("bad_data", f"{event.type} carries {expected.__name__}")
        value, content_type = event.data.to_json(), JSON
    attributes: dict[str, object] = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "specversion": "1.0",
        "time": event.time,
        **event.extensions,
    }
    if event.subject is not None:
        attributes["subject"] = event.subject
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    key = event.key.encode() if event.key is not None else None
    try:
        message = to_binary(CloudEvent(attributes, value), _FORMAT, lambda _: key)
    except BaseCloudEventException as error:
        raise ContractError("bad_headers", str(error)) from error
    return Record(key=key, value=message.value, headers=list(message.headers.items()))


def decode(
    topic: Topic,
    *,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    timestamp_ms: int,
) -> Event:
    """The event in a consumed record; ContractError names what breaks the contract.

    Four headers suffice: ``ce_specversion``, ``ce_id``, ``ce_source``, ``ce_type``.
    """
    given = {name.lower(): content for name, content in headers if content is not None}
    if value is None:
        raise ContractError("no_value", "the record has no value")
    # The library makes up an id and a time where they are missing; a made-up id would be another one next time.
    if missing := sorted(_REQUIRED - given.keys()):
        raise ContractError("bad_headers", f"not a CloudEvent: without {', '.join(missing)}")
    stated = "ce_time" in given
    arrived = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    if not stated:
        given["ce_time"] = arrived.isoformat().encode()
    try:
        cloud_event = from_binary(KafkaMessage(headers=given, key=None, value=value), _FORMAT, CloudEvent)
    except (BaseCloudEventException, ValueError, TypeError) as error:
        raise ContractError("bad_headers", f"not a CloudEvent: {error}") from error
    kind = cloud_event.get_type()
    if kind not in topic.events:
        raise ContractError("unknown_type", f"{topic.name} does not carry {kind!r}")
    model = topic.events[kind]
    data: Payload | bytes = value
    if model is not None:
        try:
            data = model.model_validate_json(value)
        except ValidationError as error:
            raise ContractError("bad_data", f"{kind}: {_first(error)}") from error
    try:
        name = key.decode() if key is not None else None
    except UnicodeDecodeError as error:
        raise ContractError("bad_key", "the key is not UTF-8") from error
    time = cloud_event.get_time() or arrived
    return Event(
        type=kind,
        source=cloud_event.get_source(),
        id=cloud_event.get_id(),
        time=(time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC),
        data=data,
        key=name,
        subject=cloud_event.get_subject(),
        content_type=cloud_event.get_datacontenttype(),
        extensions={
            name: str(content)
            for name, content in cloud_event.get_attributes().items()
            if name not in _CORE and name != "partitionkey"
        },
        time_stated=stated,
    )


def _first(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in problems[0]["loc"]) or "body"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {problems[0]['msg']}{more}"
