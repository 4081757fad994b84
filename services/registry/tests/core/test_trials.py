"""Trial detections: a version is tried out on new images, a person verifies, and the next version learns from it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from vigia_client.cli import app
from vigia_contracts.base import ObjectRef
from vigia_contracts.training import TrainingCompleted
from vigia_registry.bootstrap import Deps
from vigia_registry.datasets.manifest import parse_line
from vigia_registry.jobs.queue import JOBS_SCHEMA
from vigia_registry.models import service as models
from vigia_registry.models.deletion import delete_model
from vigia_registry.models.domain import Numbered
from vigia_registry.objects import asked_rights
from vigia_registry.projects import service as projects
from vigia_registry.projects.deletion import delete_project
from vigia_registry.settings import LimitSettings
from vigia_registry.trials import repository, service, sources
from vigia_registry.trials.domain import Source, SourceKind
from vigia_registry.trials.errors import TooManyImages
from vigia_registry.trials.running import run_trial
from vigia_runtime.errors import Transient
from vigia_runtime.objects import ObjectInfo, ObjectStore
from vigia_runtime.sealing import is_sealed
from vigia_vision.artifact import MANIFEST_FILE

from .artifacts import GREEN, RED, colours, colours_in, mask, picture
from .conftest import ACCOUNT, BUCKET, KEY, REGION, SECRET, Registry, until
from .manifests import line
from .test_lifecycle import OUTPUT, becomes, completed, gone, report, settled, trainable
from .versions import decided_by

OTHER_BUCKET = "registry-tests-elsewhere"


class Api:
    """The REST API as one key sees it."""

    def __init__(self, url: str, key: str = KEY, secret: str = SECRET) -> None:
        self.client = httpx.Client(base_url=f"{url}/api/v1", auth=(key, secret), trust_env=False, timeout=30)

    def ok(self, method: str, path: str, **options: Any) -> Any:
        answer = self.client.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def refused(self, status: int, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The problem that the API answers with."""
        answer = self.client.request(method, path, **options)
        assert answer.status_code == status, answer.text
        problem: dict[str, Any] = answer.json()
        return problem

    def create(self, project: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = {"project": project, "name": f"t-{uuid.uuid4().hex[:8]}", "source": source, **more}
        created: dict[str, Any] = self.ok("POST", "/trials", json=body)
        return created

    def ended(self, trial: dict[str, Any]) -> dict[str, Any]:
        """The trial once it is complete or failed."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ok("GET", f"/trials/{trial['trial_id']}")
            return found if found["state"] in ("complete", "failed") else None

        return until(look, 60)

    def images(self, trial: dict[str, Any], **filters: Any) -> list[dict[str, Any]]:
        """All images that the filters let through, page after page."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            params = {key: value for key, value in {**filters, "cursor": cursor}.items() if value is not None}
            page = self.ok("GET", f"/trials/{trial['trial_id']}/images", params=params)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def bytes_of(self, trial: dict[str, Any], number: int, kind: str) -> httpx.Response:
        return self.client.get(f"/trials/{trial['trial_id']}/images/{number}/{kind}")


@pytest.fixture(scope="module")
def api(registry: Registry) -> Iterator[Api]:
    registry.s3().create_bucket(Bucket=OTHER_BUCKET)
    made = Api(registry.url)
    yield made
    made.client.close()


def trained(registry: Registry, lookout: Any, project: str) -> str:
    """A trained version of the project with a real artifact; its ARN. The project has no dataset afterwards."""
    trainable(registry, lookout, project)
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT)["ModelMetadata"]["ModelArn"]
    kind, event = completed(arn)
    assert isinstance(event, TrainingCompleted)
    artifact = colours()
    prefix = f"{ACCOUNT}/{REGION}/{project}/1/{artifact.folder}/"
    for name, content in artifact.all_files().items():
        registry.s3().put_object(Bucket=registry.settings.buckets.artifacts, Key=prefix + name, Body=content)
    ref = ObjectRef(
        bucket=registry.settings.buckets.artifacts,
        key=prefix + MANIFEST_FILE,
        sha256=hashlib.sha256(artifact.manifest_bytes).hexdigest(),
    )
    manifest = artifact.manifest.model_dump(mode="json")
    report(registry, (kind, event.model_copy(update={"artifact": ref, "manifest": manifest})))
    becomes(lookout, project, "TRAINED")
    lookout.delete_dataset(ProjectName=project, DatasetType="train")
    gone(lambda: lookout.describe_dataset(ProjectName=project, DatasetType="train"))
    return arn


@pytest.fixture
def tried(registry: Registry, lookout: Any, project: str) -> str:
    """A project with a trained version that was never hosted, and an empty training dataset; its name."""
    trained(registry, lookout, project)
    lookout.create_dataset(ProjectName=project, DatasetType="train")
    return project


def store(registry: Registry, files: dict[str, bytes], bucket: str = BUCKET) -> str:
    """Put files below a prefix of their own; the prefix."""
    prefix = f"trials/{uuid.uuid4().hex}/"
    for name, content in files.items():
        registry.s3().put_object(Bucket=bucket, Key=prefix + name, Body=content)
    return prefix


def raw(registry: Registry, bucket: str, key: str) -> bytes:
    """What lies in the store, as anybody sees it who looks there."""
    data: bytes = registry.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def entries(lookout: Any, project: str) -> list[dict[str, Any]]:
    pages = lookout.get_paginator("list_dataset_entries").paginate(ProjectName=project, DatasetType="train")
    return [json.loads(text) for page in pages for text in page["DatasetEntries"]]


def stats(lookout: Any, project: str) -> dict[str, int]:
    found: dict[str, int] = settled(lookout, project)["ImageStats"]
    return found


def test_what_a_trial_finds_and_a_person_confirms_trains_the_next_version(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    files = {f"good/{n:02d}.png": picture() for n in range(20)}
    files |= {f"bad/{n:02d}.jpeg": picture(red=250, kind="JPEG") for n in range(20)}
    prefix = store(registry, {**files, "notes.txt": b"no image", "bad/00.mask.png": mask(RED)})
    with pytest.raises(ClientError, match="0 normal images"):
        lookout.create_model(ProjectName=tried, OutputConfig=OUTPUT)

    uri = f"s3://{BUCKET}/{prefix}"
    assert registry.settings.objects.keys_folder is not None
    (registry.settings.objects.keys_folder / f"{ACCOUNT}.plant").write_text("k" * 44)
    trial = api.create(tried, {"kind": "folder", "uri": uri}, name="night shift", kms_key_id="alias/plant")
    assert trial["state"] in ("in_progress", "complete")
    assert (trial["model_version"], trial["kms_key_id"]) == ("1", "alias/plant")
    done = api.ended(trial)
    assert (done["state"], done["status_message"]) == ("complete", "The model judged 40 of 40 images.")
    counts = done["counts"]
    assert (counts["judged"], counts["normal"], counts["anomaly"], counts["unverified"]) == (40, 20, 20, 40)
    assert lookout.describe_model(ProjectName=tried, ModelVersion="1")["ModelDescription"]["Status"] == "TRAINED"

    bad = api.images(trial, prediction="anomaly", limit=7)
    assert [image["name"] for image in bad] == sorted(name for name in (prefix + n for n in files) if "bad" in name)
    [area] = bad[0]["areas"]
    assert (area["name"], area["color"]) == ("red", RED)
    assert area["area"] == pytest.approx(0.5, abs=0.05)
    assert bad[0]["score"] == pytest.approx(250 / 255, abs=0.02)
    assert 0.9 < bad[0]["confidence"] <= 1
    assert api.images(trial, label="red", limit=200) == bad
    assert api.images(trial, label="green") == []

    numbers = [image["number"] for image in api.images(trial, limit=200)]
    verified = api.ok(
        "PATCH", f"/trials/{trial['trial_id']}/images", json={"images": numbers, "verification": "correct"}
    )
    assert {image["verification"] for image in verified["items"]} == {"correct"}
    added = api.ok("POST", f"/trials/{trial['trial_id']}/dataset-entries")
    assert (added["added"], added["dataset"], added["status"]) == (40, "train", "UPDATE_IN_PROGRESS")
    assert stats(lookout, tried) == {"Total": 40, "Labeled": 40, "Normal": 20, "Anomaly": 20}
    assert api.ended(trial)["counts"]["added"] == 40

    by_ref = {entry["source-ref"]: entry for entry in entries(lookout, tried)}
    assert sorted(by_ref) == sorted(f"{uri}{name}" for name in files)
    normal, anomaly = by_ref[f"{uri}good/00.png"], by_ref[f"{uri}bad/00.jpeg"]
    assert (normal["anomaly-label"], normal["anomaly-label-metadata"]["class-name"]) == (0, "normal")
    assert "anomaly-mask-ref" not in normal
    assert (anomaly["anomaly-label"], anomaly["anomaly-label-metadata"]["class-name"]) == (1, "anomaly")
    assert anomaly["anomaly-label-metadata"]["human-annotated"] == "yes"
    assert anomaly["anomaly-label-metadata"]["job-name"] == "trial/night shift"
    assert anomaly["anomaly-mask-ref-metadata"]["internal-color-map"] == {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
        "1": {"class-name": "red", "hex-color": RED, "confidence": 0.0},
    }
    where = anomaly["anomaly-mask-ref"].removeprefix(f"s3://{BUCKET}/")
    assert where.startswith(f"vigia-trials/{tried}/{trial['trial_id']}/masks/")
    assert colours_in(raw(registry, BUCKET, where)) == {RED, "#FFFFFF"}

    # What Vigia keeps for itself is sealed with the key that was asked for.
    [kept] = registry.sql(
        "select p.account_id || '/' || p.id || '/trials/' || t.id from registry.trials t "
        "join registry.projects p on p.id = t.project_id where t.id = %s",
        trial["trial_id"],
    )
    sealed = raw(registry, registry.settings.buckets.datasets, f"{kept[0]}/masks/{bad[0]['number']:05d}.png")
    assert is_sealed(sealed)
    assert f"named/{ACCOUNT}.plant".encode() in sealed
    assert colours_in(api.bytes_of(trial, bad[0]["number"], "mask").content) == {RED, "#FFFFFF"}

    # Once more changes nothing, and starts nothing.
    assert api.ok("POST", f"/trials/{trial['trial_id']}/dataset-entries")["added"] == 0
    assert settled(lookout, tried)["Status"] == "UPDATE_COMPLETE"
    # Enough of each, of one label: the minimum is met by these images alone.
    assert lookout.create_model(ProjectName=tried, OutputConfig=OUTPUT)["ModelMetadata"]["ModelVersion"] == "2"


def test_images_that_cannot_be_judged_say_why_and_the_others_are(registry: Registry, api: Api, tried: str) -> None:
    whole = picture(red=250, kind="JPEG")
    files = {
        "a-red.png": picture(red=250),
        "b-faint.png": picture(green=110),
        "c-cut.jpg": whole[: len(whole) // 2],
        "d-text.png": b"not an image",
        "e-size.png": picture(size=(32, 32)),
        "f-large.jpg": b"\xff\xd8\xff" + bytes(8 * 1024 * 1024),
        "g-empty.png": b"",
        "h-good.png": picture(),
    }
    prefix = store(registry, files)
    uris = [f"s3://{BUCKET}/{prefix}{name}" for name in files]
    trial = api.create(tried, {"kind": "images", "uris": [*uris, f"s3://{BUCKET}/{prefix}i-gone.png"]})
    done = api.ended(trial)
    assert done["status_message"] == "The model judged 3 of 9 images. 6 could not be judged; each says why."
    counts = done["counts"]
    assert (counts["judged"], counts["failed"], counts["waiting"], counts["unverified"]) == (3, 6, 0, 3)
    found = {image["name"].removeprefix(prefix)[0]: image for image in api.images(trial)}
    assert {name: image["error"] for name, image in found.items()} == {
        "a": None,
        "b": None,
        "c": "undecodable",
        "d": "undecodable",
        "e": "wrong_size",
        "f": "too_large",
        "g": "undecodable",
        "h": None,
        "i": "missing",
    }
    assert found["e"]["detail"] == "32x32 pixels; the model takes 64x48"
    assert (found["b"]["prediction"], found["b"]["areas"], found["b"]["has_mask"]) == ("anomaly", [], False)

    # Least sure first, or most; what was not judged comes last, and pages go on in between.
    by_confidence = "".join(
        image["name"].removeprefix(prefix)[0] for image in api.images(trial, sort="confidence", limit=2)
    )
    assert (by_confidence[:3], sorted(by_confidence[3:])) == ("bah", sorted("cdefgi"))
    descending = "".join(
        image["name"].removeprefix(prefix)[0] for image in api.images(trial, sort="-confidence", limit=2)
    )
    assert (descending[:3], sorted(descending[3:])) == ("hab", sorted("cdefgi"))
    assert len(api.images(trial, state="failed")) == 6

    image = api.bytes_of(trial, found["a"]["number"], "file")
    assert (image.content, image.headers["content-type"]) == (files["a-red.png"], "image/png")
    assert image.headers["x-content-type-options"] == "nosniff"
    assert colours_in(api.bytes_of(trial, found["a"]["number"], "mask").content) == {RED, "#FFFFFF"}
    for name, kind in (("h", "mask"), ("a", "corrected-mask"), ("d", "file"), ("f", "file"), ("i", "file")):
        answer = api.bytes_of(trial, found[name]["number"], kind)
        assert (answer.status_code, answer.json()["code"]) == (404, "trial_image_not_found")

    url = f"/trials/{trial['trial_id']}/images"
    problem = api.refused(409, "PATCH", url, json={"images": [1, 3, 9], "verification": "correct"})
    assert (problem["code"], problem["details"]["images"]) == ("image_not_judged", [3, 9])
    assert api.images(trial, verification="correct") == []
    assert api.refused(404, "PATCH", f"{url}/10", json={"verification": "correct"})["code"] == "trial_image_not_found"


def test_wrong_predictions_and_masks_are_corrected_and_added_as_corrected(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    lookout.create_dataset(ProjectName=tried, DatasetType="test")
    files = {"1.png": picture(red=250), "2.png": picture(green=250), "3.png": picture(), "4.png": picture(red=250)}
    prefix = store(registry, files)
    trial = api.create(tried, {"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}"})
    api.ended(trial)
    url = f"/trials/{trial['trial_id']}/images"

    def say(number: int, verification: str, corrected: str | None = None) -> dict[str, Any]:
        body = {"verification": verification, "corrected_class": corrected}
        said: dict[str, Any] = api.ok("PATCH", f"{url}/{number}", json=body)
        return said

    assert say(1, "incorrect")["corrected_class"] == "normal"
    assert say(3, "incorrect")["corrected_class"] == "anomaly"
    assert say(4, "incorrect", "anomaly")["corrected_class"] == "anomaly"  # only the mask is wrong, and not drawn anew
    for number, body in (
        (3, {"verification": "incorrect", "corrected_class": "normal"}),
        (3, {"verification": "correct", "corrected_class": "anomaly"}),
        (3, {"verification": "right"}),
    ):
        assert api.refused(400, "PATCH", f"{url}/{number}", json=body)["details"]["problems"]

    for data, problem in (
        (mask(RED, "#FFFFFF", width=32), "32x48 pixels; its image has 64x48"),
        (mask(RED, "#FFFFFF", kind="JPEG"), "masks are PNG files"),
        (mask(RED, "#0000FF"), "#0000FF"),
        (mask("#FFFFFF"), "all background"),
        (b"mask", "masks are PNG files"),
    ):
        refused = api.refused(400, "PUT", f"{url}/2/corrected-mask", content=data)
        assert refused["code"] == "bad_mask"
        assert problem in refused["detail"]
    assert api.images(trial, verification="unverified")[0]["number"] == 2
    corrected = api.ok("PUT", f"{url}/2/corrected-mask", content=mask(RED, GREEN, "#FFFFFF"))
    assert (corrected["verification"], corrected["corrected_class"]) == ("incorrect", "anomaly")
    assert corrected["corrected_labels"] == ["red", "green"]
    assert [image["number"] for image in api.images(trial, label="red")] == [1, 2, 4]
    assert colours_in(api.bytes_of(trial, 2, "corrected-mask").content) == {RED, GREEN, "#FFFFFF"}
    assert colours_in(api.bytes_of(trial, 2, "mask").content) == {GREEN, "#FFFFFF"}

    assert api.ok("POST", f"/trials/{trial['trial_id']}/dataset-entries")["added"] == 4
    assert stats(lookout, tried) == {"Total": 4, "Labeled": 4, "Normal": 1, "Anomaly": 3}
    assert settled(lookout, tried, "test")["ImageStats"]["Total"] == 0
    found = {entry["source-ref"][-5:]: entry for entry in entries(lookout, tried)}
    assert found["1.png"]["anomaly-label-metadata"]["class-name"] == "normal"
    assert found["3.png"]["anomaly-label-metadata"]["class-name"] == "anomaly"
    assert [name for name, entry in sorted(found.items()) if "anomaly-mask-ref" in entry] == ["2.png"]
    assert parse_line(json.dumps(found["2.png"]).encode(), 1).labels == ("green", "red")
    where = found["2.png"]["anomaly-mask-ref"].removeprefix(f"s3://{BUCKET}/")
    assert colours_in(raw(registry, BUCKET, where)) == {RED, GREEN, "#FFFFFF"}

    # A kind of anomaly that the model has never seen.
    labels = f"/trials/{trial['trial_id']}/labels"
    for body, where in (
        ({"name": "red", "color": "#00FFFF"}, "body.name"),
        ({"name": "Background", "color": "#00FFFF"}, "body.name"),
        ({"name": "scratch", "color": "#ffffff"}, "body.color"),
        ({"name": "scratch", "color": GREEN.lower()}, "body.color"),
        ({"name": "scratch", "color": "blue"}, "body.color"),
    ):
        assert [row["where"] for row in api.refused(400, "POST", labels, json=body)["details"]["problems"]] == [where]
    known = api.ok("POST", labels, json={"name": "scratch", "color": "#00ffff"})["labels"]
    assert known[2:] == [{"name": "scratch", "color": "#00FFFF"}]
    drawn = api.ok("PUT", f"{url}/4/corrected-mask", content=mask("#00FFFF", "#FFFFFF"))
    assert drawn["corrected_labels"] == ["scratch"]
    assert api.ok("POST", f"/trials/{trial['trial_id']}/dataset-entries")["added"] == 1
    assert stats(lookout, tried) == {"Total": 4, "Labeled": 4, "Normal": 1, "Anomaly": 3}
    [new] = [entry for entry in entries(lookout, tried) if entry["source-ref"].endswith("4.png")]
    assert new["anomaly-mask-ref-metadata"]["internal-color-map"]["1"]["hex-color"] == "#00FFFF"
    assert parse_line(json.dumps(new).encode(), 1).labels == ("scratch",)

    # A person thinks again: the image is not in the dataset as it is now, until it is added once more.
    assert say(2, "correct")["corrected_labels"] is None
    assert api.bytes_of(trial, 2, "corrected-mask").status_code == 404
    assert [image["number"] for image in api.images(trial) if not image["added"]] == [2]
    assert say(3, "unverified")["corrected_class"] is None
    problem = api.refused(409, "POST", f"/trials/{trial['trial_id']}/dataset-entries", json={"images": [2, 3]})
    assert (problem["code"], problem["details"]["images"]) == ("image_not_verified", [3])
    assert api.ok("POST", f"/trials/{trial['trial_id']}/dataset-entries")["added"] == 1
    assert stats(lookout, tried)["Total"] == 4
    [again] = [entry for entry in entries(lookout, tried) if entry["source-ref"].endswith("2.png")]
    assert parse_line(json.dumps(again).encode(), 1).labels == ("green",)


def test_uploaded_images_are_copied_to_where_the_dataset_is(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    trial = api.create(tried, {"kind": "upload"})
    url = f"/trials/{trial['trial_id']}"
    assert trial["state"] == "created"
    assert api.refused(409, "POST", f"{url}/start")["code"] == "trial_empty"

    def upload(name: str, data: bytes) -> dict[str, Any]:
        made: dict[str, Any] = api.ok("POST", f"{url}/images", params={"name": name}, content=data)
        return made

    assert upload("pärt 1.png", picture())["number"] == 1
    assert upload("2.jpg", picture(green=250, kind="JPEG"))["number"] == 2
    assert upload("pärt 1.png", picture(red=250))["number"] == 1  # another picture under the same name
    assert api.refused(400, "POST", f"{url}/images", params={"name": "3.png"}, content=b"x")["code"] == "bad_image"
    assert api.refused(400, "POST", f"{url}/images", params={"name": "a\nb"}, content=picture())["details"]["problems"]
    assert api.ok("POST", f"{url}/start")["state"] == "in_progress"
    done = api.ended(trial)
    assert (done["counts"]["images"], done["counts"]["anomaly"]) == (2, 2)
    late = api.refused(409, "POST", f"{url}/images", params={"name": "4.png"}, content=picture())
    assert late["code"] == "trial_busy"
    assert api.refused(409, "POST", f"{url}/start")["code"] == "trial_busy"
    assert api.bytes_of(trial, 1, "file").content == picture(red=250)

    known = line("known", False, bucket=OTHER_BUCKET).encode()
    lookout.update_dataset_entries(ProjectName=tried, DatasetType="train", Changes=known)
    assert stats(lookout, tried)["Total"] == 1
    api.ok("PATCH", f"{url}/images", json={"images": [1, 2], "verification": "correct"})
    assert api.ok("POST", f"{url}/dataset-entries")["added"] == 2
    assert stats(lookout, tried) == {"Total": 3, "Labeled": 3, "Normal": 1, "Anomaly": 2}
    place = f"s3://{OTHER_BUCKET}/vigia-trials/{tried}/{trial['trial_id']}"
    first, second = entries(lookout, tried)[1:]
    assert (first["source-ref"], second["source-ref"]) == (
        f"{place}/images/00001-p_rt_1.png",
        f"{place}/images/00002-2.jpg",
    )
    assert first["anomaly-mask-ref"] == f"{place}/masks/00001.png"
    for ref, expected in (
        (first["source-ref"], picture(red=250)),
        (second["source-ref"], picture(green=250, kind="JPEG")),
    ):
        assert raw(registry, OTHER_BUCKET, ref.removeprefix(f"s3://{OTHER_BUCKET}/")) == expected


def test_images_of_another_bucket_than_the_datasets_are_refused(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    lookout.update_dataset_entries(ProjectName=tried, DatasetType="train", Changes=line("known", False).encode())
    assert stats(lookout, tried)["Total"] == 1
    prefix = store(registry, {"1.png": picture()})
    trial = api.create(tried, {"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}"})
    api.ended(trial)
    url = f"/trials/{trial['trial_id']}"
    api.ok("PATCH", f"{url}/images/1", json={"verification": "correct"})
    problem = api.refused(409, "POST", f"{url}/dataset-entries")
    assert problem["details"] == {"bucket": BUCKET, "dataset_bucket": "registry-tests-images"}
    assert "bucket registry-tests-images" in problem["detail"]
    assert stats(lookout, tried)["Total"] == 1
    lookout.delete_dataset(ProjectName=tried, DatasetType="train")
    gone(lambda: lookout.describe_dataset(ProjectName=tried, DatasetType="train"))
    assert api.refused(404, "POST", f"{url}/dataset-entries")["code"] == "dataset_not_found"


def test_what_cannot_be_tried_is_refused_and_names_what_is_wrong(registry: Registry, api: Api, tried: str) -> None:
    prefix = store(registry, {"1.png": picture(), "2.png": picture(), "3.png": picture(), "more/4.txt": b""})
    artifacts = registry.settings.buckets.artifacts
    good = {"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}"}

    def refused(status: int, **changed: Any) -> dict[str, Any]:
        body = {"project": tried, "name": "one", "source": good, **changed}
        return api.refused(status, "POST", "/trials", json=body)

    for source, where in (
        ({"kind": "folder", "uri": "s3:/wrong"}, "body.source.uri"),
        ({"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}more/"}, "body.source.uri"),
        ({"kind": "folder", "uri": "s3://registry-tests-nowhere/"}, "body.source"),
        ({"kind": "folder", "uri": f"s3://{artifacts}/"}, "body.source"),
        ({"kind": "folder", "uri": f"s3://{artifacts}/{ACCOUNT}/../other/"}, "body.source.uri"),
        ({"kind": "images", "uris": [f"s3://{artifacts}/999988887777/golden/a.png"]}, "body.source"),
        ({"kind": "images", "uris": ["s3://registry-tests-nowhere/a.png"]}, "body.source"),
        ({"kind": "images", "uris": [f"s3://{BUCKET}/a.png", "s3://other/b.png"]}, "body.source.uris.1"),
        ({"kind": "images", "uris": [f"s3://{BUCKET}/a.png", f"s3://{BUCKET}/a.png"]}, "body.source.uris.1"),
        ({"kind": "images", "uris": [f"s3://{BUCKET}/a/"]}, "body.source.uris.0"),
        ({"kind": "tape"}, "body.source"),
    ):
        assert [row["where"] for row in refused(400, source=source)["details"]["problems"]] == [where]
    many = [f"s3://{BUCKET}/{number}.png" for number in range(401)]
    assert refused(429, source={"kind": "images", "uris": many})["code"] == "images_per_trial"
    assert refused(400, kms_key_id="alias/unheard-of")["code"] == "unknown_key"
    assert refused(404, project="unheard-of")["code"] == "project_not_found"
    assert refused(404, model_version="7")["code"] == "model_not_found"
    assert refused(400, name="")["details"]["problems"]
    assert api.ok("GET", "/trials", params={"project": tried})["items"] == []

    ended = api.ended(api.create(tried, good, name="one"))
    assert ended["counts"]["images"] == 3
    assert refused(409)["code"] == "trial_exists"
    api.create(tried, {"kind": "upload"}, name="two")
    api.create(tried, {"kind": "upload"}, name="three")
    assert refused(429, name="four")["code"] == "trials_per_project"
    first = api.ok("GET", "/trials", params={"project": tried, "limit": 2})
    rest = api.ok("GET", "/trials", params={"project": tried, "limit": 2, "cursor": first["next"]})
    assert [trial["name"] for trial in first["items"] + rest["items"]] == ["three", "two", "one"]
    assert rest["next"] is None
    assert api.client.delete(f"/trials/{ended['trial_id']}").status_code == 405

    # Keys of others, and keys that may do less.
    url = f"/trials/{ended['trial_id']}"
    stranger = Api(registry.url, *registry.add_key("555566667777"))
    assert stranger.refused(404, "GET", url)["code"] == "trial_not_found"
    assert stranger.refused(404, "PATCH", f"{url}/images/1", json={"verification": "correct"})
    assert stranger.refused(404, "POST", f"{url}/dataset-entries")
    names = ("lookoutvision:ListTrialDetections", "lookoutvision:DescribeTrialDetection")
    reader = Api(registry.url, *registry.add_key(actions=names))
    assert reader.ok("GET", url)["name"] == "one"
    assert len(reader.ok("GET", "/trials", params={"project": tried})["items"]) == 3
    assert reader.bytes_of(ended, 1, "file").status_code == 200
    for method, path, body in (
        ("POST", "/trials", {"project": tried, "name": "x", "source": good}),
        ("POST", f"{url}/start", None),
        ("PATCH", f"{url}/images/1", {"verification": "correct"}),
        ("POST", f"{url}/dataset-entries", None),
    ):
        assert reader.refused(403, method, path, json=body)["code"] == "access_denied"


def test_a_trial_has_at_most_two_thousand_images(registry: Registry) -> None:
    assert LimitSettings().trial_images == 2000
    prefix = store(registry, {f"{number}.png": b"x" for number in range(3)})

    async def below(deps: Deps, most: int) -> list[str]:
        free = asked_rights(deps.settings.buckets, None)
        return await sources.keys_below(deps.objects, free, Source(SourceKind.FOLDER, BUCKET, prefix), most)

    assert len(registry.run(lambda deps: below(deps, 3))) == 3
    with pytest.raises(TooManyImages):
        registry.run(lambda deps: below(deps, 2))


def test_uploads_stop_at_the_limit(registry: Registry, api: Api, tried: str) -> None:
    trial = UUID(api.create(tried, {"kind": "upload"})["trial_id"])
    limits = LimitSettings(trial_images=1)

    async def upload(deps: Deps) -> None:
        owner = registry.owner
        for name in ("a", "a", "b"):
            async with deps.database.transaction() as session:
                await service.upload(session, deps.objects, limits, owner, trial, name, picture())

    with pytest.raises(TooManyImages):
        registry.run(upload)
    assert api.ok("GET", f"/trials/{trial}")["counts"]["images"] == 1


def test_trials_wait_for_each_other_and_other_jobs_for_none(
    registry: Registry, lookout: Any, api: Api, tried: str
) -> None:
    prefix = store(registry, {f"{number}.png": picture(red=250) for number in range(60)})
    source = {"kind": "folder", "uri": f"s3://{BUCKET}/{prefix}"}
    running = [api.create(tried, source) for _ in range(3)]
    lookout.update_dataset_entries(ProjectName=tried, DatasetType="train", Changes=line("known", False).encode())
    assert stats(lookout, tried)["Total"] == 1
    doing = f"select count(*) from {JOBS_SCHEMA}.procrastinate_jobs where queue_name = 'models' and status = 'doing'"
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, registry.sql(doing)[0][0])
        states = [api.ok("GET", f"/trials/{trial['trial_id']}")["state"] for trial in running]
        return states == ["complete"] * 3

    until(look, 60)
    assert most == 1


class Interrupted(ObjectStore):
    """The real store; once so many images were read, ``action`` is done before the next one."""

    def __init__(self, settings: Any, images: int, action: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(settings)
        self.read = 0
        self._images = images
        self._action = action

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        if self.read == self._images and self._action is not None:
            await self._action()
        self.read += 1
        return await super().head(bucket, key)


@pytest.fixture
def waiting(registry: Registry, lookout: Any, api: Api, tried: str) -> tuple[str, UUID]:
    """A trial of six images that is under way, and that no worker knows of: its project's name and its id."""
    prefix = store(registry, {f"{number}.png": picture(red=250) for number in range(6)})
    trial = api.create(tried, {"kind": "upload"})
    registry.sql(
        "update registry.trials set state = 'in_progress', source = 'folder', bucket = %s where id = %s",
        BUCKET,
        trial["trial_id"],
    )
    for number in range(6):
        registry.sql(
            "insert into registry.trial_images (trial_id, number, name, key) values (%s, %s, %s, %s)",
            trial["trial_id"],
            number + 1,
            str(number),
            f"{prefix}{number}.png",
        )
    return tried, UUID(trial["trial_id"])


def judge(registry: Registry, trial: UUID, images: int = 0, action: Any = None) -> int:
    """Do the job of a trial; how many images were read. ``action(deps)`` comes after ``images`` of them."""

    async def work(deps: Deps) -> int:
        objects = Interrupted(deps.settings.objects, images, None if action is None else lambda: action(deps))
        with contextlib.suppress(Transient):
            await run_trial(deps.database, objects, deps.settings.buckets.datasets, trial)
        return objects.read

    return registry.run(work)


def test_what_was_judged_is_not_judged_again(registry: Registry, api: Api, waiting: tuple[str, UUID]) -> None:
    _, trial = waiting

    async def outage(deps: Deps) -> None:
        raise Transient("the store is away")

    judge(registry, trial, 2, outage)
    between = api.ok("GET", f"/trials/{trial}")
    assert (between["state"], between["counts"]["judged"], between["counts"]["waiting"]) == ("in_progress", 2, 4)
    assert judge(registry, trial) == 4
    assert api.ok("GET", f"/trials/{trial}")["state"] == "complete"
    assert judge(registry, trial) == 0


def test_a_trial_is_judged_by_the_threshold_that_decides_now(
    registry: Registry, api: Api, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting
    model = f"arn:aws:lookoutvision:{REGION}:{ACCOUNT}:model/{project}/1"

    def found() -> set[tuple[str, bool]]:
        rows = api.ok("GET", f"/trials/{trial}/images")["items"]
        return {(row["prediction"], row["score"] > 0.5) for row in rows if row["prediction"]}

    async def outage(deps: Deps) -> None:
        raise Transient("the store is away")

    judge(registry, trial, 2, outage)
    assert found() == {("anomaly", True)}
    decided_by(registry, model, 0.9999)
    judge(registry, trial)
    assert found() == {("anomaly", True), ("normal", True)}


def test_a_trial_fails_when_its_version_is_deleted_and_keeps_what_was_judged(
    registry: Registry, lookout: Any, api: Api, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting

    async def delete(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            await models.delete(session, registry.owner, Numbered(project, 1))

    assert judge(registry, trial, 2, delete) == 3
    failed = api.ok("GET", f"/trials/{trial}")
    assert (failed["state"], failed["counts"]["judged"]) == ("failed", 2)
    assert failed["status_message"] == "The model version was deleted before every image was judged."
    gone(lambda: lookout.describe_model(ProjectName=project, ModelVersion="1"))
    assert api.ok("GET", f"/trials/{trial}")["model_version"] == "1"
    assert api.refused(404, "POST", f"/trials/{trial}/start")["code"] == "model_not_found"
    # What the model found can still be verified.
    assert api.ok("PATCH", f"/trials/{trial}/images/1", json={"verification": "correct"})["has_mask"]


def test_a_trial_under_way_goes_with_its_project_and_leaves_nothing(
    registry: Registry, lookout: Any, waiting: tuple[str, UUID]
) -> None:
    project, trial = waiting
    [(project_id, version_id)] = registry.sql(
        "select p.id, m.id from registry.projects p join registry.model_versions m on m.project_id = p.id "
        "where p.name = %s",
        project,
    )
    below = {"Bucket": registry.settings.buckets.datasets, "Prefix": f"{ACCOUNT}/{project_id}/"}

    async def delete(deps: Deps) -> None:
        assert registry.s3().list_objects_v2(**below)["KeyCount"] > 0
        registry.sql("delete from registry.datasets where project_id = %s", project_id)
        # The version, the project, and both jobs, as if done between two images.
        registry.sql("update registry.model_versions set state = 'DELETING' where id = %s", version_id)
        await delete_model(deps.database, deps.objects, deps.settings.buckets.artifacts, version_id)
        async with deps.database.transaction() as session:
            await projects.delete(session, registry.owner, project)
        await delete_project(deps.database, deps.objects, deps.settings.buckets.datasets, project_id)

    assert judge(registry, trial, 2, delete) == 3
    gone(lambda: lookout.describe_project(ProjectName=project))
    assert registry.sql("select count(*) from registry.trials where id = %s", trial) == [(0,)]
    assert registry.s3().list_objects_v2(**below)["KeyCount"] == 0


def test_whoever_deletes_a_project_waits_for_the_mask_that_is_being_written(
    registry: Registry, waiting: tuple[str, UUID]
) -> None:
    """Otherwise the mask would come after everything below the project was removed, and stay for ever."""
    _, trial = waiting

    async def work(deps: Deps) -> None:
        async with deps.database.transaction() as session:
            run = await repository.lock_run(session, trial)
            assert run is not None
            with pytest.raises(Exception, match="lock timeout"):
                async with deps.database.transaction() as other:
                    await repository.remove_of_project(other, run.trial.project_id)

    registry.run(work)


def test_the_command_runs_shows_verifies_and_adds(
    registry: Registry, lookout: Any, tried: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images"
    (images / "lot 7").mkdir(parents=True)
    for name, data in {
        "lot 7/a.png": picture(red=250),
        "lot 7/b.png": picture(),
        "lot 7/c.png": picture(green=250),
        "small.png": picture(size=(8, 8)),
    }.items():
        (images / name).write_bytes(data)
    (tmp_path / "mask.png").write_bytes(mask(RED, "#FFFFFF"))
    for name, value in {
        "VIGIA_URL": registry.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION", raising=False)

    def vigia(*arguments: str) -> str:
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["trials", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    shown = vigia("run", "by hand", str(images), "--project", tried, "--json")
    trial = json.loads(shown)
    assert (trial["state"], trial["counts"]["images"], trial["counts"]["anomaly"]) == ("complete", 4, 2)
    assert "by hand" in vigia("list", "--project", tried)
    table = vigia("show", trial["trial_id"], "--sort", "-confidence")
    for text in ("complete", "lot 7/a.png", "anomaly", "red 50.00%", "small.png", "wrong_size"):
        assert text in table
    assert [
        row["name"]
        for row in map(json.loads, vigia("show", trial["trial_id"], "--label", "red", "--json").splitlines())
    ] == ["lot 7/a.png"]
    assert "incorrect: anomaly (red)" in vigia("verify", trial["trial_id"], "2", "--mask", str(tmp_path / "mask.png"))
    assert "incorrect: normal" in vigia("verify", trial["trial_id"], "3", "--incorrect")
    vigia("verify", trial["trial_id"], "--all", "--correct")
    assert "nothing is left" in vigia("verify", trial["trial_id"], "--all", "--correct")
    assert "3 images are being added" in vigia("add", trial["trial_id"])
    assert stats(lookout, tried) == {"Total": 3, "Labeled": 3, "Normal": 1, "Anomaly": 2}
    assert "nothing to add" in vigia("add", trial["trial_id"])


def test_the_document_shows_every_route(registry: Registry, api: Api) -> None:
    paths = httpx.get(f"{registry.url}/openapi.json", trust_env=False).json()["paths"]
    below = "/api/v1/trials/{trial_id}"
    assert {path: sorted(methods) for path, methods in paths.items() if path.startswith("/api/v1/trials")} == {
        "/api/v1/trials": ["get", "post"],
        below: ["get"],
        f"{below}/start": ["post"],
        f"{below}/labels": ["post"],
        f"{below}/images": ["get", "patch", "post"],
        f"{below}/images/{{number}}": ["get", "patch"],
        f"{below}/images/{{number}}/{{kind}}": ["get"],
        f"{below}/images/{{number}}/corrected-mask": ["put"],
        f"{below}/dataset-entries": ["post"],
    }
    upload = paths[f"{below}/images"]["post"]["requestBody"]["content"]
    assert set(upload) == {"image/jpeg", "image/png"}
