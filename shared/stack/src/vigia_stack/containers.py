"""The second maker of parts: the official images, through testcontainers, where a container engine is at hand.

A part keeps its address and its ready check; only the process behind it is a container. Inside, servers listen on the
port that the site gave them, so that what a broker advertises is what a client on this machine can reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from testcontainers.core.container import DockerContainer

from vigia_stack.errors import NotReady, StackError
from vigia_stack.parts.base import Part
from vigia_stack.parts.kafka import KafkaPart
from vigia_stack.parts.objects import REGION, ObjectsPart
from vigia_stack.parts.postgres import PostgresPart
from vigia_stack.parts.triton import TritonPart


def _kafka(part: Part) -> DockerContainer:
    port, controller = part.port("kafka"), part.port("kafka-controller")
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{controller}",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:{controller}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": "2097152",
    }
    return _with(DockerContainer("apache/kafka:4.1.0"), settings).with_bind_ports(port, port)


def _postgres(part: Part) -> DockerContainer:
    settings = {"POSTGRES_USER": "vigia", "POSTGRES_PASSWORD": part.site.secret("postgres")}
    return _with(DockerContainer("postgres:18-bookworm"), settings).with_bind_ports(5432, part.port("postgres"))


def _objects(part: Part) -> DockerContainer:
    assert isinstance(part, ObjectsPart)
    store = part.store
    settings = {"ROOT_ACCESS_KEY": store.access_key_id, "ROOT_SECRET_KEY": store.secret_access_key}
    command = f"--port :7070 --region {REGION} --health /health --iam-dir /iam posix --versioning-dir /versions /data"
    container = _with(DockerContainer("versity/versitygw:v1.8.0"), settings).with_bind_ports(7070, part.port("objects"))
    return container.with_command(command).with_kwargs(tmpfs=dict.fromkeys(("/iam", "/versions", "/data"), ""))


def _triton(part: Part) -> DockerContainer:
    command = (
        "tritonserver --model-repository=/models --model-control-mode=explicit --exit-on-error=false"
        " --strict-readiness=false --disable-auto-complete-config --metrics-config=summary_latencies=true"
    )
    container = DockerContainer("nvcr.io/nvidia/tritonserver:25.08-py3").with_command(command)
    for inside, door in ((8000, "http"), (8001, "grpc"), (8002, "metrics")):
        container = container.with_bind_ports(inside, part.port(f"triton-{door}"))
    return container.with_kwargs(tmpfs={"/models": ""}, shm_size="256m")


def _with(container: DockerContainer, settings: dict[str, str]) -> DockerContainer:
    for name, value in settings.items():
        container = container.with_env(name, value)
    return container


_MAKERS: dict[type[Part], Callable[[Part], Any]] = {
    KafkaPart: _kafka,
    PostgresPart: _postgres,
    ObjectsPart: _objects,
    TritonPart: _triton,
}


@contextmanager
def contained(part: Part) -> Iterator[None]:
    """The part as a container, ready, and removed after use. Raises StackError with its log when it gets not ready."""
    container = _MAKERS[type(part)](part)
    with container:
        deadline = time.monotonic() + part.ready_within
        while True:
            try:
                part.check()
                break
            except NotReady as error:
                if time.monotonic() > deadline:
                    text = b"\n".join(container.get_logs()).decode(errors="replace")
                    raise StackError(f"{part.name} is not ready: {error}\n{text[-4000:]}") from error
            time.sleep(0.2)
        yield
