"""``/api/v1/inspections``: the history, its evidence, and following what comes."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from vigia_aggregator.adapters import history
from vigia_aggregator.domain.cursors import FollowCursor, PageCursor
from vigia_aggregator.domain.filters import InspectionFilter
from vigia_aggregator.entrypoints.answers import InspectionPage, StoredInspection, inspection_item
from vigia_aggregator.entrypoints.context import SIGNED_IN, Account, Context, Ctx
from vigia_contracts.base import ObjectRef
from vigia_contracts.inspections import Origin, Verdict
from vigia_runtime.errors import InvalidInput, LimitExceeded, NotFound
from vigia_runtime.objects import BucketNotFound, ObjectNotFound

router = APIRouter(prefix="/api/v1/inspections", tags=["inspections"], dependencies=[SIGNED_IN])

#: Where following begins without a cursor: after everything that is there.
NOW = "now"


@router.get("", summary="List inspections, or follow them")
async def list_inspections(
    request: Request,
    context: Ctx,
    account: Account,
    line: str | None = None,
    camera: str | None = None,
    product: str | None = None,
    project: str | None = None,
    model_version: str | None = None,
    verdict: Verdict | None = None,
    origin: Origin | None = None,
    since: Annotated[datetime | None, Query(alias="from", description="captured at or after")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="captured before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    after: Annotated[
        str | None,
        Query(description=f"follow: `next` of the answer before, or `{NOW}` to begin at the end"),
    ] = None,
    wait: Annotated[float, Query(ge=0, description="follow: seconds to wait when there is nothing new")] = 0,
) -> InspectionPage:
    """Newest first by time of capture, page by page. With `after`, in the order in which they were stored: every
    inspection comes exactly once, also those captured earlier and stored late."""
    wanted = InspectionFilter(
        account_id=account,
        line=line,
        camera=camera,
        product=product,
        project=project,
        model_version=model_version,
        verdict=verdict,
        origin=origin,
        since=aware(since),
        until=aware(until),
    )
    if after is not None:
        if cursor is not None:
            raise InvalidInput("cursor_and_after", "give `cursor` to page back or `after` to follow, not both")
        return await _follow(request, context, wanted, after, limit, min(wait, context.query.follow_seconds))
    place = PageCursor.decode(cursor) if cursor is not None else None
    async with context.reading() as connection:
        rows, following = await history.page(connection, wanted, place, limit)
    return InspectionPage(
        items=[inspection_item(row) for row in rows], next=following.encode() if following is not None else None
    )


@router.get("/{inspection_id}", summary="One inspection")
async def get_inspection(context: Ctx, account: Account, inspection_id: UUID) -> StoredInspection:
    """404 when the account has no inspection of this id."""
    return await _get(context, account, inspection_id)


@router.get(
    "/{inspection_id}/{kind}",
    summary="The image that was inspected, or the mask of what was found",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The stored bytes."}},
)
async def get_evidence(context: Ctx, account: Account, inspection_id: UUID, kind: Literal["image", "mask"]) -> Response:
    """404 when none was kept: images of PASS are sampled, and only a found anomaly has a mask."""
    inspection = await _get(context, account, inspection_id)
    reference: ObjectRef | None = getattr(inspection.evidence, kind)
    if reference is None:
        raise NotFound("no_evidence", f"no {kind} was kept for this inspection")
    try:
        data = await context.objects.get(reference.bucket, reference.key, reference.version_id)
    except (ObjectNotFound, BucketNotFound) as error:
        raise NotFound("evidence_gone", f"the {kind} is no longer in the object store") from error
    headers = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff"}
    if reference.sha256 is not None:
        headers["ETag"] = f'"{reference.sha256}"'
    return Response(bytes(data), media_type=_media_type(bytes(data[:8])), headers=headers)


async def _get(context: Context, account: str, inspection_id: UUID) -> StoredInspection:
    async with context.reading() as connection:
        row = await history.one(connection, account, inspection_id)
    if row is None:
        raise NotFound("no_such_inspection", f"there is no inspection {inspection_id}")
    return inspection_item(row)


async def _follow(
    request: Request, context: Context, wanted: InspectionFilter, after: str, limit: int, wait: float
) -> InspectionPage:
    if after == NOW:
        async with context.reading() as connection:
            place = await history.newest(connection, wanted.account_id)
        if not wait:
            return InspectionPage(items=[], next=place.encode())
    else:
        place = FollowCursor.decode(after)
    if context.followers.locked():
        raise LimitExceeded("too_many_followers", "too many followers wait at once; try again", retryable=True)
    until = time.monotonic() + wait
    async with context.followers:
        while True:
            mark = context.listener.mark()
            async with context.reading() as connection:
                rows, place = await history.stored_after(connection, wanted, place, limit)
            left = until - time.monotonic()
            if rows or left <= 0 or await request.is_disconnected():
                return InspectionPage(items=[inspection_item(row) for row in rows], next=place.encode())
            await context.listener.changed(mark, left)


def aware(moment: datetime | None) -> datetime | None:
    """The moment as it was given; InvalidInput when it has no zone."""
    if moment is not None and moment.tzinfo is None:
        raise InvalidInput("no_zone", "a time needs a zone, as in 2026-01-31T12:00:00Z")
    return moment


def _media_type(head: bytes) -> str:
    if head.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/png" if head.startswith(b"\x89PNG") else "application/octet-stream"
