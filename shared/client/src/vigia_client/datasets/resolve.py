"""Which file a manifest means, when everything has been moved since it was written.

A manifest names images by the bucket in which they once lay. What is kept of a path is its end: of
``s3://old/line-1/train/images/a.jpg``, ``line-1/train/images/a.jpg``, then ``train/images/a.jpg`` and so on are looked
for below the place and around the manifest. The first folder that is there is the one, and two folders of a manifest
never become one: an image that is missing is not replaced by a namesake elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vigia_client.datasets.places import MissingError, Place, join, last, parent, split

#: After so many files of one folder that were nowhere, the others are not searched for any more.
_TRIES: Final = 20


class Resolver:
    """For one manifest of ``place``. ``around``: addresses of folders of the place to look in, best first."""

    def __init__(self, place: Place, around: list[str]) -> None:
        self._place = place
        self._around = around
        self._found: dict[str, str] = {}
        self._missed: dict[str, int] = {}

    @property
    def folders(self) -> frozenset[str]:
        """Addresses of the folders that images were found in."""
        return frozenset(self._found.values())

    def find(self, ref: str) -> str:
        """The address of the file; MissingError. Of a folder known already the file itself is not looked for."""
        folder, name = parent(ref), last(ref)
        if not name:
            raise MissingError(f"{ref} names no file")
        if folder in self._found:
            return join(self._found[folder], name)
        if self._missed.get(folder, 0) < _TRIES:
            taken = self.folders
            for candidate, kept in self._candidates(folder):
                if candidate in taken:
                    continue
                if self._place.exists(join(candidate, name)):
                    self._found[folder] = candidate
                    return join(candidate, name)
                if kept and self._place.has_folder(candidate):
                    break
            self._missed[folder] = self._missed.get(folder, 0) + 1
        raise MissingError(f"{ref} is not there, whole or with the beginning of its path left away")

    def _candidates(self, folder: str) -> Iterator[tuple[str, int]]:
        """Addresses of folders that it may be, and how many names of its path each keeps."""
        place = split(f"{folder}/-")  # so that a bucket's own root is a folder too
        if place is None:
            parts = [part for part in folder.split("/") if part not in ("", ".")]
        else:
            if self._place.root:
                yield folder.replace("s3: //", "s3://"), 1
            parts = [place[0], *place[1].split("/")[:-1]]
        for left_away in range(len(parts) + 1):
            for base in self._around:
                yield join(base, "/".join(parts[left_away:])).rstrip("/"), len(parts) - left_away


def around(place: Place, manifest: str) -> list[str]:
    """The folder of a manifest and those above it, up to the place's root."""
    folders = [parent(manifest)]
    while folders[-1] != place.root and folders[-1]:
        folders.append(parent(folders[-1]))
    return folders
