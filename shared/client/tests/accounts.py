"""An account of Custom Labels at the other end of HTTP: what it has, a test puts into it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
ACCOUNT, REGION = "444455556666", "us-west-2"


class RefusedError(Exception):
    """An answer of the protocol that is an error."""


@dataclass
class Account:
    """``datasets``: lines by ARN; ``tags`` and ``policies`` by ARN; ``versions`` by the project's ARN.

    ``found``: what a model finds in an image, by the request; ``asked``: names of the operations, in order.
    """

    url: str = ""
    projects: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, dict[str, str]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    policies: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, list[Json]] = field(default_factory=dict)
    found: Callable[[Json], list[Json]] = lambda _: []
    asked: list[str] = field(default_factory=list)
    page: int = 2
    #: What manifests are read with, and evaluations written.
    s3: Any = None
    evaluation: Json = field(default_factory=dict)

    def project(self, name: str) -> str:
        """The ARN of a new project."""
        stamp = 1_600_000_000_000 + len(self.projects)
        self.projects[name] = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{name}/{stamp}"
        return self.projects[name]

    def dataset(self, project: str, kind: str, lines: list[str], status: str = "CREATE_COMPLETE") -> str:
        """The ARN of a new dataset of these lines."""
        arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{project}/dataset/{kind}/1600000000999"
        self.datasets[arn] = {json.loads(line)["source-ref"]: line for line in lines}
        self.status[arn] = status
        return arn

    def version(self, project: str, name: str, **described: Any) -> Json:
        """A new version's description."""
        arn = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{project}/version/{name}/1600000000555"
        made = {"ProjectVersionArn": arn, "CreationTimestamp": time.time(), "Status": "STOPPED", "StatusMessage": "ok"}
        self.versions.setdefault(self.projects[project], []).insert(0, made | described)
        return made

    def answer(self, operation: str, sent: Json) -> Json:
        """What the protocol answers; RefusedError, KeyError for an operation that is not here."""
        self.asked.append(operation)
        answers: dict[str, Callable[[Json], Json]] = {
            "DescribeProjects": self._describe_projects,
            "ListDatasetEntries": self._list_dataset_entries,
            "DescribeDataset": self._describe_dataset,
            "UpdateDatasetEntries": self._update_dataset_entries,
            "ListTagsForResource": lambda sent: {"Tags": self.tags.get(sent["ResourceArn"], {})},
            "ListProjectPolicies": self._list_project_policies,
            "DescribeProjectVersions": self._describe_project_versions,
            "CreateProject": self._create_project,
            "CreateDataset": self._create_dataset,
            "DeleteDataset": self._delete_dataset,
            "CreateProjectVersion": self._create_project_version,
            "TagResource": self._tag_resource,
            "PutProjectPolicy": self._put_project_policy,
            "DetectCustomLabels": lambda sent: {"CustomLabels": self.found(sent)},
        }
        return answers[operation](sent)

    def _pages(self, name: str, items: list[Any], sent: Json) -> Json:
        start = int(sent.get("NextToken") or 0)
        end = start + self.page
        return {name: items[start:end]} | ({"NextToken": str(end)} if end < len(items) else {})

    def _describe_projects(self, sent: Json) -> Json:
        names = sent.get("ProjectNames") or list(self.projects)
        described = [
            {
                "ProjectArn": self.projects[name],
                "CreationTimestamp": 1.6e9,
                "Status": "CREATED",
                "Datasets": [
                    {"DatasetArn": arn, "DatasetType": arn.split("/")[3].upper(), "Status": self.status[arn],
                     "CreationTimestamp": 1.6e9, "StatusMessage": "", "StatusMessageCode": "SUCCESS"}
                    for arn in self.datasets if arn.split("/")[1] == name
                ],
            }
            for name in names if name in self.projects
        ]  # fmt: skip
        return self._pages("ProjectDescriptions", described, sent)

    def _list_dataset_entries(self, sent: Json) -> Json:
        lines = list(self.datasets[sent["DatasetArn"]].values())
        if "Labeled" in sent:
            lines = [line for line in lines if (len(json.loads(line)) > 1) == sent["Labeled"]]
        shown = [json.dumps(json.loads(line) | {"cl-metadata": {"is_labeled": True}}) for line in lines]
        return self._pages("DatasetEntries", shown, sent)

    def _describe_dataset(self, sent: Json) -> Json:
        if sent["DatasetArn"] not in self.datasets:
            raise RefusedError("ResourceNotFoundException", "there is no such dataset")
        count = len(self.datasets[sent["DatasetArn"]])
        stats = {"LabeledEntries": count, "TotalEntries": count, "TotalLabels": 1, "ErrorEntries": 0}
        return {
            "DatasetDescription": {
                "Status": self.status[sent["DatasetArn"]], "StatusMessage": "said so", "DatasetStats": stats,
            }
        }  # fmt: skip

    def _update_dataset_entries(self, sent: Json) -> Json:
        if self.status[sent["DatasetArn"]] == "UPDATE_FAILED":
            return {}
        for line in base64.b64decode(sent["Changes"]["GroundTruth"]).decode().splitlines():
            self.datasets[sent["DatasetArn"]][json.loads(line)["source-ref"]] = line
        self.status[sent["DatasetArn"]] = "UPDATE_COMPLETE"
        return {}

    def _create_project(self, sent: Json) -> Json:
        if sent["ProjectName"] in self.projects:
            raise RefusedError("ResourceInUseException", "there is a project of that name")
        return {"ProjectArn": self.project(sent["ProjectName"])}

    def _create_dataset(self, sent: Json) -> Json:
        place = sent["DatasetSource"]["GroundTruthManifest"]["S3Object"]
        text = self.s3.get_object(Bucket=place["Bucket"], Key=place["Name"])["Body"].read().decode()
        project = sent["ProjectArn"].split("/")[1]
        return {"DatasetArn": self.dataset(project, sent["DatasetType"].lower(), text.splitlines())}

    def _delete_dataset(self, sent: Json) -> Json:
        del self.datasets[sent["DatasetArn"]]
        return {}

    def _create_project_version(self, sent: Json) -> Json:
        project = sent["ProjectArn"].split("/")[1]
        place = {"Bucket": sent["OutputConfig"]["S3Bucket"], "Name": f"{sent['OutputConfig']['S3KeyPrefix']}/s.json"}
        result = {"F1Score": 0.9, "Summary": {"S3Object": place}}
        made = self.version(project, sent["VersionName"], Status="TRAINING_COMPLETED", EvaluationResult=result)
        self.evaluation["EvaluationDetails"]["ProjectVersionArn"] = made["ProjectVersionArn"]
        self.s3.put_object(Bucket=place["Bucket"], Key=place["Name"], Body=json.dumps(self.evaluation))
        return {"ProjectVersionArn": made["ProjectVersionArn"]}

    def _tag_resource(self, sent: Json) -> Json:
        self.tags.setdefault(sent["ResourceArn"], {}).update(sent["Tags"])
        return {}

    def _put_project_policy(self, sent: Json) -> Json:
        self.policies.setdefault(sent["ProjectArn"], {})[sent["PolicyName"]] = sent["PolicyDocument"]
        return {"PolicyRevisionId": "0b"}

    def _list_project_policies(self, sent: Json) -> Json:
        held = [
            {"ProjectArn": sent["ProjectArn"], "PolicyName": name, "PolicyDocument": document, "PolicyRevisionId": "0a"}
            for name, document in self.policies.get(sent["ProjectArn"], {}).items()
        ]
        return self._pages("ProjectPolicies", held, sent)

    def _describe_project_versions(self, sent: Json) -> Json:
        names = sent.get("VersionNames")
        held = self.versions.get(sent["ProjectArn"], [])
        shown = [one for one in held if names is None or one["ProjectVersionArn"].split("/")[3] in names]
        return self._pages("ProjectVersionDescriptions", shown, sent)


@contextmanager
def serving(account: Account) -> Iterator[Account]:
    """The account at an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, told = 200, account.answer(self.headers["X-Amz-Target"].partition(".")[2], sent)
            except RefusedError as error:
                status, told = 400, {"__type": error.args[0], "message": error.args[1]}
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    account.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
