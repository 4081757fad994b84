"""The service model we ship is the one that AWS withdrew: same operations, shapes, members, errors."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointProviderError

from vigia_client.service_model import API_VERSION, data_path

LAST_WITH_MODEL = "1.40.60"
OURS = data_path() / "lookoutvision" / API_VERSION
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vigia" / "botocore"


def pip_commands() -> list[list[str]]:
    """The pips of this machine; an environment made by uv has none of its own."""
    found = [path for path in (shutil.which("pip3"), shutil.which("pip")) if path]
    return [[sys.executable, "-m", "pip"], *([path] for path in found)]


@pytest.fixture(scope="module")
def withdrawn() -> zipfile.ZipFile:
    """The wheel of the last botocore that had the model, kept in a cache folder between runs."""
    wheel = CACHE / f"botocore-{LAST_WITH_MODEL}-py3-none-any.whl"
    if wheel.exists():
        return zipfile.ZipFile(wheel)
    CACHE.mkdir(parents=True, exist_ok=True)
    download = ["download", "--quiet", "--no-deps", "--dest", str(CACHE), f"botocore=={LAST_WITH_MODEL}"]
    reasons = []
    for pip in pip_commands():
        done = subprocess.run([*pip, *download], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return zipfile.ZipFile(wheel)
        reasons.append(done.stderr.strip()[-200:])
    pytest.skip(f"botocore {LAST_WITH_MODEL} cannot be fetched through pip: {'; '.join(reasons)}")


def read_packed(wheel: zipfile.ZipFile, name: str) -> Any:
    """The JSON file of this name in the wheel, which may be gzipped."""
    path = f"botocore/data/lookoutvision/{API_VERSION}/{name}"
    if f"{path}.gz" in wheel.namelist():
        return json.loads(gzip.decompress(wheel.read(f"{path}.gz")))
    return json.loads(wheel.read(path))


def structure(node: Any) -> Any:
    """Without prose; lists whose order means nothing are sorted."""
    if isinstance(node, dict):
        return {key: structure(value) for key, value in node.items() if key != "documentation"}
    if isinstance(node, list):
        return sorted((structure(item) for item in node), key=lambda item: json.dumps(item, sort_keys=True))
    return node


def differences(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Every place where two structures differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = [f"{path}/{key} missing" for key in theirs.keys() - ours.keys()]
        found += [f"{path}/{key} extra" for key in ours.keys() - theirs.keys()]
        for key in theirs.keys() & ours.keys():
            found += differences(theirs[key], ours[key], f"{path}/{key}")
        return sorted(found)
    return [] if theirs == ours else [f"{path}: {theirs!r} is {ours!r}"]


def test_model_equals_the_withdrawn_one(withdrawn: zipfile.ZipFile) -> None:
    theirs = structure(read_packed(withdrawn, "service-2.json"))
    ours = structure(json.loads((OURS / "service-2.json").read_text()))
    assert len(ours["operations"]) == 22
    assert differences(theirs, ours) == []


def test_paginators_equal_the_withdrawn_ones(withdrawn: zipfile.ZipFile) -> None:
    ours = json.loads((OURS / "paginators-1.json").read_text())
    assert differences(read_packed(withdrawn, "paginators-1.json"), ours) == []


def test_the_comparison_sees_a_difference() -> None:
    ours = json.loads((OURS / "service-2.json").read_text())
    changed = json.loads(json.dumps(ours))
    changed["operations"]["CreateModel"]["http"]["responseCode"] = 200
    del changed["shapes"]["Tag"]["members"]["Value"]
    assert differences(structure(ours), structure(changed)) == [
        "/operations/CreateModel/http/responseCode: 202 is 200",
        "/shapes/Tag/members/Value missing",
    ]


@pytest.fixture
def requests_seen() -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    """A plain HTTP server that records requests and answers with an empty object."""
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    class Recorder(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            seen.append((self.command, self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def new_client(monkeypatch: pytest.MonkeyPatch, endpoint: str | None) -> Any:
    monkeypatch.setenv("AWS_DATA_PATH", str(data_path()))
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LOOKOUTVISION", endpoint)
    else:
        monkeypatch.delenv("AWS_ENDPOINT_URL_LOOKOUTVISION", raising=False)
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    session = boto3.Session(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="eu-west-1")
    return session.client("lookoutvision", config=Config(retries={"total_max_attempts": 1}))


def test_boto3_sends_signed_requests_to_the_endpoint(monkeypatch: pytest.MonkeyPatch, requests_seen: Any) -> None:
    endpoint, seen = requests_seen
    client = new_client(monkeypatch, endpoint)
    client.start_model(ProjectName="cookies", ModelVersion="1", MinInferenceUnits=1)
    client.detect_anomalies(ProjectName="cookies", ModelVersion="1", ContentType="image/jpeg", Body=b"\xff\xd8")
    client.untag_resource(ResourceArn="arn:aws:lookoutvision:eu-west-1:1:model/p1/1", TagKeys=["a", "b"])
    (start, detect, untag) = seen
    assert start[:2] == ("POST", "/2020-11-20/projects/cookies/models/1/start")
    assert json.loads(start[3]) == {"MinInferenceUnits": 1}
    assert len(start[2]["X-Amzn-Client-Token"]) == 36
    assert "/eu-west-1/lookoutvision/aws4_request" in start[2]["Authorization"]
    assert detect[1].endswith("/detect")
    assert (detect[2]["Content-Type"], detect[3]) == ("image/jpeg", b"\xff\xd8")
    assert untag[1] == "/2020-11-20/tags/arn%3Aaws%3Alookoutvision%3Aeu-west-1%3A1%3Amodel%2Fp1%2F1?tagKeys=a&tagKeys=b"


def test_without_an_endpoint_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    client = new_client(monkeypatch, None)
    with pytest.raises(EndpointProviderError, match="AWS_ENDPOINT_URL_LOOKOUTVISION"):
        client.list_projects()


def test_aws_cli_gains_the_command(requests_seen: Any) -> None:
    endpoint, seen = requests_seen
    environment = os.environ | {
        "AWS_DATA_PATH": str(data_path()),
        "AWS_ENDPOINT_URL_LOOKOUTVISION": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    aws = [sys.executable, "-m", "awscli", "lookoutvision", "stop-model"]
    done = subprocess.run(
        [*aws, "--project-name", "cookies", "--model-version", "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert seen[0][:2] == ("POST", "/2020-11-20/projects/cookies/models/2/stop")
