"""What a model finds becomes a manifest to verify, and only what a person verified becomes a label."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from vigia_client.cli import app
from vigia_client.environment import find
from vigia_client.errors import ActionableError
from vigia_client.feedback import _line
from vigia_client.lookout import rekognition
from vigia_contracts.ground_truth import read_line

from .accounts import Account, RefusedError, serving
from .conftest import Installation
from .held import lines, photo, write

MODEL = "arn:aws:rekognition:us-west-2:444455556666:project/boards/version/v1/1600000000000"
OK = {"Name": "ok", "Confidence": 91.5}
ROUND = {"Name": "round", "Confidence": 60.0}
CAP = {
    "Name": "cap",
    "Confidence": 77.25,
    "Geometry": {"BoundingBox": {"Left": 0.25, "Top": 0.5, "Width": 0.5, "Height": 0.6}},
}


@pytest.fixture
def account(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with serving(Account(s3=here.s3)) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", served.url)
        served.project("boards")
        yield served


def feedback(*arguments: object) -> Result:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["feedback", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def found_in(answers: dict[str, list[dict[str, Any]]]) -> Any:
    """What a model finds, by the image's name; of any other it says that it is none."""

    def found(sent: dict[str, Any]) -> list[dict[str, Any]]:
        name = sent["Image"]["S3Object"]["Name"].rpartition("/")[2]
        if name not in answers:
            raise RefusedError("InvalidImageFormatException", "The image is neither JPEG nor PNG.")
        return answers[name]

    return found


def read(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def verified(line: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(line).replace('"human-annotated": "no"', '"human-annotated": "yes"'))  # type: ignore[no-any-return]


def test_predictions_are_verified_and_become_labels(
    here: Installation, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bucket = here.values["VIGIA_BUCKET"]
    names = ("1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg")
    for number, name in enumerate(names):
        here.s3.put_object(Bucket=bucket, Key=f"new/{name}", Body=photo(number, (96, 64)))
    here.s3.put_object(Bucket=bucket, Key="new/notes.txt", Body=b"no image")
    account.found = found_in({"1.jpg": [OK, ROUND], "2.jpg": [CAP, CAP, OK], "3.jpg": [], "5.jpg": [OK]})
    done = feedback("predict", MODEL, f"s3://{bucket}/new", "--min-confidence", "50")
    assert done.exit_code == 1  # one image was refused
    assert f"s3://{bucket}/new/4.jpg" in done.output
    assert "neither JPEG nor PNG" in done.output
    assert "4 images, 1 without a label" in done.output

    manifest = tmp_path / "predictions.manifest"
    one, two, three, five = read(manifest)
    assert [line["source-ref"][-5:] for line in (one, two, three, five)] == ["1.jpg", "2.jpg", "3.jpg", "5.jpg"]
    when = one["label-0-metadata"].pop("creation-date")
    assert one["label-0-metadata"] == {
        "class-name": "ok", "confidence": 0.915, "type": "groundtruth/image-classification",
        "job-name": "vigia-feedback/v1", "human-annotated": "no",
    }  # fmt: skip
    one["label-0-metadata"]["creation-date"] = when
    assert one["label-1-metadata"]["class-name"] == "round"
    box = {"class_id": 0, "left": 24, "top": 32, "width": 48, "height": 32}  # it ends where the image does
    assert two["bounding-box"] == {"image_size": [{"width": 96, "height": 64, "depth": 3}], "annotations": [box, box]}
    assert two["bounding-box-metadata"]["class-map"] == {"0": "cap"}
    assert two["bounding-box-metadata"]["objects"] == [{"confidence": 0.7725}] * 2
    assert three == {"source-ref": f"s3://{bucket}/new/3.jpg"}
    assert not any(read_line(raw).errors for raw in manifest.read_bytes().splitlines())

    # A person corrects the first, agrees with the second, says half of the fifth, and leaves the others.
    one["label-0-metadata"]["class-name"] = "scratched"
    half = verified(five) | {"label-1": 1, "label-1-metadata": five["label-0-metadata"]}
    manifest.write_text(lines(json.dumps(line) for line in (verified(one), verified(two), three, half)))
    arn = account.dataset("boards", "train", [json.dumps({"source-ref": f"s3://{bucket}/new/1.jpg"})])
    done = feedback("apply", manifest, arn)
    assert done.exit_code == 0, done.output
    assert "2 lines are in the dataset; left out: 1 not verified, 1 without a label" in done.output
    held = {ref[-5:]: json.loads(line) for ref, line in account.datasets[arn].items()}
    assert held == {"1.jpg": verified(one), "2.jpg": verified(two)}

    here.s3.put_object(Bucket=bucket, Key="verified.manifest", Body=manifest.read_bytes())
    done = feedback("apply", f"s3://{bucket}/verified.manifest", arn, "--unverified")
    assert "3 lines are in the dataset; left out: 0 not verified, 1 without a label" in done.output


def test_images_come_from_a_dataset_or_from_a_folder(here: Installation, account: Account, tmp_path: Path) -> None:
    bucket = here.values["VIGIA_BUCKET"]
    account.found = found_in({"1.jpg": [OK], "2.jpg": [ROUND], "3.jpg": [OK]})
    unlabelled = [json.dumps({"source-ref": f"s3://{bucket}/x/{n}.jpg"}) for n in (1, 2, 3)]
    labelled = json.dumps({"source-ref": f"s3://{bucket}/x/4.jpg", "job": 1})
    arn = account.dataset("boards", "train", [labelled, *unlabelled])
    out = tmp_path / "out.manifest"
    assert feedback("predict", MODEL, arn, "--output", out).exit_code == 0
    assert [line["label-0-metadata"]["class-name"] for line in read(out)] == ["ok", "round", "ok"]

    folder = write(tmp_path / "photos", {"a/1.jpg": photo(1), "a/2.jpg": photo(2), "notes.txt": "x"})
    done = feedback("predict", MODEL, folder, "--to", f"s3://{bucket}/to/", "--output", out)
    assert done.exit_code == 0, done.output
    assert [line["source-ref"] for line in read(out)] == [f"s3://{bucket}/to/a/{n}.jpg" for n in (1, 2)]
    assert here.s3.get_object(Bucket=bucket, Key="to/a/2.jpg")["Body"].read() == photo(2)

    assert feedback("predict", MODEL, folder, "--output", out).exit_code == 2
    assert feedback("predict", MODEL, arn, "--to", f"s3://{bucket}/to", "--output", out).exit_code == 2
    before = out.read_text()
    with pytest.raises(ActionableError, match="there is no image"):
        feedback("predict", MODEL, f"s3://{bucket}/nowhere", "--output", out)
    assert out.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.manifest", "photos"]


def test_a_manifest_with_something_wrong_is_not_applied_at_all(
    here: Installation, account: Account, tmp_path: Path
) -> None:
    good = json.dumps(verified(_line("s3://b/1.jpg", [OK], None, "job")))
    bad = good.replace('"confidence": 0.915', '"confidence": 2').replace("1.jpg", "2.jpg")
    manifest = tmp_path / "v.manifest"
    manifest.write_text(f"{good}\n\n{bad}\nno json\n{good}\n")
    arn = account.dataset("boards", "train", [])
    with pytest.raises(ActionableError) as refused:
        feedback("apply", manifest, arn)
    said = str(refused.value).splitlines()
    assert said[0].endswith("nothing was applied")
    assert said[1].startswith("line 3: ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT")
    assert said[2].startswith("line 4: ERROR_INVALID_JSON_LINE")
    assert said[3] == "line 5: another line is of s3://b/1.jpg, too"
    assert account.asked == []
    assert account.datasets[arn] == {}
    manifest.write_text("\n")
    with pytest.raises(ActionableError, match="has no line"):
        feedback("apply", manifest, arn)


def test_what_came_back_is_looked_at_before_it_is_applied(here: Installation, account: Account, tmp_path: Path) -> None:
    bucket = here.values["VIGIA_BUCKET"]

    def predicted(number: int, *found: dict[str, Any]) -> dict[str, Any]:
        return _line(f"s3://{bucket}/{number}.jpg", list(found), (96, 64), "job")

    for number in range(8):
        here.s3.put_object(Bucket=bucket, Key=f"{number}.jpg", Body=b"x")
    given = [predicted(0, OK, ROUND), predicted(1, CAP), predicted(2, CAP), predicted(3, OK), predicted(4, OK),
             predicted(5), predicted(6, OK)]  # fmt: skip
    predictions = tmp_path / "p.manifest"
    predictions.write_text(lines(map(json.dumps, given)))
    moved = json.loads(json.dumps(verified(given[2])).replace('"left": 24', '"left": 25'))
    relabelled = json.loads(json.dumps(verified(given[3])).replace('"ok"', '"scratched"'))
    back = [
        verified(predicted(0, ROUND, OK)),  # in another order
        verified(given[1]), moved, relabelled,
        given[4],  # nobody looked at it
        given[5], verified(predicted(7, OK)),
    ]  # fmt: skip
    manifest = tmp_path / "v.manifest"
    manifest.write_text(lines(map(json.dumps, back)))
    done = feedback("verify", manifest, "--predictions", predictions, "--images")
    assert done.exit_code == 0, done.output
    assert "5 lines can be applied (2 as predicted, 2 corrected, 1 of other images); " in done.output
    assert "left out: 1 not verified, 1 without a label" in done.output
    assert "3 images of the predictions have no verified line" in done.output  # the two left out, and one that is gone
    here.s3.put_object(Bucket=bucket, Key="v.manifest", Body=manifest.read_bytes())
    done = feedback("verify", f"s3://{bucket}/v.manifest")
    assert "5 lines can be applied; left out" in done.output

    # What is wrong is told line by line, and what is right does not hide it.
    bad = json.dumps(verified(predicted(8, OK))).replace('"class-name"', '"class"')
    manifest.write_text(lines([*map(json.dumps, back), bad, json.dumps(back[0])]))
    with pytest.raises(ActionableError) as refused:
        feedback("verify", manifest, "--images")
    assert str(refused.value).splitlines() == [
        f"{manifest.name} cannot be applied",
        "line 8: ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT: The format of the label attribute metadata is "
        f"invalid.; s3://{bucket}/8.jpg does not exist, or may not be read",
        f"line 9: another line is of s3://{bucket}/0.jpg, too",
    ]
    assert account.asked == []


def test_a_registry_takes_what_was_verified(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_REKOGNITION", raising=False)
    bucket = here.values["VIGIA_BUCKET"]
    refs = [f"s3://{bucket}/{n}.jpg" for n in range(3)]
    for number in range(3):
        here.s3.put_object(Bucket=bucket, Key=f"{number}.jpg", Body=photo(number))
    here.s3.put_object(
        Bucket=bucket, Key="train.manifest", Body=lines(json.dumps({"source-ref": ref}) for ref in refs[:2])
    )
    client = rekognition(find())
    project = client.create_project(ProjectName=f"f-{uuid.uuid4().hex[:10]}")["ProjectArn"]
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Name": "train.manifest"}}}
    arn = client.create_dataset(ProjectArn=project, DatasetType="TRAIN", DatasetSource=source)["DatasetArn"]
    manifest = tmp_path / "v.manifest"
    verdicts = [_line(refs[0], [OK, ROUND], None, "job"), _line(refs[2], [CAP], (64, 64), "job")]
    manifest.write_text(lines(json.dumps(verified(line)) for line in verdicts))
    assert "2 lines are in the dataset" in feedback("apply", manifest, arn).output
    entries = [json.loads(entry) for entry in client.list_dataset_entries(DatasetArn=arn)["DatasetEntries"]]
    assert {entry["source-ref"]: entry["cl-metadata"]["is_labeled"] for entry in entries} == {
        refs[0]: True, refs[1]: False, refs[2]: True,
    }  # fmt: skip
    left = tmp_path / "left.manifest"
    with pytest.raises(ClientError):  # there is no such model
        feedback("predict", MODEL, arn, "--output", left)
    assert not left.exists()


def test_large_manifests_go_in_pieces_and_a_refusal_says_how_many_are_in(
    here: Installation, account: Account, tmp_path: Path
) -> None:
    arn = account.dataset("boards", "train", [])
    padded = [json.loads(json.dumps(verified(_line(f"s3://b/{n}.jpg", [OK], None, "j" * 60_000)))) for n in range(150)]
    manifest = tmp_path / "v.manifest"
    manifest.write_text(lines(json.dumps(line) for line in padded))
    assert "150 lines are in the dataset" in feedback("apply", manifest, arn).output
    assert account.asked.count("UpdateDatasetEntries") == 3
    assert len(account.datasets[arn]) == 150

    def failing(operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        answer = Account.answer(account, operation, sent)
        if account.asked.count("UpdateDatasetEntries") == 5:
            account.status[arn] = "UPDATE_FAILED"
        return answer

    account.answer = failing  # type: ignore[method-assign]
    with pytest.raises(ActionableError, match=r"UPDATE_FAILED, 6\d lines are in: said so"):
        feedback("apply", manifest, arn)


BOX = st.fixed_dictionaries(
    dict.fromkeys(("Left", "Top"), st.floats(-0.1, 1.1)) | dict.fromkeys(("Width", "Height"), st.floats(0, 1.1))
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | BOX, st.floats(0, 100)), max_size=6))
def test_every_prediction_is_a_line_that_datasets_read(found: list[Any]) -> None:
    labels = [
        {"Name": name, "Confidence": sure} | ({} if box is None else {"Geometry": {"BoundingBox": box}})
        for name, box, sure in found
    ]
    line = read_line(json.dumps(_line("s3://b/1.jpg", labels, (640, 480), "job")).encode())
    assert line.image_labels == tuple(dict.fromkeys(name for name, box, _ in found if box is None))
    assert line.labeled == bool(found)
    # Boxes of no size are the model's own, and named; nothing else is ever wrong.
    assert {error.code for error in line.errors} <= {"ERROR_BOUNDING_BOX_TOO_SMALL", "ERROR_NO_VALID_ANNOTATIONS"}
