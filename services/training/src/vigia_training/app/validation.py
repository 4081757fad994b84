"""Both manifests of a Custom Labels training: every line and every image looked at, and what came of it as files.

Lines that cannot be used are left out; only manifests that break a rule as a whole fail the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from vigia_contracts.ground_truth import INVALID_IMAGE, INVALID_IMAGE_DIMENSION, Problem, problem
from vigia_training.app.images import Read, in_order
from vigia_training.app.label_data import Images, LabelData, divide
from vigia_training.app.train import Task
from vigia_training.domain.annotations import Annotation
from vigia_training.domain.errors import BadData, Unreadable
from vigia_training.domain.given import Given, ManifestLimits, read_given, with_validation
from vigia_training.domain.grouping import Thumbnail, thumbnail
from vigia_training.domain.rules import (
    Fault,
    Statistics,
    UseCase,
    UseCases,
    fault_of_split,
    faults_of_both,
    faults_of_labels,
    faults_of_lines,
    faults_of_tests,
    manifest_summary,
    told,
    use_cases,
)
from vigia_vision import DecodeError, decode, probe
from vigia_vision.decode import Limits

_NO_BOUND: Final = 1 << 40

_Failure = Literal["missing", "denied", "bad"]


@dataclass(frozen=True, slots=True)
class Datasets:
    """Both manifests, their lines read. Without ``testing`` some of ``training`` will test."""

    training: Given
    testing: Given | None

    @property
    def cases(self) -> UseCases:
        """Which model they ask for."""
        return use_cases(self.training.valid, None if self.testing is None else self.testing.valid)


@dataclass(frozen=True, slots=True)
class CheckFiles:
    """What the customer gets to read: the summary, and the lines of the manifests with what is wrong in them.

    The lines are made when they are asked for, one after the other.
    """

    summary: bytes
    training: Callable[[], Iterator[bytes]]
    testing: Callable[[], Iterator[bytes]]

    def named(self, name: str) -> dict[str, bytes | Callable[[], Iterator[bytes]]]:
        """By file name, which ends with ``name``; in the order above."""
        return {
            f"ManifestSummary-{name}.json": self.summary,
            f"TrainingManifestWithValidation-{name}.json": self.training,
            f"TestingManifestWithValidation-{name}.json": self.testing,
        }


def datasets_of(task: Task, limits: ManifestLimits) -> Datasets:
    """Reads the lines of both manifests. BadData for what is no manifest."""
    testing = None if task.test_manifest is None else read_given(task.test_manifest, limits)
    return Datasets(read_given(task.training_manifest, limits), testing)


def validate(
    datasets: Datasets,
    read: Read,
    limits: ManifestLimits,
    seed: int,
    tell: Callable[[float], None],
    keep: Callable[[CheckFiles], None],
) -> LabelData:
    """Looks at every image, once; what there is to learn from and to test with. ``keep`` is called in any case.

    BadData, after that, where the manifests break a rule.
    """
    given = [datasets.training, *([] if datasets.testing is None else [datasets.testing])]
    looked = _Looked(limits)
    looked.look([one for part in given for one in part.valid], read, tell)
    faults = [_sift(part, looked, limits) for part in given]
    cases, testing = datasets.cases, datasets.testing
    data: LabelData | None = None
    between: list[Fault] = []
    undecided = any(faults) or not datasets.training.valid
    if not any(faults):
        for found, part in zip(faults, given, strict=True):
            names = cases.taught(part.valid) if part is datasets.training else cases.tested(part.valid)
            found += faults_of_labels(part.valid, names, cases, limits)
        if testing is not None:
            taught, tested = cases.taught(datasets.training.valid), cases.tested(testing.valid)
            faults[1] += faults_of_tests(testing.valid, cases, limits)
            between += faults_of_both(datasets.training.valid, testing.valid, taught, tested)
    if not any(faults) and not between:
        data = _data(datasets, cases, looked.images, seed, limits)
        if testing is None:
            faults[0] += fault_of_split(set(data.labels), cases.tested(data.test), cases)
    keep(_files(datasets, limits, None if undecided else cases, faults, between, data))
    problems = [fault for found in (*faults, between) for fault in found]
    if data is None or problems:
        raise BadData(told(problems))
    return data


def _data(datasets: Datasets, cases: UseCases, images: Images, seed: int, limits: ManifestLimits) -> LabelData:
    learn = cases.learnable(datasets.training.valid)
    labels = tuple(sorted(cases.taught(learn)))
    test = None
    if datasets.testing is not None:
        # Of an image without a label that is learnt nothing could be said but what is wrong.
        test = [one for one in datasets.testing.valid if set(one.names(cases.kind)) & set(labels)]
    return divide(cases.kind, labels, learn, test, images, seed, cases.logos, limits.tests_of_label)


class _Looked:
    """Images that were looked at, by their addresses: those that can be used, and what is wrong with the others."""

    def __init__(self, limits: ManifestLimits) -> None:
        self._limits = limits
        self._decoding = Limits(limits.image_bytes, _NO_BOUND, limits.line.most_side)
        self.images = Images()
        self.failed: dict[str, _Failure] = {}

    def look(self, annotations: Sequence[Annotation], read: Read, tell: Callable[[float], None]) -> None:
        """Reads every image once."""
        uris = list(dict.fromkeys(one.uri for one in annotations))
        for number, found in enumerate(in_order(lambda uri: self._seen(uri, read), uris), 1):
            uri = uris[number - 1]
            if isinstance(found, str):
                self.failed[uri] = found
            else:
                self.images.sizes[uri] = found[0]
                if found[1] is not None:
                    self.images.thumbnails[uri] = found[1]
            tell(number / len(uris))

    def _seen(self, uri: str, read: Read) -> tuple[tuple[int, int], Thumbnail | None] | _Failure:
        """Width and height, and a thumbnail where the size is one that can be."""
        try:
            data = read(uri)
            info = probe(data, Limits(self._limits.image_bytes, _NO_BOUND, _NO_BOUND))
            size = (info.width, info.height)
            return size, thumbnail(decode(data, self._decoding)) if self._fits(size) else None
        except Unreadable as error:
            return "denied" if error.denied else "missing"
        except (BadData, DecodeError):
            return "bad"

    def problem(self, annotation: Annotation) -> Problem | None:
        """What is wrong with an image that a valid line names."""
        size = self.images.sizes.get(annotation.uri)
        if size is None:
            return problem(INVALID_IMAGE)
        if not self._fits(size):
            return problem(INVALID_IMAGE_DIMENSION if annotation.boxes else INVALID_IMAGE)
        if max(size) > self._limits.aspect * min(size):
            return problem(INVALID_IMAGE)
        if annotation.size is not None and annotation.size != size:
            found = problem(INVALID_IMAGE_DIMENSION)
            differ = f"{found.message} The image has {size[0]}x{size[1]} pixels, its boxes are given for "
            return Problem(found.code, f"{differ}{annotation.size[0]}x{annotation.size[1]}.")
        return None

    def _fits(self, size: tuple[int, int]) -> bool:
        line = self._limits.line
        return line.least_side <= min(size) <= max(size) <= line.most_side


def _sift(given: Given, looked: _Looked, limits: ManifestLimits) -> list[Fault]:
    """Takes lines with images that cannot be used out of the valid ones; what is wrong with the manifest."""
    wrong = {one.line: found for one in given.valid if (found := looked.problem(one)) is not None}
    failed = Counter(looked.failed.get(one.uri) for one in given.valid)
    for one in given.valid:
        if one.line in wrong:
            given.reject(one, wrong[one.line])
    faults = faults_of_lines(given, limits, failed["missing"] + failed["denied"], failed["denied"])
    given.valid = [one for one in given.valid if one.line not in wrong]
    return faults


def _files(
    datasets: Datasets,
    limits: ManifestLimits,
    cases: UseCases | None,
    faults: Sequence[Sequence[Fault]],
    between: Sequence[Fault],
    data: LabelData | None,
) -> CheckFiles:
    """Without a test manifest, lines that were set apart are in the testing manifest, and no more in training's."""
    training, testing = datasets.training, datasets.testing
    every = set(range(1, training.total + 1))
    use: tuple[UseCase, UseCase] = (cases.training, cases.testing) if cases else ("NOT_DETERMINED", "NOT_DETERMINED")
    if testing is not None:
        its = set(range(1, testing.total + 1))
        second = _statistics(testing, its, use[1], faults[1])
        lines = partial(with_validation, testing, limits, its)
    else:
        apart = set() if data is None else {one.line for one in data.test}
        every -= apart
        second = _statistics(training, apart, use[1], ())
        lines = partial(with_validation, training, limits, apart)
    first = _statistics(training, every, use[0], faults[0])
    summary = manifest_summary(first, second, between)
    return CheckFiles(summary, partial(with_validation, training, limits, every), lines)


def _statistics(given: Given, lines: set[int], use_case: UseCase, faults: Sequence[Fault]) -> Statistics:
    """Of those lines; they are numbered as they come."""
    place = {line: number for number, line in enumerate(sorted(lines), 1)}
    return Statistics(
        use_case,
        total=len(lines),
        invalid=len(given.invalid & lines),
        ignored=len(given.ignored & lines),
        indices=[place[line] for line in given.with_errors if line in lines],
        faults=faults,
    )
