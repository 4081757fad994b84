"""Runs the samples that the guide prints, as printed, one program after the other, each when it finds what it needs.

A program of its own, as ``samples.py`` is. The folder ``scratch`` of ``JOURNEY.json`` holds one file a sample
(``P-01.py``, …). Constants that the guide tells a reader to change are changed; P-30, the code of a function, answers
for the function that P-31 asks; a reader's font, picture viewer and video are made here.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import boto3
import cv2
import samples
from material import changes
from PIL import Image, ImageFont

sys.path.append(str(Path(__file__).parents[1]))  # for what the programs through both guides share
from functions import function_host

VERSION = "v1.printed"
LIME_GREEN = (50, 205, 50)


class Journey(samples.Journey):
    """Every printed sample once."""

    def __init__(self, told, records):
        super().__init__(told, records)
        self.scratch = Path(told["scratch"])

    def program(self, sample, *arguments, typed="", **variables):
        """What a printed program prints, to which ``typed`` is given; RuntimeError also for an error that it caught."""
        argv = [sys.executable, str(self.scratch / f"{sample}.py"), *map(str, arguments)]
        done = subprocess.run(
            argv,
            cwd=self.scratch,
            env={**os.environ, **variables},
            input=typed,
            capture_output=True,
            text=True,
            timeout=samples.PATIENCE,
            check=False,
        )
        if done.returncode or "Traceback" in done.stderr:
            raise RuntimeError(f"{sample}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def undisturbed(self, sample, *arguments):
        """``program`` for one that walks all projects: again where another journey deleted one meanwhile."""
        for left in range(9, -1, -1):
            try:
                return self.program(sample, *arguments)
            except RuntimeError as error:
                if not left or "ResourceNotFoundException" not in str(error):
                    raise
            time.sleep(samples.PAUSE)
        raise AssertionError

    def fill(self, sample, **values):
        """Gives constants of a program a reader's values."""
        file = self.scratch / f"{sample}.py"
        text = file.read_text()
        for name, value in values.items():
            text, count = re.subn(
                rf"^( *{name} *= *)'.*'$", lambda found, value=value: found[1] + repr(value), text, flags=re.MULTILINE
            )
            assert count == 1, (sample, name, count)
        file.write_text(text)

    def run(self):
        self.note("P-00", self.snippet())
        printed = self.note("P-02", self.program("P-02", self.project))
        project = said("ARN", printed)
        other = said("ARN", self.program("P-02", f"{self.project}-copy"))
        self.note("P-01", self.program("P-01"))
        training, test = self.datasets(project, other)
        options = ("--tag_name", "stage", "--tag_value", self.project)
        printed = self.program("P-07", project, VERSION, self.bucket, f"{self.project}/out", *options)
        model = said("Finished training model", self.note("P-07", printed))
        self.note("P-24", self.program("P-24", project, VERSION))
        self.fill("P-08", project_arn=project, version_name=VERSION)
        self.note("P-08", json.loads(self.program("P-08")))
        self.note("P-09", self.program("P-09", self.project, VERSION))
        self.note("P-10", self.program("P-10", project, model, 1, "--max_inference_units", 2))
        self.note("P-24 running", self.program("P-24", project, VERSION))
        self.detect(model)
        self.video(model)
        self.function(model)
        self.note("P-11", self.program("P-11", project, model))
        self.note("P-23", self.undisturbed("P-23", "stage", self.project))
        self.note("P-23 none", self.undisturbed("P-23", "stage", "nobody's"))
        copy = self.copies(project, model, other)
        self.note("P-22 kept", self.program("P-22", project, model, typed="no\n"))
        self.note("P-22", self.program("P-22", project, model, typed="delete\n"))
        self.program("P-22", other, copy, typed="delete\n")
        self.note("P-21", [self.program("P-21", arn) for arn in (training, test, self.copied, self.boxes)])
        self.note("P-13", [self.program("P-13", arn) for arn in (project, other)])

    def snippet(self):
        """Where the client of the profile sends its requests."""
        names = {"boto3": boto3}
        exec((self.scratch / "P-00.py").read_text(), names)
        return names["rekognition_client"].meta.endpoint_url

    def datasets(self, project, other):
        """Training and test dataset, filled and shared out; the other project gets a copy and a dataset of boxes."""
        samples.uploaded(self.s3, self.folder, self.root)
        key = self.table()
        training = self.dataset("P-03", project, "train", self.bucket, key)
        self.note("P-18", self.program("P-18", training))
        self.note("P-16", self.program("P-16", training, self.updates()))
        self.note("P-18 after", self.program("P-18", training))
        self.note("P-19", self.program("P-19", training, "false"))
        self.note("P-19 errors", self.program("P-19", training, "true"))
        self.copied = self.dataset("P-17", other, "train", training)
        self.note("P-18 copy", self.program("P-18", self.copied))
        self.boxes = said("Finished creating dataset", self.program("P-03", other, "test", self.bucket, self.coco()))
        self.note("P-18 boxes", self.program("P-18", self.boxes))
        printed = self.note("P-15", self.program("P-15", project, "test"))
        test = said("Finished creating empty dataset", printed)
        self.note("P-20", self.program("P-20", training, test))
        self.note("P-18 shared", [self.program("P-18", arn) for arn in (training, test)])
        self.note("P-14", self.program("P-14", "--project_name", self.project))
        self.note("P-14 all", self.program("P-14"))
        return training, test

    def dataset(self, sample, *arguments):
        """The ARN that a program for a new dataset prints."""
        return said("Finished creating dataset", self.note(sample, self.program(sample, *arguments)))

    def table(self):
        """The key of a manifest made of a table; before, what becomes of one that names an image twice."""
        rows = [f"training-images/{file.name},{label(file)}\n" for file in sorted(self.images("training"))]
        twice = self.scratch / "twice.csv"
        twice.write_text("".join([*rows, rows[0]]))
        printed = self.program("P-06", twice, "--s3_path", self.root)
        kept, repeated = (
            (self.scratch / f"twice-{name}.csv").read_text().splitlines() for name in ("deduplicated", "duplicates")
        )
        made = (self.scratch / "twice.manifest").exists()
        self.note("P-06 twice", {"printed": printed, "kept": len(kept), "repeated": repeated, "made": made})
        table = self.scratch / "images.csv"
        table.write_text("".join(rows))
        self.note("P-06", self.program("P-06", table, "--s3_path", self.root))
        key = f"{self.project}/manifests/images.manifest"
        self.s3.upload_file(str(table.with_suffix(".manifest")), self.bucket, key)
        return key

    def updates(self):
        """A file of lines: of Ground Truth's for several labels, as the program makes them, and one that is wrong."""
        lines = [
            {
                "source-ref": f"{self.root}test-images/{name}-0.jpg",
                "shapes": [number],
                "shapes-metadata": {
                    "job-name": "labeling-job/shapes",
                    "class-map": {str(number): name},
                    "confidence-map": {str(number): 0.98},
                    "human-annotated": "yes",
                    "creation-date": "2020-11-20T22:06:56.123456",
                    "type": "groundtruth/image-classification-multilabel",
                },
            }
            for number, name in enumerate(("disc", "square"))
        ]
        (self.scratch / "shapes.manifest").write_text("\n".join(map(json.dumps, lines)) + "\n")
        printed = self.program("P-05", "shapes.manifest")
        made = self.scratch / said("Manifest file created", printed)
        self.note("P-05", {"printed": printed, "lines": [json.loads(line) for line in made.read_text().splitlines()]})
        _, odd = changes(self.root)
        file = self.scratch / "updates"
        file.write_text(made.read_text() + json.dumps(odd) + "\n")
        return file

    def coco(self):
        """The key of a manifest of boxes that the program makes of a COCO file and uploads."""
        files = sorted(self.images("test"))
        found = {
            "images": [
                {"id": n, "file_name": file.name, "width": 96, "height": 96, "date_captured": "2013-11-18 02:53:27"}
                for n, file in enumerate(files)
            ],
            # None for the last image.
            "annotations": [
                {"image_id": n, "category_id": 1 + (label(file) == "square"), "bbox": [10.5, 12.25, 60.0, 61.5]}
                for n, file in enumerate(files[:-1])
            ],
            "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}],
        }
        (self.scratch / "instances.json").write_text(json.dumps(found))
        self.fill(
            "P-04",
            s3_bucket=self.bucket,
            s3_key_path_manifest_file=f"{self.project}/coco/",
            s3_key_path_images=f"{self.project}/test-images/",
            local_path=f"{self.scratch}/",
            local_images_path=f"{self.folder}/test-images/",
            coco_manifest="instances.json",
            job_name="shapes",
        )
        self.note("P-04", self.program("P-04"))
        return f"{self.project}/coco/custom_labels.manifest"

    def detect(self, model):
        """Labels of a local image and of one in the store, drawn and shown."""
        (self.scratch / "Tahoma.ttf").write_bytes(ImageFont.load_default(size=10).font_bytes)
        viewer = self.scratch / "viewer" / "xdg-open"
        viewer.parent.mkdir()
        viewer.write_text('#!/bin/sh\ncp "$1" "$SHOWN.part" && mv "$SHOWN.part" "$SHOWN"\n')
        viewer.chmod(0o755)
        path = f"{viewer.parent}{os.pathsep}{os.environ['PATH']}"
        seen = {}
        for name, where in (
            ("disc", (self.folder / "test-images" / "disc-2.jpg",)),
            ("square", (f"{self.project}/test-images/square-2.jpg", "--bucket", self.bucket)),
        ):
            shown = self.scratch / f"{name}.png"
            variables = {"PATH": path, "SHOWN": str(shown), "TMPDIR": str(self.scratch)}
            printed = self.program("P-12", model, *where, **variables)
            if not samples.gone(lambda shown=shown: not shown.exists()):
                raise TimeoutError("no picture was shown")
            image = Image.open(shown).convert("RGB")
            drawn = {color: count for count, color in image.getcolors(image.width * image.height)}
            seen[name] = {"printed": printed, "size": image.size, "green": drawn.get(LIME_GREEN, 0)}
        self.note("P-12", seen)

    def video(self, model):
        """Labels of frames a second apart."""
        video = self.scratch / "shapes.avi"
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 2.0, (96, 96))
        for file in sorted(self.images("test")):
            writer.write(cv2.imread(str(file)))
        writer.release()
        printed = self.program("P-29", model, video)
        self.note("P-29", {"printed": printed, "labels": json.loads(video.with_name("shapes.avi.json").read_text())})

    def function(self, model):
        """What the function answers, and what its client prints."""
        os.environ.update(MODEL_ARN=model, CONFIDENCE="50")
        handler = runpy.run_path(str(self.scratch / "P-30.py"))["lambda_handler"]
        context = SimpleNamespace(invoked_function_arn="inspect")
        answers = []

        def answer(event):
            answers.append(handler(event, context))
            return answers[-1]

        text = self.scratch / "no-image"
        text.write_text("none")
        with function_host(answer) as address:
            images = {
                "file": self.folder / "test-images" / "disc-3.jpg",
                "object": f"{self.root}test-images/square-3.jpg",
                "no image": text,
            }
            printed = {
                name: self.program("P-31", "inspect", image, AWS_ENDPOINT_URL_LAMBDA=address)
                for name, image in images.items()
            }
        self.note("P-31", printed)
        answer({})
        self.note("P-30", dict(zip([*images, "nothing"], answers, strict=True)))

    def copies(self, project, model, other):
        """The ARN of a copy, made under a policy that comes and goes."""
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "ALLOW",
                    "Principal": {"AWS": f"arn:aws:iam::{model.split(':')[4]}:root"},
                    "Action": "rekognition:CopyProjectVersion",
                    "Resource": model,
                }
            ],
        }
        file = self.scratch / "policy.json"
        file.write_text(json.dumps(document, indent=2))
        first = self.note("P-25", self.program("P-25", project, "copies", file))
        revision = ("--policy_revision_id", said("Revision ID", first))
        second = self.note("P-25 again", self.program("P-25", project, "copies", file, *revision))
        revision = ("--policy_revision_id", said("Revision ID", second))
        self.program("P-25", project, "more", file)
        self.note("P-27", self.program("P-27", project))
        printed = self.program("P-26", project, model, other, "copy-1", f"{self.root}copied/")
        copy = said("Finished copying model", self.note("P-26", printed))
        self.note("P-28", self.program("P-28", "copies", project, *revision, typed="delete\n"))
        self.program("P-28", "more", project, typed="delete\n")
        self.note("P-27 none", self.program("P-27", project))
        return copy

    def images(self, kind):
        return (self.folder / f"{kind}-images").iterdir()


def label(file):
    """The label in an image's name."""
    return file.name.partition("-")[0]


def said(what, printed):
    """What a program prints after these words and a colon."""
    found = re.search(rf"^{what}: (\S+)", printed, re.MULTILINE)
    assert found, (what, printed)
    return found[1]


if __name__ == "__main__":
    sys.exit(Journey.main())
