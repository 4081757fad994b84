"""Importing manifests, and listing what they brought."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, Report
from tests.line import Line, until
from vigia_stack.running import running
from vigia_stack.services import REGISTRY, USER_BUCKET, environment

#: Together what one import may bring: a training dataset of 16,000 images and a test dataset of 4,000.
SIZES = {"train": 16_000, "test": 4_000}
#: What a dataset of Custom Labels may bring.
LABEL_LINES = 250_000
_LABELS = 100
_TICKS = os.sysconf("SC_CLK_TCK")


def manifest(kind: str) -> bytes:
    """Lines as SageMaker Ground Truth writes them; every other image is anomalous and has a mask."""
    return b"".join(json.dumps(_line(kind, number)).encode() + b"\n" for number in range(SIZES[kind]))


def _line(kind: str, number: int) -> dict[str, object]:
    anomaly = number % 2 == 1
    common = {"human-annotated": "yes", "creation-date": "2022-08-22T20:52:51.123456", "job-name": "labeling-job/bench"}
    line: dict[str, object] = {
        "source-ref": f"s3://{USER_BUCKET}/bench/{kind}/images/{number:06}.jpg",
        "anomaly-label": int(anomaly),
        "anomaly-label-metadata": {
            **common,
            "confidence": 1,
            "class-name": "anomaly" if anomaly else "normal",
            "type": "groundtruth/image-classification",
        },
    }
    if anomaly:
        line["anomaly-mask-ref"] = f"s3://{USER_BUCKET}/bench/{kind}/masks/{number:06}.png"
        line["anomaly-mask-ref-metadata"] = {
            **common,
            "type": "groundtruth/semantic-segmentation",
            "internal-color-map": {
                "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
                "1": {"class-name": "scratch", "hex-color": "#2ca02c", "confidence": 0.0},
            },
        }
    return line


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def label_lines() -> Iterator[bytes]:
    """Lines of a manifest of Custom Labels: half of them with a label of the whole image, half with three boxes."""
    for number in range(LABEL_LINES):
        yield json.dumps(_label_line(number)).encode() + b"\n"


def _label_line(number: int) -> dict[str, object]:
    label, common = (
        f"label-{number % _LABELS}",
        {"human-annotated": "yes", "creation-date": "2022-08-22T20:52:51.123456"},
    )
    line: dict[str, object] = {"source-ref": f"s3://{USER_BUCKET}/bench/labels/images/{number:06}.jpg"}
    if number % 2 == 0:
        metadata = {"confidence": 1, "class-name": label, "job-name": f"labeling-job/{label}"}
        return {
            **line,
            label: 1,
            f"{label}-metadata": {**common, **metadata, "type": "groundtruth/image-classification"},
        }
    places = [(10, 20.5), (200, 100), (400.25, 300)]
    return {
        **line,
        "bounding-box": {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [
                {"class_id": index % 2, "left": left, "top": top, "width": 80, "height": 60}
                for index, (left, top) in enumerate(places)
            ],
        },
        "bounding-box-metadata": {
            **common,
            "objects": [{"confidence": 1}] * len(places),
            "class-map": {"0": label, "1": f"label-{(number + 1) % _LABELS}"},
            "type": "groundtruth/object-detection",
            "job-name": "labeling-job/bounding-box",
        },
    }


def peak_mebibytes(pid: int) -> float:
    """The most memory that a process has had in RAM since it began or ``forget_peak``, MiB."""
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def forget_peak(pid: int) -> None:
    """Count the peak anew, from what the process has in RAM now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def measure_labels(report: Report, line: Line, project: str) -> None:
    """250,000 lines of Custom Labels until CREATE_COMPLETE, and what memory that takes."""
    key, worker = "bench/labels.manifest", line.pid("registry-worker")
    with tempfile.TemporaryFile() as file:
        parsing = 0.0
        for text in label_lines():
            file.write(text)
            began = time.process_time()
            json.loads(text)
            parsing += time.process_time() - began
        file.seek(0)
        line.s3.upload_fileobj(file, USER_BUCKET, key)
    rekognition = line.client(line.url, "rekognition")
    arn = rekognition.create_project(ProjectName=project)["ProjectArn"]
    forget_peak(worker)
    before, used, began = peak_mebibytes(worker), cpu_seconds(worker), time.monotonic()
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": USER_BUCKET, "Name": key}}}
    dataset = rekognition.create_dataset(ProjectArn=arn, DatasetType="TRAIN", DatasetSource=source)["DatasetArn"]

    def settled() -> Any:
        found = rekognition.describe_dataset(DatasetArn=dataset)["DatasetDescription"]
        return found if found["Status"] != "CREATE_IN_PROGRESS" else None

    found = until("the dataset is imported", settled, within=600, every=0.25)
    assert found["Status"] == "CREATE_COMPLETE", found
    assert found["DatasetStats"]["TotalEntries"] == LABEL_LINES, found
    took, used = time.monotonic() - began, cpu_seconds(worker) - used
    peak = peak_mebibytes(worker)
    report.add(Figure("import of 250,000 lines of Custom Labels", took, "s", parsing, "s json.loads alone"))
    report.add(Figure("  of it CPU of registry-worker", used, "s", parsing, "s json.loads alone"))
    report.add(Figure("  most memory of registry-worker meanwhile", peak, "MiB", before, "MiB before"))


def measure(report: Report, line: Line, project: str) -> None:
    """20,000 lines until CREATE_COMPLETE and back again; beside it what Python needs to parse them.

    Listed through a registry-http of its own: the stack's refuses who asks more often than a client should.
    """
    manifests = {kind: manifest(kind) for kind in SIZES}
    began = time.process_time()
    for data in manifests.values():
        for text in data.splitlines():
            json.loads(text)
    parsing = time.process_time() - began
    for kind, data in manifests.items():
        line.s3.put_object(Bucket=USER_BUCKET, Key=f"bench/{kind}.manifest", Body=data)
    rates = {"VIGIA_REGISTRY_RATES__PER_SECOND": "10000", "VIGIA_REGISTRY_RATES__BURST": "10000"}
    with running("registry-http", {**environment(line.stack.site, REGISTRY), **rates}) as door:
        assert door.pid is not None
        lookout = line.client(door.http_url)
        _import(report, lookout, project, line.pid("registry-worker"), parsing)
        _list(report, lookout, project, door.pid, parsing)


def _import(report: Report, lookout: Any, project: str, worker: int, parsing: float) -> None:
    lookout.create_project(ProjectName=project)
    used, began = cpu_seconds(worker), time.monotonic()
    for kind in SIZES:
        place = {"Bucket": USER_BUCKET, "Key": f"bench/{kind}.manifest"}
        lookout.create_dataset(
            ProjectName=project, DatasetType=kind, DatasetSource={"GroundTruthManifest": {"S3Object": place}}
        )

    def complete() -> bool:
        shown = lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]
        return [dataset["Status"] for dataset in shown] == ["CREATE_COMPLETE"] * len(SIZES)

    until("both datasets are complete", complete, within=120)
    took, used = time.monotonic() - began, cpu_seconds(worker) - used
    report.add(Figure("import of 20,000 lines, to CREATE_COMPLETE", took, "s", parsing, "s json.loads alone", "≤ 10 s"))
    report.add(Figure("  of it CPU of registry-worker", used, "s", parsing, "s json.loads alone"))


def _list(report: Report, lookout: Any, project: str, door: int, parsing: float) -> None:
    used, began, entries = cpu_seconds(door), time.monotonic(), 0
    for kind in SIZES:
        for page in lookout.get_paginator("list_dataset_entries").paginate(ProjectName=project, DatasetType=kind):
            entries += len(page["DatasetEntries"])
    assert entries == sum(SIZES.values())
    took, used = time.monotonic() - began, cpu_seconds(door) - used
    report.add(Figure("list of 20,000 entries, 100 a page", took, "s", parsing, "s json.loads alone"))
    report.add(Figure("  of it CPU of registry-http", used, "s", parsing, "s json.loads alone", "a few s"))
