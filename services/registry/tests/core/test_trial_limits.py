"""Trials that are refused, and how much one may be; the API's document and command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner

from vigia_client.cli import app
from vigia_registry.bootstrap import Deps
from vigia_registry.objects import asked_rights
from vigia_registry.settings import LimitSettings
from vigia_registry.trials import service, sources
from vigia_registry.trials.domain import Source, SourceKind
from vigia_registry.trials.errors import TooManyImages

from .artifacts import RED, mask, picture
from .conftest import ACCOUNT, BUCKET, KEY, REGION, SECRET, Registry
from .manifests import line
from .test_lifecycle import gone
from .trials import Api, stats, store, trained


@pytest.fixture(scope="module")
def api(registry: Registry) -> Iterator[Api]:
    made = Api(registry.url)
    yield made
    made.client.close()


@pytest.fixture
def tried(registry: Registry, lookout: Any, project: str) -> str:
    """A project with a trained version that was never hosted, and an empty training dataset; its name."""
    trained(registry, lookout, project)
    lookout.create_dataset(ProjectName=project, DatasetType="train")
    return project


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
