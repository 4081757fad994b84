"""Triton from the PyPI wheel `nvidia-pytriton`, in an environment of its own beside ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from vigia_stack.errors import StackError
from vigia_stack.supplies.once import call, made_once
from vigia_stack.supplies.uv import uv

_WHEEL = "nvidia-pytriton==0.7.0"
_WITH = ("numpy<2", "onnxruntime==1.32.0")
_WITH_GPU = ("numpy<2", "onnxruntime-gpu[cuda,cudnn]==1.31.1")


@dataclass(frozen=True)
class Triton:
    """The server's files. `environment` is a Python environment, `backends` holds the Python backend."""

    environment: Path
    backends: Path

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return self.environment / "lib" / _python() / "site-packages"

    @property
    def program(self) -> Path:
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    def libraries(self) -> str:
        """LD_LIBRARY_PATH: the wheel's libraries, libpython, and CUDA's where they were installed."""
        cuda = sorted(str(folder) for folder in self.packages.glob("nvidia/*/lib"))
        return ":".join([str(self.packages / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR")), *cuda])


def gpu_wanted() -> bool:
    """Whether Triton runs models on a GPU: `VIGIA_DEVICE` is gpu, or is unset and a driver answers."""
    device = os.environ.get("VIGIA_DEVICE", "auto")
    return device == "gpu" or (device == "auto" and shutil.which("nvidia-smi") is not None)


def triton() -> Triton:
    """The server's files, fetched at the first call. Raises StackError when they cannot be had."""
    kind = "gpu" if gpu_wanted() else "cpu"
    # The environment refers to the Python it was made with.
    base = hashlib.sha256(sys.base_prefix.encode()).hexdigest()[:8]
    folder = made_once(f"triton-0.7.0-{kind}-{_python()}-{base}", _fetch)
    return Triton(folder / "environment", folder / "backends")


def _python() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _fetch(folder: Path) -> None:
    files = Triton(folder / "environment", folder / "backends")
    installer = uv()
    call([installer, "venv", "-q", "--python", sys.executable, str(files.environment)], "making Triton's environment")
    install = [installer, "pip", "install", "-q", "--python", str(files.environment / "bin" / "python")]
    # Without its dependencies: they are for the wheel's Python interface, which is not used.
    call([*install, "--no-deps", _WHEEL], f"installing {_WHEEL}")
    call([*install, *(_WITH_GPU if gpu_wanted() else _WITH)], "installing ONNX Runtime for Triton")
    server = files.packages / "pytriton" / "tritonserver"
    python = files.backends / "python"
    python.mkdir(parents=True)
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy2(server / "backends" / "python" / name, python / name)
    stub = server / "python_backend_stubs" / _python().removeprefix("python") / "triton_python_backend_stub"
    if not stub.exists():
        raise StackError(f"{_WHEEL} has no backend for {_python()}; use Python 3.11, 3.12 or 3.13")
    shutil.copy2(stub, python / stub.name)
