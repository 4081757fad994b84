"""Java trusts the authorities that SSL_CERT_FILE names."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from vigia_stack.supplies import truststore


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no keytool (part of Java) to read the store with")
def test_java_reads_the_store_and_finds_each_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    options = truststore.java_options(tmp_path)
    assert options[0].startswith("-Djavax.net.ssl.trustStore=")
    argv = ["keytool", "-list", "-storepass", "changeit", "-keystore", str(tmp_path / "authorities.jks")]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert listed.count("trustedCertEntry") == Path(bundle).read_text().count("BEGIN CERTIFICATE")


def test_nothing_is_changed_where_no_authority_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert truststore.java_options(tmp_path) == []
