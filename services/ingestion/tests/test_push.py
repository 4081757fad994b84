"""The push door: what is taken is in Kafka when the answer comes, what is refused says why."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import boto3
import httpx
import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

from vigia_contracts.cameras import Camera, FolderSource, PushSource
from vigia_contracts.frames import FRAME_CAPTURED, FRAME_STORED, FrameReference
from vigia_contracts.topics import CAMERAS
from vigia_ingestion.app.publish import Publisher
from vigia_ingestion.app.push import PushDoor
from vigia_ingestion.entrypoints.http import push_app
from vigia_runtime.health import Health
from vigia_runtime.kafka.table import CompactedTable
from vigia_runtime.objects import ObjectStore
from vigia_runtime.policies import allowing, canonical
from vigia_runtime.settings import ObjectSettings
from vigia_runtime.signin import Authenticator, Credential
from vigia_stack.testing import ObjectStoreAddress

from .conftest import ACCOUNT, Plant, camera, jpeg, until

URL = "http://vigia.test/api/v1/frames"
FOLDER = f"arn:aws:vigia::{ACCOUNT}:camera/folder"


class Keys:
    """Keys: of all cameras, of one other camera, and one that may only read."""

    async def credential(self, access_key_id: str) -> Credential | None:
        policies = {
            "AKCAMERA": allowing("vigia:PutFrame"),
            "AKFOLDER": canonical({"Statement": {"Effect": "Allow", "Action": "vigia:PutFrame", "Resource": FOLDER}}),
            "AKREADER": allowing("vigia:Read*"),
        }
        if access_key_id not in policies:
            return None
        return Credential(
            access_key_id=access_key_id,
            secret_access_key="secret",
            session_token=None,
            account_id=ACCOUNT,
            principal_arn=f"arn:aws:iam::{ACCOUNT}:user/{access_key_id}",
            policies=(policies[access_key_id],),
        )

    async def used(self, credential: Credential, service: str) -> None:
        """Nobody asks."""


@dataclass
class Door:
    client: httpx.AsyncClient
    plant: Plant
    store: ObjectStore
    bucket: str

    async def post(self, camera_id: str, body: bytes, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"{URL}/{camera_id}", content=body, headers=names, auth=("AKCAMERA", "secret"))


@pytest.fixture
async def door(plant: Plant, object_store: ObjectStoreAddress, topic_prefix: str) -> AsyncIterator[Door]:
    address = {
        "endpoint": object_store.endpoint,
        "region": object_store.region,
        "access_key_id": object_store.access_key_id,
        "secret_access_key": object_store.secret_access_key,
    }
    bucket = f"frames-{topic_prefix.strip('.')}"
    s3 = boto3.client(
        "s3",
        endpoint_url=object_store.endpoint,
        region_name=object_store.region,
        aws_access_key_id=object_store.access_key_id,
        aws_secret_access_key=object_store.secret_access_key,
    )
    await asyncio.to_thread(s3.create_bucket, Bucket=bucket)
    store = ObjectStore(ObjectSettings.model_validate(address))
    for wanted in (
        camera(PushSource(), "pushed"),
        camera(PushSource(), "off").model_copy(update={"enabled": False}),
        camera(PushSource(), "foreign").model_copy(update={"account_id": "999999999999"}),
        camera(FolderSource(path="/nowhere"), "folder"),
    ):
        await plant.announce(wanted)
    table: CompactedTable[Camera] = CompactedTable(plant.settings, CAMERAS, health=Health("ingestion"))
    stopping = asyncio.Event()
    reading = asyncio.create_task(table.run(stopping))
    await table.wait_ready(20)
    pushing = PushDoor(table, Publisher(plant.producer, store, bucket))
    app = push_app(pushing, Authenticator(Keys()), 4 * 1024 * 1024)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport) as client:
        yield Door(client, plant, store, bucket)
    stopping.set()
    await reading


async def test_an_image_is_a_frame_when_the_answer_comes(door: Door) -> None:
    answer = await door.post(
        "pushed", jpeg(1), X_Vigia_Part_Id="P-17", X_Vigia_Captured_At="2026-01-02T03:04:05+01:00", X_Vigia_Frame_Id="a"
    )
    assert (answer.status_code, answer.json()) == (202, {"frame_id": "a"})
    await until(lambda: door.plant.frames)
    frame = door.plant.frames[0]
    assert (frame.type, frame.id, frame.source, frame.key) == (FRAME_CAPTURED, "a", "/cameras/pushed/push", "pushed")
    assert (frame.data, frame.content_type) == (jpeg(1), "image/jpeg")
    assert frame.time == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert frame.extensions["partid"] == "P-17"


async def test_without_headers_each_image_is_a_frame_of_its_own(door: Door) -> None:
    first, second = [(await door.post("pushed", jpeg(1))).json()["frame_id"] for _ in range(2)]
    assert first != second
    await until(lambda: len(door.plant.frames) == 2)
    assert {frame.id for frame in door.plant.frames} == {first, second}


async def test_a_large_image_is_stored_first_and_sent_by_reference(door: Door) -> None:
    data = io.BytesIO()
    noise = np.frombuffer(os.urandom(700 * 700 * 3), np.uint8).reshape(700, 700, 3)
    Image.fromarray(noise).save(data, "PNG")
    assert (await door.post("pushed", data.getvalue(), Content_Type="image/png")).status_code == 202
    await until(lambda: door.plant.frames)
    frame = door.plant.frames[0]
    assert frame.type == FRAME_STORED
    assert isinstance(frame.data, FrameReference)
    assert (frame.data.content_type, frame.data.image.bucket) == ("image/png", door.bucket)
    assert frame.data.image.sha256 == hashlib.sha256(data.getvalue()).hexdigest()
    assert await door.store.get(door.bucket, frame.data.image.key) == data.getvalue()


@pytest.mark.parametrize(
    ("camera_id", "body", "headers", "status", "code"),
    [
        pytest.param("nobody", jpeg(0), {}, 404, "unknown_camera", id="unknown"),
        pytest.param("foreign", jpeg(0), {}, 404, "unknown_camera", id="of another account"),
        pytest.param("off", jpeg(0), {}, 409, "camera_disabled", id="disabled"),
        pytest.param("folder", jpeg(0), {}, 409, "not_a_push_camera", id="read by us"),
        pytest.param("pushed", b"GIF89a", {}, 415, "unsupported_image", id="no image"),
        pytest.param("pushed", b"", {}, 415, "unsupported_image", id="empty"),
        pytest.param("pushed", jpeg(0), {"Content_Type": "image/png"}, 415, "content_type_mismatch", id="mislabelled"),
        pytest.param("pushed", jpeg(0) + bytes(5 * 1024 * 1024), {}, 413, "body_too_large", id="too large"),
        pytest.param("pushed", jpeg(0), {"X_Vigia_Captured_At": "noon"}, 400, "bad_header", id="bad time"),
        pytest.param("pushed", jpeg(0), {"X_Vigia_Captured_At": "2026-01-01T00:00"}, 400, "bad_header", id="no zone"),
        pytest.param("pushed", jpeg(0), {"X_Vigia_Part_Id": "a b"}, 400, "bad_header", id="bad part id"),
    ],
)
async def test_refusals(
    door: Door, camera_id: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await door.post(camera_id, body, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    # What was refused has left nothing behind: the next image is the first frame.
    assert (await door.post("pushed", jpeg(1), X_Vigia_Frame_Id="next")).status_code == 202
    await until(lambda: door.plant.frames)
    assert [frame.id for frame in door.plant.frames] == ["next"]


async def test_the_door_is_closed_without_a_credential(door: Door) -> None:
    url = f"{URL}/pushed"
    assert (await door.client.post(url, content=jpeg(0))).status_code in {401, 403}
    assert (await door.client.post(url, content=jpeg(0), auth=("AKCAMERA", "wrong"))).status_code == 401
    assert (await door.client.post(url, content=jpeg(0), auth=("AKREADER", "secret"))).status_code == 403


async def test_a_key_may_send_for_one_camera_alone(door: Door) -> None:
    key = ("AKFOLDER", "secret")
    refused = await door.client.post(f"{URL}/pushed", content=jpeg(0), auth=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "access_denied")
    assert refused.json()["detail"].endswith(f"vigia:PutFrame on resource: arn:aws:vigia::{ACCOUNT}:camera/pushed")
    known = await door.client.post(f"{URL}/folder", content=jpeg(0), auth=key)
    assert (known.status_code, known.json()["code"]) == (409, "not_a_push_camera")


async def test_a_signed_request_is_taken_and_a_changed_one_is_not(door: Door) -> None:
    request = AWSRequest("POST", f"{URL}/pushed", data=jpeg(0), headers={"Host": "vigia.test"})
    SigV4Auth(Credentials("AKCAMERA", "secret"), "vigia", "eu-west-1").add_auth(request)
    headers = dict(request.headers.items())
    assert (await door.client.post(request.url, content=jpeg(0), headers=headers)).status_code == 202
    assert (await door.client.post(request.url, content=jpeg(1), headers=headers)).status_code == 403
