"""What the guide's Python samples do, call by call, written anew: one function a sample, and the journey through them.

Runs as a program of its own, with any boto3 that it finds and nothing of Vigia's::

    python samples.py JOURNEY.json RECORDS.jsonl

``JOURNEY.json`` names the project, the bucket and the folder of images; each sample leaves one line in
``RECORDS.jsonl``. The journey ends at the first sample that fails. Samples wait as the guide's do: a status that the
sample would take for a failure is one. Only the pauses are shorter.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import ClientError, WaiterError

sys.path.append(str(Path(__file__).parents[1]))  # for what the programs through both guides share
from functions import function_host
from programs import Program

PROFILE = "custom-labels-access"
PAUSE = 0.5
PATIENCE = 420.0
WAITER = {"Delay": 1, "MaxAttempts": 420}


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


def gone(look):
    """Whether ``look`` finds nothing any more, within the time that anybody would wait."""
    deadline = time.monotonic() + PATIENCE
    while look():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def place(uri):
    """Bucket and key of an s3:// address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def uploaded(s3, folder, uri):
    """The address of a manifest of the folder's images, which are uploaded below ``uri``."""
    bucket, prefix = place(uri)
    for name in ("training-images", "test-images"):
        for file in sorted((folder / name).iterdir()):
            s3.upload_file(str(file), bucket, f"{prefix}{name}/{file.name}")
    lines = [json.loads(text) for text in (folder / "template.manifest").read_text().splitlines()]
    body = "\n".join(json.dumps({**line, "source-ref": uri + line["source-ref"]}) for line in lines)
    s3.put_object(Bucket=bucket, Key=f"{prefix}manifests/train.manifest", Body=body.encode())
    return f"{uri}manifests/train.manifest"


def p_01_list_projects(client):
    """Status and ARN of every project on the first page."""
    projects = client.describe_projects()["ProjectDescriptions"]
    return {project["ProjectArn"]: project["Status"] for project in projects}


def p_02_create_project(client, name):
    """The new project's ARN."""
    return client.create_project(ProjectName=name)["ProjectArn"]


def dataset(client, arn):
    """DatasetDescription, of which the samples read these members without asking whether they are there."""
    description = client.describe_dataset(DatasetArn=arn)["DatasetDescription"]
    for name in ("StatusMessage", "StatusMessageCode", "CreationTimestamp", "LastUpdatedTimestamp", "DatasetStats"):
        description[name]
    return description


def created(client, arn):
    return watched(lambda: dataset(client, arn), {"CREATE_IN_PROGRESS"}, {"CREATE_COMPLETE"})


def p_03_create_dataset(client, project, kind, manifest):
    """The dataset's ARN and the statuses on its way."""
    bucket, key = place(manifest)
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Name": key}}}
    arn = client.create_dataset(ProjectArn=project, DatasetType=kind.upper(), DatasetSource=source)["DatasetArn"]
    return {"arn": arn, "statuses": created(client, arn)}


def p_15_create_empty_dataset(client, project, kind):
    arn = client.create_dataset(ProjectArn=project, DatasetType=kind.upper())["DatasetArn"]
    return {"arn": arn, "statuses": created(client, arn)}


def p_17_copy_dataset(client, project, kind, source):
    given = {"DatasetArn": source}
    arn = client.create_dataset(ProjectArn=project, DatasetType=kind.upper(), DatasetSource=given)["DatasetArn"]
    return {"arn": arn, "statuses": created(client, arn)}


def versions(client, project, name):
    """Descriptions of the version of that name: one, or none."""
    return client.describe_project_versions(ProjectArn=project, VersionNames=[name])["ProjectVersionDescriptions"]


def p_07_train(client, project, version, bucket, folder, tags):
    """The version's ARN, and the last status with its message."""
    arn = client.create_project_version(
        ProjectArn=project,
        VersionName=version,
        OutputConfig={"S3Bucket": bucket, "S3KeyPrefix": folder},
        Tags=tags,
    )["ProjectVersionArn"]
    first = versions(client, project, version)[0]["Status"]
    waiter = client.get_waiter("project_version_training_completed")
    waiter.wait(ProjectArn=project, VersionNames=[version], WaiterConfig=WAITER)
    (last,) = versions(client, project, version)
    return {"arn": arn, "first": first, "status": last["Status"], "message": last["StatusMessage"]}


def p_08_validation(client, s3, project, version):
    """Everything of a version, and what lies at the places that it names."""
    (found,) = versions(client, project, version)
    places = {
        "training": found["TrainingDataResult"]["Validation"]["Assets"][0]["GroundTruthManifest"]["S3Object"],
        "testing": found["TestingDataResult"]["Validation"]["Assets"][0]["GroundTruthManifest"]["S3Object"],
        "summary": found["ManifestSummary"]["S3Object"],
    }
    content = {
        name: s3.get_object(Bucket=at["Bucket"], Key=at["Name"])["Body"].read().decode() for name, at in places.items()
    }
    return {
        "printed": json.loads(json.dumps(found, default=str)),
        "summary": json.loads(content["summary"]),
        "training": [json.loads(line) for line in content["training"].splitlines()],
        "testing": [json.loads(line) for line in content["testing"].splitlines()],
    }


def p_09_confusion_matrix(client, s3, name, version):
    """Share of each predicted label for each true one; shares that are not there are 0."""
    project = client.describe_projects(ProjectNames=[name])["ProjectDescriptions"][0]["ProjectArn"]
    (found,) = versions(client, project, version)
    at = found["EvaluationResult"]["Summary"]["S3Object"]
    summary = json.loads(s3.get_object(Bucket=at["Bucket"], Key=at["Name"])["Body"].read())
    cells = summary["AggregatedEvaluationResults"]["ConfusionMatrix"]
    table = {}
    for cell in cells:
        table.setdefault(cell["GroundTruthLabel"], {})[cell["PredictedLabel"]] = cell["Value"]
    return {"place": at["Name"], "table": table, "summary": summary}


def p_10_start(client, project, arn, least, most=None):
    """The answer's status and the one at the end."""
    version = arn.split("version/", 1)[1].rpartition("/")[0]
    more = {} if most is None else {"MaxInferenceUnits": most}
    answer = client.start_project_version(ProjectVersionArn=arn, MinInferenceUnits=least, **more)["Status"]
    waiter = client.get_waiter("project_version_running")
    waiter.wait(ProjectArn=project, VersionNames=[version], WaiterConfig=WAITER)
    (last,) = versions(client, project, version)
    return {
        "answer": answer,
        "status": last["Status"],
        "units": [last["MinInferenceUnits"], last.get("MaxInferenceUnits")],
    }


def p_11_stop(client, project, arn):
    """The answer's status and those on the way."""
    version = arn.split("version/", 1)[1].rpartition("/")[0]
    answer = client.stop_project_version(ProjectVersionArn=arn)["Status"]
    seen = watched(lambda: versions(client, project, version)[0], {"STOPPING"}, {"STOPPED"})
    return {"answer": answer, "statuses": seen}


def p_12_detect(client, arn, data=None, s3_object=None):
    """CustomLabels of an image, at 50 or more."""
    image = {"Bytes": data} if data is not None else {"S3Object": s3_object}
    return client.detect_custom_labels(Image=image, MinConfidence=50, ProjectVersionArn=arn)["CustomLabels"]


def p_13_delete_project(client, arn):
    """The answer's status, and that the project is in no list any more."""
    answer = client.delete_project(ProjectArn=arn)["Status"]
    name = arn.split("/")[1]
    return {
        "answer": answer,
        "gone": gone(lambda: client.describe_projects(ProjectNames=[name])["ProjectDescriptions"]),
    }


def p_14_describe_projects(client, name=None):
    """Datasets of each project, all six members of each."""
    chosen = {} if name is None else {"ProjectNames": [name]}
    found = {}
    for project in client.describe_projects(**chosen)["ProjectDescriptions"]:
        members = ("CreationTimestamp", "DatasetType", "DatasetArn", "Status", "StatusMessage", "StatusMessageCode")
        found[project["ProjectArn"]] = [
            {member: str(held[member]) for member in members}
            for held in project["Datasets"]
            if len(project["Datasets"])
        ]
    return found


def p_16_update(client, arn, text):
    """The statuses of an update; the first look may see no other state than those of an update."""
    client.update_dataset_entries(DatasetArn=arn, Changes={"GroundTruth": text})
    return watched(lambda: dataset(client, arn), {"UPDATE_IN_PROGRESS"}, {"UPDATE_COMPLETE"})


def p_18_describe_dataset(client, arn):
    """All that the sample prints."""
    found = dataset(client, arn)
    stats = found["DatasetStats"]
    return {
        "status": found["Status"],
        "message": found["StatusMessage"],
        "code": found["StatusMessageCode"],
        **{name: stats[name] for name in ("LabeledEntries", "TotalEntries", "TotalLabels", "ErrorEntries")},
    }


def p_19_entries(client, arn, errors, size=100):
    """Every entry, as the text that it is."""
    found, token, more = [], "", True
    while more:
        answer = client.list_dataset_entries(DatasetArn=arn, HasErrors=errors, MaxResults=size, NextToken=token)
        found += answer["DatasetEntries"]
        more = "NextToken" in answer
        token = answer.get("NextToken", "")
    return found


def p_20_distribute(client, training, test):
    """The statuses of both datasets; no other state than those of an update from the first look on."""
    client.distribute_dataset_entries(Datasets=[{"Arn": training}, {"Arn": test}])
    return [
        watched(lambda arn=arn: dataset(client, arn), {"UPDATE_IN_PROGRESS"}, {"UPDATE_COMPLETE"})
        for arn in (training, test)
    ]


def p_21_delete_dataset(client, arn):
    """The code of the error with which the sample ends."""
    client.delete_dataset(DatasetArn=arn)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            status = dataset(client, arn)["Status"]
        except ClientError as error:
            return error.response["Error"]["Code"]
        if status != "DELETE_IN_PROGRESS":
            raise RuntimeError(status)
        time.sleep(PAUSE)
    raise TimeoutError("the dataset is still there")


def p_22_delete_model(client, project, arn):
    """The answer's status, and that nothing of the name is described any more."""
    version = arn.split("/")[3]
    answer = client.delete_project_version(ProjectVersionArn=arn)["Status"]
    return {"answer": answer, "gone": gone(lambda: versions(client, project, version))}


def p_23_find_by_tag(client, tag, value):
    """ARNs of models with the tag."""
    found = []
    for project in client.describe_projects()["ProjectDescriptions"]:
        try:
            held = client.describe_project_versions(ProjectArn=project["ProjectArn"])["ProjectVersionDescriptions"]
            for model in held:
                tags = client.list_tags_for_resource(ResourceArn=model["ProjectVersionArn"])["Tags"]
                if tags.get(tag) == value:
                    found.append(model["ProjectVersionArn"])
        except ClientError as error:  # another journey has deleted it meanwhile
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
    return found


def p_24_describe_model(client, project, version):
    """What the sample prints: some of it always, some where it is there."""
    (model,) = versions(client, project, version)
    told = {name: str(model[name]) for name in ("CreationTimestamp", "Status", "StatusMessage")}
    if "BillableTrainingTimeInSeconds" in model:
        told["minutes"] = model["BillableTrainingTimeInSeconds"] / 60
    if "TrainingEndTimestamp" in model:
        told["ended"] = str(model["TrainingEndTimestamp"])
    if "EvaluationResult" in model:
        told["f1"] = model["EvaluationResult"]["F1Score"]
        told["summary"] = model["EvaluationResult"]["Summary"]["S3Object"]
    if "ManifestSummary" in model:
        told["manifests"] = model["ManifestSummary"]["S3Object"]
    if "OutputConfig" in model:
        told["output"] = [model["OutputConfig"]["S3Bucket"], model["OutputConfig"]["S3KeyPrefix"]]
    return told


def p_25_put_policy(client, project, name, document, revision=None):
    """The policy's revision."""
    more = {} if revision is None else {"PolicyRevisionId": revision}
    text = json.dumps(document)
    return client.put_project_policy(ProjectArn=project, PolicyName=name, PolicyDocument=text, **more)[
        "PolicyRevisionId"
    ]


def p_26_copy_model(client, source_project, source, destination, version, output):
    """The copy's ARN and the statuses on its way."""
    bucket, prefix = place(output)
    arn = client.copy_project_version(
        SourceProjectArn=source_project,
        SourceProjectVersionArn=source,
        DestinationProjectArn=destination,
        VersionName=version,
        OutputConfig={"S3Bucket": bucket, "S3KeyPrefix": prefix},
    )["ProjectVersionArn"]
    seen = watched(lambda: versions(client, destination, version)[0], {"COPYING_IN_PROGRESS"}, {"COPYING_COMPLETED"})
    return {"arn": arn, "statuses": seen}


def p_27_list_policies(client, project):
    """Name, revision and document of each policy."""
    found, token, more = [], "", True
    while more:
        answer = client.list_project_policies(ProjectArn=project, MaxResults=5, NextToken=token)
        found += [
            [
                policy["PolicyName"],
                policy["ProjectArn"],
                policy["PolicyRevisionId"],
                json.loads(policy["PolicyDocument"]),
            ]
            for policy in answer["ProjectPolicies"]
        ]
        more = "NextToken" in answer
        token = answer.get("NextToken", "")
    return found


def p_28_delete_policy(client, project, name, revision=None):
    more = {} if revision is None else {"PolicyRevisionId": revision}
    client.delete_project_policy(ProjectArn=project, PolicyName=name, **more)


def p_29_video(client, arn, frames, rate):
    """Labels of about a frame a second, with its time; without a threshold of our own, as the sample has it."""
    found = []
    for number, frame in enumerate(frames):
        if number % int(rate) == 0:
            answer = client.detect_custom_labels(Image={"Bytes": frame}, ProjectVersionArn=arn)
            found += [{**label, "Timestamp": number / rate * 1000} for label in answer["CustomLabels"]]
    return json.loads(json.dumps(found))


def p_30_handler(client, model, confidence, event):
    """What the Lambda function returns for an event."""
    try:
        if "image" in event:
            image = {"Bytes": base64.b64decode(event["image"])}
        elif "S3Object" in event:
            image = {"S3Object": {name: event["S3Object"][name] for name in ("Bucket", "Name")}}
        else:
            raise ValueError("neither image bytes nor an object in S3")
        answer = client.detect_custom_labels(Image=image, MinConfidence=confidence, ProjectVersionArn=model)
    except ClientError as error:
        told = error.response["Error"]
        return {"statusCode": 400, "body": {"Error": told["Code"], "ErrorMessage": told["Message"]}}
    except ValueError as error:
        return {"statusCode": 400, "body": {"Error": "ValueError", "ErrorMessage": str(error)}}
    return {"statusCode": 200, "body": answer["CustomLabels"]}


def p_31_ask_function(function, name, event):
    """Labels and their confidences as a function gives them; RuntimeError with what it says went wrong."""
    answer = function.invoke(FunctionName=name, Payload=json.dumps(event))
    told = json.loads(answer["Payload"].read())
    if told["statusCode"] != 200:
        raise RuntimeError(f"{told['statusCode']}: {told['body']['ErrorMessage']}")
    return {label["Name"]: label["Confidence"] for label in told["body"]}


class Journey(Program):
    """Every sample once, in an order in which each finds what it needs."""

    def __init__(self, told, records):
        super().__init__(told, records)
        self.project, self.bucket = told["project"], told["bucket"]
        self.folder = Path(told["folder"])
        session = boto3.Session(profile_name=PROFILE)
        self.session = session
        self.client, self.s3 = session.client("rekognition"), session.client("s3")
        self.root = f"s3://{self.bucket}/{self.project}/"

    def run(self):
        client = self.client
        self.note("P-00", client.meta.endpoint_url)
        project = self.note("P-02", p_02_create_project(client, self.project))
        self.note("P-01", p_01_list_projects(client))
        training, test = self.datasets(project)
        made = p_07_train(client, project, "v1.first", self.bucket, f"{self.project}/out", {"stage": "guide"})
        arn = self.note("P-07", made)["arn"]
        self.note("P-24", p_24_describe_model(client, project, "v1.first"))
        self.note("P-08", p_08_validation(client, self.s3, project, "v1.first"))
        self.note("P-09", p_09_confusion_matrix(client, self.s3, self.project, "v1.first"))
        self.failing(project)
        self.note("P-10", p_10_start(client, project, arn, 1, 2))
        self.detect(arn)
        self.note("P-11", p_11_stop(client, project, arn))
        self.note("P-23", p_23_find_by_tag(client, "stage", "guide"))
        self.copies(project, arn)
        self.note("P-22", p_22_delete_model(client, project, arn))
        self.note("P-21", [p_21_delete_dataset(client, dataset_arn) for dataset_arn in (training, test)])
        self.note("P-13", p_13_delete_project(client, project))

    def datasets(self, project):
        """Training and test dataset, filled and shared out."""
        client = self.client
        manifest = uploaded(self.s3, self.folder, self.root)
        made = self.note("P-03", p_03_create_dataset(client, project, "train", manifest))
        training = made["arn"]
        self.note("P-18", p_18_describe_dataset(client, training))
        label = {
            "confidence": 1,
            "class-name": "disc",
            "human-annotated": "yes",
            "creation-date": "2021-07-11T03:32:13",
        }
        lines = [
            {
                "source-ref": f"{self.root}test-images/disc-0.jpg",
                "more": 1,
                "more-metadata": {**label, "type": "groundtruth/image-classification"},
            },
            # What nobody labelled, and what cannot be read: both stay, and are told of.
            {"source-ref": f"{self.root}test-images/square-0.jpg"},
            {
                "source-ref": f"{self.root}test-images/square-1.jpg",
                "odd": 1,
                "odd-metadata": {**label, "type": "groundtruth/text-classification"},
            },
        ]
        self.note("P-16", p_16_update(client, training, "\n".join(map(json.dumps, lines))))
        self.note("P-18 after", p_18_describe_dataset(client, training))
        self.note("P-19", p_19_entries(client, training, False))
        self.note("P-19 one by one", len(p_19_entries(client, training, False, 1)))
        self.note("P-19 errors", p_19_entries(client, training, True))
        labels = client.list_dataset_labels(DatasetArn=training)["DatasetLabelDescriptions"]
        self.note("labels", labels)
        copy = p_02_create_project(client, f"{self.project}-copy")
        self.note("P-17", p_17_copy_dataset(client, copy, "train", training))
        self.other = copy
        made = self.note("P-15", p_15_create_empty_dataset(client, project, "test"))
        self.note("P-20", p_20_distribute(client, training, made["arn"]))
        self.note("P-20 stats", [p_18_describe_dataset(client, arn) for arn in (training, made["arn"])])
        self.note("P-14", p_14_describe_projects(client, self.project))
        return training, made["arn"]

    def failing(self, project):
        """A training that fails, which the waiter tells as no ClientError."""
        other = p_02_create_project(self.client, f"{self.project}-bad")
        bucket, prefix = place(self.root)
        lines = ["{not json"] * 3 + [json.dumps({"source-ref": f"{self.root}nowhere/{n}.jpg"}) for n in range(2)]
        self.s3.put_object(Bucket=bucket, Key=f"{prefix}manifests/bad.manifest", Body="\n".join(lines).encode())
        asset = {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Name": f"{prefix}manifests/bad.manifest"}}}
        arn = self.client.create_project_version(
            ProjectArn=other,
            VersionName="bad",
            OutputConfig={"S3Bucket": self.bucket, "S3KeyPrefix": f"{self.project}/bad/"},
            TrainingData={"Assets": [asset]},
            TestingData={"AutoCreate": True, "Assets": []},
        )["ProjectVersionArn"]
        waiter = self.client.get_waiter("project_version_training_completed")
        try:
            waiter.wait(ProjectArn=other, VersionNames=["bad"], WaiterConfig=WAITER)
            raise RuntimeError("it was trained")
        except WaiterError as error:
            self.note("P-07 failed", {"error": str(error), **p_24_describe_model(self.client, other, "bad")})
        self.note("P-22 failed", p_22_delete_model(self.client, other, arn))
        self.note("P-13 failed", p_13_delete_project(self.client, other))

    def detect(self, arn):
        """Labels of images that were not learnt from, by every door."""
        client, images = self.client, sorted((self.folder / "test-images").iterdir())
        self.note("P-12", {file.stem: p_12_detect(client, arn, data=file.read_bytes()) for file in images})
        where = {"Bucket": self.bucket, "Name": f"{self.project}/test-images/disc-2.jpg"}
        self.note("P-12 object", p_12_detect(client, arn, s3_object=where))
        everything = client.detect_custom_labels(
            Image={"Bytes": images[0].read_bytes()}, ProjectVersionArn=arn, MinConfidence=0
        )
        capped = client.detect_custom_labels(
            Image={"Bytes": images[0].read_bytes()}, ProjectVersionArn=arn, MinConfidence=0, MaxResults=1
        )
        self.note("everything", [everything["CustomLabels"], capped["CustomLabels"]])
        frames = [file.read_bytes() for file in images]
        self.note("P-29", p_29_video(client, arn, frames, 2.5))
        event = {"image": base64.b64encode(images[0].read_bytes()).decode()}
        self.note(
            "P-30",
            {
                "bytes": p_30_handler(client, arn, 50, event),
                "object": p_30_handler(client, arn, 50, {"S3Object": where}),
                "nothing": p_30_handler(client, arn, 50, {}),
                "no image": p_30_handler(client, arn, 50, {"image": base64.b64encode(b"none").decode()}),
                "missing": p_30_handler(client, arn, 50, {"S3Object": {**where, "Name": "nowhere.jpg"}}),
                "unknown": p_30_handler(client, arn[:-1] + ("1" if arn[-1] != "1" else "2"), 50, event),
            },
        )
        with function_host(lambda event: p_30_handler(client, arn, 50, event)) as address:
            function = self.session.client("lambda", endpoint_url=address)
            asked = {"bytes": event, "object": {"S3Object": where}}
            told = {name: p_31_ask_function(function, "inspect", one) for name, one in asked.items()}
            try:
                p_31_ask_function(function, "inspect", {})
            except RuntimeError as error:
                told["nothing"] = str(error)
        self.note("P-31", told)

    def copies(self, project, arn):
        """A policy, a copy under it, and the policy's end."""
        client = self.client
        account = arn.split(":")[4]
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "ALLOW",
                    "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                    "Action": "rekognition:CopyProjectVersion",
                    "Resource": f"{project.rpartition('/')[0]}/version/*",
                }
            ],
        }
        first = p_25_put_policy(client, project, "copies", document)
        second = p_25_put_policy(client, project, "copies", document, first)
        try:
            p_25_put_policy(client, project, "copies", document, first)
            stale = None
        except ClientError as error:
            stale = error.response["Error"]["Code"]
        self.note("P-25", {"revisions": [first, second], "stale": stale})
        self.note("P-27", p_27_list_policies(client, project))
        output = f"{self.root}copied/"
        made = self.note("P-26", p_26_copy_model(client, project, arn, self.other, "copy-1", output))
        self.note("P-10 copy", p_10_start(client, self.other, made["arn"], 1))
        image = self.folder / "test-images" / "square-3.jpg"
        self.note("P-12 copy", p_12_detect(client, made["arn"], data=image.read_bytes()))
        self.note("P-11 copy", p_11_stop(client, self.other, made["arn"]))
        p_28_delete_policy(client, project, "copies", second)
        self.note("P-28", p_27_list_policies(client, project))
        p_22_delete_model(client, self.other, made["arn"])


if __name__ == "__main__":
    sys.exit(Journey.main())
