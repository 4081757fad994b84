"""What a caller may name in the object store."""

from __future__ import annotations

from dataclasses import dataclass

from vigia_runtime.policies import authorize
from vigia_runtime.settings import BucketSettings
from vigia_runtime.sigv4 import Credential


@dataclass(frozen=True, slots=True)
class Fence:
    """What an account may name of Vigia's own buckets, where all accounts' things lie: what begins with its id.

    Who may name other buckets is the matter of the object store and, where they are asked, of ``S3Rights``.
    """

    own: frozenset[str]
    account_id: str

    def allows(self, bucket: str, key: str) -> bool:
        """Whether the account may name the object, or what lies below that prefix."""
        return bucket not in self.own or key.startswith(f"{self.account_id}/")

    def why(self, bucket: str) -> str:
        """What to say of an object that is not allowed."""
        return f"of Vigia's bucket {bucket} only what begins with {self.account_id}/ is yours"


def fence_of(buckets: BucketSettings, account_id: str) -> Fence:
    """The fence of an account."""
    return Fence(_own(buckets), account_id)


@dataclass(frozen=True, slots=True)
class S3Rights:
    """What the caller's policies allow of what Vigia does in the object store for it.

    Of Vigia's ``own`` buckets the fence alone decides. Without a caller everything is allowed: nobody wants it asked.
    """

    caller: Credential | None
    own: frozenset[str]

    @property
    def key(self) -> str | None:
        """The access key that a job asks with later; None where nobody wants it asked."""
        return None if self.caller is None else self.caller.access_key_id

    def require(self, action: str, bucket: str, key: str | None = None) -> None:
        """AccessDenied unless the caller may do ``action``, such as ``GetObject``, to the bucket or the object."""
        self._ask(action, bucket, f"{bucket}/{key}" if key is not None else bucket, {})

    def require_list(self, bucket: str, prefix: str) -> None:
        """AccessDenied unless the caller may list what lies below ``prefix``."""
        self._ask("ListBucket", bucket, bucket, {"s3:prefix": prefix})

    def _ask(self, action: str, bucket: str, path: str, context: dict[str, str]) -> None:
        if self.caller is not None and bucket not in self.own:
            authorize(self.caller, f"s3:{action}", f"arn:aws:s3:::{path}", context, via_service=True)


def asked_rights(buckets: BucketSettings, caller: Credential | None) -> S3Rights:
    """The rights of a caller that are asked for."""
    return S3Rights(caller, _own(buckets))


def _own(buckets: BucketSettings) -> frozenset[str]:
    return frozenset({buckets.artifacts, buckets.datasets, buckets.evidence, buckets.frames})
