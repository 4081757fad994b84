"""Custom Labels under random requests: made from the service model that the SDKs are made from.

A request begins as one that a client could send, with names and ARNs that were seen in answers before; then chance puts
wrong things into it.
"""

from __future__ import annotations

import base64
import copy
import functools
import json
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from tests.fuzz.door import ACCOUNT, KEY, REGION, SECRET, Answer, Request
from tests.fuzz.requests import any_text, any_value
from tests.fuzz.run import Subject, unlike
from vigia_registry.http.customlabels.operations import OPERATIONS, TARGET

BUCKET: Final = "fuzz-labels"
#: Manifests in the bucket, by key.
MANIFESTS: Final = ("cl-good", "cl-boxes", "cl-broken", "cl-empty")
#: What any operation may end in. InternalServerError is never right here: all is well outside.
_ALWAYS: Final = frozenset(
    {
        "AccessDeniedException",
        "InvalidParameterException",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "RequestEntityTooLargeException",
        "IncompleteSignature",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
_SIGNER: Final = SigV4Auth(Credentials(KEY, SECRET), "rekognition", REGION)
_NAMES: Final = [f"r{n}" for n in range(4)]
#: What leads deeper comes more often, what removes it less.
_OFTEN: Final = {
    "CreateProject": 2.0,
    "CreateDataset": 4.0,
    "CreateProjectVersion": 4.0,
    "UpdateDatasetEntries": 2.0,
    "DeleteProject": 0.3,
    "DeleteDataset": 0.4,
    "DeleteProjectVersion": 0.5,
}


@functools.cache
def service_model() -> ServiceModel:
    """The model that SDKs of Rekognition are made from."""
    return ServiceModel(botocore.session.get_session().get_service_data("rekognition"), "rekognition")


def lines(kind: str) -> bytes:
    """The content of one of ``MANIFESTS``."""
    good = [labelled(f"{label}{n}", label) for n in range(12) for label in ("a", "b")]
    content = {
        "cl-good": good,
        "cl-boxes": [boxed(f"box{n}") for n in range(12)],
        "cl-broken": [*good[:3], *({"source-ref": n} for n in range(9))],
        "cl-empty": [],
    }[kind]
    return b"\n".join(json.dumps(line).encode() for line in content)


def labelled(name: str, label: str) -> dict[str, Any]:
    """A line with a label of the whole image."""
    metadata = {
        "confidence": 1,
        "class-name": label,
        "human-annotated": "yes",
        "creation-date": "2021-07-11T03:32:13",
        "type": "groundtruth/image-classification",
    }
    return {"source-ref": f"s3://{BUCKET}/images/{name}.jpg", "x": 1, "x-metadata": metadata}


def boxed(name: str) -> dict[str, Any]:
    """A line with a box."""
    return {
        "source-ref": f"s3://{BUCKET}/images/{name}.jpg",
        "b": {
            "image_size": [{"width": 640, "height": 480, "depth": 3}],
            "annotations": [{"class_id": 0, "left": 10, "top": 10, "width": 50, "height": 50}],
        },
        "b-metadata": {
            "objects": [{"confidence": 1}],
            "class-map": {"0": "part"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "creation-date": "2021-07-11T03:32:13",
        },
    }


class LabelRequests:
    """An endless source; the same seed gives the same requests as long as the answers are the same."""

    def __init__(self, seed: int, limited: Credentials) -> None:
        self.random = Random(seed)
        self._limited = SigV4Auth(limited, "rekognition", REGION)
        #: Page tokens, policy revisions, and ARNs by the member that wants one.
        self.tokens: list[str] = []
        self.revisions: list[str] = []
        self.arns: dict[str, list[str]] = {}
        self._operations = [name for name, handler in OPERATIONS.items() if handler is not None]

    def next(self) -> tuple[str, Request]:
        """The operation that the request began as, and the request."""
        chance = self.random
        operation = chance.choices(self._operations, [_OFTEN.get(name, 1.0) for name in self._operations])[0]
        shape = service_model().operation_model(operation).input_shape
        body = self._structure(operation, shape) if isinstance(shape, StructureShape) else {}
        for _ in range(chance.choices((0, 1, 2), (6, 3, 1))[0]):
            body = self._spoilt(body)
        raw = json.dumps(body).encode()
        if chance.random() < 0.05:
            raw = chance.choice((raw[: len(raw) // 2], b"[]", b"null", b"\xff\xfe", b'{"a":' * 200, b""))
        target = f"{TARGET}{operation}"
        if chance.random() < 0.03:
            target = chance.choice((TARGET, "RekognitionService.DetectFaces", "x", f"{TARGET}{any_text(chance)}"))
            target = "".join(c for c in target if " " <= c <= "~")
        return operation, self._signed(target, raw)

    def remember(self, answer: Answer) -> None:
        """Keep what later requests may name."""
        if answer.status != 200:
            return
        content = json.loads(answer.body)
        if "NextToken" in content:
            self.tokens = [*self.tokens[-20:], content["NextToken"]]
        if "PolicyRevisionId" in content:
            self.revisions = [*self.revisions[-20:], content["PolicyRevisionId"]]
        for member in ("ProjectArn", "DatasetArn", "ProjectVersionArn"):
            if member in content:
                self.arns[member] = [*self.arns.get(member, [])[-12:], content[member]]

    def _arn(self, member: str) -> str:
        kind = {
            "SourceProjectArn": "ProjectArn",
            "DestinationProjectArn": "ProjectArn",
            "SourceProjectVersionArn": "ProjectVersionArn",
            "Arn": "DatasetArn",
            "ResourceArn": self.random.choice(("ProjectVersionArn", "ProjectArn", "DatasetArn")),
        }.get(member, member)
        own = f"arn:aws:rekognition:{REGION}:{ACCOUNT}:project/{self.random.choice(_NAMES)}"
        unknown = {"DatasetArn": "/dataset/train/1", "ProjectVersionArn": "/version/v/1"}.get(kind, "/1")
        known = self.arns.get(kind, [])
        return self.random.choice(known) if known and self.random.random() < 0.9 else own + unknown

    def _structure(self, operation: str, shape: StructureShape) -> dict[str, Any]:
        body = {}
        for name, member in shape.members.items():
            if name in shape.required_members or self.random.random() < 0.3:
                body[name] = self._member(operation, name, member)
        return body

    def _member(self, operation: str, name: str, shape: Shape) -> Any:
        chance = self.random
        if name.endswith("Arn") and shape.type_name == "string":
            return self._arn(name)
        special = {
            "ProjectName": lambda: chance.choice(_NAMES),
            "ProjectNames": lambda: chance.sample(_NAMES, 2),
            "VersionName": lambda: f"v{chance.randrange(5)}",
            "VersionNames": lambda: [f"v{chance.randrange(5)}"],
            "S3Bucket": lambda: BUCKET,
            "S3KeyPrefix": lambda: chance.choice(("out", "out/", "")),
            "Bucket": lambda: BUCKET,
            "Name": lambda: f"{chance.choice(MANIFESTS)}.manifest",
            "Version": lambda: "1",
            "NextToken": lambda: chance.choice([*self.tokens, ""]),
            "PolicyName": lambda: f"policy{chance.randrange(7)}",
            "PolicyRevisionId": lambda: chance.choice([*self.revisions, "0a"]),
            "PolicyDocument": self._policy,
            "GroundTruth": self._changes,
            "Tags": lambda: {chance.choice("abcdef"): "x" for _ in range(chance.randrange(4))},
            "TagKeys": lambda: ["a", "b"],
            "Feature": lambda: "CUSTOM_LABELS",
            "Features": lambda: ["CUSTOM_LABELS"],
            "FeatureConfig": dict,
            "KmsKeyId": lambda: "alias/x",
            "VersionDescription": lambda: "d",
        }.get(name)
        if special is not None:
            return special()
        if isinstance(shape, StructureShape):
            return self._structure(operation, shape)
        if isinstance(shape, ListShape):
            count = 2 if operation == "DistributeDatasetEntries" else 1
            return [self._member(operation, name, shape.member) for _ in range(count)]
        if isinstance(shape, MapShape):
            return {}
        if shape.metadata.get("enum"):
            return chance.choice(shape.metadata["enum"])
        return {
            "integer": chance.choice((1, 2, 3)),
            "float": 50.0,
            "boolean": chance.random() < 0.5,
            "blob": base64.b64encode(b"x").decode(),
        }.get(shape.type_name, "a")

    def _policy(self) -> str:
        statement: dict[str, Any] = {
            "Effect": self.random.choice(("Allow", "DENY", "x")),
            "Principal": self.random.choice(("*", {"AWS": ACCOUNT}, [], {"Service": "x"})),
            "Action": self.random.choice(("rekognition:CopyProjectVersion", "rekognition:*", ["s3:GetObject"])),
            "Resource": self._arn("ProjectVersionArn"),
        }
        if self.random.random() < 0.2:
            statement[self.random.choice(("NotAction", "NotResource", "Condition", "Sid"))] = "x"
        document = {"Version": "2012-10-17", "Statement": [statement]}
        return json.dumps(document)[: None if self.random.random() < 0.9 else 30]

    def _changes(self) -> str:
        chance = self.random
        made = [labelled(f"more{chance.randrange(9)}", chance.choice("abc")) for _ in range(2)] + [boxed("more")]
        data = b"\n".join(json.dumps(line).encode() for line in made)
        if chance.random() < 0.3:
            at = chance.randrange(len(data))
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        return base64.b64encode(data).decode()

    def _spoilt(self, body: Any) -> Any:
        """One member has another value, is gone, or is new."""
        body = copy.deepcopy(body)
        places: list[tuple[Any, Any]] = []

        def walk(value: Any) -> None:
            for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
                places.append((value, key))
                walk(value[key])

        walk(body)
        if not places:
            return any_value(self.random)
        place, key = self.random.choice(places)
        match self.random.randrange(4):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[any_text(self.random)] = any_value(self.random)
            case _:
                place[key] = any_value(self.random)
        return body

    def _signed(self, target: str, body: bytes) -> Request:
        request = AWSRequest("POST", "http://registry/", data=body)
        for name, value in (("Host", "registry"), ("Content-Type", "application/x-amz-json-1.1")):
            request.headers.add_header(name, value)
        request.headers.add_header("X-Amz-Target", target)
        (self._limited if self.random.random() < 0.1 else _SIGNER).add_auth(request)
        headers = [(name, value) for name, value in request.headers.items()]
        if self.random.random() < 0.03:
            headers = [(n, v[: len(v) // 2] if n.lower() == "authorization" else v) for n, v in headers]
        return Request("POST", "/", "", headers, (body,))


def wrong(operation: str, _: Request, answer: Answer, changed: bool) -> list[str]:
    """What is wrong with an answer; ``changed``: the request left something behind."""
    if answer.raised:
        return [f"raised {answer.raised}"]
    found = []
    code = answer.headers.get("x-amzn-errortype")
    failed = answer.status >= 400
    if not answer.headers.get("x-amzn-requestid"):
        found.append("no x-amzn-requestid")
    if answer.headers.get("content-type") != "application/x-amz-json-1.1":
        found.append("not JSON by its content type")
    reading = operation.startswith(("Describe", "List"))
    if changed and (failed or reading):
        found.append("something is left behind")
    try:
        content = json.loads(answer.body)
    except ValueError:
        return [*found, "the body is not JSON"]
    if not isinstance(content, dict):
        return [*found, "the body is not an object"]
    model = service_model().operation_model(operation)
    if not failed:
        return found + ([] if model.output_shape is None else unlike(model.output_shape, content, operation))
    allowed = _ALWAYS | {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes}
    allowed |= {shape.name for shape in model.error_shapes}
    if code not in allowed or answer.status not in (400, 413):
        found.append(f"status {answer.status} with error type {code}")
    if content.get("__type") != code or not isinstance(content.get("message"), str) or not content["message"]:
        found.append("no type or no message")
    if len(answer.body) > 5000:
        found.append("an endless error")
    return found


def _shown(request: Request) -> str:
    named: Mapping[str, str] = {name.lower(): value for name, value in request.headers}
    return f"{named.get('x-amz-target')} {b''.join(request.body)[:1000]!r}"


LABELS: Final = Subject(BUCKET, {f"{kind}.manifest": lines(kind) for kind in MANIFESTS}, LabelRequests, wrong, _shown)
