"""Java's view of the certificate authorities that the environment names: Java alone does not read SSL_CERT_FILE."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import struct
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_PASSWORD = "changeit"  # noqa: S105 - Java's usual one; the file holds public certificates only


def java_options(folder: Path) -> list[str]:
    """JVM options that trust the authorities of SSL_CERT_FILE, written to `folder`; none where it is not set."""
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle or not Path(bundle).is_file():
        return []
    store = folder / "authorities.jks"
    certificates = [ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(Path(bundle).read_text(errors="replace"))]
    store.write_bytes(java_key_store(certificates))
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=JKS",
        f"-Djavax.net.ssl.trustStorePassword={_PASSWORD}",
    ]


def java_key_store(certificates: list[bytes]) -> bytes:
    """A key store (format JKS, version 2) of trusted certificates, given in DER."""
    body = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        # tag 2 is a trusted certificate; then its alias, its date and its encoding
        body += struct.pack(">I", 2) + _text(f"authority-{number}") + struct.pack(">Q", 0) + _text("X.509")
        body += struct.pack(">I", len(certificate)) + certificate
    check = hashlib.sha1(_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body, usedforsecurity=False)
    return body + check.digest()


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()
