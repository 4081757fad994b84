"""What the programs through the samples share: how one is called, what it leaves behind, and the AWS CLI.

Imported as the top-level module ``programs``; nothing here is Vigia's, and boto3 may be any.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path


class Program:
    """``python PROGRAM.py JOURNEY.json RECORDS.jsonl``: what ``JOURNEY.json`` tells, and a line for each sample.

    A program ends at the first sample that fails, with a last line that says why.
    """

    def __init__(self, told: dict, records: Path) -> None:
        self.told = told
        self.records = records

    def run(self):
        """Every sample once, in an order in which each finds what it needs."""
        raise NotImplementedError

    def note(self, sample, seen=None):
        """Writes down what a sample saw."""
        with self.records.open("a") as out:
            out.write(json.dumps({"id": sample, "seen": seen}, default=plain) + "\n")
        return seen

    @classmethod
    def main(cls) -> int:
        """The exit code."""
        told, records = Path(sys.argv[1]), Path(sys.argv[2])
        program = Program({}, records)
        try:
            program = cls(json.loads(told.read_text()), records)
            program.run()
        except BaseException:
            program.note("failed", re.sub(r"\n\s*\^+", "", traceback.format_exc()))
            return 1
        return 0


def plain(value):
    """JSON for what has none: times as text, bytes as their number."""
    return len(value) if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Ended:
    """An ended command: exit code, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_aws(*arguments) -> Ended:
    """``aws …``: the driver that the command ``aws`` calls, a new one for each, in this process.

    A process for each command would spend most of its time importing the same modules.
    """
    from awscli.clidriver import create_clidriver

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = create_clidriver().main(list(arguments))
        except SystemExit as ended:
            code = ended.code
    return Ended(int(code or 0), out.getvalue(), err.getvalue())


def aws(*arguments):
    """The JSON that ``aws …`` prints, or its text where that is no JSON; RuntimeError for any other code than 0."""
    done = run_aws(*arguments)
    if done.returncode:
        raise RuntimeError(f"aws {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout
