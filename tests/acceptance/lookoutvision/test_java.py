"""The guide's Java samples, through the AWS SDK for Java of the time."""

from __future__ import annotations

import pytest

from tests.acceptance.journeys import Journey, Seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.journey("java")]


@pytest.fixture
def project(seen: Seen) -> str:
    """The project that the journey made."""
    arn: str = seen("JV-02")
    return arn.rpartition("/")[2]


def test_jv_01_12_list_projects(seen: Seen, project: str) -> None:
    assert seen("JV-01")[project] == seen("JV-12")[project] == seen("JV-02")


def test_jv_02_creates_a_project(seen: Seen, project: str) -> None:
    assert seen("JV-02").endswith(f":project/{project}")


def test_jv_03_creates_a_dataset_from_a_manifest_and_an_empty_one(seen: Seen) -> None:
    assert seen("JV-03")["manifest"][-1] == "CREATE_COMPLETE"
    assert seen("JV-03")["empty"] == ["CREATE_COMPLETE"]


def test_jv_04_trains_a_model(seen: Seen, project: str) -> None:
    told = seen("JV-04")
    assert told["statuses"] == ["TRAINING", "TRAINED"]
    assert (told["version"], told["description"]) == ("1", "acceptance")
    assert told["arn"].endswith(f":model/{project}/1")


def test_jv_05_starts_a_model(seen: Seen) -> None:
    told = seen("JV-05")
    assert told["answer"] == "STARTING_HOSTING"
    assert told["statuses"][-1] == "HOSTED"
    assert isinstance(told["message"], str)


def test_jv_06_stops_a_model(seen: Seen) -> None:
    told = seen("JV-06")
    assert told["answer"] == "STOPPING_HOSTING"
    assert told["statuses"][-1] == "TRAINED"


@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_jv_07_detects_anomalies(seen: Seen, name: str) -> None:
    told = seen(f"JV-07 {name}")
    assert told["anomalous"] is (name == "anomaly")
    assert 0.5 <= told["confidence"] <= 1
    assert told["source"] == "direct"


def test_jv_08_09_10_reject_by_each_of_the_three_rules(seen: Seen) -> None:
    for sample in ("JV-08", "JV-09", "JV-10"):
        assert seen(f"{sample} anomaly") == [True, False], sample
        assert seen(f"{sample} normal") == [False, False], sample


@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_jv_11_lays_the_mask_over_the_image(seen: Seen, journey: Journey, name: str) -> None:
    told = seen(f"JV-11 {name}")
    assert told["image"] == told["mask"] == list(journey.material.size)
    assert set(told["areas"]) == ({journey.material.label} if name == "anomaly" else set())
    for area, color in told["areas"].values():
        assert 0 < area < 1
        assert color == list(bytes.fromhex(journey.material.color[1:]))


def test_jv_13_deletes_a_project(seen: Seen) -> None:
    assert seen("JV-13") == seen("JV-02")


def test_jv_14_describes_a_dataset(seen: Seen, journey: Journey, project: str) -> None:
    told = seen("JV-14")
    assert (told["project"], told["kind"], told["status"]) == (project, "train", "CREATE_COMPLETE")
    assert isinstance(told["message"], str)
    assert (told["normal"], told["anomaly"]) == (journey.material.normal, journey.material.anomalous)
    assert told["total"] == told["labeled"] == told["normal"] + told["anomaly"]


def test_jv_15_updates_entries(seen: Seen) -> None:
    told = seen("JV-15")
    assert told["statuses"][-1] == "UPDATE_COMPLETE"
    assert told["after"]["total"] == told["before"]["total"] + 1
    assert told["after"]["normal"] == told["before"]["normal"] + 1


def test_jv_16_deletes_a_dataset_and_makes_it_again(seen: Seen) -> None:
    assert seen("JV-16") == ["CREATE_COMPLETE"]


def test_jv_17_lists_models(seen: Seen) -> None:
    (told,) = seen("JV-17")
    assert (told["version"], told["status"]) == ("1", "TRAINED")
    assert told["arn"] == seen("JV-04")["arn"]
    assert told["message"]


def test_jv_18_deletes_a_model(seen: Seen) -> None:
    assert seen("JV-18") == []
