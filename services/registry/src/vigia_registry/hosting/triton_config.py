"""A version's complete Triton configuration, from its manifest. Pure.

Complete, because nothing is filled in by the server: the same text serves on any Triton, whatever its backend build.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2 as pb

from vigia_registry.hosting.settings import ServingSettings
from vigia_vision import Artifact, GoldenSample, Manifest

MODEL_FILE = "file:1/model.onnx"
_MICROSECONDS = 1_000_000
_TYPES = {"float32": pb.TYPE_FP32}
_KINDS = {
    "auto": pb.ModelInstanceGroup.KIND_AUTO,
    "cpu": pb.ModelInstanceGroup.KIND_CPU,
    "gpu": pb.ModelInstanceGroup.KIND_GPU,
}


def model_config(name: str, manifest: Manifest, units: int, settings: ServingSettings, renewal: int = 0) -> str:
    """The configuration as JSON. ``units`` inference units are as many instances; on GPUs, on each of them.

    Over one that differs in nothing but ``renewal``, Triton makes new instances before it ends the old ones: dead
    ones go, requests are answered meanwhile.
    """
    contract = manifest.input
    config = pb.ModelConfig(
        name=name,
        backend="onnxruntime",
        max_batch_size=settings.max_batch_size,
        input=[pb.ModelInput(name=contract.tensor, data_type=pb.TYPE_UINT8, dims=[contract.height, contract.width, 3])],
        output=[
            pb.ModelOutput(name=spec.name, data_type=_TYPES[spec.dtype], dims=list(spec.shape[1:]))
            for spec in manifest.outputs
        ],
        instance_group=[pb.ModelInstanceGroup(name="units", count=units, kind=_KINDS[settings.device])],
        dynamic_batching=pb.ModelDynamicBatching(
            max_queue_delay_microseconds=round(settings.queue_delay_seconds * _MICROSECONDS),
            default_queue_policy=pb.ModelQueuePolicy(
                timeout_action=pb.ModelQueuePolicy.REJECT,
                default_timeout_microseconds=round(settings.queue_timeout_seconds * _MICROSECONDS),
                allow_timeout_override=True,
                max_queue_size=settings.queue_size * units,
            ),
        ),
        model_warmup=[_warmup(index, golden.file, manifest) for index, golden in enumerate(manifest.golden)],
    )
    config.parameters["intra_op_thread_count"].string_value = str(settings.threads)
    config.parameters["inter_op_thread_count"].string_value = "1"
    if renewal:
        # Means nothing unless Triton limits rates, which it is not told to.
        config.instance_group[0].rate_limiter.priority = renewal
    return str(MessageToJson(config, preserving_proto_field_name=True))


def model_files(artifact: Artifact, samples: Mapping[str, GoldenSample]) -> dict[str, bytes]:
    """What goes with the load request: the graph and the warm-up tensors. ``samples`` by golden file."""
    files = {MODEL_FILE: artifact.model}
    for index, golden in enumerate(artifact.manifest.golden):
        tensor = samples[golden.file].tensor
        files[f"file:warmup/{_warmup_file(index)}"] = np.ascontiguousarray(tensor, dtype=np.uint8).tobytes()
    return files


def _warmup(index: int, label: str, manifest: Manifest) -> pb.ModelWarmup:
    contract = manifest.input
    warmup = pb.ModelWarmup(name=label, batch_size=1, count=1)
    warmup.inputs[contract.tensor].CopyFrom(
        pb.ModelWarmup.Input(
            data_type=pb.TYPE_UINT8,
            dims=[contract.height, contract.width, 3],
            input_data_file=_warmup_file(index),
        )
    )
    return warmup


def _warmup_file(index: int) -> str:
    return f"golden-{index}"
