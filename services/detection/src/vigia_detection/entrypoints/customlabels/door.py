"""DetectCustomLabels over HTTP: who asks, what for, may they, and the answer or the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from vigia_contracts.audit import CUSTOM_LABELS
from vigia_contracts.base import ObjectRef
from vigia_contracts.deployments import Deployment
from vigia_detection.adapters.catalogue import RegistryCatalogue
from vigia_detection.app.errors import NotHosted, NotJudged
from vigia_detection.app.labels import DetectCustomLabels, LabelRequest
from vigia_detection.domain.labels import Label
from vigia_detection.domain.versions import Version
from vigia_detection.entrypoints.calls import CallLog
from vigia_detection.entrypoints.customlabels import wire
from vigia_detection.entrypoints.customlabels.wire import LabelsError
from vigia_detection.entrypoints.places import FullError, Places
from vigia_runtime import metrics
from vigia_runtime.audit import Images, draft, is_read_only
from vigia_runtime.errors import AccessDenied, AppError, Transient
from vigia_runtime.http import receive_body, request_id
from vigia_runtime.logging import get_logger
from vigia_runtime.policies import authorize, tag_keys
from vigia_runtime.rights import asked_rights, fence_of
from vigia_runtime.settings import BucketSettings
from vigia_runtime.signin import Authenticator, Credential, region_of

log = get_logger(__name__)

_SERVICE: Final = "rekognition"
_ACTION: Final = f"{_SERVICE}:{wire.NAME}"
#: A request is its image in base64 and this much else, bytes.
_ROOM: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """``most_bytes``: of an image in a request. ``buckets``: of Vigia's own. ``s3_policies``: whether callers need S3
    actions of their policies for images in other buckets."""

    most_bytes: int
    buckets: BucketSettings
    s3_policies: bool


class Door:
    """One request at a time through sign-in, checks and use case."""

    def __init__(
        self,
        detector: DetectCustomLabels,
        authenticator: Authenticator,
        catalogue: RegistryCatalogue,
        calls: CallLog,
        places: Places,
        rules: Rules,
    ) -> None:
        self._detector = detector
        self._authenticator = authenticator
        self._catalogue = catalogue
        self._calls = calls
        self._places = places
        self._rules = rules
        self._body_bytes = -(-rules.most_bytes // 3) * 4 + _ROOM

    def mount(self, app: FastAPI) -> None:
        """Open the door in ``app``."""
        app.add_api_route("/", self.detect, methods=["POST"])

    async def detect(self, request: Request) -> Response:
        """DetectCustomLabels: the answer or the error. Written down either way, once the caller is known."""
        try:
            return wire.answer(await self._answer(request), request_id(request))
        except LabelsError as told:
            return told.response(request_id(request))
        # A process boundary: a bug must reach clients in the protocol's shape, and nothing of it but that it happened.
        except Exception as error:  # noqa: BLE001 - logged where it is no error of the caller's
            return _told(error).response(request_id(request))

    async def _answer(self, request: Request) -> tuple[Label, ...]:
        """The labels. LabelsError where the call is written down as failed; anything else of a caller unknown."""
        body = await receive_body(request, self._body_bytes)
        credential = await self._authenticator.verify(request, body, _SERVICE)
        target = request.headers.get("x-amz-target", "")
        if target != wire.TARGET:
            raise wire.unknown_operation(target)
        given = wire.read(body, self._rules.most_bytes)
        del body  # while it is judged, the image is held once, decoded
        asked = draft(
            request,
            credential,
            region=region_of(request, ""),
            source=CUSTOM_LABELS,
            name=wire.NAME,
            read_only=is_read_only(wire.NAME),
            parameters=given.parameters,
        )
        wanted = given.request
        if isinstance(wanted, LabelsError):
            await self._calls.failed(asked, wanted, None, None, invalid_image=wanted.bad_image)
            raise wanted
        version = wanted.version
        try:
            labels = await self._labels(wanted, credential, asked.region)
            await self._calls.succeeded(asked, version.project, version.name, Images(processed=1))
        except Exception as error:
            told = _told(error, version.arn)
            # Anybody can name what is not there, and metrics must not grow by that.
            there = _owns(version, credential, asked.region) and (
                self._detector.hosted(version) is not None or told.name == wire.NOT_READY
            )
            named = (version.project, version.name) if there else (None, None)
            await self._calls.failed(asked, told, *named, invalid_image=told.bad_image)
            raise told from error
        return labels

    async def _labels(self, wanted: LabelRequest, credential: Credential, region: str) -> tuple[Label, ...]:
        def permit(hosted: Deployment) -> None:
            authorize(credential, _ACTION, hosted.model_arn, tag_keys(hosted.tags))
            if isinstance(wanted.image, ObjectRef):
                self._may_read(wanted.image, credential)

        arn = wanted.version.arn
        own = _owns(wanted.version, credential, region)
        try:
            if not own:
                raise NotHosted
            with self._places.one():
                return await self._detector(wanted, permit)
        except NotHosted:
            # Nothing is said of a model to who may not use it. What does not serve has no tags that are known here.
            authorize(credential, _ACTION, arn)
            if not own or await self._catalogue.lacks_arn(arn):
                raise wire.not_found(arn) from None
            raise wire.not_ready(arn) from None

    def _may_read(self, image: ObjectRef, credential: Credential) -> None:
        """LabelsError unless the caller may read the image: the error is S3's, as it is where there is no image."""
        fence = fence_of(self._rules.buckets, credential.account_id)
        if not fence.allows(image.bucket, image.key):
            raise wire.no_object(fence.why(image.bucket))
        rights = asked_rights(self._rules.buckets, credential if self._rules.s3_policies else None)
        try:
            rights.require("GetObject", image.bucket, image.key)
            if image.version_id is not None:
                rights.require("GetObjectVersion", image.bucket, image.key)
        except AccessDenied as error:
            raise wire.no_object(error.message) from error


def _owns(version: Version, credential: Credential, region: str) -> bool:
    return (version.account_id, version.region) == (credential.account_id, region)


def _told(error: Exception, arn: str = "") -> LabelsError:
    """What the caller learns of ``error``; what operators must know of it is counted and logged."""
    told = wire.told(error, arn)
    if told.is_throttling:
        metrics.THROTTLED.labels(_SERVICE, wire.NAME).inc()
    if isinstance(error, Transient):
        log.warning("a dependency does not answer", detail=str(error))
    elif told.status >= 500 and not isinstance(error, AppError | NotJudged | FullError):
        log.error("request failed", exc_info=error)
    return told
