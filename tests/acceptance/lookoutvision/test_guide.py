"""The Python samples that the guide prints, run as printed with nothing but the profile that they open."""

from __future__ import annotations

import json
import sys

import pytest

from tests.acceptance.journeys import Journey, Seen
from tests.acceptance.lookoutvision import guide
from vigia_stack.services import USER_BUCKET

GUIDE = guide.guide()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.journey("guide"),
    pytest.mark.skipif(GUIDE is None, reason="no copy of the guide lies beside the repository (../shared/seeds)"),
]
#: What runs exactly as the text has it.
UNTOUCHED = {"PY-01", "PY-06"}


@pytest.fixture
def project(seen: Seen) -> str:
    """The project that the journey made."""
    arn: str = seen("PY-02")["returned"]
    return arn.rpartition("/")[2]


def test_every_sample_compiles_and_repairs_change_blanks_only() -> None:
    assert GUIDE is not None
    assert guide.untouched(GUIDE.read_text().splitlines()) == UNTOUCHED


def test_py_01_lists_projects(seen: Seen, project: str) -> None:
    assert f"Project: {project}\nARN: {seen('PY-02')['returned']}\n" in seen("PY-01")
    assert seen("PY-01").endswith("Done!\n")


def test_py_02_creates_a_project(seen: Seen, project: str) -> None:
    assert seen("PY-02")["returned"].endswith(f":project/{project}")


def test_py_03_makes_a_manifest_that_is_imported(seen: Seen, journey: Journey) -> None:
    normal, anomalous = journey.material.normal, journey.material.anomalous
    printed = seen("PY-03")["printed"]
    assert f"Images processed: {normal + anomalous}\nNormal: {normal}\nAnomalous: {anomalous}\n" in printed
    stats = seen("PY-03")["stats"]
    assert (stats["Labeled"], stats["Normal"], stats["Anomaly"]) == (normal + anomalous, normal, anomalous)


def test_py_04_creates_a_dataset(seen: Seen) -> None:
    assert seen("PY-04")["returned"] is None  # it raises for any other end than CREATE_COMPLETE


def test_py_05_trains_a_model(seen: Seen) -> None:
    assert seen("PY-05")["returned"] == ["TRAINED", "1"]


def test_py_06_prints_the_colours_of_a_mask(seen: Seen, journey: Journey) -> None:
    assert set(seen("PY-06").split()) == {"#ffffff", journey.material.color.lower()}


def test_py_07_starts_a_model(seen: Seen) -> None:
    assert seen("PY-07")["printed"] == "Starting hosting...\n"  # it raises for any other end than HOSTED


def test_py_08_stops_a_model(seen: Seen) -> None:
    assert seen("PY-08")["returned"] is None  # it raises for any other end than TRAINED


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the sample needs imghdr, which Python 3.13 no longer has")
@pytest.mark.parametrize("name", ["anomaly", "normal"])
def test_py_09_10_detect_and_reject(seen: Seen, name: str) -> None:
    assert seen(f"PY-09 {name}")["returned"]["IsAnomalous"] is (name == "anomaly")
    assert seen(f"PY-10 {name}") == dict.fromkeys("abc", name == "anomaly")


def test_py_13_asks_a_function(seen: Seen, project: str) -> None:
    told = seen("PY-13")
    assert told["anomaly"].startswith("classification: True\nMessage: Image ")
    assert told["normal"].startswith("classification: False\nMessage: Image ")
    assert f"s3://{USER_BUCKET}/{project}/more/one.jpg is normal." in told["object"]


def test_py_14_lists_projects_with_datasets_and_models(seen: Seen, project: str) -> None:
    printed = seen("PY-14")["printed"]
    mine = printed[printed.index(f"Project: {project}\n") :].split("-----")[0]
    assert "\ttype: train\n" in mine
    assert '"Status": "HOSTED"' in mine
    assert printed.endswith("Done!\n")


def test_py_15_deletes_a_project(seen: Seen) -> None:
    assert seen("PY-15")["returned"] is None


def test_py_16_describes_a_dataset(seen: Seen, journey: Journey, project: str) -> None:
    printed = seen("PY-16")["printed"]
    total = journey.material.normal + journey.material.anomalous + 1
    assert f"Name: {project}\nType: train\nStatus: UPDATE_COMPLETE\nMessage: " in printed
    assert f"Images: {total}\nLabeled: {total}\nNormal: {journey.material.normal + 1}\n" in printed
    assert printed.endswith("Done.\n")


def test_py_17_updates_entries(seen: Seen) -> None:
    status, message = seen("PY-17")["returned"]
    assert status == "UPDATE_COMPLETE"
    assert isinstance(message, str)


def test_py_18_deletes_a_dataset(seen: Seen) -> None:
    assert seen("PY-18")["returned"] is None


def test_py_19_describes_models(seen: Seen, project: str) -> None:
    first, model, *_ = seen("PY-19")["printed"].splitlines()
    assert first == f"Project: {project}"
    assert json.loads(model)["Status"] == "TRAINED"


def test_py_20_exports_datasets(seen: Seen, s3: object, project: str, journey: Journey) -> None:
    root = f"s3://{USER_BUCKET}/{project}/export/"
    assert f"    train: {root}datasets/train.manifest\nDone.\n" in seen("PY-20")
    key = f"{project}/export/datasets/train.manifest"
    body = s3.get_object(Bucket=USER_BUCKET, Key=key)["Body"].read().decode()  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in body.splitlines()]
    assert len(lines) == journey.material.normal + journey.material.anomalous + 1
    assert all(line["source-ref"].startswith(f"{root}train/images/{project}/") for line in lines)
    assert sum("anomaly-mask-ref" in line for line in lines) == journey.material.anomalous


def test_py_21_deletes_a_model(seen: Seen) -> None:
    assert seen("PY-21")["returned"] is None
