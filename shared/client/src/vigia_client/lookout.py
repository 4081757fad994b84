"""boto3 clients of an installation, made from its own settings: nothing else in the shell can lead them elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config

from vigia_client.environment import Environment
from vigia_client.errors import ActionableError
from vigia_client.service_model import data_path

#: Requests above the rate that an account has are refused for a moment: they are sent again.
_PATIENT: Final = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 6})
_SLOWEST_LOOK: Final = 2.0

Json = dict[str, Any]


class UnfinishedError(ActionableError):
    """Something of the service's did not become what it should, or not in time; the text says what it says."""


def lookoutvision(environment: Environment) -> Any:
    """A client of the Lookout for Vision protocol; NotConfiguredError."""
    core = botocore.session.Session()
    core.get_component("data_loader").search_paths.append(str(data_path()))
    endpoint = environment.get("AWS_ENDPOINT_URL_LOOKOUTVISION") or environment.need("VIGIA_URL")
    return _session(environment, core).client("lookoutvision", endpoint_url=endpoint, config=_PATIENT)


def rekognition(environment: Environment) -> Any:
    """A client of the Rekognition protocol, for Custom Labels; NotConfiguredError."""
    endpoint = environment.get("AWS_ENDPOINT_URL_REKOGNITION") or environment.need("VIGIA_URL")
    config = _PATIENT.merge(Config(max_pool_connections=32))
    return _session(environment).client("rekognition", endpoint_url=endpoint, config=config)


def sts(environment: Environment) -> Any:
    """A client of the Security Token Service; NotConfiguredError."""
    endpoint = environment.get("AWS_ENDPOINT_URL_STS") or environment.need("VIGIA_URL")
    return _session(environment).client("sts", endpoint_url=endpoint, config=_PATIENT)


def object_store(environment: Environment) -> Any:
    """A client of the installation's object store; NotConfiguredError."""
    endpoint = environment.need("AWS_ENDPOINT_URL_S3")
    config = _PATIENT.merge(Config(s3={"addressing_style": "path"}, max_pool_connections=32))
    return _session(environment).client("s3", endpoint_url=endpoint, config=config)


def of_profile(profile: str, service: str) -> Any:
    """A client of an AWS profile: its keys, its region, and its ``endpoint_url`` for the service where it has one.

    BotoCoreError when there is no such profile. What the shell says of endpoints is of the installation, not of it.
    """
    core = botocore.session.Session(profile=profile)
    held = core.get_scoped_config()
    services = core.full_config.get("services", {}).get(held.get("services"), {})
    endpoint = services.get(service, {}).get("endpoint_url") or held.get("endpoint_url")
    config = _PATIENT.merge(Config(ignore_configured_endpoint_urls=True, max_pool_connections=32))
    return boto3.Session(botocore_session=core).client(service, endpoint_url=endpoint, config=config)


def wait(look: Callable[[], Json], busy: Callable[[str], bool], within: float, told: Callable[[Json], None]) -> Json:
    """What ``look`` answers once its ``Status`` is not busy; UnfinishedError after ``within`` seconds."""
    deadline = time.monotonic() + within
    pause = 0.1
    while True:
        found = look()
        if not busy(found["Status"]):
            return found
        told(found)
        if time.monotonic() > deadline:
            raise UnfinishedError(f"still {found['Status']} after {within:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, _SLOWEST_LOOK)


def _session(environment: Environment, core: Any = None) -> Any:
    return boto3.Session(
        environment.need("AWS_ACCESS_KEY_ID"),
        environment.need("AWS_SECRET_ACCESS_KEY"),
        environment.get("AWS_SESSION_TOKEN"),
        region_name=environment.get("AWS_REGION") or environment.need("AWS_DEFAULT_REGION"),
        botocore_session=core,
    )
