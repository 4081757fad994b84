"""From photographs to a hosted model, with nothing but the AWS SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from vigia_stack.errors import StackError

NAME = "cookies"
Say = Callable[[str], None]


class Project:
    """The demo's project over boto3 clients for ``lookoutvision`` and ``s3``; ``bucket`` is the customer's own."""

    def __init__(self, lookout: Any, s3: Any, bucket: str, samples: Path, say: Say) -> None:
        self._lookout = lookout
        self._s3 = s3
        self._bucket = bucket
        self._samples = samples
        self._say = say

    def create(self) -> None:
        """The project, unless an earlier demo made it."""
        try:
            self._lookout.create_project(ProjectName=NAME)
        except self._lookout.exceptions.ConflictException:
            self._say(f"project {NAME} is there from an earlier run")
        else:
            self._say(f"project {NAME} created")

    def upload(self) -> int:
        """Photographs, masks and manifest to the bucket; returns how many objects had to be sent."""
        sent = 0
        for folder in ("training-images", "mask-images"):
            for file in sorted((self._samples / folder).iterdir()):
                sent += self._put(f"{NAME}/{folder}/{file.name}", file.read_bytes())
        template = (self._samples / "train_segmentation.manifest").read_text()
        manifest = template.replace("s3://s3-bucket/getting-started/", f"s3://{self._bucket}/{NAME}/")
        sent += self._put(self._manifest_key, manifest.encode())
        return sent

    @property
    def _manifest_key(self) -> str:
        return f"{NAME}/manifests/train.manifest"

    def _put(self, key: str, body: bytes) -> int:
        try:
            if self._s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"] == len(body):
                return 0
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        return 1

    def dataset(self) -> dict[str, int]:
        """The training dataset, imported from the manifest; its image counts."""
        location = {"GroundTruthManifest": {"S3Object": {"Bucket": self._bucket, "Key": self._manifest_key}}}
        try:
            self._lookout.create_dataset(ProjectName=NAME, DatasetType="train", DatasetSource=location)
        except self._lookout.exceptions.ConflictException:
            self._say("dataset is there from an earlier run")
        description = self._wait(
            lambda: self._lookout.describe_dataset(ProjectName=NAME, DatasetType="train")["DatasetDescription"],
            busy={"CREATE_IN_PROGRESS"},
            done={"CREATE_COMPLETE"},
            within=120,
        )
        stats: dict[str, int] = description["ImageStats"]
        return stats

    def train(self) -> tuple[str, dict[str, Any], float]:
        """A new model version, trained: its number, its description, and the seconds that it took."""
        started = time.monotonic()
        made = self._lookout.create_model(
            ProjectName=NAME,
            OutputConfig={"S3Location": {"Bucket": self._bucket, "Prefix": f"{NAME}/evaluation"}},
        )["ModelMetadata"]
        version: str = made["ModelVersion"]
        description = self._wait(
            lambda: self._model(version), busy={"TRAINING"}, done={"TRAINED"}, within=1200, what="training"
        )
        return version, description, time.monotonic() - started

    def evaluation(self, description: dict[str, Any]) -> dict[str, Any]:
        """The metrics in the evaluation result that training wrote to the bucket."""
        place = description["EvaluationResult"]
        body = self._s3.get_object(Bucket=place["Bucket"], Key=place["Key"])["Body"].read()
        metrics: dict[str, Any] = json.loads(body)["AggregatedEvaluationResults"]["Metrics"]
        return metrics

    def host(self, version: str) -> float:
        """Starts the version and waits until it is hosted; the seconds that it took."""
        started = time.monotonic()
        self._lookout.start_model(ProjectName=NAME, ModelVersion=version, MinInferenceUnits=1)
        self._wait(lambda: self._model(version), busy={"STARTING_HOSTING"}, done={"HOSTED"}, within=180)
        return time.monotonic() - started

    def retire_others(self, version: str) -> list[str]:
        """Stops every other hosted version, now that ``version`` serves."""
        stopped = []
        for page in self._lookout.get_paginator("list_models").paginate(ProjectName=NAME):
            for model in page["Models"]:
                if model["ModelVersion"] != version and model["Status"] == "HOSTED":
                    self._lookout.stop_model(ProjectName=NAME, ModelVersion=model["ModelVersion"])
                    stopped.append(model["ModelVersion"])
        return stopped

    def _model(self, version: str) -> dict[str, Any]:
        found: dict[str, Any] = self._lookout.describe_model(ProjectName=NAME, ModelVersion=version)["ModelDescription"]
        return found

    def _wait(
        self, look: Callable[[], dict[str, Any]], busy: set[str], done: set[str], within: float, what: str = ""
    ) -> dict[str, Any]:
        """Polls as the guide's samples do. StackError for a status that is neither busy nor done, or when it takes."""
        started = time.monotonic()
        said = started
        while True:
            description = look()
            status = description["Status"]
            if status in done:
                return description
            if status not in busy:
                raise StackError(f"{status}: {description.get('StatusMessage', 'no message')}")
            now = time.monotonic()
            if now - started > within:
                raise StackError(f"still {status} after {within:.0f} s")
            if what and now - said >= 15:
                said = now
                self._say(f"{what}: {now - started:.0f} s — {description.get('StatusMessage', '')}".rstrip(" —"))
            time.sleep(0.5)
