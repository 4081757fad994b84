"""`python -m vigia_stack.supplies`: fetch and build everything that the stack is made of, now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from vigia_stack.errors import StackError
from vigia_stack.supplies.debian import program
from vigia_stack.supplies.kafka import kafka
from vigia_stack.supplies.triton import triton
from vigia_stack.supplies.versitygw import versitygw


def main() -> int:
    """Make all supplies side by side; says what took how long. Returns 1 when any could not be had."""
    makers: dict[str, Callable[[], object]] = {
        "Kafka": kafka,
        "the object store": versitygw,
        "Triton": triton,
        "Caddy": lambda: program("caddy"),
        "Prometheus": lambda: program("prometheus"),
    }
    began = time.monotonic()
    failed = 0
    with ThreadPoolExecutor(len(makers)) as pool:
        futures = {pool.submit(make): name for name, make in makers.items()}
        for future in as_completed(futures):
            try:
                future.result()
            except StackError as error:
                failed += 1
                print(f"setup: {futures[future]}: {error}", file=sys.stderr)
            else:
                print(f"setup: {futures[future]} is there ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
