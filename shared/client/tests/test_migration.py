"""What former customers hold comes in: every layout, what cannot come in is named, and a second run does nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ProfileNotFound
from typer.testing import CliRunner, Result

from vigia_client.cli import app
from vigia_client.errors import ActionableError
from vigia_contracts.base import ObjectRef
from vigia_contracts.events import Event
from vigia_contracts.topics import TRAINING_EVENTS
from vigia_contracts.training import TRAINING_COMPLETED, ModelMetrics, TrainingCompleted
from vigia_runtime.kafka.producer import Producer
from vigia_runtime.settings import KafkaSettings

from .conftest import Installation
from .held import CRACK, DENT, digests, entry, lines, mask, photo, result, write

SAMPLES = Path(__file__).parents[2] / "samples" / "cookies"
ROOT = "s3://the-old-bucket/factory/line-1"


def migrate(source: str | Path, tmp_path: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    """The command's result and the report that it wrote."""
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    arguments = ["migrate", "lookoutvision", str(source), "--report", str(report), *options]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done, json.loads(report.read_text()) if report.exists() else {}


def name() -> str:
    return f"m-{uuid.uuid4().hex[:10]}"


def stats(here: Installation, project: str, kind: str = "train") -> dict[str, int]:
    found: dict[str, int] = here.lookout.describe_dataset(ProjectName=project, DatasetType=kind)["DatasetDescription"][
        "ImageStats"
    ]
    return found


def entries(here: Installation, project: str, kind: str = "train") -> list[dict[str, Any]]:
    pages = here.lookout.get_paginator("list_dataset_entries").paginate(ProjectName=project, DatasetType=kind)
    return [json.loads(text) for page in pages for text in page["DatasetEntries"]]


def objects(here: Installation) -> dict[str, str]:
    """Every object of the test's bucket and when it was last written."""
    listed = here.s3.list_objects_v2(Bucket=here.values["VIGIA_BUCKET"]).get("Contents", [])
    return {found["Key"]: str(found["LastModified"]) for found in listed}


def console(project: str) -> dict[str, bytes | str]:
    """A console bucket: the dataset's own manifests, a temporary one, images anywhere, results of two trainings."""
    train = [entry(f"{ROOT}/train/{kind}/{n}.jpg", kind) for kind in ("normal", "anomaly") for n in range(3)]
    test = [entry(f"{ROOT}/test/normal/{n}.jpg", "normal") for n in range(2)]
    own = "manifests/output/output.manifest"
    return {
        f"datasets/{project}/train/{own}": lines(train),
        f"datasets/{project}/test/{own}": lines(test),
        f"datasets/{project}/train/manifests/crawl-1.manifest": lines(train[:1]),
        **{f"factory/line-1/train/normal/{n}.jpg": photo(n) for n in range(3)},
        **{f"factory/line-1/train/anomaly/{n}.jpg": photo(10 + n) for n in range(3)},
        **{f"factory/line-1/test/normal/{n}.jpg": photo(20 + n) for n in range(2)},
        f"projects/{project}/EvaluationResult-{project}-1.json": result(project, 1, 0.5),
        f"projects/{project}/EvaluationResult-{project}-2.json": result(project, 2, 0.8, "cracked"),
        f"projects/{project}/EvaluationManifest-{project}-2.json": "{}\n",
    }


def export(project: str) -> dict[str, bytes | str]:
    """What the guide's export sample writes to s3://the-old-bucket/exports/<project>/, with its masks."""
    to = f"s3://the-old-bucket/exports/{project}"
    train = [entry(f"{to}/train/images/a/{n}.jpg", "normal") for n in range(2)]
    train += [entry(f"{to}/train/images/b/{n}.jpg", "anomaly", f"{to}/train/masks/b/{n}.png") for n in range(2)]
    test = [entry(f"{to}/test/images/c/{n}.jpg", "anomaly") for n in range(2)]
    return {
        f"{project}/datasets/train.manifest": lines(train),
        f"{project}/datasets/test.manifest": lines(test),
        **{f"{project}/train/images/a/{n}.jpg": photo(n) for n in range(2)},
        **{f"{project}/train/images/b/{n}.jpg": photo(10 + n) for n in range(2)},
        **{f"{project}/train/masks/b/{n}.png": mask(CRACK) for n in range(2)},
        **{f"{project}/test/images/c/{n}.jpg": photo(20 + n) for n in range(2)},
    }


def labelled_folders(project: str) -> dict[str, bytes | str]:
    """Folders whose names are classes, in any case; deeper names mean nothing."""
    return {
        f"{project}/train/normal/1.jpg": photo(1),
        f"{project}/train/normal/anomaly/2.png": photo(2, kind="PNG"),
        f"{project}/train/Anomaly/3.jpeg": photo(3),
        f"{project}/train/3.jpg": photo(4),
        f"{project}/test/anomaly/4.jpg": photo(5),
        f"{project}/extra_images/5.jpg": photo(6),
    }


def ground_truth(project: str) -> dict[str, bytes | str]:
    """The output of a labelling job, whose labels have the job's name; the images beside it in another order."""
    to = "s3://another-bucket/photos"
    listed = [entry(f"{to}/{n}.jpg", ("normal", "anomaly")[n % 2], label="cookie-job") for n in range(4)]
    return {
        f"{project}/manifests/output/output.manifest": lines(listed),
        **{f"photos/{n}.jpg": photo(n) for n in range(4)},
    }


LAYOUTS: dict[str, tuple[Callable[[str], dict[str, bytes | str]], dict[str, tuple[int, int, int]]]] = {
    "console": (console, {"train": (3, 3, 0), "test": (2, 0, 0)}),
    "export": (export, {"train": (2, 2, 0), "test": (0, 2, 0)}),
    "folders": (labelled_folders, {"train": (2, 1, 1), "test": (0, 1, 0)}),
    "ground truth": (ground_truth, {"train": (2, 2, 0)}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_in_once_and_the_source_stays(here: Installation, tmp_path: Path, layout: str) -> None:
    make, expected = LAYOUTS[layout]
    project = name()
    source = write(tmp_path / "kept", make(project))
    before = digests(source)

    dry, planned = migrate(source, tmp_path, "--dry-run")
    assert dry.exit_code == 2, dry.output
    assert objects(here) == {}
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    again, repeated = migrate(source, tmp_path)
    assert again.exit_code == 0, again.output

    assert [found["project"] for found in report["projects"]] == [project]
    for told, state in ((planned, "to be created"), (report, "created"), (repeated, "unchanged")):
        held = {d["kind"]: d for d in told["projects"][0]["datasets"]}
        assert {kind: (d["normal"], d["anomaly"], d["unlabelled"]) for kind, d in held.items()} == expected
        assert {d["state"] for d in held.values()} == {state}
        assert not any(d["left_out"] for d in held.values())
    for kind, (normal, anomaly, unlabelled) in expected.items():
        total = normal + anomaly + unlabelled
        found = {"Total": total, "Labeled": normal + anomaly, "Normal": normal, "Anomaly": anomaly}
        assert stats(here, project, kind) == found
    for held in entries(here, project):
        # Whatever an entry names is there, and is what it was.
        for uri in [held["source-ref"], *([held["anomaly-mask-ref"]] if "anomaly-mask-ref" in held else [])]:
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            assert here.s3.get_object(Bucket=bucket, Key=key)["Body"].read() in {
                path.read_bytes() for path in source.rglob(f"*{key.rpartition('-')[2]}")
            }
    assert [d["sent_objects"] for d in repeated["projects"][0]["datasets"]] == [0] * len(expected)
    assert digests(source) == before


def test_the_cookies_come_in_with_their_masks(here: Installation, tmp_path: Path) -> None:
    project = name()
    several, report = migrate(SAMPLES, tmp_path)
    assert several.exit_code == 1
    assert "train_segmentation.manifest" in report["projects"][0]["reason"]
    options = ("--manifest", "train_segmentation.manifest", "--project", project)
    done, report = migrate(SAMPLES, tmp_path, *options)
    assert done.exit_code == 0, done.output
    assert stats(here, project) == {"Total": 63, "Labeled": 63, "Normal": 31, "Anomaly": 32}
    [dataset] = report["projects"][0]["datasets"]
    assert (dataset["masks"], dataset["size"], dataset["left_out"]) == (32, "576x768", 0)
    assert sum("anomaly-mask-ref" in held for held in entries(here, project)) == 32
    again, report = migrate(SAMPLES, tmp_path, *options)
    assert report["projects"][0]["datasets"][0]["state"] == "unchanged", again.output


def merged(first: str, second: str) -> str:
    return json.dumps(json.loads(second) | json.loads(first))


def bad(project: str) -> tuple[dict[str, bytes | str], dict[str, list[tuple[str, bool]]]]:
    """A manifest of everything that can be wrong: its files, and per file's name what is to be said of it."""
    image = f"s3://the-old-bucket/{project}/images"
    masks = f"s3://the-old-bucket/{project}/masks"
    truncated = photo(8)[:-200]
    cases: dict[str, tuple[str, bytes | None, bytes | None, list[tuple[str, bool]]]] = {
        "good": (entry(f"{image}/good.jpg", "normal"), photo(1), None, []),
        "gone": (entry(f"{image}/gone.jpg", "normal"), None, None, [("missing", True)]),
        "cut": (entry(f"{image}/cut.jpg", "normal"), truncated, None, [("undecodable", True)]),
        "text": (entry(f"{image}/text.jpg", "normal"), b"no image", None, [("undecodable", True)]),
        "small": (entry(f"{image}/small.jpg", "normal"), photo(2, (63, 64)), None, [("too_small", True)]),
        "wide": (entry(f"{image}/wide.jpg", "normal"), photo(3, (96, 64)), None, [("other_size", True)]),
        "huge": (entry(f"{image}/huge.jpg", "normal"), bytes(8 * 1024 * 1024 + 1), None, [("too_large", True)]),
        "twin": (entry(f"{image}/twin.jpg", "anomaly"), photo(1), None, [("duplicate", True)]),
        "other": (entry(f"{image}/other.jpg", "scratch"), photo(4), None, [("unlabelled", False)]),
        "bare": (entry(f"{image}/bare.jpg", None), photo(5), None, [("unlabelled", False)]),
        "upper": (entry(f"{image}/upper.jpg", "Anomaly"), photo(6), None, [("class_case", False)]),
        "extra": (
            entry(f"{image}/extra.jpg", "normal", **{"part": "P-1", "boxes-metadata": {"type": "groundtruth/x"}}),
            photo(7), None, [("unknown_keys", False)],
        ),
        "both": (
            merged(entry(f"{image}/both.jpg", "normal"), entry("", "anomaly", label="second")),
            photo(9), None, [("ambiguous_labels", True)],
        ),
        "maskless": (
            entry(f"{image}/maskless.jpg", "anomaly", f"{masks}/maskless.png"),
            photo(11), None, [("mask_missing", False)],
        ),
        "jpegmask": (
            entry(f"{image}/jpegmask.jpg", "anomaly", f"{masks}/jpegmask.png"),
            photo(12), mask(CRACK, kind="JPEG"), [("mask_not_png", False)],
        ),
        "maskcolor": (
            entry(f"{image}/maskcolor.jpg", "anomaly", f"{masks}/maskcolor.png"),
            photo(13), mask((1, 2, 3)), [("mask_colors", False)],
        ),
        "masksize": (
            entry(f"{image}/masksize.jpg", "anomaly", f"{masks}/masksize.png"),
            photo(14), mask(CRACK, size=(65, 64)), [("mask_other_size", False)],
        ),
        "masked": (
            entry(f"{image}/masked.jpg", "anomaly", f"{masks}/masked.png"), photo(15), mask(CRACK, DENT), []
        ),
        "normalmask": (
            entry(f"{image}/normalmask.jpg", "normal", f"{masks}/normalmask.png"),
            photo(16), mask(CRACK), [("mask_of_normal", False)],
        ),
    }  # fmt: skip
    files: dict[str, bytes | str] = {f"{project}/train.manifest": lines(line for line, _, _, _ in cases.values())}
    for case, (_, data, masked, _) in cases.items():
        if data is not None:
            files[f"{project}/images/{case}.jpg"] = data
        if masked is not None:
            files[f"{project}/masks/{case}.png"] = masked
    return files, {case: said for case, (_, _, _, said) in cases.items()}


def test_what_does_not_come_in_is_named_with_its_reason(here: Installation, tmp_path: Path) -> None:
    project = name()
    files, expected = bad(project)
    manifest = str(files[f"{project}/train.manifest"])
    files[f"{project}/train.manifest"] = "not json\n\n" + manifest + '{"no": "image"}\n'
    source = write(tmp_path / "kept", files)
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    [dataset] = report["projects"][0]["datasets"]
    said: dict[str, list[tuple[str, bool]]] = {case: [] for case in expected}
    nameless = []
    for remark in dataset["remarks"]:
        if remark["image"]:
            case = remark["image"].rpartition("/")[2].partition(".")[0]
            said[case].append((remark["why"], remark["left_out"]))
        else:
            nameless.append((remark["where"], remark["why"], remark["left_out"]))
    assert said == expected
    count = len(expected)
    path = f"{project}/train.manifest"
    assert nameless == [(f"{path}:1", "not_a_line", True), (f"{path}:{count + 3}", "not_a_line", True)]

    out = sum(any(left for _, left in found) for found in expected.values())
    assert (dataset["looked_at"], dataset["came_in"], dataset["left_out"]) == (count + 2, count - out, out + 2)
    assert dataset["masks"] == 1
    assert stats(here, project)["Total"] == count - out
    assert stats(here, project)["Anomaly"] == 6
    # A person sees the same in the table.
    for why in {why for found in expected.values() for why, _ in found}:
        assert why in done.output
    assert "came in; this line says anomaly" in next(r["detail"] for r in dataset["remarks"] if r["why"] == "duplicate")


def test_a_missing_image_is_not_replaced_by_a_namesake(here: Installation, tmp_path: Path) -> None:
    project = name()
    listed = [entry(f"{ROOT}/{kind}/{n}.jpg", kind) for kind in ("normal", "anomaly") for n in range(2)]
    files: dict[str, bytes | str] = {
        f"{project}/train.manifest": lines(listed),
        f"{project}/anomaly/0.jpg": photo(1),
        f"{project}/anomaly/1.jpg": photo(2),
        f"{project}/normal/1.jpg": photo(3),
        # What a flat search would take for normal/0.jpg:
        f"{project}/0.jpg": photo(4),
    }
    source = write(tmp_path / "kept", files)
    done, report = migrate(source, tmp_path)
    [dataset] = report["projects"][0]["datasets"]
    assert [(r["image"], r["why"]) for r in dataset["remarks"]] == [(f"{ROOT}/normal/0.jpg", "missing")], done.output
    assert stats(here, project) == {"Total": 3, "Labeled": 3, "Normal": 1, "Anomaly": 2}


def test_what_is_in_a_bucket_comes_in_from_there(here: Installation, tmp_path: Path) -> None:
    project = name()
    bucket = here.values["VIGIA_BUCKET"]
    # The bucket that the manifests name, kept under its own name and in the installation's store: nothing has moved.
    for key, content in console(project).items():
        text = content.replace("s3://the-old-bucket/", f"s3://{bucket}/") if isinstance(content, str) else content
        here.s3.put_object(Bucket=bucket, Key=key, Body=text)
    before = objects(here)
    done, report = migrate(f"s3://{bucket}", tmp_path)
    assert done.exit_code == 0, done.output
    assert stats(here, project) == {"Total": 6, "Labeled": 6, "Normal": 3, "Anomaly": 3}
    assert stats(here, project, "test")["Total"] == 2
    after = objects(here)
    assert {key: after[key] for key in before} == before
    # What was brought in lies in the same bucket and is no source of the next run.
    again, repeated = migrate(f"s3://{bucket}", tmp_path)
    assert again.exit_code == 0, again.output
    assert [found["project"] for found in repeated["projects"]] == [project]
    assert {d["state"] for d in repeated["projects"][0]["datasets"]} == {"unchanged"}
    assert objects(here) == after
    refused, _ = migrate(f"s3://{bucket}/migrated/{project}", tmp_path)
    assert refused.exit_code == 2
    assert report["skipped"] == [
        {
            "path": f"datasets/{project}/train/manifests/crawl-1.manifest",
            "why": "not the dataset's own manifest, which is manifests/output/output.manifest",
        }
    ] or "crawl-1" in str(report["skipped"])


def test_whatever_a_file_is_called_it_comes_in(here: Installation, tmp_path: Path) -> None:
    project = name()
    names = ["a b.jpg", "ñandú.jpg", "line\nbreak.jpg", "x" * 240 + ".jpg", os.fsdecode(b"caf\xe9.jpg"), "a+%20#?.jpg"]
    files: dict[str, bytes | str] = {f"{project}/train/normal/{text}": photo(n) for n, text in enumerate(names)}
    files[f"{project}/train/normal/{os.fsdecode(bytes([0xE8]))}.jpg"] = b"no image"
    source = write(tmp_path / "kept", files)
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    assert stats(here, project)["Normal"] == len(names)
    assert [r["why"] for r in report["projects"][0]["datasets"][0]["remarks"]] == ["undecodable"]
    held = {urlsplit(e["source-ref"]).netloc for e in entries(here, project)}
    assert held == {here.values["VIGIA_BUCKET"]}
    for entry_held in entries(here, project):
        key = entry_held["source-ref"].removeprefix(f"s3://{here.values['VIGIA_BUCKET']}/")
        assert here.s3.head_object(Bucket=here.values["VIGIA_BUCKET"], Key=key)
    assert migrate(source, tmp_path)[1]["projects"][0]["datasets"][0]["state"] == "unchanged"


def test_the_same_images_are_not_added_from_another_place(here: Installation, tmp_path: Path) -> None:
    project = name()
    source = write(tmp_path / "kept", labelled_folders(project))
    assert migrate(source, tmp_path)[0].exit_code == 0
    done, report = migrate(source, tmp_path, "--prefix", "another/place")
    assert done.exit_code == 0, done.output
    assert [(d["state"], d["sent_objects"]) for d in report["projects"][0]["datasets"]] == [("unchanged", 0)] * 2
    assert stats(here, project)["Total"] == 4
    assert not any(key.startswith("another") for key in objects(here))


def test_a_bucket_elsewhere_is_read_with_its_own_profile(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = name()
    elsewhere = here.bucket()
    for key, content in export(project).items():
        here.s3.put_object(Bucket=elsewhere, Key=f"of-old/{key}", Body=content)
    keys = f"[old]\naws_access_key_id = {here.store.access_key_id}\n"
    (tmp_path / "credentials").write_text(f"{keys}aws_secret_access_key = {here.store.secret_access_key}\n")
    endpoint = f"region = us-east-1\nendpoint_url = {here.store.endpoint}\ns3 =\n  addressing_style = path\n"
    (tmp_path / "config").write_text(f"[profile old]\n{endpoint}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    done, report = migrate(f"s3://{elsewhere}/of-old", tmp_path, "--profile", "old")
    assert done.exit_code == 0, done.output
    assert stats(here, project)["Total"] == 4
    assert report["projects"][0]["datasets"][0]["masks"] == 2
    with pytest.raises(ProfileNotFound):
        migrate(f"s3://{elsewhere}/of-old", tmp_path, "--profile", "nobody")


#: Ends the process, as a power cut does, while the first third is sent, or once the dataset was asked for.
_KILLED = """
import os, signal, sys
from vigia_client.cli import main
from vigia_client.datasets import delivery

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

in_order = delivery.in_order
def in_order_until_death(work, items):
    for count, result in enumerate(in_order(work, items)):
        if count == 10:
            die()
        yield result

if sys.argv.pop(1) == "sending":
    delivery.in_order = in_order_until_death
else:
    delivery.Datasets._settled = die
main()
"""


@pytest.mark.parametrize("moment", ["sending", "creating"])
def test_a_run_that_was_killed_goes_on_where_it_was(here: Installation, tmp_path: Path, moment: str) -> None:
    project = name()
    files: dict[str, bytes | str] = {f"{project}/train/normal/{n}.jpg": photo(n) for n in range(60)}
    source = write(tmp_path / "kept", files)
    before = digests(source)
    report = tmp_path / "killed.json"
    command = [sys.executable, "-c", _KILLED, moment, "migrate", "lookoutvision", str(source), "--report", str(report)]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not report.exists()
    sent = objects(here)
    assert 10 <= len(sent) < 60 if moment == "sending" else len(sent) == 61

    done, told = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    [dataset] = told["projects"][0]["datasets"]
    expected = ("created", 60 - len(sent)) if moment == "sending" else ("unchanged", 0)
    assert (dataset["came_in"], (dataset["state"], dataset["sent_objects"])) == (60, expected)
    after = objects(here)
    assert {key: after[key] for key in sent} == sent
    assert stats(here, project) == {"Total": 60, "Labeled": 60, "Normal": 60, "Anomaly": 0}
    assert digests(source) == before


def test_what_was_labelled_since_stays(here: Installation, tmp_path: Path) -> None:
    project = name()
    listed = [entry(f"{ROOT}/{n}.jpg", "normal") for n in range(3)]
    source = write(
        tmp_path / "kept",
        {f"{project}/train.manifest": lines(listed), **{f"{project}/{n}.jpg": photo(n) for n in range(4)}},
    )
    assert migrate(source, tmp_path)[0].exit_code == 0
    corrected = json.loads(json.dumps(entries(here, project)[0]))
    corrected["anomaly-label-metadata"]["class-name"] = "anomaly"
    here.lookout.update_dataset_entries(
        ProjectName=project, DatasetType="train", Changes=json.dumps(corrected).encode()
    )
    until(lambda: stats(here, project)["Anomaly"] == 1)
    # One more image was found later.
    (source / project / "train.manifest").write_text(lines([*listed, entry(f"{ROOT}/3.jpg", "anomaly")]))
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    [dataset] = report["projects"][0]["datasets"]
    assert (dataset["state"], dataset["entries_added"], dataset["sent_objects"]) == ("extended", 1, 1)
    assert stats(here, project) == {"Total": 4, "Labeled": 4, "Normal": 2, "Anomaly": 2}


def test_a_dataset_whose_import_failed_is_made_again(here: Installation, tmp_path: Path) -> None:
    project = name()
    here.lookout.create_project(ProjectName=project)
    here.s3.put_object(Bucket=here.values["VIGIA_BUCKET"], Key="bad.manifest", Body=b"not a manifest")
    place = {"GroundTruthManifest": {"S3Object": {"Bucket": here.values["VIGIA_BUCKET"], "Key": "bad.manifest"}}}
    here.lookout.create_dataset(ProjectName=project, DatasetType="train", DatasetSource=place)
    source = write(tmp_path / "kept", labelled_folders(project))
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    assert [d["state"] for d in report["projects"][0]["datasets"]] == ["created", "created"]
    assert stats(here, project)["Total"] == 4


def test_names_and_places_are_checked_before_anything_happens(here: Installation, tmp_path: Path) -> None:
    source = write(tmp_path / "kept", {**labelled_folders("one"), **labelled_folders("two")})
    for options, said in (
        (("--project", "x"), "say which"),
        (("--project", "three=x"), "no project three"),
        (("--project", "one=two"), "two projects would be named two"),
        (("--project", "one=a b"), "letters, digits"),
        (("--bucket", "nobody-has-it"), "nobody-has-it"),
    ):
        with pytest.raises(ActionableError, match=said):
            migrate(source, tmp_path, *options)
    report = str(source / "report.json")
    inside = CliRunner().invoke(app, ["migrate", "lookoutvision", str(source), "--report", report])
    assert inside.exit_code == 2
    assert not Path(report).exists()
    assert objects(here) == {}
    with pytest.raises(ActionableError, match="no manifest"):
        migrate(write(tmp_path / "empty", {"notes.txt": "x"}), tmp_path)


def test_images_of_both_datasets_are_named(here: Installation, tmp_path: Path) -> None:
    project = name()
    files = {**labelled_folders(project), f"{project}/test/normal/again.jpg": photo(1)}
    done, report = migrate(write(tmp_path / "kept", files), tmp_path)
    assert done.exit_code == 0, done.output
    train, test = report["projects"][0]["datasets"]
    assert (train["kind"], test["kind"]) == ("train", "test")
    assert [r["why"] for r in test["remarks"]] == ["in_both_datasets"]
    assert test["came_in"] == 2


def test_old_figures_stand_beside_those_of_a_new_training(here: Installation, tmp_path: Path) -> None:
    project, kept_as = name(), name()
    files = {path: content for path, content in console(kept_as).items() if not path.startswith("factory/")}
    folder = "factory/line-1"
    listed = [entry(f"s3://the-old-bucket/{folder}/{n}.jpg", ("normal", "anomaly")[n % 2]) for n in range(48)]
    files[f"datasets/{kept_as}/train/manifests/output/output.manifest"] = lines(listed)
    files |= {f"{folder}/{n}.jpg": photo(100 + n) for n in range(48)}
    del files[f"datasets/{kept_as}/test/manifests/output/output.manifest"]
    files["EvaluationResult-somebody-else-1.json"] = result("somebody-else", 1)
    files["EvaluationResult-broken-1.json"] = "{"
    source = write(tmp_path / "kept", files)
    played = threading.Thread(target=play_training, args=(here, project), daemon=True)
    played.start()
    done, report = migrate(source, tmp_path, "--project", f"{kept_as}={project}", "--train")
    played.join(60)
    assert done.exit_code == 0, done.output
    [told] = report["projects"]
    before = [(f["version"], f["f1"]) for f in told["evaluations_before"]]
    assert before == [("1", 0.5), ("2", 0.8)]
    assert told["evaluations_before"][1]["labels"] == {"cracked": {"f1": 0.861, "iou": 0.7453}}
    assert (told["evaluation_now"]["version"], told["evaluation_now"]["f1"]) == ("1", 0.93)
    assert report["evaluations_of_no_project"] == ["EvaluationResult-somebody-else-1.json"]
    assert {"path": "EvaluationResult-broken-1.json", "why": "not an evaluation result"} in report["skipped"]
    assert "93.0%" in done.output
    assert "50.0%" in done.output
    # Trained once for this content, however often it is asked.
    again, report = migrate(source, tmp_path, "--project", f"{kept_as}={project}", "--train")
    assert again.exit_code == 0, again.output
    assert report["projects"][0]["evaluation_now"]["version"] == "1"
    assert len(here.lookout.list_models(ProjectName=project)["Models"]) == 1


def play_training(here: Installation, project: str) -> None:
    """What the training service does once a version is asked for: its evaluation, and its event on the real topic."""

    def asked() -> str | None:
        try:
            models = here.lookout.list_models(ProjectName=project)["Models"]
        except ClientError:
            return None
        return models[0]["ModelArn"] if models else None

    arn = until(asked, 60)
    bucket = here.values["VIGIA_BUCKET"]
    here.s3.put_object(Bucket=bucket, Key="out/EvaluationResult.json", Body=result(project, 1, 0.93))
    found = TrainingCompleted(
        model_arn=arn,
        attempt=1,
        artifact=ObjectRef(bucket="vigia-artifacts", key=f"{arn}/manifest.json", sha256="0" * 64, size=2),
        manifest={"format": "vigia-model/1"},
        metrics=ModelMetrics(
            precision=0.9, recall=0.96, f1=0.93, roc_auc=0.99, average_precision=0.98, classes=[],
            training_images=28, test_images=20,
        ),
        evaluation_manifest=ObjectRef(bucket=bucket, key="out/EvaluationManifest.json"),
        evaluation_result=ObjectRef(bucket=bucket, key="out/EvaluationResult.json"),
        seconds=1.0,
        completed_at=datetime.now(UTC),
    )  # fmt: skip
    event = Event(
        type=TRAINING_COMPLETED, source="test", id=uuid.uuid4().hex, time=datetime.now(UTC), data=found, key=arn
    )

    async def send() -> None:
        settings = KafkaSettings(bootstrap=here.kafka, topic_prefix=here.topic_prefix)
        async with Producer(settings, "test") as producer:
            await producer.send(TRAINING_EVENTS, event)

    asyncio.run(send())


def until(what: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``what`` returns once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        if found := what():
            return found
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
