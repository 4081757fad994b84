"""Tagging: the rules that hold for every kind of resource. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from vigia_registry.errors import Resource
from vigia_registry.tags import repository
from vigia_registry.tags.errors import TagReserved, TooManyTags

_RESERVED = "aws:"


def check(given: Mapping[str, str]) -> None:
    """TagReserved when a key is not the customer's to give."""
    for key in given:
        if key.casefold().startswith(_RESERVED):
            raise TagReserved(key)


async def put(session: AsyncSession, resource: Resource, arn: str, given: Mapping[str, str], limit: int) -> None:
    """Add tags, or give those that are there new values: all of them or none. TagReserved, TooManyTags.

    The caller has the resource locked, so that nobody else counts or removes its tags meanwhile.
    """
    check(given)
    if len((await repository.of(session, arn)).keys() | given.keys()) > limit:
        raise TooManyTags(resource, arn, limit)
    await repository.put(session, arn, given)
