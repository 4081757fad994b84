"""Reading manifests of Custom Labels: what spoils the file, what drops a line, and what is kept of the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_contracts.ground_truth import LIMITS
from vigia_registry.datasets import labels
from vigia_registry.datasets.manifest import Entry, ManifestError

from .label_lines import boxes, image


def read(data: bytes, *, chunk: int = 1 << 20, most: int = 1000, most_labels: int = 250, **more: Any) -> list[Entry]:
    return asyncio.run(_read((data[at : at + chunk] for at in range(0, len(data), chunk)), most, most_labels, **more))


async def _read(pieces: Iterable[bytes], most: int, most_labels: int, **more: Any) -> list[Entry]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [entry async for entry in labels.read_entries(chunks(), most, most_labels, **more)]


def manifest(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


def names(entries: list[Entry]) -> list[str]:
    return [entry.source_ref.rpartition("/")[2] for entry in entries]


def good(count: int) -> list[str]:
    return [image(f"good-{number}", "a") for number in range(count)]


@given(st.integers(1, 300), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans(), st.booleans())
def test_pieces_line_ends_and_marks_make_no_difference(chunk: int, end: str, mark: bool, ended: bool) -> None:
    lines = [image("ä-1", "a"), boxes("b-2", "b"), image("c-3")]
    data = (b"\xef\xbb\xbf" if mark else b"") + (end.join(lines) + (end if ended else "")).encode()
    entries = read(data, chunk=chunk)
    assert [entry.line for entry in entries] == lines
    assert [(entry.labels, entry.box_labels, entry.labeled) for entry in entries] == [
        (("a",), (), True),
        ((), ("b",), True),
        ((), (), False),
    ]
    assert all(entry.errors is None for entry in entries)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "no object"),
        (json.dumps({"a": 1, "a-metadata": {}}), "no source-ref"),
        (image("x", "a").replace("s3://", "https://"), "no place in S3"),
        (image("../x", "a"), "no key that the store can have"),
        (image("good-0", "b"), "an image that was there already"),
        (image("x", "a", note="x" * LIMITS.characters), "too long"),
        (image("x", "a", note="x" * 5 * LIMITS.characters), "far too long"),
        (image("x\0", "a"), "a name that nothing can hold"),
    ],
)
@pytest.mark.parametrize("chunk", [1 << 20, 1000])
def test_an_unusable_line_is_left_out(bad: str, why: str, chunk: int) -> None:
    lines = good(4)
    entries = read(manifest(*lines[:2], bad, *lines[2:]), chunk=chunk)
    # One of five is not more than a fifth. Of an image that is there twice the first line counts.
    assert [entry.line for entry in entries] == lines, why
    with pytest.raises(ManifestError) as caught:
        read(manifest(bad, *(line for line in lines[:3]), bad.replace("good-0", "good-1")))
    assert str(caught.value) == "The manifest file has too many terminal errors."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The manifest file is empty."),
        (b"\xef\xbb\xbf\n \r\n\n", "The manifest file is empty."),
        (b"%PDF-1.7\n\0\xff\xfe\n", "The manifest file extension or contents are invalid."),
        (b"x" * 1_000_000, "The manifest file extension or contents are invalid."),
        (manifest(*good(11)), "The manifest file has too many rows."),
        (manifest(*good(5), *[""] * 6), "The manifest file has too many rows."),
        (manifest(*good(5), *["{"] * 6), "The manifest file has too many rows."),
        (manifest(image("x", *"abcd")), "The manifest file has too many labels."),
        (manifest(image("x", "a", "b"), boxes("y", "c", "d")), "The manifest file has too many labels."),
        (
            manifest(image("x", "a"), image("y", "a", bucket="another")),
            "The manifest file contains images from multiple S3 buckets.",
        ),
    ],
)
def test_what_spoils_the_file_is_named_in_the_services_words(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(data, most=10, most_labels=3)
    assert str(caught.value) == message


def test_limits_are_what_is_still_allowed() -> None:
    assert len(read(manifest(*good(10)), most=10, most_labels=1)) == 10
    with pytest.raises(ManifestError):
        read(manifest(*good(1)), bucket="another")


def test_what_is_wrong_within_a_line_is_kept_with_it() -> None:
    [off] = read(manifest(boxes("x", "a", "b", left=-5)))
    assert off.box_labels == ("b",)
    assert off.errors is not None
    [error] = off.errors
    assert error["code"] == "ERROR_INVALID_BOUNDING_BOX"
    assert error["message"] == "The bounding box has off frame values."
    assert error["where"] == ["BB", "annotations", 0]


@pytest.mark.parametrize("side", [63, 4097])
def test_the_size_of_an_image_with_boxes_is_checked(side: int) -> None:
    [entry] = read(manifest(boxes("x", "a", side=side)))
    assert entry.errors is not None
    assert "ERROR_INVALID_IMAGE_DIMENSION" in [error["code"] for error in entry.errors]


def test_what_lists_and_validations_put_in_is_taken_out_again() -> None:
    plain = json.loads(boxes("x", "a"))
    given = json.loads(boxes("x", "a"))
    found = [{"code": "ERROR_X", "message": "x"}]
    given |= {"errors": found, "warnings": found, "cl-errors": found, "cl-metadata": {"is_labeled": True}}
    given["BB-metadata"] |= {"errors": found, "cl-errors": found}
    given["BB"] |= {"errors": found, "warnings": found}
    given["BB"]["annotations"][0] |= {"errors": found, "cl-errors": found}
    [entry] = read(manifest(json.dumps(given)))
    assert json.loads(entry.line) == plain
    assert entry.errors is None
