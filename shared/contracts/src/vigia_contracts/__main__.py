"""``vigia-contracts write|check FOLDER``: the generated documents."""

from __future__ import annotations

import sys
from pathlib import Path

from vigia_contracts import asyncapi


def main() -> None:
    match sys.argv[1:]:
        case ["write", folder]:
            asyncapi.write(Path(folder))
        case ["check", folder]:
            problems = asyncapi.drift(Path(folder))
            if problems:
                sys.exit("\n".join([*problems, "run: make docs"]))
        case _:
            sys.exit("usage: vigia-contracts write|check FOLDER")


if __name__ == "__main__":
    main()
