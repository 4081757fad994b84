"""Which hardware a component may be for, and which compiler options go with it: the guide's rules, without I/O."""

from __future__ import annotations

import json
import re
from typing import Final

from vigia_registry.packaging.domain import PLATFORM_OF, Accelerator, Arch, Configuration, Platform
from vigia_registry.packaging.errors import BadCompilerOptions, BadTarget

_NVIDIA: Final = {
    "gpu-code": (re.compile(r"sm_[0-9]{2,3}"), "sm_ and two or three digits, such as sm_75"),
    "trt-ver": (re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"), "a version x.y.z, such as 7.1.3"),
    "cuda-ver": (re.compile(r"[0-9]{1,3}\.[0-9]{1,3}"), "a version x.y, such as 10.2"),
}
_CPU: Final = {"mcpu": (re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}"), "the name of a processor, such as core-avx2")}
#: Compiled for where nothing else is asked: an instruction set of x86, so ARM has no such default.
_DEFAULT_MCPU: Final = {Arch.X86_64: "core-avx2"}
_AMPERE: Final = 80


def platform_of(configuration: Configuration) -> Platform:
    """The hardware that is asked for; BadTarget unless it is exactly one device or one platform."""
    device, platform = configuration.device, configuration.platform
    if device is not None and platform is not None:
        raise BadTarget("TargetDevice and TargetPlatform are both given; give one of them.")
    if device is not None:
        return PLATFORM_OF[device]
    if platform is None:
        raise BadTarget("Neither TargetDevice nor TargetPlatform is given; give one of them.")
    return platform


def options_of(configuration: Configuration) -> dict[str, str]:
    """The options to compile with, defaults filled in; BadTarget, BadCompilerOptions.

    A device has its own and takes none. NVIDIA needs all three of its options; a processor may be named.
    """
    platform = platform_of(configuration)
    text = configuration.compiler_options
    if configuration.device is not None:
        if text is not None:
            raise BadCompilerOptions("with a TargetDevice none may be given")
        return {}
    given = {} if text is None else _read(text)
    rules = _CPU if platform.accelerator is None else _NVIDIA
    for name, value in given.items():
        if name not in rules:
            raise BadCompilerOptions(f"{name} is unknown for this platform; known are: {', '.join(rules)}")
        pattern, meaning = rules[name]
        if pattern.fullmatch(value) is None:
            raise BadCompilerOptions(f"{name} must be {meaning}, not {value}")
    if platform.accelerator is Accelerator.NVIDIA:
        if missing := [name for name in _NVIDIA if name not in given]:
            raise BadCompilerOptions(f"NVIDIA needs {', '.join(missing)} too")
        if platform.arch is Arch.X86_64:
            _check_versions(given)
    elif platform.arch in _DEFAULT_MCPU:
        given.setdefault("mcpu", _DEFAULT_MCPU[platform.arch])
    return given


def _read(text: str) -> dict[str, str]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BadCompilerOptions("they must be a JSON object whose values are strings")
    return given


def _check_versions(given: dict[str, str]) -> None:
    """Which CUDA and TensorRT go with a GPU of an x86 machine. Of GPUs after Ampere nothing is known."""
    code = int(given["gpu-code"].removeprefix("sm_"))
    tensorrt = tuple(int(part) for part in given["trt-ver"].split("."))
    if code < _AMPERE and not (given["cuda-ver"] == "10.2" and (7, 1, 3) <= tensorrt < (8, 0, 0)):
        raise BadCompilerOptions(
            f"{given['gpu-code']} goes with cuda-ver 10.2 and a trt-ver of at least 7.1.3 and less than 8.0.0"
        )
    if code == _AMPERE and (given["cuda-ver"], tensorrt) != ("11.2", (8, 2, 0)):
        raise BadCompilerOptions("sm_80 goes with cuda-ver 11.2 and trt-ver 8.2.0")
