"""What a person's shell needs to use the stack: `client.env`, and AWS profiles in files of their own."""

from __future__ import annotations

from pathlib import Path

from vigia_stack import paths
from vigia_stack.parts.objects import REGION
from vigia_stack.services import USER_BUCKET
from vigia_stack.site import Site

PROFILES = ("lookoutvision-access", "custom-labels-access")


def write(site: Site) -> Path:
    """Write `client.env` and the AWS files of a site, for the owner only; returns the path of `client.env`."""
    gateway = f"http://127.0.0.1:{site.ports.get('gateway')}"
    store = f"http://127.0.0.1:{site.ports.get('objects')}"
    key, secret = site.secret("access-key-id"), site.secret("secret-access-key")
    config, credentials = _aws_files(site, gateway, store, key, secret)
    values = {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_LOOKOUTVISION": gateway,
        "AWS_ENDPOINT_URL_REKOGNITION": gateway,
        "AWS_ENDPOINT_URL_STS": gateway,
        "AWS_ENDPOINT_URL_CLOUDWATCH": gateway,
        "AWS_ENDPOINT_URL_CLOUDTRAIL": gateway,
        "AWS_ENDPOINT_URL_S3": store,
        "AWS_DATA_PATH": str(paths.repository() / "shared" / "client" / "src" / "vigia_client" / "data"),
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
        "VIGIA_URL": gateway,
        "VIGIA_BUCKET": USER_BUCKET,
        "VIGIA_KAFKA": f"127.0.0.1:{site.ports.get('kafka')}",
        "VIGIA_POSTGRES": f"postgresql://vigia:{site.secret('postgres')}@127.0.0.1:{site.ports.get('postgres')}/vigia",
        "VIGIA_PROMETHEUS": f"http://127.0.0.1:{site.ports.get('prometheus')}",
    }
    text = "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())
    return site.write_private(site.state / "client.env", text)


def _aws_files(site: Site, gateway: str, store: str, key: str, secret: str) -> tuple[Path, Path]:
    config = ["[services vigia]"]
    ours = ("lookoutvision", "rekognition", "sts", "cloudwatch", "cloudtrail")
    for service, endpoint in (*((service, gateway) for service in ours), ("s3", store)):
        config += [f"{service} =", f"  endpoint_url = {endpoint}"]
    credentials = []
    for profile in ("default", *PROFILES):
        config += ["", "[default]" if profile == "default" else f"[profile {profile}]"]
        # Path style: a store on a loopback address has no names of buckets in its host name.
        config += [f"region = {REGION}", "services = vigia", "s3 =", "  addressing_style = path"]
        credentials += [f"[{profile}]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}", ""]
    return (
        site.write_private(site.conf("aws-config"), "\n".join(config) + "\n"),
        site.write_private(site.conf("aws-credentials"), "\n".join(credentials)),
    )


def _quoted(value: str) -> str:
    """The value for a file that shells read with `.` and other programs line by line: quoted only where it must be."""
    return value if all(c.isalnum() or c in "_-./:@%+=," for c in value) else "'" + value.replace("'", "'\\''") + "'"
