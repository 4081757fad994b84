"""What the import accepts, training reads, and as the same: a line must not fail a training that began hours later."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.datasets.manifest import ManifestError, parse_line
from vigia_training.domain.dataset import parse_manifest, split_uri

_GOOD: dict[str, Any] = {
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
_texts = st.text(max_size=6)
_uris = st.builds("".join, st.tuples(st.sampled_from(["s3://bucket/", "s3://bucket", "s3: //bucket/", ""]), _texts))
_metadata = st.fixed_dictionaries(
    {},
    optional={
        "class-name": st.sampled_from(["normal", "anomaly", "Anomaly", "x", 1]),
        "human-annotated": st.sampled_from(["yes", "no", None]),
        "type": st.sampled_from(["groundtruth/image-classification", "groundtruth/semantic-segmentation", ""]),
        "internal-color-map": st.dictionaries(
            _texts,
            st.fixed_dictionaries(
                {
                    "class-name": st.sampled_from(["dent", "Background", "BACKGROUND", "scratch", " ", ""]) | _texts,
                    "hex-color": st.sampled_from(["#ffffff", "#FFFFFF", "#1f77b4", "#1F77B4", "#2ca02c", "red"]),
                }
            ),
            max_size=3,
        ),
    },
)
_keys = st.sampled_from([*_GOOD, "q", "q-metadata", "q-ref", "q-ref-metadata", "-metadata", "source-ref-metadata"])
_values = _uris | _metadata | st.integers() | st.none()


@given(
    st.dictionaries(_keys, _values, max_size=4), st.dictionaries(st.sampled_from([*_GOOD]), st.just(None), max_size=2)
)
def test_what_import_accepts_training_reads_as_the_same(changed: dict[str, Any], gone: dict[str, None]) -> None:
    fields = {key: value for key, value in {**_GOOD, **changed}.items() if key not in gone}
    try:
        entry = parse_line(json.dumps(fields).encode(), 1)
    except ManifestError:
        return
    if entry.anomaly_class is None:  # never in what training gets
        return
    [read] = parse_manifest(entry.line.encode() + b"\n")
    assert read.class_name == entry.anomaly_class
    assert read.uri == entry.source_ref
    assert split_uri(read.uri)[0] in entry.buckets
    labels = set() if read.mask is None else set(read.mask.labels.values())
    assert labels == (set(entry.labels) if read.anomalous else set())
    if read.mask is not None:
        assert split_uri(read.mask.uri)[0] in entry.buckets
