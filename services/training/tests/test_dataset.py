"""Manifests as customers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_training.domain.dataset import parse_manifest, split_uri
from vigia_training.domain.errors import BadData

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "cookies"


def line(class_name: object = "anomaly", **changes: Any) -> dict[str, Any]:
    return {
        "source-ref": "s3://bucket/a.jpg",
        "anomaly-label": 1,
        "anomaly-label-metadata": {"class-name": class_name, "type": "groundtruth/image-classification"},
        **changes,
    }


def masked(color_map: object, uri: object = "s3://bucket/a.png") -> dict[str, Any]:
    metadata = {"type": "groundtruth/semantic-segmentation", "internal-color-map": color_map}
    return line(**{"my-mask-ref": uri, "my-mask-ref-metadata": metadata})


def parse(*lines: Any) -> Any:
    return parse_manifest("\n".join(json.dumps(item) for item in lines).encode())


def test_the_getting_started_manifest_is_accepted() -> None:
    entries = parse_manifest((SAMPLES / "train_segmentation.manifest").read_bytes())
    assert len(entries) == 63
    assert sum(e.anomalous for e in entries) == 32
    assert all((e.mask is not None) == e.anomalous for e in entries)
    mask = entries[0].mask
    assert mask is not None
    assert dict(mask.labels) == {(0x23, 0xA4, 0x36): "cracked"}
    assert mask.background == {(255, 255, 255)}


def test_classes_only_gives_no_masks() -> None:
    assert all(e.mask is None for e in parse_manifest((SAMPLES / "train_class.manifest").read_bytes()))


@pytest.mark.parametrize("name", ["Normal", "NORMAL", "anomaly", "Anomaly"])
def test_class_names_may_have_capitals(name: str) -> None:
    (entry,) = parse(line(name))
    assert entry.class_name == name.lower()


@pytest.mark.parametrize("name", ["good", "", None, 1, ["normal"]])
def test_an_unknown_class_is_left_out(name: object) -> None:
    assert [e.line for e in parse(line(name), line("normal"))] == [2]


def test_the_class_name_wins_over_the_value_and_the_key_may_have_any_name() -> None:
    metadata = {"class-name": "normal", "type": "groundtruth/image-classification"}
    (entry,) = parse({"quality-metadata": metadata, "quality": "1", "source-ref": "s3://b/k"})
    assert not entry.anomalous
    assert entry.label_key == "quality"


def test_blank_lines_a_mark_and_line_ends_of_windows_are_accepted() -> None:
    text = "\ufeff" + json.dumps(line("normal")) + "\r\n\r\n" + json.dumps(line()) + "\r\n"
    assert [e.line for e in parse_manifest(text.encode())] == [1, 3]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('"s3://b/k"', "not a JSON object"),
        ("[" * 5000, "not JSON"),
        (json.dumps({"source-ref": 3}), "source-ref"),
        (json.dumps(masked({})), "internal-color-map"),
        (json.dumps(masked({"1": {"class-name": "x", "hex-color": "red"}})), "hex-color"),
        (json.dumps(masked({"1": "x"})), "class-name"),
        (json.dumps(masked({"1": {"class-name": "x", "hex-color": "#ffffff"}})), "background"),
        (json.dumps(masked({"1": {"class-name": "x", "hex-color": "#FF0000"}}, uri=None)), "my-mask-ref"),
        (
            json.dumps(
                masked(
                    {i: {"class-name": n, "hex-color": c} for i, n, c in (("1", "x", "#ff0000"), ("2", "y", "#FF0000"))}
                )
            ),
            "same colour",
        ),
    ],
)
@given(before=st.integers(0, 30))
def test_a_bad_line_is_named_by_its_number(bad: str, problem: str, before: int) -> None:
    text = "\n".join([json.dumps(line("normal"))] * before + [bad, json.dumps(line())])
    with pytest.raises(BadData, match=problem) as raised:
        parse_manifest(text.encode())
    assert f"line {before + 1}:" in str(raised.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*line(), "my-mask-ref", "my-mask-ref-metadata", "x-metadata"]), json_values))
def test_any_json_object_is_an_entry_or_named_as_bad(changes: dict[str, Any]) -> None:
    try:
        entries = parse({**masked({"1": {"class-name": "x", "hex-color": "#ff0000"}}), **changes})
    except BadData as error:
        assert "line 1:" in str(error)  # noqa: PT017
    else:
        assert all(entry.class_name in ("normal", "anomaly") for entry in entries)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_bad_data(data: bytes) -> None:
    try:
        parse_manifest(data)
    except BadData:
        return


def test_addresses() -> None:
    assert split_uri("s3://bucket/a b/c.jpg") == ("bucket", "a b/c.jpg")
    assert split_uri("s3: //bucket/key") == ("bucket", "key")
    for bad in ("s3://bucket", "s3://bucket/", "http://x/y", "file", ""):
        with pytest.raises(BadData):
            split_uri(bad)


@pytest.mark.parametrize(("value", "part"), [("tile 7", "tile 7"), (7, "7"), (None, None)])
def test_a_line_may_say_which_part_it_shows(value: object, part: str | None) -> None:
    (entry,) = parse(line(**{"part-id": value}))
    assert entry.part == part
    assert parse(line())[0].part is None


@pytest.mark.parametrize("value", ["", True, 1.5, ["a"], {"id": "a"}])
def test_a_part_id_that_is_none_is_named(value: object) -> None:
    with pytest.raises(BadData, match="line 2: part-id"):
        parse(line(), line(**{"part-id": value}))
