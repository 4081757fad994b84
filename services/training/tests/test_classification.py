"""Trainings of classifiers on small generated cards."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vigia_training.app.any_kind import train_any
from vigia_training.app.label_data import read_datasets
from vigia_training.app.train import Options, Result, Task
from vigia_training.domain.errors import BadData
from vigia_training.learning.label_budget import ClassificationBudget
from vigia_vision import Artifact, Session

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/cards/version/1/1700000000000"
SMALL = Options(threads=2, classification=ClassificationBudget(images=36, iterations=6), precision="float32")
SHAPES = ("disc", "frame", "stripes")


@dataclass(frozen=True)
class Cards:
    manifest: bytes
    objects: Mapping[str, bytes]

    def read(self, uri: str) -> bytes:
        return self.objects[uri]


def card(shapes: tuple[str, ...], rng: np.random.Generator) -> bytes:
    """A card of its own size; each shape has a place in one of four quarters and a colour."""
    side = int(rng.integers(110, 160))
    image = Image.new("RGB", (side, int(rng.integers(110, 160))), (235, 235, 230))
    draw = ImageDraw.Draw(image)
    for shape, quarter in zip(shapes, rng.permutation(4).tolist(), strict=False):
        x, y = 6 + (quarter % 2) * 54, 6 + (quarter // 2) * 52
        color = tuple(int(v) for v in rng.integers(0, 140, 3))
        if shape == "disc":
            draw.ellipse((x, y, x + 42, y + 42), fill=color)
        elif shape == "frame":
            draw.rectangle((x, y, x + 42, y + 42), outline=color, width=4)
        else:
            for step in range(0, 43, 9):
                draw.line((x, y + step, x + 42, y + step), fill=color, width=3)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def make_cards(sets: list[tuple[str, ...]], seed: int = 0) -> Cards:
    rng = np.random.default_rng(seed)
    lines, objects = [], {}
    for number, shapes in enumerate(sets):
        uri = f"s3://cards/{number}.png"
        objects[uri] = card(shapes, rng)
        line: dict[str, object] = {"source-ref": uri}
        for place, shape in enumerate(shapes):
            line[f"label_{place}"] = 1
            line[f"label_{place}-metadata"] = {
                "class-name": shape,
                "confidence": 1,
                "type": "groundtruth/image-classification",
                "human-annotated": "yes",
                "creation-date": "2018-10-18T22:18:13.527256",
            }
        lines.append(json.dumps(line))
    return Cards("\n".join(lines).encode(), objects)


def run(cards: Cards, options: Options = SMALL) -> Result:
    told: list[tuple[str, float]] = []
    result = train_any(
        Task(ARN, "cards", "1", cards.manifest), cards.read, options, lambda stage, share: told.append((stage, share))
    )
    for stage in {stage for stage, _ in told}:
        shares = [share for name, share in told if name == stage]
        assert shares == sorted(shares)
    assert (told[0][0], told[-1]) == ("reading", ("evaluating", 1.0))
    return result


@pytest.fixture(scope="module")
def single() -> tuple[Cards, Result]:
    cards = make_cards([(SHAPES[number % 3],) for number in range(36)])
    return cards, run(cards)


def test_one_label_an_image_makes_exclusive_labels(single: tuple[Cards, Result]) -> None:
    cards, result = single
    manifest = result.artifact.manifest
    assert manifest.kind == "classification"
    assert tuple(label.name for label in manifest.labels) == SHAPES
    assert result.metrics.f1 > 0.9
    assert result.metrics.roc_auc > 0.95
    assert (result.metrics.training_images, result.metrics.test_images) == (30, 6)
    session = Session(result.artifact)
    everything = session.find(cards.objects["s3://cards/1.png"], 0.0)
    assert everything[0].label == "frame"
    assert sum(finding.confidence for finding in everything) == pytest.approx(1, abs=1e-4)
    assert "candidate" in manifest.provenance


def test_several_labels_an_image_stand_for_themselves() -> None:
    sets = [(SHAPES[n % 3],) if n % 2 else (SHAPES[n % 3], SHAPES[(n + 1) % 3]) for n in range(45)]
    cards = make_cards(sets, seed=1)
    result = run(cards)
    assert result.artifact.manifest.kind == "multilabel-classification"
    assert result.metrics.f1 > 0.75
    found = Session(result.artifact).find(cards.objects["s3://cards/0.png"], 0.0)
    assert {found[0].label, found[1].label} == {"disc", "frame"}
    assert sum(finding.confidence for finding in found) > 1.1


def test_the_artifact_is_whole_and_its_golden_samples_hold(single: tuple[Cards, Result]) -> None:
    artifact = Artifact.load(single[1].artifact.all_files())
    session = Session(artifact)
    samples = list(artifact.golden_samples())
    assert len(samples) == 4
    for sample in samples:
        assert sample.difference(session.infer(sample.tensor[None])) < 1e-4


def test_candidates_are_compared_on_parts_that_they_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = make_cards([(SHAPES[number % 2],) for number in range(80)], seed=3)
    lines = [json.loads(line) for line in cards.manifest.splitlines()]
    parts = {line["source-ref"]: number // 8 for number, line in enumerate(lines)}
    told = "\n".join(json.dumps({**line, "part-id": parts[line["source-ref"]]}) for line in lines).encode()
    caught: list[tuple[int, list[int]]] = []

    def fit(given: object, images: list[object], held: list[int], *rest: object) -> None:
        caught.append((len(images), held))
        raise BadData("seen enough")

    monkeypatch.setattr("vigia_training.learning.classification.trainer.fit", fit)
    task = Task(ARN, "cards", "1", told)
    with pytest.raises(BadData, match="seen enough"):
        train_any(task, cards.read, SMALL, lambda stage, share: None)
    ((count, held),) = caught
    data = read_datasets(task, cards.read, lambda share: None)
    assert len(data.learn) == count
    of = [parts[one.uri] for one in data.learn]
    assert held
    assert not {of[i] for i in held} & {of[i] for i in range(count) if i not in held}


@pytest.mark.parametrize("several", [False, True])
def test_the_same_job_gives_the_same_artifact(several: bool) -> None:
    sets = [(SHAPES[number % 2], SHAPES[2])[: 1 + (several and number % 3 == 0)] for number in range(12)]
    cards = make_cards(sets, seed=2)
    few = Options(threads=2, classification=ClassificationBudget(images=16, iterations=3))
    assert run(cards, few).artifact.digest == run(cards, few).artifact.digest


def test_the_evaluation_files_have_the_shapes_of_the_guide(single: tuple[Cards, Result]) -> None:
    result = single[1]
    lines = [json.loads(text) for text in result.evaluation_manifest.splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert line["rekognition-custom-labels-training-0-metadata"]["class-name"] in SHAPES
        said = line["rekognition-custom-labels-evaluation-0-metadata"]
        details = said["rekognition-custom-labels-evaluation-details"]
        names = ("true-positive", "true-negative", "false-positive", "false-negative")
        assert sum(details[f"is-{name}"] for name in names) == 1
    document = json.loads(result.evaluation_result)
    assert document["EvaluationDetails"]["Labels"] == list(SHAPES)
    matrix = document["AggregatedEvaluationResults"]["ConfusionMatrix"]
    assert {cell["GroundTruthLabel"] for cell in matrix} == set(SHAPES)
    assert all(0 < cell["Value"] <= 1 for cell in matrix)
    assert "AveragePrecision" not in document["AggregatedEvaluationResults"]
    report = json.loads(result.evaluation_files("cards-1")["EvaluationReport-cards-1.json"])
    assert report["overall"]["f1"]["value"] == pytest.approx(result.metrics.f1)
    assert sum(cell["count"] for cell in report["confusion"]) == 6


def test_a_model_of_lookout_for_vision_judges_whatever_its_labels_are_called() -> None:
    cards = make_cards([("disc",), ("frame",)] * 3)
    task = Task("arn:aws:lookoutvision:us-east-1:123456789012:model/cards/1", "cards", "1", cards.manifest)
    with pytest.raises(BadData, match="fewer than two labelled normal images"):
        train_any(task, cards.read, SMALL, lambda stage, share: None)


def test_one_label_alone_cannot_be_told_from_anything() -> None:
    with pytest.raises(BadData, match="1 labels; a model of the kind classification needs 2"):
        run(make_cards([("disc",)] * 6))
