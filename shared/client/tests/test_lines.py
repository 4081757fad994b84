"""What is looked at here is judged as the services judge it: their own code is asked for every example."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from vigia_client.datasets.images import ImageError, Size, check_image, check_mask
from vigia_client.datasets.lines import LONGEST, LineError, Why, by_folder, lines_of, read_line, write_line
from vigia_client.datasets.places import Folder, MissingError, UnreadableError
from vigia_client.datasets.resolve import Resolver, around
from vigia_registry.datasets.manifest import ManifestError, parse_line
from vigia_training.domain.dataset import parse_manifest
from vigia_training.domain.errors import BadData
from vigia_training.domain.masks import read_mask

from .held import COLORS, CRACK, DENT, entry, mask, photo, write

TEXT = st.text(max_size=8) | st.sampled_from(["normal", "anomaly", "Normal", "yes", "no", "s3://bkt/a.jpg", "#23A436"])
CLASSES = st.fixed_dictionaries(
    {},
    optional={
        "class-name": TEXT,
        "type": st.sampled_from(["groundtruth/image-classification", "groundtruth/object-detection"]) | TEXT,
        "human-annotated": st.sampled_from(["yes", "no", "maybe"]),
        "confidence": st.floats(0, 1) | st.none(),
    },
)
COLOR = st.fixed_dictionaries(
    {}, optional={"class-name": TEXT, "hex-color": st.sampled_from(["#ffffff", "#FFFFFF", "#23a436", "red", "#12345"])}
)
MASKS = st.fixed_dictionaries(
    {},
    optional={
        "internal-color-map": st.dictionaries(st.sampled_from("012"), COLOR | TEXT, max_size=3) | TEXT,
        "type": st.sampled_from(["groundtruth/semantic-segmentation", "x"]),
        "human-annotated": st.sampled_from(["yes", "no", ""]),
    },
)
FIELDS = st.fixed_dictionaries(
    {"source-ref": st.just("s3://bkt/a.jpg") | TEXT},
    optional={
        "anomaly-label": st.integers(0, 1) | TEXT | st.booleans(),
        "anomaly-label-metadata": CLASSES | TEXT,
        "other": st.integers(0, 1),
        "other-metadata": CLASSES,
        "anomaly-mask-ref": st.just("s3://bkt/a.png") | TEXT,
        "anomaly-mask-ref-metadata": MASKS | TEXT,
        "mask-metadata": MASKS,
        "note": st.integers() | TEXT | st.lists(TEXT, max_size=2),
    },
)


@given(FIELDS)
@example(json.loads(entry("s3://bkt/a.jpg", "anomaly", "s3://bkt/a.png")))
@example({"source-ref": "s3://bkt/a.jpg", "anomaly-label-metadata": {"class-name": "ANOMALY"}})
@example({"source-ref": "\ud800"})
@example({"source-ref": "s3://bkt/a.jpg", "note": "\0"})
def test_what_is_read_here_is_written_as_the_service_takes_it(fields: dict[str, Any]) -> None:
    raw = json.dumps(fields).encode()
    try:
        line = read_line(raw)
    except LineError:
        return
    written = write_line(line, "s3://new/a.jpg", "s3://new/a.png")
    taken = parse_line(written.encode(), 1)
    assert taken.anomaly_class == {None: None, True: "anomaly", False: "normal"}[line.anomaly]
    assert taken.buckets == {"new"}
    assert set(json.loads(written)) <= {
        "source-ref", "anomaly-label", "anomaly-label-metadata", "anomaly-mask-ref", "anomaly-mask-ref-metadata",
    }  # fmt: skip
    # Training takes it too, its mask included: nothing is found wrong only then.
    [*trained] = parse_manifest(written.encode())
    assert [entry.anomalous for entry in trained] == ([] if line.anomaly is None else [line.anomaly])
    assert [entry.mask is not None for entry in trained] == ([] if line.anomaly is None else [line.mask is not None])
    # What the service takes as it is has the same class here, but for the case of its letters.
    try:
        before = parse_line(raw, 1)
    except ManifestError:
        return
    assert before.anomaly_class in (taken.anomaly_class, None)


def why_not(judge: Callable[[bytes], object], data: bytes) -> Why | None:
    """Why the bytes are refused; None where they are not."""
    try:
        judge(data)
    except LineError as error:
        return error.why
    except ImageError as error:
        return error.note.why
    return None


@given(st.binary(max_size=60) | FIELDS.map(lambda fields: json.dumps(fields).encode()[:-3]))
@example(b"[" * 100_000)
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_a_line_or_refused(raw: bytes) -> None:
    assert why_not(read_line, raw) in (None, Why.NOT_A_LINE, Why.AMBIGUOUS, Why.LINE_TOO_LONG)


@given(st.lists(st.text("ab \r", max_size=5).map(str.encode), max_size=8), st.integers(1, 7), st.booleans())
def test_lines_are_the_same_however_they_come(rows: list[bytes], width: int, ends: bool) -> None:
    text = b"\n".join(rows) + (b"\n" if ends else b"")
    pieces: Iterator[bytes] = (text[at : at + width] for at in range(0, len(text), width))
    assert list(lines_of(pieces)) == [(n, row) for n, row in enumerate(rows, 1) if row.strip()]


def test_a_line_beyond_all_measure_does_not_hide_the_next() -> None:
    good = entry("s3://bkt/a.jpg", "normal").encode()
    huge = b"x" * (40 * LONGEST)
    chunks = [huge[at : at + 1000] for at in range(0, len(huge), 1000)]
    found = list(lines_of(iter([good, b"\n", *chunks, b"\n", good])))
    assert [number for number, _ in found] == [1, 2, 3]
    assert len(found[1][1]) < 10 * LONGEST
    with pytest.raises(LineError, match="more than") as refused:
        read_line(found[1][1])
    assert refused.value.why is Why.LINE_TOO_LONG
    with pytest.raises(LineError, match=str(LONGEST)):
        write_line(by_folder("x", True), "s3://bkt/" + "k" * LONGEST, None)


@given(
    st.lists(st.sampled_from([CRACK, DENT, (1, 2, 3), (255, 255, 255), (250, 250, 250)]), max_size=4),
    st.sampled_from(["RGB", "RGBA", "P", "L"]),
    st.sampled_from([(64, 64), (65, 64)]),
    st.integers(0, 255),
)
def test_a_mask_is_judged_as_training_judges_it(
    colors: list[tuple[int, int, int]], mode: str, size: tuple[int, int], alpha: int
) -> None:
    image = Image.open(io.BytesIO(mask(*colors, size=size))).convert("RGBA")
    image.putalpha(
        Image.fromarray(np.where(np.arange(size[0]) < 30, alpha, 255).astype(np.uint8)[None].repeat(size[1], 0))
    )
    data = io.BytesIO()
    image.convert(mode).save(data, "PNG")
    raw = entry("s3://bkt/a.jpg", "anomaly", "s3://bkt/a.png").encode()
    [trained] = parse_manifest(raw)
    assert trained.mask is not None
    try:
        read_mask(data.getvalue(), trained.mask, list(COLORS), 64, 64)
        said = True
    except BadData:
        said = False
    declared = read_line(raw).mask
    assert declared is not None
    try:
        check_mask(data.getvalue(), declared.colors, Size(64, 64))
        assert said
    except ImageError:
        assert not said


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_any_bytes_are_an_image_or_refused(data: bytes, cut: int) -> None:
    for given_bytes in (data, photo(1)[:cut], photo(1, kind="PNG")[:cut] + data):
        assert why_not(check_image, given_bytes) in (None, Why.UNDECODABLE, Why.TOO_LARGE, Why.TOO_SMALL)


def test_a_manifest_names_no_file_outside_the_folder(tmp_path: Path) -> None:
    write(tmp_path, {"secret.jpg": photo(1), "kept/a/in.jpg": photo(2)})
    place = Folder(tmp_path / "kept")
    resolver = Resolver(place, around(place, "m.manifest"))
    for ref in ("../secret.jpg", "s3://bkt/../secret.jpg", "s3://bkt/a/../../secret.jpg", str(tmp_path / "secret.jpg")):
        with pytest.raises(MissingError):
            resolver.find(ref)
    for address in ("../secret.jpg", str(tmp_path / "secret.jpg")):
        with pytest.raises(UnreadableError):
            place.read(address, 10**6)
    assert resolver.find("s3://bkt/x/a/in.jpg") == "a/in.jpg"
