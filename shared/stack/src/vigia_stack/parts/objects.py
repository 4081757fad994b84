"""The object store: versitygw over a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, Step, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.versitygw import versitygw

REGION = "us-east-1"


@dataclass(frozen=True)
class ObjectStoreAddress:
    """Where an S3 store is (http://host:port, path style) and the key that may do everything there."""

    endpoint: str
    access_key_id: str
    secret_access_key: str
    region: str = REGION

    def client(self) -> Any:
        """A boto3 S3 client for it, with short time-outs."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"}, connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}
            ),
        )


class ObjectsPart(Part):
    """Ready when an object that was put comes back."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "objects", ports=("objects",))
        self._program: Path | None = None

    @property
    def store(self) -> ObjectStoreAddress:
        key = self.site.secret("access-key-id")
        return ObjectStoreAddress(
            f"http://127.0.0.1:{self.port('objects')}", key, self.site.secret("secret-access-key")
        )

    def prepare(self) -> None:
        self._program = versitygw()
        for name in ("objects", "objects-versions", "objects-iam"):
            self.site.data(name).mkdir(exist_ok=True)

    def command(self) -> Command:
        assert self._program is not None, "prepare() comes first"
        store = self.store
        argv = [
            str(self._program), "--port", f"127.0.0.1:{self.port('objects')}", "--region", REGION, "--quiet",
            "--keep-alive", "--health", "/health", "--iam-dir", str(self.site.data("objects-iam")),
            "posix", "--versioning-dir", str(self.site.data("objects-versions")), str(self.site.data("objects")),
        ]  # fmt: skip
        secrets = {"ROOT_ACCESS_KEY": store.access_key_id, "ROOT_SECRET_KEY": store.secret_access_key}
        return Command(argv, {**plain_environment(), **secrets})

    def check(self) -> None:
        try:
            # Cheap first: making a boto3 client takes longer than the gateway needs to start.
            httpx.get(f"{self.store.endpoint}/health", timeout=3).raise_for_status()
            client = self.store.client()
            ensure_bucket(client, "vigia-ready")
            client.put_object(Bucket="vigia-ready", Key="probe", Body=b"put and get")
            if client.get_object(Bucket="vigia-ready", Key="probe")["Body"].read() != b"put and get":
                raise NotReady("an object came back changed")
            client.delete_object(Bucket="vigia-ready", Key="probe")
            client.delete_bucket(Bucket="vigia-ready")
        except (BotoCoreError, ClientError, httpx.HTTPError) as error:
            raise NotReady(str(error)) from error

    def address(self) -> str:
        return f"http://127.0.0.1:{self.port('objects')}"


class Buckets(Step):
    """Makes the buckets that Vigia's services and its users expect."""

    def __init__(self, site: Site, objects: ObjectsPart, names: tuple[str, ...]) -> None:
        super().__init__(site, "buckets", needs=("objects",))
        self._objects = objects
        self._names = names

    def run(self) -> None:
        client = self._objects.store.client()
        for name in self._names:
            ensure_bucket(client, name)


def ensure_bucket(client: Any, name: str) -> None:
    """Create a bucket unless it exists. Raises ClientError."""
    try:
        client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
