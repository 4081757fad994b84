"""What users of Custom Labels hold comes in: manifests of any labels, live accounts, and what cannot come is named."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vigia_client.cli import app
from vigia_client.datasets.labels import LabelDatasets
from vigia_client.environment import find
from vigia_client.errors import ActionableError
from vigia_client.lookout import rekognition

from .accounts import Account, RefusedError, serving
from .conftest import Installation
from .held import digests, lines, photo, write

ROOT = "s3://the-old-bucket/photos"
META = {"human-annotated": "yes", "creation-date": "2021-05-06T07:08:09.123", "job-name": "labeling-job/plant"}


def labels(image: str, *names: str, **more: Any) -> str:
    """A line with image-level labels."""
    fields: dict[str, Any] = {"source-ref": image}
    for number, name in enumerate(names):
        fields[f"job-{number}"] = number
        fields[f"job-{number}-metadata"] = {
            "class-name": name, "confidence": 0.9, "type": "groundtruth/image-classification", **META,
        }  # fmt: skip
    return json.dumps(fields | more)


def boxes(image: str, *names: str, size: int = 64) -> str:
    """A line with a box for each name."""
    classes = {name: number for number, name in enumerate(sorted(set(names)))}
    return json.dumps(
        {
            "source-ref": image,
            "BB": {
                "image_size": [{"width": size, "height": size, "depth": 3}],
                "annotations": [
                    {"class_id": classes[name], "left": 4.5, "top": 8, "width": 20, "height": 10.25} for name in names
                ],
            },
            "BB-metadata": {
                "objects": [{"confidence": 1} for _ in names],
                "class-map": {str(number): name for name, number in classes.items()},
                "type": "groundtruth/object-detection",
                **META,
            },
        }
    )


def summary(project: str, version: str, f1: float = 0.75) -> dict[str, Any]:
    """An evaluation summary file."""
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": (
                f"arn:aws:rekognition:us-west-2:111122223333:project/{project}/version/{version}/1600000000000"
            ),
            "EvaluationEndTimestamp": "2022-10-01T00:00:00.000000",
            "Labels": ["ok"],
            "NumberOfTrainingImages": 8,
            "NumberOfTestingImages": 2,
        },
        "AggregatedEvaluationResults": {"Precision": 0.8, "Recall": 0.7, "F1Score": f1},
        "LabelEvaluationResults": [
            {
                "Label": "ok",
                "NumberOfTestingImages": 2,
                "Metrics": {"Threshold": 0.31, "Precision": 0.8, "Recall": 0.7, "F1Score": f1},
            }
        ],
    }


@dataclass
class Home:
    """An installation that things come into."""

    here: Installation

    @cached_property
    def client(self) -> Any:
        return rekognition(find())

    @property
    def bucket(self) -> str:
        return self.here.values["VIGIA_BUCKET"]

    def entries(self, project: str, kind: str = "train") -> list[dict[str, Any]]:
        """A dataset's lines, as they came in."""
        arn = LabelDatasets(self.client).arn(project, kind)
        pages = self.client.get_paginator("list_dataset_entries").paginate(DatasetArn=arn)
        lines = [json.loads(entry) for page in pages for entry in page["DatasetEntries"]]
        return [{name: value for name, value in line.items() if name != "cl-metadata"} for line in lines]

    def objects(self) -> dict[str, str]:
        """Every object of the bucket and when it was last written."""
        pages = self.here.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {held["Key"]: str(held["LastModified"]) for page in pages for held in page.get("Contents", [])}


@dataclass
class Played(Home):
    """One whose protocol is played, and remembers what it was asked."""

    account: Account = field(default_factory=Account)


@pytest.fixture
def home(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A registry."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_REKOGNITION", raising=False)
    return Home(here)


@pytest.fixture
def played(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    with serving(Account(s3=here.s3)) as account:
        monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", account.url)
        yield Played(here, account)


def migrate(source: str | Path, tmp_path: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    """The command's result and the report that it wrote."""
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    arguments = ["migrate", "customlabels", str(source), "--report", str(report), *options]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done, json.loads(report.read_text()) if report.exists() else {}


def name() -> str:
    return f"m.{uuid.uuid4().hex[:10]}"


def held(project: str) -> dict[str, bytes | str]:
    """A bucket's copy: the outputs of two labelling jobs, images of any size, an evaluation."""
    train = [
        labels(f"{ROOT}/a/1.jpg", "ok", "round"),
        boxes(f"{ROOT}/a/2.jpg", "cap", "cap"),
        labels(f"{ROOT}/a/3.jpg"),
    ]
    test = [labels(f"{ROOT}/b/4.jpg", "ok")]
    return {
        f"jobs/{project}-train/manifests/output/output.manifest": lines(train),
        f"jobs/{project}-test/manifests/output/output.manifest": lines(test),
        "photos/a/1.jpg": photo(1),
        "photos/a/2.jpg": photo(2, (96, 64)),
        "photos/a/3.jpg": photo(3, (64, 200)),
        "photos/b/4.jpg": photo(4),
        f"out/EvaluationResultSummary-{project}-v.1.json": json.dumps(summary(project, "v.1")),
    }


def test_manifests_come_in_once_with_every_kind_of_label(home: Home, tmp_path: Path) -> None:
    project = name()
    source = write(tmp_path / "kept", held(project))
    before = digests(source)
    dry, planned = migrate(source, tmp_path, "--dry-run")
    assert dry.exit_code == 2, dry.output
    assert home.objects() == {}
    assert home.client.describe_projects(ProjectNames=[project])["ProjectDescriptions"] == []
    done, report = migrate(source, tmp_path)
    assert done.exit_code == 0, done.output
    after = home.objects()
    again, repeated = migrate(source, tmp_path)
    assert again.exit_code == 0, again.output
    assert home.objects() == after

    for told, state in ((planned, "to be created"), (report, "created"), (repeated, "unchanged")):
        [found] = told["projects"]
        assert found["project"] == project
        counts = {d["kind"]: (d["labelled"], d["unlabelled"], d["labels"], d["boxes"]) for d in found["datasets"]}
        assert counts == {"train": (2, 1, 3, 2), "test": (1, 0, 1, 0)}
        assert {d["state"] for d in found["datasets"]} == {state}
        [figures] = found["evaluations_before"]
        assert (figures["version"], figures["f1"], figures["labels"]) == (
            "v.1", 0.75, {"ok": {"f1": 0.75, "threshold": 0.31}},
        )  # fmt: skip
    kept = {json.loads(line)["source-ref"].rpartition("/")[2]: json.loads(line) for line in (
        *str(held(project)[f"jobs/{project}-train/manifests/output/output.manifest"]).splitlines(),
    )}  # fmt: skip
    for entry in home.entries(project):
        bucket, _, key = entry["source-ref"].removeprefix("s3://").partition("/")
        image = key.rpartition("-")[2]
        assert bucket == home.bucket
        assert (
            home.here.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            == (source / "photos" / "a" / image).read_bytes()
        )
        # But for its image's address it is what it was.
        assert entry | {"source-ref": ""} == kept[image] | {"source-ref": ""}
    assert len(home.entries(project, "test")) == 1
    assert digests(source) == before


def test_what_a_validation_or_a_model_added_stays_behind(home: Home, tmp_path: Path) -> None:
    project = name()
    errors = [{"code": "ERROR_INVALID_IMAGE", "message": "no"}]
    evaluated = json.loads(labels(f"{ROOT}/2.jpg", "ok"))
    evaluated |= {"rekognition-custom-labels-evaluation-0": 1, "rekognition-custom-labels-evaluation-0-metadata": {}}
    wrong = json.loads(labels(f"{ROOT}/3.jpg", "ok"))
    del wrong["job-0-metadata"]["creation-date"]
    listed = [
        labels(f"{ROOT}/1.jpg", "ok", errors=errors, **{"cl-metadata": {"is_labeled": True}}),
        json.dumps(evaluated),
        json.dumps(wrong),
        labels(f"{ROOT}/4.jpg", "other"),
        labels(f"{ROOT}/5.jpg", "ok"),
        labels(f"{ROOT}/6.jpg", "ok"),
        json.dumps(
            {"errors": [{"code": "ERROR_INVALID_JSON_LINE", "message": "The JSON Line has an invalid format."}]}
        ),
    ]
    files: dict[str, bytes | str] = {f"{project}/train.manifest": lines(listed)}
    files |= {f"{n}.jpg": photo(n) for n in (1, 2, 3)}
    files |= {"4.jpg": photo(1), "5.jpg": photo(5, (64, 64 * 21)), "6.jpg": photo(6, (96, 63))}
    done, report = migrate(write(tmp_path / "kept", files), tmp_path)
    assert done.exit_code == 0, done.output
    first, second, third = home.entries(project)
    assert set(first) == set(second) == {"source-ref", "job-0", "job-0-metadata"}
    [error] = third["job-0-metadata"].pop("cl-errors")
    assert error["code"] == "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"
    assert third["job-0-metadata"] == wrong["job-0-metadata"]
    [dataset] = report["projects"][0]["datasets"]
    said = [(r["image"].rpartition("/")[2], r["why"], r["left_out"]) for r in dataset["remarks"]]
    assert said == [
        ("2.jpg", "predictions_left_away", False),
        ("3.jpg", "label_errors", False),
        ("4.jpg", "duplicate", True),
        ("5.jpg", "too_long_a_shape", True),
        ("6.jpg", "too_small", True),
        ("", "not_a_line", True),
    ]
    details = {r["why"]: r["detail"] for r in dataset["remarks"]}
    assert "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT" in details["label_errors"]
    assert details["duplicate"].endswith("which is ok and came in; this line says other")


def test_a_content_is_trained_once_and_stands_beside_its_old_figures(played: Played, tmp_path: Path) -> None:
    project = name()
    played.account.evaluation = summary("any", "thing", 0.91)
    source = write(tmp_path / "kept", held(project))
    for _ in range(2):
        done, report = migrate(source, tmp_path, "--train")
        assert done.exit_code == 0, done.output
        now = report["projects"][0]["evaluation_now"]
        assert now["f1"] == 0.91
    assert played.account.asked.count("CreateProjectVersion") == 1
    assert "91.0%" in done.output
    assert "75.0%" in done.output
    # A training that failed is no reason never to try again.
    [version] = played.account.versions[played.account.projects[project]]
    version["Status"] = "TRAINING_FAILED"
    done, report = migrate(source, tmp_path, "--train")
    assert done.exit_code == 0, done.output
    assert report["projects"][0]["training"].startswith("version migration-")
    assert played.account.asked.count("CreateProjectVersion") == 2


# --- a live account ---------------------------------------------------------------------------------------------------


@pytest.fixture
def old(played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account elsewhere with one project of everything, that profile ``old`` leads to."""
    bucket = played.here.bucket()
    s3 = played.here.s3
    with serving(Account(s3=s3)) as account:
        project = account.project("echo.dots")
        train = [boxes(f"s3://{bucket}/a/{n}.jpg", "echo dot") for n in range(5)]
        arn = account.dataset("echo.dots", "train", [*train, boxes(f"s3://{bucket}/gone.jpg", "echo dot")])
        account.dataset("echo.dots", "test", [labels(f"s3://{bucket}/b/9.jpg", "echo dot")], "UPDATE_COMPLETE")
        for key, data in {**{f"a/{n}.jpg": photo(n) for n in range(5)}, "b/9.jpg": photo(9)}.items():
            s3.put_object(Bucket=bucket, Key=key, Body=data)
        account.tags = {project: {"line": "1", "aws:made-by": "aws"}, arn: {"kind": "train"}}
        versions = f"{project.rpartition('/')[0]}/version"
        account.policies[project] = {
            "all": policy(f"{versions}/*"), "one": policy(f"{versions}/v1/1600000000555"),
        }  # fmt: skip
        s3.put_object(Bucket=bucket, Key="out/Summary.json", Body=json.dumps(summary("echo.dots", "v1")))
        s3.put_object(Bucket=bucket, Key="out/train.json", Body=b"{}\n")
        made = account.version(
            "echo.dots", "v1",
            EvaluationResult={"F1Score": 0.75, "Summary": place(bucket, "out/Summary.json")},
            ManifestSummary=place(bucket, "out/gone.json"),
            TrainingDataResult={"Output": {"Assets": [{"GroundTruthManifest": place(bucket, "out/train.json")}]}},
        )  # fmt: skip
        account.tags[made["ProjectVersionArn"]] = {"best": "yes"}
        account.version("echo.dots", "v2", Status="TRAINING_FAILED")
        account.project("empty")
        account.dataset("empty", "train", [], "CREATE_FAILED")
        keys = f"[old]\naws_access_key_id = {played.here.store.access_key_id}\n"
        (tmp_path / "credentials").write_text(f"{keys}aws_secret_access_key = {played.here.store.secret_access_key}\n")
        (tmp_path / "config").write_text(
            "[services old]\n"
            f"s3 =\n  endpoint_url = {played.here.store.endpoint}\nrekognition =\n  endpoint_url = {account.url}\n"
            "[profile old]\nregion = us-west-2\nservices = old\ns3 =\n  addressing_style = path\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        yield account


def place(bucket: str, key: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": key}}


def policy(resource: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": "777788889999"}, "Action": "rekognition:CopyProjectVersion"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": resource}]})


def states(report: dict[str, Any], project: str) -> dict[tuple[str, str], str]:
    [found] = [found for found in report["projects"] if found["project"] == project]
    return {(row["what"], row["name"]): row["state"] for row in found["beside"]}


def test_a_live_account_comes_in_and_is_only_read(played: Played, old: Account, tmp_path: Path) -> None:
    dry, planned = migrate("account", tmp_path, "--profile", "old", "--dry-run")
    assert dry.exit_code == 2, dry.output
    assert played.objects() == {}
    assert played.account.projects == {}
    done, report = migrate("account", tmp_path, "--profile", "old")
    assert done.exit_code == 0, done.output
    after = played.objects()
    again, repeated = migrate("account", tmp_path, "--profile", "old")
    assert again.exit_code == 0, again.output
    assert played.objects() == after
    assert set(old.asked) == {
        "DescribeProjects", "ListDatasetEntries", "ListTagsForResource", "ListProjectPolicies",
        "DescribeProjectVersions",
    }  # fmt: skip

    assert [found["project"] for found in report["projects"]] == ["echo.dots", "empty"]
    assert report["skipped"] == [{"path": "empty/train", "why": "the dataset is CREATE_FAILED: "}]
    train, test = report["projects"][0]["datasets"]
    assert (train["came_in"], train["boxes"], train["left_out"], test["came_in"]) == (5, 5, 1, 1)
    assert [(r["where"], r["why"]) for r in train["remarks"]] == [("echo.dots/train:6", "missing")]
    entries = played.entries("echo.dots")
    assert len(entries) == 5
    assert all(set(entry) == {"source-ref", "BB", "BB-metadata"} for entry in entries)
    assert {d["state"] for d in repeated["projects"][0]["datasets"]} == {"unchanged"}

    for told, state in ((planned, "to come in"), (report, "came in"), (repeated, "unchanged")):
        assert states(told, "echo.dots") == {
            ("tags", "project"): state,
            ("tags", "train dataset"): state,
            ("policy", "all"): state,
            ("policy", "one"): "not moved",
            ("version", "v1"): f"files {state}",
            ("version", "v2"): f"files {state}",
        }
        assert states(told, "empty") == {}
    arn = played.account.projects["echo.dots"]
    assert played.account.tags[arn] == {"line": "1"}
    [document] = played.account.policies[arn].values()
    assert json.loads(document)["Statement"][0]["Resource"] == f"{arn.rpartition('/')[0]}/version/*"
    assert json.loads(document)["Statement"][0]["Principal"] == {"AWS": "777788889999"}

    [_, first] = [row for row in report["projects"][0]["beside"] if row["what"] == "version"]
    assert "weights cannot be exported" in first["detail"]
    assert (first["facts"]["f1"], first["facts"]["tags"], len(first["facts"]["missing"])) == (0.75, {"best": "yes"}, 1)
    folder = "migrated/echo.dots/versions/v1"
    assert {key for key in after if key.startswith(folder)} == {
        f"{folder}/evaluation/Summary.json", f"{folder}/training-output/train.json", f"{folder}/version.json",
    }  # fmt: skip
    [figures] = report["projects"][0]["evaluations_before"]
    assert (figures["version"], figures["f1"]) == ("v1", 0.75)


def test_one_project_of_an_account_comes_in_under_another_name(played: Played, old: Account, tmp_path: Path) -> None:
    project = name()
    done, report = migrate("account", tmp_path, "--profile", "old", "--only", "echo.dots", "--project", project)
    assert done.exit_code == 0, done.output
    assert list(played.account.projects) == [project]
    assert [found["found_as"] for found in report["projects"]] == ["echo.dots"]
    [document] = played.account.policies[played.account.projects[project]].values()
    assert f"project/{project}/version/*" in document


def test_what_was_changed_here_since_stays(played: Played, old: Account, tmp_path: Path) -> None:
    assert migrate("account", tmp_path, "--profile", "old", "--only", "echo.dots")[0].exit_code == 0
    arn = played.account.projects["echo.dots"]
    played.account.tags[arn]["line"] = "2"
    played.account.policies[arn]["all"] = policy("another")
    old.tags[old.projects["echo.dots"]]["shift"] = "night"
    done, _ = migrate("account", tmp_path, "--profile", "old", "--only", "echo.dots")
    assert done.exit_code == 0, done.output
    assert played.account.tags[arn] == {"line": "2", "shift": "night"}
    assert played.account.policies[arn]["all"] == policy("another")
    assert "another of that name is here" in done.output


def test_what_cannot_be_read_of_an_account_fails_by_name(played: Played, old: Account, tmp_path: Path) -> None:
    def refuse(operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        if operation == "ListProjectPolicies":
            raise RefusedError("AccessDeniedException", "you may not list policies")
        return Account.answer(old, operation, sent)

    old.answer = refuse  # type: ignore[method-assign]
    done, report = migrate("account", tmp_path, "--profile", "old", "--only", "echo.dots")
    assert done.exit_code == 1
    assert states(report, "echo.dots")["policies", ""] == "failed"
    assert "you may not list policies [AccessDeniedException]" in done.output
    assert states(report, "echo.dots")["version", "v1"] == "files came in"


def test_sources_are_told_apart(played: Played, old: Account, tmp_path: Path) -> None:
    folder = write(tmp_path / "kept", {"notes.txt": "x"})
    for source, options in (
        ("account", ()),
        (folder, ("--only", "x")),
        ("account", ("--profile", "old", "--manifest", "x")),
    ):
        assert migrate(source, tmp_path, *options)[0].exit_code == 2
    with pytest.raises(ActionableError, match="has no project nobody"):
        migrate("account", tmp_path, "--profile", "old", "--only", "nobody")
    with pytest.raises(ActionableError, match="no manifest with images"):
        migrate(folder, tmp_path)
