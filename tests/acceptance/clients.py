"""What the samples run with, fetched once with the ordinary package tools and kept in the cache.

``python -m tests.acceptance.clients`` fetches it now.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.customlabels import guide
from vigia_stack.supplies.once import call, made_once
from vigia_stack.supplies.truststore import java_options
from vigia_stack.supplies.uv import uv

#: The last botocore that had the service's model.
WITHDRAWN = "1.40.60"
HERE = Path(__file__).parent
JAVA = HERE / "java"


def withdrawn_boto3() -> Path:
    """Folder for PYTHONPATH with boto3 as it was when Lookout for Vision closed."""
    return _installed(f"boto3-{WITHDRAWN}", HERE / "lookoutvision" / f"boto3-{WITHDRAWN}.lock")


def printed_libraries() -> Path:
    """Folder for PYTHONPATH with what printed samples of Custom Labels import beside boto3: pandas and OpenCV."""
    return _installed("printed-samples", HERE / "customlabels" / "printed.lock")


def _installed(name: str, lock: Path) -> Path:
    """Folder with the packages of ``lock``, pinned by hashes, without what they need."""
    install = [
        uv(),
        "pip",
        "install",
        "-q",
        "--python",
        sys.executable,
        "--require-hashes",
        "--no-deps",
        "-r",
        str(lock),
    ]

    def make(folder: Path) -> None:
        call([*install, "--target", str(folder)], f"installing {name}")

    return made_once(f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:8]}", make)


@dataclass(frozen=True)
class JavaProgram:
    """The Java samples, compiled, with the Java SDK beside them."""

    folder: Path

    def argv(self, journey: str, *arguments: str) -> list[str]:
        """Command line of a journey, which is a class."""
        small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Djava.awt.headless=true"]
        path = f"{self.folder / 'classes'}{os.pathsep}{self.folder / 'lib'}/*"
        return ["java", *small, "-cp", path, f"vigia.acceptance.{journey}", *arguments]


def java_program() -> JavaProgram:
    """The Java samples, compiled again whenever they change."""
    digest = hashlib.sha256()
    for file in sorted(file for file in JAVA.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(JAVA)}\n".encode() + file.read_bytes())
    return JavaProgram(made_once(f"acceptance-java-{digest.hexdigest()[:12]}", _compile))


def _compile(folder: Path) -> None:
    shutil.copy2(JAVA / "pom.xml", folder)
    with tempfile.TemporaryDirectory() as scratch:
        options = " ".join([os.environ.get("MAVEN_OPTS", ""), *java_options(Path(scratch))]).strip()
        call(
            ["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), "package"],
            "fetching the AWS SDK for Java from Maven Central",
            env={**os.environ, "MAVEN_OPTS": options},
        )
    jars = os.pathsep.join(str(jar) for jar in sorted((folder / "lib").glob("*.jar")))
    compiler = ["java", "-cp", jars, "org.eclipse.jdt.internal.compiler.batch.Main"]
    where = ["-cp", jars, "-d", str(folder / "classes"), str(JAVA / "src" / "main" / "java")]
    call([*compiler, "-17", "-proc:none", "-nowarn", *where], "compiling the Java samples")


if __name__ == "__main__":
    withdrawn_boto3()
    if guide.guide() is not None:
        printed_libraries()
    java_program()
