"""The migration: discover, look at everything of a project, then bring it in, one project after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from vigia_client.datasets.delivery import Delivery, Target, deliver, failed, send, send_manifest
from vigia_client.datasets.lines import Note, Why
from vigia_client.datasets.places import Place, PlaceError, below
from vigia_client.datasets.resolve import Resolver, around
from vigia_client.datasets.survey import (
    DatasetError,
    Remark,
    Survey,
    folder_lines,
    keep_one_size,
    manifest_lines,
    survey,
)
from vigia_client.errors import ActionableError
from vigia_client.lookout import UnfinishedError
from vigia_client.migration.discovery import Discovery, Project, Source
from vigia_client.migration.evaluation import Figures
from vigia_client.migration.report import DatasetReport, ProjectReport
from vigia_client.migration.service import Rules, Service

Say = Callable[[str], None]


class MigrationError(ActionableError):
    """The migration cannot begin; the text says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """Everything that a migration works with. ``say`` is told what is being done.

    ``beside`` brings in what a project has besides its datasets, or says in a dry run what it would.
    """

    place: Place
    service: Service
    target: Target
    say: Say
    dry: bool = False
    training: bool = False
    beside: Callable[[ProjectReport], None] = lambda _: None

    @property
    def rules(self) -> Rules:
        return self.service.rules

    def run(self, discovery: Discovery, names: Mapping[str, str], before: Sequence[Figures]) -> Iterator[ProjectReport]:
        """Bring every project in under its name of ``names`` (else that under which it was found).

        ``before``: the evaluations that came with them. What is not used is added to ``discovery.skipped``.
        """
        seen: set[str] = set()
        for project in discovery.projects:
            name = names.get(project.found_as, project.found_as)
            held = evaluations_of(before, {name, project.found_as})
            report = ProjectReport(name, project.found_as, before=held)
            try:
                sources = self._sources(project, seen, discovery)
                if project.sources and not sources:
                    continue
                self._project(report, sources, seen)
            except ClientError as error:
                report.reason = client_error(error)
            except (ActionableError, BotoCoreError) as error:
                report.reason = str(error)
            yield report

    def _sources(self, project: Project, seen: set[str], discovery: Discovery) -> dict[str, Source]:
        """The one source of each kind; DatasetError where a person must choose."""
        chosen: dict[str, Source] = {}
        for kind, sources in project.sources.items():
            manifests = [source for source in sources if source.is_manifest]
            left = manifests or [source for source in sources if not self._covered(source, seen)]
            if len(left) > 1:
                listed = ", ".join(below(self.place.root, source.address) for source in left)
                raise DatasetError(
                    f"several sources of its {kind} dataset: {listed}; choose one with --manifest, or bring in the "
                    "folder of each by itself"
                )
            if left:
                chosen[kind] = left[0]
            others = [source for source in sources if source not in left]
            discovery.skipped += [
                (below(self.place.root, other.address), "a manifest names what is in it") for other in others
            ]
        return chosen

    def _project(self, report: ProjectReport, sources: Mapping[str, Source], seen: set[str]) -> None:
        surveys = {}
        for kind in sorted(sources, reverse=True):  # train first
            dataset = DatasetReport(kind, below(self.place.root, sources[kind].address) or ".")
            report.datasets.append(dataset)
            try:
                surveys[kind] = self._survey(report.project, kind, sources[kind], seen)
            except (DatasetError, PlaceError) as error:
                dataset.reason = str(error)
        if any(dataset.reason for dataset in report.datasets):
            return
        if self.rules.one_size:
            keep_one_size(surveys.values())
        _note_twins(surveys)
        deliveries = {kind: deliver(self.target, report.project, kind, found) for kind, found in surveys.items()}
        for dataset in report.datasets:
            found = surveys[dataset.kind]
            dataset.count(found, self.rules.count(found), self.rules.one_size)
            if not deliveries[dataset.kind].entries:
                dataset.reason = "no image can come in"
        if not self.dry:
            self.service.create_project(report.project)
        for dataset in report.datasets:
            if not dataset.reason:
                self._bring(report.project, dataset, deliveries[dataset.kind])
        self.beside(report)
        if self.training and not self.dry and not report.failed and deliveries:
            self._train(report, deliveries)

    def _survey(self, project: str, kind: str, source: Source, seen: set[str]) -> Survey:
        def tick(count: int) -> None:
            if count % 20 == 0:
                self.say(f"{project}/{kind}: {count} looked at")

        rules = self.rules
        most, accepted = rules.most_images[kind], rules.accepted
        if source.lines is not None:
            return survey(self.place, source.lines(), None, most, tick, accepted)
        if not source.is_manifest:
            return survey(self.place, folder_lines(self.place, source.address), None, most, tick, accepted)
        resolver = Resolver(self.place, around(self.place, source.address))
        named = manifest_lines(self.place, source.address, rules.read_line, rules.longest_line)
        found = survey(self.place, named, resolver, most, tick, accepted)
        seen |= resolver.folders
        return found

    def _covered(self, source: Source, seen: set[str]) -> bool:
        """Whether a folder's folders of classes are among those in which a manifest's images were found."""
        root = f"{source.address}/" if source.address else ""
        return any(
            folder.startswith(root) and folder.removeprefix(root).partition("/")[0].lower() in self.rules.classes
            for folder in seen
        )

    def _bring(self, project: str, report: DatasetReport, delivery: Delivery) -> None:
        """Objects first, then the dataset: whoever sees an entry finds its image."""
        kind = report.kind
        datasets = self.service.datasets(self.say)
        try:
            known = datasets.find(project, kind)
            absent = known is None or failed(known)
            there = set() if absent else set(datasets.refs(project, kind))
            delivery = delivery.without(there)
            objects = delivery.missing()
            added = {ref: line for ref, line in delivery.entries.items() if ref not in there}
            report.state = "created" if absent else "extended" if added else "unchanged"
            report.entries_added = len(added)
            if self.dry:
                report.state = report.state if report.state == "unchanged" else f"to be {report.state}"
                report.sent_objects = len(objects)
                return
            report.sent_bytes = send(delivery, self.place, objects, self._sent(project, kind, len(objects)))
            report.sent_objects = len(objects)
            if absent:
                if known is not None:
                    datasets.delete(project, kind)  # its import failed: it is empty
                datasets.create(project, kind, self.target.bucket, send_manifest(delivery))
            elif added:
                datasets.add(project, kind, added.values())
        except (ActionableError, BotoCoreError) as error:
            report.state, report.reason = "failed", str(error)
        except ClientError as error:
            report.state, report.reason = "failed", client_error(error)

    def _sent(self, project: str, kind: str, total: int) -> Callable[[int], None]:
        def told(count: int) -> None:
            if count % 20 == 0:
                self.say(f"{project}/{kind}: {count} of {total} sent")

        return told

    def _train(self, report: ProjectReport, deliveries: Mapping[str, Delivery]) -> None:
        digest = "-".join(deliveries[kind].digest for kind in sorted(deliveries))
        try:
            report.trained = self.service.train(self.target, report.project, digest, self.say)
            report.training = f"version {report.trained.version} trained"
        except UnfinishedError as error:
            report.training = f"failed: {error}"
        except ClientError as error:
            report.training = f"failed: {client_error(error)}"


def read_evaluations(place: Place, discovery: Discovery, rules: Rules) -> list[Figures]:
    """What the evaluation files say; those that say nothing are added to ``discovery.skipped``."""
    found = []
    for address in discovery.evaluations:
        figures = rules.evaluations.figures(place, address)
        if isinstance(figures, str):
            discovery.skipped.append((below(place.root, address), figures))
        elif figures is not None:
            found.append(figures)
    return found


def evaluations_of(figures: Sequence[Figures], names: set[str]) -> list[Figures]:
    """Those of a project of one of these names, by version."""
    return sorted((f for f in figures if f.project in names), key=lambda f: (len(f.version), f.version, f.file))


def project_names(discovery: Discovery, given: Sequence[str], rules: Rules) -> dict[str, str]:
    """What ``--project`` says: FOUND=NAME, or NAME where only one project was found. MigrationError."""
    found = [project.found_as for project in discovery.projects]
    names: dict[str, str] = {}
    for text in given:
        old, sign, new = text.rpartition("=")
        if not sign:
            if len(found) != 1:
                raise MigrationError(f"--project {text}: say which, as FOUND={text}; found are {', '.join(found)}")
            old = found[0]
        if old not in found:
            raise MigrationError(f"--project {text}: no project {old} was found; found are {', '.join(found)}")
        if rules.name.fullmatch(new) is None:
            raise MigrationError(f"--project {text}: {rules.name_said}")
        names[old] = new
    taken = [names.get(name, name) for name in found]
    if double := {name for name in taken if taken.count(name) > 1}:
        raise MigrationError(f"two projects would be named {', '.join(sorted(double))}")
    return names


def client_error(error: ClientError) -> str:
    """What the service says."""
    told = error.response["Error"]
    return f"{told.get('Message') or 'no message'} [{told.get('Code')}]"


def _note_twins(surveys: Mapping[str, Survey]) -> None:
    """Images in both datasets make an evaluation look better than it is. They stay: it was so before."""
    if len(surveys) < 2:
        return
    trained = {item.image.sha256: item for item in surveys["train"].items}
    for item in surveys["test"].items:
        twin = trained.get(item.image.sha256)
        if twin is not None:
            note = Note(Why.IN_BOTH, f"the same bytes as {twin.line.ref} of the training dataset")
            surveys["test"].remarks.append(Remark(item.where, item.line.ref, note, False))
