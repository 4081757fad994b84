"""The guide's AWS CLI commands through the real ``aws``, in an order in which each finds what it needs.

A program of its own, as ``samples.py`` is; it needs the variables of ``client.env``. What a person does between two
commands, waiting for a status, is left to boto3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from material import changes
from samples import PROFILE, created, dataset, gone, place, uploaded, versions, watched

sys.path.append(str(Path(__file__).parents[1]))  # for what the programs through both guides share
from programs import Program, aws, run_aws

VERSION = "v1.commands"
TAGS = '{"key1":"value1","key2":"value2"}'
#: Printed with ``--"CUSTOM_LABELS"``, an option that no ``aws`` has.
FEATURE = ("--feature", "CUSTOM_LABELS")


class Journey(Program):
    """Every command once."""

    def __init__(self, told: dict, records: Path) -> None:
        super().__init__(told, records)
        self.project, self.bucket = told["project"], told["bucket"]
        self.key = told["key"]
        self.folder, self.scratch = Path(told["folder"]), Path(told["scratch"])
        self.client = boto3.Session(profile_name=PROFILE).client("rekognition")
        self.root = f"s3://{self.bucket}/{self.project}/"

    def aws(self, *arguments, service="rekognition"):
        """What ``aws rekognition …`` prints with the guide's profile."""
        return aws(service, *arguments, "--profile", PROFILE)

    def refused(self, *arguments):
        """The same for a command that must fail: it as it ended."""
        done = run_aws("rekognition", *arguments, "--profile", PROFILE)
        assert done.returncode
        return done

    def run(self):
        made = self.note("C-02", self.aws("create-project", "--project-name", self.project, *FEATURE, "--tags", TAGS))
        arn = made["ProjectArn"]
        self.note("C-02 tags", self.aws("list-tags-for-resource", "--resource-arn", arn))
        other = self.aws("create-project", "--project-name", f"{self.project}-copy")["ProjectArn"]
        self.note("C-01", self.aws("describe-projects"))
        self.objects()
        held = self.datasets(arn, other)
        self.note("C-12", self.aws("describe-projects", "--project-names", self.project))
        model = self.train(arn)
        self.note("C-20", self.aws("describe-project-versions", "--project-arn", arn, "--version-names", VERSION))
        self.tag(model)
        self.host(arn, model)
        copy = self.copies(arn, model, other)
        for sample, project, found in (("C-18", arn, model), ("C-18 copy", other, copy)):
            self.note(sample, self.aws("delete-project-version", "--project-version-arn", found))
            self.gone(lambda project=project: self.described_versions(project))
        self.note("C-17", [self.aws("delete-dataset", "--dataset-arn", found) for found in held])
        for project in (self.project, f"{self.project}-copy"):
            self.gone(lambda project=project: self.described(project)["Datasets"])
        self.note("C-11", [self.aws("delete-project", "--project-arn", found) for found in (arn, other)])
        self.gone(lambda: self.client.describe_projects(ProjectNames=[self.project])["ProjectDescriptions"])

    def objects(self):
        """Images to and from the store, a manifest of them, and whose the bucket is."""
        copied = self.aws("cp", "--recursive", "--quiet", str(self.folder), self.root + "local/", service="s3")
        listed = self.aws("ls", "--recursive", self.root + "local/", service="s3")
        images = f"{self.folder / 'test-images'}/"
        synced = self.aws("sync", images, self.root + "synced/", service="s3")
        again = self.aws("sync", images, self.root + "synced/", service="s3")
        back = self.scratch / "test"
        self.aws("cp", self.root + "synced/", str(back), "--recursive", "--quiet", service="s3")
        self.note(
            "C-24",
            {
                "printed": copied,
                "objects": len(listed.splitlines()),
                "synced": synced.count("upload:"),
                "again": again,
                "back": len(list(back.iterdir())),
                "owner": self.aws("get-bucket-acl", "--bucket", self.bucket, service="s3api"),
            },
        )

    def datasets(self, arn, other):
        """Datasets from a manifest, empty and copied; entries changed, listed and shared out. ARNs of all."""
        bucket, key = place(uploaded(boto3.Session(profile_name=PROFILE).client("s3"), self.folder, self.root))
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Name": key}}}
        create = ("create-dataset", "--project-arn", arn, "--dataset-type")
        told = self.aws(*create, "TRAIN", "--dataset-source", json.dumps(source), "--tags", TAGS)
        training = self.note("C-03", told)["DatasetArn"]
        created(self.client, training)
        self.note("C-03 tags", self.aws("list-tags-for-resource", "--resource-arn", training))
        self.note("C-14", self.aws("describe-dataset", "--dataset-arn", training))
        self.update(training)
        entries = ("list-dataset-entries", "--dataset-arn", training)
        self.note("C-15", self.aws(*entries))
        self.note("C-15 errors", self.aws(*entries, "--has-errors"))
        into = ("create-dataset", "--project-arn", other, "--dataset-type", "TRAIN")
        told = self.aws(*into, "--dataset-source", json.dumps({"DatasetArn": training}))
        copied = self.note("C-05", told)["DatasetArn"]
        created(self.client, copied)
        test = self.note("C-04", self.aws(*create, "TEST"))["DatasetArn"]
        created(self.client, test)
        both = [{"Arn": training}, {"Arn": test}]
        self.note("C-16", self.aws("distribute-dataset-entries", "--datasets", json.dumps(both)))
        self.updated(training)
        self.updated(test)
        self.note("C-14 shared", [self.aws("describe-dataset", "--dataset-arn", found) for found in (training, test)])
        return training, test, copied

    def update(self, training):
        """A line in the command itself, as the guide writes one; then one that is wrong.

        The guide's ``--cli-binary-format raw-in-base64-out`` is for ``aws`` 2; ``aws`` 1 knows no other format.
        """
        for sample, line in zip(("C-13", "C-13 odd"), changes(self.root), strict=True):
            given = json.dumps({"GroundTruth": json.dumps(line)})
            told = self.aws("update-dataset-entries", "--dataset-arn", training, "--changes", given)
            self.note(sample, told)
            self.updated(training)

    def train(self, arn):
        """The ARN of a trained model; before, the form of ``--output-config`` that ``aws`` itself refuses."""
        create = ("create-project-version", "--project-arn", arn, "--version-name", VERSION, "--output-config")
        wrong = {"S3Location": {"Bucket": self.bucket, "Prefix": f"{self.project}/out"}}
        refused = self.refused(*create, json.dumps(wrong), "--tags", TAGS)
        made = self.described_versions(arn)
        self.note("C-07", {"code": refused.returncode, "printed": refused.stderr, "versions": made})
        output = {"S3Bucket": self.bucket, "S3KeyPrefix": f"{self.project}/out"}
        model = self.note("C-06", self.aws(*create, json.dumps(output)))["ProjectVersionArn"]
        self.until(arn, VERSION, "TRAINING_IN_PROGRESS", "TRAINING_COMPLETED")
        return model

    def tag(self, model):
        """Tags in both forms of the guide."""
        where = ("--resource-arn", model)
        self.note("C-19 tag", self.aws("tag-resource", *where, "--tags", TAGS))
        self.aws("tag-resource", *where, "--tags", "key2=other,key3=value3")
        self.note("C-19 list", self.aws("list-tags-for-resource", *where))
        self.note("C-19 untag", self.aws("untag-resource", *where, "--tag-keys", '["key1", "key2"]'))
        self.note("C-19 left", self.aws("list-tags-for-resource", *where))

    def host(self, arn, model):
        """Start, detect, stop; again as the guide's other page starts."""
        of_model, region = ("--project-version-arn", model), ("--region", model.split(":")[3])
        units = ("--min-inference-units", "1")
        self.note("C-08", self.aws("start-project-version", *of_model, *units, *region))
        self.until(arn, VERSION, "STARTING", "RUNNING")
        where = {"S3Object": {"Bucket": self.bucket, "Name": f"{self.project}/test-images/disc-2.jpg"}}
        detect = ("detect-custom-labels", *of_model, "--image", json.dumps(where))
        self.note("C-09", self.aws(*detect, *region))
        self.note("C-09 70", self.aws(*detect, "--min-confidence", "70"))
        self.note("C-10", self.aws("stop-project-version", *of_model))
        self.until(arn, VERSION, "STOPPING", "STOPPED")
        self.note("C-08 2", self.aws("start-project-version", *of_model, *units, "--max-inference-units", "2"))
        self.until(arn, VERSION, "STARTING", "RUNNING")
        found = self.aws("describe-project-versions", "--project-arn", arn, "--version-names", VERSION)
        self.note("C-20 running", found)
        self.note("C-10 2", self.aws("stop-project-version", *of_model))
        self.until(arn, VERSION, "STOPPING", "STOPPED")

    def copies(self, arn, model, other):
        """The ARN of a copy, made under a policy that is changed and deleted."""
        statement = {
            "Effect": "ALLOW",
            "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"},
            "Action": "rekognition:CopyProjectVersion",
            "Resource": model,
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        of_policy = ("--project-arn", arn, "--policy-name", "copies")
        put = ("put-project-policy", *of_policy, "--policy-document", document)
        first = self.note("C-21", self.aws(*put))["PolicyRevisionId"]
        second = self.note("C-21 again", self.aws(*put, "--policy-revision-id", first))["PolicyRevisionId"]
        self.note("C-23", self.aws("list-project-policies", "--project-arn", arn))
        output = {"S3Bucket": self.bucket, "S3KeyPrefix": f"{self.project}/copied"}
        command = (
            "copy-project-version",
            *("--source-project-arn", arn),
            *("--source-project-version-arn", model),
            *("--destination-project-arn", other),
            *("--version-name", "copy-1"),
            *("--output-config", json.dumps(output)),
            *("--tags", '{"key": "key"}'),
            "--kms-key-id",
        )
        self.note("C-22 as printed", self.refused(*command, "arn:myKey").stderr)
        copy = self.note("C-22", self.aws(*command, self.key))["ProjectVersionArn"]
        self.until(other, "copy-1", "COPYING_IN_PROGRESS", "COPYING_COMPLETED")
        self.note("C-22 tags", self.aws("list-tags-for-resource", "--resource-arn", copy))
        self.note("C-20 copy", self.aws("describe-project-versions", "--project-arn", other))
        self.note("C-23 delete", self.aws("delete-project-policy", *of_policy, "--policy-revision-id", second))
        self.note("C-23 none", self.aws("list-project-policies", "--project-arn", arn))
        return copy

    def described(self, name):
        return self.client.describe_projects(ProjectNames=[name])["ProjectDescriptions"][0]

    def described_versions(self, arn):
        return self.client.describe_project_versions(ProjectArn=arn)["ProjectVersionDescriptions"]

    def updated(self, arn):
        watched(lambda: dataset(self.client, arn), {"UPDATE_IN_PROGRESS"}, {"UPDATE_COMPLETE"})

    def until(self, arn, version, busy, done):
        watched(lambda: versions(self.client, arn, version)[0], {busy}, {done})

    def gone(self, look):
        if not gone(look):
            raise TimeoutError(f"still there: {look()}")


if __name__ == "__main__":
    sys.exit(Journey.main())
