"""The samples of a guide as it prints them, taken from a copy of it where one lies beside the repository.

A copy is a text made of a PDF: a sample is one or several fenced blocks (a page each), long lines are wrapped, and page
breaks lose indentation. A guide's ``repairs`` undo that damage by line number. They move lines sideways and join
wrapped ones, which changes blanks and line ends only; the few characters that the conversion or the guide itself got
wrong are ``typos``. Everything else runs as printed.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Repair:
    """``shift``: (first, last) line of the guide to columns; ``join``: lines that go on the one before.

    ``glue`` is ``join`` without the blank: inside a word.
    """

    shift: Mapping[tuple[int, int], int] = field(default_factory=dict)
    join: tuple[int, ...] = ()
    glue: tuple[int, ...] = ()


@dataclass(frozen=True)
class Guide:
    """One guide; ``name`` is a pattern of its file's, ``samples`` says with which line each begins.

    ``typos``: sample to line to (wrong, right) characters.
    """

    name: str
    samples: Mapping[str, int]
    repairs: Mapping[str, Repair]
    typos: Mapping[str, Mapping[int, tuple[str, str]]]

    def guide(self) -> Path | None:
        """The copy beside the repository (beside its main checkout, where this is another), if there is one."""
        asked = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
        done = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        found = sorted((Path(done.stdout.strip()).parents[1] / "shared" / "seeds").glob(self.name))
        return found[0] if found else None

    def printed(self, lines: list[str], sample: str) -> list[tuple[int, str]]:
        """Numbered lines of a sample without typos: its fenced block and those that follow after only blank lines."""
        typos = self.typos.get(sample, {})
        number = self.samples[sample]
        found: list[tuple[int, str]] = []
        inside = True
        while True:
            line = lines[number - 1].rstrip()
            if line == "```":
                inside = not inside
            elif inside:
                if number in typos:
                    wrong, right = typos[number]
                    assert line.count(wrong) == 1, (sample, number, line)
                    line = line.replace(wrong, right)
                found.append((number, line))
            elif line:
                return found
            number += 1

    def source(self, lines: list[str], sample: str) -> str:
        """The sample's text, repaired."""
        repair = self.repairs.get(sample, Repair())
        out: list[str] = []
        for number, line in self.printed(lines, sample):
            if number in repair.join or number in repair.glue:
                out[-1] += " " * (number in repair.join) + line.strip()
                continue
            columns = sum(by for (first, last), by in repair.shift.items() if first <= number <= last)
            out.append(" " * columns * bool(line) + line)
        return textwrap.dedent("\n".join(out)) + "\n"

    def untouched(self, lines: list[str]) -> set[str]:
        """Samples that run exactly as the text has them; AssertionError for a repair that changes more than blanks.

        Raises SyntaxError for a sample that does not compile.
        """
        for sample in self.samples:
            repaired = self.source(lines, sample)
            compile(repaired, sample, "exec")
            text = "".join(line for _, line in self.printed(lines, sample))
            assert re.sub(r"\s", "", repaired) == re.sub(r"\s", "", text), sample
        return {sample for sample in self.samples if sample not in self.repairs and sample not in self.typos}
