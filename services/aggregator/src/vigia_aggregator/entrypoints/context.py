"""What the routes share, and who is asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBasic
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from vigia_aggregator.adapters.errors import passes, unstorable
from vigia_aggregator.adapters.listener import Listener
from vigia_aggregator.settings import QuerySettings
from vigia_runtime.errors import InvalidInput, Unavailable
from vigia_runtime.objects import ObjectStore
from vigia_runtime.policies import authorize
from vigia_runtime.signin import Authenticator

#: In the OpenAPI document only: the Authenticator itself reads the header, and accepts SigV4 as well.
_BASIC = HTTPBasic(auto_error=False, description="Access key id and secret. SigV4 for service `vigia` is accepted too.")
#: What a policy must allow.
ACTION = "vigia:ReadInspections"
AUDIT_ACTION = "vigia:ReadAudit"
_QUERY_CANCELED = "57014"
_IMPOSSIBLE = "a value holds what no value can: NUL, half of a surrogate pair, or a time out of range"


@dataclass(frozen=True, slots=True)
class Context:
    """Made once by the entry point; ``followers`` bounds how many long polls wait at once."""

    engine: AsyncEngine
    objects: ObjectStore
    authenticator: Authenticator
    listener: Listener
    query: QuerySettings
    followers: asyncio.Semaphore

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction whose statements end after the configured time.

        InvalidInput when a query takes longer than that, or is about a value that Postgres does not take and nothing
        stored can have; Unavailable while Postgres is away.
        """
        try:
            async with self.engine.begin() as connection:
                await connection.execute(
                    text(
                        "select set_config('transaction_read_only', 'on', true), "
                        "set_config('statement_timeout', :limit, true)"
                    ),
                    {"limit": f"{int(self.query.timeout_seconds * 1000)}ms"},
                )
                yield connection
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED:
                raise InvalidInput("query_too_long", "the query takes too long; narrow it by time or camera") from error
            if passes(error):
                raise Unavailable("database_away", "the history cannot be read now") from error
            if unstorable(error):
                raise InvalidInput("impossible_value", _IMPOSSIBLE) from error
            raise
        except UnicodeEncodeError as error:
            raise InvalidInput("impossible_value", _IMPOSSIBLE) from error


def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def _account(action: str) -> Callable[[Request, Context], Awaitable[str]]:
    async def account(request: Request, context: Annotated[Context, Depends(_context)]) -> str:
        credential = await context.authenticator.authenticate(request, await request.body(), "vigia")
        authorize(credential, action)
        return credential.account_id

    return account


Ctx = Annotated[Context, Depends(_context)]
#: The account that the request's credential belongs to; every query is held to it.
Account = Annotated[str, Depends(_account(ACTION))]
#: The same, of whoever may read what was called.
Auditor = Annotated[str, Depends(_account(AUDIT_ACTION))]
#: Documents the sign-in.
SIGNED_IN = Security(_BASIC)
