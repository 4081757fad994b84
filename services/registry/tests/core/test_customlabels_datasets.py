"""Datasets of Custom Labels as their clients see them: states on which the samples' loops depend, entries, labels."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vigia_registry.datasets import importer
from vigia_registry.datasets import service as datasets
from vigia_registry.datasets.deletion import delete_dataset
from vigia_registry.datasets.domain import DatasetKind, EntryFilter
from vigia_registry.datasets.importer import import_entries
from vigia_registry.identity.domain import Owner, Service
from vigia_registry.models import snapshots
from vigia_registry.pagination import Pages
from vigia_registry.projects import service as projects
from vigia_registry.settings import CustomLabelsSettings

from .conftest import ACCOUNT, REGION, Registry, until
from .label_lines import boxes, image
from .test_customlabels_projects import refused

OWNER = Owner(ACCOUNT, REGION, Service.CUSTOM_LABELS)
#: What samples read without asking whether it is there.
MEMBERS = {
    "CreationTimestamp",
    "LastUpdatedTimestamp",
    "Status",
    "StatusMessage",
    "StatusMessageCode",
    "DatasetStats",
}
IN_PROGRESS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


@pytest.fixture(scope="module")
def rekognition(registry: Registry) -> Any:
    return registry.rekognition()


def new_project(client: Any) -> str:
    return str(client.create_project(ProjectName=f"p-{uuid.uuid4().hex[:12]}")["ProjectArn"])


def described(client: Any, arn: str) -> dict[str, Any]:
    """The dataset; everything that samples read of it is there at every moment."""
    found: dict[str, Any] = client.describe_dataset(DatasetArn=arn)["DatasetDescription"]
    assert set(found) == MEMBERS
    assert set(found["DatasetStats"]) == {"LabeledEntries", "TotalEntries", "TotalLabels", "ErrorEntries"}
    assert found["StatusMessage"]
    return found


def status(client: Any, arn: str) -> str:
    return str(described(client, arn)["Status"])


def settled(client: Any, arn: str) -> dict[str, Any]:
    return until(lambda: found if (found := described(client, arn))["Status"] not in IN_PROGRESS else None)


def manifest(registry: Registry, *lines: str) -> dict[str, Any]:
    """A source of a dataset."""
    place = registry.put("\n".join(lines).encode() + b"\n")
    return {"GroundTruthManifest": {"S3Object": {"Bucket": place["Bucket"], "Name": place["Key"]}}}


def create(client: Any, project: str, kind: str = "TRAIN", source: dict[str, Any] | None = None) -> str:
    given = {} if source is None else {"DatasetSource": source}
    return str(client.create_dataset(ProjectArn=project, DatasetType=kind, **given)["DatasetArn"])


def imported(registry: Registry, client: Any, *lines: str, kind: str = "TRAIN", project: str | None = None) -> str:
    """A new dataset with these lines."""
    arn = create(client, project or new_project(client), kind, manifest(registry, *lines))
    found = settled(client, arn)
    assert found["Status"] == "CREATE_COMPLETE", found
    return arn


def entries(client: Any, arn: str, **chosen: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("list_dataset_entries").paginate(DatasetArn=arn, **chosen)
    return [json.loads(text) for page in pages for text in page["DatasetEntries"]]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [entry["source-ref"].rpartition("/")[2] for entry in found]


def row_of(registry: Registry, arn: str) -> uuid.UUID:
    """The id of the dataset that the ARN names."""
    project, _, kind = arn.partition(":project/")[2].split("/")[:3]
    query = "select d.id from registry.datasets d join registry.projects p on p.id = d.project_id where p.name = %s"
    [(found,)] = registry.sql(f"{query} and d.kind = %s", project, kind)
    return uuid.UUID(str(found))


def work(registry: Registry, arn: str) -> None:
    """Do the job about the dataset that waits."""
    dataset_id = row_of(registry, arn)

    async def job(deps: Any) -> None:
        await delete_dataset(deps.database, dataset_id)
        await import_entries(deps.database, deps.objects, deps.settings, dataset_id)

    registry.run(job)


def test_states_are_there_before_a_call_returns(quiet: Registry) -> None:
    """As samples need them that poll at once and give up at any state that they do not expect."""
    client = quiet.rekognition()
    project = new_project(client)
    arn = create(client, project, source=manifest(quiet, image("a", "x"), image("b", "x", "y"), image("c")))
    found = described(client, arn)
    assert (found["Status"], found["StatusMessageCode"]) == ("CREATE_IN_PROGRESS", "SUCCESS")
    [shown] = client.describe_projects(ProjectNames=[project.split("/")[1]])["ProjectDescriptions"][0]["Datasets"]
    assert (shown["DatasetArn"], shown["DatasetType"], shown["Status"]) == (arn, "TRAIN", "CREATE_IN_PROGRESS")
    assert refused(lambda: client.list_dataset_entries(DatasetArn=arn))[0] == "ResourceNotReadyException"
    assert refused(lambda: client.list_dataset_labels(DatasetArn=arn))[0] == "ResourceNotReadyException"
    assert refused(lambda: client.delete_dataset(DatasetArn=arn))[0] == "ResourceInUseException"
    assert refused(lambda: create(client, project))[0] == "ResourceAlreadyExistsException"
    work(quiet, arn)
    found = described(client, arn)
    assert found["Status"] == "CREATE_COMPLETE"
    assert found["StatusMessage"] == "The dataset was successfully created from the manifest file."
    assert found["DatasetStats"] == {"LabeledEntries": 2, "TotalEntries": 3, "TotalLabels": 2, "ErrorEntries": 0}

    change = {"GroundTruth": image("c", "z") + "\n" + image("d", "x")}
    client.update_dataset_entries(DatasetArn=arn, Changes=change)
    assert status(client, arn) == "UPDATE_IN_PROGRESS"
    assert names(entries(client, arn)) == ["a", "b", "c"]
    assert refused(lambda: client.update_dataset_entries(DatasetArn=arn, Changes=change))[0] == "ResourceInUseException"
    assert refused(lambda: client.delete_dataset(DatasetArn=arn))[0] == "ResourceInUseException"
    work(quiet, arn)
    found = described(client, arn)
    assert (found["Status"], found["StatusMessageCode"]) == ("UPDATE_COMPLETE", "SUCCESS")
    assert found["LastUpdatedTimestamp"] > found["CreationTimestamp"]
    assert found["DatasetStats"] == {"LabeledEntries": 4, "TotalEntries": 4, "TotalLabels": 3, "ErrorEntries": 0}

    client.delete_dataset(DatasetArn=arn)
    assert status(client, arn) == "DELETE_IN_PROGRESS"
    assert refused(lambda: client.list_dataset_entries(DatasetArn=arn))[0] == "ResourceNotReadyException"
    work_away(quiet, arn)
    assert refused(lambda: described(client, arn))[0] == "ResourceNotFoundException"
    again = create(client, project)
    assert again != arn
    assert status(client, again) == "CREATE_COMPLETE"
    # A later dataset of the same project and kind is another one.
    for call in (client.describe_dataset, client.delete_dataset, client.list_dataset_entries):
        assert refused(lambda call=call: call(DatasetArn=arn))[0] == "ResourceNotFoundException"  # type: ignore[misc]


def work_away(registry: Registry, arn: str) -> None:
    """As ``work``, of a dataset that goes."""
    dataset_id = row_of(registry, arn)
    registry.run(lambda deps: delete_dataset(deps.database, dataset_id))


def test_both_datasets_are_updated_when_entries_are_distributed(quiet: Registry) -> None:
    client = quiet.rekognition()
    project = new_project(client)
    lines = [image(f"{label}-{number}", label) for label in "xyz" for number in range(10)]
    train, test = create(client, project, source=manifest(quiet, *lines)), create(client, project, "TEST")
    pair = [{"Arn": test}, {"Arn": train}]
    assert refused(lambda: client.distribute_dataset_entries(Datasets=pair))[0] == "ResourceNotReadyException"
    work(quiet, train)
    client.distribute_dataset_entries(Datasets=pair)
    assert [status(client, arn) for arn in (train, test)] == ["UPDATE_IN_PROGRESS"] * 2
    assert refused(lambda: client.distribute_dataset_entries(Datasets=pair))[0] == "ResourceNotReadyException"
    # The job of the training dataset's import comes again, for its worker had died: it is not for it to end this.
    work(quiet, train)
    quiet.run(lambda deps: importer.fail(deps.database, deps.objects, row_of(quiet, train), "broken off"))
    assert [status(client, arn) for arn in (train, test)] == ["UPDATE_IN_PROGRESS"] * 2
    work(quiet, test)
    assert [status(client, arn) for arn in (train, test)] == ["UPDATE_COMPLETE"] * 2
    kept, moved = names(entries(client, train)), names(entries(client, test))
    assert sorted(kept + moved) == sorted(json.loads(line)["source-ref"].rpartition("/")[2] for line in lines)
    assert len(moved) == 6
    assert {name[0] for name in moved} == {name[0] for name in kept} == set("xyz")
    assert described(client, test)["DatasetStats"]["TotalEntries"] == 6
    assert described(client, train)["DatasetStats"] == {
        "LabeledEntries": 24,
        "TotalEntries": 24,
        "TotalLabels": 3,
        "ErrorEntries": 0,
    }
    work(quiet, test)  # again: nothing more
    assert names(entries(client, test)) == moved
    code, message = refused(lambda: client.distribute_dataset_entries(Datasets=pair))
    assert (code, "not empty" in message) == ("InvalidParameterException", True)


def test_what_cannot_be_distributed_fails_both_and_moves_nothing(registry: Registry, rekognition: Any) -> None:
    project = new_project(rekognition)
    train = imported(registry, rekognition, image("a", "x"), image("b", "x"), image("c", "y"), project=project)
    test = create(rekognition, project, "TEST")
    rekognition.distribute_dataset_entries(Datasets=[{"Arn": train}, {"Arn": test}])
    for arn in (train, test):
        found = settled(rekognition, arn)
        assert (found["Status"], found["StatusMessageCode"]) == ("UPDATE_FAILED", "CLIENT_ERROR")
        assert found["StatusMessage"] == (
            "The manifest file doesn't have enough labeled images to distribute the dataset."
        )
    assert names(entries(rekognition, train)) == ["a", "b", "c"]
    assert entries(rekognition, test) == []
    # With one image more it can be.
    rekognition.update_dataset_entries(DatasetArn=train, Changes={"GroundTruth": image("d", "y")})
    assert settled(rekognition, train)["Status"] == "UPDATE_COMPLETE"
    rekognition.distribute_dataset_entries(Datasets=[{"Arn": train}, {"Arn": test}])
    assert [settled(rekognition, arn)["Status"] for arn in (train, test)] == ["UPDATE_COMPLETE"] * 2
    assert described(rekognition, test)["DatasetStats"]["TotalLabels"] == 2


def test_only_a_projects_two_datasets_can_share_entries(registry: Registry, rekognition: Any) -> None:
    project, other = new_project(rekognition), new_project(rekognition)
    train, test = create(rekognition, project), create(rekognition, project, "TEST")
    elsewhere = create(rekognition, other, "TEST")
    for pair in ([train, train], [test, elsewhere], [train, elsewhere], [elsewhere, train]):
        given = [{"Arn": arn} for arn in pair]
        code = refused(lambda given=given: rekognition.distribute_dataset_entries(Datasets=given))[0]  # type: ignore[misc]
        assert code == "InvalidParameterException", pair
    for given in ([], [{"Arn": train}], [{"Arn": train}, {"Arn": test}, {"Arn": test}], [{"Arn": train}, {}]):
        code = refused(lambda given=given: rekognition.distribute_dataset_entries(Datasets=given))[0]  # type: ignore[misc]
        assert code == "InvalidParameterException", given
    gone = train[:-1] + str((int(train[-1]) + 1) % 10)
    given = [{"Arn": gone}, {"Arn": test}]
    assert refused(lambda: rekognition.distribute_dataset_entries(Datasets=given))[0] == "ResourceNotFoundException"


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


def test_a_copy_of_what_is_gone_fails(quiet: Registry) -> None:
    client = quiet.rekognition()
    project, source = new_project(client), create(client, new_project(client))
    busy = create(client, new_project(client), source=manifest(quiet, image("a", "x")))
    code, message = refused(lambda: create(client, project, source={"DatasetArn": busy}))
    assert (code, "CREATE_IN_PROGRESS" in message) == ("InvalidParameterException", True)
    copy = create(client, project, source={"DatasetArn": source})
    assert status(client, copy) == "CREATE_IN_PROGRESS"
    client.delete_dataset(DatasetArn=source)
    work_away(quiet, source)
    work(quiet, copy)
    found = described(client, copy)
    assert (found["Status"], found["StatusMessageCode"]) == ("CREATE_FAILED", "CLIENT_ERROR")
    # What failed can be deleted, and nothing else.
    update = {"DatasetArn": copy, "Changes": {"GroundTruth": image("a", "x")}}
    assert refused(lambda: client.update_dataset_entries(**update))[0] == "ResourceInUseException"
    client.delete_dataset(DatasetArn=copy)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "The manifest file extension or contents are invalid."),
        (b"\x89PNG\r\n\x1a\n", "The manifest file extension or contents are invalid."),
        (b"\n", "The manifest file is empty."),
        (
            f"{image('a', 'x')}\n{image('b', 'x', bucket='another')}\n".encode(),
            "The manifest file contains images from multiple S3 buckets.",
        ),
        (
            image("0", *(f"l{number}" for number in range(251))).encode(),
            "The manifest file has too many labels.",
        ),
        (
            "\n".join([image("a", "x"), image("b", "x"), image("a", "x")]).encode(),
            "The manifest file has too many terminal errors.",
        ),
        (
            image("a", "x", bucket="vigia-datasets").encode(),
            "The permissions for the images S3 bucket are invalid.",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_of_in_the_status(
    registry: Registry, rekognition: Any, data: bytes | None, message: str
) -> None:
    place = registry.put(data or b"x")
    if data is None:
        registry.s3().delete_object(**place)
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": place["Bucket"], "Name": place["Key"]}}}
    arn = create(rekognition, new_project(rekognition), source=source)
    found = settled(rekognition, arn)
    assert (found["Status"], found["StatusMessage"]) == ("CREATE_FAILED", message)
    assert found["StatusMessageCode"] == "CLIENT_ERROR"
    assert found["DatasetStats"] == {"LabeledEntries": 0, "TotalEntries": 0, "TotalLabels": 0, "ErrorEntries": 0}


@pytest.mark.parametrize("count", [1, 100])
def test_a_manifest_that_is_too_large_is_not_read_to_its_end(
    quiet: Registry, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    client = quiet.rekognition()
    source = manifest(quiet, *(image(f"{number}", "x") for number in range(count)))
    arn = create(client, new_project(client), source=source)
    dataset_id, small = row_of(quiet, arn), CustomLabelsSettings(max_manifest_bytes=10)
    if count > 1:
        monkeypatch.setattr(importer, "stream", None)

    async def job(deps: Any) -> None:
        settings = deps.settings.model_copy(update={"custom_labels": small})
        await import_entries(deps.database, deps.objects, settings, dataset_id)

    quiet.run(job)
    found = described(client, arn)
    assert (found["Status"], found["StatusMessageCode"]) == ("CREATE_FAILED", "CLIENT_ERROR")
    assert found["StatusMessage"] == "The manifest file size exceeds the maximum supported size."


def test_limits_hold_for_what_a_dataset_has_after_an_update(quiet: Registry) -> None:
    client = quiet.rekognition()
    arn = create(client, new_project(client), source=manifest(quiet, image("a", "x"), image("b", "y")))
    work(quiet, arn)
    dataset_id = row_of(quiet, arn)

    def update(changes: str, **limits: int) -> dict[str, Any]:
        client.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": changes})

        async def job(deps: Any) -> None:
            settings = deps.settings.model_copy(update={"custom_labels": CustomLabelsSettings(**limits)})
            await import_entries(deps.database, deps.objects, settings, dataset_id)

        quiet.run(job)
        return described(client, arn)

    assert update(image("c", "x"), max_images_train=2)["StatusMessage"] == "The manifest file has too many rows."
    assert update(image("c", "z"), max_labels=2)["StatusMessage"] == "The manifest file has too many labels."
    assert described(client, arn)["DatasetStats"]["TotalEntries"] == 2
    # What is replaced does not count any more.
    assert update(image("a", "y"), max_images_train=2)["Status"] == "UPDATE_COMPLETE"
    assert update(image("b", "z") + "\n" + image("a", "z"), max_labels=1)["Status"] == "UPDATE_COMPLETE"
    assert described(client, arn)["DatasetStats"]["TotalLabels"] == 1
    # What a line has too much of is told with the line.
    assert update(image("b", "y", "z"), max_labels_image=1)["DatasetStats"]["ErrorEntries"] == 1
    assert entries(client, arn, HasErrors=True)[0]["cl-errors"][0]["code"] == "ERROR_TOO_MANY_IMAGE_LABELS"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (image("new", "x") + "\nnot json", "The manifest file has too many terminal errors."),
        (image("new", "x", bucket="another"), "The manifest file contains images from multiple S3 buckets."),
        (image("new", *(f"l{n}" for n in range(250))), "The manifest file has too many labels."),
    ],
)
def test_a_failed_update_changes_nothing(registry: Registry, rekognition: Any, changes: str, message: str) -> None:
    arn = imported(registry, rekognition, image("a", "x"), image("b", "y"))
    before, stats = entries(rekognition, arn), described(rekognition, arn)["DatasetStats"]
    rekognition.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": changes})
    found = settled(rekognition, arn)
    assert (found["Status"], found["StatusMessage"], found["StatusMessageCode"]) == (
        "UPDATE_FAILED",
        message,
        "CLIENT_ERROR",
    )
    assert (entries(rekognition, arn), found["DatasetStats"]) == (before, stats)
    # The next one may succeed, and says so.
    rekognition.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": image("a", "z")})
    found = settled(rekognition, arn)
    assert (found["Status"], found["StatusMessageCode"]) == ("UPDATE_COMPLETE", "SUCCESS")


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


def test_an_import_that_gives_up_is_the_services_fault(quiet: Registry) -> None:
    client = quiet.rekognition()
    arn = create(client, new_project(client), source=manifest(quiet, image("a", "x")))
    quiet.run(lambda deps: importer.fail(deps.database, deps.objects, row_of(quiet, arn), "It failed. Try again."))
    found = described(client, arn)
    assert (found["Status"], found["StatusMessageCode"]) == ("CREATE_FAILED", "SERVICE_ERROR")


def test_tags_go_with_the_dataset(registry: Registry, rekognition: Any) -> None:
    arn = rekognition.create_dataset(ProjectArn=new_project(rekognition), DatasetType="TEST", Tags={"line": "1"})[
        "DatasetArn"
    ]
    query = "select key, value from registry.tags where resource_arn = %s"
    assert registry.sql(query, arn) == [("line", "1")]
    rekognition.delete_dataset(DatasetArn=arn)

    def gone() -> bool:
        try:
            rekognition.describe_dataset(DatasetArn=arn)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "ResourceNotFoundException")
        return False

    until(gone)
    assert registry.sql(query, arn) == []


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


def test_a_project_goes_after_its_datasets(registry: Registry, rekognition: Any) -> None:
    project = new_project(rekognition)
    arn = imported(registry, rekognition, image("a", "x"), project=project)
    assert refused(lambda: rekognition.delete_project(ProjectArn=project))[0] == "ResourceInUseException"
    rekognition.delete_dataset(DatasetArn=arn)
    name = project.split("/")[1]

    def empty() -> bool:
        [found] = rekognition.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
        return found["Datasets"] == []

    until(empty)
    rekognition.delete_project(ProjectArn=project)
    until(lambda: rekognition.describe_projects(ProjectNames=[name])["ProjectDescriptions"] == [])


def test_a_manifest_of_others_cannot_be_named(registry: Registry, rekognition: Any) -> None:
    place = {"Bucket": registry.settings.buckets.datasets, "Name": "999988887777/x.manifest"}
    project = new_project(rekognition)
    code, message = refused(lambda: create(rekognition, project, source={"GroundTruthManifest": {"S3Object": place}}))
    assert code == "InvalidS3ObjectException"
    assert ACCOUNT in message
    [found] = rekognition.describe_projects(ProjectNames=[project.split("/")[1]])["ProjectDescriptions"]
    assert found["Datasets"] == []


ARN = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/nobody/dataset/train/1700000000000"
PROJECT = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/nobody/1700000000000"


@pytest.mark.parametrize(
    ("operation", "given", "code", "named"),
    [
        ("create_dataset", {"ProjectArn": PROJECT, "DatasetType": "TRAIN"}, "ResourceNotFoundException", "nobody"),
        ("create_dataset", {"ProjectArn": PROJECT, "DatasetType": "train"}, "InvalidParameterException", "datasetType"),
        ("create_dataset", {"ProjectArn": ARN, "DatasetType": "TRAIN"}, "InvalidParameterException", "projectArn"),
        ("create_dataset", {"DatasetType": "TRAIN"}, "InvalidParameterException", "projectArn"),
        (
            "create_dataset",
            {"ProjectArn": PROJECT, "DatasetType": "TRAIN", "DatasetSource": {}},
            "InvalidParameterException",
            "datasetSource",
        ),
        (
            "create_dataset",
            {"ProjectArn": PROJECT, "DatasetType": "TRAIN", "DatasetSource": {"DatasetArn": "x" * 20}},
            "InvalidParameterException",
            "datasetSource.datasetArn",
        ),
        (
            "create_dataset",
            {
                "ProjectArn": PROJECT,
                "DatasetType": "TRAIN",
                "DatasetSource": {"GroundTruthManifest": {"S3Object": {"Bucket": "b!", "Name": "x"}}},
            },
            "InvalidParameterException",
            "s3Object.bucket",
        ),
        ("describe_dataset", {"DatasetArn": ARN}, "ResourceNotFoundException", "nobody"),
        ("describe_dataset", {"DatasetArn": PROJECT}, "InvalidParameterException", "datasetArn"),
        ("describe_dataset", {"DatasetArn": "\0" * 20}, "InvalidParameterException", "datasetArn"),
        ("describe_dataset", {"DatasetArn": "\ud800" * 20}, "InvalidParameterException", "datasetArn"),
        ("delete_dataset", {"DatasetArn": ARN}, "ResourceNotFoundException", "nobody"),
        ("list_dataset_entries", {"DatasetArn": ARN}, "ResourceNotFoundException", "nobody"),
        ("list_dataset_entries", {"DatasetArn": ARN, "MaxResults": 101}, "ValidationException", "maxResults"),
        ("list_dataset_entries", {"DatasetArn": ARN, "MaxResults": 0}, "InvalidParameterException", "maxResults"),
        ("list_dataset_entries", {"DatasetArn": ARN, "HasErrors": "x"}, "InvalidParameterException", "hasErrors"),
        (
            "list_dataset_entries",
            {"DatasetArn": ARN, "ContainsLabels": ["x"] * 11},
            "InvalidParameterException",
            "containsLabels",
        ),
        (
            "list_dataset_entries",
            {"DatasetArn": ARN, "SourceRefContains": "x" * 2049},
            "InvalidParameterException",
            "sourceRefContains",
        ),
        ("list_dataset_labels", {"DatasetArn": ARN}, "ResourceNotFoundException", "nobody"),
        ("update_dataset_entries", {"DatasetArn": ARN}, "InvalidParameterException", "changes"),
        (
            "update_dataset_entries",
            {"DatasetArn": ARN, "Changes": {"GroundTruth": b""}},
            "InvalidParameterException",
            "changes.groundTruth",
        ),
        (
            "update_dataset_entries",
            {"DatasetArn": ARN, "Changes": {"GroundTruth": b"x" * 5_242_881}},
            "InvalidParameterException",
            "5242880",
        ),
        (
            "update_dataset_entries",
            {"DatasetArn": ARN, "Changes": {"GroundTruth": b"x" * 5_242_880}},
            "ResourceNotFoundException",
            "nobody",
        ),
    ],
)
def test_what_breaks_a_rule_is_named(
    rekognition: Any, operation: str, given: dict[str, Any], code: str, named: str
) -> None:
    found, message = refused(lambda: getattr(rekognition, operation)(**given))
    assert found == code
    assert named in message


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
