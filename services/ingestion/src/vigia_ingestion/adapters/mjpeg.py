"""MJPEG over HTTP: the camera's own JPEGs, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx

from vigia_contracts.cameras import Camera, MjpegSource
from vigia_ingestion.adapters.multipart import MultipartError, MultipartParser, boundary_of
from vigia_ingestion.app.ports import Intake, SourceError
from vigia_ingestion.domain.frame import JPEG, Frame, kind_of

#: Largest JPEG taken from a camera, bytes.
MOST_BYTES = 32 * 1024 * 1024
CONNECT_SECONDS = 5.0

_STATUS_CAUSES = {401: "auth", 403: "auth", 404: "not_found", 410: "not_found"}


class MjpegReader:
    """Reads one multipart/x-mixed-replace answer for as long as it lasts."""

    def __init__(self, camera: Camera, source: MjpegSource) -> None:
        url = httpx.URL(source.url)
        self._credentials = (url.username, url.password) if url.username else None
        self._url = url.copy_with(username=None, password=None)
        self._silence = camera.policy.blind_after_seconds
        self._session = uuid4().hex

    async def read(self, intake: Intake) -> None:
        """See :class:`vigia_ingestion.app.ports.Reader`."""
        number = 0
        try:
            async with self._answer() as answer:
                parser = MultipartParser(boundary_of(answer.headers.get("content-type", "")), MOST_BYTES)
                async for piece in answer.aiter_raw():
                    for image in parser.feed(piece):
                        captured_at = datetime.now(UTC)
                        if kind_of(image) != JPEG:
                            intake.broken("codec")
                            continue
                        await intake.frame(Frame(image, JPEG, self._session, str(number), captured_at))
                        number += 1
        except MultipartError as error:
            raise SourceError("codec", str(error)) from error
        except httpx.ReadTimeout as error:
            raise SourceError("stalled" if number else "timeout", "the camera has stopped sending") from error
        except httpx.TimeoutException as error:
            raise SourceError("timeout", "the camera does not answer") from error
        except httpx.ConnectError as error:
            raise SourceError("refused", str(error)) from error
        except httpx.HTTPError as error:
            raise SourceError("disconnected", f"{type(error).__name__}: {error}") from error
        raise SourceError("disconnected", "the camera ended the stream")

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[httpx.Response]:
        """The camera's answer. Digest is tried first: it sends no password to a camera that asks for none."""
        timeout = httpx.Timeout(self._silence, connect=CONNECT_SECONDS)
        schemes: list[httpx.Auth | None] = [None]
        if self._credentials is not None:
            schemes = [httpx.DigestAuth(*self._credentials), httpx.BasicAuth(*self._credentials)]
        async with httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=True) as client:
            for scheme in schemes:
                async with client.stream("GET", self._url, auth=scheme) as answer:
                    if answer.status_code == 401 and scheme is not schemes[-1]:
                        continue
                    if answer.status_code != 200:
                        cause = _STATUS_CAUSES.get(answer.status_code, "disconnected")
                        raise SourceError(cause, f"the camera answers {answer.status_code}")
                    yield answer
                    return
