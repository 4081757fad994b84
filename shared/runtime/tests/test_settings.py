"""Settings are complete, typed and named in every complaint; secrets are never printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from vigia_runtime.settings import (
    HttpSettings,
    KafkaSettings,
    PostgresSettings,
    ServiceSettings,
    SettingsError,
    TritonSettings,
    load,
    markdown,
    service_config,
)


class Settings(ServiceSettings):
    model_config = service_config("sample")

    kafka: KafkaSettings
    postgres: PostgresSettings
    triton: TritonSettings
    http: HttpSettings = HttpSettings()
    registry_token: SecretStr = SecretStr("")


GOOD = {
    "VIGIA_SAMPLE_KAFKA__BOOTSTRAP": "127.0.0.1:9092",
    "VIGIA_SAMPLE_POSTGRES__URL": "postgresql://u:hunter2@h/db",
    "VIGIA_SAMPLE_TRITON__URLS": "a:1, b:2",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems(environment: pytest.MonkeyPatch) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    return caught.value.problems


def test_values_are_read_and_typed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VIGIA_SAMPLE_HTTP__PORT", "9001")
    environment.setenv("VIGIA_SAMPLE_LOG__FORMAT", "console")
    settings = load(Settings)
    assert settings.kafka.bootstrap == "127.0.0.1:9092"
    assert settings.triton.urls == ("a:1", "b:2")
    assert settings.http.port == 9001
    assert settings.log.format == "console"
    assert settings.side.host == "127.0.0.1"


def test_an_unknown_name_is_an_error_with_the_nearest_known_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VIGIA_SAMPLE_KAFKA__BOOTSTRAPS", "x")
    assert problems(environment) == [
        "VIGIA_SAMPLE_KAFKA__BOOTSTRAPS: no such setting; did you mean VIGIA_SAMPLE_KAFKA__BOOTSTRAP?"
    ]


def test_names_of_other_services_are_not_ours(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VIGIA_SAMPLER", "x")
    environment.setenv("VIGIA_OTHER_KAFKA__BOOTSTRAP", "x")
    load(Settings)


def test_all_problems_come_at_once(environment: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        environment.delenv(name)
    environment.setenv("VIGIA_SAMPLE_HTTP__PORT", "eighty")
    environment.setenv("VIGIA_SAMPLE_NONSENSE", "1")
    found = problems(environment)
    assert {line.partition(":")[0] for line in found} == {
        "VIGIA_SAMPLE_NONSENSE",
        "VIGIA_SAMPLE_KAFKA__BOOTSTRAP",
        "VIGIA_SAMPLE_POSTGRES__URL",
        "VIGIA_SAMPLE_TRITON__URLS",
        "VIGIA_SAMPLE_HTTP__PORT",
    }


def test_a_secret_comes_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:from-file@h/db\n")
    environment.delenv("VIGIA_SAMPLE_POSTGRES__URL")
    environment.setenv("VIGIA_SAMPLE_POSTGRES__URL_FILE", str(secret))
    assert load(Settings).postgres.url.get_secret_value() == "postgresql://u:from-file@h/db"


def test_a_file_that_cannot_be_read_and_a_value_given_twice_are_named(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("VIGIA_SAMPLE_REGISTRY_TOKEN_FILE", str(tmp_path / "absent"))
    environment.setenv("VIGIA_SAMPLE_POSTGRES__URL_FILE", str(tmp_path))
    found = problems(environment)
    assert any(line.startswith("VIGIA_SAMPLE_REGISTRY_TOKEN_FILE: cannot be read") for line in found)
    assert any("VIGIA_SAMPLE_POSTGRES__URL is given too" in line for line in found)


def test_no_secret_is_printed(environment: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in repr(load(Settings)) + str(load(Settings))
    environment.setenv("VIGIA_SAMPLE_POSTGRES__URL", "mysql://u:hunter2@h/db")
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert "must begin with postgresql://" in str(caught.value)


def test_the_table_lists_every_setting_and_no_secret_default() -> None:
    table = markdown(Settings)
    assert "| `VIGIA_SAMPLE_KAFKA__BOOTSTRAP` | str | required |" in table
    assert "`VIGIA_SAMPLE_SIDE__PORT`" in table
    assert "**" not in table
