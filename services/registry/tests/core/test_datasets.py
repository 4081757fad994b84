"""What becomes of datasets: their states as clients see them, what forbids what, their limits, their entries."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from vigia_contracts.training import TrainingRequest
from vigia_registry.models import snapshots
from vigia_registry.objects import remove_below
from vigia_runtime.objects import ObjectStore

from .conftest import ACCOUNT, BUCKET, Registry, until
from .datasets import create, entries, source, status, update
from .manifests import IMAGES, line, manifest
from .test_errors import refused
from .test_lifecycle import OUTPUT, becomes, completed, describe, gone, report, requests_for, settled, trainable


def test_an_account_names_nothing_of_others_in_the_buckets_that_all_share(
    registry: Registry, lookout: Any, project: str
) -> None:
    """Their snapshots, models and stored images lie there, and Vigia itself may open them."""
    own = registry.settings.buckets.datasets
    theirs = f"222233334444/{uuid.uuid4()}/snapshots/x.manifest"
    registry.s3().put_object(Bucket=own, Key=theirs, Body=manifest(2, 1))
    place = source({"Bucket": own, "Key": theirs})
    error = refused(lambda: lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert f"of Vigia's bucket {own} only what begins with {ACCOUNT}/ is yours" in error["message"]

    evidence = registry.settings.buckets.evidence
    mask = json.loads(line("b", True, "cracked", bucket=evidence))
    mask["source-ref"] = f"s3://{evidence}/{ACCOUNT}/b.jpg"
    for text in (line("a", False, bucket=evidence), json.dumps(mask)):
        failed = create(registry, lookout, project, text.encode())
        assert failed["Status"] == "CREATE_FAILED"
        assert f"Line 1: of Vigia's bucket {evidence} only what begins with {ACCOUNT}/" in failed["StatusMessage"]
        lookout.delete_dataset(ProjectName=project, DatasetType="train")
        gone(lambda: lookout.describe_dataset(ProjectName=project, DatasetType="train"))
    mask["anomaly-mask-ref"] = f"s3://{evidence}/{ACCOUNT}/b.mask.png"
    assert create(registry, lookout, project, json.dumps(mask).encode())["Status"] == "CREATE_COMPLETE"
    assert update(lookout, project, manifest(20, 20, bucket=evidence))["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"


def test_results_go_to_a_bucket_of_the_customer(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    for bucket in (registry.settings.buckets.artifacts, registry.settings.buckets.evidence):
        output = {"S3Location": {"Bucket": bucket, "Prefix": f"{ACCOUNT}/mine"}}
        error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=output))  # noqa: B023
        assert (error["code"], error["status"]) == ("ValidationException", 400)
        assert f"{bucket} is Vigia's own" in error["message"]
    assert lookout.list_models(ProjectName=project)["Models"] == []


def test_files_are_removed_a_page_at_a_time(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may have left millions."""
    bucket, prefix = registry.settings.buckets.datasets, f"{uuid.uuid4().hex}/"
    s3 = registry.s3()
    with ThreadPoolExecutor(8) as pool:
        names = [*(f"{prefix}{n // 500}/{n}" for n in range(1100)), f"{prefix[:-1]}-not/1"]
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), names))

    async def whole(*_: Any) -> None:
        raise AssertionError("everything is listed at once")

    monkeypatch.setattr(ObjectStore, "list", whole)
    registry.run(lambda deps: remove_below(deps.objects, bucket, prefix))
    left = s3.list_objects_v2(Bucket=bucket, Prefix=prefix[:-1])["Contents"]
    assert [item["Key"] for item in left] == [f"{prefix[:-1]}-not/1"]
    registry.run(lambda deps: remove_below(deps.objects, "nobody-has-this-bucket", prefix))


def test_a_poller_sees_the_rollback_and_the_old_entries(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    before = entries(lookout, project)
    registry.sql(
        "create or replace function registry.hold() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock(4711); return new; end $$; "
        "create trigger hold before update on registry.datasets for each row "
        "when (new.state = 'UPDATE_FAILED_ROLLBACK_COMPLETE') execute function registry.hold()"
    )
    try:
        with psycopg.connect(registry.settings.postgres.url.get_secret_value(), autocommit=True) as holder:
            holder.execute("select pg_advisory_lock(4711)")
            changes = line("new", False) + "\n" + line("normal-0", True) + "\nnot json"
            lookout.update_dataset_entries(ProjectName=project, DatasetType="train", Changes=changes.encode())
            until(lambda: status(lookout, project) == "UPDATE_FAILED_ROLLBACK_IN_PROGRESS")
            assert entries(lookout, project) == before
            error = refused(
                lambda: lookout.update_dataset_entries(ProjectName=project, DatasetType="train", Changes=b"{}")
            )
            assert error["code"] == "ConflictException"
        until(lambda: status(lookout, project) == "UPDATE_FAILED_ROLLBACK_COMPLETE")
    finally:
        registry.sql("drop trigger hold on registry.datasets; drop function registry.hold()")
    assert entries(lookout, project) == before
    assert "Line 3" in settled(lookout, project)["StatusMessage"]
    # The data is intact, and so it can be changed and trained on.
    assert update(lookout, project, line("new", False).encode())["Status"] == "UPDATE_COMPLETE"
    lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)


def test_changes_do_not_stay_in_the_store(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    assert update(lookout, project, line("new", False).encode())["Status"] == "UPDATE_COMPLETE"
    assert update(lookout, project, b"not json")["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    [(project_id,)] = registry.sql("select id from registry.projects where name = %s", project)

    def kept() -> list[str]:
        listed = registry.s3().list_objects_v2(Bucket=registry.settings.buckets.datasets)
        return [item["Key"] for item in listed.get("Contents", []) if f"{project_id}/changes/" in item["Key"]]

    until(lambda: kept() == [])


def test_a_failed_dataset_can_only_be_deleted(registry: Registry, lookout: Any, project: str) -> None:
    assert create(registry, lookout, project, b"not json")["Status"] == "CREATE_FAILED"
    assert entries(lookout, project) == []
    where = {"ProjectName": project, "DatasetType": "train"}
    for call in (
        lambda: lookout.update_dataset_entries(**where, Changes=line("x", False).encode()),
        lambda: lookout.create_dataset(**where),
        lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT),
    ):
        assert refused(call)["code"] == "ConflictException"
    lookout.delete_dataset(**where)
    gone(lambda: lookout.describe_dataset(**where))
    assert create(registry, lookout, project, manifest(1, 0))["Status"] == "CREATE_COMPLETE"


def test_an_empty_dataset_is_filled_later(registry: Registry, lookout: Any, project: str) -> None:
    where = {"ProjectName": project, "DatasetType": "train"}
    answer = lookout.create_dataset(**where)
    assert answer["DatasetMetadata"]["Status"] == status(lookout, project) == "CREATE_COMPLETE"
    found = lookout.describe_dataset(**where)["DatasetDescription"]
    assert found["ImageStats"] == {"Total": 0, "Labeled": 0, "Normal": 0, "Anomaly": 0}
    assert entries(lookout, project) == []
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert error["code"] == "ValidationException"
    assert "0 normal images" in error["message"]
    filled = update(lookout, project, manifest(2, 1) + line("u", None).encode())
    assert filled["Status"] == "UPDATE_COMPLETE"
    assert filled["ImageStats"] == {"Total": 4, "Labeled": 3, "Normal": 2, "Anomaly": 1}
    assert filled["LastUpdatedTimestamp"] > filled["CreationTimestamp"]


def test_deleting_the_test_dataset_makes_training_split_again(registry: Registry, lookout: Any, project: str) -> None:
    def train() -> Any:
        return lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]

    def delete(kind: str) -> None:
        lookout.delete_dataset(ProjectName=project, DatasetType=kind)
        gone(lambda: lookout.describe_dataset(ProjectName=project, DatasetType=kind))

    trainable(registry, lookout, project)
    create(registry, lookout, project, manifest(10, 10, "cracked", prefix="test-"), "test")
    [with_test] = requests_for(registry, train())
    assert with_test.test_manifest is not None
    delete("test")
    [single] = requests_for(registry, train())
    assert single.test_manifest is None
    assert single.training_manifest == with_test.training_manifest
    delete("train")
    assert "no training dataset" in refused(train)["message"]
    trainable(registry, lookout, project)
    assert train().endswith("/3")
    # Versions keep what they were trained on, whatever becomes of the dataset.
    snapshot = registry.opened(single.training_manifest.bucket, single.training_manifest.key)
    assert len(snapshot.splitlines()) == 63


def test_masks_are_added_to_images_that_were_only_classified(registry: Registry, lookout: Any, project: str) -> None:
    before = create(registry, lookout, project, manifest(20, 20))
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    [classified] = requests_for(registry, arn)
    after = update(lookout, project, manifest(0, 20, "cracked"))
    assert after["Status"] == "UPDATE_COMPLETE"
    assert after["ImageStats"] == before["ImageStats"] == {"Total": 40, "Labeled": 40, "Normal": 20, "Anomaly": 20}
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    [segmented] = requests_for(registry, arn)

    def masks(request: TrainingRequest) -> int:
        place = request.training_manifest
        return sum(
            "anomaly-mask-ref" in json.loads(text) for text in registry.opened(place.bucket, place.key).splitlines()
        )

    assert (masks(classified), masks(segmented)) == (0, 20)


def test_snapshots_go_with_the_last_version_that_was_trained_on_them(
    registry: Registry, lookout: Any, project: str
) -> None:
    def train() -> str:
        arn: str = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
        report(registry, completed(arn))
        becomes(lookout, project, "TRAINED", arn.rpartition("/")[2])
        return arn

    def delete(version: str) -> None:
        lookout.delete_model(ProjectName=project, ModelVersion=version)
        gone(lambda: describe(lookout, project, version))

    def kept() -> int:
        listed = registry.s3().list_objects_v2(Bucket=registry.settings.buckets.datasets)
        return len([item for item in listed.get("Contents", []) if f"{project_id}/snapshots/" in item["Key"]])

    [(project_id,)] = registry.sql("select id from registry.projects where name = %s", project)
    trainable(registry, lookout, project)
    train()
    train()
    update(lookout, project, line("new", False).encode())
    [request] = requests_for(registry, train())
    assert kept() == 2
    delete("1")
    assert kept() == 2
    delete("2")
    assert kept() == 1
    # The third is the one that stayed.
    assert registry.opened(request.training_manifest.bucket, request.training_manifest.key)


def test_a_snapshot_that_was_removed_meanwhile_is_written_again(
    registry: Registry, lookout: Any, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable(registry, lookout, project)
    write, removed = snapshots.write, []

    async def hindered(*args: Any) -> Any:
        ref = await write(*args)
        if not removed:
            removed.append(ref)
            registry.s3().delete_object(Bucket=ref.bucket, Key=ref.key)
        return ref

    monkeypatch.setattr(snapshots, "write", hindered)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    [request] = requests_for(registry, arn)
    assert request.training_manifest == removed[0]
    assert len(registry.opened(removed[0].bucket, removed[0].key).splitlines()) == 63


def test_entries_are_filtered_by_any_combination(registry: Registry, lookout: Any, project: str) -> None:
    names = ["50%_a", "50x_b", "plain"]
    lines = [line(f"{name}-{kind}", kind) for name in names for kind in (False, True, None)]
    create(registry, lookout, project, "\n".join(lines).encode())
    assert entries(lookout, project) == lines
    assert entries(lookout, project, Labeled=True) == [text for text in lines if "class-name" in text]
    assert entries(lookout, project, Labeled=False) == [lines[2], lines[5], lines[8]]
    assert entries(lookout, project, AnomalyClass="anomaly") == [lines[1], lines[4], lines[7]]
    assert entries(lookout, project, Labeled=False, AnomalyClass="anomaly") == []
    # Taken literally, and found anywhere in the address, in its case.
    assert entries(lookout, project, SourceRefContains="50%_") == lines[:3]
    assert entries(lookout, project, SourceRefContains=f"s3://{IMAGES}/") == lines
    assert entries(lookout, project, SourceRefContains="PLAIN") == []
    assert entries(lookout, project, SourceRefContains="plain", AnomalyClass="normal") == [lines[6]]
    made = lookout.describe_dataset(ProjectName=project, DatasetType="train")["DatasetDescription"]["CreationTimestamp"]
    assert entries(lookout, project, AfterCreationDate=made, PaginationConfig={"PageSize": 2}) == lines
    assert entries(lookout, project, BeforeCreationDate=made) == []


def test_updates_and_inserts_while_pages_are_read(registry: Registry, lookout: Any, project: str) -> None:
    """What was there at the beginning is seen once, whatever comes in between."""
    create(registry, lookout, project, manifest(250, 0))
    where = {"ProjectName": project, "DatasetType": "train"}
    seen: list[str] = []
    token: dict[str, str] = {}
    for number in range(100):
        page = lookout.list_dataset_entries(**where, MaxResults=100, **token)
        seen += [json.loads(text)["source-ref"] for text in page["DatasetEntries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
        changes = [line("normal-0", True), line("normal-249", True), line(f"later-{number}", None)]
        assert update(lookout, project, "\n".join(changes).encode())["Status"] == "UPDATE_COMPLETE"
    assert len(seen) == len(set(seen))
    assert seen[:250] == [f"s3://{IMAGES}/images/normal-{n}.jpg" for n in range(250)]
    assert settled(lookout, project)["ImageStats"]["Anomaly"] == 2


def test_a_dataset_holds_so_many_images(registry: Registry, lookout: Any, project: str) -> None:
    most = registry.settings.quotas.max_images_test
    assert most == 4_000
    full = create(registry, lookout, project, manifest(most - 1, 0), "test")
    assert (full["Status"], full["ImageStats"]["Total"]) == ("CREATE_COMPLETE", most - 1)
    failed = update(lookout, project, manifest(2, 0, prefix="more-"), "test")
    assert (failed["Status"], failed["ImageStats"]["Total"]) == ("UPDATE_FAILED_ROLLBACK_COMPLETE", most - 1)
    assert f"{most + 1} images, more than {most}" in failed["StatusMessage"]
    changed = update(lookout, project, manifest(2, 0) + line("one-more", True).encode(), "test")
    assert (changed["Status"], changed["ImageStats"]["Total"]) == ("UPDATE_COMPLETE", most)
    too_many = create(registry, lookout, project, manifest(16_001, 0))
    assert too_many["Status"] == "CREATE_FAILED"
    assert "Line 16001: the dataset would have more than 16000 images" in too_many["StatusMessage"]


def test_a_pair_of_datasets_has_so_many_labels(registry: Registry, lookout: Any, project: str) -> None:
    def labelled(first: int, last: int) -> bytes:
        """Lines with twenty labels each."""
        lines = []
        for start in range(first, last, 20):
            fields = json.loads(line(f"a-{start}", True, "x"))
            fields["anomaly-mask-ref-metadata"]["internal-color-map"] = {
                str(n): {"class-name": f"label {n}", "hex-color": f"#00{n:04x}"} for n in range(start, start + 20)
            }
            lines.append(json.dumps(fields))
        return "\n".join(lines).encode()

    assert create(registry, lookout, project, labelled(0, 60))["Status"] == "CREATE_COMPLETE"
    failed = create(registry, lookout, project, labelled(50, 110), "test")
    assert failed["Status"] == "CREATE_FAILED"
    assert "110 anomaly labels, more than 100" in failed["StatusMessage"]
    lookout.delete_dataset(ProjectName=project, DatasetType="test")
    gone(lambda: lookout.describe_dataset(ProjectName=project, DatasetType="test"))
    assert create(registry, lookout, project, labelled(40, 100), "test")["Status"] == "CREATE_COMPLETE"
    error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=OUTPUT))
    assert "The test dataset has anomaly labels that the training dataset lacks: label 60, label 61" in error["message"]


def test_images_stay_in_the_bucket_of_the_dataset(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    elsewhere = update(lookout, project, line("x", False, bucket="another-bucket").encode())
    assert elsewhere["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert f"Line 1: bucket another-bucket differs from bucket {IMAGES}" in elsewhere["StatusMessage"]
    mask = json.loads(line("y", True, "cracked"))
    mask["anomaly-mask-ref"] = "s3://another-bucket/y.png"
    assert "another-bucket" in update(lookout, project, json.dumps(mask).encode())["StatusMessage"]
    # The test dataset may have its images elsewhere.
    other = line("x", False, bucket="another-bucket").encode()
    assert create(registry, lookout, project, other, "test")["Status"] == "CREATE_COMPLETE"


def test_a_version_of_the_manifest_can_be_pinned(registry: Registry, lookout: Any, project: str) -> None:
    s3, bucket = registry.s3(), f"versions-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="m", Body=manifest(3, 0))["VersionId"]
    s3.put_object(Bucket=bucket, Key="m", Body=b"not json")
    place = {"Bucket": bucket, "Key": "m", "VersionId": first}
    lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=source(place))
    assert settled(lookout, project)["ImageStats"]["Total"] == 3
    missing = source({**place, "VersionId": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
    lookout.create_dataset(ProjectName=project, DatasetType="test", DatasetSource=missing)
    failed = settled(lookout, project, "test")
    assert failed["Status"] == "CREATE_FAILED"
    assert f"s3://{bucket}/m does not exist in version 01ARZ3" in failed["StatusMessage"]


@pytest.mark.parametrize("key", ["a//b", "a/./b", "../b", "a/", "x" * 1024])
def test_names_that_no_object_can_have(registry: Registry, lookout: Any, project: str, key: str) -> None:
    place = source({"Bucket": BUCKET, "Key": key})
    error = refused(lambda: lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place))
    assert (error["code"], error["status"]) == ("ValidationException", 400)
    assert "cannot exist" in error["message"]
    assert lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"] == []
    if key != "a/":
        trainable(registry, lookout, project)
        output = {"S3Location": {"Bucket": BUCKET, "Prefix": key}}
        error = refused(lambda: lookout.create_model(ProjectName=project, OutputConfig=output))
        assert error["code"] == "ValidationException"
        assert "output prefix" in error["message"]


def test_a_bucket_that_cannot_be(lookout: Any, project: str) -> None:
    for bucket in ("...", "Upper_Case", "-ab"):
        place = source({"Bucket": bucket, "Key": "m"})
        error = refused(lambda: lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place))  # noqa: B023
        assert (error["code"], error["status"]) == ("ValidationException", 400)
        assert "does not exist" in error["message"]
