"""Pictures come out whole, once, and as soon as they are complete."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vigia_ingestion.adapters import units
from vigia_ingestion.adapters.units import Unit, UnitAssembler

T0 = datetime(2026, 1, 1, tzinfo=UTC)
END = b"\x00\x00\x00\x01\x0a"


@given(
    st.lists(
        st.lists(st.binary(min_size=1, max_size=8).filter(lambda data: b"\x01" not in data), min_size=1, max_size=5),
        max_size=10,
    )
)
def test_packets_of_one_time_are_one_picture(pictures: list[list[bytes]]) -> None:
    assembler = UnitAssembler()
    found: list[Unit] = []
    for number, packets in enumerate(pictures):
        for packet in packets:
            found += assembler.feed(number, packet, T0 + timedelta(seconds=number))
    found += assembler.flush()
    assert [unit.data for unit in found] == [b"".join(packets) for packets in pictures]
    assert [unit.captured_at for unit in found] == [T0 + timedelta(seconds=n) for n in range(len(pictures))]


def test_an_end_of_sequence_completes_a_picture_at_once() -> None:
    assembler = UnitAssembler()
    assert assembler.feed(0, b"a", T0) == []
    assert assembler.feed(0, END, T0) == [Unit(b"a" + END, T0)]
    assert not assembler.waiting
    assert assembler.feed(0, b"b" + END, T0) == [Unit(b"b" + END, T0)]


def test_a_delimiter_after_a_picture_completes_it_and_before_it_does_not() -> None:
    delimiter = b"\x00\x00\x00\x01\x09\x10"
    assembler = UnitAssembler()
    assert assembler.feed(0, delimiter, T0) == []
    assert assembler.feed(0, b"a", T0) == []
    assert assembler.feed(0, delimiter, T0) == [Unit(delimiter + b"a", T0)]


def test_the_rest_of_a_picture_given_out_is_left_out() -> None:
    assembler = UnitAssembler()
    assembler.feed(7, b"a", T0)
    assert assembler.waiting
    assert assembler.flush() == [Unit(b"a", T0)]
    assert assembler.flush() == []
    assert assembler.feed(7, b"late", T0 + timedelta(seconds=0.1)) == []
    assert assembler.feed(8, b"b", T0 + timedelta(seconds=0.2)) == []
    assert assembler.flush() == [Unit(b"b", T0 + timedelta(seconds=0.2))]


def test_the_next_picture_may_carry_the_same_time() -> None:
    assembler = UnitAssembler()
    assembler.feed(0, b"a", T0)
    assembler.flush()
    assembler.feed(0, b"b", T0 + timedelta(seconds=1))
    assert assembler.flush() == [Unit(b"b", T0 + timedelta(seconds=1))]


def test_a_picture_without_end_is_given_up() -> None:
    assembler = UnitAssembler()
    half = bytes(units.MOST_BYTES // 2 + 1)
    assert assembler.feed(0, half, T0) == []
    assert assembler.feed(0, half, T0) == []
    assert not assembler.waiting
    assert assembler.feed(1, b"b" + END, T0) == [Unit(b"b" + END, T0)]
