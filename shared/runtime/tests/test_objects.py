"""Objects in a real S3 store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import botocore.session
import pytest
from pydantic import SecretStr

from vigia_runtime import objects
from vigia_runtime.errors import AccessDenied, Transient
from vigia_runtime.objects import BucketNotFound, ObjectNotFound, ObjectStore, ObjectTooLarge, UnusableKey, usable_key
from vigia_runtime.sealing import Seal, SealError, UnknownKey
from vigia_runtime.settings import ObjectSettings


@pytest.fixture
def store_settings(object_store: Any) -> ObjectSettings:
    return ObjectSettings(
        endpoint=object_store.endpoint,
        region=object_store.region,
        access_key_id=object_store.access_key_id,
        secret_access_key=SecretStr(object_store.secret_access_key),
    )


@pytest.fixture
def bucket(object_store: Any) -> str:
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=object_store.endpoint,
        region_name=object_store.region,
        aws_access_key_id=object_store.access_key_id,
        aws_secret_access_key=object_store.secret_access_key,
    )
    name = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return name


async def test_what_is_put_is_got(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    data = bytes(range(256)) * 5000
    key = "frames/oven 1/2026-01-02/ü+b.jpg"
    reference = await store.put(bucket, key, data, "image/jpeg")
    assert (reference.bucket, reference.key, reference.size) == (bucket, key, len(data))
    assert reference.sha256 == hashlib.sha256(data).hexdigest()
    assert await store.get(bucket, key) == data
    assert b"".join([chunk async for chunk in store.get_stream(bucket, key, 100_000)]) == data
    info = await store.head(bucket, key)
    assert (info.key, info.size) == (key, len(data))
    assert await store.exists(bucket, key)
    await store.put(bucket, "empty", b"")
    assert await store.get(bucket, "empty") == b""
    await store.delete(bucket, key)
    await store.delete(bucket, key)
    assert not await store.exists(bucket, key)


async def test_more_bytes_than_wanted_are_not_read(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    await store.put(bucket, "part.jpg", bytes(1000))
    assert len(await store.get(bucket, "part.jpg", most_bytes=1000)) == 1000
    with pytest.raises(ObjectTooLarge, match="1000 bytes; at most 999") as caught:
        await store.get(bucket, "part.jpg", most_bytes=999)
    assert caught.value.size == 1000


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "./a", "a/../b", "x" * 1024, "é" * 512, "\ud800", "a\0"])
async def test_a_key_that_cannot_be_is_no_other_key(store_settings: ObjectSettings, bucket: str, key: str) -> None:
    """The store's client would drop a slash at an end and read ``a`` for ``/a``."""
    store = ObjectStore(store_settings)
    await store.put(bucket, "a", b"another")
    assert not usable_key(key)
    for call in (store.get(bucket, key), store.head(bucket, key), store.put(bucket, key, b"x")):
        with pytest.raises(UnusableKey, match="a key has at most 1023 bytes"):
            await call
    await store.delete(bucket, key)
    assert await store.get(bucket, "a") == b"another"


async def test_a_part_that_is_longer_than_this_store_allows(store_settings: ObjectSettings, bucket: str) -> None:
    """A store that keeps files allows 255 bytes between two slashes: what is said of such a key must not be "later"."""
    store = ObjectStore(store_settings)
    key = "x" * 256
    assert usable_key(key)
    for call in (store.get(bucket, key), store.head(bucket, key), store.put(bucket, key, b"x")):
        with pytest.raises(UnusableKey, match="longer than the store allows"):
            await call
    assert not await store.exists(bucket, key)


async def test_the_longest_key_and_names_that_no_bucket_has(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    longest = "/".join(["x" * 127] * 8)
    assert len(longest) == 1023
    await store.put(bucket, longest, b"x")
    assert await store.get(bucket, longest) == b"x"
    for name in ("...", "Upper_Case", "-dash"):
        with pytest.raises(BucketNotFound):
            await store.get(name, "k")
        assert not await store.bucket_exists(name)


async def test_versions_are_read_and_streamed(store_settings: ObjectSettings, object_store: Any, bucket: str) -> None:
    object_store.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = ObjectStore(store_settings)
    first = await store.put(bucket, "k", b"first" * 100)
    await store.put(bucket, "k", b"second")
    assert first.version_id
    assert await store.get(bucket, "k", first.version_id) == b"first" * 100
    assert b"".join([c async for c in store.get_stream(bucket, "k", version_id=first.version_id)]) == b"first" * 100
    assert await store.get(bucket, "k") == b"second"
    for version in ("nope", "01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        with pytest.raises(ObjectNotFound):
            await store.get(bucket, "k", version)


async def test_lists_by_any_prefix(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    for key in ("a/1", "a/12", "a/2", "ab/1", "b"):
        await store.put(bucket, key, b"x")
    assert [info.key for info in await store.list(bucket)] == ["a/1", "a/12", "a/2", "ab/1", "b"]
    assert [info.key for info in await store.list(bucket, "a/1")] == ["a/1", "a/12"]
    assert [info.key for info in await store.list(bucket, "a/")] == ["a/1", "a/12", "a/2"]
    assert [info.key for info in await store.list(bucket, "a")] == ["a/1", "a/12", "a/2", "ab/1"]
    assert await store.list(bucket, "zzz") == []


async def test_pages_below_any_prefix(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    for key in ("a/1", "a/12", "a/2", "ab/1", "b"):
        await store.put(bucket, key, b"x")

    async def keys(prefix: str) -> list[str]:
        return sorted([info.key async for page in store.pages(bucket, 2, prefix) for info in page])

    assert await keys("a/1") == ["a/1", "a/12"]
    assert await keys("a/") == ["a/1", "a/12", "a/2"]
    assert await keys("a") == ["a/1", "a/12", "a/2", "ab/1"]
    assert await keys("zzz/") == []
    with pytest.raises(BucketNotFound):
        await anext(store.pages("no-such-bucket", prefix="a/"))


async def test_lists_and_deletes_in_pages(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    keys = sorted([f"day/{number}/ü+b & <{number}>.jpg" for number in range(24)] + ["%41/100%.png"])
    await asyncio.gather(*(store.put(bucket, key, b"x") for key in keys))
    pages = [page async for page in store.pages(bucket, 10)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert sorted(info.key for page in pages for info in page) == keys
    # While a list is read, what it told of already may go.
    read = store.pages(bucket, 10)
    first = [info.key for info in await anext(read)]
    await store.delete_many(bucket, [*first, "never/there"])
    rest = [info.key async for page in read for info in page]
    assert sorted(first + rest) == keys
    assert [info.key for info in await store.list(bucket)] == sorted(rest)
    await store.delete_many(bucket, rest)
    await store.delete_many(bucket, [])
    assert [page async for page in store.pages(bucket)] == []


async def test_pages_of_what_does_not_answer(store_settings: ObjectSettings) -> None:
    nowhere = ObjectStore(store_settings.model_copy(update={"endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(Transient):
        await anext(nowhere.pages("b"))
    with pytest.raises(Transient):
        await nowhere.delete_many("b", ["x"])
    with pytest.raises(BucketNotFound):
        await anext(ObjectStore(store_settings).pages("no-such-bucket"))


async def test_a_missing_bucket_is_not_a_missing_key(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)
    assert await store.bucket_exists(bucket)
    assert not await store.bucket_exists("no-such-bucket")
    with pytest.raises(ObjectNotFound):
        await store.get(bucket, "absent")
    with pytest.raises(ObjectNotFound):
        [chunk async for chunk in store.get_stream(bucket, "absent")]
    with pytest.raises(ObjectNotFound):
        await store.head(bucket, "absent")
    for call in (
        store.get("no-such-bucket", "x"),
        store.put("no-such-bucket", "x", b"x"),
        store.list("no-such-bucket"),
        store.exists("no-such-bucket", "x"),
        store.head("no-such-bucket", "x"),
        store.probe("no-such-bucket"),
    ):
        with pytest.raises(BucketNotFound):
            await call


async def test_a_stream_may_take_longer_than_a_request(
    store_settings: ObjectSettings, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works on each piece reads for minutes; a request must not."""
    monkeypatch.setitem(objects._CLIENT, "timeout", "500ms")
    store, data = ObjectStore(store_settings), os.urandom(24 * 1024 * 1024)
    await store.put(bucket, "large", data)
    read = hashlib.sha256()
    async for chunk in store.get_stream(bucket, "large"):
        read.update(chunk)
        await asyncio.sleep(0.04)  # the work
    assert read.digest() == hashlib.sha256(data).digest()


async def test_an_object_that_changes_while_it_is_streamed_is_no_mixture(
    store_settings: ObjectSettings, bucket: str
) -> None:
    store = ObjectStore(store_settings)
    await store.put(bucket, "k", b"a" * 24 * 1024 * 1024)
    chunks = store.get_stream(bucket, "k")
    read = [await anext(chunks)]
    await store.put(bucket, "k", b"b" * 24 * 1024 * 1024)
    with pytest.raises(Transient):
        read += [chunk async for chunk in chunks]
    assert set(b"".join(read)) == set(b"a")


async def test_what_only_begins_like_a_sealed_object_is_never_held_as_a_whole(
    store_settings: ObjectSettings, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write such a thing, as large as he likes."""
    store = ObjectStore(store_settings.model_copy(update={"sealing_key": SecretStr("k" * 32)}))
    data = b"VGS1" + bytes(1000)
    await store.put(bucket, "k", data)
    with pytest.raises(SealError):
        [chunk async for chunk in store.get_stream(bucket, "k", 100)]
    monkeypatch.setattr(objects, "_MOST_OPENED", len(data) - 1)
    assert b"".join([chunk async for chunk in store.get_stream(bucket, "k", 100)]) == data


async def test_wrong_keys_and_no_store(store_settings: ObjectSettings, bucket: str) -> None:
    wrong = ObjectStore(store_settings.model_copy(update={"secret_access_key": SecretStr("hunter2")}))
    with pytest.raises(AccessDenied) as caught:
        await wrong.get(bucket, "x")
    assert "hunter2" not in str(caught.value)
    nowhere = ObjectStore(store_settings.model_copy(update={"endpoint": "http://127.0.0.1:9"}))
    with pytest.raises(Transient):
        await nowhere.get(bucket, "x")


async def test_a_bucket_is_made_once(store_settings: ObjectSettings) -> None:
    store = ObjectStore(store_settings)
    name = f"b-{uuid.uuid4().hex[:12]}"
    assert await store.create_bucket(name)
    assert not await store.create_bucket(name)
    await store.put(name, "x", b"1")
    assert await store.get(name, "x") == b"1"


async def test_a_stranger_makes_no_bucket(store_settings: ObjectSettings) -> None:
    wrong = store_settings.model_copy(update={"secret_access_key": SecretStr("wrong")})
    with pytest.raises(AccessDenied):
        await ObjectStore(wrong).create_bucket(f"b-{uuid.uuid4().hex[:12]}")


async def test_what_is_sealed_lies_encrypted_and_is_read_as_it_was(store_settings: ObjectSettings, bucket: str) -> None:
    sealing = store_settings.model_copy(update={"sealing_key": SecretStr("r" * 32)})
    store, plain = ObjectStore(sealing), ObjectStore(store_settings)
    data = b"a photograph of a part" * 100
    reference = await store.put(bucket, "k", data, "image/jpeg", Seal("111122223333"))
    assert reference.sha256 == hashlib.sha256(data).hexdigest()
    assert reference.size == len(data)
    assert b"photograph" not in await plain.get(bucket, "k")
    assert await store.get(bucket, "k") == data
    assert b"".join([chunk async for chunk in store.get_stream(bucket, "k", 100)]) == data
    await plain.put(bucket, "moved", await plain.get(bucket, "k"))
    with pytest.raises(SealError):
        await store.get(bucket, "moved")
    # What was there before the key was, and what is not ours, is read as it is.
    await plain.put(bucket, "old", data, seal=Seal("111122223333"))
    assert await store.get(bucket, "old") == await plain.get(bucket, "old") == data
    with pytest.raises(UnknownKey):
        await store.put(bucket, "none", data, seal=Seal("111122223333", "no-such-key"))
    assert not await store.exists(bucket, "none")


async def test_large_objects_are_written_and_read_as_they_pass_by(store_settings: ObjectSettings, bucket: str) -> None:
    sealing = store_settings.model_copy(update={"sealing_key": SecretStr("r" * 32)})
    store, plain = ObjectStore(sealing), ObjectStore(store_settings)
    piece = os.urandom(1_000_003)
    digest = hashlib.sha256(piece * 20)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield piece

    for seal in (None, Seal("111122223333")):
        written = await store.put_stream(bucket, "big", chunks(), "text/plain", seal, sha256=digest.hexdigest())
        assert (written.size, written.sha256) == (20 * len(piece), digest.hexdigest())
        assert (await plain.get(bucket, "big") == piece * 20) == (seal is None)
        assert await store.get(bucket, "big") == piece * 20
        read = [chunk async for chunk in store.get_stream(bucket, "big", 300_000)]
        assert b"".join(read) == piece * 20
        assert max(map(len, read)) <= 300_000
    # Cut in the store, or moved: nothing of what is wrong is given out as if it were right.
    data = await plain.get(bucket, "big")
    await plain.put(bucket, "moved", data)
    await plain.put(bucket, "big", data[:-1])
    for key in ("moved", "big"):
        with pytest.raises(SealError):
            [chunk async for chunk in store.get_stream(bucket, key)]


async def test_what_is_not_what_it_should_be_is_not_written(store_settings: ObjectSettings, bucket: str) -> None:
    store = ObjectStore(store_settings)

    async def changed() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000_000

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 20_000_000
        raise AccessDenied("forbidden", "the rest may not be read")

    with pytest.raises(Transient, match="changed meanwhile"):
        await store.put_stream(bucket, "new", changed(), sha256="0" * 64)
    with pytest.raises(AccessDenied, match="the rest"):
        await store.put_stream(bucket, "new", broken())
    assert not await store.exists(bucket, "new")
