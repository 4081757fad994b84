"""Guarantee: in Triton a version of any kind answers as it does in this process, and on the wire nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.parity.conftest import Hosting
from tests.parity.models import KINDS, Plate, plates, trained
from vigia_detection.adapters.triton import TritonServers
from vigia_detection.entrypoints.lookoutvision.wire import result
from vigia_registry.hosting.versions import Report
from vigia_stack.parts.triton import TritonAddress
from vigia_vision import Artifact, Manifest, Session, interpret, mask_png, prepare
from vigia_vision.artifact import npy
from vigia_vision.manifest import Kind
from vigia_vision.session import first

#: As a share of the number, but for numbers near 0.
CLOSE = 1e-4
Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module")
async def servers(triton: TritonAddress) -> AsyncIterator[TritonServers]:
    one = TritonServers([triton.grpc])
    yield one
    await one.close()


async def both(artifact: Artifact, name: str, servers: TritonServers, images: Sequence[bytes]) -> list[list[Outputs]]:
    """What this process and what Triton give for each image. Triton is asked for several at once, so it batches."""
    session = Session(artifact)
    tensors = [prepare(image, artifact.manifest).tensor for image in images]
    room = asyncio.Semaphore(6)

    async def ask(tensor: np.ndarray) -> Outputs:
        async with room:
            return dict(await servers.infer(name, artifact.manifest, tensor, 60))

    served = await asyncio.gather(*(ask(tensor) for tensor in tensors))
    return [[first(session.infer(tensor[None])) for tensor in tensors], list(served)]


def answer_on_the_wire(outputs: Outputs, manifest: Manifest, threshold: float, plate: Plate) -> tuple[bool, float]:
    """IsAnomalous and Confidence as a client of DetectAnomalies reads them."""
    size = manifest.input.image_width, manifest.input.image_height
    answer = interpret(outputs, manifest, threshold, *size)
    told = json.loads(json.dumps(result(answer, mask_png(answer, manifest))))["DetectAnomalyResult"]
    return told["IsAnomalous"], told["Confidence"]


async def test_two_hundred_images_are_judged_alike(hosting: Hosting, servers: TritonServers) -> None:
    artifact = trained("anomaly-segmentation")
    manifest = artifact.manifest
    shown = plates([()] * 100 + [("bright",), ("dark",)] * 50, seed=2, contrast=4)
    name, _ = await hosting.host(artifact)
    here, served = await both(artifact, name, servers, [plate.image for plate in shown])
    scores = np.array([outputs["score"].item() for outputs in here])
    others = np.array([outputs["score"].item() for outputs in served])
    assert len(np.unique(scores)) == 200
    assert (np.abs(others - scores) / scores).max() <= CLOSE
    truth = [bool(plate.spots) for plate in shown]
    # By the threshold of training, and by one that a person chose.
    for threshold in (manifest.threshold.value, float(np.quantile(scores, 0.3))):
        said = [answer_on_the_wire(o, manifest, threshold, p) for o, p in zip(served, shown, strict=True)]
        assert [anomalous for anomalous, _ in said] == (scores >= threshold).tolist()
        ranked = [sure if anomalous else 1 - sure for anomalous, sure in said]
        assert roc_auc_score(truth, ranked) == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    assert 0.6 < roc_auc_score(truth, scores) < 0.999, "images so easy, or so hard, that any order would do"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_hosted_and_every_number_is_the_same(
    kind: Kind, hosting: Hosting, servers: TritonServers
) -> None:
    artifact = trained(kind)
    name, report = await hosting.host(artifact)
    assert (report.report, report.reason) == (Report.READY, "")
    shown = plates([("bright",), ("dark",), ("bright", "dark"), ()] * 3, seed=3)
    here, served = await both(artifact, name, servers, [plate.image for plate in shown])
    for mine, theirs in zip(here, served, strict=True):
        assert set(theirs) == {spec.name for spec in artifact.manifest.outputs}
        for output, numbers in mine.items():
            assert theirs[output].shape == numbers.shape
            np.testing.assert_allclose(theirs[output], numbers, rtol=CLOSE, atol=1e-6)
    if kind == "multilabel-classification":
        assert artifact.manifest.provenance["precision"].startswith("int8: ")
    if kind == "object-detection":
        assert sum(int((outputs["scores"] > 0).sum()) for outputs in here) > 10
    assert (await hosting.probe_again(name)).report is Report.READY


@pytest.mark.parametrize(
    ("kind", "output"),
    [("classification", "confidences"), ("object-detection", "boxes"), ("anomaly-segmentation", "maps")],
)
async def test_a_graph_that_answers_otherwise_than_its_golden_sample_never_serves(
    kind: Kind, output: str, hosting: Hosting
) -> None:
    artifact = trained(kind)
    golden = artifact.manifest.golden[0]
    file = golden.outputs[output]
    expected = next(artifact.golden_samples()).expected[output].copy()
    expected.flat[-1] += 0.01
    changed = Artifact.build(artifact.manifest, {**artifact.files, file: npy(expected)})
    _, report = await hosting.host(changed)
    assert report.report is Report.FAILED
    assert f"{golden.file}: output {output} differs by 0.01" in report.reason
