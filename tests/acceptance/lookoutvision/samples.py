"""What the guide's Python samples do, call by call, written anew: one function a sample, and the journey through them.

Runs as a program of its own, with any boto3 that it finds and nothing of Vigia's::

    python samples.py JOURNEY.json RECORDS.jsonl

``JOURNEY.json`` names the project, the bucket and the folder of images; each sample leaves one line in
``RECORDS.jsonl``. The journey ends at the first sample that fails. Samples wait as the guide's do: a status that the
sample would take for a failure is one. Only the pauses are shorter.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import boto3
import botocore
from botocore.exceptions import ClientError
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))  # for what the programs through both guides share
from functions import function_host
from programs import Program

PROFILE = "lookoutvision-access"
PAUSE = 1.0
PATIENCE = 420.0


def watched(look, busy, done):
    """Statuses as they came, each once; RuntimeError for one that is neither busy nor done."""
    seen = []
    deadline = time.monotonic() + PATIENCE
    while True:
        description = look()
        status = description["Status"]
        if seen[-1:] != [status]:
            seen.append(status)
        if status in done:
            return seen
        if status not in busy:
            raise RuntimeError(f"{status}: {description['StatusMessage']}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{status} for {PATIENCE} s: {description.get('StatusMessage')}")
        time.sleep(PAUSE)


def place(uri):
    """Bucket and key of an s3:// address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def sh_01_getting_started(s3, folder, uri):
    """Uploads images and masks below ``uri`` and a manifest made from the template; returns the manifest's address."""
    bucket, prefix = place(uri)
    for name in ("training-images", "mask-images"):
        for file in sorted((folder / name).iterdir()):
            s3.upload_file(str(file), bucket, f"{prefix}{name}/{file.name}")
    lines = []
    for text in (folder / "template.manifest").read_text().splitlines():
        line = json.loads(text)
        for key in ("source-ref", "anomaly-mask-ref"):
            if key in line:
                line[key] = uri + line[key]
        lines.append(json.dumps(line))
    s3.put_object(Bucket=bucket, Key=f"{prefix}manifests/train.manifest", Body="\n".join(lines).encode())
    return f"{uri}manifests/train.manifest"


def changes(s3, folder, uri):
    """Two lines for an update: one that the dataset has, said again, and one of a further photograph."""
    template = map(json.loads, (folder / "template.manifest").read_text().splitlines())
    normal = next(line for line in template if line["anomaly-label-metadata"]["class-name"] == "normal")
    bucket, prefix = place(uri)
    s3.upload_file(str(folder / "test-images" / "test-normal-1.jpg"), bucket, f"{prefix}more/one.jpg")
    return [{**normal, "source-ref": uri + key} for key in (normal["source-ref"], "more/one.jpg")]


def py_01_list_projects(client):
    """Names and ARNs of the first page."""
    return {project["ProjectName"]: project["ProjectArn"] for project in client.list_projects()["Projects"]}


def py_02_create_project(client, project):
    """The new project's ARN."""
    return client.create_project(ProjectName=project)["ProjectMetadata"]["ProjectArn"]


def py_03_csv_to_manifest(file, s3_path):
    """Writes ``file``'s manifest beside it; or, for bad rows, what is wrong and the rows without duplicates."""
    good, bad, known = [], [], set()
    with file.open(newline="") as rows:
        for number, row in enumerate((r for r in csv.reader(rows) if "".join(r).strip()), 1):
            image, name = row
            if name.lower() not in ("normal", "anomaly"):
                bad.append([number, image, name, "INVALID_CLASSIFICATION"])
            if image in known:
                bad.append([number, image, name, "DUPLICATE"])
            else:
                good.append(row)
                known.add(image)
    if bad:
        for ending, found in (("errors", bad), ("deduplicated", good)):
            with file.with_name(f"{file.stem}_{ending}.csv").open("w", newline="") as out:
                csv.writer(out).writerows(found)
        return None
    manifest = file.with_suffix(".manifest")
    with manifest.open("w") as out:
        for image, name in good:
            line = {
                "source-ref": s3_path + image,
                "anomaly-label": str(int(name.lower() == "anomaly")),
                "anomaly-label-metadata": {
                    "confidence": 1,
                    "job-name": "labeling-job/anomaly-classification",
                    "class-name": name,
                    "human-annotated": "yes",
                    "creation-date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f"),  # noqa: UP017
                    "type": "groundtruth/image-classification",
                },
            }
            out.write(json.dumps(line) + "\n")
    return manifest


def py_04_create_dataset(client, project, manifest, kind):
    """The dataset's metadata as answered, and the statuses on its way."""
    bucket, key = place(manifest)
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Key": key}}}
    answer = client.create_dataset(ProjectName=project, DatasetType=kind, DatasetSource=source)["DatasetMetadata"]
    first = {name: answer[name] for name in ("Status", "StatusMessage", "DatasetType")}
    statuses = watched(lambda: dataset(client, project, kind), {"CREATE_IN_PROGRESS"}, {"CREATE_COMPLETE"})
    return {"answer": first, "statuses": statuses}


def dataset(client, project, kind):
    """DatasetDescription, whose message the samples read without asking whether it is there."""
    description = client.describe_dataset(ProjectName=project, DatasetType=kind)["DatasetDescription"]
    description["StatusMessage"]
    return description


def model(client, project, version):
    """ModelDescription."""
    return client.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]


def py_05_create_model(client, project, results, tag=None):
    """Version, ARN and the statuses on the way to a trained model."""
    bucket, prefix = place(results)
    answer = client.create_model(
        ProjectName=project,
        OutputConfig={"S3Location": {"Bucket": bucket, "Prefix": prefix}},
        Tags=[tag] if tag else [],
    )["ModelMetadata"]
    version = answer["ModelVersion"]
    statuses = watched(lambda: model(client, project, version), {"TRAINING"}, {"TRAINED"})
    return {"version": version, "arn": answer["ModelArn"], "statuses": statuses}


def py_06_mask_colours(file):
    """Hexadecimal colours of a mask."""
    return sorted("#{:02x}{:02x}{:02x}".format(*colour) for _, colour in Image.open(file).convert("RGB").getcolors())


def py_07_start_model(client, project, version, least, most=None):
    """The answer's status and those on the way to a hosted model."""
    more = {} if most is None else {"MaxInferenceUnits": most}
    answer = client.start_model(ProjectName=project, ModelVersion=version, MinInferenceUnits=least, **more)
    statuses = watched(lambda: model(client, project, version), {"STARTING_HOSTING"}, {"HOSTED"})
    return {"answer": answer["Status"], "statuses": statuses}


def py_08_stop_model(client, project, version):
    """The answer's status and those on the way to a stopped model."""
    answer = client.stop_model(ProjectName=project, ModelVersion=version)
    statuses = watched(lambda: model(client, project, version), {"STOPPING_HOSTING"}, {"TRAINED"})
    return {"answer": answer["Status"], "statuses": statuses}


def content_type(data):
    """MIME type by the first bytes, as the sample finds it with the standard library; ValueError for others."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    raise ValueError("only JPEG and PNG")


def py_09_detect(client, project, version, data):
    """DetectAnomalyResult of image bytes."""
    return client.detect_anomalies(
        ProjectName=project, ModelVersion=version, ContentType=content_type(data), Body=data
    )["DetectAnomalyResult"]


def py_10a_reject_on_classification(result, confidence):
    """Whether an anomaly is sure enough."""
    return bool(result["IsAnomalous"] and result["Confidence"] >= confidence)


def py_10b_reject_on_coverage(result, confidence, label, coverage):
    """Whether a label covers more than this share of the image."""
    return py_10a_reject_on_classification(result, confidence) and any(
        anomaly["Name"] == label and anomaly["PixelAnomaly"]["TotalPercentageArea"] > coverage
        for anomaly in result["Anomalies"]
    )


def py_10c_reject_on_types(result, confidence, most):
    """Whether there are more than ``most`` kinds of anomaly."""
    names = {anomaly["Name"] for anomaly in result["Anomalies"] if anomaly["Name"] != "background"}
    return py_10a_reject_on_classification(result, confidence) and len(names) > most


def py_11_view(client, project, version, data):
    """The overlay's size and text, as the viewer draws them; fails where Pillow cannot blend image and mask."""
    result = py_09_detect(client, project, version, data)
    image, mask = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(result["AnomalyMask"]))
    shown = Image.blend(image, mask, 0.5)
    lines = ["Anomalous" if result["IsAnomalous"] else "Normal", f"{result['Confidence']:.2%}"]
    for anomaly in result["Anomalies"][1:]:
        pixels = anomaly["PixelAnomaly"]
        if pixels["TotalPercentageArea"] > 0:
            lines.append(f"{anomaly['Name']} {pixels['TotalPercentageArea']:.2%} {pixels['Color']}")
            Image.new("RGB", (1, 1), pixels["Color"])  # Pillow must know the colour
    return {"size": shown.size, "mode": shown.mode, "lines": lines, **mask_facts(result, mask)}


def mask_facts(result, mask):
    """What the mask itself says, to compare with the numbers beside it."""
    counts = {"#{:02X}{:02X}{:02X}".format(*colour): count for count, colour in mask.getcolors()}
    return {
        "mask": {colour: count / (mask.width * mask.height) for colour, count in counts.items()},
        "anomalies": result["Anomalies"],
    }


def py_12_handler(client, s3, project, version, confidence, event):
    """What the Lambda function returns for an event: the verdict (200) or what went wrong (400)."""
    name = ""
    try:
        if "image" in event:
            data, name = base64.b64decode(event["image"]), event["filename"]
        elif "S3Object" in event:
            where = event["S3Object"]
            name = f"s3://{where['Bucket']}/{where['Name']}"
            data = s3.get_object(Bucket=where["Bucket"], Key=where["Name"])["Body"].read()
        else:
            raise ValueError("neither image bytes nor an object in S3")
        # A stream, as the sample passes one.
        result = client.detect_anomalies(
            ProjectName=project, ModelVersion=version, ContentType=content_type(data), Body=io.BytesIO(data)
        )["DetectAnomalyResult"]
    except ClientError as error:
        told = error.response["Error"]
        return {"statusCode": 400, "body": {"Error": told["Code"], "ErrorMessage": told["Message"], "Image": name}}
    except ValueError as error:
        return {"statusCode": 400, "body": {"Error": "ValueError", "ErrorMessage": str(error), "Image": name}}
    reject = py_10a_reject_on_classification(result, confidence / 100)
    status = "anomalous" if reject else "normal"
    return {"statusCode": 200, "body": {"Reject": reject, "RejectMessage": f"Image {name} is {status}."}}


def py_13_invoke(function, image):
    """What the function says of a local file or an s3:// address."""
    if image.startswith("s3://"):
        bucket, key = place(image)
        payload = {"S3Object": {"Bucket": bucket, "Name": key}}
    else:
        payload = {"image": base64.b64encode(Path(image).read_bytes()).decode(), "filename": image}
    answer = boto3.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    return json.loads(answer["Payload"].read())


def describe_model(client, project, version):
    """Everything that the samples print of a model, nothing of it optional once it is trained."""
    found = model(client, project, version)
    told = {name: found[name] for name in ("ModelVersion", "ModelArn", "Status", "StatusMessage")}
    told["Created"] = str(found["CreationTimestamp"])
    if found["Status"] in ("TRAINED", "HOSTED"):
        told["Seconds"] = (found["EvaluationEndTimestamp"] - found["CreationTimestamp"]).total_seconds()
        told |= {name: found["Performance"][name] for name in ("Recall", "Precision", "F1Score")}
        told |= {name: found["OutputConfig"]["S3Location"][name] for name in ("Bucket", "Prefix")}
        told |= {name: found[name] for name in ("EvaluationManifest", "EvaluationResult")}
    return told


def py_14_list_projects(client):
    """Every project with its datasets and models."""
    found = {}
    for project in client.list_projects()["Projects"]:
        name = project["ProjectName"]
        datasets = client.describe_project(ProjectName=name)["ProjectDescription"]["Datasets"]
        models = client.list_models(ProjectName=name)["Models"]
        found[name] = {
            "datasets": {held["DatasetType"]: held["StatusMessage"] for held in datasets},
            "models": [describe_model(client, name, version["ModelVersion"])["Status"] for version in models],
        }
    return found


def py_15_delete_project(client, project):
    """ARN of the project that goes."""
    return client.delete_project(ProjectName=project)["ProjectArn"]


def py_16_describe_dataset(client, project, kind):
    """All that the sample prints."""
    found = dataset(client, project, kind)
    told = {name: found[name] for name in ("ProjectName", "DatasetType", "Status", "StatusMessage")}
    return told | {name: found["ImageStats"][name] for name in ("Total", "Labeled", "Normal", "Anomaly")}


def py_17_update_entries(client, project, kind, lines):
    """The final status; anything but the four of an update is a failure, from the first look on."""
    client.update_dataset_entries(ProjectName=project, DatasetType=kind, Changes=lines)
    return watched(
        lambda: dataset(client, project, kind),
        {"UPDATE_IN_PROGRESS", "UPDATE_FAILED_ROLLBACK_IN_PROGRESS"},
        {"UPDATE_COMPLETE", "UPDATE_FAILED_ROLLBACK_COMPLETE"},
    )


def py_18_delete_dataset(client, project, kind):
    """Nothing to return: the sample reads no field of the answer."""
    client.delete_dataset(ProjectName=project, DatasetType=kind)


def py_19_describe_models(client, project):
    """All versions of a project."""
    models = client.list_models(ProjectName=project)["Models"]
    return [describe_model(client, project, found["ModelVersion"]) for found in models]


def py_20_export(client, s3, project, destination):
    """Copies images, masks and manifests of a project below ``destination``; the manifests' addresses."""
    manifests = {}
    held = client.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]
    for kind in (d["DatasetType"] for d in held if d["Status"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")):
        lines = []
        pages = client.get_paginator("list_dataset_entries").paginate(
            ProjectName=project, DatasetType=kind, PaginationConfig={"PageSize": 100}
        )
        for entry in (entry for page in pages for entry in page["DatasetEntries"]):
            line = json.loads(entry)
            try:
                for name, folder in (("source-ref", "images"), ("anomaly-mask-ref", "masks")):
                    if name in line:
                        line[name] = copied(s3, line[name], f"{destination}{kind}/{folder}/")
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                    raise
            else:
                lines.append(json.dumps(line))
        bucket, prefix = place(destination)
        manifest = s3.Object(bucket, f"{prefix}datasets/{kind}.manifest")
        manifest.put(Body=("\n".join(lines) + "\n").encode())
        manifest.wait_until_exists()
        manifests[kind] = f"s3://{manifest.bucket_name}/{manifest.key}"
    return manifests


def copied(s3, source, folder):
    """Address of the copy of an object, below ``folder`` under the same key."""
    from_bucket, key = place(source)
    bucket, prefix = place(folder)
    copy = s3.Bucket(bucket).Object(prefix + key)
    copy.copy_from(CopySource={"Bucket": from_bucket, "Key": key})
    copy.wait_until_exists()
    return folder + key


def py_21_delete_model(client, project, version):
    """Returns when the version is in no list any more."""
    client.delete_model(ProjectName=project, ModelVersion=version)
    deadline = time.monotonic() + PATIENCE
    while any(found["ModelVersion"] == version for found in client.list_models(ProjectName=project)["Models"]):
        if time.monotonic() > deadline:
            raise TimeoutError("the version is still listed")
        time.sleep(PAUSE)


def find_running_models(session):
    """ARNs of hosted models, by project, page by page, in every region that this profile knows."""
    running = []
    regions = set(session.get_available_regions("lookoutvision")) | {session.region_name}
    for region in sorted(regions):
        client = session.client("lookoutvision", region_name=region)
        for page in client.get_paginator("list_projects").paginate():
            for project in page["Projects"]:
                for models in client.get_paginator("list_models").paginate(ProjectName=project["ProjectName"]):
                    running += [found["ModelArn"] for found in models["Models"] if found["Status"] == "HOSTED"]
    return sorted(running)


def find_tag(client, tag):
    """ARNs of the models of all projects that carry a tag."""
    found = []
    for page in client.get_paginator("list_projects").paginate():
        for project in page["Projects"]:
            for models in client.get_paginator("list_models").paginate(ProjectName=project["ProjectName"]):
                for arn in (version["ModelArn"] for version in models["Models"]):
                    if tag in client.list_tags_for_resource(ResourceArn=arn)["Tags"]:
                        found.append(arn)
    return found


def undisturbed(client, look):
    """What ``look`` gives, which walks all projects: again where one was deleted meanwhile, by another journey."""
    for _ in range(9):
        try:
            return look()
        except client.exceptions.ResourceNotFoundException:
            time.sleep(PAUSE)
    return look()


class Journey(Program):
    """Every sample once, in an order in which each finds what it needs."""

    def __init__(self, told: dict, records: Path) -> None:
        super().__init__(told, records)
        self.project, self.bucket = told["project"], told["bucket"]
        self.folder, self.scratch = Path(told["folder"]), Path(told["scratch"])
        self.label = told["label"]
        self.tag = {"Key": "project", "Value": self.project}
        self.session = boto3.Session(profile_name=PROFILE)
        self.client = self.session.client("lookoutvision")
        self.s3 = self.session.client("s3")
        self.root = f"s3://{self.bucket}/{self.project}/"

    def run(self):
        self.who()
        self.note("PY-02", py_02_create_project(self.client, self.project))
        self.note("PY-01", py_01_list_projects(self.client))
        self.prepare()
        made = self.note("PY-05", py_05_create_model(self.client, self.project, f"{self.root}out/", self.tag))
        self.version = made["version"]
        self.note("PY-19", py_19_describe_models(self.client, self.project))
        self.from_csv()
        self.note("PY-07", py_07_start_model(self.client, self.project, self.version, 1, 2))
        self.note("units", model(self.client, self.project, self.version)["MaxInferenceUnits"])
        for sample, look in (
            ("PY-14", lambda: py_14_list_projects(self.client)),
            ("running", lambda: find_running_models(self.session)),
            ("tagged", lambda: find_tag(self.client, self.tag)),
        ):
            self.note(sample, undisturbed(self.client, look))
        self.detect()
        self.lambda_function()
        self.export()
        self.note("PY-08", py_08_stop_model(self.client, self.project, self.version))
        self.evaluation()
        self.end()

    def who(self):
        """Which client this is."""
        loader = self.session._session.get_component("data_loader")
        _, folder = loader.load_data_with_path("lookoutvision/2020-11-20/service-2")
        self.note("client", {"botocore": botocore.__version__, "model": str(folder)})

    def prepare(self):
        """The dataset: made from a manifest, described, added to."""
        manifest = self.note("SH-01", sh_01_getting_started(self.s3, self.folder, self.root))
        masks = sorted((self.folder / "mask-images").iterdir())
        self.note("PY-06", py_06_mask_colours(masks[0]))
        self.note("PY-04", py_04_create_dataset(self.client, self.project, manifest, "train"))
        before = py_16_describe_dataset(self.client, self.project, "train")
        lines = changes(self.s3, self.folder, self.root)
        statuses = py_17_update_entries(self.client, self.project, "train", "\n".join(map(json.dumps, lines)))
        after = self.note("PY-16", py_16_describe_dataset(self.client, self.project, "train"))
        self.note("PY-17", {"statuses": statuses, "before": before, "after": after})

    def photographs(self, name):
        """Files of further images of a class."""
        return sorted((self.folder / "test-images").glob(f"test-{name}-*.jpg"))

    def from_csv(self):
        """A classification dataset from a list of images and classes, in a project of its own."""
        names = [(f"training-images/{file.name}", file.name.split("-")[0]) for file in self.images()]
        damaged = self.scratch / "damaged.csv"
        damaged.write_text("a.jpg,normal\na.jpg,normal\nb.jpg,broken\n")
        assert py_03_csv_to_manifest(damaged, self.root) is None
        errors = (self.scratch / "damaged_errors.csv").read_text().split()
        file = self.scratch / "images.csv"
        file.write_text("".join(f"{key},{name}\n" for key, name in names))
        manifest = py_03_csv_to_manifest(file, self.root)
        uri = f"{self.root}csv/images.manifest"
        self.s3.upload_file(str(manifest), *place(uri))
        stats = self.imported(f"{self.project}-csv", uri)
        self.note("PY-03", {"errors": errors, "stats": stats, "images": names})

    def imported(self, project, manifest):
        """What becomes of a manifest in another project, which is then deleted."""
        py_02_create_project(self.client, project)
        py_04_create_dataset(self.client, project, manifest, "train")
        stats = py_16_describe_dataset(self.client, project, "train")
        self.remove_dataset(project)
        py_15_delete_project(self.client, project)
        return stats

    def images(self):
        return sorted((self.folder / "training-images").iterdir())

    def detect(self):
        """Verdicts, the three rules for rejecting, the viewer."""
        for name in ("anomaly", "normal"):
            data = self.photographs(name)[0].read_bytes()
            result = py_09_detect(self.client, self.project, self.version, data)
            self.note(f"PY-09 {name}", result)
            self.note(f"PY-11 {name}", py_11_view(self.client, self.project, self.version, data))
            area = sum(a["PixelAnomaly"]["TotalPercentageArea"] for a in result["Anomalies"] if a["Name"] == self.label)
            rules = {
                "a": py_10a_reject_on_classification(result, 0.5),
                "a at one": py_10a_reject_on_classification(result, 1.01),
                "b": py_10b_reject_on_coverage(result, 0.5, self.label, area / 2),
                "b above": py_10b_reject_on_coverage(result, 0.5, self.label, area),
                "c": py_10c_reject_on_types(result, 0.5, 0),
                "c above": py_10c_reject_on_types(result, 0.5, 1),
            }
            self.note(f"PY-10 {name}", rules)
        right = {}
        for name in ("anomaly", "normal"):
            for file in self.photographs(name)[:6]:
                result = py_09_detect(self.client, self.project, self.version, file.read_bytes())
                right[file.name] = result["IsAnomalous"] == (name == "anomaly")
        self.note("verdicts", right)

    def lambda_function(self):
        """The function behind a function service, asked by the client program."""
        anomaly, normal = (str(self.photographs(name)[0]) for name in ("anomaly", "normal"))
        client, s3 = boto3.client("lookoutvision"), boto3.client("s3")

        def handler(event):
            return py_12_handler(client, s3, self.project, self.version, 50, event)

        key = f"{self.project}/more/one.jpg"
        self.note(
            "PY-12",
            {
                "bytes": handler({"image": base64.b64encode(Path(anomaly).read_bytes()).decode(), "filename": "a.jpg"}),
                "object": handler({"S3Object": {"Bucket": self.bucket, "Name": key}}),
                "nothing": handler({}),
                "unknown": py_12_handler(
                    client, s3, self.project, "99", 50, {"S3Object": {"Bucket": self.bucket, "Name": key}}
                ),
                "missing": handler({"S3Object": {"Bucket": self.bucket, "Name": "there-is-none"}}),
            },
        )
        with function_host(handler) as address:
            os.environ["AWS_ENDPOINT_URL_LAMBDA"] = address
            answers = {"anomaly": py_13_invoke("inspect", anomaly), "normal": py_13_invoke("inspect", normal)}
            answers["object"] = py_13_invoke("inspect", f"s3://{self.bucket}/{key}")
        self.note("PY-13", answers)

    def export(self):
        """A copy of the dataset elsewhere in the store, of which a project is made again.

        The manifest that the dataset was made from is gone by then: the service has its own copy.
        """
        self.s3.delete_object(Bucket=self.bucket, Key=f"{self.project}/manifests/train.manifest")
        self.s3.delete_object(Bucket=self.bucket, Key=f"{self.project}/more/one.jpg")
        manifests = py_20_export(self.client, self.session.resource("s3"), self.project, f"{self.root}export/")
        bucket, key = place(manifests["train"])
        lines = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()
        stats = self.imported(f"{self.project}-copy", manifests["train"])
        self.note("PY-20", {"manifests": manifests, "lines": [json.loads(line) for line in lines], "stats": stats})

    def evaluation(self):
        """The two files that training wrote."""
        found = model(self.client, self.project, self.version)
        files = {}
        for name in ("EvaluationManifest", "EvaluationResult"):
            where = found[name]
            files[name] = self.s3.get_object(Bucket=where["Bucket"], Key=where["Key"])["Body"].read().decode()
        self.note("evaluation", {"files": files, "performance": found["Performance"], "arn": found["ModelArn"]})

    def remove_dataset(self, project):
        """Deletes the training dataset and waits until it is gone."""
        py_18_delete_dataset(self.client, project, "train")
        self.dataset_is_gone(project)

    def dataset_is_gone(self, project):
        """Waits until the project says that it has no dataset."""
        deadline = time.monotonic() + PATIENCE
        while self.client.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the dataset is still there")
            time.sleep(PAUSE / 4)

    def end(self):
        """All is deleted again; the images stay."""
        py_21_delete_model(self.client, self.project, self.version)
        self.note("PY-21", self.client.list_models(ProjectName=self.project)["Models"])
        self.remove_dataset(self.project)
        self.note("PY-18", self.client.describe_project(ProjectName=self.project)["ProjectDescription"]["Datasets"])
        arn = py_15_delete_project(self.client, self.project)
        deadline = time.monotonic() + PATIENCE
        while self.project in py_01_list_projects(self.client) and time.monotonic() < deadline:
            time.sleep(PAUSE / 4)
        kept = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.project}/training-images/")["KeyCount"]
        self.note("PY-15", {"arn": arn, "listed": self.project in py_01_list_projects(self.client), "images": kept})


if __name__ == "__main__":
    sys.exit(Journey.main())
