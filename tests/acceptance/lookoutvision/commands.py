"""The guide's AWS CLI commands through the real ``aws``, in an order in which each finds what it needs.

A program of its own, as ``samples.py`` is; it needs the variables of ``client.env``. What a person does between two
commands, waiting for a status, is left to boto3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from samples import content_type, dataset, model, place, sh_01_getting_started, watched

sys.path.append(str(Path(__file__).parents[1]))  # for what the programs through both guides share
from programs import Program, aws

TAGS = '[{"Key":"stage","Value":"trial"}]'


class Journey(Program):
    """Every command once."""

    def __init__(self, told: dict, records: Path) -> None:
        super().__init__(told, records)
        self.project, self.bucket = told["project"], told["bucket"]
        self.folder, self.scratch = Path(told["folder"]), Path(told["scratch"])
        self.client = boto3.client("lookoutvision")
        self.root = f"s3://{self.bucket}/{self.project}/"

    def aws(self, *arguments, service="lookoutvision"):
        """What ``aws lookoutvision …`` prints."""
        return aws(service, *arguments)

    def of_model(self):
        return ("--project-name", self.project, "--model-version", self.version)

    def run(self):
        project = ("--project-name", self.project)
        self.note("CLI-02", self.aws("create-project", *project))
        self.note("CLI-01", self.aws("list-projects"))
        self.prepare(project)
        output = {"S3Location": {"Bucket": self.bucket, "Prefix": f"{self.project}/out/"}}
        made = self.aws(
            "create-model",
            *project,
            "--output-config",
            json.dumps(output),
            "--tags",
            '[{"Key":"stage","Value":"trial"}]',
        )
        self.version = self.note("CLI-04", made)["ModelMetadata"]["ModelVersion"]
        self.note("CLI-19", self.aws("describe-project", *project))
        self.until({"TRAINING"}, "TRAINED")
        self.note("CLI-24", self.aws("list-models", *project))
        self.tag(made["ModelMetadata"]["ModelArn"])
        self.host()
        self.package(project)
        self.note("CLI-27", self.aws("delete-model", *self.of_model()))
        self.gone(lambda: self.client.list_models(ProjectName=self.project)["Models"])
        self.note("CLI-23", self.aws("delete-dataset", *project, "--dataset-type", "train"))
        self.gone(lambda: self.client.describe_project(ProjectName=self.project)["ProjectDescription"]["Datasets"])
        self.note("CLI-20", self.aws("delete-project", *project))

    def prepare(self, project):
        """Images by ``aws s3 cp --recursive``, a dataset, and a change of its entries."""
        copied = self.aws("cp", "--recursive", "--quiet", str(self.folder), self.root + "local/", service="s3")
        listed = self.aws("ls", "--recursive", self.root + "local/", service="s3")
        self.note("SH-02", {"printed": copied, "objects": len(listed.splitlines())})
        manifest = sh_01_getting_started(boto3.client("s3"), self.folder, self.root)
        bucket, key = place(manifest)
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Key": key}}}
        kind = ("--dataset-type", "train")
        self.note("CLI-03", self.aws("create-dataset", *project, *kind, "--dataset-source", json.dumps(source)))
        watched(lambda: dataset(self.client, self.project, "train"), {"CREATE_IN_PROGRESS"}, {"CREATE_COMPLETE"})
        self.note("CLI-21", self.aws("describe-dataset", *project, *kind))
        changes = self.scratch / "changes"
        first = (self.folder / "template.manifest").read_text().splitlines()[0]
        changes.write_text(first.replace('"training-images/', f'"{self.root}training-images/'))
        changes.write_text(changes.read_text().replace('"mask-images/', f'"{self.root}mask-images/'))
        updated = self.aws("update-dataset-entries", *project, *kind, "--changes", f"fileb://{changes}")
        self.note("CLI-22", updated)
        watched(lambda: dataset(self.client, self.project, "train"), {"UPDATE_IN_PROGRESS"}, {"UPDATE_COMPLETE"})

    def host(self):
        """Start, detect, stop; and again with a maximum of units."""
        start = ("start-model", *self.of_model(), "--min-inference-units", "1")
        self.note("CLI-05", self.aws(*start))
        self.until({"STARTING_HOSTING"}, "HOSTED")
        for sample, name, number in (("CLI-06", "anomaly", 0), ("CLI-09", "normal", 0), ("CLI-11", "anomaly", 1)):
            photograph = sorted((self.folder / "test-images").glob(f"test-{name}-*.jpg"))[number]
            kind = content_type(photograph.read_bytes())
            body = ("--content-type", kind, "--body", str(photograph))
            self.note(sample, self.aws("detect-anomalies", *self.of_model(), *body))
        self.note("CLI-08", self.aws("stop-model", *self.of_model()))
        self.until({"STOPPING_HOSTING"}, "TRAINED")
        self.note("CLI-07", self.aws(*start, "--max-inference-units", "2"))
        self.until({"STARTING_HOSTING"}, "HOSTED")
        self.note("CLI-25", self.aws("describe-model", *self.of_model()))
        self.note("CLI-10", self.aws("stop-model", *self.of_model()))
        self.until({"STOPPING_HOSTING"}, "TRAINED")

    def tag(self, arn):
        """Tags given with the model are listed, changed and taken away."""
        where = ("--resource-arn", arn)
        self.note("CLI-29", self.aws("list-tags-for-resource", *where))
        self.note("CLI-28", self.aws("tag-resource", *where, "--tags", '[{"Key":"line","Value":"7"}]'))
        self.note("CLI-29 both", self.aws("list-tags-for-resource", *where))
        self.note("CLI-30", self.aws("untag-resource", *where, "--tag-keys", '["stage"]'))
        self.note("CLI-29 one", self.aws("list-tags-for-resource", *where))

    def package(self, project):
        """The model for a platform and for a device, in the shorthand of the guide."""
        options = """'{"gpu-code": "sm_75", "trt-ver": "7.1.3", "cuda-ver": "10.2"}'"""
        platform = f"TargetPlatform={{Os='LINUX',Arch='X86_64',Accelerator='NVIDIA'}},CompilerOptions={options}"
        for sample, target in (("CLI-12", platform), ("CLI-13", "TargetDevice='jetson_xavier'")):
            configuration = (
                f"Greengrass={{{target},S3OutputLocation={{Bucket='{self.bucket}',Prefix='{self.project}/folder'}},"
                f"ComponentName='Component-{sample}-{self.project}',ComponentVersion='0.1.0',"
                "ComponentDescription='This is my component',"
                "Tags=[{Key='modelKey0',Value='modelValue'},{Key='modelKey1',Value='modelValue'}]}"
            )
            of_model = (*self.of_model(), "--description=For the end of the line")
            told = self.aws("start-model-packaging-job", *of_model, "--configuration", configuration)
            name = self.note(sample, told)["JobName"]
            watched(lambda name=name: self.job(name), {"CREATED", "RUNNING"}, {"SUCCEEDED"})
        self.note("CLI-15", self.aws("list-model-packaging-jobs", *project))
        self.note("CLI-14", self.aws("describe-model-packaging-job", *project, "--job-name", name))

    def job(self, name):
        answer = self.client.describe_model_packaging_job(ProjectName=self.project, JobName=name)
        return answer["ModelPackagingDescription"]

    def until(self, busy, done):
        watched(lambda: model(self.client, self.project, self.version), busy, {done})

    def gone(self, look):
        """Waits until a list is empty."""

        def described():
            return {"Status": "THERE" if look() else "GONE"}

        watched(described, {"THERE"}, {"GONE"})


if __name__ == "__main__":
    sys.exit(Journey.main())
