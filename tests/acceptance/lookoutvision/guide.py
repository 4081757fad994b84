"""The Python samples as the guide prints them, taken from a copy of it where one lies beside the repository.

The copy is a text made of a PDF: a sample is one or several fenced blocks (a page each), long lines are wrapped, and
page breaks lose indentation. ``REPAIRS`` undoes that damage by line number. It moves lines sideways and joins wrapped
ones, which changes blanks and line ends only; the few characters that the conversion or the guide itself got wrong are
in ``TYPOS``. Everything else runs as printed.
"""

from __future__ import annotations

import subprocess
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

_NAME = "*dbb69dbfe47e65cc*.txt"


@dataclass(frozen=True)
class Repair:
    """``shift``: (first, last) line of the guide to columns; ``join``: lines that go on the one before.

    ``glue`` is ``join`` without the blank: inside a word.
    """

    shift: dict[tuple[int, int], int] = field(default_factory=dict)
    join: tuple[int, ...] = ()
    glue: tuple[int, ...] = ()


#: Line of the guide with the first line of each sample. Two are not here: PY-11 needs a font of another system and a
#: Pillow of 2022, PY-12 divides a text by a number. ``samples.py`` does what they do.
SAMPLES: dict[str, int] = {
    "PY-01": 724,
    "PY-02": 1819,
    "PY-03": 2530,
    "PY-04": 2865,
    "PY-05": 3299,
    "PY-06": 3556,
    "PY-07": 4220,
    "PY-08": 4472,
    "PY-09": 4671,
    "PY-10a": 4903,
    "PY-10b": 4995,
    "PY-10c": 5123,
    "PY-13": 6239,
    "PY-14": 8051,
    "PY-15": 8195,
    "PY-16": 8293,
    "PY-17": 8451,
    "PY-18": 8770,
    "PY-19": 9265,
    "PY-20": 8900,
    "PY-21": 9382,
}

REPAIRS: dict[str, Repair] = {
    "PY-02": Repair(join=(1831,)),
    "PY-03": Repair(
        {
            (2590, 2604): 12,
            (2606, 2612): 4,
            (2635, 2646): 8,
            (2648, 2666): 12,
            (2668, 2673): 4,
            (2683, 2694): 4,
            (2729, 2737): 4,
        },
        glue=(2659,),
    ),
    "PY-04": Repair({(2907, 2925): 8, (2927, 2931): 4, (2933, 2935): 4}, join=(2929,)),
    # Printed as part of ``else``, line 3369 would never end the loop of a training that succeeds.
    "PY-05": Repair({(3335, 3368): 8, (3369, 3369): 4, (3370, 3374): 4}, join=(3345,)),
    "PY-07": Repair({(4254, 4287): 8, (4288, 4290): 4}),
    "PY-08": Repair({(4494, 4515): 8, (4517, 4519): 4, (4520, 4522): 4}),
    "PY-09": Repair({(4682, 4704): 4}),
    "PY-10a": Repair(join=(4923, 4926)),
    "PY-10b": Repair(join=(5021, 5028, 5030, 5032)),
    "PY-10c": Repair({(5153, 5160): 4}, join=(5143, 5155)),
    "PY-13": Repair({(6303, 6307): 4}),
    "PY-14": Repair({(8085, 8094): 8, (8096, 8096): 12, (8097, 8100): 4}, join=(8073,)),
    "PY-15": Repair({(8206, 8213): 4}, join=(8209,)),
    "PY-16": Repair(join=(8315, 8317, 8319, 8321)),
    "PY-17": Repair(join=(8491, 8500, 8507, 8514, 8521, 8527, 8534)),
    "PY-18": Repair({(8775, 8798): 4}),
    "PY-19": Repair(join=(9275,)),
    "PY-20": Repair({(9024, 9055): 4, (9070, 9111): 4, (9117, 9142): 4, (9162, 9177): 4}, join=(9050,)),
    "PY-21": Repair(join=(9403,)),
}

TYPOS: dict[str, dict[int, tuple[str, str]]] = {
    "PY-05": {3323: ('""").', '"").')},
    "PY-13": {6301: ('"""', "")},  # printed at the end of one page and the begin of the next
    "PY-14": {8074: ("]:", "")},
    "PY-17": dict.fromkeys((8514, 8521, 8527), ('."))', '.")')),
    "PY-20": {9020: ('"""', "")},  # the docstring goes on
}


def guide() -> Path | None:
    """The copy beside the repository (beside its main checkout, where this is another), if there is one."""
    asked = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
    done = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    found = sorted((Path(done.stdout.strip()).parents[1] / "shared" / "seeds").glob(_NAME))
    return found[0] if found else None


def printed(lines: list[str], sample: str) -> list[tuple[int, str]]:
    """Numbered lines of a sample: its fenced block and those that follow with nothing but blank lines between."""
    number = SAMPLES[sample]
    found: list[tuple[int, str]] = []
    inside = True
    while True:
        line = lines[number - 1].rstrip()
        if line == "```":
            inside = not inside
        elif inside:
            found.append((number, line))
        elif line:
            return found
        number += 1


def source(lines: list[str], sample: str) -> str:
    """The sample's text, repaired."""
    repair, typos = REPAIRS.get(sample, Repair()), TYPOS.get(sample, {})
    out: list[str] = []
    for number, line in printed(lines, sample):
        if number in typos:
            wrong, right = typos[number]
            assert line.count(wrong) == 1, (sample, number, line)
            line = line.replace(wrong, right)
        if number in repair.join or number in repair.glue:
            out[-1] += " " * (number in repair.join) + line.strip()
            continue
        columns = sum(by for (first, last), by in repair.shift.items() if first <= number <= last)
        out.append(" " * columns * bool(line) + line)
    return textwrap.dedent("\n".join(out)) + "\n"
