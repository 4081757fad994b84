"""The door for requests: DetectAnomalies and DetectCustomLabels, each in its own protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from vigia_detection import bootstrap
from vigia_detection.adapters.catalogue import RegistryCatalogue
from vigia_detection.entrypoints.calls import CallLog
from vigia_detection.entrypoints.customlabels import door as customlabels
from vigia_detection.entrypoints.lookoutvision import door as lookoutvision
from vigia_detection.entrypoints.lookoutvision.wire import AwsError, told
from vigia_detection.entrypoints.places import Places
from vigia_detection.settings import Settings
from vigia_runtime.errors import AppError, Transient, Unavailable
from vigia_runtime.http import create_app, request_id, serve
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.logging import get_logger
from vigia_runtime.signin import Authenticator, RegistryCredentials

log = get_logger(__name__)


class Door(Protocol):
    """One protocol."""

    def mount(self, app: FastAPI) -> None:
        """Open the door in ``app``."""


def create(doors: Sequence[Door], version: str) -> FastAPI:
    """The app. Custom Labels' door answers its errors itself; all others, the framework's too, have Lookout's shape."""
    app = create_app("detection", version, docs_url=None, redoc_url=None, openapi_url=None)
    for door in doors:
        door.mount(app)

    async def on_error(request: Request, error: Exception) -> Response:
        if isinstance(error, Unavailable | Transient):
            log.warning("a dependency does not answer", detail=str(error))
        return told(error).response(request_id(request))

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        name = "UnknownOperationException" if error.status_code in (404, 405) else "ValidationException"
        status = 400 if error.status_code == 413 else error.status_code
        return AwsError(status, name, str(error.detail)).response(request_id(request))

    async def on_bug(request: Request, error: Exception) -> Response:
        log.error("request failed", exc_info=error)
        return told(error).response(request_id(request))

    app.add_exception_handler(AwsError, on_error)
    app.add_exception_handler(AppError, on_error)
    app.add_exception_handler(Transient, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    return app


async def serve_requests(settings: Settings, lifecycle: Lifecycle) -> None:
    """Answer requests until the process is told to stop. ``settings.registry`` must be given."""
    assert settings.registry is not None
    credentials = RegistryCredentials(settings.registry)
    catalogue = RegistryCatalogue(settings.registry)
    try:
        async with bootstrap.parts(settings, lifecycle) as shared:
            authenticator = Authenticator(credentials)
            calls = CallLog(shared.announcer, settings.deciding.retry_seconds)
            places = Places(settings.deciding.concurrency)
            anomalies = bootstrap.detector(settings, shared)
            doors = (
                lookoutvision.Door(anomalies, shared.deployments, authenticator, catalogue, calls, places),
                customlabels.Door(
                    bootstrap.label_detector(settings, shared),
                    authenticator,
                    catalogue,
                    calls,
                    places,
                    customlabels.Rules(
                        settings.labels.max_image_bytes, settings.buckets, settings.identity.s3_policies
                    ),
                ),
            )
            await serve(create(doors, "2020-11-20"), settings.http, lifecycle)
    finally:
        await credentials.close()
        await catalogue.close()
