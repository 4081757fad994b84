"""The guide's Python samples, through the newest boto3."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.journeys import Journey, Seen
from vigia_stack.parts.objects import REGION
from vigia_stack.services import ACCOUNT_ID, USER_BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("cl-newest")]

#: 28 images of the manifest; one more with a label, one without, one whose only label cannot be read.
GIVEN, ADDED = 28, 3


@pytest.fixture
def project(journey: Journey) -> str:
    """The name of the journey's project."""
    arn: str = journey.seen("P-02")
    return arn.split("/")[1]


def test_p_00_reaches_vigia_through_the_profile(seen: Seen) -> None:
    assert seen("P-00").startswith("http://127.0.0.1:")


def test_p_01_lists_projects(seen: Seen) -> None:
    assert seen("P-01")[seen("P-02")] == "CREATED"


def test_p_02_creates_a_project(seen: Seen, project: str) -> None:
    wanted = rf"arn:aws:rekognition:{REGION}:{ACCOUNT_ID}:project/{project}/[0-9]{{13}}"
    assert re.fullmatch(wanted, seen("P-02"))


def test_p_03_creates_a_dataset_from_a_manifest(seen: Seen, project: str) -> None:
    told = seen("P-03")
    assert told["arn"].rpartition("/")[0] == seen("P-02").rpartition("/")[0] + "/dataset/train"
    assert told["statuses"][-1] == "CREATE_COMPLETE"


def test_p_18_describes_a_dataset(seen: Seen) -> None:
    assert seen("P-18") == {
        "status": "CREATE_COMPLETE",
        "message": "The dataset was successfully created from the manifest file.",
        "code": "SUCCESS",
        "LabeledEntries": GIVEN,
        "TotalEntries": GIVEN,
        "TotalLabels": 2,
        "ErrorEntries": 0,
    }


def test_p_16_updates_entries(seen: Seen) -> None:
    assert seen("P-16")[-1] == "UPDATE_COMPLETE"
    told = seen("P-18 after")
    assert (told["status"], told["code"]) == ("UPDATE_COMPLETE", "SUCCESS")
    assert (told["TotalEntries"], told["TotalLabels"], told["ErrorEntries"]) == (GIVEN + ADDED, 2, 1)
    assert told["LabeledEntries"] in (GIVEN + 1, GIVEN + 2)  # one has a label that nobody can read


def test_p_19_lists_entries(seen: Seen) -> None:
    entries = [json.loads(entry) for entry in seen("P-19")]
    assert len(entries) == GIVEN + ADDED == seen("P-19 one by one")
    labeled = [entry for entry in entries if entry["cl-metadata"]["is_labeled"]]
    assert len(labeled) >= GIVEN + 1
    (wrong,) = (json.loads(entry) for entry in seen("P-19 errors"))
    assert wrong["source-ref"].endswith("square-1.jpg")
    codes = {error["code"] for error in [*wrong.get("cl-errors", []), *wrong["odd-metadata"].get("cl-errors", [])]}
    assert codes == {"ERROR_UNSUPPORTED_USE_CASE_TYPE", "ERROR_NO_VALID_LABEL_ATTRIBUTES"}


def test_labels_are_listed(seen: Seen) -> None:
    counts = {label["LabelName"]: label["LabelStats"]["EntryCount"] for label in seen("labels")}
    assert counts == {"disc": GIVEN // 2 + 1, "square": GIVEN // 2}


def test_p_17_copies_a_dataset(seen: Seen) -> None:
    assert seen("P-17")["statuses"][-1] == "CREATE_COMPLETE"


def test_p_15_creates_an_empty_dataset(seen: Seen) -> None:
    assert seen("P-15")["statuses"][-1] == "CREATE_COMPLETE"


def test_p_20_moves_a_fifth(seen: Seen) -> None:
    assert [statuses[-1] for statuses in seen("P-20")] == ["UPDATE_COMPLETE"] * 2
    training, test = seen("P-20 stats")
    assert training["TotalEntries"] + test["TotalEntries"] == GIVEN + ADDED
    assert 5 <= test["TotalEntries"] <= 7
    assert test["TotalLabels"] == training["TotalLabels"] == 2


def test_p_14_describes_projects_with_datasets(seen: Seen) -> None:
    (held,) = seen("P-14").values()
    assert sorted(one["DatasetType"] for one in held) == ["TEST", "TRAIN"]


def test_p_07_trains(seen: Seen, project: str) -> None:
    told = seen("P-07")
    wanted = rf"arn:aws:rekognition:{REGION}:{ACCOUNT_ID}:project/{project}/version/v1\.first/[0-9]{{13}}"
    assert re.fullmatch(wanted, told["arn"])
    assert told["first"] == "TRAINING_IN_PROGRESS"
    assert told["status"] == "TRAINING_COMPLETED"
    assert told["message"]


def test_p_24_describes_a_model(seen: Seen, project: str) -> None:
    told = seen("P-24")
    assert told["output"] == [USER_BUCKET, f"{project}/out"]
    assert told["minutes"] > 0
    assert told["f1"] >= 0.8
    assert told["summary"]["Name"] == f"{project}/out/EvaluationResultSummary-{project}-v1.first.json"


def test_p_08_finds_what_training_said_of_the_manifests(seen: Seen) -> None:
    told = seen("P-08")
    statistics = told["summary"]["statistics"]
    parts = [statistics["training"], statistics["testing"]]
    assert {part["use_case"] for part in parts} == {"IMAGE_LEVEL_LABELS"}
    assert sum(part["total_json_lines"] for part in parts) == GIVEN + ADDED
    assert sum(part["invalid_json_lines"] for part in parts) == 1
    assert sum(part["ignored_json_lines"] for part in parts) == 1
    for part in parts:
        assert part["total_json_lines"] == sum(part[f"{kind}_json_lines"] for kind in ("valid", "invalid", "ignored"))
    lines = [*told["training"], *told["testing"]]
    assert len(lines) == GIVEN + ADDED
    warned = [line for line in lines if line.get("warnings")]
    assert [[warning["code"] for warning in line["warnings"]] for line in warned] == [["WARNING_UNANNOTATED_RECORD"]]


def test_p_09_shows_a_confusion_matrix(seen: Seen) -> None:
    told = seen("P-09")
    assert set(told["table"]) == {"disc", "square"}
    details = told["summary"]["EvaluationDetails"]
    assert sorted(details["Labels"]) == ["disc", "square"]
    results = told["summary"]["LabelEvaluationResults"]
    assert told["summary"]["AggregatedEvaluationResults"]["F1Score"] == pytest.approx(
        sum(label["Metrics"]["F1Score"] for label in results) / len(results)
    )


def test_a_training_that_fails_says_why(seen: Seen) -> None:
    told = seen("P-07 failed")
    assert told["Status"] == "TRAINING_FAILED"
    assert told["StatusMessage"] == "The manifest file contains too many invalid rows."
    assert "manifests" in told
    assert "f1" not in told
    assert seen("P-22 failed") == {"answer": "DELETING", "gone": True}


def test_p_10_starts_a_model(seen: Seen) -> None:
    assert seen("P-10") == {"answer": "STARTING", "status": "RUNNING", "units": [1, 2]}


def test_p_12_finds_the_label(seen: Seen) -> None:
    right = 0
    for name, labels in seen("P-12").items():
        assert all("Geometry" not in label and 50 <= label["Confidence"] <= 100 for label in labels)
        right += [label["Name"] for label in labels] == [name.partition("-")[0]]
    assert right >= len(seen("P-12")) - 1
    assert [label["Name"] for label in seen("P-12 object")] == ["disc"]


def test_without_a_cut_every_label_is_there_and_the_surest_first(seen: Seen) -> None:
    everything, capped = seen("everything")
    assert {label["Name"] for label in everything} == {"disc", "square"}
    assert everything[0]["Confidence"] >= everything[1]["Confidence"]
    assert capped == everything[:1]


def test_p_29_analyses_frames(seen: Seen) -> None:
    times = sorted({label["Timestamp"] for label in seen("P-29")})
    assert set(times) <= {0, 800, 1600, 2400}
    assert len(times) >= 3


def test_p_30_answers_as_a_function_does(seen: Seen) -> None:
    told = seen("P-30")
    assert (told["bytes"]["statusCode"], told["object"]["statusCode"]) == (200, 200)
    assert [label["Name"] for label in told["bytes"]["body"]] == ["disc"]
    assert told["nothing"]["body"]["Error"] == "ValueError"
    assert told["no image"]["body"]["Error"] == "InvalidImageFormatException"
    assert told["missing"]["body"]["Error"] == "InvalidS3ObjectException"
    assert told["unknown"]["body"]["Error"] == "ResourceNotFoundException"


def test_p_31_asks_a_function(seen: Seen) -> None:
    told = seen("P-31")
    assert (set(told["bytes"]), set(told["object"])) == ({"disc"}, {"disc"})
    assert told["nothing"] == "400: neither image bytes nor an object in S3"


def test_p_11_stops_a_model(seen: Seen) -> None:
    told = seen("P-11")
    assert told["answer"] == "STOPPING"
    assert told["statuses"][-1] == "STOPPED"


def test_p_23_finds_models_by_their_tag(seen: Seen) -> None:
    assert seen("P-23") == [seen("P-07")["arn"]]


def test_p_25_puts_a_policy_whose_revisions_differ(seen: Seen) -> None:
    told = seen("P-25")
    assert len(set(told["revisions"])) == 2
    assert told["stale"] == "InvalidPolicyRevisionIdException"


def test_p_27_and_28_list_and_delete_policies(seen: Seen) -> None:
    ((name, arn, revision, document),) = seen("P-27")
    assert (name, arn, revision) == ("copies", seen("P-02"), seen("P-25")["revisions"][1])
    assert document["Statement"][0]["Action"] == "rekognition:CopyProjectVersion"
    assert seen("P-28") == []


def test_p_26_copies_a_model_that_runs(seen: Seen) -> None:
    assert seen("P-26")["statuses"][-1] == "COPYING_COMPLETED"
    assert seen("P-10 copy")["status"] == "RUNNING"
    assert [label["Name"] for label in seen("P-12 copy")] == ["square"]


def test_p_22_deletes_a_model(seen: Seen) -> None:
    assert seen("P-22") == {"answer": "DELETING", "gone": True}


def test_p_21_deletes_datasets(seen: Seen) -> None:
    assert seen("P-21") == ["ResourceNotFoundException"] * 2


def test_p_13_deletes_a_project(seen: Seen) -> None:
    assert seen("P-13") == {"answer": "DELETING", "gone": True}
