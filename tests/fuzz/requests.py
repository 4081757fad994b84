"""Makes requests: a good one, then as many things wrong with it as chance wants, then signed, mostly well."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.fuzz.door import ACCOUNT, KEY, MOST_BODY, REGION, SECRET, Answer, Request

BUCKET: Final = "fuzz-customer"
#: Manifests in the bucket, by key: what an import finds there.
MANIFESTS: Final = ("good", "few", "segmented", "broken", "large", "labels", "empty")
_LIKELY: Final = (6, 1, 4, 1, 1, 1, 1)
_BASE: Final = "/2020-11-20"
_NAMES: Final = [f"p{n}" for n in range(6)]
_SIGNER: Final = SigV4Auth(Credentials(KEY, SECRET), "lookoutvision", REGION)

_TEXTS: Final = [
    "",
    " ",
    "a" * 256,
    "a" * 70_000,
    "\0",
    "a\0b",
    "\ud800",
    "é",
    "日本" * 100,
    "\u2028\u202e",
    "..",
    "../..",
    "a//b",
    "/",
    "%2F",
    "%",
    "latest",
    "LATEST",
    "0",
    "01",
    "-1",
    "9999999999",
    "99999999999",
    "٣",
    "1e9",
    "NaN",
    "null",
    "true",
    "'; drop table registry.projects; --",
    "${jndi:x}",
    "{}",
    "train",
    "Train",
    "arn:aws:lookoutvision:us-east-1:111122223333:model/p1/1",
    "x\r\nx-amzn-errortype: y",
    "2022-01-02T03:04:05Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2022-13-01",
    "20220102T030405Z",
    "2022-W01-1",
    "24:00",
    "AAAA",
    "AA==" * 500,
    "=" * 10,
]
_OTHERS: Final[list[Any]] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    -0.0,
    2**31,
    2**63,
    2**64,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    [],
    {},
    [[]],
    [None],
    ["a"] * 1000,
    {"": ""},
    {"Bucket": []},
    {"GroundTruthManifest": {"S3Object": 5}},
]
#: What leads deeper comes more often, what removes it less.
_OFTEN: Final = {
    "_make_create_dataset": 2.0,
    "_make_create_model": 3.0,
    "_make_start_model": 2.0,
    "_make_start_packaging": 2.0,
    "_make_tags": 2.0,
    "_make_delete_project": 0.2,
    "_make_delete_dataset": 0.4,
    "_make_delete_model": 0.5,
}
_QUERY: Final = [
    "maxResults",
    "nextToken",
    "labeled",
    "anomalyClass",
    "createdBefore",
    "createdAfter",
    "sourceRefContains",
    "tagKeys",
    "unknown",
]


def any_text(chance: Random) -> str:
    """A text that nobody expects."""
    if chance.random() < 0.8:
        return chance.choice(_TEXTS)
    return "".join(chr(chance.choice((chance.randrange(128), chance.randrange(0x11000)))) for _ in range(8))


def any_value(chance: Random) -> Any:
    """A value that nobody expects."""
    return any_text(chance) if chance.random() < 0.5 else copy.deepcopy(chance.choice(_OTHERS))


@dataclass
class Draft:
    """A request on its way to being one."""

    operation: str
    method: str
    path: list[str]
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None
    raw: bytes | None = None
    raw_query: str | None = None


class Requests:
    """An endless source; the same seed gives the same requests as long as the answers are the same."""

    def __init__(self, seed: int, limited: Credentials) -> None:
        self._limited = SigV4Auth(limited, "lookoutvision", REGION)
        self.random = Random(seed)
        #: Page tokens and client tokens seen before.
        self.page_tokens: list[str] = []
        self.client_tokens: list[str] = []
        self._made: list[Callable[[], Draft]] = [getattr(self, name) for name in dir(self) if name.startswith("_make_")]
        self._weights = [_OFTEN.get(make.__name__, 1.0) for make in self._made]
        self._wrong: list[Callable[[Draft], None]] = [
            getattr(self, name) for name in dir(self) if name.startswith("_wrong_")
        ]

    def next(self) -> tuple[str, Request]:
        """The operation that the request began as, and the request."""
        chance = self.random
        draft = chance.choices(self._made, self._weights)[0]()
        if chance.random() < 0.2:
            self._with_client_token(draft)
        for _ in range(chance.choices((0, 1, 2, 3), (4, 6, 2, 1))[0]):
            chance.choice(self._wrong)(draft)
        return draft.operation, self._signed(draft)

    def remember(self, answer: Answer) -> None:
        """Keep what later requests may name."""
        if answer.status == 200 and b"NextToken" in answer.body:
            self.page_tokens = [*self.page_tokens[-50:], json.loads(answer.body)["NextToken"]]
        self.client_tokens = self.client_tokens[-50:]

    def _name(self) -> str:
        return self.random.choice(_NAMES)

    def _kind(self) -> str:
        return self.random.choice(("train", "train", "test"))

    def _version(self) -> str:
        return self.random.choice(("1", "1", "2", "3", "7", "latest"))

    def _text(self) -> str:
        return any_text(self.random)

    def _value(self) -> Any:
        return any_value(self.random)

    # What a client asks for.

    def _make_create_project(self) -> Draft:
        return Draft("CreateProject", "POST", ["projects"], body={"ProjectName": self._name()})

    def _make_list_projects(self) -> Draft:
        return Draft("ListProjects", "GET", ["projects"], query=self._page())

    def _make_describe_project(self) -> Draft:
        return Draft("DescribeProject", "GET", ["projects", self._name()])

    def _make_delete_project(self) -> Draft:
        return Draft("DeleteProject", "DELETE", ["projects", self._name()])

    def _make_create_dataset(self) -> Draft:
        body: dict[str, Any] = {"DatasetType": self._kind()}
        if self.random.random() < 0.8:
            place: dict[str, Any] = {"Bucket": BUCKET, "Key": f"{self.random.choices(MANIFESTS, _LIKELY)[0]}.manifest"}
            if self.random.random() < 0.1:
                place["VersionId"] = self._text()
            body["DatasetSource"] = {"GroundTruthManifest": {"S3Object": place}}
        return Draft("CreateDataset", "POST", ["projects", self._name(), "datasets"], body=body)

    def _make_describe_dataset(self) -> Draft:
        return Draft("DescribeDataset", "GET", ["projects", self._name(), "datasets", self._kind()])

    def _make_delete_dataset(self) -> Draft:
        return Draft("DeleteDataset", "DELETE", ["projects", self._name(), "datasets", self._kind()])

    def _make_list_entries(self) -> Draft:
        query = self._page()
        for name, values in {
            "labeled": ("true", "false"),
            "anomalyClass": ("normal", "anomaly"),
            "createdBefore": ("2030-01-01T00:00:00Z",),
            "createdAfter": ("2020-01-01T00:00:00Z",),
            "sourceRefContains": ("a", "image", "%", "ü"),
        }.items():
            if self.random.random() < 0.2:
                query.append((name, self.random.choice(values)))
        return Draft(
            "ListDatasetEntries", "GET", ["projects", self._name(), "datasets", self._kind(), "entries"], query
        )

    def _make_update_entries(self) -> Draft:
        lines = [entry(self._name(), self.random.choice(("normal", "anomaly", "x"))) for _ in range(3)]
        changes = "\n".join(json.dumps(line) for line in {line["source-ref"]: line for line in lines}.values()).encode()
        if self.random.random() < 0.5:
            changes = self._damaged(changes)
        body = {"Changes": base64.b64encode(changes).decode()}
        return Draft(
            "UpdateDatasetEntries", "PATCH", ["projects", self._name(), "datasets", self._kind(), "entries"], body=body
        )

    def _make_create_model(self) -> Draft:
        body: dict[str, Any] = {"OutputConfig": {"S3Location": {"Bucket": BUCKET, "Prefix": "out"}}}
        if self.random.random() < 0.3:
            body |= {"Description": "d", "Tags": [{"Key": "a", "Value": "b"}], "KmsKeyId": "alias/x"}
        return Draft("CreateModel", "POST", ["projects", self._name(), "models"], body=body)

    def _make_list_models(self) -> Draft:
        return Draft("ListModels", "GET", ["projects", self._name(), "models"], query=self._page())

    def _make_describe_model(self) -> Draft:
        return Draft("DescribeModel", "GET", ["projects", self._name(), "models", self._version()])

    def _make_delete_model(self) -> Draft:
        return Draft("DeleteModel", "DELETE", ["projects", self._name(), "models", self._version()])

    def _make_start_model(self) -> Draft:
        body = {"MinInferenceUnits": self.random.choice((1, 2, 6))}
        if self.random.random() < 0.5:
            body["MaxInferenceUnits"] = self.random.choice((1, 3, 9))
        return Draft("StartModel", "POST", ["projects", self._name(), "models", self._version(), "start"], body=body)

    def _make_stop_model(self) -> Draft:
        return Draft("StopModel", "POST", ["projects", self._name(), "models", self._version(), "stop"])

    def _make_start_packaging(self) -> Draft:
        chance = self.random
        target: dict[str, Any] = {"TargetDevice": "jetson_xavier"}
        if chance.random() < 0.6:
            target = {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64", "Accelerator": "NVIDIA"}}
        greengrass = {
            **target,
            "CompilerOptions": '{"gpu-code": "sm_72", "trt-ver": "7.1.3", "cuda-ver": "10.2"}',
            "S3OutputLocation": {"Bucket": BUCKET, "Prefix": "components"},
            "ComponentName": f"component-{chance.randrange(9)}",
            "ComponentVersion": f"1.0.{chance.randrange(3)}",
            "ComponentDescription": "d",
            "Tags": [{"Key": "a", "Value": "b"}],
        }
        body: dict[str, Any] = {"ModelVersion": self._version(), "Configuration": {"Greengrass": greengrass}}
        if chance.random() < 0.5:
            body["JobName"] = f"job-{chance.randrange(9)}"
        return Draft("StartModelPackagingJob", "POST", ["projects", self._name(), "modelpackagingjobs"], body=body)

    def _make_list_packaging(self) -> Draft:
        path = ["projects", self._name(), "modelpackagingjobs"]
        return Draft("ListModelPackagingJobs", "GET", path, query=self._page())

    def _make_describe_packaging(self) -> Draft:
        path = ["projects", self._name(), "modelpackagingjobs", f"job-{self.random.randrange(9)}"]
        return Draft("DescribeModelPackagingJob", "GET", path)

    def _make_tags(self) -> Draft:
        arn = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{self._name()}/{self.random.choice('123')}"
        match self.random.randrange(3):
            case 0:
                tags = [{"Key": self.random.choice("abcdef"), "Value": "x"}]
                return Draft("TagResource", "POST", ["tags", arn], body={"Tags": tags})
            case 1:
                return Draft("UntagResource", "DELETE", ["tags", arn], query=[("tagKeys", "a"), ("tagKeys", "b")])
            case _:
                return Draft("ListTagsForResource", "GET", ["tags", arn])

    def _make_other(self) -> Draft:
        method, path = self.random.choice(
            (
                ("POST", ["projects", self._name(), "models", "1", "detect"]),
                ("GET", []),
                ("GET", ["nothing"]),
            )
        )
        return Draft("other", method, path, body={"Tags": [{"Key": "a", "Value": "b"}]})

    def _page(self) -> list[tuple[str, str]]:
        query = []
        if self.random.random() < 0.5:
            query.append(("maxResults", self.random.choice(("1", "3", "100"))))
        if self.page_tokens and self.random.random() < 0.4:
            query.append(("nextToken", self.random.choice(self.page_tokens)))
        return query

    # What may be wrong with it.

    def _with_client_token(self, draft: Draft) -> None:
        if self.client_tokens and self.random.random() < 0.5:
            token = self.random.choice(self.client_tokens)
        else:
            token = f"{self.random.getrandbits(64):x}"
            self.client_tokens.append(token)
        draft.headers.append(("X-Amzn-Client-Token", token))

    def _wrong_path(self, draft: Draft) -> None:
        chance = self.random
        index = chance.randrange(len(draft.path) + 1)
        match chance.randrange(4):
            case 0:
                draft.path.insert(index, self._text())
            case 1 if draft.path:
                del draft.path[index % len(draft.path)]
            case _ if draft.path:
                draft.path[index % len(draft.path)] = self._text()

    def _wrong_method(self, draft: Draft) -> None:
        draft.method = self.random.choice(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"))

    def _wrong_query(self, draft: Draft) -> None:
        chance = self.random
        for _ in range(chance.randrange(1, 3)):
            draft.query.append((chance.choice(_QUERY), self._text()))
        if chance.random() < 0.2:
            draft.raw_query = chance.choice(
                ("%", "a=%zz&&=", "=", "maxResults", "maxResults=5&maxResults=x", "&" * 500)
            )

    def _wrong_token(self, draft: Draft) -> None:
        if self.page_tokens:
            token = [*self.random.choice(self.page_tokens)]
            token[self.random.randrange(len(token))] = self.random.choice("aZ0+/= ")
            draft.query.append(("nextToken", "".join(token)))

    def _wrong_header(self, draft: Draft) -> None:
        chance = self.random
        text = "".join(c for c in self._text() if c.isprintable())[:2000].strip()
        draft.headers.append(
            chance.choice(
                (
                    ("X-Amzn-Client-Token", text),
                    ("Content-Type", text),
                    ("Content-Encoding", "gzip"),
                    ("Expect", "100-continue"),
                    ("Content-Length", chance.choice(("0", "999999999999", "x", "-1"))),
                    ("X-Forwarded-For", text),
                    ("Transfer-Encoding", "chunked"),
                    ("Range", "bytes=0-0"),
                )
            )
        )

    def _wrong_member(self, draft: Draft) -> None:
        """One member of the body has another value, is gone, or is new."""
        places: list[tuple[Any, Any]] = []

        def walk(value: Any) -> None:
            for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
                places.append((value, key))
                walk(value[key])

        walk(draft.body)
        if not places or self.random.random() < 0.1:
            draft.body = self._value()
            return
        place, key = self.random.choice(places)
        match self.random.randrange(6):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[self._text()] = self._value()
            case _:
                place[key] = self._value()

    def _wrong_bytes(self, draft: Draft) -> None:
        chance = self.random
        body = _json(draft.body)
        text = body.decode()
        index = chance.randrange(len(body) + 1)
        draft.raw = chance.choice(
            (
                lambda: body[:index],
                lambda: body[:index] + bytes([chance.randrange(256)]) + body[index:],
                lambda: text.encode("utf-16"),
                lambda: text.encode("utf-32"),
                lambda: b"\xef\xbb\xbf" + body,
                lambda: gzip.compress(body),
                lambda: body + body,
                lambda: b"[" * chance.choice((10, 900, 990, 20_000)),
                lambda: b'{"a":' * (depth := chance.choice((10, 300, 800, 900, 960, 980, 990))) + b"1" + b"}" * depth,
                lambda: b'{"ProjectName": ' + b"9" * chance.choice((20, 4299, 5000)) + b"}",
                lambda: b'{"ProjectName": "p1", "ProjectName": "p2"}',
                lambda: b"x" * (MOST_BODY + 1),
                lambda: chance.randbytes(40),
                lambda: b"null",
                lambda: b"",
            )
        )()

    def _damaged(self, data: bytes) -> bytes:
        chance = self.random
        index = chance.randrange(len(data))
        return chance.choice(
            (
                data[:index],
                data[:index] + bytes([chance.randrange(256)]) + data[index + 1 :],
                data.replace(b'"anomaly"', _json(self._value())),
                data.replace(b'"yes"', _json(self._value())),
                data.replace(b"s3://", b"s3: //"),
                data.replace(b"images/", _json(self._text())[1:-1] + b"/"),
                data.replace(b"anomaly-label", _json(self._text())[1:-1] or b"x"),
                data.replace(b"\n", b"\r\n\r\n"),
                b"\xef\xbb\xbf" + data,
                data + b"\n" + b"x" * 9000,
                data + b"\n" + data,
                b"\n".join(_json(entry(f"more{n}", "normal")) for n in range(80)),
            )
        )

    def _signed(self, draft: Draft) -> Request:
        chance = self.random
        body = draft.raw if draft.raw is not None else b"" if draft.body is None else _json(draft.body)
        path = "/".join([_BASE, *(_segment(part, chance.random() < 0.1) for part in draft.path)])
        query = "&".join(f"{_percent(name)}={_percent(value)}" for name, value in draft.query)
        if draft.raw_query is not None:
            query = draft.raw_query
        headers = [("Host", "registry"), *draft.headers]
        request = AWSRequest(draft.method, f"http://registry{path}{'?' if query else ''}{query}", data=body)
        for name, value in headers:
            request.headers.add_header(name, value)
        (self._limited if chance.random() < 0.1 else _SIGNER).add_auth(request)
        headers = [(name, value) for name, value in request.headers.items()]
        if chance.random() < 0.05:
            headers = self._unsigned(headers)
        cut = chance.randrange(len(body) + 1)
        return Request(
            draft.method, path, query, headers, (body[:cut], body[cut:]) if chance.random() < 0.3 else (body,)
        )

    def _unsigned(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Something is wrong with who asks."""
        chance = self.random
        name = chance.choice(("authorization", "x-amz-date", "host"))
        match chance.randrange(5):
            case 0:
                return [pair for pair in headers if pair[0].lower() != name]
            case 1:
                return [(key, value[: len(value) // 2] if key.lower() == name else value) for key, value in headers]
            case 2:
                return [(key, value.replace("/", "//") if key.lower() == name else value) for key, value in headers]
            case 3:
                dates = ("Fri, 31 Dec 9999 23:59:59 -2359", "x", "Mon, 01 Jan 99999999999999 00:00:00 GMT")
                return [pair for pair in headers if pair[0].lower() != "x-amz-date"] + [("Date", chance.choice(dates))]
            case _:
                garbage = ("Basic QUtJQTp4", "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=/////", "é")
                return [(key, chance.choice(garbage) if key.lower() == "authorization" else v) for key, v in headers]


def entry(name: str, class_name: str, label: str | None = None) -> dict[str, Any]:
    """A line of a manifest, with a mask of ``label`` where given."""
    fields: dict[str, Any] = {
        "source-ref": f"s3://{BUCKET}/images/{name}.jpg",
        "anomaly-label": 1,
        "anomaly-label-metadata": {
            "class-name": class_name,
            "human-annotated": "yes",
            "type": "groundtruth/image-classification",
        },
    }
    if label is not None:
        fields["anomaly-mask-ref"] = f"s3://{BUCKET}/masks/{name}.png"
        fields["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {"0": {"class-name": label, "hex-color": "#23A436"}},
            "human-annotated": "yes",
            "type": "groundtruth/semantic-segmentation",
        }
    return fields


def manifest(kind: str) -> bytes:
    """The content of one of ``MANIFESTS``."""
    good = [entry(f"n{n}", "normal") for n in range(21)] + [entry(f"a{n}", "anomaly") for n in range(11)]
    lines = {
        "good": good,
        "few": good[:3],
        "segmented": [entry(f"n{n}", "normal") for n in range(21)]
        + [entry(f"a{n}", "anomaly", "x") for n in range(21)],
        "broken": [*good[:5], {"source-ref": "s3: //x"}],
        "large": [entry(f"n{n}", "normal") for n in range(70)],
        "labels": [entry(f"a{n}", "anomaly", f"label{n}") for n in range(6)],
        "empty": [],
    }[kind]
    return b"\n".join(_json(line) for line in lines)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _percent(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _segment(text: str, plain: bool) -> str:
    """A part of the path: percent-encoded as clients do, or as much as may stand there as it is."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="/:;,@!$&'()*+=" if plain else "")
