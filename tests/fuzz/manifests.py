"""Manifest lines that no program would write, and what must hold of each: refused by name, or read by training too.

``python -m tests.fuzz.manifests --lines 100000`` sends as many as wanted; the test sends a few hundred.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import SystemRandom
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from vigia_registry.datasets.manifest import LONGEST_LINE, ManifestError, parse_line
from vigia_training.domain.dataset import parse_manifest, split_uri

GOOD: Final[dict[str, Any]] = {
    "source-ref": "s3://bucket/images/1.jpg",
    "anomaly-label": 1,
    "anomaly-label-metadata": {
        "class-name": "anomaly",
        "human-annotated": "yes",
        "type": "groundtruth/image-classification",
    },
    "anomaly-mask-ref": "s3://bucket/masks/1.png",
    "anomaly-mask-ref-metadata": {
        "internal-color-map": {
            "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff"},
            "1": {"class-name": "dent", "hex-color": "#1F77b4"},
        },
        "human-annotated": "yes",
        "type": "groundtruth/semantic-segmentation",
    },
}
#: The longest message of a refused line, characters: it stands in StatusMessage.
_LONGEST_MESSAGE: Final = 2000
#: Lines of one run of Hypothesis, which remembers what it tried: so that memory does not grow with their number.
_RUN: Final = 1000

_texts = st.text(max_size=6)
_uris = st.builds("".join, st.tuples(st.sampled_from(["s3://bucket/", "s3://bucket", "s3: //bucket/", ""]), _texts))
_names = st.sampled_from(
    ["dent", "Background", "BACKGROUND", "bac\u212aground", "scratch", " ", "", "\ud800", "\0", "\u2028"]
)
_colors = st.dictionaries(
    _texts,
    st.fixed_dictionaries(
        {
            "class-name": _names | _texts,
            "hex-color": st.sampled_from(["#ffffff", "#FFFFFF", "#1f77b4", "#1F77B4", "#2ca02c", "red"]),
        }
    ),
    min_size=1,
    max_size=3,
)
_changes = st.fixed_dictionaries(
    {},
    optional={
        "class-name": st.sampled_from(["normal", "anomaly", "Anomaly", "x", 1]),
        "human-annotated": st.sampled_from(["yes", "no", None]),
        "type": st.sampled_from(["groundtruth/image-classification", "groundtruth/semantic-segmentation", ""]),
        "internal-color-map": _colors | st.just({}),
    },
)
_keys = st.sampled_from([*GOOD, "q", "q-metadata", "q-ref", "q-ref-metadata", "-metadata", "source-ref-metadata"])
_values = _uris | _changes | st.integers() | st.none()
#: Lines that are right but for a few metadata, and for a few whole members.
_fields = st.builds(
    lambda label, mask, changed, gone: {
        key: value
        for key, value in {
            **GOOD,
            "anomaly-label-metadata": {**GOOD["anomaly-label-metadata"], **label},
            "anomaly-mask-ref-metadata": {**GOOD["anomaly-mask-ref-metadata"], **mask},
            **changed,
        }.items()
        if key not in gone
    },
    st.fixed_dictionaries({"class-name": st.sampled_from(["anomaly", "anomaly", "normal", "Normal"])}),
    st.just({}) | st.fixed_dictionaries({"internal-color-map": _colors}),
    st.just({}) | st.dictionaries(_keys, _values, max_size=2),
    st.sampled_from([(), ("anomaly-mask-ref", "anomaly-mask-ref-metadata")]) | st.sampled_from([(k,) for k in GOOD]),
)
#: What a broken program, a wrong encoding or a hostile hand leaves in a line.
_DEBRIS: Final = [
    b"\xef\xbb\xbf",
    b"\r",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 1500,
    b" " * (LONGEST_LINE + 1),
    b'"source-ref":"s3://bucket/b",',
    b'"type":1,',
    b'"',
    b",",
    b"{",
    b"}",
    b"//",
    b"'",
]


def _broken(text: bytes, broken: bool, where: float, debris: int, cut: int) -> bytes:
    if not broken:
        return text
    at = int(where * len(text))
    return text[:at] + _DEBRIS[debris] + text[at + cut :]


_encoded = st.builds(
    lambda fields, ascii_only: json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"),
    _fields,
    st.booleans(),
)
#: Lines as bytes: most of them whole, some with something in a place where it does not belong.
lines = st.builds(
    _broken,
    _encoded,
    st.sampled_from([False, False, True]),
    st.floats(0, 1),
    st.integers(0, len(_DEBRIS) - 1),
    st.integers(0, 8),
)


def outcome(line: bytes) -> str:
    """What the import makes of a line, in a few words; AssertionError where it or training does what they must not."""
    try:
        entry = parse_line(line, 7)
    except ManifestError as error:
        said = str(error)
        assert said.startswith("Line 7: "), said
        assert len(said) <= _LONGEST_MESSAGE, said
        assert b"\0" not in said.encode(), said
        return f"refused: {_kind(said)}"
    assert 2 <= len(entry.line) <= LONGEST_LINE
    assert "\n" not in entry.line
    stored = entry.line.encode()  # no half of a surrogate pair
    assert b"\0" not in stored
    assert not any(b"\0" in text.encode() for text in (entry.source_ref, *entry.labels))
    if entry.anomaly_class is None:  # never in what training gets
        return "unlabelled"
    [read] = parse_manifest(stored + b"\n")
    assert read.class_name == entry.anomaly_class
    assert read.uri == entry.source_ref
    assert split_uri(read.uri)[0] in entry.buckets
    labels = set() if read.mask is None else set(read.mask.labels.values())
    assert labels == (set(entry.labels) if read.anomalous else set())
    if read.mask is not None:
        assert split_uri(read.mask.uri)[0] in entry.buckets
    return entry.anomaly_class + (", with labels" if entry.labels else "")


def fuzz(number: int, begin: int, tell: Callable[[int], None] = lambda _: None) -> Counter[str]:
    """What became of ``number`` lines; the same for the same ``begin``. AssertionError shows the line that is wrong."""
    found: Counter[str] = Counter()
    while (left := number - found.total()) > 0:
        found += _run(min(left, _RUN), begin + found.total())
        tell(found.total())
    return found


def _run(number: int, begin: int) -> Counter[str]:
    found: Counter[str] = Counter()

    @seed(begin)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(lines)
    def run(line: bytes) -> None:
        found[outcome(line)] += 1

    run()
    return found


def _kind(message: str) -> str:
    """A message without what is peculiar to its line."""
    said = re.sub(
        r"""'[^']*'|"[^"]*"|entry .*?(?=:| has | is | stands )|#[0-9a-fA-F]{6}|\S*-\S*""",
        "",
        message.removeprefix("Line 7: "),
    )
    words = re.findall(r"[A-Za-z]+", said)
    return " ".join(words)[:50]


def main() -> int:
    """0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.manifests", description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    chosen = parser.parse_args()
    began = time.process_time()

    def tell(number: int) -> None:
        if number % (10 * _RUN) == 0:
            print(f"{number} lines", file=sys.stderr, flush=True)

    print(f"seed {chosen.seed}", file=sys.stderr, flush=True)
    found = fuzz(chosen.lines, chosen.seed, tell)
    for name, count in found.most_common():
        print(f"{count:8} {name}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{found.total()} lines, seed {chosen.seed}, {time.process_time() - began:.0f} s of CPU, {memory} MiB at most"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
