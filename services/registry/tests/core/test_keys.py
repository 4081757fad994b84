"""KmsKeyId: a key of the account that is there seals the model; any other is refused before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ACCOUNT, REGION, Registry
from .test_lifecycle import OUTPUT, describe, requests_for, trainable

OTHER = "444455556666"


def test_a_model_is_sealed_with_the_key_that_it_was_asked_for(registry: Registry, lookout: Any, project: str) -> None:
    trainable(registry, lookout, project)
    assert registry.settings.objects.keys_folder is not None
    (registry.settings.objects.keys_folder / f"{ACCOUNT}.line-7").write_text("k" * 44)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/line-7"
    arn = lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, KmsKeyId=key)["ModelMetadata"]["ModelArn"]
    assert describe(lookout, project)["KmsKeyId"] == key
    [request] = requests_for(registry, arn)
    assert request.kms_key_id == key


@pytest.mark.parametrize(
    "key", ["no-such-key", "alias/no-such-key", f"arn:aws:kms:{REGION}:{OTHER}:key/line-8", f"{OTHER}.line-8", "line-9"]
)
def test_a_key_that_the_account_does_not_have(registry: Registry, lookout: Any, project: str, key: str) -> None:
    trainable(registry, lookout, project)
    assert registry.settings.objects.keys_folder is not None
    (registry.settings.objects.keys_folder / f"{OTHER}.line-8").write_text("k" * 44)
    (registry.settings.objects.keys_folder / f"{ACCOUNT}.line-9").write_text("too short")
    with pytest.raises(ClientError) as refused:
        lookout.create_model(ProjectName=project, OutputConfig=OUTPUT, KmsKeyId=key)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert "does not exist" in refused.value.response["Error"]["Message"]
    assert lookout.list_models(ProjectName=project)["Models"] == []
