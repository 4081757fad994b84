"""PutProjectPolicy, ListProjectPolicies, DeleteProjectPolicy."""

from __future__ import annotations

from vigia_registry.http.customlabels import shapes, validation
from vigia_registry.http.customlabels.call import Call, Shape
from vigia_registry.policies import service as policies

_LARGEST_PAGE = 5


async def put_project_policy(call: Call) -> Shape:
    """Attach a policy to a project, or replace one."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    name = validation.policy_name(call.body.get("PolicyName"))
    revision = validation.policy_revision(call.body.get("PolicyRevisionId"))
    document = validation.policy_document(call.body.get("PolicyDocument"))
    limit = call.deps.settings.limits.project_policies
    async with call.change() as session:
        made = await policies.put(session, call.owner, arn, name, document, revision, limit)
    return {"PolicyRevisionId": made}


async def list_project_policies(call: Call) -> Shape:
    """The policies of a project."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    limit = validation.page_size(call.body.get("MaxResults"), _LARGEST_PAGE)
    token = validation.page_token(call.body.get("NextToken"))
    async with call.read() as session:
        page = await policies.page(session, call.pages, call.owner, arn, token, limit)
    return shapes.page("ProjectPolicies", [shapes.policy(arn, one) for one in page.items], page.next_token)


async def delete_project_policy(call: Call) -> Shape:
    """Remove a policy of a project."""
    arn = validation.project_arn(call.body.get("ProjectArn"))
    name = validation.policy_name(call.body.get("PolicyName"))
    revision = validation.policy_revision(call.body.get("PolicyRevisionId"))
    async with call.change() as session:
        await policies.delete(session, call.owner, arn, name, revision)
    return {}
