"""The AWS CLI as it is installed, pointed at the registry. One process for several commands: it is slow to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from vigia_client.service_model import data_path

from .conftest import KEY, REGION, SECRET, Registry

_RUN = """
import json, sys
from awscli.clidriver import create_clidriver
for arguments in json.loads(sys.argv[1]):
    code = create_clidriver().main(["lookoutvision", *arguments])
    print(json.dumps({"exit": code}), flush=True)
"""


def aws(registry: Registry, *commands: list[str]) -> list[Any]:
    """What each command printed, as JSON; None for one that prints nothing. Each must succeed."""
    environment = os.environ | {
        "AWS_DATA_PATH": str(data_path()),
        "AWS_ENDPOINT_URL_LOOKOUTVISION": registry.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
    }
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(commands)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split('{"exit": 0}')
    assert len(printed) == len(commands) + 1, done.stdout + done.stderr
    return [json.loads(text) if text.strip() else None for text in printed[:-1]]
