"""Kafka's jars from Maven Central, a formatted empty log folder, and an archive of loaded classes.

The extras save seconds at each start: with the archive (class data sharing) a broker starts in a third of the time, and
a formatted folder is simply copied, because nothing in it depends on ports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from vigia_stack.errors import StackError, tail
from vigia_stack.ports import Ports
from vigia_stack.supplies.once import call, made_once
from vigia_stack.supplies.truststore import java_options

VERSION = "4.3.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>vigia</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.24.3</version></dependency>
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
    <executions><execution><phase>package</phase><goals><goal>copy-dependencies</goal></goals>
      <configuration><includeScope>runtime</includeScope><outputDirectory>${{project.basedir}}/lib</outputDirectory></configuration>
    </execution></executions>
  </plugin></plugins></build>
</project>
"""
_CLUSTER = "dmlnaWEtc3RhY2stb25lMQ"  # any 16 bytes in base64; every stack of one broker may have the same
_LOG4J = """<Configuration status="WARN">
<Appenders><Console name="out"><PatternLayout pattern="%d %-5p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""
_SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=2097152
message.max.bytes=2097152
replica.fetch.max.bytes=2097152
log.segment.bytes=67108864
log.retention.check.interval.ms=30000
"""


@dataclass(frozen=True)
class Kafka:
    """A broker's files: `jars` (with log4j2.xml), `formatted` (an empty log folder), `archive` (class data) or None."""

    java: str
    jars: Path
    formatted: Path
    archive: Path | None

    def settings(self, data: Path, port: int, controller: int) -> str:
        """Text of server.properties for a broker and controller in one process on loopback."""
        return _SETTINGS.format(data=data, port=port, controller=controller)

    def argv(self, properties: Path) -> list[str]:
        """Command line of a broker with this server.properties."""
        flags = (
            [] if self.archive is None else ["-Xshare:auto", f"-XX:SharedArchiveFile={self.archive / 'classes.jsa'}"]
        )
        return _java(self.java, self.jars, flags, "kafka.Kafka", str(properties))


def kafka() -> Kafka:
    """The broker's files, made at the first call (half a minute, more with a cold Maven repository).

    Raises StackError when Java or Maven is missing or a download fails.
    """
    java = shutil.which("java")
    if java is None:
        raise StackError("java is not installed (17 or newer is needed); run `make setup`")
    jars = made_once(f"kafka-{VERSION}/jars", _fetch)
    formatted = made_once(f"kafka-{VERSION}/formatted", lambda folder: _format(java, jars, folder))
    # An archive fits one JVM and one class path only: a JVM that was upgraded gets a new one.
    runtime = str(Path(java).resolve().stat().st_mtime_ns)
    plain = Kafka(java, jars, formatted, None)
    archive = made_once(f"kafka-{VERSION}/classes-{runtime}", lambda folder: _archive(plain, folder))
    return replace(plain, archive=archive)


def _java(java: str, jars: Path, flags: list[str], main: str, *arguments: str) -> list[str]:
    small = ["-Xmx320m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    log4j = f"-Dlog4j2.configurationFile={jars / 'log4j2.xml'}"
    return [java, *small, *flags, log4j, "-cp", f"{jars / 'lib'}/*", main, *arguments]


def _fetch(folder: Path) -> None:
    (folder / "pom.xml").write_text(_POM)
    (folder / "log4j2.xml").write_text(_LOG4J)
    with tempfile.TemporaryDirectory() as scratch:
        options = " ".join([os.environ.get("MAVEN_OPTS", ""), *java_options(Path(scratch))])
        call(
            ["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), "package"],
            "fetching Kafka from Maven Central",
            env={**os.environ, "MAVEN_OPTS": options.strip()},
        )


def _format(java: str, jars: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        conf = Path(scratch) / "server.properties"
        conf.write_text(_SETTINGS.format(data=folder, port=9092, controller=9093))
        argv = _java(java, jars, [], "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(conf))
        call(argv, "formatting Kafka's log folder")


def _archive(kafka: Kafka, folder: Path) -> None:
    """Run a broker once and let the JVM write down the classes it loaded."""
    with tempfile.TemporaryDirectory() as scratch:
        data, conf, log = Path(scratch) / "data", Path(scratch) / "server.properties", folder / "making.log"
        shutil.copytree(kafka.formatted, data)
        ports = Ports(Path(scratch) / "ports.json", well_known=False)
        conf.write_text(kafka.settings(data, ports.get("kafka"), ports.get("kafka-controller")))
        flags = [f"-XX:ArchiveClassesAtExit={folder / 'classes.jsa'}"]
        with log.open("wb") as out:
            broker = subprocess.Popen(
                _java(kafka.java, kafka.jars, flags, "kafka.Kafka", str(conf)),
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while "Kafka Server started" not in log.read_text(errors="replace"):
                if broker.poll() is not None or time.monotonic() > deadline:
                    raise StackError(f"Kafka did not start:\n{tail(log)}")
                time.sleep(0.2)
            broker.terminate()
            broker.wait(120)
        finally:
            if broker.poll() is None:
                broker.kill()
                broker.wait()
