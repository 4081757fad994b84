"""The object store, on obstore: S3 and what speaks S3."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import obstore
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from vigia_contracts.base import ObjectRef
from vigia_runtime.errors import AccessDenied, AppError, LimitExceeded, NotFound, Transient
from vigia_runtime.sealing import Keyring, Opening, Seal, UnknownKey, is_sealed, opens_as_one
from vigia_runtime.settings import ObjectSettings

_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=10)}
_CLIENT: Any = {"timeout": "60s", "connect_timeout": "3s"}
#: A key that nobody writes: asking for it tells whether the bucket is there.
_NO_KEY = ".vigia-bucket-probe"
#: The longest key, bytes of its UTF-8.
MOST_KEY_BYTES = 1023
#: The largest object, bytes, that is held as a whole to be opened where it is asked for in pieces. What was sealed as
#: one piece and is read so is smaller; what is larger only begins like it, and anybody may write that.
_MOST_OPENED = 64 * 1024 * 1024
#: How much of a large object one request asks for, bytes: it takes a moment and not the time that its reader needs.
_PART = 8 * 1024 * 1024
#: What a store says of a bucket's name, or of a version, that cannot be.
_NO_BUCKET = ("NoSuchBucket", "InvalidBucketName")
_NO_VERSION = ("NoSuchVersion", "Invalid version id")
#: Of a key: a store that keeps files allows fewer bytes for a part than for the whole.
_LONG_KEY = "KeyTooLong"
_REFUSED = "400 Bad Request"


class ObjectNotFound(NotFound):
    """There is no such key (in a bucket that may or may not exist)."""

    def __init__(self, bucket: str, key: str, problem: str = "does not exist") -> None:
        super().__init__("object_not_found", f"s3://{bucket}/{key} {problem}", {"bucket": bucket, "key": key})


class UnusableKey(ObjectNotFound):
    """No object of this store can have the key: it or a part is too long, or a part is empty, ``.`` or ``..``."""

    def __init__(self, bucket: str, key: str) -> None:
        parts = "no part of it is empty, '.', '..' or longer than the store allows"
        super().__init__(bucket, key, f"cannot exist: a key has at most {MOST_KEY_BYTES} bytes, and {parts}")


class ObjectTooLarge(LimitExceeded):
    """The object is larger than its reader takes. ``size`` in bytes."""

    def __init__(self, bucket: str, key: str, size: int, most: int) -> None:
        super().__init__("object_too_large", f"s3://{bucket}/{key} has {size} bytes; at most {most} are read")
        self.size = size


class BucketNotFound(NotFound):
    """There is no such bucket."""

    def __init__(self, bucket: str) -> None:
        super().__init__("bucket_not_found", f"bucket {bucket} does not exist", {"bucket": bucket})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object without its content. ``size`` in bytes."""

    key: str
    size: int
    last_modified: datetime
    etag: str | None
    version_id: str | None


def usable_key(key: str) -> bool:
    """Whether an object can have the key."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
        return False
    return size <= MOST_KEY_BYTES and "\0" not in key and not {"", ".", ".."} & set(key.split("/"))


class ObjectStore:
    """Objects of any bucket of one store. Safe to share among tasks.

    Every method raises BucketNotFound, ObjectNotFound (reading), UnusableKey, AccessDenied, or Transient when the store
    does not answer after a few attempts. Objects written with a ``seal`` are encrypted at rest (where the settings have
    a key) and opened when they are read: SealError where that fails. Digests and sizes in references are those of the
    content.
    """

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._stores: dict[str, S3Store] = {}
        self._keyring = _keyring(settings)

    def check(self, seal: Seal) -> None:
        """UnknownKey where nothing could be sealed so, because the key it names is not here."""
        if self._keyring is not None:
            self._keyring.check(seal)
        elif seal.key_id is not None:
            raise UnknownKey(seal.key_id)

    async def get(
        self, bucket: str, key: str, version_id: str | None = None, *, most_bytes: int | None = None
    ) -> bytes:
        """The object's bytes; ObjectTooLarge, unread, where there are more than ``most_bytes``."""
        async with self._errors(bucket, _usable(bucket, key)):
            result = await obstore.get_async(self._store(bucket), key, options=_version(version_id))
            size = result.meta["size"]
            if most_bytes is not None and size > most_bytes:
                raise ObjectTooLarge(bucket, key, size, most_bytes)
            data = bytes(await result.bytes_async())
        return self._opened(bucket, key, data)

    async def get_stream(
        self, bucket: str, key: str, chunk_bytes: int = 1024 * 1024, version_id: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The object's bytes in chunks of at most ``chunk_bytes``.

        A large one is asked for part by part, so that who reads it may take its time: a request may not. Transient
        where it changes meanwhile.
        """
        async with self._errors(bucket, _usable(bucket, key)):
            result = await obstore.get_async(self._store(bucket), key, options=_version(version_id))
            size, tag = result.meta["size"], result.meta["e_tag"]
            if size <= _PART:
                part = bytes(await result.bytes_async())
            else:
                del result  # with its answer, of which nothing has been read
                part = await self._part(bucket, key, 0, tag, version_id)
            opening = self._opening(bucket, key, part, size)
            end = 0
            while True:
                end += len(part)
                if opening is not None:
                    part = opening.update(part) + (opening.finalize() if end >= size else b"")
                for at in range(0, len(part), chunk_bytes):
                    yield part[at : at + chunk_bytes]
                if end >= size:
                    return
                part = await self._part(bucket, key, end, tag, version_id)

    async def _part(self, bucket: str, key: str, start: int, tag: str | None, version_id: str | None) -> bytes:
        options: Any = {**(_version(version_id) or {}), "range": (start, start + _PART), "if_match": tag}
        result = await obstore.get_async(self._store(bucket), key, options=options)
        return bytes(await result.bytes_async())

    async def put(
        self, bucket: str, key: str, data: bytes, content_type: str | None = None, seal: Seal | None = None
    ) -> ObjectRef:
        """Write an object; the reference carries its SHA-256 and size. Complete or absent, never half-written.

        ``seal``: whose it is and what key encrypts it; UnknownKey. None: it is written for others to read.
        """
        stored = data
        if seal is not None:
            self.check(seal)
            if self._keyring is not None:
                stored = self._keyring.seal(data, seal, f"{bucket}/{key}")
        async with self._errors(bucket, _usable(bucket, key)):
            attributes: Any = {"Content-Type": content_type} if content_type else None
            result = await obstore.put_async(self._store(bucket), key, stored, attributes=attributes)
        return ObjectRef(
            bucket=bucket,
            key=key,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            version_id=result.get("version"),
        )

    async def put_stream(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterable[bytes],
        content_type: str | None = None,
        seal: Seal | None = None,
        *,
        sha256: str | None = None,
    ) -> ObjectRef:
        """As ``put``, of an object too large to be held. ``sha256``: Transient, and nothing is written, where the
        chunks turn out to be something else.
        """
        sealing = None
        if seal is not None:
            self.check(seal)
            sealing = None if self._keyring is None else self._keyring.sealing(seal, f"{bucket}/{key}")
        digest, size = hashlib.sha256(), 0

        async def stored() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                if out := chunk if sealing is None else sealing.update(chunk):
                    yield out
            if sha256 not in (None, digest.hexdigest()):
                raise Transient(f"object store: s3://{bucket}/{key}: what was to be written changed meanwhile")
            if sealing is not None:
                yield sealing.finalize()

        async with self._errors(bucket, _usable(bucket, key)):
            attributes: Any = {"Content-Type": content_type} if content_type else None
            result = await obstore.put_async(
                self._store(bucket), key, stored(), attributes=attributes, chunk_size=_PART, max_concurrency=2
            )
        return ObjectRef(bucket=bucket, key=key, sha256=digest.hexdigest(), size=size, version_id=result.get("version"))

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        """Size, time and tag of an object."""
        try:
            async with self._errors(bucket, _usable(bucket, key)):
                return _info(await obstore.head_async(self._store(bucket), key))
        except ObjectNotFound:
            # The answer to a HEAD has no body that would tell a missing bucket from a missing key.
            if not await self.bucket_exists(bucket):
                raise BucketNotFound(bucket) from None
            raise
        except Transient as error:
            if _REFUSED in str(error.__cause__):
                # Nor does it tell what the store has against the key.
                async with self._errors(bucket, key):
                    await obstore.get_async(self._store(bucket), key)
            raise

    async def exists(self, bucket: str, key: str) -> bool:
        """Whether the object exists; BucketNotFound where the bucket does not."""
        try:
            await self.head(bucket, key)
        except ObjectNotFound:
            return False
        return True

    async def list(self, bucket: str, prefix: str = "") -> list[ObjectInfo]:
        """Objects whose key begins with ``prefix`` (any text, not only whole path segments), by key.

        The store is asked for the whole path segments and the rest is compared here.
        """
        folder = prefix.rsplit("/", 1)[0] if "/" in prefix else None
        found: list[ObjectInfo] = []
        async with self._errors(bucket, prefix):
            async for page in obstore.list(self._store(bucket), prefix=folder):
                found += [_info(meta) for meta in page if meta["path"].startswith(prefix)]
        if not found and not await self.bucket_exists(bucket):
            raise BucketNotFound(bucket)
        return sorted(found, key=lambda info: info.key)

    async def pages(self, bucket: str, size: int = 1000, prefix: str = "") -> AsyncIterator[Sequence[ObjectInfo]]:
        """Objects of the bucket, ``size`` at a time, in the store's order; no more than that is held in memory.

        With ``prefix`` those whose key begins with it, as in ``list``; a page may then be empty. Objects that come or
        go meanwhile may be told of or not; those already told of may be deleted.
        """
        folder = prefix.rsplit("/", 1)[0] if "/" in prefix else None
        found = False
        async with self._errors(bucket, prefix):
            async for page in obstore.list(self._store(bucket), prefix=folder, chunk_size=size):
                found = True
                yield [_info(meta) for meta in page if meta["path"].startswith(prefix)]
        if not found and not await self.bucket_exists(bucket):
            raise BucketNotFound(bucket)

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects, up to 1000 by one request; those that do not exist are no error."""
        if not keys:
            return
        async with self._errors(bucket, keys[0]):
            await obstore.delete_async(self._store(bucket), keys)

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that does not exist is no error."""
        try:
            async with self._errors(bucket, _usable(bucket, key)):
                await obstore.delete_async(self._store(bucket), key)
        except ObjectNotFound:
            return

    async def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket exists and may be read."""
        try:
            await self.get(bucket, _NO_KEY)
        except ObjectNotFound:
            return True
        except BucketNotFound:
            return False
        return True

    async def create_bucket(self, bucket: str) -> bool:
        """Makes the bucket; False when it is there already. obstore knows no buckets, so this is one signed request."""
        if await self.bucket_exists(bucket):
            return False
        settings = self._settings
        base = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
        request = AWSRequest("PUT", f"{base.rstrip('/')}/{bucket}", data=_location(settings.region))
        credentials = Credentials(settings.access_key_id, settings.secret_access_key.get_secret_value())
        S3SigV4Auth(credentials, "s3", settings.region).add_auth(request)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
                answer = await client.put(request.url, content=request.data, headers=dict(request.headers.items()))
        except httpx.HTTPError as error:
            raise Transient(f"object store: bucket {bucket}: {type(error).__name__}") from error
        if answer.status_code == httpx.codes.CONFLICT:  # another process was first
            return False
        if answer.is_server_error:
            raise Transient(f"object store: bucket {bucket}: status {answer.status_code}")
        if answer.is_error:
            raise AccessDenied("bucket_not_created", f"bucket {bucket} cannot be created: status {answer.status_code}")
        return True

    async def probe(self, bucket: str) -> None:
        """Readiness: the store answers and has the bucket."""
        if not await self.bucket_exists(bucket):
            raise BucketNotFound(bucket)

    def _opened(self, bucket: str, key: str, data: bytes) -> bytes:
        if self._keyring is None or not is_sealed(data):
            return data
        return self._keyring.open(data, f"{bucket}/{key}")

    def _opening(self, bucket: str, key: str, start: bytes, size: int) -> Opening | None:
        """What opens an object with ``size`` bytes that begins with ``start``; None where it is not sealed."""
        if self._keyring is None or not is_sealed(start) or (opens_as_one(start) and size > _MOST_OPENED):
            return None
        return self._keyring.opening(f"{bucket}/{key}")

    def _store(self, bucket: str) -> S3Store:
        store = self._stores.get(bucket)
        if store is None:
            settings = self._settings
            client: Any = {**_CLIENT, "allow_http": (settings.endpoint or "").startswith("http://")}
            options: dict[str, Any] = {}
            if settings.endpoint is not None:
                options["endpoint"] = settings.endpoint
                options["virtual_hosted_style_request"] = False
            store = S3Store(
                bucket,
                region=settings.region,
                access_key_id=settings.access_key_id,
                secret_access_key=settings.secret_access_key.get_secret_value(),
                client_options=client,
                retry_config=_RETRY,
                **options,
            )
            self._stores[bucket] = store
        return store

    @asynccontextmanager
    async def _errors(self, bucket: str, key: str) -> AsyncIterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _missing(bucket, key, error) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise AccessDenied("object_access_denied", f"access to s3://{bucket}/{key} is denied") from error
        except (BaseError, OSError) as error:
            raise _other(bucket, key, error) from error


def _keyring(settings: ObjectSettings) -> Keyring | None:
    if settings.sealing_key is None:
        return None
    return Keyring(settings.sealing_key.get_secret_value().split(), settings.keys_folder)


def _usable(bucket: str, key: str) -> str:
    if not usable_key(key):
        raise UnusableKey(bucket, key)
    return key


def _version(version_id: str | None) -> Any:
    return {"version": version_id} if version_id else None


def _location(region: str) -> bytes:
    """S3 wants its region named, but for the one that was there first, which must not be named."""
    if region == "us-east-1":
        return b""
    place = f"<LocationConstraint>{region}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode()


def _missing(bucket: str, key: str, error: Exception) -> AppError:
    return BucketNotFound(bucket) if "NoSuchBucket" in str(error) else ObjectNotFound(bucket, key)


def _other(bucket: str, key: str, error: Exception) -> Exception:
    said = str(error)
    if any(code in said for code in _NO_BUCKET):
        return BucketNotFound(bucket)
    if any(code in said for code in _NO_VERSION):
        return ObjectNotFound(bucket, key)
    if _LONG_KEY in said:
        return UnusableKey(bucket, key)
    return Transient(f"object store: s3://{bucket}/{key}: {type(error).__name__}")


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["last_modified"], meta.get("e_tag"), meta.get("version"))
