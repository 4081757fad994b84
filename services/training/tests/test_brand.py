"""Locators of logos: what asks for one, how logos are cut out and put into scenes, and small trainings."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vigia_contracts.base import ObjectRef
from vigia_contracts.training import OutputLocation, TrainingCompleted, TrainingRequest
from vigia_training.adapters.child import ChildTrainer
from vigia_training.app.any_kind import train_any
from vigia_training.app.train import Options, Result, Task
from vigia_training.domain.errors import BadData
from vigia_training.domain.progress import Moment
from vigia_training.learning.brand import prints
from vigia_training.learning.brand.cutout import SIDE, Cutout, cut_out
from vigia_training.learning.brand.scenes import Logo, Scenes, put
from vigia_training.learning.label_budget import DetectionBudget
from vigia_vision import Artifact, Session

ARN = "arn:aws:rekognition:us-east-1:123456789012:project/brands/version/1/1700000000000"
SMALL = Options(threads=2, detection=DetectionBudget(iterations=4, batch=2, crop=64))
WIDE, HIGH = 160, 120
NAMES = ("cross", "ring")


def draw(name: str, side: int = 90) -> Image.Image:
    """A red cross or a blue ring on nothing."""
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    if name == "cross":
        pen.rectangle((side * 0.35, 0, side * 0.65, side - 1), fill="#d01010")
        pen.rectangle((0, side * 0.35, side - 1, side * 0.65), fill="#d01010")
    else:
        pen.ellipse((0, 0, side - 1, side - 1), outline="#1030d0", width=side // 5)
    return image


def on(image: Image.Image, ground: str, margin: int = 12) -> Image.Image:
    """The same on paper."""
    paper = Image.new("RGBA", (image.width + 2 * margin, image.height + 2 * margin), ground)
    paper.alpha_composite(image, (margin, margin))
    return paper.convert("RGB")


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Brands:
    """Manifests of logo images and of scenes, and the objects that they name."""

    training: list[dict[str, object]]
    test: list[dict[str, object]] | None
    objects: Mapping[str, bytes]

    def read(self, uri: str) -> bytes:
        return self.objects[uri]

    def task(self) -> Task:
        return Task(ARN, "brands", "1", text(self.training), None if self.test is None else text(self.test))


def text(lines: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(line) for line in lines).encode()


def alone(uri: str, *names: str) -> dict[str, object]:
    line: dict[str, object] = {"source-ref": uri}
    for number, name in enumerate(names):
        metadata = {"class-name": name, "type": "groundtruth/image-classification"}
        line |= {f"logo-{number}": 1, f"logo-{number}-metadata": metadata}
    return line


def scene(
    uri: str, boxes: list[tuple[str, int, int, int, int]], size: tuple[int, int] = (WIDE, HIGH)
) -> dict[str, object]:
    names = sorted({box[0] for box in boxes})
    annotations = [
        {"class_id": names.index(name), "left": left, "top": top, "width": wide, "height": high}
        for name, left, top, wide, high in boxes
    ]
    return {
        "source-ref": uri,
        "logos": {"image_size": [{"width": size[0], "height": size[1], "depth": 3}], "annotations": annotations},
        "logos-metadata": {"class-map": dict(enumerate(names)), "type": "groundtruth/object-detection"},
    }


def make_brands() -> Brands:
    """Two logos, each with transparency and on white and dark paper; eight scenes with both."""
    objects: dict[str, bytes] = {}
    training, test = [], []
    for name in NAMES:
        logo = draw(name)
        variants = (logo, "PNG"), (on(logo, "#ffffff"), "JPEG"), (on(logo, "#303030"), "PNG")
        for number, (image, kind) in enumerate(variants):
            uri = f"s3://brands/{name}-{number}.{kind.lower()}"
            objects[uri] = encoded(image, kind)
            training.append(alone(uri, name))
    rng = np.random.default_rng(0)
    for number in range(8):
        pixels = np.full((HIGH, WIDE, 3), rng.uniform(120, 220, 3), np.float64) + rng.normal(0, 5, (HIGH, WIDE, 3))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        boxes = []
        for half, name in enumerate(NAMES):
            side = int(rng.integers(36, 60))
            left = half * WIDE // 2 + int(rng.integers(2, WIDE // 2 - side - 2))
            top = int(rng.integers(2, HIGH - side - 2))
            logo = draw(name, side)
            image.paste(logo, (left, top), logo)
            boxes.append((name, left, top, side, side))
        uri = f"s3://brands/scene-{number}.png"
        objects[uri] = encoded(image)
        test.append(scene(uri, boxes))
    return Brands(training, test, objects)


@pytest.fixture(scope="module")
def brands() -> Brands:
    return make_brands()


def train(brands: Brands, options: Options = SMALL) -> Result:
    return train_any(brands.task(), brands.read, options, lambda stage, share: None)


def test_logos_that_were_shown_alone_are_found_in_scenes(brands: Brands) -> None:
    result = train(brands, Options(threads=2, detection=DetectionBudget(iterations=70, batch=6, crop=80)))
    manifest = result.artifact.manifest
    assert manifest.kind == "object-detection"
    assert [label.name for label in manifest.labels] == list(NAMES)
    assert manifest.provenance["learnt_from"] == "6 images of logos alone, in drawn scenes over 0 photographs"
    assert (result.metrics.training_images, result.metrics.test_images) == (6, 8)
    assert result.metrics.average_precision > 0.5
    findings = Session(result.artifact).find(brands.objects["s3://brands/scene-0.png"], 0.0)
    assert all(finding.box is not None for finding in findings)


def test_the_same_job_gives_the_same_artifact(brands: Brands) -> None:
    assert train(brands).artifact.digest == train(brands).artifact.digest


def test_one_logo_is_enough_where_there_are_scenes(brands: Brands) -> None:
    assert brands.test is not None
    test = [scene(str(line["source-ref"]), [("ring", 5, 5, 40, 40)]) for line in brands.test]
    training = [line for line in brands.training if "ring" in str(line["source-ref"])]
    result = train(Brands(training, test, brands.objects))
    assert [label.name for label in result.artifact.manifest.labels] == ["ring"]
    with pytest.raises(BadData, match=r"1 labels; .* needs 2; to find one logo in scenes, give a test dataset with"):
        train(Brands(training, None, brands.objects))


def test_images_without_anything_boxed_show_what_scenes_are_like(brands: Brands) -> None:
    empty = "s3://brands/scene-7.png"
    training = [*brands.training, scene(empty, [])]
    result = train(Brands(training, brands.test, brands.objects))
    assert result.artifact.manifest.provenance["learnt_from"].endswith("over 1 photographs")


BOXED = scene("s3://brands/scene-3.png", [("ring", 5, 5, 40, 40)])


@pytest.mark.parametrize(
    ("training", "test", "problem"),
    [
        ([BOXED], [], r"image s3://brands/scene-3.png has boxes: images of logos alone and images with boxes"),
        ([alone("s3://brands/ring-0.png", "ring", "cross")], [], r"ring-0.png has the labels ring, cross"),
        ([], [scene("s3://brands/scene-3.png", [("star", 5, 5, 40, 40)])], r"boxes of star; no training image has"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(
    brands: Brands, training: list[dict[str, object]], test: list[dict[str, object]], problem: str
) -> None:
    with pytest.raises(BadData, match=problem):
        train(Brands([*brands.training, *training], [*(brands.test or []), *test], brands.objects))


def test_an_image_that_shows_nothing_is_named(brands: Brands) -> None:
    objects = {**brands.objects, "s3://brands/ring-0.png": encoded(Image.new("RGB", (90, 90), "#ffffff"))}
    with pytest.raises(BadData, match=r"image s3://brands/ring-0.png: .* no logo in it"):
        train(Brands(brands.training, brands.test, objects))


def pixels_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def alpha_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ground", ["#ffffff", "#101010", "#3070b0"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_logo_is_cut_out_of_paper_of_one_colour(name: str, ground: str, kind: str) -> None:
    logo = draw(name, 120)
    with Image.open(io.BytesIO(encoded(on(logo, ground), kind))) as image:
        found = cut_out(pixels_of(image), None)
    assert found is not None
    assert found.ground == pytest.approx(tuple(bytes.fromhex(ground[1:])), abs=3)
    true = alpha_of(logo) > 127
    # The paper may be told from the ring by few levels only where both are blue; edges may be off by a pixel.
    said = np.asarray(Image.fromarray(found.pixels[..., 3]).resize(true.T.shape)) > 127
    assert overlap(true, said) > 0.9
    inner = found.pixels[..., :3][found.pixels[..., 3] == 255]
    assert np.median(inner, axis=0) == pytest.approx(np.median(pixels_of(logo)[true], axis=0), abs=6)
    # The ring's hole shows the ground, or is closed.
    hole = found.filled[found.filled.shape[0] // 2, found.filled.shape[1] // 2]
    assert hole == 255


def test_transparency_says_what_the_logo_is() -> None:
    logo = draw("ring")
    clear = Image.new("RGBA", (200, 150), (255, 255, 255, 0))
    clear.alpha_composite(logo, (40, 20))
    found = cut_out(pixels_of(clear), alpha_of(clear))
    assert found is not None
    assert found.ground is None
    assert found.filled.shape == (90, 90)
    assert overlap(found.pixels[..., 3] > 127, alpha_of(logo) > 127) == 1


def test_an_image_without_a_ground_is_the_logo() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (100, 300, 3), dtype=np.uint8)
    found = cut_out(pixels, np.full((100, 300), 255, np.uint8))
    assert found is not None
    assert found.ground is None
    assert found.filled.shape == (85, SIDE)
    assert (found.pixels[..., 3] == 255).all()
    assert cut_out(np.full((90, 90, 3), 200, np.uint8), None) is None


def cutouts() -> list[Cutout]:
    found = [cut_out(pixels_of(draw(name)), alpha_of(draw(name))) for name in NAMES]
    found.append(cut_out(pixels_of(on(draw("ring"), "#f0f0f0")), None))
    return [one for one in found if one is not None]


GREEN = (0, 255, 0)


def drawn(seed: int, which: int, wide: int, high: int) -> tuple[tuple[float, float, float, float], np.ndarray]:
    """The box that a print in a place of a green scene gets, and all pixels that it changed."""
    before = np.full((220, 240, 3), GREEN, np.uint8)
    after = before.copy()
    box = put(after, cutouts()[which], (10.0, 5.0, 10.0 + wide, 5.0 + high), np.random.default_rng(seed))
    return box, np.abs(after.astype(int) - before).max(2) > 0


def extent(changed: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


PRINTS = (st.integers(0, 2**32), st.integers(0, 2), st.integers(40, 200), st.integers(40, 200))


@settings(max_examples=80)
@given(*PRINTS)
def test_a_box_is_the_extent_of_what_was_drawn(seed: int, which: int, wide: int, high: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prints, "_plate", lambda *_: None)
        box, changed = drawn(seed, which, wide, high)
    # Where less than a third of a pixel is covered it is changed, and not in the box.
    assert extent(changed) == pytest.approx(box, abs=2)
    assert box[0] >= 10
    assert box[1] >= 5
    assert box[2] <= 10 + wide + 1
    assert box[3] <= 5 + high + 1


@settings(max_examples=40)
@given(*PRINTS)
def test_a_plate_is_not_in_the_box(seed: int, which: int, wide: int, high: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prints, "_plate", lambda *_: np.array([200.0, 0.0, 200.0]))
        box, changed = drawn(seed, which, wide, high)
    left, top, right, bottom = extent(changed)
    assert left <= box[0] < box[2] <= right
    assert top <= box[1] < box[3] <= bottom
    assert (right - left) * (bottom - top) > (box[2] - box[0]) * (box[3] - box[1])


def test_scenes_are_the_same_for_the_same_seed_and_others_after_some_looks() -> None:
    logos = [Logo(cutout, number % 2) for number, cutout in enumerate(cutouts())]
    first, second, third = (Scenes(logos, [], 60, 96, seed) for seed in (1, 1, 2))
    assert len(first) == 60
    shown = [first[number] for number in range(40)]
    again = [second[number] for number in reversed(range(40))][::-1]
    for one, other in zip(shown, again, strict=True):
        assert (one.pixels == other.pixels).all()
        assert (one.boxes == other.boxes).all()
    assert any((first[n].pixels != third[n].pixels).any() for n in range(3))
    assert {label for one in shown for label in one.classes.tolist()} == {0, 1}
    for one in shown:
        assert one.pixels.shape == (96, 96, 3)
        assert ((one.boxes[:, 2:] - one.boxes[:, :2]) > 4).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= 96).all()
    later = [first[5] for _ in range(8)]
    assert (later[-1].pixels != shown[5].pixels).any()
    # The labels of a place stay, so that boxes may be asked for by number.
    assert all((one.classes == shown[5].classes).all() for one in later)


def as_files(brands: Brands, folder: Path) -> tuple[Path, Path]:
    for uri, data in brands.objects.items():
        (folder / uri.rsplit("/", 1)[1]).write_bytes(data)
    train, test = folder / "train.manifest", folder / "test.manifest"
    train.write_bytes(text(brands.training))
    test.write_bytes(text(brands.test or []))
    return train, test


def test_vigia_train_makes_a_locator(brands: Brands, tmp_path: Path) -> None:
    manifest, test = as_files(brands, tmp_path)
    vigia = Path(sys.executable).with_name("vigia")
    done = subprocess.run(
        [vigia, "train", manifest, "--test-manifest", test, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"VIGIA_TRAINING_LEARNING__DETECTION_ITERATIONS": "10"},
    )
    assert done.returncode == 0, done.stderr
    assert Artifact.load(tmp_path / "out" / "artifact").manifest.kind == "object-detection"
    document = json.loads((tmp_path / "out" / "EvaluationResult-local-1.json").read_bytes())
    assert document["EvaluationDetails"]["Labels"] == list(NAMES)
    assert "AveragePrecision" in document["AggregatedEvaluationResults"]


async def test_a_job_makes_a_locator(
    brands: Brands, object_store: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, bucket = object_store.client(), f"{topic_prefix.strip('.')}-brands"
    client.create_bucket(Bucket=bucket)
    for uri, data in brands.objects.items():
        client.put_object(Bucket=bucket, Key=uri.removeprefix("s3://brands/"), Body=data)
    refs = {}
    for key, lines in (("train", brands.training), ("test", brands.test or [])):
        body = text(lines).replace(b"s3://brands/", f"s3://{bucket}/".encode())
        client.put_object(Bucket=bucket, Key=f"{key}.manifest", Body=body)
        refs[key] = ObjectRef(bucket=bucket, key=f"{key}.manifest")
    for name, value in {
        "KAFKA__BOOTSTRAP": "localhost:9",
        "OBJECTS__ENDPOINT": object_store.endpoint,
        "OBJECTS__ACCESS_KEY_ID": object_store.access_key_id,
        "OBJECTS__SECRET_ACCESS_KEY": object_store.secret_access_key,
        "OBJECTS__SEALING_KEY": "a-root-key-of-thirty-two-characters",
        "LEARNING__DETECTION_ITERATIONS": "10",
    }.items():
        monkeypatch.setenv(f"VIGIA_TRAINING_{name}", value)
    request = TrainingRequest(
        model_arn=ARN,
        account_id="123456789012",
        region="us-east-1",
        project="brands",
        model_version="1",
        training_manifest=refs["train"],
        test_manifest=refs["test"],
        output=OutputLocation(bucket=bucket, prefix="out/"),
        artifact_prefix=OutputLocation(bucket=bucket, prefix="artifacts"),
        requested_at=datetime.now(UTC),
    )
    stages: list[str] = []

    async def tell(moment: Moment) -> None:
        stages.append(moment.stage)

    outcome = await ChildTrainer().train(request, 1, tell)
    assert isinstance(outcome, TrainingCompleted), outcome
    assert outcome.manifest["kind"] == "object-detection"
    assert outcome.manifest["provenance"]["learnt_from"].startswith("6 images of logos alone")
    assert [label.name for label in outcome.metrics.labels] == list(NAMES)
    assert outcome.metrics.test_images == 8
    assert stages[0] == "reading"
