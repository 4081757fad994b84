"""Sends many requests and says what is wrong with any answer."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from prometheus_client import REGISTRY

from tests.fuzz.door import Answer, Door, Request, door, surroundings
from tests.fuzz.requests import BUCKET, MANIFESTS, Requests, manifest
from vigia_client.service_model import API_VERSION, data_path
from vigia_registry.http.lookoutvision.operations import find
from vigia_registry.settings import Settings
from vigia_runtime.errors import AppError
from vigia_stack.parts.objects import ObjectStoreAddress

#: Errors that a request may end in, and their status. InternalServerException is never right here: all is well outside.
ERRORS: Final = {
    "ValidationException": 400,
    "IncompleteSignature": 400,
    "ServiceQuotaExceededException": 402,
    "AccessDeniedException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationToken": 403,
    "RequestExpired": 403,
    "UnrecognizedClientException": 403,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
    "ConflictException": 409,
    "RequestEntityTooLargeException": 413,
}
#: With these, no caller is proven, or no operation named: there may be nobody and nothing to write down.
_UNPROVEN: Final = {
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "RequestEntityTooLargeException",
    "UnknownOperationException",
    "UnrecognizedClientException",
}
_NAMED: Final = {"ResourceNotFoundException", "ConflictException"}
#: After so many requests the waiting jobs are done.
_WORK_EVERY: Final = 50
_TELL_EVERY: Final = 5000
_MOST_PROBLEMS: Final = 20


@dataclass
class Report:
    """What was sent and what came back, by operation and outcome; ``problems`` is empty when all was right."""

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.sent.total()


def fuzz(postgres_server: str, store: ObjectStoreAddress, seed: int, number: int) -> Report:
    """A registry on a database of its own, asked ``number`` times."""
    client = store.client()
    client.create_bucket(Bucket=BUCKET)
    for kind in MANIFESTS:
        client.put_object(Bucket=BUCKET, Key=f"{kind}.manifest", Body=manifest(kind))

    async def live(settings: Settings) -> Report:
        async with door(settings) as opened:
            return await _run(opened, seed, number)

    with surroundings(postgres_server, store) as settings:
        return asyncio.run(live(settings))


async def _run(door: Door, seed: int, number: int) -> Report:
    """Send ``number`` requests, one after the other."""
    source, report = Requests(seed, await door.limited_key()), Report()
    before, lost = await door.everything(), _lost()
    for count in range(1, number + 1):
        operation, request = source.next()
        records = await door.records()
        answer = await door.send(request)
        after = await door.everything()
        changed = before != after
        before = after
        outcome = "" if answer.raised else answer.headers.get("x-amzn-errortype", str(answer.status))
        report.sent[operation, outcome] += 1
        problems = wrong(request, answer, changed) + unrecorded(answer, await door.records() - records)
        if problems:
            report.problems.append(f"{', '.join(problems)}\n  {_shown(request)}\n  {_answer(answer)}")
        _remember(source, answer)
        if count % _WORK_EVERY == 0 or count == number:
            report.problems += await door.work()
            before = await door.everything()
        if count % _TELL_EVERY == 0:
            print(f"{count} requests, {len(report.problems)} problems", file=sys.stderr, flush=True)
        if len(report.problems) >= _MOST_PROBLEMS:
            break
    if _lost() != lost:
        report.problems.append(f"{_lost() - lost:g} calls are in no audit record")
    return report


def _lost() -> float:
    """What the registry itself counts of calls that are in no record."""
    return REGISTRY.get_sample_value("vigia_calls_unrecorded_total", {"service": "registry"}) or 0.0


def wrong(request: Request, answer: Answer, changed: bool) -> list[str]:
    """What is wrong with an answer; ``changed``: the request left something behind."""
    if answer.raised:
        return [f"raised {answer.raised}"]
    found = []
    code = answer.headers.get("x-amzn-errortype")
    failed = answer.status >= 400
    if not answer.headers.get("x-amzn-requestid"):
        found.append("no x-amzn-requestid")
    if answer.headers.get("content-type") != "application/json":
        found.append("not JSON by its content type")
    if failed != (code is not None) or (code is not None and ERRORS.get(code) != answer.status):
        found.append(f"status {answer.status} with error type {code}")
    if changed and (failed or request.method == "GET"):
        found.append("something is left behind")
    try:
        content = json.loads(answer.body)
    except ValueError:
        return [*found, "the body is not JSON"]
    if not isinstance(content, dict):
        return [*found, "the body is not an object"]
    if not failed:
        return found + _differs(request, answer.status, content)
    if not isinstance(content.get("Message"), str) or not content["Message"]:
        found.append("no message")
    if len(answer.body) > 5000:
        found.append("an endless error")
    if code in _NAMED and not (content.get("ResourceId") and content.get("ResourceType")):
        found.append("the resource is not named")
    if code == "ServiceQuotaExceededException" and not (content.get("QuotaCode") and content.get("ServiceCode")):
        found.append("the quota is not named")
    return found


def unrecorded(answer: Answer, records: int) -> list[str]:
    """What is wrong with the ``records`` that a call has left in the audit: it leaves one."""
    if records == 1 or (records == 0 and answer.headers.get("x-amzn-errortype") in _UNPROVEN):
        return []
    return [f"{records} audit records"]


def _differs(request: Request, status: int, content: dict[str, Any]) -> list[str]:
    """Where a success differs from the service model of the SDKs."""
    try:
        operation, _ = find(request.method, request.path)
    except AppError as error:
        return [f"a success of {error}"]
    model = service_model().operation_model(operation.name)
    found = [] if status == model.http.get("responseCode", 200) else [f"status {status} of {operation.name}"]
    shape = model.output_shape
    return found + ([] if shape is None else unlike(shape, content, operation.name))


@functools.cache
def service_model() -> ServiceModel:
    """The model that SDKs of the protocol are made from."""
    file = data_path() / "lookoutvision" / API_VERSION / "service-2.json"
    return ServiceModel(json.loads(file.read_text()), "lookoutvision")


def unlike(shape: Shape, value: Any, where: str) -> list[str]:
    """Where ``value`` differs from ``shape``: unknown members, wrong types, values that no enumeration has."""
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return [f"{where} is no structure"]
        found = [f"{where} has no {name}" for name in shape.required_members if name not in value]
        for name, member in value.items():
            known = shape.members.get(name)
            found += [f"{where}.{name} is unknown"] if known is None else unlike(known, member, f"{where}.{name}")
        return found
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [text for item in value for text in unlike(shape.member, item, f"{where}[]")]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            return [f"{where} is no map"]
        return [text for item in value.values() for text in unlike(shape.value, item, f"{where}{{}}")]
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "float": (int, float),
        "boolean": bool,
        "timestamp": (int, float),
    }
    if not isinstance(value, kinds[shape.type_name]):
        return [f"{where} is no {shape.type_name}"]
    if shape.type_name == "timestamp" and not 1.6e9 < float(value) < datetime(2100, 1, 1, tzinfo=UTC).timestamp():
        return [f"{where} is no time in seconds"]
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        return [f"{where} is {value}, which no client knows"]
    return []


def _remember(source: Requests, answer: Answer) -> None:
    if answer.status == 200 and b"NextToken" in answer.body:
        source.page_tokens = [*source.page_tokens[-50:], json.loads(answer.body)["NextToken"]]
    source.client_tokens = source.client_tokens[-50:]


def _shown(request: Request) -> str:
    body = b"".join(request.body)
    named = {name: value for name, value in request.headers if name.lower() not in ("authorization", "x-amz-date")}
    return f"{request.method} {request.path[:500]}?{request.query[:500]} {named} {body[:1000]!r} ({len(body)} bytes)"


def _answer(answer: Answer) -> str:
    return f"{answer.status} {answer.headers} {answer.body[:1000]!r}"
