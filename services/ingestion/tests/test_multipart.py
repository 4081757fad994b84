"""The parser gives back what a camera sent, however the network cuts it, and refuses what has no end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_ingestion.adapters.multipart import MultipartError, MultipartParser, boundary_of

DELIMITER = b"--frame"
BODIES = st.lists(st.binary(max_size=300).filter(lambda body: DELIMITER not in body and body[-1:] not in b"\r\n"))


def stream(bodies: list[bytes], with_length: bool, newline: bytes) -> bytes:
    parts = []
    for body in bodies:
        head = [DELIMITER, b"Content-Type: image/jpeg"]
        if with_length:
            head.append(b"content-LENGTH: %d" % len(body))
        parts.append(newline.join([*head, b"", body]) + newline)
    return b"".join(parts)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(BODIES, st.booleans(), st.sampled_from([b"\r\n", b"\n"]), st.lists(st.integers(1, 60), max_size=60))
def test_parts_come_out_as_they_went_in(
    bodies: list[bytes], with_length: bool, newline: bytes, sizes: list[int]
) -> None:
    data = b"preamble\r\n" + stream(bodies, with_length, newline) + DELIMITER + b"--\r\n"
    parser = MultipartParser(DELIMITER, 1000)
    found = [part for piece in cut(data, sizes) for part in parser.feed(piece)]
    assert found == bodies
    assert parser.finished


def test_a_part_with_a_length_is_complete_at_its_last_byte() -> None:
    parser = MultipartParser(DELIMITER, 1000)
    assert parser.feed(stream([b"abc"], True, b"\r\n")[:-2]) == [b"abc"]


def test_a_length_lets_a_body_contain_the_delimiter() -> None:
    body = b"x" + DELIMITER + b"y"
    assert MultipartParser(DELIMITER, 1000).feed(stream([body], True, b"\r\n")) == [body]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DELIMITER + b"\r\nContent-Length: 1001\r\n\r\n", id="stated too large"),
        pytest.param(DELIMITER + b"\r\n\r\n" + b"x" * 1100, id="really too large"),
        pytest.param(DELIMITER + b"\r\n" + b"X: y\r\n" * 4000, id="headers without end"),
        pytest.param(b"x" * 20_000, id="no delimiter"),
    ],
)
def test_what_has_no_end_is_refused(data: bytes) -> None:
    with pytest.raises(MultipartError):
        MultipartParser(DELIMITER, 1000).feed(data)


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("multipart/x-mixed-replace; boundary=frame", b"--frame"),
        ("multipart/x-mixed-replace;boundary=--frame", b"--frame"),
        ('Multipart/X-Mixed-Replace; Boundary="a b"; x=y', b"--a b"),
    ],
)
def test_boundaries_as_cameras_write_them(header: str, delimiter: bytes) -> None:
    assert boundary_of(header) == delimiter


@pytest.mark.parametrize("header", ["image/jpeg", "multipart/x-mixed-replace", "text/html; boundary=x", ""])
def test_what_is_not_multipart_is_refused(header: str) -> None:
    with pytest.raises(MultipartError):
        boundary_of(header)
