"""GetCallerIdentity, GetSessionToken, AssumeRole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from vigia_registry.audit.journal import Journal
from vigia_registry.http.sts import forms
from vigia_registry.http.sts.answers import Members
from vigia_registry.identity import sessions
from vigia_registry.identity.domain import (
    LEAST_SESSION_SECONDS,
    MAX_ATTACHED,
    MOST_ROLE_SESSION_SECONDS,
    Vault,
    session_arn,
)
from vigia_runtime.errors import InvalidInput
from vigia_runtime.signin import Credential

_USER_SECONDS: Final = 12 * 3600
_MOST_USER_SECONDS: Final = 36 * 3600
#: Characters of a session's own policy, and of all that bounds it together with names.
_MOST_POLICY: Final = 2048


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a known caller."""

    journal: Journal
    vault: Vault
    caller: Credential
    fields: Mapping[str, str]


async def get_caller_identity(call: Call) -> Members:
    """Who is calling. Nobody needs a permission to hear this."""
    caller = call.caller
    return {"Arn": caller.principal_arn, "UserId": caller.principal_id, "Account": caller.account_id}


async def get_session_token(call: Call) -> Members:
    """Temporary credentials of a user."""
    forms.refuse(call.fields, "SerialNumber", "TokenCode")
    seconds = forms.seconds(call.fields, LEAST_SESSION_SECONDS, _MOST_USER_SECONDS) or _USER_SECONDS
    async with call.journal.change(200) as session:
        issued = await sessions.for_user(session, call.vault, call.caller, seconds)
    return {"Credentials": _credentials(issued)}


async def assume_role(call: Call) -> Members:
    """Temporary credentials of a role, which may be another account's."""
    fields = call.fields
    forms.refuse(fields, "SerialNumber", "TokenCode", "SourceIdentity", "Tags", "TransitiveTagKeys", "ProvidedContexts")
    arn = forms.text(fields, "RoleArn", 20, 2048, r"[\t\n\r -\xff]+")
    name = forms.text(fields, "RoleSessionName", 2, 64, r"[A-Za-z0-9_+=,.@-]+")
    seconds = forms.seconds(fields, LEAST_SESSION_SECONDS, MOST_ROLE_SESSION_SECONDS)
    document = fields.get("Policy")
    policies = forms.members(fields, "PolicyArns", "arn", MAX_ATTACHED)
    size = len(document or "") + sum(map(len, policies))
    if size > _MOST_POLICY:
        raise InvalidInput("policy_too_large", f"Policy and PolicyArns have {size} characters, the most are 2048.")
    bounds = sessions.Bounds(document, policies)
    async with call.journal.change(200) as session:
        issued, role = await sessions.for_role(session, call.vault, call.caller, arn, name, seconds, bounds)
    answer: dict[str, str | Members] = {
        "Credentials": _credentials(issued),
        "AssumedRoleUser": {"AssumedRoleId": f"{role.id}:{name}", "Arn": session_arn(role, name)},
    }
    if size:
        answer["PackedPolicySize"] = str(-(-100 * size // _MOST_POLICY))
    return answer


def _credentials(issued: sessions.Temporary) -> Members:
    return {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "Expiration": issued.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


OPERATIONS: Final[Mapping[str, Callable[[Call], Awaitable[Members]]]] = {
    "GetCallerIdentity": get_caller_identity,
    "GetSessionToken": get_session_token,
    "AssumeRole": assume_role,
}
