"""The parts really answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from onnx import TensorProto, helper
from tritonclient.grpc import InferenceServerClient, InferInput

from vigia_stack.parts.objects import ObjectStoreAddress
from vigia_stack.parts.triton import TritonAddress
from vigia_stack.supervise import trim


async def test_kafka_fixture_is_a_broker(kafka: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        assert len(producer.client.cluster.brokers()) == 1
    finally:
        await producer.stop()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, turn: int) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table only_here (turn int)")
        connection.execute("insert into only_here values (%s)", [turn])


def test_object_store_keeps_versions(object_store: ObjectStoreAddress) -> None:
    client = object_store.client()
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket="versions", Key="a/b", Body=b"1")["VersionId"]
    client.put_object(Bucket="versions", Key="a/b", Body=b"2")
    assert client.get_object(Bucket="versions", Key="a/b", VersionId=first)["Body"].read() == b"1"


def test_triton_serves_an_onnx_model_given_with_the_load_request(triton: TritonAddress) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 4])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 4])
    cast = helper.make_node("Cast", ["image"], ["score"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast], "g", [image], [score])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    config = {
        "name": "cast",
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [4]}],
        "output": [{"name": "score", "data_type": "TYPE_FP32", "dims": [4]}],
        "instance_group": [{"count": 1, "kind": "KIND_AUTO"}],
        "dynamic_batching": {},
    }
    with InferenceServerClient(triton.grpc) as client:
        client.load_model("cast", config=json.dumps(config), files={"file:1/model.onnx": model.SerializeToString()})
        try:
            tensor = InferInput("image", [2, 4], "UINT8")
            pixels = np.arange(8, dtype=np.uint8).reshape(2, 4)
            tensor.set_data_from_numpy(pixels)
            answer = client.infer("cast", [tensor]).as_numpy("score")
            assert answer.dtype == np.float32
            assert (answer == pixels).all()
        finally:
            client.unload_model("cast")


def test_a_log_is_bounded_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab") as writer:
        writer.write(b"x" * 100)
        writer.flush()
        trim(log, largest=1000)
        assert log.stat().st_size == 100
        trim(log, largest=50)
        writer.write(b"later")
        writer.flush()
    assert log.read_bytes() == b"later"
    assert (tmp_path / "part.log.1").read_bytes() == b"x" * 100
