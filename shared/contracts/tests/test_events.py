"""What is written is read back; what breaks the contract is named, never half-read."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vigia_contracts.audit import CALL_RECORDED, LOOKOUT, Call, CallOutcome, CloudTrailRecord, UserIdentity
from vigia_contracts.base import Payload
from vigia_contracts.cameras import CAMERA_CHANGED, Camera, RtspSource
from vigia_contracts.events import ContractError, Event, decode, encode
from vigia_contracts.faults import FAULT_RECORDED, Fault, FaultKind
from vigia_contracts.frames import FRAME_CAPTURED, FRAME_STORED, inspection_id
from vigia_contracts.inspections import INSPECTION_DECIDED, Inspection, InvalidCause, LabelArea, Verdict
from vigia_contracts.topics import AUDIT, CAMERAS, FAULTS, FRAMES, INSPECTIONS, TOPICS, USAGE, Topic
from vigia_contracts.usage import UNITS_MEASURED, UnitsMeasured

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
FOUR = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"f-1"),
    ("ce_source", b"/any/publisher"),
    ("ce_type", FRAME_CAPTURED.encode()),
]


def inspection() -> Inspection:
    return Inspection(
        inspection_id=inspection_id("/cameras/oven-1", "7"),
        frame_id="7",
        frame_source="/cameras/oven-1",
        account_id="123456789012",
        camera_id="oven-1",
        verdict=Verdict.REJECT,
        is_anomalous=True,
        confidence=0.97,
        score=0.8,
        threshold=0.5,
        labels=[LabelArea(name="cracked", area=0.02, color="#23A436")],
        captured_at=NOW,
        received_at=NOW,
        decided_at=NOW,
        timings={"total": 0.02},
    )


PAYLOADS: list[tuple[Topic, str, Payload]] = [
    (INSPECTIONS, INSPECTION_DECIDED, inspection()),
    (
        CAMERAS,
        CAMERA_CHANGED,
        Camera(
            camera_id="oven-1",
            account_id="123456789012",
            region="us-east-1",
            source=RtspSource(url="rtsp://user:secret@127.0.0.1/line"),
        ),
    ),
    (
        FAULTS,
        FAULT_RECORDED,
        Fault(
            fault_id=uuid4(),
            kind=FaultKind.BLIND,
            cause="refused",
            account_id="123456789012",
            camera_id="oven-1",
            started_at=NOW,
        ),
    ),
    (
        AUDIT,
        CALL_RECORDED,
        Call(
            account_id="123456789012",
            region="us-east-1",
            called_at=NOW,
            record=CloudTrailRecord(
                userIdentity=UserIdentity(
                    type="IAMUser",
                    principalId="admin",
                    arn="arn:aws:iam::123456789012:user/admin",
                    accountId="123456789012",
                    accessKeyId="AKIAEXAMPLE",
                    userName="admin",
                ),
                eventTime=NOW.replace(microsecond=0),
                eventSource=LOOKOUT,
                eventName="DescribeProject",
                awsRegion="us-east-1",
                sourceIPAddress="10.0.0.7",
                userAgent="Boto3/1.43",
                requestParameters={"projectName": "cookies"},
                requestID="r-1",
                eventID=uuid4(),
                readOnly=True,
                recipientAccountId="123456789012",
            ),
            outcome=CallOutcome.SUCCESS,
            project="cookies",
            duration_ms=3.5,
        ),
    ),
    (
        USAGE,
        UNITS_MEASURED,
        UnitsMeasured(
            account_id="123456789012",
            region="us-east-1",
            project="cookies",
            model_arn="arn:aws:lookoutvision:us-east-1:123456789012:model/cookies/1",
            model_version="1",
            minute=NOW.replace(second=0, microsecond=0),
            min_units=1,
            desired_units=1,
            in_service_units=1,
        ),
    ),
]


def read(topic: Topic, event: Event) -> Event:
    record = encode(topic, event)
    return decode(topic, key=record.key, value=record.value, headers=record.headers, timestamp_ms=MS)


@pytest.mark.parametrize(("topic", "kind", "payload"), PAYLOADS, ids=lambda v: v if isinstance(v, str) else "")
def test_payloads_round_trip(topic: Topic, kind: str, payload: Payload) -> None:
    event = Event(type=kind, source="/test", id="1", time=NOW, data=payload, key="k", subject="s")
    back = read(topic, event)
    assert back.data == payload
    assert (back.key, back.subject, back.time, back.time_stated) == ("k", "s", NOW, True)


@given(
    image=st.binary(min_size=0, max_size=300),
    frame_id=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40),
    part=st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=40),
    offset=st.integers(-(10**6), 10**6),
)
def test_frames_round_trip(image: bytes, frame_id: str, part: str, offset: int) -> None:
    event = Event(
        type=FRAME_CAPTURED,
        source="/cameras/a",
        id=frame_id,
        time=NOW + timedelta(seconds=offset),
        data=image,
        key="a",
        extensions={"partid": part},
        content_type="image/jpeg",
    )
    assert read(FRAMES, event) == event


def test_four_headers_are_enough_and_the_brokers_time_stands_in() -> None:
    event = decode(FRAMES, key=b"oven-1", value=b"\xff\xd8", headers=FOUR, timestamp_ms=MS)
    assert (event.key, event.id, event.data, event.time_stated) == ("oven-1", "f-1", b"\xff\xd8", False)
    assert event.time == datetime.fromtimestamp(MS / 1000, UTC)


def without(name: str) -> list[tuple[str, bytes]]:
    return [header for header in FOUR if header[0] != name]


@pytest.mark.parametrize(
    ("headers", "value", "key", "code"),
    [
        ([], b"x", b"k", "bad_headers"),
        (without("ce_id"), b"x", b"k", "bad_headers"),
        (without("ce_source"), b"x", b"k", "bad_headers"),
        (without("ce_type"), b"x", b"k", "bad_headers"),
        ([*without("ce_id"), ("ce_id", b"\xff\xfe")], b"x", b"k", "bad_headers"),
        ([*FOUR, ("ce_time", b"yesterday")], b"x", b"k", "bad_headers"),
        ([*without("ce_type"), ("ce_type", b"com.example.other")], b"x", b"k", "unknown_type"),
        ([*without("ce_type"), ("ce_type", FRAME_STORED.encode())], b"{", b"k", "bad_data"),
        ([*without("ce_type"), ("ce_type", FRAME_STORED.encode())], b'{"image":{}}', b"k", "bad_data"),
        (FOUR, None, b"k", "no_value"),
        (FOUR, b"x", b"\xff", "bad_key"),
    ],
)
def test_broken_records_are_named(headers: list[tuple[str, bytes]], value: bytes | None, key: bytes, code: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode(FRAMES, key=key, value=value, headers=headers, timestamp_ms=MS)
    assert caught.value.code == code
    assert str(caught.value)


@given(
    headers=st.lists(
        st.tuples(st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time", "x"]), st.binary()),
        max_size=8,
    ),
    value=st.none() | st.binary(max_size=50),
)
def test_no_record_does_worse_than_a_contract_error(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    for topic in TOPICS.values():
        try:
            decode(topic, key=None, value=value, headers=headers, timestamp_ms=MS)
        except ContractError:
            continue


def test_a_topic_carries_only_its_events() -> None:
    with pytest.raises(ContractError, match="does not carry"):
        encode(FAULTS, Event(type=INSPECTION_DECIDED, source="/t", id="1", time=NOW, data=inspection()))
    with pytest.raises(ContractError, match="carries Fault"):
        encode(FAULTS, Event(type=FAULT_RECORDED, source="/t", id="1", time=NOW, data=inspection()))


def test_the_deciding_inspection_does_not_depend_on_the_model() -> None:
    assert inspection_id("/cameras/a", "1") == inspection_id("/cameras/a", "1")
    others = {
        inspection_id("/cameras/a", "1"),
        inspection_id("/cameras/b", "1"),
        inspection_id("/cameras/a", "2"),
        inspection_id("/cameras/a", "1", "arn:aws:lookoutvision:us-east-1:1:model/p/2"),
    }
    assert len(others) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": Verdict.INVALID},
        {"cause": InvalidCause.LATE},
        {"is_anomalous": None},
        {"captured_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - the missing zone is the point
        {"confidence": 1.5},
    ],
)
def test_an_inspection_that_contradicts_itself_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Inspection.model_validate({**inspection().model_dump(), **change})


def test_unknown_fields_of_a_newer_writer_are_ignored() -> None:
    body = inspection().model_dump_json(exclude_none=True)[:-1] + ',"from_the_future":1}'
    assert Inspection.model_validate_json(body) == inspection()


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda t: t.name)
def test_every_topic_is_bounded_or_compacted(topic: Topic) -> None:
    config = topic.config()
    assert config["cleanup.policy"] == "compact" or "retention.ms" in config
    assert topic.partitions > 0
