"""The Python samples that the guide prints, run as printed with nothing but the profile that they open."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.customlabels import guide
from tests.acceptance.customlabels.material import LABELS
from tests.acceptance.journeys import Seen
from vigia_stack.parts.objects import REGION
from vigia_stack.services import ACCOUNT_ID, USER_BUCKET

GUIDE = guide.guide()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.journey("cl-guide"),
    pytest.mark.skipif(GUIDE is None, reason="no copy of the guide lies beside the repository (../shared/seeds)"),
]
#: What runs exactly as the text has it.
UNTOUCHED = {"P-00", "P-01", "P-08"}
#: Images of the table; two more with a label and one whose only label cannot be read.
GIVEN, ADDED = 28, 3
VERSION = "v1.printed"
PARTS = ("TrainingDataResult", "TestingDataResult")


@pytest.fixture
def arn(seen: Seen) -> str:
    """The ARN of the project that the journey made."""
    return said("ARN", seen("P-02"))


@pytest.fixture
def project(arn: str) -> str:
    """Its name."""
    return arn.split("/")[1]


@pytest.fixture
def model(seen: Seen) -> str:
    """The ARN of the model."""
    return said("Finished training model", seen("P-07"))


def said(what: str, printed: str) -> str:
    """What stands after these words and a colon, to the line's end."""
    found = re.search(rf"^\s*{re.escape(what)}: (.+?) *$", printed, re.MULTILINE)
    assert found, (what, printed)
    return found[1]


def counts(printed: str) -> tuple[int, ...]:
    """Entries with a label, all entries, and labels of a dataset that P-18 describes."""
    return tuple(int(said(what, printed)) for what in ("Labeled entries", "Total entries", "Total labels"))


def entries(printed: str) -> list[dict[str, object]]:
    """Entries that P-19 prints."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_every_sample_compiles_and_repairs_change_blanks_only() -> None:
    assert GUIDE is not None
    assert guide.untouched(GUIDE.read_text().splitlines()) == UNTOUCHED
    assert [f"P-{number:02}" for number in range(32)] == list(guide.SAMPLES)


def test_p_00_reaches_vigia_through_the_profile(seen: Seen) -> None:
    assert seen("P-00").startswith("http://127.0.0.1:")


def test_p_01_describes_projects(seen: Seen, arn: str) -> None:
    assert f"Status: CREATED\nARN: {arn}\n" in seen("P-01")
    assert seen("P-01").endswith("Done!\n")


def test_p_02_creates_a_project(arn: str) -> None:
    assert re.fullmatch(rf"arn:aws:rekognition:{REGION}:{ACCOUNT_ID}:project/cl-guide-\w+/[0-9]{{13}}", arn)


def test_p_03_creates_a_dataset(seen: Seen, arn: str) -> None:
    made = said("Finished creating dataset", seen("P-03"))
    assert made.rpartition("/")[0] == f"{arn.rpartition('/')[0]}/dataset/train"


def test_p_04_makes_a_manifest_of_boxes_that_is_imported(seen: Seen, project: str) -> None:
    assert "Images: 8\nannotations: 7\ncategories: 2\n" in seen("P-04")
    assert f"s3://{USER_BUCKET}/{project}/coco/custom_labels.manifest" in seen("P-04")
    assert f"s3://{USER_BUCKET}/{project}/test-images/" in seen("P-04").splitlines()[-1]
    assert said("Status", seen("P-18 boxes")) == "CREATE_COMPLETE"
    assert counts(seen("P-18 boxes")) == (7, 8, 2)


def test_p_05_makes_lines_of_several_labels(seen: Seen, project: str) -> None:
    assert seen("P-05")["printed"] == "Manifest file created: custom_labels_shapes.manifest\n"
    for name, line in zip(LABELS, seen("P-05")["lines"], strict=True):
        assert line == {
            "source-ref": f"s3://{USER_BUCKET}/{project}/test-images/{name}-0.jpg",
            "shapes0": 0,
            "shapes0-metadata": {
                "class-name": name,
                "confidence": 0.98,
                "type": "groundtruth/image-classification",
                "job-name": "labeling-job/shapes",
                "human-annotated": "yes",
                "creation-date": "2020-11-20T22:06:56.123456",
            },
        }


def test_p_06_makes_a_manifest_of_a_table(seen: Seen) -> None:
    assert seen("P-06").startswith("No duplicates found. Creating manifest file.\n")
    assert seen("P-06").endswith(f"images.manifest \nImages: {GIVEN}\nLabels: {GIVEN}\n")


def test_p_06_makes_none_of_a_table_with_an_image_twice(seen: Seen) -> None:
    told = seen("P-06 twice")
    assert told["printed"].startswith("Duplicates found.")
    assert (told["kept"], told["repeated"], told["made"]) == (GIVEN, ["training-images/disc-0.jpg,disc"], False)


def test_p_18_describes_a_dataset(seen: Seen) -> None:
    assert said("Status", seen("P-18")) == "CREATE_COMPLETE"
    assert said("Status message", seen("P-18")) == "The dataset was successfully created from the manifest file."
    assert said("Status code", seen("P-18")) == "SUCCESS"
    assert counts(seen("P-18")) == (GIVEN, GIVEN, 2)


def test_p_16_updates_entries(seen: Seen) -> None:
    assert said("Finished updates dataset", seen("P-16")).startswith("UPDATE_COMPLETE : ")
    labeled, total, labels = counts(seen("P-18 after"))
    assert (total, labels) == (GIVEN + ADDED, 2)
    assert labeled in (GIVEN + 2, GIVEN + ADDED)  # one has a label that nobody can read


def test_p_19_lists_entries(seen: Seen, project: str) -> None:
    found = entries(seen("P-19"))
    assert len(found) == len({str(entry["source-ref"]) for entry in found}) == GIVEN + ADDED
    assert all("cl-metadata" in entry for entry in found)
    (wrong,) = entries(seen("P-19 errors"))
    assert wrong["source-ref"] == f"s3://{USER_BUCKET}/{project}/test-images/square-1.jpg"
    assert "ERROR_UNSUPPORTED_USE_CASE_TYPE" in seen("P-19 errors")


def test_p_17_copies_a_dataset(seen: Seen, project: str) -> None:
    assert f":project/{project}-copy/dataset/train/" in said("Finished creating dataset", seen("P-17"))
    assert counts(seen("P-18 copy")) == counts(seen("P-18 after"))


def test_p_15_creates_an_empty_dataset(seen: Seen, project: str) -> None:
    assert f":project/{project}/dataset/test/" in said("Finished creating empty dataset", seen("P-15"))


def test_p_20_moves_a_fifth(seen: Seen) -> None:
    assert "Distribution complete\nFinished distributing datasets.\n" in seen("P-20")
    training, test = (counts(printed) for printed in seen("P-18 shared"))
    assert training[1] + test[1] == GIVEN + ADDED
    assert 5 <= test[1] <= 7
    assert training[2] == test[2] == 2


def test_p_14_describes_projects(seen: Seen, arn: str) -> None:
    assert f"Projects\n-----\nArn: {arn}\nStatus: CREATED\nDatasets:\n" in seen("P-14")
    assert sorted(re.findall(r"Type: (\w+)\n", seen("P-14"))) == ["TEST", "TRAIN"]
    assert re.findall(r"Status code: (\w+)\n", seen("P-14")) == ["SUCCESS"] * 2
    assert f"Arn: {arn}\n" in seen("P-14 all")
    assert seen("P-14 all").endswith("Finished describing all projects.\n")


def test_p_07_trains(seen: Seen, arn: str, model: str) -> None:
    assert model.rpartition("/")[0] == f"{arn.rpartition('/')[0]}/version/{VERSION}"
    assert said("Status", seen("P-07")) == "TRAINING_COMPLETED"


def test_p_24_describes_a_model(seen: Seen, project: str, model: str) -> None:
    printed = seen("P-24")
    assert said("ARN", printed) == model
    assert float(said("Billing training time (minutes)", printed)) > 0
    assert 0 <= float(said("F1 score", printed)) <= 1
    root = f"s3://{USER_BUCKET}/{project}/out"
    assert said("Summary location", printed) == f"{root}/EvaluationResultSummary-{project}-{VERSION}.json"
    assert said("Manifest summary location", printed).startswith(f"{root}/")
    assert said("Training output location", printed) == root
    assert said("Status", printed) == "TRAINING_COMPLETED"
    assert said("Message", printed)


def test_p_08_finds_what_training_said_of_the_manifests(seen: Seen, project: str) -> None:
    told = seen("P-08")
    places = [
        told["ManifestSummary"]["S3Object"],
        *(told[part]["Validation"]["Assets"][0]["GroundTruthManifest"]["S3Object"] for part in PARTS),
    ]
    assert {place["Bucket"] for place in places} == {USER_BUCKET}
    assert len({place["Name"] for place in places}) == 3
    assert all(place["Name"].startswith(f"{project}/out/") for place in places)


def test_p_09_shows_the_confusion_matrix(seen: Seen) -> None:
    lines = seen("P-09").splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("GroundTruthLabel"))
    assert lines[head].split()[1:] == list(LABELS)
    assert lines[head + 1].split() == ["PredictedLabel"]
    rows = [line.split() for line in lines[head + 2 : -1]]
    assert {row[0] for row in rows} <= set(LABELS)
    for column in (1, 2):
        assert sum(int(row[column].rstrip("%")) for row in rows) in range(99, 102)
    assert lines[-1] == "Done"


def test_p_10_starts_a_model(seen: Seen, model: str) -> None:
    assert f"Finished starting model: {model}\nStatus: RUNNING\n" in seen("P-10")
    assert "Minimum inference units: 1\nMaximum Inference units: 2\n" in seen("P-24 running")


@pytest.mark.parametrize("name", LABELS)
def test_p_12_draws_the_label_that_it_finds(seen: Seen, name: str) -> None:
    told = seen("P-12")[name]
    assert told["printed"] == "Custom labels detected: 1\n"
    assert told["size"] == [96, 96]
    assert told["green"] > 20


def test_p_29_analyses_a_video(seen: Seen) -> None:
    told = seen("P-29")
    assert "Processing frame id: 7.0\n" in told["printed"]
    times = [label["Timestamp"] for label in told["labels"]]
    assert set(times) <= {0, 1000, 2000, 3000}
    assert len(set(times)) >= 3
    assert all(label["Name"] in LABELS and 0 <= label["Confidence"] <= 100 for label in told["labels"])


def test_p_30_answers_as_a_function_does(seen: Seen) -> None:
    told = seen("P-30")
    for name, wanted in (("file", "disc"), ("object", "square")):
        assert told[name]["statusCode"] == 200
        assert [label["Name"] for label in json.loads(told[name]["body"])] == [wanted]
    assert (told["no image"]["statusCode"], told["nothing"]["statusCode"]) == (400, 400)
    assert told["no image"]["body"]["Error"] == "InvalidImageFormatException"
    assert told["nothing"]["body"]["Error"] == "ValueError"


def test_p_31_asks_a_function(seen: Seen) -> None:
    told = seen("P-31")
    for name, wanted in (("file", "disc"), ("object", "square")):
        lines = rf"There are 1 labels in the image\.\nLabel: {wanted}: Confidence: [0-9]+%\n"
        assert re.fullmatch(lines, told[name])
    assert told["no image"].startswith("Error: 400\nMessage: ")


def test_p_11_stops_a_model(seen: Seen, model: str) -> None:
    assert f"Finished stopping model: {model}\nStatus: STOPPED\n" in seen("P-11")


def test_p_23_finds_models_by_their_tag(seen: Seen, arn: str, model: str) -> None:
    assert f"Matched models\n-----\nProject: {arn}\nModel version: {model}\n\nDone.\n" in seen("P-23")
    assert "Matched models\n-----\nNo matches found.\nDone.\n" in seen("P-23 none")


def test_p_25_puts_a_policy_whose_revisions_differ(seen: Seen, arn: str) -> None:
    assert f"project policy copies attached to project {arn}\n" in seen("P-25")
    assert said("Revision ID", seen("P-25")) != said("Revision ID", seen("P-25 again"))


def test_p_27_lists_policies(seen: Seen, arn: str, model: str) -> None:
    printed = seen("P-27")
    assert sorted(re.findall(r"^Policy name: (\w+)$", printed, re.MULTILINE)) == ["copies", "more"]
    assert re.findall(r"^Project Arn: (\S+)$", printed, re.MULTILINE) == [arn] * 2
    documents = [json.loads(text) for text in re.findall(r"^Document: (.+)$", printed, re.MULTILINE)]
    assert {document["Statement"][0]["Resource"] for document in documents} == {model}
    assert f"Revision ID: {said('Revision ID', seen('P-25 again'))}\n" in printed


def test_p_26_copies_a_model(seen: Seen, project: str) -> None:
    copied = said("Finished copying model", seen("P-26"))
    assert f":project/{project}-copy/version/copy-1/" in copied
    assert said("Status", seen("P-26")) == "COPYING_COMPLETED"


def test_p_28_deletes_policies(seen: Seen) -> None:
    assert seen("P-28").endswith("Finished deleting project policy: copies\n")
    assert "Policy name" not in seen("P-27 none")


def test_p_22_deletes_a_model_when_told_so(seen: Seen, model: str) -> None:
    assert seen("P-22 kept").endswith(f"Not deleting model {model}\n")
    assert seen("P-22").endswith(f"Finished deleting model: {model}\n")


def test_p_21_deletes_datasets(seen: Seen) -> None:
    assert len(seen("P-21")) == 4
    assert all("Finished deleting dataset: arn:" in printed for printed in seen("P-21"))


def test_p_13_deletes_projects(seen: Seen, arn: str) -> None:
    mine, other = seen("P-13")
    assert mine == f"Deleting project: {arn}\nFinished deleting project: {arn}\n"
    assert "Finished deleting project: " in other
