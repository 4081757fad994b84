"""Everything below ``/api/v1`` that registry answers."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.security import HTTPBasic

from vigia_registry.bootstrap import Deps
from vigia_registry.http.rest import cameras, iam, lines, models, thresholds, trials
from vigia_registry.http.rest.caller import Door
from vigia_registry.pagination import Pages
from vigia_runtime.signin import Authenticator, CredentialSource

#: In the OpenAPI document only: the Authenticator itself reads the header, and accepts SigV4 as well.
_BASIC = HTTPBasic(auto_error=False, description="Access key id and secret. SigV4 for service `vigia` is accepted too.")


def create_router(deps: Deps, credentials: CredentialSource) -> APIRouter:
    """Lines, cameras, model summaries, hosting, thresholds, trial detections and identities."""
    door = Door(deps, Authenticator(credentials), Pages(deps.settings.secret_key.get_secret_value()))
    router = APIRouter(prefix="/api/v1", dependencies=[Security(_BASIC)])
    for part in (lines, cameras, models, thresholds, trials, iam):
        router.include_router(part.create_router(door))
    return router
