"""Lookout for Vision under random requests: what may come back."""

from __future__ import annotations

import functools
import json
from typing import Any, Final

from botocore.model import ServiceModel

from tests.fuzz.door import Answer, Request
from tests.fuzz.requests import BUCKET, MANIFESTS, Requests, manifest
from tests.fuzz.run import Subject, unlike
from vigia_client.service_model import API_VERSION, data_path
from vigia_registry.http.lookoutvision.operations import find
from vigia_runtime.errors import AppError

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
_NAMED: Final = {"ResourceNotFoundException", "ConflictException"}


def wrong(_: str, request: Request, answer: Answer, changed: bool) -> list[str]:
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


def _shown(request: Request) -> str:
    body = b"".join(request.body)
    named = {name: value for name, value in request.headers if name.lower() not in ("authorization", "x-amz-date")}
    return f"{request.method} {request.path[:500]}?{request.query[:500]} {named} {body[:1000]!r} ({len(body)} bytes)"


LOOKOUT: Final = Subject(BUCKET, {f"{kind}.manifest": manifest(kind) for kind in MANIFESTS}, Requests, wrong, _shown)
