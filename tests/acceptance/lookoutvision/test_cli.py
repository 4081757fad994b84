"""The guide's AWS CLI commands, through the real ``aws`` with what ``client.env`` says."""

from __future__ import annotations

import uuid

import pytest

from tests.acceptance.journeys import Journey, Seen
from vigia_stack.services import USER_BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("cli")]


@pytest.fixture
def project(seen: Seen) -> str:
    """The project that the journey made."""
    name: str = seen("CLI-02")["ProjectMetadata"]["ProjectName"]
    return name


def test_cli_01_18_list_projects(seen: Seen, project: str) -> None:
    assert project in [found["ProjectName"] for found in seen("CLI-01")["Projects"]]


def test_cli_02_create_project(seen: Seen, project: str) -> None:
    assert seen("CLI-02")["ProjectMetadata"]["ProjectArn"].endswith(f":project/{project}")


def test_cli_03_create_dataset(seen: Seen) -> None:
    told = seen("CLI-03")["DatasetMetadata"]
    assert (told["DatasetType"], told["Status"]) == ("train", "CREATE_IN_PROGRESS")
    assert "StatusMessage" in told


def test_cli_04_26_create_model_with_tags(seen: Seen, project: str) -> None:
    told = seen("CLI-04")["ModelMetadata"]
    assert (told["ModelVersion"], told["Status"]) == ("1", "TRAINING")
    assert told["ModelArn"].endswith(f":model/{project}/1")


def test_cli_05_07_start_model(seen: Seen) -> None:
    assert seen("CLI-05") == seen("CLI-07") == {"Status": "STARTING_HOSTING"}
    assert seen("CLI-25")["ModelDescription"]["MaxInferenceUnits"] == 2


@pytest.mark.parametrize(("sample", "anomalous"), [("CLI-06", True), ("CLI-09", False), ("CLI-11", True)])
def test_cli_06_09_11_detect_anomalies(seen: Seen, journey: Journey, sample: str, anomalous: bool) -> None:
    told = seen(sample)["DetectAnomalyResult"]
    assert set(told) == {"Source", "IsAnomalous", "Confidence", "Anomalies", "AnomalyMask"}
    assert told["Source"] == {"Type": "direct"}
    assert told["IsAnomalous"] is anomalous
    assert told["Anomalies"][0]["Name"] == "background"
    names = [anomaly["Name"] for anomaly in told["Anomalies"][1:]]
    assert names == ([journey.material.label] if anomalous else [])


def test_cli_08_10_stop_model(seen: Seen) -> None:
    assert seen("CLI-08") == seen("CLI-10") == {"Status": "STOPPING_HOSTING"}


def test_cli_12_13_start_model_packaging_job(seen: Seen) -> None:
    jobs = [seen(sample) for sample in ("CLI-12", "CLI-13")]
    assert all(set(job) == {"JobName"} and str(uuid.UUID(job["JobName"])) == job["JobName"] for job in jobs)


def test_cli_14_16_describe_model_packaging_job(seen: Seen, project: str) -> None:
    told = seen("CLI-14")["ModelPackagingDescription"]
    assert (told["ProjectName"], told["ModelVersion"], told["Status"]) == (project, "1", "SUCCEEDED")
    assert told["JobName"] == seen("CLI-13")["JobName"]
    assert told["ModelPackagingConfiguration"]["Greengrass"]["TargetDevice"] == "jetson_xavier"
    made = told["ModelPackagingOutputDetails"]["Greengrass"]
    assert (made["ComponentName"], made["ComponentVersion"]) == (f"Component-CLI-13-{project}", "0.1.0")


def test_cli_15_list_model_packaging_jobs(seen: Seen) -> None:
    told = seen("CLI-15")["ModelPackagingJobs"]
    assert {job["JobName"] for job in told} == {seen(sample)["JobName"] for sample in ("CLI-12", "CLI-13")}
    assert {job["Status"] for job in told} == {"SUCCEEDED"}


def test_cli_28_29_30_tags(seen: Seen) -> None:
    stage, line = {"Key": "stage", "Value": "trial"}, {"Key": "line", "Value": "7"}
    assert seen("CLI-29") == {"Tags": [stage]}
    assert sorted(seen("CLI-29 both")["Tags"], key=lambda tag: tag["Key"]) == [line, stage]
    assert seen("CLI-29 one") == {"Tags": [line]}
    assert seen("CLI-28") in ("", {})
    assert seen("CLI-30") in ("", {})


def test_cli_19_describe_project(seen: Seen, project: str) -> None:
    told = seen("CLI-19")["ProjectDescription"]
    assert told["ProjectName"] == project
    assert [(held["DatasetType"], held["Status"]) for held in told["Datasets"]] == [("train", "UPDATE_COMPLETE")]


def test_cli_20_delete_project(seen: Seen) -> None:
    assert seen("CLI-20") == {"ProjectArn": seen("CLI-02")["ProjectMetadata"]["ProjectArn"]}


def test_cli_21_describe_dataset(seen: Seen, journey: Journey, project: str) -> None:
    told = seen("CLI-21")["DatasetDescription"]
    assert (told["ProjectName"], told["DatasetType"], told["Status"]) == (project, "train", "CREATE_COMPLETE")
    normal, anomalous = journey.material.normal, journey.material.anomalous
    images = {"Total": normal + anomalous, "Labeled": normal + anomalous, "Normal": normal, "Anomaly": anomalous}
    assert told["ImageStats"] == images


def test_cli_22_update_dataset_entries_from_a_file(seen: Seen) -> None:
    assert seen("CLI-22") == {"Status": "UPDATE_IN_PROGRESS"}


def test_cli_23_delete_dataset(seen: Seen) -> None:
    assert seen("CLI-23") in ("", {})


def test_cli_24_list_models(seen: Seen) -> None:
    (told,) = seen("CLI-24")["Models"]
    assert (told["ModelVersion"], told["Status"]) == ("1", "TRAINED")
    assert told["ModelArn"] == seen("CLI-04")["ModelMetadata"]["ModelArn"]


def test_cli_25_describe_model(seen: Seen, project: str) -> None:
    told = seen("CLI-25")["ModelDescription"]
    assert told["Status"] == "HOSTED"
    assert told["Performance"].keys() == {"F1Score", "Recall", "Precision"}
    for name in ("EvaluationManifest", "EvaluationResult"):
        assert told[name] == {"Bucket": USER_BUCKET, "Key": f"{project}/out/{name}-{project}-1.json"}


def test_cli_27_delete_model(seen: Seen) -> None:
    assert seen("CLI-27") == {"ModelArn": seen("CLI-04")["ModelMetadata"]["ModelArn"]}


def test_sh_02_copies_a_folder_to_the_store(seen: Seen, journey: Journey) -> None:
    files = [file for file in journey.material.folder.rglob("*") if file.is_file()]
    assert seen("SH-02")["objects"] == len(files)
