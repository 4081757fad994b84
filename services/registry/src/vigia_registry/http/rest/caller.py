"""Who is asking, and what the routes share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.bootstrap import Deps
from vigia_registry.db import passing_faults
from vigia_registry.http.rest.audited import SERVICE, audited, journal_of
from vigia_registry.identity.domain import MANAGE, Owner
from vigia_registry.objects import S3Rights, rights_of
from vigia_registry.pagination import Pages
from vigia_runtime.signin import Authenticator, region_of, signed_in


class Action(StrEnum):
    """What the caller's policies must allow.

    Names of Vigia's own begin with a verb of the managed policies' (``identity.managed``), so that roles cover what is
    added.
    """

    READ_CAMERAS = "vigia:ReadCameras"  # and lines
    CHANGE_CAMERAS = "vigia:ChangeCameras"
    READ_MODELS = "vigia:ReadModels"  # and hosting
    MANAGE_IDENTITY = MANAGE  # users, keys, roles, policies, accounts
    # What AWS calls these, so that its managed policies hold here too.
    RUN_TRIALS = "lookoutvision:StartTrialDetection"  # and verify predictions
    LIST_TRIALS = "lookoutvision:ListTrialDetections"
    READ_TRIALS = "lookoutvision:DescribeTrialDetection"
    CHANGE_DATASETS = "lookoutvision:UpdateDatasetEntries"


class Answer(BaseModel):
    """What a route answers with."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


Limit = Annotated[int, Query(ge=1, le=200, description="rows per page")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]


@dataclass(frozen=True, slots=True)
class Door:
    """What every route of this API is made with."""

    deps: Deps
    authenticator: Authenticator
    pages: Pages

    def router(self, prefix: str = "", *, tags: list[str | Enum]) -> APIRouter:
        """A router whose changes are in the audit."""
        return APIRouter(prefix=prefix, tags=tags, route_class=audited(self.deps, self.authenticator))

    def caller(self, action: Action, resource: str = "*") -> Callable[[Request], Awaitable[Owner]]:
        """A dependency: the caller's account and region, once it has proven that it may do ``action``.

        ``resource``: to what, such as ``camera/{camera_id}``, with the path's parameters.
        """
        identify = signed_in(self.authenticator, SERVICE, action.value, resource)
        home = self.deps.settings.bootstrap.region

        async def owner(request: Request) -> Owner:
            credential = await identify(request)
            return Owner(credential.account_id, region_of(request, home))

        return owner

    def rights(self, request: Request) -> S3Rights:
        """What the caller's policies allow in the object store, once ``caller`` knows it."""
        return rights_of(self.deps.settings, request.state.credential)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction; Transient (503) while the database is away."""
        with passing_faults():
            async with self.deps.database.transaction() as session:
                yield session

    @asynccontextmanager
    async def change(self, request: Request) -> AsyncIterator[AsyncSession]:
        """As ``transaction``, for what a request changes: its audit record is committed with it."""
        with passing_faults():
            async with journal_of(request).change(200) as session:
                yield session


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """For the document: these statuses are answered with a problem (application/problem+json)."""
    meanings = {
        400: "Bad input; `details.problems` names the fields",
        404: "No such thing",
        409: "In conflict",
        429: "A limit is reached",
    }
    return {code: {"description": meanings[code]} for code in codes}
