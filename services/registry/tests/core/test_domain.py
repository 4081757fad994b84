"""The rules without any I/O."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia_registry.datasets.domain import READABLE, DatasetState
from vigia_registry.datasets.domain import TRANSITIONS as DATASET_TRANSITIONS
from vigia_registry.datasets.manifest import Entry, ManifestError, parse_line, read_entries
from vigia_registry.hosting.domain import Desired, Observed
from vigia_registry.identity.domain import Vault
from vigia_registry.models.domain import (
    MAY_DELETE,
    MAY_START,
    MAY_STOP,
    AwsStatus,
    ModelState,
    aws_status,
)
from vigia_registry.models.domain import TRANSITIONS as MODEL_TRANSITIONS
from vigia_registry.models.trainability import DatasetCounts, problems
from vigia_registry.packaging.domain import TRANSITIONS as PACKAGING_TRANSITIONS
from vigia_registry.pagination import Pages
from vigia_registry.projects.domain import TRANSITIONS as PROJECT_TRANSITIONS
from vigia_registry.settings import QuotaSettings
from vigia_registry.states import ForbiddenTransitionError, step
from vigia_runtime.errors import InvalidInput

from .manifests import line, manifest

S, D, SEEN = AwsStatus, Desired, Observed
HOSTING = {
    (D.HOSTED, SEEN.ABSENT): S.STARTING_HOSTING,
    (D.HOSTED, SEEN.LOADING): S.STARTING_HOSTING,
    (D.HOSTED, SEEN.SERVING): S.HOSTED,
    (D.HOSTED, SEEN.FAILED): S.HOSTING_FAILED,
    (D.HOSTED, SEEN.DRAINING): S.STARTING_HOSTING,
    (D.NONE, SEEN.ABSENT): S.TRAINED,
    (D.NONE, SEEN.LOADING): S.STOPPING_HOSTING,
    (D.NONE, SEEN.SERVING): S.STOPPING_HOSTING,
    (D.NONE, SEEN.FAILED): S.TRAINED,
    (D.NONE, SEEN.DRAINING): S.STOPPING_HOSTING,
}


@pytest.mark.parametrize(("state", "desired", "observed"), list(product(ModelState, Desired, Observed)))
def test_every_combination_has_one_status(state: ModelState, desired: Desired, observed: Observed) -> None:
    expected = HOSTING[desired, observed] if state is ModelState.TRAINED else AwsStatus(state.value)
    assert aws_status(state, desired, observed) is expected


def test_what_may_be_asked_in_which_status() -> None:
    assert frozenset({S.TRAINED, S.HOSTING_FAILED}) == MAY_START
    assert frozenset({S.HOSTED, S.HOSTING_FAILED}) == MAY_STOP
    busy = {S.TRAINING, S.STARTING_HOSTING, S.HOSTED, S.STOPPING_HOSTING, S.DELETING}
    assert not MAY_DELETE & busy


@pytest.mark.parametrize("table", [DATASET_TRANSITIONS, MODEL_TRANSITIONS, PROJECT_TRANSITIONS, PACKAGING_TRANSITIONS])
def test_every_state_is_in_its_table_and_no_other_step_passes(table: Mapping[Any, frozenset[Any]]) -> None:
    kind: type[StrEnum] = type(next(iter(table)))
    assert set(table) == set(kind)
    for state, target in product(kind, kind):
        if target in table[state]:
            assert step(table, state, target) is target
        else:
            with pytest.raises(ForbiddenTransitionError):
                step(table, state, target)


def test_a_dataset_in_progress_is_not_readable() -> None:
    assert not [state for state in READABLE if "IN_PROGRESS" in state or "CREATE_FAILED" in state]
    assert all(DatasetState.DELETE_IN_PROGRESS in DATASET_TRANSITIONS[state] for state in READABLE)


def counts(normal: int, anomaly: int, **alone: int) -> DatasetCounts:
    return DatasetCounts(normal=normal, anomaly=anomaly, alone=alone)


@pytest.mark.parametrize(
    ("train", "test", "found"),
    [
        (counts(20, 10), None, []),
        (counts(19, 10), None, ["19 normal"]),
        (counts(20, 9), None, ["9 anomalous"]),
        (counts(10, 0), counts(10, 10), []),
        (counts(9, 0), counts(9, 9), ["training dataset has 9", "test dataset has 9 normal", "9 anomalous"]),
        (counts(20, 20, crack=20), None, []),
        (counts(20, 40, crack=20, dent=19), None, ["dent"]),
        (counts(10, 10, crack=10), counts(10, 10, crack=10), []),
        (counts(10, 10, crack=10), counts(10, 10), ["test dataset has 0 images with only the anomaly label crack"]),
        (counts(15_900, 101), None, ["16001 labeled"]),
        (counts(8_000, 20, crack=20), None, ["8020 labeled"]),
        (counts(10, 10, crack=10), counts(790, 10, crack=10), []),
        (counts(10, 10, crack=10), counts(791, 10, crack=10), ["test dataset has 801 labeled"]),
        (counts(10, 0), counts(3_990, 11), ["4001 labeled"]),
        (counts(20, 40, **{f"l{n}": 20 for n in range(101)}), None, ["101 anomaly labels"]),
    ],
)
def test_minima_and_maxima(train: DatasetCounts, test: DatasetCounts | None, found: list[str]) -> None:
    said = problems(train, test, QuotaSettings())
    assert len(said) == len(found)
    for sentence, part in zip(said, found, strict=True):
        assert part in sentence


def test_every_minimum_is_a_setting() -> None:
    low = QuotaSettings(
        min_normal_single=2,
        min_anomaly_single=1,
        min_label_single=1,
        min_normal_train=1,
        min_anomaly_train=1,
        min_normal_test=1,
        min_anomaly_test=2,
        min_label_separate=2,
    )
    for train, test, found in (
        (counts(2, 1), None, []),
        (counts(1, 0), None, ["1 normal images; at least 2", "0 anomalous images; at least 1"]),
        (counts(2, 1, a=0), None, ["label a; at least 1"]),
        (counts(1, 1), counts(1, 2), []),
        (counts(0, 0), counts(0, 1), ["0 normal", "0 anomalous", "0 normal", "1 anomalous images; at least 2"]),
        (counts(1, 1, a=1), counts(1, 1, a=1), ["label a; at least 2", "label a; at least 2"]),
    ):
        said = problems(train, test, low)
        assert len(said) == len(found), said
        for sentence, part in zip(said, found, strict=True):
            assert part in sentence


def entries(*chunks: bytes, most: int = 100, bucket: str | None = None) -> list[Entry]:
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[Entry]:
        return [entry async for entry in read_entries(pieces(), most, 20, bucket)]

    return asyncio.run(read())


@given(st.lists(st.integers(1, 900), max_size=20))
def test_a_manifest_may_be_cut_anywhere(cuts: list[int]) -> None:
    whole = manifest(3, 2, "cracked")
    chunks, start = [], 0
    for cut in cuts:
        chunks.append(whole[start : start + cut])
        start += cut
    assert entries(*chunks, whole[start:]) == entries(whole)


def test_what_awss_own_manifest_leaves_out_is_accepted() -> None:
    entry = parse_line(line("a", True, "cracked").encode(), 1)
    assert (entry.anomaly_class, entry.labels) == ("anomaly", ("cracked",))
    background = json.loads(line("a", True, "cracked"))
    colors = background["anomaly-mask-ref-metadata"]["internal-color-map"]
    colors["1"] = {"class-name": "BACKGROUND", "hex-color": "#FFFFFF", "confidence": 0.0}
    assert parse_line(json.dumps(background).encode(), 1).labels == ("cracked",)


def changed(remove: tuple[str, ...] = (), put: tuple[tuple[tuple[str, ...], Any], ...] = ()) -> bytes:
    fields = json.loads(line("a", True, "cracked"))
    for *path, last in (key.split("/") for key in remove):
        place = fields
        for part in path:
            place = place[part]
        del place[last]
    for path, value in put:
        place = fields
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
    return json.dumps(fields).encode()


CLASS, MASK = "anomaly-label-metadata", "anomaly-mask-ref-metadata"


@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_the_class_name_decides_whatever_the_value(name: str) -> None:
    for value in (0, 1, "1", 0.5):
        raw = changed(put=(((CLASS, "class-name"), name), (("anomaly-label",), value)))
        assert parse_line(raw, 1).anomaly_class == name


@pytest.mark.parametrize("name", ["Anomaly", "good", ""])
def test_another_class_imports_the_image_unlabelled(name: str) -> None:
    assert parse_line(changed(put=(((CLASS, "class-name"), name),)), 1).anomaly_class is None


def test_the_label_key_is_free_and_foreign_keys_are_ignored() -> None:
    fields = json.loads(line("a", False))
    fields["quality"] = fields.pop("anomaly-label")
    fields["quality-metadata"] = fields.pop(CLASS)
    fields["source-ref-metadata"] = {"creation-date": "x"}
    fields["note"] = "hello"
    assert parse_line(json.dumps(fields).encode(), 1).anomaly_class == "normal"
    assert parse_line(b'{"source-ref": "s3://bucket/a.jpg"}', 1).anomaly_class is None


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (changed(remove=("anomaly-label",)), "anomaly-label is missing"),
        (changed(put=((("anomaly-label",), True),)), "neither a number nor a text"),
        (changed(remove=(f"{CLASS}/type",)), "no type"),
        (changed(remove=(f"{CLASS}/human-annotated",)), "human-annotated"),
        (changed(put=(((CLASS, "human-annotated"), "maybe"),)), "human-annotated"),
        (changed(put=(((CLASS, "class-name"), 3),)), "no class-name"),
        (changed(remove=("anomaly-mask-ref",)), "anomaly-mask-ref is missing"),
        (changed(put=((("anomaly-mask-ref",), "masks/a.png"),)), "not of the form s3://"),
        (changed(put=(((MASK, "internal-color-map"), {}),)), "internal-color-map"),
        (changed(put=(((MASK, "internal-color-map", "0", "hex-color"), "23A436"),)), "#rrggbb"),
        (changed(put=(((MASK, "internal-color-map", "0", "class-name"), ""),)), "class-name"),
        (changed(put=(((MASK, "internal-color-map", "0", "class-name"), "\ud800"),)), "not allowed"),
        (
            changed(put=(((MASK, "internal-color-map", "1"), {"class-name": "x", "hex-color": "#23a436"}),)),
            "two classes",
        ),
        (b"1" * 5000, "not a JSON object"),
        (b'{"a":' * 2000, "not a JSON object|longer"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(raw: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=f"Line 9: .*({message})|Line 9: .*{message}"):
        parse_line(raw, 9)


def test_updates_stay_in_the_bucket_of_the_dataset() -> None:
    with pytest.raises(ManifestError, match="all images must be in one bucket"):
        entries(line("a", True).encode(), bucket="elsewhere")
    with pytest.raises(ManifestError, match="more than 2 images"):
        entries(manifest(3, 0), most=2)


@given(st.lists(st.text(), max_size=3), st.lists(st.text(max_size=20), max_size=3))
def test_a_page_token_says_what_it_was_given(scope: list[str], position: list[str]) -> None:
    pages = Pages("secret")
    page = pages.cut(scope, [1, 2, 3], 2, lambda _: position)
    assert page.next_token is not None
    assert list(page.items) == [1, 2]
    assert pages.read(scope, page.next_token) == position
    for other, token in ((Pages("another"), page.next_token), (pages, page.next_token[:-4]), (pages, "")):
        with pytest.raises(InvalidInput):
            other.read(scope, token)
    with pytest.raises(InvalidInput):
        pages.read([*scope, "more"], page.next_token)
    with pytest.raises(InvalidInput):
        pages.read(scope, base64.b64encode(b"x" * 40).decode())


@given(st.text())
def test_a_sealed_secret_opens_again(secret: str) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    sealed = Vault("key").seal(secret)
    assert Vault("key").open(sealed) == secret
    assert not secret or secret.encode() not in sealed or len(secret) < 4
