"""The clients of the closed service, fetched once with the ordinary package tools and kept in the cache.

``python -m tests.acceptance.lookoutvision.clients`` fetches them now.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vigia_stack.supplies.once import call, made_once
from vigia_stack.supplies.truststore import java_options
from vigia_stack.supplies.uv import uv

#: The last botocore that had the service's model.
WITHDRAWN = "1.40.60"
LOCK = Path(__file__).with_name(f"boto3-{WITHDRAWN}.lock")
JAVA = Path(__file__).parents[1] / "java"


def withdrawn_boto3() -> Path:
    """Folder for PYTHONPATH with boto3 as it was when the service closed; pinned by hashes."""
    name = f"boto3-{WITHDRAWN}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"
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
        str(LOCK),
    ]
    what = f"installing boto3 {WITHDRAWN}"

    def make(folder: Path) -> None:
        call([*install, "-r", str(LOCK), "--target", str(folder)], what)

    return made_once(name, make)


@dataclass(frozen=True)
class JavaProgram:
    """The Java samples, compiled, with the Java SDK beside them."""

    folder: Path

    def argv(self, *arguments: str) -> list[str]:
        """Command line of the journey."""
        small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Djava.awt.headless=true"]
        path = f"{self.folder / 'classes'}{os.pathsep}{self.folder / 'lib'}/*"
        return ["java", *small, "-cp", path, "vigia.acceptance.Journey", *arguments]


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
    java_program()
