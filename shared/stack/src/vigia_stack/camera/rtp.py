"""RTP packets for H.264 (RFC 6184): single NAL units, and FU-A fragments of those that do not fit."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

CLOCK = 90_000
_PAYLOAD_TYPE = 96
_FU_A = 28
_MTU = 1400


def packets(nals: Sequence[bytes], sequence: int, timestamp: int, ssrc: int) -> Iterator[bytes]:
    """The packets of one access unit; the last one carries the marker. ``timestamp`` in ticks of 1/90000 s."""
    fragments = [fragment for nal in nals for fragment in _fragments(nal)]
    for index, payload in enumerate(fragments):
        marker = 0x80 if index == len(fragments) - 1 else 0
        header = struct.pack(
            "!BBHII", 0x80, _PAYLOAD_TYPE | marker, (sequence + index) & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
        )
        yield header + payload


def _fragments(nal: bytes) -> Iterator[bytes]:
    if len(nal) <= _MTU:
        yield nal
        return
    indicator, kind, body = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F, nal[1:]
    step = _MTU - 2
    for start in range(0, len(body), step):
        first = 0x80 if start == 0 else 0
        last = 0x40 if start + step >= len(body) else 0
        yield bytes((indicator, first | last | kind)) + body[start : start + step]
