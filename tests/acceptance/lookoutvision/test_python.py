"""The guide's Python samples, through the newest boto3 and through the last one that knew the service."""

from __future__ import annotations

import pytest

from tests.acceptance.clients import WITHDRAWN
from tests.acceptance.journeys import Journey, Journeys, Seen
from tests.acceptance.lookoutvision.conftest import PYTHON_CLIENTS
from vigia_client.service_model import data_path
from vigia_stack.services import ACCOUNT_ID, USER_BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.journey(name)) for name in PYTHON_CLIENTS])
def journey(request: pytest.FixtureRequest, journeys: Journeys) -> Journey:
    """The journey through the samples with one boto3."""
    return journeys.begin(request.param)


@pytest.fixture
def project(journey: Journey) -> str:
    """The project that the journey made."""
    arn: str = journey.seen("PY-02")
    return arn.rpartition("/")[2]


def test_the_clients_are_what_they_should_be(seen: Seen, journey: Journey) -> None:
    client = seen("client")
    if journey.name == "withdrawn":
        assert client["botocore"] == WITHDRAWN
        assert WITHDRAWN in client["model"]
    else:
        assert tuple(map(int, client["botocore"].split("."))) > tuple(map(int, WITHDRAWN.split(".")))
        assert client["model"].startswith(str(data_path()))


def test_py_01_lists_projects(seen: Seen, project: str) -> None:
    assert seen("PY-01")[project] == seen("PY-02")


def test_py_02_creates_a_project(seen: Seen, project: str) -> None:
    region = seen("PY-02").split(":")[3]
    assert seen("PY-02") == f"arn:aws:lookoutvision:{region}:{ACCOUNT_ID}:project/{project}"


def test_py_03_makes_a_manifest_of_a_csv_file_that_is_imported(seen: Seen) -> None:
    told = seen("PY-03")
    assert told["errors"] == ["2,a.jpg,normal,DUPLICATE", "3,b.jpg,broken,INVALID_CLASSIFICATION"]
    classes = [name for _, name in told["images"]]
    stats = {name: told["stats"][name] for name in ("Total", "Labeled", "Normal", "Anomaly")}
    assert stats == {
        "Total": len(classes),
        "Labeled": len(classes),
        "Normal": classes.count("normal"),
        "Anomaly": classes.count("anomaly"),
    }


def test_py_04_creates_a_dataset(seen: Seen) -> None:
    told = seen("PY-04")
    assert told["answer"]["Status"] == "CREATE_IN_PROGRESS"
    assert told["answer"]["DatasetType"] == "train"
    assert isinstance(told["answer"]["StatusMessage"], str)
    assert told["statuses"][-1] == "CREATE_COMPLETE"
    assert set(told["statuses"]) <= {"CREATE_IN_PROGRESS", "CREATE_COMPLETE"}


def test_py_05_trains_a_model_with_a_tag(seen: Seen, project: str) -> None:
    told = seen("PY-05")
    assert told["version"] == "1"
    assert told["arn"].endswith(f":model/{project}/1")
    assert told["statuses"] == ["TRAINING", "TRAINED"]


def test_py_06_finds_the_colours_of_a_mask(seen: Seen, journey: Journey) -> None:
    assert journey.material.color.lower() in seen("PY-06")


def test_py_07_starts_a_model_with_a_maximum_of_units(seen: Seen) -> None:
    told = seen("PY-07")
    assert told["answer"] == "STARTING_HOSTING"
    assert told["statuses"] in (["STARTING_HOSTING", "HOSTED"], ["HOSTED"])
    assert seen("units") == 2


def test_py_08_stops_a_model(seen: Seen) -> None:
    told = seen("PY-08")
    assert told["answer"] == "STOPPING_HOSTING"
    assert told["statuses"] in (["STOPPING_HOSTING", "TRAINED"], ["TRAINED"])


@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_py_09_detects_anomalies(seen: Seen, journey: Journey, name: str) -> None:
    result = seen(f"PY-09 {name}")
    assert result["Source"] == {"Type": "direct"}
    assert result["IsAnomalous"] is (name == "anomaly")
    assert 0.5 <= result["Confidence"] <= 1
    background, *labels = result["Anomalies"]
    assert (background["Name"], background["PixelAnomaly"]["Color"]) == ("background", "#FFFFFF")
    assert set(background["PixelAnomaly"]) == {"TotalPercentageArea", "Color"}
    assert all(label["PixelAnomaly"]["TotalPercentageArea"] > 0 for label in labels)
    assert sum(a["PixelAnomaly"]["TotalPercentageArea"] for a in result["Anomalies"]) == pytest.approx(1, abs=1e-6)
    assert result["AnomalyMask"] > 0  # its bytes
    if name == "anomaly":
        assert [(label["Name"], label["PixelAnomaly"]["Color"]) for label in labels] == [
            (journey.material.label, journey.material.color)
        ]


def test_py_09_is_right_about_photographs_that_it_was_not_trained_on(seen: Seen) -> None:
    verdicts = seen("verdicts")
    assert len(verdicts) >= 8
    assert sum(verdicts.values()) >= len(verdicts) - 1, verdicts


def test_py_10_rejects_by_each_of_the_three_rules(seen: Seen) -> None:
    assert seen("PY-10 anomaly") == {
        "a": True,
        "a at one": False,
        "b": True,
        "b above": False,
        "c": True,
        "c above": False,
    }
    assert set(seen("PY-10 normal").values()) == {False}


@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_py_11_lays_the_mask_over_the_image(seen: Seen, journey: Journey, name: str) -> None:
    told = seen(f"PY-11 {name}")
    assert tuple(told["size"]) == journey.material.size
    assert told["mode"] == "RGB"
    # The numbers say what the mask shows: by their colours.
    areas = {a["PixelAnomaly"]["Color"]: a["PixelAnomaly"]["TotalPercentageArea"] for a in told["anomalies"]}
    assert told["mask"] == pytest.approx({color: area for color, area in areas.items() if area > 0}, abs=1e-6)
    assert told["lines"][0] == ("Anomalous" if name == "anomaly" else "Normal")
    assert (journey.material.label in told["lines"][-1]) is (name == "anomaly")


def test_py_12_answers_as_a_function_does(seen: Seen, project: str) -> None:
    told = seen("PY-12")
    assert told["bytes"] == {
        "statusCode": 200,
        "body": {"Reject": True, "RejectMessage": "Image a.jpg is anomalous."},
    }
    where = f"s3://{USER_BUCKET}/{project}/more/one.jpg"
    assert told["object"] == {
        "statusCode": 200,
        "body": {"Reject": False, "RejectMessage": f"Image {where} is normal."},
    }
    assert told["nothing"]["body"]["Error"] == "ValueError"
    assert told["unknown"]["statusCode"] == 400
    assert told["unknown"]["body"]["Error"] == "ResourceNotFoundException"
    assert told["unknown"]["body"]["ErrorMessage"]
    assert told["missing"]["body"]["Error"] == "NoSuchKey"


def test_py_13_asks_the_function(seen: Seen) -> None:
    told = seen("PY-13")
    assert {name: answer["statusCode"] for name, answer in told.items()} == dict.fromkeys(told, 200)
    assert {name: answer["body"]["Reject"] for name, answer in told.items()} == {
        "anomaly": True,
        "normal": False,
        "object": False,
    }


def test_py_14_lists_projects_with_datasets_and_models(seen: Seen, project: str) -> None:
    told = seen("PY-14")[project]
    assert list(told["datasets"]) == ["train"]
    assert told["models"] == ["HOSTED"]


def test_py_15_deletes_a_project_and_keeps_its_images(seen: Seen, journey: Journey) -> None:
    images = journey.material.normal + journey.material.anomalous
    assert seen("PY-15") == {"arn": seen("PY-02"), "listed": False, "images": images}


def test_py_16_describes_a_dataset(seen: Seen, journey: Journey, project: str) -> None:
    told = seen("PY-16")
    assert isinstance(told.pop("StatusMessage"), str)
    normal, anomalous = journey.material.normal + 1, journey.material.anomalous
    assert told == {
        "ProjectName": project,
        "DatasetType": "train",
        "Status": "UPDATE_COMPLETE",
        "Total": normal + anomalous,
        "Labeled": normal + anomalous,
        "Normal": normal,
        "Anomaly": anomalous,
    }


def test_py_17_updates_entries_and_adds_new_ones(seen: Seen) -> None:
    told = seen("PY-17")
    assert told["statuses"] in (["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"], ["UPDATE_COMPLETE"])
    # Two lines were sent: one of an image that was there.
    assert told["after"]["Total"] == told["before"]["Total"] + 1
    assert told["after"]["Normal"] == told["before"]["Normal"] + 1


def test_py_18_deletes_a_dataset(seen: Seen) -> None:
    assert seen("PY-18") == []


def test_py_19_describes_models(seen: Seen, project: str) -> None:
    (told,) = seen("PY-19")
    assert told["ModelVersion"] == "1"
    assert told["Status"] == "TRAINED"
    assert told["StatusMessage"]
    assert told["Seconds"] > 0
    assert (told["Recall"], told["Precision"], told["F1Score"]) == (1.0, 1.0, 1.0)
    assert (told["Bucket"], told["Prefix"]) == (USER_BUCKET, f"{project}/out/")


def test_py_20_exports_a_dataset_that_can_be_imported_again(seen: Seen, journey: Journey, project: str) -> None:
    told = seen("PY-20")
    root = f"s3://{USER_BUCKET}/{project}/export/"
    assert told["manifests"] == {"train": f"{root}datasets/train.manifest"}
    # The image that was deleted from the bucket is left out.
    assert len(told["lines"]) == journey.material.normal + journey.material.anomalous
    assert all(line["source-ref"].startswith(f"{root}train/images/{project}/") for line in told["lines"])
    masks = [line["anomaly-mask-ref"] for line in told["lines"] if "anomaly-mask-ref" in line]
    assert len(masks) == journey.material.anomalous
    assert all(mask.startswith(f"{root}train/masks/{project}/") for mask in masks)
    assert (told["stats"]["Normal"], told["stats"]["Anomaly"]) == (journey.material.normal, journey.material.anomalous)


def test_py_21_deletes_a_model(seen: Seen) -> None:
    assert seen("PY-21") == []


def test_running_models_are_found_in_every_region(seen: Seen) -> None:
    assert seen("PY-05")["arn"] in seen("running")


def test_models_are_found_by_their_tag(seen: Seen) -> None:
    assert seen("tagged") == [seen("PY-05")["arn"]]
