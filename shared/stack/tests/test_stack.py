"""A stack comes back with its data, repairs itself, and keeps to its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.configloader import load_config

from vigia_stack import client
from vigia_stack.errors import NotReady, StackError
from vigia_stack.keeper import Keeper
from vigia_stack.parts.base import Part
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.ports import Ports
from vigia_stack.process import Command, Identity, adopt, identity, spawn
from vigia_stack.site import Site
from vigia_stack.stack import Stack


def wait_for(condition: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


async def _write_records(bootstrap: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for number in range(count):
        await producer.send_and_wait("kept", str(number).encode())
    await producer.stop()


async def _read_records(bootstrap: str) -> list[bytes]:
    partition = TopicPartition("kept", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        records: list[bytes] = []
        while len(records) < end:
            records += [record.value for batch in (await consumer.getmany(timeout_ms=500)).values() for record in batch]
        return records
    finally:
        await consumer.stop()


def test_killed_parts_come_back_with_their_data_and_so_does_a_stopped_stack(tmp_path: Path) -> None:
    parts = ["kafka", "postgres", "objects"]
    with Stack(parts, tmp_path) as stack:
        bootstrap, url = stack.part(KafkaPart).bootstrap, stack.part(PostgresPart).url()
        store = stack.part(ObjectsPart).store
        asyncio.run(_write_records(bootstrap, 5))
        with psycopg.connect(url) as connection:
            connection.execute("create table kept as select 7 as value")
        store.client().create_bucket(Bucket="kept")
        store.client().put_object(Bucket="kept", Key="value", Body=b"7")

        for name in parts:
            pid = stack.status(name).pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        for name in parts:
            wait_for(lambda name=name: stack.status(name).restarts == 1 and stack.status(name).state == "ready")
        assert asyncio.run(_read_records(bootstrap)) == [b"0", b"1", b"2", b"3", b"4"]

    with Stack(parts, tmp_path) as stack:
        assert stack.part(KafkaPart).bootstrap == bootstrap
        assert stack.part(PostgresPart).url() == url
        assert asyncio.run(_read_records(bootstrap)) == [b"0", b"1", b"2", b"3", b"4"]
        with psycopg.connect(url) as connection:
            assert connection.execute("select value from kept").fetchone() == (7,)
        assert store.client().get_object(Bucket="kept", Key="value")["Body"].read() == b"7"


def test_two_stacks_run_side_by_side() -> None:
    with Stack(["postgres"]) as one, Stack(["postgres"]) as other:
        for stack, value in ((one, 1), (other, 2)):
            with psycopg.connect(stack.part(PostgresPart).url()) as connection:
                connection.execute(f"create table mine as select {value} as value")
        with psycopg.connect(one.part(PostgresPart).url()) as connection:
            assert connection.execute("select value from mine").fetchone() == (1,)


def _stack(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "vigia_stack", *arguments, "--state", str(state)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_up_is_repeatable_survives_its_supervisor_and_down_stops_everything(tmp_path: Path) -> None:
    def pids() -> dict[str, int]:
        parts = json.loads((tmp_path / "status.json").read_text())["parts"]
        return {name: part["pid"] for name, part in parts.items() if part["pid"]}

    try:
        first = _stack("up", "postgres", "buckets", state=tmp_path)
        assert first.returncode == 0, first.stderr
        started = pids()
        assert started.keys() == {"postgres", "objects"}
        assert _stack("up", "postgres", "buckets", state=tmp_path).returncode == 0
        assert pids() == started

        supervisor = json.loads((tmp_path / "run" / "supervisor.pid").read_text())["pid"]
        os.kill(supervisor, signal.SIGKILL)
        again = _stack("up", "postgres", "buckets", state=tmp_path)
        assert again.returncode == 0, again.stderr
        assert pids() == started, "the new supervisor adopts what still runs"
        os.kill(started["objects"], signal.SIGKILL)
        wait_for(lambda: pids().get("objects", started["objects"]) != started["objects"])
        wait_for(lambda: _stack("status", state=tmp_path).returncode == 0)
        started = pids()
    finally:
        down = _stack("down", state=tmp_path)
    assert down.returncode == 0
    assert not any(identity(pid) and identity(pid).alive for pid in started.values())
    assert _stack("status", state=tmp_path).returncode == 1


def test_client_env_can_be_read_by_a_shell_and_only_by_its_owner(tmp_path: Path) -> None:
    site = Site(tmp_path, well_known_ports=False)
    file = client.write(site)
    assert file.stat().st_mode & 0o077 == 0
    shell = f"set -eu; set -a; . {file}; exec env -0"
    lines = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.split("\0")
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    assert values["AWS_ENDPOINT_URL_LOOKOUTVISION"] == values["AWS_ENDPOINT_URL_STS"] == values["VIGIA_URL"]
    # Profiles that name a role ask STS by themselves, and find it in the profile's services.
    config = load_config(values["AWS_CONFIG_FILE"])
    for name in ("default", *client.PROFILES):
        services = config["services"][config["profiles"][name]["services"]]
        assert services["sts"]["endpoint_url"] == values["VIGIA_URL"]
    assert values["VIGIA_POSTGRES"].startswith("postgresql://vigia:")
    assert values["AWS_ACCESS_KEY_ID"] == site.secret("access-key-id")


def test_a_process_that_merely_has_the_pid_is_left_alone(tmp_path: Path) -> None:
    bystander = spawn(Command(["sleep", "60"], dict(os.environ)), tmp_path / "log", tmp_path / "bystander.pid")
    try:
        stale = tmp_path / "stale.pid"
        stale.write_text(json.dumps({"pid": bystander.pid, "started": bystander.identity.started - 1}))
        assert adopt(stale) is None
        assert not stale.exists()
        Identity(bystander.pid, bystander.identity.started - 1).signal(signal.SIGKILL)
        assert bystander.alive
    finally:
        bystander.stop(grace=5)
    assert not bystander.alive


def test_stopping_ends_children_too(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $!; wait; wait"
    process = spawn(Command(["sh", "-c", script], dict(os.environ)), tmp_path / "log", tmp_path / "p.pid")
    wait_for(lambda: (tmp_path / "log").read_text().strip() != "")
    child = identity(int((tmp_path / "log").read_text()))
    assert child is not None
    process.stop(grace=0.2)
    wait_for(lambda: not child.alive, within=5)


class Failing(Part):
    def command(self) -> Command:
        return Command(["sh", "-c", "echo the disk is full >&2; exit 3"], dict(os.environ))

    def check(self) -> None:
        raise NotReady("no answer")

    def address(self) -> str:
        return "nowhere"


def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    keeper = Keeper([Failing(Site(tmp_path, well_known_ports=False), "failing")], restart=True)
    keeper.start()
    try:
        with pytest.raises(StackError, match=r"ended with status 3(.|\n)*the disk is full"):
            keeper.wait(within=30)
    finally:
        keeper.stop()


def test_ports_are_kept_unless_taken(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = Ports(file, well_known=False).get("kafka")
    assert Ports(file, well_known=False).get("kafka") == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        later = Ports(file, well_known=False)
        later.release_taken({"kafka"})
        assert later.get("kafka") != port


def test_a_port_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIA_PORT_TRITON_GRPC", "23456")
    assert Ports(tmp_path / "ports.json", well_known=True).get("triton-grpc") == 23456
