"""Trial detections: a version is tried out on new images, a person verifies, and the next version learns from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vigia_registry.datasets.manifest import parse_line
from vigia_runtime.sealing import is_sealed

from .artifacts import GREEN, RED, colours_in, mask, picture
from .conftest import ACCOUNT, BUCKET, Registry
from .manifests import line
from .test_lifecycle import OUTPUT, settled
from .trials import OTHER_BUCKET, Api, stats, store, trained


@pytest.fixture(scope="module")
def api(registry: Registry) -> Iterator[Api]:
    registry.s3().create_bucket(Bucket=OTHER_BUCKET)
    made = Api(registry.url)
    yield made
    made.client.close()


@pytest.fixture
def tried(registry: Registry, lookout: Any, project: str) -> str:
    """A project with a trained version that was never hosted, and an empty training dataset; its name."""
    trained(registry, lookout, project)
    lookout.create_dataset(ProjectName=project, DatasetType="train")
    return project


def raw(registry: Registry, bucket: str, key: str) -> bytes:
    """What lies in the store, as anybody sees it who looks there."""
    data: bytes = registry.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def entries(lookout: Any, project: str) -> list[dict[str, Any]]:
    pages = lookout.get_paginator("list_dataset_entries").paginate(ProjectName=project, DatasetType="train")
    return [json.loads(text) for page in pages for text in page["DatasetEntries"]]


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
