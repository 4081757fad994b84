"""`vigia iam`: who may ask, and for what."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer

from vigia_client.api import ApiError, Json, Vigia
from vigia_client.cli.output import AsJson, clock, console, print_json, print_table

app = typer.Typer(help="Users, access keys, roles, policies and accounts.", no_args_is_help=True)
users = typer.Typer(help="The users of the account.", no_args_is_help=True)
keys = typer.Typer(help="The access keys of a user, two at most.", no_args_is_help=True)
policies = typer.Typer(help="Policies: IAM documents under a name.", no_args_is_help=True)
roles = typer.Typer(help="Roles, which others take for a while.", no_args_is_help=True)
accounts = typer.Typer(help="The accounts of the installation.", no_args_is_help=True)
for part, name in ((users, "users"), (keys, "keys"), (policies, "policies"), (roles, "roles"), (accounts, "accounts")):
    app.add_typer(part, name=name)

UserName = Annotated[str, typer.Argument(metavar="USER")]
KeyId = Annotated[str, typer.Argument(metavar="KEY")]
PolicyName = Annotated[str, typer.Argument(metavar="POLICY")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE")]
Attached = Annotated[list[str] | None, typer.Option("--policy", help="Name or ARN of a policy; may be repeated.")]
Inline = Annotated[
    list[str] | None, typer.Option("--inline", metavar="NAME=FILE", help="A document of its own; may be repeated.")
]


# --- users --------------------------------------------------------------------------------------------------------


@users.command("list")
def list_users(json: AsJson = False) -> None:
    """Show all users."""
    with Vigia.of() as vigia:
        rows = list(vigia.accesses("users"))
    if json:
        print_json(rows)
        return
    print_table(("USER", "POLICIES", "INLINE", "SINCE"), map(_holder, rows), "no users yet: vigia iam users put USER")


@users.command("show")
def show_user(user: UserName) -> None:
    """Show a user as JSON."""
    _show_one("users", user)


@users.command("put")
def put_user(user: UserName, policy: Attached = None, inline: Inline = None) -> None:
    """Create a user, or replace all that it may do."""
    with Vigia.of() as vigia:
        vigia.put_access("users", user, _granted(policy, inline))
    console.print(f"user {user} may do what {_listed(policy, inline)} allow")


@users.command("delete")
def delete_user(user: UserName) -> None:
    """Delete a user, its keys and its sessions."""
    with Vigia.of() as vigia:
        vigia.remove_access("users", user)
    console.print(f"user {user} deleted")


# --- keys ---------------------------------------------------------------------------------------------------------


@keys.command("add")
def add_key(user: UserName) -> None:
    """Make a key. Its secret is shown now and never again."""
    with Vigia.of() as vigia:
        _show_key(vigia.add_access_key(user))


@keys.command("list")
def list_keys(user: UserName, json: AsJson = False) -> None:
    """Show a user's keys."""
    with Vigia.of() as vigia:
        rows = vigia.access_keys(user)
    if json:
        print_json(rows)
        return
    shown = [
        (
            row["access_key_id"],
            row["status"],
            clock(row["created_at"]),
            clock(row["last_used_at"]) or "never",
            row["last_used_service"],
        )
        for row in rows
    ]
    print_table(("KEY", "STATUS", "SINCE", "LAST USED", "FOR"), shown, f"no keys yet: vigia iam keys add {user}")


@keys.command("enable")
def enable_key(user: UserName, key: KeyId) -> None:
    """Let a key sign again."""
    with Vigia.of() as vigia:
        vigia.switch_access_key(user, key, True)
    console.print(f"key {key} is active")


@keys.command("disable")
def disable_key(user: UserName, key: KeyId) -> None:
    """Let a key sign no more, until it is enabled."""
    with Vigia.of() as vigia:
        vigia.switch_access_key(user, key, False)
    console.print(f"key {key} is inactive; other services notice within a minute")


@keys.command("delete")
def delete_key(user: UserName, key: KeyId) -> None:
    """Delete a key."""
    with Vigia.of() as vigia:
        vigia.remove_access_key(user, key)
    console.print(f"key {key} deleted; other services notice within a minute")


# --- policies -----------------------------------------------------------------------------------------------------


@policies.command("list")
def list_policies(json: AsJson = False) -> None:
    """Show all policies, those that come with Vigia first."""
    with Vigia.of() as vigia:
        rows = list(vigia.accesses("policies"))
    if json:
        print_json(rows)
        return
    shown = [(row["name"], "Vigia" if row["managed"] else "own", row["description"]) for row in rows]
    print_table(("POLICY", "FROM", "DESCRIPTION"), shown, "no policies")


@policies.command("show")
def show_policy(policy: PolicyName) -> None:
    """Show a policy as JSON."""
    _show_one("policies", policy)


@policies.command("put")
def put_policy(
    policy: PolicyName,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The document, JSON.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Create or replace a policy."""
    with Vigia.of() as vigia:
        vigia.put_access("policies", policy, {"document": _document(file), "description": description})
    console.print(f"policy {policy} stored")


@policies.command("delete")
def delete_policy(policy: PolicyName) -> None:
    """Delete a policy that no user and no role has."""
    with Vigia.of() as vigia:
        vigia.remove_access("policies", policy)
    console.print(f"policy {policy} deleted")


# --- roles --------------------------------------------------------------------------------------------------------


@roles.command("list")
def list_roles(json: AsJson = False) -> None:
    """Show all roles."""
    with Vigia.of() as vigia:
        rows = list(vigia.accesses("roles"))
    if json:
        print_json(rows)
        return
    shown = [(*_holder(row), row["arn"], ", ".join(row["trust"])) for row in rows]
    titles = ("ROLE", "POLICIES", "INLINE", "SINCE", "ARN", "TRUSTS")
    print_table(titles, shown, "no roles yet: vigia iam roles put ROLE --trust ACCOUNT|ARN")


@roles.command("show")
def show_role(role: RoleName) -> None:
    """Show a role as JSON."""
    _show_one("roles", role)


@roles.command("put")
def put_role(
    role: RoleName,
    trust: Annotated[list[str], typer.Option(help="Who may take it: an account id or an ARN; may be repeated.")],
    policy: Attached = None,
    inline: Inline = None,
    max_session_seconds: Annotated[int | None, typer.Option(help="Longest session, 3600 to 43200.")] = None,
) -> None:
    """Create a role, or replace all that it may do and who may take it."""
    body = {**_granted(policy, inline), "trust": trust}
    if max_session_seconds is not None:
        body["max_session_seconds"] = max_session_seconds
    with Vigia.of() as vigia:
        vigia.put_access("roles", role, body)
    console.print(f"role {role} stored")


@roles.command("delete")
def delete_role(role: RoleName) -> None:
    """Delete a role and the sessions of those who took it."""
    with Vigia.of() as vigia:
        vigia.remove_access("roles", role)
    console.print(f"role {role} deleted")


# --- questions and accounts ---------------------------------------------------------------------------------------


@app.command("simulate")
def simulate(
    action: Annotated[str, typer.Argument(help="As lookoutvision:StartModel.")],
    resource: Annotated[str, typer.Argument(help="An ARN, or * where the action names nothing.")] = "*",
    user: Annotated[str | None, typer.Option(help="Ask of this user.")] = None,
    role: Annotated[str | None, typer.Option(help="Ask of this role.")] = None,
    context: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="As aws:ResourceTag/stage=production; repeatable.")
    ] = None,
) -> None:
    """Ask what a user or a role may do. Exits 1 where it may not."""
    if (user is None) == (role is None):
        raise typer.BadParameter("give either --user or --role")
    values: dict[str, str | list[str]] = {}
    for text in context or []:
        key, value = _pair(text, "--context")
        before = values.get(key)
        values[key] = value if before is None else [*([before] if isinstance(before, str) else before), value]
    with Vigia.of() as vigia:
        told = vigia.simulate(action, resource, user=user, role=role, context=values)
    console.print(told["decision"])
    for row in told["matched"]:
        console.print(f"  by statement {row['statement']} of policy {row['policy']}", highlight=False)
    if told["decision"] != "allowed":
        raise typer.Exit(1)


@accounts.command("list")
def list_accounts(json: AsJson = False) -> None:
    """Show all accounts."""
    with Vigia.of() as vigia:
        rows = list(vigia.accounts())
    if json:
        print_json(rows)
        return
    print_table(("ACCOUNT", "SINCE"), [(row["account_id"], clock(row["created_at"])) for row in rows], "no accounts")


@accounts.command("add")
def add_account(account: Annotated[str, typer.Argument(metavar="ID", help="Twelve digits.")]) -> None:
    """Add an account, with a key of its user admin, who may do everything in it."""
    with Vigia.of() as vigia:
        _show_key(vigia.add_account(account)["access_key"])


def _holder(row: Json) -> tuple[object, ...]:
    return row["name"], ", ".join(row["policies"]), ", ".join(row["inline"]), clock(row["created_at"])


def _listed(policy: list[str] | None, inline: list[str] | None) -> str:
    names = [*(policy or []), *(text.partition("=")[0] for text in inline or [])]
    return ", ".join(names) or "no policies"


def _granted(policy: list[str] | None, inline: list[str] | None) -> dict[str, Any]:
    found = {}
    for text in inline or []:
        name, file = _pair(text, "--inline")
        found[name] = _document(Path(file))
    return {"policies": policy or [], "inline": found}


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise typer.BadParameter(f"{option} needs NAME=VALUE, not {text!r}")
    return name, value


def _document(file: Path) -> Json:
    try:
        document = jsons.loads(file.read_text(), object_pairs_hook=_once)
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file} is not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """An object. JSON keeps the last of two members of one name, and what the first one said would be lost."""
    found: Json = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = value
    return found


def _show_one(kind: str, name: str) -> None:
    with Vigia.of() as vigia:
        row = vigia.access(kind, name)
    if row is None:
        raise ApiError(404, "not_found", f"there is no {name} among the {kind}")
    typer.echo(jsons.dumps(row, indent=2, ensure_ascii=False))


def _show_key(key: Json) -> None:
    """As assignments, so that they can be appended to a file or evaluated by a shell."""
    typer.echo(f"AWS_ACCESS_KEY_ID={key['access_key_id']}")
    typer.echo(f"AWS_SECRET_ACCESS_KEY={key['secret_access_key']}")
