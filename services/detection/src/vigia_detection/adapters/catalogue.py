"""Does a version that is not hosted exist? Registry knows."""

from __future__ import annotations

from urllib.parse import quote

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vigia_runtime.settings import RegistrySettings
from vigia_runtime.signin import INTERNAL_HEADER, Credential

_SERVICE = "lookoutvision"
_NOT_FOUND = "ResourceNotFoundException"


class RegistryCatalogue:
    """``lacks`` asks in the caller's name, so that nobody learns of a model that they may not see; of ``lacks_arn``
    that is the matter of who calls it."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._url = settings.url.rstrip("/")
        # The caller did not ask this: with the token, registry writes it down nowhere.
        internal = {INTERNAL_HEADER: settings.token.get_secret_value()}
        self._bearer = {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
        self._client = httpx.AsyncClient(headers=internal, timeout=3.0, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def lacks(self, credential: Credential, region: str, project: str, version: str) -> bool:
        """Whether there certainly is no such version; False also when registry does not say."""
        url = f"{self._url}/2020-11-20/projects/{quote(project)}/models/{quote(version)}"
        request = AWSRequest(method="GET", url=url)
        keys = Credentials(credential.access_key_id, credential.secret_access_key, credential.session_token)
        SigV4Auth(keys, _SERVICE, region).add_auth(request)
        try:
            answer = await self._client.get(url, headers=dict(request.headers.items()))
        except httpx.HTTPError:
            return False
        kind: str = answer.headers.get("x-amzn-errortype", "")
        return kind.startswith(_NOT_FOUND)

    async def lacks_arn(self, arn: str) -> bool:
        """Whether there certainly is no version of that ARN; False also when registry does not say."""
        # Custom Labels describes versions by their project's ARN, which theirs does not tell.
        url = f"{self._url}/internal/v1/model-versions"
        try:
            answer = await self._client.get(url, params={"arn": arn}, headers=self._bearer)
        except httpx.HTTPError:
            return False
        # Any other 404 comes from something that is no registry.
        return answer.status_code == httpx.codes.NOT_FOUND and '"no_such_version"' in answer.text
