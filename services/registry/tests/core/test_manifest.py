"""Manifests: what the guide writes is read, what is equivalent is equal, and nothing breaks the reader."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.datasets.manifest import LONGEST_LINE, Entry, ManifestError, parse_line, read_entries

from .manifests import line

MASK_LABELS = 20


def entries(chunks: Iterable[bytes], most: int = 100, bucket: str | None = None) -> list[Entry]:
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[Entry]:
        return [entry async for entry in read_entries(pieces(), most, MASK_LABELS, bucket)]

    return asyncio.run(read())


def parsed(fields: Any) -> Entry:
    return parse_line(json.dumps(fields).encode(), 1)


def masked(colors: Any, **more: Any) -> dict[str, Any]:
    """A line with a mask whose colour map is ``colors``."""
    fields: dict[str, Any] = json.loads(line("a", True, "cracked"))
    fields["anomaly-mask-ref-metadata"]["internal-color-map"] = colors
    return {**fields, **more}


# The lines of the guide, with a bucket where it prints a placeholder, and without the breaks of its typesetting.
_CLASSIFICATION = [
    '{"source-ref":"s3://lookoutvision-console-us-east-1-nnnnnnnnnn/gt-job/manifest/IMG_1133.png","anomaly-label":1,'
    '"anomaly-label-metadata":{"confidence":0.95,"job-name":"labeling-job/testclconsolebucket","class-name":"normal",'
    '"human-annotated":"yes","creation-date":"2020-04-15T20:17:23.433061","type":"groundtruth/image-classification"}}',
    '{"source-ref": "s3://bucket/image/anomaly/abnormal-1.jpg", "anomaly-label-metadata": {"confidence": 1, '
    '"job-name": "labeling-job/auto-label", "class-name": "anomaly", "human-annotated": "yes", '
    '"creation-date": "2020-11-10T03:37:09.600", "type": "groundtruth/image-classification"}, "anomaly-label": 1}',
    '{"source-ref": "s3://bucket/image/normal/2020-10-20_12-14-55_613.jpeg", "anomaly-label-metadata": {'
    '"confidence": 1, "job-name": "labeling-job/auto-label", "class-name": "normal", "human-annotated": "yes", '
    '"creation-date": "2020-11-10T03:37:09.603", "type": "groundtruth/image-classification"}, "anomaly-label": 0}',
    '{"source-ref": "s3://s3bucket/csv_test/train_anomaly_1.jpg", "anomaly-label": 1, "anomaly-label-metadata": '
    '{"confidence": 1, "job-name": "labeling-job/anomaly-classification", "class-name": "anomaly", '
    '"human-annotated": "yes", "creation-date": "2022-02-04T22:47:07", "type": "groundtruth/image-classification"}}',
    # As the guide's script writes it: the value is a text.
    '{"source-ref": "s3://s3bucket/circuitboard/train/normal/train_1.jpg", "anomaly-label": "0", '
    '"anomaly-label-metadata": {"confidence": 1, "job-name": "labeling-job/anomaly-classification", '
    '"class-name": "normal", "human-annotated": "yes", "creation-date": "2022-02-04T22:47:07.123456", '
    '"type": "groundtruth/image-classification"}}',
]
_SEGMENTATION = (
    '{"source-ref":"s3://bucket/path-to-image","anomaly-label":1,"anomaly-label-metadata":{"class-name":"anomaly",'
    '"creation-date":"2021-10-12T14:16:45.668","human-annotated":"yes","job-name":"labeling-job/classification-job",'
    '"type":"groundtruth/image-classification","confidence":1},"anomaly-mask-ref":"s3://bucket/path-to-mask",'
    '"anomaly-mask-ref-metadata":{"internal-color-map":{"0":{"class-name":"BACKGROUND","hex-color":"#ffffff",'
    '"confidence":0.0},"1":{"class-name":"scratch","hex-color":"#2ca02c","confidence":0.0},"2":{"class-name":"dent",'
    '"hex-color":"#1f77b4","confidence":0.0}},"type":"groundtruth/semantic-segmentation","human-annotated":"yes",'
    '"creation-date":"2021-11-23T20:31:57.758889","job-name":"labeling-job/segmentation-job"}}'
)


def test_the_classification_lines_of_the_guide() -> None:
    found = [parse_line(text.encode(), 1) for text in _CLASSIFICATION]
    assert [entry.anomaly_class for entry in found] == ["normal", "anomaly", "normal", "anomaly", "normal"]
    assert found[0].source_ref == "s3://lookoutvision-console-us-east-1-nnnnnnnnnn/gt-job/manifest/IMG_1133.png"
    assert not any(entry.labels for entry in found)


def test_the_segmentation_line_of_the_guide() -> None:
    entry = parse_line(_SEGMENTATION.encode(), 1)
    assert (entry.anomaly_class, entry.labels) == ("anomaly", ("dent", "scratch"))


def test_a_manifest_may_mix_kinds_of_lines() -> None:
    lines = [line("n", False), line("a", True, "cracked"), line("b", True), line("u", None)]
    found = entries(["\n".join(lines).encode()])
    assert [(entry.anomaly_class, entry.labels) for entry in found] == [
        ("normal", ()),
        ("anomaly", ("cracked",)),
        ("anomaly", ()),
        (None, ()),
    ]


@given(st.permutations(list(json.loads(_SEGMENTATION).items())))
def test_keys_come_in_any_order(pairs: list[tuple[str, Any]]) -> None:
    assert replace(parsed(dict(pairs)), line="") == replace(parse_line(_SEGMENTATION.encode(), 1), line="")


@given(
    label=st.text(min_size=1, max_size=20).filter(lambda name: not name.endswith(("-metadata", "-ref"))),
    value=st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    mask=st.text(max_size=20),
    date=st.none() | st.text(max_size=60),
    confidence=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    background=st.sampled_from([None, "background", "BACKGROUND", "Background"]),
    upper=st.booleans(),
)
def test_what_may_differ_makes_no_difference(
    label: str,
    value: Any,
    mask: str,
    date: str | None,
    confidence: float | None,
    background: str | None,
    upper: bool,
) -> None:
    """Names of keys, the label's value, dates, confidences, the background's entry and the case of digits."""
    if label == "source":
        return
    free = {name: given for name, given in (("creation-date", date), ("confidence", confidence)) if given is not None}
    color = {"hex-color": "#A0B0CC" if upper else "#a0b0cc", "class-name": "dent"}
    colors = {"7": {**color, **({} if confidence is None else {"confidence": confidence})}}
    if background is not None:
        colors["0"] = {"class-name": background, "hex-color": "#FFFFFF" if upper else "#ffffff"}
    common = {"human-annotated": "yes", **free}
    entry = parsed(
        {
            f"{mask}-ref-metadata": {
                **common,
                "type": "groundtruth/semantic-segmentation",
                "internal-color-map": colors,
            },
            f"{label}-metadata": {**common, "type": "groundtruth/image-classification", "class-name": "anomaly"},
            label: value,
            f"{mask}-ref": "s3://bucket/masks/1.png",
            "source-ref": "s3://bucket/images/1.jpg",
        }
    )
    assert (entry.source_ref, entry.anomaly_class, entry.labels) == ("s3://bucket/images/1.jpg", "anomaly", ("dent",))


@given(
    st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \t\r\n"]), min_size=3, max_size=3),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=9),
)
def test_ends_of_lines_blank_lines_and_a_mark_make_no_difference(ends: list[str], mark: bool, cuts: list[int]) -> None:
    lines = [line("a", False), line("b", True), line("c", None)]
    text = "".join(part for pair in zip(lines, ends, strict=True) for part in pair)
    data = ("\ufeff" * mark + text).encode()
    chunks = [data[start : start + 11] for start in range(0, len(data), 11)]
    for cut in sorted(set(cuts), reverse=True):
        chunks[cut : cut + 2] = [b"".join(chunks[cut : cut + 2])]
    assert entries(chunks) == [parse_line(text.encode(), 1) for text in lines]


def test_a_mark_is_one_only_at_the_beginning() -> None:
    data = (line("a", False) + "\n\ufeff" + line("b", False)).encode()
    with pytest.raises(ManifestError, match="Line 2: not a JSON object"):
        entries([data])
    assert len(entries([("\ufeff" + line("a", False)).encode()])) == 1


def colors(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {str(n): {"class-name": name, "hex-color": code} for n, (name, code) in enumerate(pairs)}


RED = colors(("x", "#ff0000"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source-ref": "s3: //bucket/a.jpg"}, "source-ref 's3: //bucket/a.jpg' has a blank in s3://"),
        ({"source-ref": "s3:// bucket/a.jpg"}, "is not of the form s3://bucket/key"),
        ({"source-ref": "s3://path-to-image"}, "is not of the form s3://bucket/key"),
        ({"source-ref": "S3://bucket/a.jpg"}, "is not of the form s3://bucket/key"),
        ({"source-ref": " s3://bucket/a.jpg"}, "source-ref begins or ends with a blank"),
        ({"source-ref": "s3://bucket//a.jpg"}, "no part of it is empty"),
        ({"source-ref": "s3://bucket/../a.jpg"}, "no part of it is empty"),
        ({"source-ref": "s3://bucket/" + "é" * 600}, "at most 1023 bytes"),
        ({"source-ref": 7}, "source-ref is not a text"),
        ({}, "source-ref is missing"),
        ({"source-ref": "s3://bucket/a", "anomaly-label": 1}, "anomaly-label has no anomaly-label-metadata"),
        ({"source-ref": "s3://bucket/a", "anomaly-label": 1, "anomaly-label-metadata": 1}, "has no anomaly-label-meta"),
        ({"source-ref": "s3://bucket/a", "anomaly-label": 1, "anomaly-label-metadata": {}}, "has no type"),
        ({"source-ref": "s3://bucket/a", "anomaly-mask-ref": "s3://bucket/m"}, "has no anomaly-mask-ref-metadata"),
        (masked(colors(("x", "#ffffff"))), "hex-color #ffffff is the background's"),
        (masked(colors(("x", "#FF0000"), ("y", "#ff0000"))), "stands for two classes"),
        (masked(colors(("x", "#12"))), "has no hex-color"),
        (masked(colors(("x" * 257, "#120000"))), "class-name of 1 to 256"),
        (masked(RED, **{"anomaly-mask-ref": "s3: //b"}), "anomaly-mask-ref 's3: //b' has a blank"),
        (
            masked(RED, **{"m-ref": "s3://b/m", "m-ref-metadata": masked(RED)["anomaly-mask-ref-metadata"]}),
            "m-ref-meta",
        ),
        ({**masked({}), "x\u0000y-metadata": {"class-name": "normal"}}, r"more than one.*'x\\x00y-metadata'"),
        ({"source-ref": "s3://bucket/a", "\ud800-metadata": {"class-name": "normal"}}, r"'\\ud800' is missing"),
        ({"source-ref": "s3://bucket/a", "l" * 999 + "-metadata": {"class-name": "normal"}}, "'l{100}...' is missing"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=f"Line 1: .*{message}") as caught:
        parsed(fields)
    assert "\0" not in str(caught.value)
    assert str(caught.value).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"source-ref": "s3://bucket/a", "source-ref": "s3://bucket/b"}', "source-ref is there twice"),
        ('{"source-ref": "s3://bucket/a", "note": NaN}', "NaN is no JSON number"),
        ('{"source-ref": "s3://bucket/a" "note": 1}', "Expecting ',' delimiter at character 32"),
        ('{"source-ref": "s3://bucket/a", "note": ' + "9" * 5000 + "}", "not a JSON object"),
        ('{"source-ref": "s3://bucket/a", "note": ' + "[" * 8000 + "}", "not a JSON object"),
    ],
)
def test_what_readers_would_understand_differently_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=f"Line 3: .*{message}"):
        parse_line(text.encode(), 3)


def test_a_mask_has_so_many_labels_and_the_background() -> None:
    names = [(f"label{n}", f"#0000{n:02x}") for n in range(MASK_LABELS)]
    background = ("BACKGROUND", "#ffffff")
    assert len(entries([json.dumps(masked(colors(background, *names))).encode()])[0].labels) == MASK_LABELS
    with pytest.raises(ManifestError, match="Line 1: the mask declares 21 anomaly labels, more than 20"):
        entries([json.dumps(masked(colors(background, *names, ("more", "#00ff00")))).encode()])


def test_a_line_has_so_many_characters() -> None:
    def padded(length: int) -> bytes:
        fields = json.loads(line("ü", False))
        text = json.dumps({**fields, "note": ""}, ensure_ascii=False)
        return json.dumps({**fields, "note": "é" * (length - len(text))}, ensure_ascii=False).encode()

    assert len(entries([padded(LONGEST_LINE)])[0].line) == LONGEST_LINE
    with pytest.raises(ManifestError, match="Line 1: longer than 8192 characters"):
        entries([padded(LONGEST_LINE + 1)])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "source-ref",
    "anomaly-label",
    "anomaly-label-metadata",
    "anomaly-mask-ref",
    "anomaly-mask-ref-metadata",
    "x-metadata",
    "x",
]
_metadata = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["groundtruth/image-classification", "groundtruth/semantic-segmentation"]) | _json,
        "class-name": st.sampled_from(["normal", "anomaly", "x"]) | _json,
        "human-annotated": st.sampled_from(["yes", "no"]) | _json,
        "internal-color-map": _json,
    },
)


@given(st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(["s3://bucket/x", 1]) | _metadata | _json, max_size=5))
def test_any_object_is_an_entry_that_reads_the_same_again_or_named_as_wrong(changes: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(_SEGMENTATION), **changes})
    try:
        entry = parse_line(text.encode(), 4)
    except ManifestError as error:
        assert str(error).startswith("Line 4: ")  # noqa: PT017
        return
    assert entry.line == text
    assert parse_line(entry.line.encode(), 4) == entry
    assert entry.source_ref == json.loads(text)["source-ref"]


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", line("a", False).encode(), b"\xef\xbb\xbf"])))
def test_any_bytes_are_a_manifest_or_named_as_wrong(chunks: list[bytes]) -> None:
    try:
        found = entries(chunks)
    except ManifestError:
        return
    assert found


@given(st.integers(0, len(_SEGMENTATION) - 1), st.characters())
def test_a_line_with_one_character_changed(index: int, character: str) -> None:
    text = _SEGMENTATION[:index] + character + _SEGMENTATION[index + 1 :]
    try:
        entry = parse_line(text.encode("utf-8", "surrogatepass"), 1)
    except ManifestError as error:
        assert str(error).startswith("Line 1: ")  # noqa: PT017
        return
    assert entry.line == text.strip()


def test_memory_does_not_grow_with_the_manifest() -> None:
    """100 MB go through; what stays are the names of the images."""
    padding = "x" * 7800
    size = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for number in range(0, 12_800, 128):
            lines = [
                f'{{"source-ref": "s3://bucket/images/{n}.jpg", "note": "{padding}"}}\n'
                for n in range(number, number + 128)
            ]
            data = "".join(lines).encode()
            size += len(data)
            yield data

    async def read() -> int:
        async def pieces() -> AsyncIterator[bytes]:
            for chunk in chunks():
                yield chunk

        return sum([1 async for _ in read_entries(pieces(), 16_000, MASK_LABELS)])

    tracemalloc.start()
    try:
        assert asyncio.run(read()) == 12_800
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 100_000_000
    assert peak < 16_000_000
