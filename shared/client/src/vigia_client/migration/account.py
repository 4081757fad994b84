"""A live account of Custom Labels, through the ordinary API with the account's own keys. It is only read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from vigia_client.datasets.delivery import Target
from vigia_client.datasets.labels import entry_pages, read_labels
from vigia_client.datasets.lines import LineError
from vigia_client.datasets.places import Bucket, File, last
from vigia_client.datasets.survey import Named
from vigia_client.errors import ActionableError
from vigia_client.lookout import Json
from vigia_client.migration.customlabels import version_name
from vigia_client.migration.discovery import Discovery, Project, Source
from vigia_client.migration.evaluation import CUSTOM_LABELS
from vigia_client.migration.report import Beside, ProjectReport

#: Datasets of these states have entries that can be listed.
_READABLE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_FAILED"})
#: Bytes of an evaluation's figures, at most.
_LARGEST: Final = 16 * 1024 * 1024
_VERSIONS_ARN: Final = re.compile(r"arn:[^:]*:rekognition:[^:]*:[^:]*:project/[^/]+/version/(?P<version>.+)")
_STAYS: Final = "its weights cannot be exported from AWS: --train trains a new version"


class AccountError(ActionableError):
    """The account has not what was asked for."""


class Buckets(Bucket):
    """Every bucket that a client may read. None is listed: an address is whole."""

    root = ""
    name = "account"

    def __init__(self, s3: Any) -> None:
        super().__init__(s3, "")

    def __str__(self) -> str:
        return "account"

    def files(self, folder: str | None = None) -> Iterator[File]:
        return iter(())


@dataclass(slots=True)
class Account:
    """What the account has. ``client`` and ``s3`` are those of its keys."""

    client: Any
    s3: Any
    _projects: dict[str, Json] = field(default_factory=dict)

    def discover(self, only: Sequence[str] = ()) -> Discovery:
        """Its projects with their datasets; ``only``: those of these names. AccountError, ClientError."""
        found = Discovery()
        for page in self.client.get_paginator("describe_projects").paginate():
            for described in page["ProjectDescriptions"]:
                name = described["ProjectArn"].split("/")[1]
                if only and name not in only:
                    continue
                if described["Status"] != "CREATED":
                    found.skipped.append((name, f"the project is {described['Status']}"))
                    continue
                self._projects[name] = described
                found.projects.append(self._project(name, described, found))
        if missing := set(only) - self._projects.keys():
            raise AccountError(f"the account has no project {', '.join(sorted(missing))}")
        return found

    def _project(self, name: str, described: Json, found: Discovery) -> Project:
        project = Project(name)
        for dataset in described.get("Datasets", []):
            kind, arn = dataset["DatasetType"].lower(), dataset["DatasetArn"]
            if dataset["Status"] not in _READABLE:
                why = f"the dataset is {dataset['Status']}: {dataset.get('StatusMessage', '')}"
                found.skipped.append((f"{name}/{kind}", why))
            else:
                project.sources[kind] = [Source(arn, True, partial(self._lines, f"{name}/{kind}", arn))]
        return project

    def _lines(self, where: str, arn: str) -> Iterator[Named]:
        number = 0
        for page in entry_pages(self.client, arn):
            for entry in page["DatasetEntries"]:
                number += 1
                try:
                    yield f"{where}:{number}", read_labels(entry.encode())
                except LineError as error:
                    yield f"{where}:{number}", error

    def described(self, project: str) -> Json:
        """What DescribeProjects said of a project that was discovered."""
        return self._projects[project]


@dataclass(frozen=True, slots=True)
class Move:
    """Brings in what projects of an account have besides datasets: tags, policies, the files of their versions.

    ``client`` is that of the installation. What is there already stays as it is.
    """

    account: Account
    client: Any
    target: Target
    say: Callable[[str], None]
    dry: bool

    def __call__(self, report: ProjectReport) -> None:
        """Do it, or say in a dry run what would be done, and add it to the report."""
        for bring in (self._tags, self._policies, self._versions):
            try:
                report.beside.extend(bring(report))
            except (ClientError, BotoCoreError) as error:
                report.beside.append(Beside(bring.__name__.strip("_"), "", "failed", _said(error)))

    # --- tags -------------------------------------------------------------------------------------------------------

    def _tags(self, report: ProjectReport) -> Iterator[Beside]:
        described = self.account.described(report.found_as)
        new = self._described(report.project)
        yield from self._tags_of("project", described["ProjectArn"], new.get("ProjectArn"))
        kinds = {dataset["DatasetType"]: dataset["DatasetArn"] for dataset in new.get("Datasets", [])}
        for dataset in described.get("Datasets", []):
            kind = dataset["DatasetType"]
            yield from self._tags_of(f"{kind.lower()} dataset", dataset["DatasetArn"], kinds.get(kind))

    def _tags_of(self, name: str, old: str, new: str | None) -> Iterator[Beside]:
        try:
            tags = {key: value for key, value in self._listed(self.account.client, old).items() if _is_ours(key)}
            if not tags:
                return
            there = {} if new is None else self._listed(self.client, new)
            added = {key: value for key, value in tags.items() if key not in there}
            detail = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
            if self.dry or not added:
                yield Beside("tags", name, "to come in" if added else "unchanged", detail)
            elif new is None:
                yield Beside("tags", name, "not moved", f"there is no {name} here; {detail}")
            else:
                self.client.tag_resource(ResourceArn=new, Tags=added)
                yield Beside("tags", name, "came in", detail)
        except (ClientError, BotoCoreError) as error:
            yield Beside("tags", name, "failed", _said(error))

    def _listed(self, client: Any, arn: str) -> dict[str, str]:
        try:
            found: dict[str, str] = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
        except client.exceptions.InvalidParameterException:
            return {}  # a service that tags nothing but versions
        return found

    # --- policies ---------------------------------------------------------------------------------------------------

    def _policies(self, report: ProjectReport) -> Iterator[Beside]:
        held = list(_policies(self.account.client, self.account.described(report.found_as)["ProjectArn"]))
        if not held:
            return
        new = self._described(report.project).get("ProjectArn")
        here = {} if new is None else {one["PolicyName"]: one["PolicyDocument"] for one in _policies(self.client, new)}
        for policy in held:
            name, document = policy["PolicyName"], policy["PolicyDocument"]
            if left := _of_one_version(document):
                yield Beside("policy", name, "not moved", f"it is about versions that stay behind: {', '.join(left)}")
            elif self.dry or new is None:
                yield Beside("policy", name, "unchanged" if name in here else "to come in")
            else:
                yield self._policy(new, name, _for_project(document, new), here.get(name))

    def _policy(self, arn: str, name: str, document: str, here: str | None) -> Beside:
        if here is not None:
            same = json.loads(here) == json.loads(document)
            return Beside("policy", name, "unchanged", "" if same else "another of that name is here, and stays")
        try:
            self.client.put_project_policy(ProjectArn=arn, PolicyName=name, PolicyDocument=document)
        except (ClientError, BotoCoreError) as error:
            return Beside("policy", name, "failed", _said(error))
        return Beside("policy", name, "came in", "for this project; whom it is for is as it was: see that it fits")

    # --- versions ---------------------------------------------------------------------------------------------------

    def _versions(self, report: ProjectReport) -> Iterator[Beside]:
        arn = self.account.described(report.found_as)["ProjectArn"]
        folder = f"{self.target.prefix}{report.project}/versions/"
        there = dict(_sizes(self.target, folder))
        for page in self.account.client.get_paginator("describe_project_versions").paginate(ProjectArn=arn):
            for version in page["ProjectVersionDescriptions"]:
                name = version_name(version)
                self.say(f"{report.project}: version {name}")
                try:
                    yield self._version(report, version, f"{folder}{name}/", there)
                except (ClientError, BotoCoreError) as error:
                    yield Beside("version", name, "failed", _said(error))

    def _version(self, report: ProjectReport, version: Json, folder: str, there: dict[str, int]) -> Beside:
        """Copy its files, and what is said of it; what its evaluation found goes into the report."""
        name = version_name(version)
        sent, missing = 0, []
        files: list[str] = []
        for role, bucket, key in _files(version):
            to = f"{folder}{role}/{last(key)}"
            try:
                held = self.account.s3.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                missing.append(f"s3://{bucket}/{key}: {error.response['Error'].get('Code')}")
                continue
            with held["Body"] as body:
                files.append(to)
                if role == "evaluation" and held["ContentLength"] <= _LARGEST:
                    data = body.read()
                    self._figures(report, data, name, to)
                    sent += self._put(to, data, there)
                elif there.get(to) != held["ContentLength"]:
                    sent += 1
                    if not self.dry:
                        self.target.s3.upload_fileobj(body, self.target.bucket, to)
        tags = self._listed(self.account.client, version["ProjectVersionArn"])
        said = json.dumps(version | {"Tags": tags}, indent=1, default=str).encode()
        sent += self._put(f"{folder}version.json", said, there)
        state = "unchanged" if not sent else "to come in" if self.dry else "came in"
        where = f"s3://{self.target.bucket}/{folder}"
        detail = f"{len(files) + 1} files in {where}; {_STAYS}"
        if missing:
            detail += f"; not there: {', '.join(missing)}"
        facts = {"status": version["Status"], "tags": tags, "files": files, "missing": missing,
                 "created_at": str(version["CreationTimestamp"]), "description": version.get("VersionDescription"),
                 "f1": (version.get("EvaluationResult") or {}).get("F1Score")}  # fmt: skip
        return Beside("version", name, f"files {state}", detail, facts)

    def _put(self, key: str, data: bytes, there: dict[str, int]) -> int:
        if there.get(key) == len(data):
            return 0
        if not self.dry:
            self.target.s3.put_object(Bucket=self.target.bucket, Key=key, Body=data)
        return 1

    def _figures(self, report: ProjectReport, data: bytes, version: str, key: str) -> None:
        try:
            found = CUSTOM_LABELS.of(json.loads(data), report.found_as, version, f"s3://{self.target.bucket}/{key}")
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return  # the file comes over as it is
        report.before.append(found)

    def _described(self, project: str) -> Json:
        """The project here; empty without one."""
        found: list[Json] = self.client.describe_projects(ProjectNames=[project])["ProjectDescriptions"]
        return found[0] if found else {}


def _policies(client: Any, arn: str) -> Iterator[Json]:
    for page in client.get_paginator("list_project_policies").paginate(ProjectArn=arn):
        yield from page["ProjectPolicies"]


def _resources(document: str) -> Iterable[tuple[str, str]]:
    """Every ARN of versions in a policy, and what of it comes after ``version/``."""
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', document):
        if (match := _VERSIONS_ARN.fullmatch(text)) is not None:
            yield text, match["version"]


def _of_one_version(document: str) -> list[str]:
    """The versions by name that a policy is about; none are here."""
    return [version for _, version in _resources(document) if version not in ("*", "*/*")]


def _for_project(document: str, arn: str) -> str:
    """The policy for all versions of the project of that ARN."""
    project = arn.rpartition("/")[0]
    for old, version in _resources(document):
        document = document.replace(f'"{old}"', f'"{project}/version/{version}"')
    return document


def _files(version: Json) -> Iterator[tuple[str, str, str]]:
    """Role, bucket and key of every file that a version has to show."""
    places = [("evaluation", (version.get("EvaluationResult") or {}).get("Summary")),
              ("manifest-summary", version.get("ManifestSummary"))]  # fmt: skip
    for side in ("Training", "Testing"):
        for part in ("Input", "Output", "Validation"):
            held = (version.get(f"{side}DataResult") or {}).get(part) or {}
            role = f"{side.lower()}-{part.lower()}"
            places += [(role, asset.get("GroundTruthManifest")) for asset in held.get("Assets") or []]
    for role, place in places:
        held = (place or {}).get("S3Object") or {}
        if "Bucket" in held and "Name" in held:
            yield role, held["Bucket"], held["Name"]


def _sizes(target: Target, prefix: str) -> Iterator[tuple[str, int]]:
    for page in target.s3.get_paginator("list_objects_v2").paginate(Bucket=target.bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            yield found["Key"], found["Size"]


def _is_ours(key: str) -> bool:
    return not key.startswith("aws:")


def _said(error: Exception) -> str:
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return f"{told.get('Message') or 'no message'} [{told.get('Code')}]"
    return str(error)
