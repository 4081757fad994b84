"""``/api/v1/iam``: users and their access keys, roles, policies, accounts. A secret is shown once, when it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, Field

from vigia_registry.http.rest.caller import Action, Answer, Cursor, Door, Limit, problems
from vigia_registry.identity import service
from vigia_registry.identity.domain import (
    MOST_ROLE_SESSION_SECONDS,
    ROLE_SESSION_SECONDS,
    AccessKey,
    Grants,
    Owner,
    Policy,
    Role,
    User,
    Vault,
    session_arn,
)
from vigia_registry.identity.errors import NotTheFirstAccount
from vigia_runtime.errors import InvalidInput
from vigia_runtime.policies import Decision, Request, evaluate, principal_keys
from vigia_runtime.signin import Credential

Document = Annotated[dict[str, Any], Field(description="an IAM policy document")]


class Body(BaseModel):
    """What a route is given."""

    model_config = ConfigDict(extra="forbid")


class Status(StrEnum):
    """Whether a key may sign."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


class UserBody(Body):
    """What a user may do."""

    policies: list[str] = Field(default=[], description="names or ARNs of policies")
    inline: dict[str, Document] = Field(default={}, description="documents of its own, by name")


class UserItem(Answer):
    name: str
    arn: str
    user_id: str
    policies: list[str]
    inline: dict[str, Document]
    created_at: datetime
    updated_at: datetime


class UserPage(Answer):
    items: list[UserItem]
    next: str | None


class KeyBody(Body):
    """A change of a key."""

    status: Status


class KeyItem(Answer):
    access_key_id: str
    user: str
    status: Status
    created_at: datetime
    last_used_at: datetime | None = Field(description="to the minute or so")
    last_used_service: str | None


class NewKey(KeyItem):
    secret_access_key: str = Field(description="shown now and never again")


class KeyList(Answer):
    items: list[KeyItem]
    next: str | None = None


class RoleBody(UserBody):
    """What those who take a role may do, and who may take it."""

    trust: list[str] = Field(default=[], description="account ids, and ARNs of users, roles and sessions of roles")
    max_session_seconds: int = Field(
        default=ROLE_SESSION_SECONDS, ge=ROLE_SESSION_SECONDS, le=MOST_ROLE_SESSION_SECONDS
    )


class RoleItem(Answer):
    name: str
    arn: str
    role_id: str
    policies: list[str]
    inline: dict[str, Document]
    trust: list[str]
    max_session_seconds: int
    created_at: datetime
    updated_at: datetime


class RolePage(Answer):
    items: list[RoleItem]
    next: str | None


class PolicyBody(Body):
    """A document under a name."""

    description: str = Field(default="", max_length=1000)
    document: Document


class PolicyItem(Answer):
    name: str
    arn: str
    managed: bool = Field(description="comes with the product, cannot be changed")
    description: str
    document: Document
    created_at: datetime | None
    updated_at: datetime | None


class PolicyPage(Answer):
    items: list[PolicyItem]
    next: str | None


class Question(Body):
    """May this user, or this role, do that? Give one of the two."""

    user: str | None = None
    role: str | None = None
    action: str = Field(max_length=256, examples=["lookoutvision:StartModel"])
    resource: str = Field(default="*", max_length=2048)
    context: dict[str, str | list[str]] = Field(default={}, description="condition keys, as aws:ResourceTag/stage")


class Matched(Answer):
    policy: str
    statement: str = Field(description="its Sid, or its number in the document, from 0")


class Verdict(Answer):
    decision: Decision
    matched: list[Matched] = Field(description="the statements that made the decision")


class NewAccount(Body):
    """An account to add."""

    account_id: str = Field(pattern=r"^[0-9]{12}$")


class AccountItem(Answer):
    account_id: str
    created_at: datetime


class AccountPage(Answer):
    items: list[AccountItem]
    next: str | None


class AddedAccount(Answer):
    account_id: str
    access_key: NewKey = Field(description="of its user admin, who may do everything in it")


def create_router(door: Door) -> APIRouter:
    """Routes of identities; all of them need ``vigia:ManageIdentity``."""
    router = door.router("/iam", tags=["iam"])
    manager = Depends(door.caller(Action.MANAGE_IDENTITY))
    vault = Vault(door.deps.settings.secret_key.get_secret_value())
    _add_users(router, door, manager)
    _add_keys(router, door, manager, vault)
    _add_policies(router, door, manager)
    _add_roles(router, door, manager)
    _add_questions(router, door, manager)
    _add_accounts(router, door, manager, vault)
    return router


def _add_users(router: APIRouter, door: Door, manager: Any) -> None:
    @router.put(
        "/users/{name}",
        summary="Create a user, or change what it may do",
        name="PutUser",
        responses={201: {"description": "Created", "model": UserItem}, **problems(400, 409)},
    )
    async def put(
        request: HttpRequest, name: str, body: UserBody, response: Response, owner: Owner = manager
    ) -> UserItem:
        async with door.change(request) as session:
            user, created = await service.put_user(session, owner, name, body.policies, body.inline)
        response.status_code = 201 if created else 200
        return _user(user)

    @router.get("/users", summary="List users")
    async def index(limit: Limit = 50, cursor: Cursor = None, owner: Owner = manager) -> UserPage:
        async with door.transaction() as session:
            page = await service.page_of_users(session, door.pages, owner, cursor, limit)
        return UserPage(items=[_user(user) for user in page.items], next=page.next_token)

    @router.get("/users/{name}", summary="One user", responses=problems(404))
    async def get(name: str, owner: Owner = manager) -> UserItem:
        async with door.transaction() as session:
            return _user(await service.user(session, owner, name))

    @router.delete(
        "/users/{name}",
        status_code=204,
        summary="Delete a user and its keys",
        name="DeleteUser",
        responses=problems(404, 409),
    )
    async def delete(request: HttpRequest, name: str, owner: Owner = manager) -> None:
        async with door.change(request) as session:
            await service.remove_user(session, owner, name)


def _add_keys(router: APIRouter, door: Door, manager: Any, vault: Vault) -> None:
    path = "/users/{name}/access-keys"

    @router.post(
        path, status_code=201, summary="Make an access key", name="CreateAccessKey", responses=problems(404, 409)
    )
    async def add(request: HttpRequest, name: str, owner: Owner = manager) -> NewKey:
        async with door.change(request) as session:
            return _new_key(*await service.add_key(session, vault, owner, name))

    @router.get(path, summary="List a user's access keys", responses=problems(404))
    async def index(name: str, owner: Owner = manager) -> KeyList:
        async with door.transaction() as session:
            return KeyList(items=[_key(key) for key in await service.keys(session, owner, name)])

    @router.patch(
        path + "/{access_key_id}",
        summary="Let a key sign, or not",
        name="UpdateAccessKey",
        responses=problems(404, 409),
    )
    async def switch(
        request: HttpRequest, name: str, access_key_id: str, body: KeyBody, owner: Owner = manager
    ) -> KeyItem:
        async with door.change(request) as session:
            active = body.status is Status.ACTIVE
            return _key(await service.switch_key(session, owner, name, access_key_id, active))

    @router.delete(
        path + "/{access_key_id}",
        status_code=204,
        summary="Delete a key",
        name="DeleteAccessKey",
        responses=problems(404, 409),
    )
    async def delete(request: HttpRequest, name: str, access_key_id: str, owner: Owner = manager) -> None:
        async with door.change(request) as session:
            await service.remove_key(session, owner, name, access_key_id)


def _add_policies(router: APIRouter, door: Door, manager: Any) -> None:
    @router.put(
        "/policies/{name}",
        summary="Create or replace a policy",
        name="PutPolicy",
        responses={201: {"description": "Created", "model": PolicyItem}, **problems(400, 409)},
    )
    async def put(
        request: HttpRequest, name: str, body: PolicyBody, response: Response, owner: Owner = manager
    ) -> PolicyItem:
        async with door.change(request) as session:
            policy, created = await service.put_policy(session, owner, name, body.description, body.document)
        response.status_code = 201 if created else 200
        return _policy(policy)

    @router.get("/policies", summary="List policies, those that come with the product first")
    async def index(limit: Limit = 50, cursor: Cursor = None, owner: Owner = manager) -> PolicyPage:
        async with door.transaction() as session:
            page = await service.page_of_policies(session, door.pages, owner, cursor, limit)
        return PolicyPage(items=[_policy(policy) for policy in page.items], next=page.next_token)

    @router.get("/policies/{name}", summary="One policy", responses=problems(404))
    async def get(name: str, owner: Owner = manager) -> PolicyItem:
        async with door.transaction() as session:
            return _policy(await service.policy(session, owner, name))

    @router.delete(
        "/policies/{name}",
        status_code=204,
        summary="Delete a policy that nobody has",
        name="DeletePolicy",
        responses=problems(404, 409),
    )
    async def delete(request: HttpRequest, name: str, owner: Owner = manager) -> None:
        async with door.change(request) as session:
            await service.remove_policy(session, owner, name)


def _add_roles(router: APIRouter, door: Door, manager: Any) -> None:
    @router.put(
        "/roles/{name}",
        summary="Create or change a role",
        name="PutRole",
        responses={201: {"description": "Created", "model": RoleItem}, **problems(400, 409)},
    )
    async def put(
        request: HttpRequest, name: str, body: RoleBody, response: Response, owner: Owner = manager
    ) -> RoleItem:
        async with door.change(request) as session:
            role, created = await service.put_role(
                session, owner, name, body.policies, body.inline, body.trust, body.max_session_seconds
            )
        response.status_code = 201 if created else 200
        return _role(role)

    @router.get("/roles", summary="List roles")
    async def index(limit: Limit = 50, cursor: Cursor = None, owner: Owner = manager) -> RolePage:
        async with door.transaction() as session:
            page = await service.page_of_roles(session, door.pages, owner, cursor, limit)
        return RolePage(items=[_role(role) for role in page.items], next=page.next_token)

    @router.get("/roles/{name}", summary="One role", responses=problems(404))
    async def get(name: str, owner: Owner = manager) -> RoleItem:
        async with door.transaction() as session:
            return _role(await service.role(session, owner, name))

    @router.delete(
        "/roles/{name}", status_code=204, summary="Delete a role", name="DeleteRole", responses=problems(404)
    )
    async def delete(request: HttpRequest, name: str, owner: Owner = manager) -> None:
        async with door.change(request) as session:
            await service.remove_role(session, owner, name)


def _add_questions(router: APIRouter, door: Door, manager: Any) -> None:
    @router.post(
        "/simulate", summary="What a user or a role may do", name="SimulatePolicy", responses=problems(400, 404)
    )
    async def simulate(body: Question, owner: Owner = manager) -> Verdict:
        async with door.transaction() as session:
            if body.user is not None and body.role is None:
                user = await service.user(session, owner, body.user)
                grants, who = user.grants, _who(user.arn, owner, user.id)
            elif body.role is not None and body.user is None:
                role = await service.role(session, owner, body.role)
                grants, who = role.grants, _who(session_arn(role, "simulated"), owner, f"{role.id}:simulated")
            else:
                raise InvalidInput("user_or_role", "Give either user or role.")
            documents = await service.documents_of(session, owner.account_id, grants)
        outcome = evaluate(documents.values(), Request.of(body.action, body.resource, {**who, **body.context}))
        names = list(documents)
        return Verdict(
            decision=outcome.decision,
            matched=[Matched(policy=names[number], statement=sid) for number, sid in outcome.statements],
        )


def _add_accounts(router: APIRouter, door: Door, manager: Any, vault: Vault) -> None:
    first = door.deps.settings.bootstrap.account_id

    async def installer(owner: Owner = manager) -> Owner:
        if owner.account_id != first:
            raise NotTheFirstAccount
        return owner

    @router.post(
        "/accounts", status_code=201, summary="Add an account", name="CreateAccount", responses=problems(400, 409)
    )
    async def add(request: HttpRequest, body: NewAccount, _: Owner = Depends(installer)) -> AddedAccount:
        async with door.change(request) as session:
            key = _new_key(*await service.add_account(session, vault, body.account_id))
        return AddedAccount(account_id=body.account_id, access_key=key)

    @router.get("/accounts", summary="List accounts")
    async def index(limit: Limit = 50, cursor: Cursor = None, _: Owner = Depends(installer)) -> AccountPage:
        async with door.transaction() as session:
            page = await service.page_of_accounts(session, door.pages, cursor, limit)
        items = [AccountItem(account_id=account_id, created_at=created_at) for account_id, created_at in page.items]
        return AccountPage(items=items, next=page.next_token)


def _who(arn: str, owner: Owner, principal_id: str) -> dict[str, str]:
    return principal_keys(
        Credential("", "", None, owner.account_id, principal_arn=arn, policies=(), principal_id=principal_id)
    )


def _documents(inline: Mapping[str, str]) -> dict[str, Any]:
    return {name: json.loads(document) for name, document in inline.items()}


def _granted(grants: Grants) -> dict[str, Any]:
    return {"policies": list(grants.policies), "inline": _documents(grants.inline)}


def _user(user: User) -> UserItem:
    return UserItem(
        name=user.name,
        arn=user.arn,
        user_id=user.id,
        created_at=user.created_at,
        updated_at=user.updated_at,
        **_granted(user.grants),
    )


def _role(role: Role) -> RoleItem:
    return RoleItem(
        name=role.name,
        arn=role.arn,
        role_id=role.id,
        trust=list(role.trust),
        max_session_seconds=role.max_session_seconds,
        created_at=role.created_at,
        updated_at=role.updated_at,
        **_granted(role.grants),
    )


def _policy(policy: Policy) -> PolicyItem:
    return PolicyItem(
        name=policy.name,
        arn=policy.arn,
        managed=policy.managed,
        description=policy.description,
        document=json.loads(policy.document),
        created_at=policy.created_at,
        updated_at=policy.updated_at,
    )


def _key(key: AccessKey) -> KeyItem:
    return KeyItem(**_key_values(key))


def _new_key(key: AccessKey, secret: str) -> NewKey:
    return NewKey(**_key_values(key), secret_access_key=secret)


def _key_values(key: AccessKey) -> dict[str, Any]:
    return {
        "access_key_id": key.access_key_id,
        "user": key.user_name,
        "status": Status.ACTIVE if key.active else Status.INACTIVE,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "last_used_service": key.last_used_service,
    }
