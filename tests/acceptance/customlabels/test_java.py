"""The guide's Java samples, through the AWS SDK for Java 2, and 1 for the one that is written for it."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.customlabels.material import LABELS, SIDE
from tests.acceptance.journeys import Seen
from vigia_stack.parts.objects import REGION
from vigia_stack.services import ACCOUNT_ID, USER_BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("cl-java")]

#: Images of the manifest; one more with a label, and one whose only label cannot be read.
GIVEN, ADDED = 28, 2
VERSION = "v1.java"


@pytest.fixture
def arn(seen: Seen) -> str:
    """The ARN of the project that the journey made."""
    found: str = seen("J-02")
    return found


@pytest.fixture
def project(arn: str) -> str:
    """Its name."""
    return arn.split("/")[1]


def test_j_01_describes_projects(seen: Seen, arn: str) -> None:
    assert seen("J-01")[arn]["status"] == "CREATED"
    assert seen("J-01")[arn]["datasets"] == []


def test_j_02_creates_a_project(arn: str) -> None:
    assert re.fullmatch(rf"arn:aws:rekognition:{REGION}:{ACCOUNT_ID}:project/cl-java-\w+/[0-9]{{13}}", arn)


@pytest.mark.parametrize(
    ("sample", "ending"), [("J-03", "/dataset/train/"), ("J-11", "/dataset/test/"), ("J-13", "-copy/dataset/train/")]
)
def test_j_03_11_13_create_datasets(seen: Seen, project: str, sample: str, ending: str) -> None:
    assert f":project/{project}{ending}" in seen(sample)["arn"]
    assert seen(sample)["statuses"][-1] == "CREATE_COMPLETE"


def test_j_14_describes_a_dataset(seen: Seen) -> None:
    told = seen("J-14")
    assert (told["status"], told["code"]) == ("CREATE_COMPLETE", "SUCCESS")
    assert told["message"] == "The dataset was successfully created from the manifest file."
    assert (told["labeled"], told["total"], told["labels"], told["errors"]) == (GIVEN, GIVEN, 2, 0)


def test_j_12_updates_entries(seen: Seen) -> None:
    assert seen("J-12")[-1] == "UPDATE_COMPLETE"
    told = seen("J-14 after")
    assert (told["total"], told["labels"], told["errors"]) == (GIVEN + ADDED, 2, 1)


def test_j_15_lists_entries_one_by_one(seen: Seen) -> None:
    told = seen("J-15")
    sources = [json.loads(entry)["source-ref"] for entry in told["entries"]]
    assert len(sources) == len(set(sources)) == GIVEN + ADDED
    assert told["answers"] in (GIVEN + ADDED, GIVEN + ADDED + 1)  # the last may be empty
    (wrong,) = (json.loads(entry) for entry in seen("J-15 errors")["entries"])
    assert wrong["source-ref"].endswith("/test-images/square-1.jpg")


def test_j_16_moves_a_fifth(seen: Seen) -> None:
    assert all(set(statuses) <= {"UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"} for statuses in seen("J-16"))
    totals = [told["total"] for told in seen("J-14 shared")]
    assert sum(totals) == GIVEN + ADDED
    assert 5 <= totals[1] <= 7


def test_j_10_describes_a_project_with_its_datasets(seen: Seen, arn: str) -> None:
    ((found, told),) = seen("J-10").items()
    assert found == arn
    assert told["hasDatasets"] is True
    assert sorted(held[0] for held in told["datasets"]) == ["TEST", "TRAIN"]
    assert {held[4] for held in told["datasets"]} == {"SUCCESS"}


def test_j_04_trains(seen: Seen, arn: str) -> None:
    told = seen("J-04")
    assert told["arn"].rpartition("/")[0] == f"{arn.rpartition('/')[0]}/version/{VERSION}"
    ((model, status, message),) = told["models"]
    assert (model, status) == (told["arn"], "TRAINING_COMPLETED")
    assert message


def test_j_19_describes_a_model(seen: Seen, project: str) -> None:
    (told,) = seen("J-19")
    assert (told["arn"], told["status"]) == (seen("J-04")["arn"], "TRAINING_COMPLETED")
    assert told["minutes"] > 0
    assert 0 <= told["f1"] <= 1
    assert told["summary"] == f"{project}/out/EvaluationResultSummary-{project}-{VERSION}.json"
    assert told["manifests"].startswith(f"{project}/out/")
    assert told["output"] == [USER_BUCKET, f"{project}/out"]


def test_j_05_starts_a_model(seen: Seen) -> None:
    assert seen("J-05") == "STARTING"
    (told,) = seen("J-19 running")
    assert (told["status"], told["units"]) == ("RUNNING", 1)


@pytest.mark.parametrize("sample", ["J-07", "J-08"])
@pytest.mark.parametrize("name", LABELS)
def test_j_07_08_detect_labels_of_files_and_objects(seen: Seen, sample: str, name: str) -> None:
    local, stored = seen(f"{sample} {name}")
    assert local == stored
    assert local["size"] == [SIDE, SIDE]
    ((label, confidence, boxed),) = local["labels"]
    assert (label, boxed) == (name, False)
    assert 50 <= confidence <= 100


def test_j_08_tells_a_missing_image_from_a_missing_bucket(seen: Seen) -> None:
    assert [told["error"] for told in seen("J-08 missing")] == ["Image not found", "Bucket not found"]


def test_j_06_stops_a_model(seen: Seen) -> None:
    told = seen("J-06")
    assert told["answer"] == "STOPPING"
    assert told["statuses"][-1] == "STOPPED"


def test_j_20_puts_a_policy_whose_revisions_differ(seen: Seen) -> None:
    assert len(set(seen("J-20"))) == 2


def test_j_22_23_list_and_delete_policies(seen: Seen) -> None:
    assert seen("J-22") == [["copies", seen("J-20")[1]]]
    assert seen("J-23") == []


def test_j_21_copies_a_model(seen: Seen, project: str) -> None:
    assert f":project/{project}-copy/version/copy-1/" in seen("J-21")["arn"]
    assert seen("J-21")["statuses"][-1] == "COPYING_COMPLETED"


@pytest.mark.parametrize("sample", ["J-18", "J-18 copy"])
def test_j_18_sees_a_model_go(seen: Seen, sample: str) -> None:
    assert seen(sample) == ["DELETING", "DELETING"]
    assert seen("J-19 none") == []


def test_j_17_deletes_datasets(seen: Seen) -> None:
    assert seen("J-17") == ["ResourceNotFoundException"] * 3


def test_j_09_deletes_a_project(seen: Seen) -> None:
    assert seen("J-09") == "DELETING"
