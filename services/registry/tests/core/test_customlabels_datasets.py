"""Datasets of Custom Labels as their clients see them: states on which the samples' loops depend, entries, labels."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vigia_registry.datasets import importer
from vigia_registry.datasets.deletion import delete_dataset
from vigia_registry.datasets.importer import import_entries
from vigia_registry.settings import CustomLabelsSettings

from .conftest import ACCOUNT, REGION, Registry, until
from .label_datasets import create, described, entries, imported, manifest, names, new_project, row_of, settled
from .label_lines import image
from .test_customlabels_projects import refused


@pytest.fixture(scope="module")
def rekognition(registry: Registry) -> Any:
    return registry.rekognition()


def status(client: Any, arn: str) -> str:
    return str(described(client, arn)["Status"])


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
