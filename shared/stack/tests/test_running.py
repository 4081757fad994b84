"""A test can have one process of a service, kill it and have it again."""

from __future__ import annotations

import signal

import pytest

from vigia_runtime.kafka.topics import ensure_topics
from vigia_runtime.settings import KafkaSettings
from vigia_stack.errors import StackError
from vigia_stack.parts.objects import ObjectStoreAddress, ensure_bucket
from vigia_stack.services import BUCKETS
from vigia_stack.testing import running


async def test_a_process_is_killed_and_started_again(
    kafka: str, topic_prefix: str, object_store: ObjectStoreAddress
) -> None:
    await ensure_topics(KafkaSettings(bootstrap=kafka, topic_prefix=topic_prefix))
    for bucket in BUCKETS:
        ensure_bucket(object_store.client(), bucket)
    environment = {
        "VIGIA_TRAINING_KAFKA__BOOTSTRAP": kafka,
        "VIGIA_TRAINING_KAFKA__TOPIC_PREFIX": topic_prefix,
        "VIGIA_TRAINING_OBJECTS__ENDPOINT": object_store.endpoint,
        "VIGIA_TRAINING_OBJECTS__ACCESS_KEY_ID": object_store.access_key_id,
        "VIGIA_TRAINING_OBJECTS__SECRET_ACCESS_KEY": object_store.secret_access_key,
    }
    with running("training", environment) as training:
        training.kill()
        assert training.exit_status == -signal.SIGKILL
        assert not training.ready()
        training.start()
        training.stop()
        assert training.exit_status == 0


def test_a_process_that_does_not_start_says_why() -> None:
    with pytest.raises(StackError, match="VIGIA_TRAINING_KAFKA__BOOTSTRAP: missing"), running("training", {}):
        pass
