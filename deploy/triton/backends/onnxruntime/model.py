"""Triton backend `onnxruntime`, in Python: for servers whose build lacks the C++ one.

It serves the same repository entries (`backend: "onnxruntime"`, `1/model.onnx`) as the official image's and honours
what Vigia's entries say: threads, instances (one process of this file each), dynamic batching and the device.
Lives as `<backend directory>/onnxruntime/model.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

# Nothing leaves the plant. ONNX Runtime reads this when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}
Feed = dict[str, np.ndarray]


class TritonPythonModel:
    """One instance of one model version; Triton calls the methods."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Entries are complete: nothing is added."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph. Raises TritonModelException, with the reason, when graph and entry disagree."""
        config = json.loads(args["model_config"])
        name = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / name
        self._batched = int(config.get("max_batch_size", 0)) > 0
        try:
            self._session = _session(config, path, args)
        except Exception as error:  # onnxruntime raises a type per status, all of them mean the file is not served
            raise pb.TritonModelException(f"cannot load {name}: {error}") from error
        for kind, nodes in (("input", self._session.get_inputs()), ("output", self._session.get_outputs())):
            have = {node.name: _TYPES.get(node.type, node.type) for node in nodes}
            for tensor in config[kind]:
                if have.get(tensor["name"]) != tensor["data_type"]:
                    raise pb.TritonModelException(
                        f"{kind} {tensor['name']!r} {tensor['data_type']} is not in the graph, which has {have}"
                    )
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests; those whose images have the same shape run as one batch."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[object, list[tuple[int, Feed]]] = {}
        for index, request in enumerate(requests):
            if request.is_cancelled():
                responses[index] = _failure("cancelled", pb.TritonError.CANCELLED)
                continue
            feed = {name: pb.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            alike = tuple(array.shape[1:] for array in feed.values()) if self._batched else index
            groups.setdefault(alike, []).append((index, feed))
        for group in groups.values():
            self._run(group, requests, responses)
        return responses

    def finalize(self) -> None:
        """Free the graph."""
        del self._session

    def _run(self, group: list[tuple[int, Feed]], requests: list[Any], responses: list[Any]) -> None:
        try:
            answers = self._answers([feed for _, feed in group])
        except Exception as error:  # noqa: BLE001 - whatever one request makes the graph raise is that request's answer
            if len(group) == 1:
                responses[group[0][0]] = _failure(str(error))
            else:
                for item in group:  # one bad request must not fail its neighbours
                    self._run([item], requests, responses)
            return
        for (index, _), answer in zip(group, answers, strict=True):
            asked = set(requests[index].requested_output_names()) or set(self._outputs)
            tensors = [
                pb.Tensor(name, np.ascontiguousarray(array))
                for name, array in zip(self._outputs, answer, strict=True)
                if name in asked
            ]
            responses[index] = pb.InferenceResponse(tensors)

    def _answers(self, feeds: list[Feed]) -> list[list[np.ndarray]]:
        if len(feeds) == 1:
            return [self._session.run(self._outputs, feeds[0])]
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in self._inputs}
        ends = np.cumsum([len(feed[self._inputs[0]]) for feed in feeds])[:-1]
        parts = [np.split(array, ends) for array in self._session.run(self._outputs, joined)]
        return [list(answer) for answer in zip(*parts, strict=True)]


def _session(config: dict[str, Any], path: Path, args: dict[str, str]) -> ort.InferenceSession:
    parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", "1"))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", "1"))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # instances share the cores
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in ort.get_available_providers():
        device = {"device_id": args["model_instance_device_id"]}
        return ort.InferenceSession(str(path), options, providers=[("CUDAExecutionProvider", device)])
    # The arena stays on: without it every activation is mapped and unmapped anew, which took a 14 ms graph to 55 ms.
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _failure(message: str, code: Any = None) -> Any:
    error = pb.TritonError(message) if code is None else pb.TritonError(message, code)
    return pb.InferenceResponse(output_tensors=[], error=error)
