"""The committed documents say what the code says, and the code's examples pass the documents."""

from __future__ import annotations

import json
from pathlib import Path

from vigia_contracts import asyncapi
from vigia_contracts.topics import TOPICS

FOLDER = Path(__file__).resolve().parents[1] / "generated"


def test_committed_documents_are_current() -> None:
    assert asyncapi.drift(FOLDER) == []


def test_drift_is_noticed(tmp_path: Path) -> None:
    asyncapi.write(tmp_path)
    assert asyncapi.drift(tmp_path) == []
    changed = tmp_path / "asyncapi.json"
    changed.write_text(changed.read_text().replace("frames", "pictures"))
    (tmp_path / "schemas" / "old.json").write_text("{}")
    assert asyncapi.drift(tmp_path) == ["asyncapi.json: differs", "old.json: not generated"]


def test_document_has_every_topic_and_resolves_its_references() -> None:
    document = asyncapi.document()
    assert {c["address"] for c in document["channels"].values()} == set(TOPICS)

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [r for value in node.values() for r in references(value)]
        return [r for value in node for r in references(value)] if isinstance(node, list) else []

    for reference in references({k: document[k] for k in ("channels", "operations")}):
        node: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(node, dict)
            assert part in node, reference
            node = node[part]


def test_document_is_plain_json() -> None:
    assert json.loads(asyncapi.files()["asyncapi.json"])["asyncapi"] == "3.0.0"
