"""Ports of a stack: well-known where free, any free one otherwise, and the same again after a restart."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigia_stack.errors import StackError

WELL_KNOWN = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "postgres": 5432,
    "objects": 7070,
    "triton-http": 8000,
    "triton-grpc": 8001,
    "triton-metrics": 8002,
    "gateway": 8080,
    "prometheus": 9090,
}
_FREE_RANGE = range(20_000, 32_000)  # below the range that the kernel gives to outgoing connections


class Ports:
    """Names to ports, kept in `file`, which several processes may use. With `well_known` the usual ones come first.

    A port set by `VIGIA_PORT_<NAME>` (dashes become underscores) is taken as it is.
    """

    def __init__(self, file: Path, *, well_known: bool) -> None:
        self._file = file
        self._well_known = well_known

    def get(self, name: str) -> int:
        """The port of `name`, chosen at the first call and remembered."""
        wanted = os.environ.get(f"VIGIA_PORT_{name.replace('-', '_').upper()}") if self._well_known else None
        with self._known() as known:
            if wanted:
                known[name] = int(wanted)
            elif name not in known:
                known[name] = self._choose(name, set(known.values()))
            return known[name]

    def release_taken(self, names: set[str]) -> None:
        """Forget those of `names` that another program has taken meanwhile. Call only for parts that do not run."""
        with self._known() as known:
            for name in names & known.keys():
                if not is_free(known[name]):
                    del known[name]

    def _choose(self, name: str, taken: set[int]) -> int:
        usual = WELL_KNOWN.get(name)
        if self._well_known and usual is not None and usual not in taken and is_free(usual):
            return usual
        for port in random.sample(_FREE_RANGE, 200):
            if port not in taken and is_free(port):
                return port
        raise StackError(f"no free port for {name} between {_FREE_RANGE.start} and {_FREE_RANGE.stop}")

    @contextmanager
    def _known(self) -> Iterator[dict[str, int]]:
        """The ports as they are in the file now; changes are written back before anyone else reads it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}
            known = dict(before)
            yield known
            if known != before:
                temporary = self._file.with_suffix(".tmp")
                temporary.write_text(json.dumps(known, indent=1, sort_keys=True))
                temporary.replace(self._file)


def is_free(port: int) -> bool:
    """Whether nothing listens on the port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
