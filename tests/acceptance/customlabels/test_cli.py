"""The guide's AWS CLI commands, through the real ``aws`` with what ``client.env`` says."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.journeys import Journey, Seen
from vigia_stack.parts.objects import REGION
from vigia_stack.services import ACCOUNT_ID, USER_BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("cl-cli")]

#: Images of the manifest; one more with a label, and one whose only label cannot be read.
GIVEN, ADDED = 28, 2
VERSION = "v1.commands"
TAGS = {"key1": "value1", "key2": "value2"}
NOTHING = ("", {})


@pytest.fixture
def arn(seen: Seen) -> str:
    """The ARN of the project that the journey made."""
    found: str = seen("C-02")["ProjectArn"]
    return found


@pytest.fixture
def project(arn: str) -> str:
    """Its name."""
    return arn.split("/")[1]


@pytest.fixture
def model(seen: Seen) -> str:
    """The ARN of the model."""
    found: str = seen("C-06")["ProjectVersionArn"]
    return found


def version(told: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    """The one version that is described."""
    (found,) = told["ProjectVersionDescriptions"]
    return found


def test_c_01_describes_projects(seen: Seen, arn: str) -> None:
    found = {project["ProjectArn"]: project for project in seen("C-01")["ProjectDescriptions"]}
    assert (found[arn]["Status"], found[arn]["Datasets"]) == ("CREATED", [])


def test_c_02_creates_a_project_of_the_feature_with_tags(seen: Seen, arn: str) -> None:
    assert re.fullmatch(rf"arn:aws:rekognition:{REGION}:{ACCOUNT_ID}:project/cl-cli-\w+/[0-9]{{13}}", arn)
    assert seen("C-02 tags") == {"Tags": TAGS}
    (told,) = seen("C-12")["ProjectDescriptions"]
    assert told["Feature"] == "CUSTOM_LABELS"


def test_c_24_copies_folders_to_and_from_the_store(seen: Seen, journey: Journey) -> None:
    told = seen("C-24")
    folder = journey.material.folder
    tested = len(list((folder / "test-images").iterdir()))
    assert told["objects"] == sum(file.is_file() for file in folder.rglob("*"))
    assert (told["synced"], told["again"], told["back"]) == (tested, "", tested)
    assert set(told["owner"]) >= {"Owner", "Grants"}


def test_c_03_creates_a_dataset_from_a_manifest_with_tags(seen: Seen, project: str) -> None:
    assert f":project/{project}/dataset/train/" in seen("C-03")["DatasetArn"]
    assert seen("C-03 tags") == {"Tags": TAGS}


def test_c_14_describes_a_dataset(seen: Seen) -> None:
    told = seen("C-14")["DatasetDescription"]
    assert (told["Status"], told["StatusMessageCode"]) == ("CREATE_COMPLETE", "SUCCESS")
    stats = {"LabeledEntries": GIVEN, "TotalEntries": GIVEN, "TotalLabels": 2, "ErrorEntries": 0}
    assert told["DatasetStats"] == stats


def test_c_13_updates_entries_with_a_line_in_the_command(seen: Seen) -> None:
    assert seen("C-13") in NOTHING
    assert seen("C-13 odd") in NOTHING


def test_c_15_lists_entries(seen: Seen, project: str) -> None:
    lines = [json.loads(entry) for entry in seen("C-15")["DatasetEntries"]]
    assert len(lines) == GIVEN + ADDED
    root = f"s3://{USER_BUCKET}/{project}/"
    assert f"{root}test-images/disc-0.jpg" in [line["source-ref"] for line in lines]
    (wrong,) = (json.loads(entry) for entry in seen("C-15 errors")["DatasetEntries"])
    assert wrong["source-ref"] == f"{root}test-images/square-1.jpg"


def test_c_04_and_05_create_empty_and_copied_datasets(seen: Seen, project: str) -> None:
    assert f":project/{project}/dataset/test/" in seen("C-04")["DatasetArn"]
    assert f":project/{project}-copy/dataset/train/" in seen("C-05")["DatasetArn"]


def test_c_16_moves_a_fifth(seen: Seen) -> None:
    assert seen("C-16") in NOTHING
    training, test = (told["DatasetDescription"] for told in seen("C-14 shared"))
    assert training["Status"] == test["Status"] == "UPDATE_COMPLETE"
    totals = [told["DatasetStats"]["TotalEntries"] for told in (training, test)]
    assert sum(totals) == GIVEN + ADDED
    assert 5 <= totals[1] <= 7


def test_c_12_describes_a_project_by_name(seen: Seen, arn: str) -> None:
    (told,) = seen("C-12")["ProjectDescriptions"]
    assert told["ProjectArn"] == arn
    assert sorted(held["DatasetType"] for held in told["Datasets"]) == ["TEST", "TRAIN"]


def test_c_06_trains(seen: Seen, arn: str, model: str) -> None:
    assert model.rpartition("/")[0] == f"{arn.rpartition('/')[0]}/version/{VERSION}"


def test_c_07_is_refused_by_the_client_itself(seen: Seen) -> None:
    told = seen("C-07")
    assert told["code"] != 0
    assert 'Unknown parameter in OutputConfig: "S3Location"' in told["printed"]
    assert told["versions"] == []


def test_c_20_describes_a_version(seen: Seen, project: str, model: str) -> None:
    told = version(seen("C-20"))
    assert (told["ProjectVersionArn"], told["Status"]) == (model, "TRAINING_COMPLETED")
    assert told["OutputConfig"] == {"S3Bucket": USER_BUCKET, "S3KeyPrefix": f"{project}/out"}
    assert isinstance(told["EvaluationResult"], dict)
    name = f"{project}/out/EvaluationResultSummary-{project}-{VERSION}.json"
    assert told["EvaluationResult"]["Summary"] == {"S3Object": {"Bucket": USER_BUCKET, "Name": name}}
    assert {"ManifestSummary", "TrainingDataResult", "TestingDataResult", "BillableTrainingTimeInSeconds"} <= set(told)


def test_c_19_tags_in_both_forms(seen: Seen) -> None:
    assert seen("C-19 tag") in NOTHING
    assert seen("C-19 list") == {"Tags": {"key1": "value1", "key2": "other", "key3": "value3"}}
    assert seen("C-19 untag") in NOTHING
    assert seen("C-19 left") == {"Tags": {"key3": "value3"}}


def test_c_08_starts_a_model(seen: Seen) -> None:
    assert seen("C-08") == seen("C-08 2") == {"Status": "STARTING"}
    told = version(seen("C-20 running"))
    assert (told["Status"], told["MinInferenceUnits"], told["MaxInferenceUnits"]) == ("RUNNING", 1, 2)


def test_c_09_detects_labels(seen: Seen) -> None:
    (label,) = seen("C-09")["CustomLabels"]
    assert set(label) == {"Name", "Confidence"}
    assert label["Name"] == "disc"
    assert 0 <= label["Confidence"] <= 100
    assert seen("C-09 70")["CustomLabels"] == ([label] if label["Confidence"] >= 70 else [])


def test_c_10_stops_a_model(seen: Seen) -> None:
    assert seen("C-10") == seen("C-10 2") == {"Status": "STOPPING"}


def test_c_21_puts_a_policy_and_changes_it(seen: Seen) -> None:
    revisions = [seen(sample)["PolicyRevisionId"] for sample in ("C-21", "C-21 again")]
    assert len(set(revisions)) == 2
    assert all(re.fullmatch("[0-9a-fA-F]{1,64}", revision) for revision in revisions)


def test_c_23_lists_and_deletes_policies(seen: Seen, arn: str, model: str) -> None:
    (told,) = seen("C-23")["ProjectPolicies"]
    assert (told["PolicyName"], told["ProjectArn"]) == ("copies", arn)
    assert told["PolicyRevisionId"] == seen("C-21 again")["PolicyRevisionId"]
    assert json.loads(told["PolicyDocument"])["Statement"][0]["Resource"] == model
    assert seen("C-23 delete") in NOTHING
    assert seen("C-23 none") == {"ProjectPolicies": []}


def test_c_22_copies_a_model_with_a_key_and_tags(seen: Seen, project: str, model: str) -> None:
    copied = seen("C-22")["ProjectVersionArn"]
    assert f":project/{project}-copy/version/copy-1/" in copied
    assert seen("C-22 tags") == {"Tags": {"key": "key"}}
    told = version(seen("C-20 copy"))
    assert (told["ProjectVersionArn"], told["Status"]) == (copied, "COPYING_COMPLETED")
    assert (told["SourceProjectVersionArn"], told["KmsKeyId"]) == (model, "alias/acceptance")
    assert "The key arn:myKey does not exist" in seen("C-22 as printed")  # nobody's, as it stands in the guide


def test_c_18_deletes_versions(seen: Seen) -> None:
    assert seen("C-18") == seen("C-18 copy") == {"Status": "DELETING"}


def test_c_17_deletes_datasets(seen: Seen) -> None:
    assert all(told in NOTHING for told in seen("C-17"))
    assert len(seen("C-17")) == 3


def test_c_11_deletes_projects(seen: Seen) -> None:
    assert seen("C-11") == [{"Status": "DELETING"}] * 2
