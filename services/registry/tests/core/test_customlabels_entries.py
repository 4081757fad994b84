"""Entries of Custom Labels' datasets as their clients see them: lists, filters, counts, copies and updates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.domain import DatasetKind, EntryFilter
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models import snapshots
from vigia_registry.pagination import Pages
from vigia_registry.projects import service as projects

from .conftest import ACCOUNT, REGION, Registry, until
from .label_datasets import create, described, entries, imported, names, new_project, row_of, settled
from .label_lines import boxes, image
from .test_customlabels_projects import refused

OWNER = Owner(ACCOUNT, REGION, Service.CUSTOM_LABELS)


@pytest.fixture(scope="module")
def rekognition(registry: Registry) -> Any:
    return registry.rekognition()


@pytest.fixture(scope="module")
def varied(registry: Registry) -> str:
    """A dataset with entries of all kinds."""
    client = registry.rekognition()
    wrong = json.loads(boxes("typed", "x"))
    wrong["BB-metadata"]["type"] = "groundtruth/text"
    return imported(
        registry,
        client,
        image("plain", "x", confidence_as_given=1.10),
        image("both", "x", "ü"),
        image("none"),
        boxes("boxed", "y", "y", "z"),
        boxes("off", "x", "y", left=-1),
        json.dumps(wrong),
        "not json",
    )


def test_entries_tell_whether_they_are_labelled_and_what_is_wrong(rekognition: Any, varied: str) -> None:
    texts = rekognition.list_dataset_entries(DatasetArn=varied)["DatasetEntries"]
    found = dict(zip(names([json.loads(text) for text in texts]), texts, strict=True))
    assert list(found) == ["plain", "both", "none", "boxed", "off", "typed"]
    # As they came, to the last digit, and on one line.
    given = image("plain", "x", confidence_as_given=1.10)
    assert found["plain"] == given[:-1] + ', "cl-metadata": {"is_labeled": true}}'
    assert all("\n" not in text for text in texts)
    told = {name: json.loads(text) for name, text in found.items()}
    assert {name: entry["cl-metadata"] for name, entry in told.items()} == {
        name: {"is_labeled": name != "none"} for name in told
    }
    assert [name for name, text in found.items() if "cl-errors" in text] == ["off", "typed"]
    outside = {"code": "ERROR_INVALID_BOUNDING_BOX", "message": "The bounding box has off frame values."}
    assert told["off"]["BB"]["annotations"][0]["cl-errors"] == [outside]
    unsupported = "The use case type of the BB-metadata label attribute metadata is unsupported. Check the type field."
    assert told["typed"]["BB-metadata"]["cl-errors"] == [
        {"code": "ERROR_UNSUPPORTED_USE_CASE_TYPE", "message": unsupported}
    ]
    assert told["typed"]["cl-errors"] == [
        {"code": "ERROR_NO_VALID_LABEL_ATTRIBUTES", "message": "No valid label attributes found."}
    ]
    assert described(rekognition, varied)["DatasetStats"] == {
        "LabeledEntries": 5,
        "TotalEntries": 6,
        "TotalLabels": 4,
        "ErrorEntries": 2,
    }


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"HasErrors": False}, ["plain", "both", "none", "boxed", "off", "typed"]),
        ({"HasErrors": True}, ["off", "typed"]),
        ({"Labeled": False}, ["none"]),
        ({"Labeled": True, "HasErrors": False}, ["plain", "both", "boxed", "off", "typed"]),
        ({"ContainsLabels": ["ü"]}, ["both"]),
        ({"ContainsLabels": ["z", "ü"]}, ["both", "boxed"]),
        ({"ContainsLabels": ["y"]}, ["boxed", "off"]),
        ({"ContainsLabels": ["y"], "HasErrors": True}, ["off"]),
        ({"ContainsLabels": ["y"], "HasErrors": True, "SourceRefContains": "boxed"}, []),
        ({"SourceRefContains": "images/bo"}, ["both", "boxed"]),
        ({"SourceRefContains": "%"}, []),
        ({"SourceRefContains": "images/bo", "Labeled": True, "ContainsLabels": ["x"]}, ["both"]),
    ],
)
def test_filters_hold_together(rekognition: Any, varied: str, chosen: dict[str, Any], found: list[str]) -> None:
    assert names(entries(rekognition, varied, **chosen)) == found
    assert names(entries(rekognition, varied, PaginationConfig={"PageSize": 1}, **chosen)) == found


def test_labels_are_counted_by_images_and_by_images_with_boxes(rekognition: Any, varied: str) -> None:
    expected = [
        {"LabelName": "x", "LabelStats": {"EntryCount": 2}},
        {"LabelName": "y", "LabelStats": {"EntryCount": 2, "BoundingBoxCount": 2}},
        {"LabelName": "z", "LabelStats": {"EntryCount": 1, "BoundingBoxCount": 1}},
        {"LabelName": "ü", "LabelStats": {"EntryCount": 1}},
    ]
    answer = rekognition.list_dataset_labels(DatasetArn=varied, NextToken="")
    assert "NextToken" not in answer
    assert answer["DatasetLabelDescriptions"] == expected
    pages = rekognition.get_paginator("list_dataset_labels").paginate(
        DatasetArn=varied, PaginationConfig={"PageSize": 1}
    )
    listed = [page["DatasetLabelDescriptions"] for page in pages]
    assert [len(page) for page in listed] == [1] * 4
    assert [one for page in listed for one in page] == expected


def test_pages_of_one_entry_go_on_over_thousands(registry: Registry, rekognition: Any) -> None:
    """A position is a row's key: also far behind the beginning a page costs what the first one did."""
    arn = create(rekognition, new_project(rekognition))
    dataset_id, count = row_of(registry, arn), 1500
    registry.sql(
        "insert into registry.dataset_entries (dataset_id, source_ref, line, labels, labeled) "
        "select %s, 's3://b/' || n, '{\"source-ref\": \"s3://b/' || n || '\"}', array['x'], true "
        "from generate_series(1, %s) n",
        dataset_id,
        count,
    )
    expected = [f"s3://b/{number}" for number in range(1, count + 1)]
    name = arn.split("/")[1]
    pages = Pages(registry.settings.secret_key.get_secret_value())

    async def walk(deps: Any) -> list[str]:
        found, token = [], None
        async with deps.database.transaction() as session:
            while True:
                page = await datasets.page_of_entries(
                    session, pages, OWNER, name, DatasetKind.TRAIN, EntryFilter(), token, 1
                )
                found += [json.loads(entry.line)["source-ref"] for entry in page.items]
                if page.next_token is None:
                    return found
                token = page.next_token

    fetched = "select idx_tup_fetch from pg_stat_user_tables where relid = 'registry.dataset_entries'::regclass"
    before = registry.sql(fetched)[0][0]
    assert registry.run(walk) == expected
    # Two rows a page, the one given and the next; the figure appears when the connection is closed.
    found = until(lambda: found if (found := registry.sql(fetched)[0][0]) > before else None)
    assert found - before < 3 * count
    # As J-15 asks, on the wire; meanwhile rows that were told of go, and others come.
    paginator = rekognition.get_paginator("list_dataset_entries")
    told = []
    for page in paginator.paginate(DatasetArn=arn, PaginationConfig={"PageSize": 1, "MaxItems": 30}):
        told += [json.loads(text)["source-ref"] for text in page["DatasetEntries"]]
        registry.sql(
            "delete from registry.dataset_entries where dataset_id = %s and source_ref = %s", dataset_id, told[-1]
        )
    assert told == expected[:30]


def test_a_copy_has_the_entries_of_the_other_dataset(registry: Registry, rekognition: Any, varied: str) -> None:
    project = new_project(rekognition)
    copy = create(rekognition, project, "TEST", {"DatasetArn": varied})
    assert settled(rekognition, copy)["Status"] == "CREATE_COMPLETE"
    assert entries(rekognition, copy) == entries(rekognition, varied)
    assert described(rekognition, copy)["DatasetStats"] == described(rekognition, varied)["DatasetStats"]
    unknown = varied[:-1] + str((int(varied[-1]) + 1) % 10)
    code, _ = refused(lambda: create(rekognition, project, "TRAIN", {"DatasetArn": unknown}))
    assert code == "ResourceNotFoundException"
    # It is a way to read the other one.
    limited = registry.rekognition(*registry.add_key(actions=("rekognition:CreateDataset",)))
    code, message = refused(lambda: create(limited, project, "TRAIN", {"DatasetArn": varied}))
    assert code == "AccessDeniedException"
    assert "ListDatasetEntries" in message


def test_an_update_replaces_by_image_and_keeps_the_order(registry: Registry, rekognition: Any) -> None:
    """Lines as the service lists them may be sent back, changed."""
    arn = imported(registry, rekognition, image("a", "x"), boxes("b", "x", left=-1), image("c"))
    [_, listed, _] = rekognition.list_dataset_entries(DatasetArn=arn)["DatasetEntries"]
    changed = json.loads(listed)
    assert changed["BB"]["annotations"][0].pop("cl-errors")
    changed["BB"]["annotations"][0]["left"] = 1
    sent = "\n".join([json.dumps(changed), image("d", "y"), image("a", "z")])
    rekognition.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": sent})
    assert settled(rekognition, arn)["Status"] == "UPDATE_COMPLETE"
    found = entries(rekognition, arn)
    assert names(found) == ["a", "b", "c", "d"]
    assert "cl-errors" not in json.dumps(found)
    assert found[0]["label-metadata"]["class-name"] == "z"
    labels = rekognition.list_dataset_labels(DatasetArn=arn)["DatasetLabelDescriptions"]
    assert [label["LabelName"] for label in labels] == ["x", "y", "z"]


@pytest.mark.parametrize("held", [None, 100])
def test_training_gets_all_lines_as_they_were_given(
    registry: Registry, rekognition: Any, varied: str, held: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if held is not None:  # so that it is written as it passes by
        monkeypatch.setattr(snapshots, "_HELD", held)
    bucket, name = registry.settings.buckets.datasets, varied.split("/")[1]

    async def write(deps: Any) -> str:
        async with deps.database.transaction() as session:
            project = await projects.get(session, OWNER, name)
            ref = await snapshots.write(session, deps.objects, bucket, project, row_of(registry, varied))
        return str(ref.key)

    lines = registry.opened(bucket, registry.run(write)).decode().splitlines()
    assert names([json.loads(line) for line in lines]) == ["plain", "both", "none", "boxed", "off", "typed"]
    assert lines[0] == image("plain", "x", confidence_as_given=1.10)
    assert not any("cl-" in line for line in lines)


def test_a_page_token_belongs_to_its_list(rekognition: Any, varied: str) -> None:
    token = rekognition.list_dataset_entries(DatasetArn=varied, MaxResults=1)["NextToken"]
    assert token
    for call in (
        lambda: rekognition.list_dataset_entries(DatasetArn=varied, Labeled=True, NextToken=token),
        lambda: rekognition.list_dataset_labels(DatasetArn=varied, NextToken=token),
        lambda: rekognition.list_dataset_entries(DatasetArn=varied, NextToken="nonsense"),
    ):
        assert refused(call)[0] == "InvalidPaginationTokenException"


def test_others_accounts_see_nothing(registry: Registry, varied: str) -> None:
    stranger = registry.rekognition(*registry.add_key("444455556666"))
    for call in (stranger.describe_dataset, stranger.list_dataset_entries, stranger.delete_dataset):
        with pytest.raises(ClientError) as caught:
            call(DatasetArn=varied)
        assert caught.value.response["Error"]["Code"] in ("AccessDeniedException", "ResourceNotFoundException")
