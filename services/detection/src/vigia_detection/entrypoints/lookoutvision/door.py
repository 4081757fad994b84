"""DetectAnomalies over HTTP: who asks, what for, may they, and the answer or the error."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from vigia_contracts.audit import LOOKOUT
from vigia_contracts.deployments import Deployment
from vigia_contracts.events import Event
from vigia_contracts.inspections import InvalidCause
from vigia_detection.adapters.catalogue import RegistryCatalogue
from vigia_detection.app import detect
from vigia_detection.app.detect import Reply
from vigia_detection.app.errors import NotHosted, NotJudged
from vigia_detection.app.ports import Deployments
from vigia_detection.domain.evidence import JPEG, PNG, media_type
from vigia_detection.domain.hosted import LATEST, find_hosted
from vigia_detection.domain.outcome import Invalid, Outcome
from vigia_detection.entrypoints.calls import SERVICE, CallLog
from vigia_detection.entrypoints.lookoutvision import wire
from vigia_detection.entrypoints.places import FullError, Places
from vigia_runtime import metrics
from vigia_runtime.audit import Draft, Images, draft, is_read_only
from vigia_runtime.errors import LimitExceeded
from vigia_runtime.http import Body, receive_body, request_id
from vigia_runtime.policies import authorize, tag_keys
from vigia_runtime.signin import Authenticator, Credential, region_of
from vigia_vision.decode import DEFAULT_LIMITS

_SERVICE: Final = "lookoutvision"
_NAME: Final = "DetectAnomalies"
_ACTION: Final = f"lookoutvision:{_NAME}"
_PATH: Final = "/2020-11-20/projects/{project}/models/{version}/detect"
_PROJECT: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_\-]{0,254}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,9}|latest")
#: A region for the ARNs in messages, where the sign-in (HTTP Basic) names none.
_NO_REGION: Final = "us-east-1"

_CALLERS_FAULT: Final = frozenset({InvalidCause.UNDECODABLE, InvalidCause.TOO_LARGE, InvalidCause.WRONG_SIZE})


class Door:
    """One request at a time through sign-in, checks and use case."""

    def __init__(
        self,
        detector: detect.DetectAnomalies,
        deployments: Deployments,
        authenticator: Authenticator,
        catalogue: RegistryCatalogue,
        calls: CallLog,
        places: Places,
    ) -> None:
        self._detector = detector
        self._deployments = deployments
        self._calls = calls
        self._authenticator = authenticator
        self._catalogue = catalogue
        self._places = places

    def mount(self, app: FastAPI) -> None:
        """Open the door in ``app``."""
        app.add_api_route(_PATH, self.detect, methods=["POST"])

    async def detect(self, request: Request, project: str, version: str) -> Response:
        """DetectAnomalies: the answer, or AwsError. Written down either way, once the caller is known."""
        body = await receive_body(request, DEFAULT_LIMITS.max_bytes)
        credential = await self._authenticator.authenticate(request, body, _SERVICE)
        asked = draft(
            request,
            credential,
            region=region_of(request, _NO_REGION),
            source=LOOKOUT,
            name=_NAME,
            read_only=is_read_only(_NAME),
            parameters={
                "projectName": project,
                "modelVersion": version,
                "contentType": request.headers.get("content-type"),
            },
        )
        try:
            reply = await self._reply(request, credential, asked, project, version, body)
        except NotJudged as error:
            told = _not_judged(error, project, version)
            _count(told)
            raise told from error
        except Exception as error:
            told = wire.told(error)
            _count(told)
            named = self._named(asked, project, version, there=told.status == HTTPStatus.CONFLICT)
            await self._calls.failed(asked, told, *named, invalid_image=isinstance(told, wire.BadImageError))
            raise
        return JSONResponse(wire.result(reply.answer, reply.mask), headers={"x-amzn-requestid": request_id(request)})

    async def _reply(
        self, request: Request, credential: Credential, asked: Draft, project: str, version: str, body: Body
    ) -> Reply:
        """The use case's reply. NotJudged, which the use case has written down; anything else, which nobody has."""
        image = _image(body)
        _check(request, project, version, image)
        try:
            with self._places.one():
                return await self._detector(
                    detect.Request(
                        request_id=request_id(request),
                        account_id=credential.account_id,
                        region=region_of(request, "") or None,
                        project=project,
                        version=version,
                        image=image,
                        call=lambda outcome, deployment: _call(asked, outcome, deployment),
                    ),
                    lambda hosted: authorize(credential, _ACTION, hosted.model_arn, tag_keys(hosted.tags)),
                )
        except FullError:
            raise wire.throttled("Too many images are being judged. Try again in a moment.") from None
        except NotHosted:
            raise await self._not_hosted(request, credential, project, version) from None

    def _named(self, asked: Draft, project: str, version: str, *, there: bool) -> tuple[str | None, str | None]:
        """Project and version of a call that failed, where they exist. ``there``: they do, hosted or not."""
        account_id, region = asked.credential.account_id, asked.region
        hosted = find_hosted(
            self._deployments.items(), account_id=account_id, region=region, project=project, version=version
        )
        if hosted is not None:
            return hosted.project, hosted.model_version
        return (project, None if version == LATEST else version) if there else (None, None)

    async def _not_hosted(self, request: Request, credential: Credential, project: str, version: str) -> wire.AwsError:
        name, region = f"{project}/{version}", region_of(request, _NO_REGION)
        # Nothing is said of a model to who may not use it. What does not serve has no tags that are known here.
        authorize(credential, _ACTION, f"arn:aws:lookoutvision:{region}:{credential.account_id}:model/{name}")
        if await self._catalogue.lacks(credential, region, project, version):
            return wire.not_found(f"Project {project} has no model version {version}.", name)
        return _stopped(project, version)


def _call(asked: Draft, outcome: Outcome, deployment: Deployment) -> Event:
    """The record of a call whose image had an outcome."""
    project, version = deployment.project, deployment.model_version
    if isinstance(outcome, Invalid):
        told = _not_judged(NotJudged(outcome.cause, outcome.detail), project, version)
        seen = Images(invalid=int(outcome.cause in _CALLERS_FAULT))
        error = (told.name, told.message)
        return asked.ended(SERVICE, told.status, error=error, project=project, version=version, images=seen)
    seen = Images(processed=1, anomalies=int(outcome.answer.is_anomalous))
    return asked.ended(SERVICE, 200, project=project, version=version, images=seen)


def _image(body: Body) -> bytes:
    match body.fault:
        case None:
            return body.data
        case LimitExceeded():
            had = f"The image has {body.size} bytes. " if body.digest is not None else "The image is too large. "
            raise wire.BadImageError(f"{had}The maximum is {DEFAULT_LIMITS.max_bytes} bytes.")
        case _:
            raise wire.validation("The request ended before its image did.")


def _check(request: Request, project: str, version: str, image: bytes) -> None:
    if not _PROJECT.fullmatch(project):
        raise wire.validation("projectName must be 1 to 255 letters, digits, hyphens or underscores.")
    if not _VERSION.fullmatch(version):
        raise wire.validation("modelVersion must be a version number or 'latest'.")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in (JPEG, PNG):
        raise wire.validation(f"ContentType must be {JPEG} or {PNG}.")
    if not image:
        raise wire.BadImageError("The request has no image.")
    found = media_type(image)
    if found in (JPEG, PNG) and found != content_type:
        raise wire.BadImageError(f"The image is {found} and not {content_type} as ContentType says.")


def _stopped(project: str, version: str) -> wire.AwsError:
    message = f"Model version {version} of project {project} is not hosted. Start the model first."
    return wire.conflict(message, f"{project}/{version}")


def _count(told: wire.AwsError) -> None:
    if told.status == HTTPStatus.TOO_MANY_REQUESTS:
        metrics.THROTTLED.labels(_SERVICE, _NAME).inc()


def _not_judged(error: NotJudged, project: str, version: str) -> wire.AwsError:
    if error.cause in _CALLERS_FAULT:
        return wire.validation(f"The image cannot be judged: {error.detail}.")
    if error.cause is InvalidCause.NO_MODEL:  # stopped while the image waited
        return _stopped(project, version)
    if error.cause is InvalidCause.OVERLOADED:
        return wire.throttled("The model receives more images than its inference units can judge.")
    return wire.internal("The image could not be judged. Try again.")
