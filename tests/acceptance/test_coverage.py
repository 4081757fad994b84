"""Every row of the requirements is proven by tests that exist and pass, or is out for a stated reason."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("coverage.yaml")
#: How many rows of each kind there are, numbered from 1 without a gap.
ROWS = {
    "L": 198,
    "Q": 35,
    "A": 40,
    "PY": 28,
    "JV": 18,
    "CLI": 30,
    "SH": 9,
    "PR": 1,
    "RC": 3,
    "PL": 16,
    "MF": 8,
}
#: Of Custom Labels, whose rows are numbered with gaps: first and last of each block.
BLOCKS = {
    "R": (
        (1, 15),
        (20, 28),
        (30, 34),
        (40, 47),
        (50, 80),
        (90, 115),
        (120, 128),
        (140, 150),
        (160, 172),
        (180, 187),
        (190, 200),
        (210, 221),
    ),
    "P": ((0, 31),),
    "J": ((1, 23),),
    "C": ((1, 24),),
}
Row = list[str] | dict[str, str]


@cache
def table() -> Mapping[str, Row]:
    """The rows by id."""
    rows: dict[str, Row] = yaml.safe_load(TABLE.read_text())
    return rows


def proven(rows: Mapping[str, Row]) -> Iterable[tuple[str, str]]:
    """(row, test) of every test that the table names."""
    return ((row, test) for row, tests in rows.items() if isinstance(tests, list) for test in tests)


def is_proof_or_reason(row: object) -> bool:
    """Whether a row names tests, or says in a sentence why it is out."""
    if isinstance(row, dict):
        return set(row) == {"out"} and isinstance(row["out"], str) and len(row["out"].split()) >= 3
    return isinstance(row, list) and bool(row) and all(isinstance(test, str) for test in row)


@cache
def definitions(file: str) -> frozenset[str]:
    """Names of the functions and methods that a file of the repository defines, as node ids have them."""
    path = ROOT / file
    found: set[str] = set()

    def visit(nodes: Iterable[ast.stmt], owner: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{owner}{node.name}::")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(owner + node.name)

    if path.is_file():
        visit(ast.parse(path.read_text()).body, "")
    return frozenset(found)


def exists(test: str) -> bool:
    """Whether a file of the repository defines the test; parameters are not looked at."""
    file, _, name = test.partition("::")
    return name.partition("[")[0] in definitions(file)


def unproven(rows: Mapping[str, Row], outcomes: Mapping[str, str], whole: bool) -> list[str]:
    """What the session says against the table: named tests that failed, and, of a whole session, rows that none proved.

    ``outcomes`` maps the id of every test that was run to passed, failed or skipped.
    """
    by_function: dict[str, list[str]] = {}
    for test, outcome in outcomes.items():
        for name in {test, test.partition("[")[0]}:
            by_function.setdefault(name, []).append(outcome)
    problems = [f"{row}: {test} failed" for row, test in proven(rows) if "failed" in by_function.get(test, [])]
    if whole:
        missing = [(row, test) for row, test in proven(rows) if test not in by_function]
        problems += [f"{row}: {test} was not run" for row, test in missing]
        for row, tests in rows.items():
            if isinstance(tests, list) and not any("passed" in by_function.get(test, []) for test in tests):
                problems.append(f"{row}: none of its tests passed")
    return problems


def test_every_row_is_there() -> None:
    blocks = {**{kind: ((1, last),) for kind, last in ROWS.items()}, **BLOCKS}
    wanted = {
        f"{kind}-{n:0{3 if kind in 'LR' else 2}d}"
        for kind, ranges in blocks.items()
        for first, last in ranges
        for n in range(first, last + 1)
    }
    assert set(table()) == wanted


def test_every_row_has_a_proof_or_a_reason() -> None:
    assert [name for name, row in table().items() if not is_proof_or_reason(row)] == []


def test_every_named_test_exists() -> None:
    assert [f"{row}: {test}" for row, test in proven(table()) if not exists(test)] == []


def test_no_row_of_the_specification_is_missing() -> None:
    for name, kinds, least in (("lookoutvision", ROWS, 300), ("customlabels", BLOCKS, 230)):
        text = specification(name)
        if text is None:
            pytest.skip("no copy of the specification lies beside the repository (../shared/spec)")
        found = set()
        # "CLI-04 / 26" names two rows.
        for kind, number, more in re.findall(rf"\b({'|'.join(kinds)})-(\d\d\d?)((?: / \d\d)*)", text):
            found |= {f"{kind}-{each}" for each in (number, *more.replace("/", " ").split())}
        assert len(found) > least
        assert found - set(table()) == set()


def specification(name: str) -> str | None:
    """The requirements, where a copy lies beside the repository (beside its main checkout, where this is another)."""
    asked = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    file = Path(done.stdout.strip()).parents[1] / "shared" / "spec" / f"{name}.md"
    return file.read_text() if file.is_file() else None


def test_a_table_that_is_wrong_is_seen() -> None:
    assert not is_proof_or_reason([])
    assert not is_proof_or_reason({"out": ""})
    assert not is_proof_or_reason(None)
    assert not exists("tests/acceptance/test_coverage.py::test_nothing")
    assert not exists("tests/acceptance/test_nowhere.py::test_a_table_that_is_wrong_is_seen")
    assert exists("tests/acceptance/test_coverage.py::test_a_table_that_is_wrong_is_seen[any]")
    rows: dict[str, Row] = {"L-001": ["f.py::a", "f.py::b"], "L-002": {"out": "not part of it"}}
    assert unproven(rows, {"f.py::a": "passed", "f.py::b[1]": "skipped"}, whole=True) == []
    assert unproven(rows, {"f.py::a": "passed"}, whole=False) == []
    assert unproven(rows, {"f.py::a": "passed", "f.py::b[1]": "failed", "f.py::b[2]": "passed"}, whole=False)
    assert unproven(rows, {"f.py::a": "passed"}, whole=True) == ["L-001: f.py::b was not run"]
    assert unproven(rows, {"f.py::a": "skipped", "f.py::b": "skipped"}, whole=True)


@pytest.mark.runs_last
def test_what_the_table_names_has_passed(pytestconfig: pytest.Config, outcomes: Mapping[str, str]) -> None:
    """In a session of every test, all of them; in any other, those of them that it ran."""
    whole = pytestconfig.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        pytestconfig.option.keyword or pytestconfig.option.markexpr or pytestconfig.option.deselect
    )
    assert unproven(table(), outcomes, whole) == []
