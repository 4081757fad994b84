"""How hosting works. Seconds throughout."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vigia_runtime.settings import Group


class ServingSettings(Group):
    """How every version is served; a change takes effect at a version's next load."""

    device: Literal["auto", "cpu", "gpu"] = Field(
        default="auto", description="auto: on the GPUs that Triton sees, else on its CPU"
    )
    max_batch_size: int = Field(default=8, ge=1, le=1024, description="images that one run may take")
    queue_delay_seconds: float = Field(
        default=0.0005, ge=0, le=1, description="how long an image waits for others to share a run with"
    )
    queue_size: int = Field(default=64, ge=1, description="requests waiting per inference unit; more are refused")
    queue_timeout_seconds: float = Field(default=5.0, gt=0, description="after this wait a request is refused")
    threads: int = Field(default=1, ge=1, le=256, description="threads that one inference unit may use on a CPU")
    parity: float = Field(
        default=1e-4, gt=0, lt=1, description="largest difference of a golden answer's number, as a share of the number"
    )


class HostingSettings(Group):
    """How versions come and go."""

    namespace: str = Field(
        default="vigia",
        pattern=r"^[A-Za-z0-9_\-]{1,32}$",
        description="begins the names of our models in Triton; what is loaded there under another name is left alone",
    )
    drain_seconds: float = Field(
        default=1.0, ge=0, description="how long a stopped version still answers once its end is announced on Kafka"
    )
    drain_limit_seconds: float = Field(
        default=30.0, ge=0, description="after this time a stopped version is unloaded, announced or not"
    )
    start_seconds: float = Field(default=600.0, gt=0, description="after this time a start that nothing settles failed")
    load_seconds: float = Field(default=120.0, gt=0, description="longest load or unload of one version in one Triton")
    attempts: int = Field(default=3, ge=1, description="loads of one version in one Triton before its start failed")
    probe_seconds: float = Field(default=3.0, gt=0, description="pause between golden inferences of a hosted version")
    lost_seconds: float = Field(default=10.0, gt=0, description="after this silence a Triton counts as lost")


class ScalingSettings(Group):
    """How the units of a version follow demand, where StartModel named a maximum."""

    window_seconds: float = Field(default=5.0, gt=0, description="stretch of time that is judged as one")
    queue_seconds: float = Field(
        default=0.05, gt=0, description="a longer mean wait in Triton's queue asks for one unit more"
    )
    out_windows: int = Field(default=2, ge=1, le=1000, description="windows in a row that must ask for one more")
    in_windows: int = Field(default=12, ge=1, le=1000, description="windows in a row that must allow one less")
    utilization: float = Field(
        default=0.6, gt=0, le=1, description="a unit is given up when the others would be busy for no larger share"
    )
