"""The whole way of a Custom Labels user, by boto3: images and manifests, training, hosting, detection."""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from PIL import Image

from tests.bench.models import boards
from tests.bench.models.logos import logo_images, manifest, photographs, scenes
from tests.bench.models.row import Goal, Row
from tests.bench.models.sets import SAMPLES
from tests.line import PARTS
from vigia_stack import client
from vigia_stack.services import USER_BUCKET
from vigia_stack.stack import Stack
from vigia_training.domain.label_metrics import average_precision, best, claims, match

#: What no call of the API needs: cameras, their history, dashboards.
_WITHOUT = {"ingestion", "detection-worker", "aggregator-worker", "aggregator-http", "prometheus"}
_PATIENCE = {"Delay": 2, "MaxAttempts": 3600}
_SCENES = 60


@dataclass(frozen=True, slots=True)
class Case:
    """Lines to learn from and lines to test with; their addresses are ``s3://local`` and a path."""

    learn: Sequence[dict[str, Any]]
    test: Sequence[dict[str, Any]]


def measure(case: Callable[[Path, Path, int], Case | None], folder: Path, draw: int) -> dict[str, float] | None:
    """One draw: a stack of its own, a project in it, and everything that a user would do."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        found = case(folder, scratch, draw)
        if found is None:
            return None
        parts = [part for part in (*PARTS, "training") if part not in _WITHOUT]
        # Of its own each time: a job that an interrupted run left would be done first.
        with Stack(parts, scratch / "stack") as stack:
            lines = client.write(stack.site).read_text().splitlines()
            env = dict(line.split("=", 1) for line in lines)
            return _journey(_Clients(env), found)


class _Clients:
    """boto3's clients of a stack."""

    def __init__(self, env: dict[str, str]) -> None:
        session = boto3.Session(
            env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_DEFAULT_REGION"]
        )
        self.labels = session.client("rekognition", endpoint_url=env["AWS_ENDPOINT_URL_REKOGNITION"])
        self.s3 = session.client("s3", endpoint_url=env["AWS_ENDPOINT_URL_S3"])


def _journey(clients: _Clients, case: Case) -> dict[str, float]:
    name = f"bench-{time.time_ns()}"
    project = clients.labels.create_project(ProjectName=name)["ProjectArn"]
    for kind, lines in (("TRAIN", case.learn), ("TEST", case.test)):
        _dataset(clients, name, project, kind, lines)
    began = time.monotonic()
    arn = clients.labels.create_project_version(
        ProjectArn=project, VersionName="1", OutputConfig={"S3Bucket": USER_BUCKET, "S3KeyPrefix": f"{name}/out"}
    )["ProjectVersionArn"]
    trained = clients.labels.get_waiter("project_version_training_completed")
    trained.wait(ProjectArn=project, VersionNames=["1"], WaiterConfig=_PATIENCE)
    seconds = time.monotonic() - began
    clients.labels.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=1)
    running = clients.labels.get_waiter("project_version_running")
    running.wait(ProjectArn=project, VersionNames=["1"], WaiterConfig=_PATIENCE)
    said: list[list[dict[str, Any]]] = []
    taken = []
    for line in case.test:
        data = _jpeg(_path(line).read_bytes())
        at = time.monotonic()
        answer = clients.labels.detect_custom_labels(ProjectVersionArn=arn, Image={"Bytes": data}, MinConfidence=0)
        taken.append(time.monotonic() - at)
        said.append(answer["CustomLabels"])
    (told,) = clients.labels.describe_project_versions(ProjectArn=project)["ProjectVersionDescriptions"]
    clients.labels.stop_project_version(ProjectVersionArn=arn)
    boxed = any(key.endswith("-metadata") and "objects" in value for line in case.test for key, value in line.items())
    quality = _boxes(case.test, said) if boxed else _labels(case.test, said)
    return {
        **quality,
        "F1 as evaluated": told["EvaluationResult"]["F1Score"],
        "seconds to TRAINING_COMPLETED": seconds,
        "ms a detection, median": float(np.median(taken)) * 1000,
    }


def _dataset(clients: _Clients, name: str, project: str, kind: str, lines: Iterable[dict[str, Any]]) -> None:
    placed = []
    for line in lines:
        path = _path(line)
        data = path.read_bytes()
        key = f"{name}/{kind.lower()}/{path.name}"
        clients.s3.put_object(Bucket=USER_BUCKET, Key=key, Body=data)
        placed.append({**line, "source-ref": f"s3://{USER_BUCKET}/{key}"})
    key = f"{name}/{kind.lower()}.manifest"
    clients.s3.put_object(Bucket=USER_BUCKET, Key=key, Body="\n".join(map(json.dumps, placed)).encode())
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": USER_BUCKET, "Name": key}}}
    arn = clients.labels.create_dataset(ProjectArn=project, DatasetType=kind, DatasetSource=source)["DatasetArn"]
    deadline = time.monotonic() + 120
    while True:
        status = clients.labels.describe_dataset(DatasetArn=arn)["DatasetDescription"]
        if status["Status"] == "CREATE_COMPLETE":
            return
        if status["Status"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise RuntimeError(f"{kind}: {status['Status']}: {status['StatusMessage']}")
        time.sleep(0.5)


def _path(line: dict[str, Any]) -> Path:
    return Path(str(line["source-ref"]).removeprefix("s3://local"))


def _jpeg(data: bytes) -> bytes:
    """As it is where the API takes it."""
    if data[:3] == b"\xff\xd8\xff" or data[:4] == b"\x89PNG":
        return data
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


def _labels(test: Sequence[dict[str, Any]], said: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Of images with one label each."""
    right = 0
    for line, labels in zip(test, said, strict=True):
        names = {v["class-name"] for k, v in line.items() if k.endswith("-metadata")}
        right += labels[0]["Name"] in names
    return {"right": right / len(test)}


def _boxes(test: Sequence[dict[str, Any]], said: Sequence[Sequence[dict[str, Any]]]) -> dict[str, float]:
    """Of boxes, as clients get them: shares of the image's sides."""
    confidences: dict[str, list[float]] = {}
    hits: dict[str, list[bool]] = {}
    count: dict[str, int] = {}
    for line, labels in zip(test, said, strict=True):
        true = _true(line)
        for name in {*true, *(label["Name"] for label in labels)}:
            mine = [label for label in labels if label["Name"] == name]
            found = [
                [label["Geometry"]["BoundingBox"][side] for side in ("Left", "Top", "Width", "Height")]
                for label in mine
            ]
            boxes = np.reshape(true.get(name, []), (-1, 4)).astype(np.float64)
            taken = match(np.reshape(found, (-1, 4)).astype(np.float64), boxes)
            confidences.setdefault(name, []).extend(label["Confidence"] for label in mine)
            hits.setdefault(name, []).extend(index is not None for index in taken)
            count[name] = count.get(name, 0) + len(boxes)
    found_of = {name: claims(confidences[name], hits[name], count[name]) for name in count if count[name]}
    return {
        "mAP50": float(np.mean([average_precision(one) for one in found_of.values()])),
        "F1": float(np.mean([best(one).f1 for one in found_of.values()])),
    }


def _true(line: dict[str, Any]) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for key, metadata in line.items():
        if key.endswith("-metadata") and "class-map" in metadata:
            value = line[key.removesuffix("-metadata")]
            size = value["image_size"][0]
            for box in value["annotations"]:
                sides = [box["left"], box["top"], box["width"], box["height"]]
                scale = [size["width"], size["height"]] * 2
                name = metadata["class-map"][str(box["class_id"])]
                found.setdefault(name, []).append([side / by for side, by in zip(sides, scale, strict=True)])
    return found


def _cookies(folder: Path, scratch: Path, draw: int) -> Case:
    """The sample photographs with the labels whole and cracked: 43 and 20 of the 63."""
    files = sorted((SAMPLES / "training-images").glob("*.jpg"))
    order = np.random.default_rng(draw).permutation(len(files)).tolist()
    lines = [_image(files[index], "cracked" if "anomaly" in files[index].name else "whole") for index in order]
    return Case(lines[:43], lines[43:])


def _image(file: Path, label: str) -> dict[str, Any]:
    return {
        "source-ref": f"s3://local{file}",
        "state": 1,
        "state-metadata": {
            "confidence": 1,
            "class-name": label,
            "human-annotated": "yes",
            "creation-date": "2022-08-22T20:52:51",
            "type": "groundtruth/image-classification",
        },
    }


def _boards(images: int, folder: Path, scratch: Path, draw: int) -> Case | None:
    learn, test = boards.lines(folder, images, draw)
    return Case(learn, test) if learn and test else None


def _logos(folder: Path, scratch: Path, draw: int) -> Case:
    """Logos alone, to be found in photographs."""
    learn = [json.loads(text) for text in logo_images(scratch).decode().splitlines()]
    made = scenes(scratch, photographs(folder), _SCENES, np.random.default_rng(1000 + draw))
    return Case(learn, [json.loads(text) for text in manifest(made).decode().splitlines()])


def _row(name: str, about: str, quality: str, goal: str, case: Callable[[Path, Path, int], Case | None]) -> Row:
    goals = (
        Goal(quality, goal),
        Goal("F1 as evaluated", ""),
        Goal("seconds to TRAINING_COMPLETED", ""),
        Goal("ms a detection, median", ""),
    )
    return Row(name, about, 1, goals, partial(measure, case))


ROWS = (
    _row("labels-by-api", "cookies, whole or cracked, through Custom Labels' API", "right", "≥ 0.95", _cookies),
    _row("logos-by-api", "8 invented logos, through Custom Labels' API", "mAP50", "≥ 0.8", _logos),
    _row("boxes-by-api", "circuit boards, 10 images, by Custom Labels' API", "mAP50", "≥ 0.80", partial(_boards, 10)),
    _row(
        "boards-by-api", "circuit boards, 120 images, by Custom Labels' API", "mAP50", "≥ 0.96", partial(_boards, 120)
    ),
)
