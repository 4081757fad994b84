"""Runs the samples that the guide prints, as printed, in an order in which each finds what it needs.

A program of its own, as ``samples.py`` is. The folder ``scratch`` of ``JOURNEY.json`` holds one file a sample
(``PY-01.py``, …). Whole programs run by themselves; what is printed as a function is given the names that the guide's
page leaves out (imports, a logger, the class beside it) and called.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import time

import boto3
import samples
from botocore.exceptions import ClientError


class Models:
    """The one method that two samples call and the guide does not print."""

    @staticmethod
    def describe_model(client, project, version):
        print(json.dumps(samples.describe_model(client, project, version), default=str))


class Journey(samples.Journey):
    """Every printed sample once."""

    def call(self, sample, name, *arguments, client=True):
        """What a printed function returns and prints, with a client of the profile before the arguments."""
        names = {"logging": logging, "time": time, "ClientError": ClientError, "Models": Models}
        names["logger"] = logging.getLogger(sample)
        with contextlib.suppress(ImportError):  # gone from Python 3.13; one sample needs it
            import imghdr

            names["imghdr"] = imghdr
        file = self.scratch / f"{sample}.py"
        exec(compile(file.read_text(), str(file), "exec"), names)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            returned = names[name](*([self.client] if client else []), *arguments)
        return {"returned": returned, "printed": out.getvalue()}

    def program(self, sample, *arguments):
        """What a printed program prints."""
        argv = [sys.executable, str(self.scratch / f"{sample}.py"), *arguments]
        done = subprocess.run(argv, cwd=self.scratch, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"{sample}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def run(self):
        self.who()
        project = self.project
        self.note("PY-02", self.call("PY-02", "create_project", project))
        self.note("PY-01", self.program("PY-01"))
        manifest = samples.sh_01_getting_started(self.s3, self.folder, self.root)
        self.csv_file()
        (self.scratch / "path to local copy of mask file").write_bytes(
            sorted((self.folder / "mask-images").iterdir())[0].read_bytes()
        )
        self.note("PY-06", self.program("PY-06"))
        self.note("PY-04", self.call("PY-04", "create_dataset", project, manifest, "train"))
        updates = self.scratch / "updates"
        updates.write_text("\n".join(map(json.dumps, samples.changes(self.s3, self.folder, self.root))))
        self.note("PY-17", self.call("PY-17", "update_dataset_entries", project, "train", str(updates)))
        self.note("PY-16", self.call("PY-16", "describe_dataset", project, "train"))
        made = self.note("PY-05", self.call("PY-05", "create_model", project, f"{self.root}out/", "stage", "guide"))
        _, self.version = made["returned"]
        self.note("PY-19", self.call("PY-19", "describe_models", project))
        self.note("PY-07", self.call("PY-07", "start_model", project, self.version, 1, 2))
        self.note("PY-14", samples.undisturbed(self.client, lambda: self.call("PY-14", "list_projects")))
        self.detect()
        self.function()
        self.note("PY-20", self.program("PY-20", project, f"{self.root}export"))
        self.note("PY-08", self.call("PY-08", "stop_model", project, self.version))
        self.note("PY-21", self.call("PY-21", "delete_model", project, self.version))
        self.note("PY-18", self.call("PY-18", "delete_dataset", project, "train"))
        self.dataset_is_gone(project)
        self.note("PY-15", self.call("PY-15", "delete_project", project))

    def csv_file(self):
        """The program's manifest, and what the program that imports manifests makes of it."""
        file = self.scratch / "images.csv"
        lines = [f"training-images/{image.name},{image.name.split('-')[0]}\n" for image in self.images()]
        file.write_text("".join(lines))
        printed = self.program("PY-03", str(file), "--s3_path", self.root)
        uri = f"{self.root}csv/images.manifest"
        self.s3.upload_file(str(file.with_suffix(".manifest")), *samples.place(uri))
        self.note("PY-03", {"printed": printed, "stats": self.imported(f"{self.project}-csv", uri)})

    def detect(self):
        """Verdicts and the three rules for rejecting."""
        if sys.version_info >= (3, 13):
            return
        for name in ("anomaly", "normal"):
            photograph = str(self.photographs(name)[0])
            told = self.note(
                f"PY-09 {name}", self.call("PY-09", "detect_anomalies", self.project, self.version, photograph)
            )
            result = told["returned"]
            rules = {
                "a": ("PY-10a", "reject_on_classification", 0.5),
                "b": ("PY-10b", "reject_on_coverage", 0.5, self.label, 0.001),
                "c": ("PY-10c", "reject_on_anomaly_types", 0.5, 0),
            }
            found = {
                rule: self.call(sample, function, photograph, result, *limits, client=False)["returned"]
                for rule, (sample, function, *limits) in rules.items()
            }
            self.note(f"PY-10 {name}", found)

    def function(self):
        """The client of a function that answers as the guide's does."""
        client, s3 = boto3.client("lookoutvision"), boto3.client("s3")

        def handler(event):
            return samples.py_12_handler(client, s3, self.project, self.version, 50, event)

        with samples.function_host(handler) as address:
            os.environ["AWS_ENDPOINT_URL_LAMBDA"] = address
            found = {
                name: self.program("PY-13", "inspect", str(self.photographs(name)[0])) for name in ("anomaly", "normal")
            }
            found["object"] = self.program("PY-13", "inspect", f"{self.root}more/one.jpg")
        self.note("PY-13", found)


if __name__ == "__main__":
    sys.exit(Journey.main())
