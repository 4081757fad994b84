"""``vigia-registry http``: every door of the registry on one port."""

from __future__ import annotations

from fastapi import FastAPI

from vigia_registry.bootstrap import Deps, open_deps
from vigia_registry.http.customlabels.operations import OPERATIONS as CUSTOM_LABELS
from vigia_registry.http.customlabels.router import create_route as customlabels_route
from vigia_registry.http.internal.router import create_router as internal_router
from vigia_registry.http.lookoutvision.operations import OPERATIONS
from vigia_registry.http.lookoutvision.router import create_route as lookoutvision_route
from vigia_registry.http.rest.router import create_router as rest_router
from vigia_registry.http.sts.operations import OPERATIONS as STS_OPERATIONS
from vigia_registry.http.sts.router import create_router as sts_router
from vigia_registry.identity.credentials import StoredCredentials
from vigia_registry.identity.domain import Vault
from vigia_registry.settings import Settings
from vigia_runtime.http import create_app, serve
from vigia_runtime.lifecycle import Lifecycle
from vigia_runtime.settings import SettingsError


def build(deps: Deps) -> FastAPI:
    """The app with all its routes; SettingsError."""
    settings = deps.settings
    known = {operation.name for operation in OPERATIONS} | CUSTOM_LABELS.keys() | STS_OPERATIONS.keys()
    if unknown := sorted(settings.rates.operations.keys() - known):
        raise SettingsError([f"VIGIA_REGISTRY_RATES__OPERATIONS: no such operation: {', '.join(unknown)}"])
    app = create_app("registry", "1", max_body_bytes=settings.http.max_body_bytes)
    vault = Vault(settings.secret_key.get_secret_value())
    credentials = StoredCredentials(deps.database, vault)
    app.include_router(internal_router(credentials, deps.database, settings.internal_token))
    app.router.routes.append(lookoutvision_route(deps, credentials))
    app.router.routes.append(customlabels_route(deps, credentials))
    app.include_router(sts_router(deps, credentials, vault))
    app.include_router(rest_router(deps, credentials))
    return app


async def main(life: Lifecycle, settings: Settings) -> None:
    """Serve until told to stop."""
    async with open_deps(settings) as deps:
        life.health.probe("postgres", deps.database.ping)
        await serve(build(deps), settings.http, life)
