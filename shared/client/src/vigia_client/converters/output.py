"""Writing files that have their name only when they are whole, and errors that say where they are."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from vigia_client.errors import ActionableError

IMAGE_LEVEL: Final = "groundtruth/image-classification"
BOXES: Final = "groundtruth/object-detection"
#: Characters of a label's name and of a manifest's line, at most.
LONGEST_LABEL: Final = 256
LONGEST_LINE: Final = 100_000


class ConversionError(ActionableError):
    """The input cannot be converted; the text names the place in it."""


class Draft:
    """A text file that has its name, in place of another, only once it is kept; otherwise nothing is left of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f"{path.name}.part")

    def __enter__(self) -> Draft:
        # Lines end as they are written, on every system.
        self.file: TextIO = self._part.open("w", encoding="utf-8", newline="")
        return self

    def keep(self) -> Path:
        """Nothing more is written: give it its name, which is returned."""
        self.file.close()
        return self._part.replace(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        self._part.unlink(missing_ok=True)


def write_line(draft: Draft, fields: Mapping[str, Any], where: str) -> None:
    """One line of a manifest; ConversionError where no dataset would take it."""
    try:
        text = json.dumps(fields, allow_nan=False)
    except ValueError as error:
        raise ConversionError(f"{where}: a number in it is none in JSON") from error
    if len(text) > LONGEST_LINE:
        raise ConversionError(f"{where}: its line has {len(text)} characters; a dataset takes {LONGEST_LINE}")
    draft.file.write(f"{text}\n")


def check_label(label: object, where: str) -> str:
    """The name of a label; ConversionError."""
    if not isinstance(label, str) or not label.strip():
        raise ConversionError(f"{where}: a label's name is a text that is not blank")
    if len(label) > LONGEST_LABEL:
        raise ConversionError(f"{where}: the label has {len(label)} characters; at most {LONGEST_LABEL} are allowed")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        raise ConversionError(f"{where}: {label!a} has a control character")
    return label


def folder(uri: str) -> str:
    """The address of a folder in a bucket, with the slash at its end; ConversionError."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    if not uri.startswith("s3://") or not bucket:
        raise ConversionError(f"{uri}: the folder of the images is written s3://BUCKET/FOLDER/")
    return uri if uri.endswith("/") else f"{uri}/"
