"""The AsyncAPI 3 document and the JSON schemas, written from the topic definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vigia_contracts.base import Payload, json_schema
from vigia_contracts.topics import TOPICS, Topic

_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 attributes, Kafka binary mode. Further attributes are ce_<name>.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1, "description": "unique together with ce_source"},
        "ce_source": {"type": "string", "minLength": 1},
        "ce_type": {"type": "string", "minLength": 1},
        "ce_time": {"type": "string", "format": "date-time", "description": "when it happened, UTC"},
        "ce_subject": {"type": "string"},
        "ce_partid": {"type": "string", "description": "the part in the picture, where known"},
        "ce_traceparent": {"type": "string", "description": "W3C trace context"},
        "content-type": {"type": "string"},
    },
}


def _channel_id(topic: Topic) -> str:
    return topic.name.replace("-", "_").replace(".", "_")


def _message_id(event_type: str) -> str:
    return event_type.replace(".", "_")


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schema by event type, for every event whose value is JSON."""
    found: dict[str, type[Payload]] = {}
    for topic in TOPICS.values():
        found |= {kind: model for kind, model in topic.events.items() if model is not None}
    return {kind: json_schema(model) for kind, model in sorted(found.items())}


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in TOPICS.values():
        channel = _channel_id(topic)
        for kind, model in topic.events.items():
            payload: dict[str, Any] = (
                {"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": json_schema(model)}
                if model is not None
                else {"schema": {"type": "string", "contentEncoding": "binary", "description": "JPEG or PNG"}}
            )
            messages[_message_id(kind)] = {
                "name": kind,
                "title": kind,
                "contentType": "application/json" if model is not None else "image/jpeg",
                "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
                "payload": payload,
                "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
            }
        channels[channel] = {
            "address": topic.name,
            "description": topic.description,
            "messages": {
                _message_id(kind): {"$ref": f"#/components/messages/{_message_id(kind)}"} for kind in topic.events
            },
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": topic.partitions,
                    "x-topicConfiguration": topic.config(),
                }
            },
        }
        for action, services in (("send", topic.writers), ("receive", topic.readers)):
            for service in services:
                name = f"{service.replace(' ', '_')}_{action}_{channel}"
                operations[name] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vigia events",
            "version": "1.0.0",
            "description": "What Vigia's services say to each other over Kafka.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"CloudEventHeaders": _HEADERS}},
    }


def files() -> dict[str, str]:
    """Every generated file, by its path below the output folder."""
    found = {"asyncapi.json": json.dumps(document(), indent=2, sort_keys=True) + "\n"}
    for kind, schema in schemas().items():
        found[f"schemas/{kind}.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return found


def drift(folder: Path) -> list[str]:
    """What in ``folder`` differs from what the definitions say; empty when nothing does."""
    expected = files()
    problems = [
        f"{name}: {'missing' if not (folder / name).exists() else 'differs'}"
        for name, text in expected.items()
        if not (folder / name).exists() or (folder / name).read_text() != text
    ]
    known = {folder / name for name in expected}
    problems += [f"{path.name}: not generated" for path in folder.rglob("*.json") if path not in known]
    return problems


def write(folder: Path) -> None:
    """Write every generated file below ``folder``."""
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
