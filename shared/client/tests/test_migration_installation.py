"""One account of an installation moves into another: killed on the way and begun again, it ends as if it had not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vigia_client.environment import Environment
from vigia_client.lookout import rekognition
from vigia_client.lookout import wait as wait_for

from .conftest import Installation
from .held import lines, photo
from .test_migration_customlabels import boxes, labels, policy

OLD, SECRET = "444455556666", "a-secret-of-the-old-account"
COMMAND = Path(sys.executable).with_name("vigia")


@dataclass
class Holding:
    """A door before the registry's that passes everything on, but for one request that gets no answer.

    ``hold``: an operation, and whether the registry is still told of it; ``held`` is set once it came.
    """

    door: str
    url: str = ""
    hold: tuple[str, bool] = ("", False)
    held: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def answer(self, operation: str, headers: Mapping[str, str], body: bytes) -> httpx.Response | None:
        self.asked.append(operation)
        name, told = self.hold
        answer = None
        if operation != name or told:
            answer = httpx.post(f"{self.door}/", headers=dict(headers), content=body, timeout=60, trust_env=False)
        if operation != name:
            return answer
        self.held.set()
        self.over.wait(120)
        return None


@pytest.fixture
def holding(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Holding]:
    held = Holding(here.values["VIGIA_URL"])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            # The signature is for the host that was asked; it comes along as it is.
            answer = held.answer(self.headers["X-Amz-Target"].partition(".")[2], dict(self.headers), body)
            if answer is None:
                return
            with contextlib.suppress(OSError):
                self.send_response(answer.status_code)
                for name in ("Content-Type", "x-amzn-RequestId", "Retry-After"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_REKOGNITION", held.url)
    yield held
    held.over.set()
    server.shutdown()
    server.server_close()


@dataclass
class Old:
    """An account of the same installation, with keys of its own to the registry and the store."""

    key: str
    client: Any
    s3: Any
    bucket: str


@pytest.fixture
def old(here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Old:
    """It is there, and profile ``old`` leads to it; nothing else than the profile does."""
    key = f"AKIA{uuid.uuid4().hex[:16].upper()}"
    made = {"ACCOUNT_ID": OLD, "REGION": here.store.region, "ACCESS_KEY_ID": key, "SECRET_ACCESS_KEY": SECRET}
    environment = {**here.settings, **{f"VIGIA_REGISTRY_BOOTSTRAP__{name}": value for name, value in made.items()}}
    command = str(COMMAND.with_name("vigia-registry"))
    subprocess.run([command, "migrate"], env=os.environ | environment, check=True, capture_output=True, timeout=120)
    _let_in(here, key)
    (tmp_path / "credentials").write_text(f"[old]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")
    (tmp_path / "config").write_text(
        f"[services old]\ns3 =\n  endpoint_url = {here.store.endpoint}\n"
        f"rekognition =\n  endpoint_url = {here.values['VIGIA_URL']}\n"
        f"[profile old]\nregion = {here.store.region}\nservices = old\ns3 =\n  addressing_style = path\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    values = {**here.values, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": SECRET}
    return Old(key, rekognition(Environment(values, "test")), here.s3, here.bucket())


def _let_in(here: Installation, key: str) -> None:
    """Make a user of the object store, who may read every bucket."""
    body = f"<Account><Access>{key}</Access><Secret>{SECRET}</Secret><Role>admin</Role></Account>"
    request = AWSRequest("PATCH", f"{here.store.endpoint}/create-user", data=body.encode())
    root = Credentials(here.store.access_key_id, here.store.secret_access_key)
    S3SigV4Auth(root, "s3", here.store.region).add_auth(request)
    headers = dict(request.headers.items())
    httpx.request("PATCH", request.url, headers=headers, content=body, trust_env=False).raise_for_status()


def _fill(old: Old) -> str:
    """A project of everything that an account of the product has; its name."""
    name = f"moves.{uuid.uuid4().hex[:8]}"
    for number in range(40):
        old.s3.put_object(Bucket=old.bucket, Key=f"a/{number}.jpg", Body=photo(number))
    project = old.client.create_project(ProjectName=name, Tags={"line": "1"})["ProjectArn"]
    train = [boxes(f"s3://{old.bucket}/a/{n}.jpg", "cap", "pin") for n in range(20)]
    train += [labels(f"s3://{old.bucket}/a/{n}.jpg", "ok", "dry") for n in range(20, 30)]
    broken = json.loads(labels(f"s3://{old.bucket}/a/30.jpg", "ok"))
    del broken["job-0-metadata"]["creation-date"]
    test = [labels(f"s3://{old.bucket}/a/{n}.jpg", "ok") for n in range(31, 40)]
    for kind, held in (("TRAIN", [*train, json.dumps(broken)]), ("TEST", test)):
        old.s3.put_object(Bucket=old.bucket, Key=f"{kind}.manifest", Body=lines(held).encode())
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": old.bucket, "Name": f"{kind}.manifest"}}}
        arn = old.client.create_dataset(
            ProjectArn=project, DatasetType=kind, DatasetSource=source, Tags={"kind": kind}
        )["DatasetArn"]
        _complete(old.client, arn)
    old.client.put_project_policy(
        ProjectArn=project, PolicyName="all", PolicyDocument=policy(f"{project.rpartition('/')[0]}/version/*")
    )
    output = {"S3Bucket": old.bucket, "S3KeyPrefix": "out"}
    old.client.create_project_version(ProjectArn=project, VersionName="v.1", OutputConfig=output)
    return name


def _complete(client: Any, arn: str) -> None:
    def look() -> dict[str, Any]:
        found: dict[str, Any] = client.describe_dataset(DatasetArn=arn)["DatasetDescription"]
        return found

    found = wait_for(look, lambda status: status.endswith("IN_PROGRESS"), 60, lambda _: None)
    assert found["Status"] == "CREATE_COMPLETE", found


def _datasets(client: Any, name: str) -> dict[str, list[dict[str, Any]]]:
    """The entries of a project's datasets, images by the number in their name, in order."""
    [project] = client.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
    found = {}
    for dataset in project["Datasets"]:
        pages = client.get_paginator("list_dataset_entries").paginate(DatasetArn=dataset["DatasetArn"])
        entries = [json.loads(entry) for page in pages for entry in page["DatasetEntries"]]
        for entry in entries:
            entry["source-ref"] = entry["source-ref"].rpartition("/")[2].rpartition("-")[2]
        found[dataset["DatasetType"]] = entries
    return found


def _objects(s3: Any, bucket: str) -> dict[str, str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {held["Key"]: str(held["LastModified"]) for page in pages for held in page.get("Contents", [])}


@pytest.mark.timeout(300)
def test_an_account_moves_into_another_however_often_it_is_killed(
    here: Installation, old: Old, holding: Holding, tmp_path: Path
) -> None:
    name = _fill(old)
    report = tmp_path / "report.json"
    argv = [str(COMMAND), "migrate", "customlabels", "account", "--profile", "old", "--only", name]
    argv += ["--report", str(report)]
    target = rekognition(Environment(here.values, "test"))
    bucket = here.values["VIGIA_BUCKET"]
    kept: dict[str, str] = {}
    # At the first dataset, of which the registry learns all the same; then before the tags.
    for hold in (("CreateDataset", True), ("TagResource", False)):
        holding.hold = hold
        holding.held.clear()
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            assert holding.held.wait(120), hold
        finally:
            process.kill()
            process.communicate(timeout=30)
        assert not report.exists()
        there = _objects(here.s3, bucket)
        assert kept.items() <= there.items()  # nothing is sent twice
        kept = there
    assert len([key for key in kept if key.endswith(".jpg")]) == 40

    holding.hold = ("", False)
    for state in ("came in", "unchanged"):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(report.read_text())
        report.unlink()
        [found] = told["projects"]
        assert {(dataset["state"], dataset["sent_objects"]) for dataset in found["datasets"]} == {("unchanged", 0)}
        assert {(row["what"], row["name"]): row["state"] for row in found["beside"]} == {
            ("tags", "project"): state,
            ("tags", "train dataset"): state,
            ("tags", "test dataset"): state,
            ("policy", "all"): state,
            ("version", "v.1"): f"files {state}",
        }
        assert kept.items() <= _objects(here.s3, bucket).items()
    counts = {d["kind"]: (d["came_in"], d["labelled"], d["boxes"]) for d in found["datasets"]}
    assert counts == {"train": (31, 30, 40), "test": (9, 9, 0)}
    assert holding.asked.count("CreateDataset") == 2
    assert holding.asked.count("UpdateDatasetEntries") == 0

    # What arrived is what was there, the error that the dataset lists included; images are the target's own.
    assert _datasets(target, name) == _datasets(old.client, name)
    [project] = target.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
    assert project["ProjectArn"].split(":")[4] == here.account_id != OLD
    assert target.list_tags_for_resource(ResourceArn=project["ProjectArn"])["Tags"] == {"line": "1"}
    [document] = target.list_project_policies(ProjectArn=project["ProjectArn"])["ProjectPolicies"]
    assert f"{here.account_id}:project/{name}/version/*" in document["PolicyDocument"]
    # The source was only read.
    assert not [key for key in _objects(old.s3, old.bucket) if key.startswith("migrated")]
    [before] = old.client.describe_projects(ProjectNames=[name])["ProjectDescriptions"]
    assert {dataset["Status"] for dataset in before["Datasets"]} == {"CREATE_COMPLETE"}
