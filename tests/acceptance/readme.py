"""Runs what the README tells people who come from one of the two services, as it stands there.

A program of its own, as ``samples.py`` is; it needs the variables of ``client.env`` and ``aws`` on PATH, as after the
section's first block, which starts the product.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from programs import Program

ROOT = Path(__file__).resolve().parents[2]
START = "make up\n. .venv/bin/activate; set -a; . .vigia/client.env; set +a\n"


def blocks(heading: str) -> list[tuple[str, str]]:
    """(language, text) of the code in a section."""
    section = (ROOT / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


class Journey(Program):
    """Block after block."""

    def run(self):
        start, *shell = [text for language, text in blocks(self.told["heading"]) if not language]
        assert start == START
        (python,) = [text for language, text in blocks(self.told["heading"]) if language == "python"]
        for name, argv in (
            ("train", ["bash", "-euo", "pipefail", "-c", shell[0]]),
            ("python", [sys.executable, "-c", python]),
            ("cli", ["bash", "-c", shell[1]]),
            *(
                ("feedback", ["bash", "-euo", "pipefail", "-c", text])
                for text in shell
                if text.count("vigia feedback") == 3
            ),
        ):
            done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=450, check=False)
            if done.returncode:
                raise RuntimeError(f"{name}: {done.returncode}\n{done.stderr}")
            self.note(name, done.stdout)


if __name__ == "__main__":
    sys.exit(Journey.main())
