"""Triton, on the GPU where there is one, otherwise on the CPU. Models come by load request, never from a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx

from vigia_stack import paths
from vigia_stack.errors import NotReady
from vigia_stack.parts.base import Part, plain_environment
from vigia_stack.process import Command
from vigia_stack.site import Site
from vigia_stack.supplies.triton import Triton, triton


@dataclass(frozen=True)
class TritonAddress:
    """host:port of Triton's three doors."""

    grpc: str
    http: str
    metrics: str


class TritonPart(Part):
    """Ready when it answers for its model index."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "triton", ports=("triton-http", "triton-grpc", "triton-metrics"))
        self._files: Triton | None = None

    @property
    def addresses(self) -> TritonAddress:
        grpc, http, metrics = (f"127.0.0.1:{self.port(f'triton-{door}')}" for door in ("grpc", "http", "metrics"))
        return TritonAddress(grpc, http, metrics)

    def prepare(self) -> None:
        self._files = triton()
        self.site.data("triton").mkdir(exist_ok=True)
        backends = self.site.conf("triton-backends")
        backends.mkdir(exist_ok=True)
        ours = paths.repository() / "deploy" / "triton" / "backends" / "onnxruntime"
        for name, target in (("python", self._files.backends / "python"), ("onnxruntime", ours)):
            link = backends / name
            if not link.is_symlink() or link.readlink() != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target)

    def command(self) -> Command:
        files = self._files
        assert files is not None, "prepare() comes first"
        argv = [
            str(files.program),
            f"--model-repository={self.site.data('triton')}",
            f"--backend-directory={self.site.conf('triton-backends')}",
            "--model-control-mode=explicit",
            "--exit-on-error=false",
            "--strict-readiness=false",  # otherwise any unload or failed load makes the whole server unready
            "--disable-auto-complete-config",
            *(f"--{door}-address=127.0.0.1" for door in ("http", "grpc", "metrics")),
            *(f"--{door}-port={self.port(f'triton-{door}')}" for door in ("http", "grpc", "metrics")),
            "--http-thread-count=2",
            "--metrics-config=summary_latencies=true",
            "--pinned-memory-pool-byte-size=0",
            "--model-load-thread-count=2",
            "--exit-timeout-secs=10",
        ]
        environment = {
            **plain_environment(),
            "VIRTUAL_ENV": str(files.environment),
            "PATH": f"{files.environment / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": files.libraries(),
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            # Without these an instance keeps more than twice the memory it needs.
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_TRIM_THRESHOLD_": "131072",
            "MALLOC_MMAP_THRESHOLD_": "131072",
        }
        return Command(argv, environment)

    def check(self) -> None:
        try:
            answer = httpx.post(f"http://{self.addresses.http}/v2/repository/index", json={}, timeout=3)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise NotReady(str(error)) from error

    def address(self) -> str:
        return f"grpc {self.addresses.grpc}, http {self.addresses.http}"
