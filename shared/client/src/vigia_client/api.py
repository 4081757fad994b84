"""Vigia's own REST API as a small Python client, used by the `vigia` command, the demo and tests.

Answers are the API's JSON as it is; its shapes are in the OpenAPI documents of the services.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from vigia_client.environment import Environment, find
from vigia_client.signing import SigV4

Json = dict[str, Any]
_PAGE = 200
#: For requests during which the server lists a folder or copies images.
_LONG_SECONDS = 300.0
#: Seconds that a follower's request waits for something new.
FOLLOW_SECONDS = 20.0


class ApiError(Exception):
    """The API refused. ``status`` is HTTP's, ``code`` short and stable, the text is for people."""

    def __init__(self, status: int, code: str, detail: str, problems: list[Json] | None = None) -> None:
        where = "; ".join(f"{row.get('where')}: {row.get('message')}" for row in problems or [])
        super().__init__(f"{detail} ({where})" if where else detail)
        self.status = status
        self.code = code


class Vigia:
    """One installation, as one access key sees it. Not thread-safe; a context manager.

    Every method raises ApiError when the API refuses and httpx.HTTPError when it cannot be reached.
    """

    def __init__(self, url: str, auth: httpx.Auth | None = None, timeout_seconds: float = 15.0) -> None:
        self._client = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", auth=auth, timeout=timeout_seconds)

    @classmethod
    def of(cls, environment: Environment | None = None) -> Vigia:
        """The installation that the environment or the nearest client.env names; NotConfiguredError."""
        here = environment or find()
        auth = SigV4(
            here.need("AWS_ACCESS_KEY_ID"),
            here.need("AWS_SECRET_ACCESS_KEY"),
            here.get("AWS_REGION") or here.need("AWS_DEFAULT_REGION"),
            here.get("AWS_SESSION_TOKEN"),
        )
        return cls(here.need("VIGIA_URL"), auth)

    def __enter__(self) -> Vigia:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    # --- lines and cameras ------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[Json]:
        """All lines, by id."""
        return self._pages("/lines", {})

    def add_line(self, line_id: str, description: str = "") -> Json:
        """Create a line."""
        return self._json("POST", "/lines", json={"line_id": line_id, "description": description})

    def put_line(self, line_id: str, description: str) -> Json:
        """Create a line, or replace what is said of it."""
        return self._json("PUT", f"/lines/{_part(line_id)}", json={"description": description})

    def remove_line(self, line_id: str) -> None:
        """Delete a line without cameras."""
        self._send("DELETE", f"/lines/{_part(line_id)}")

    def cameras(self, line: str | None = None) -> Iterator[Json]:
        """All cameras, by id; with ``line`` those of that line."""
        return self._pages("/cameras", {"line": line})

    def camera(self, camera_id: str) -> Json:
        """One camera."""
        return self._json("GET", f"/cameras/{_part(camera_id)}")

    def put_camera(self, camera_id: str, source: Mapping[str, Any], **fields: Any) -> Json:
        """Create or replace a camera.

        ``fields``: line_id, station, product, project, model_version, enabled, policy.
        """
        body = {"source": dict(source)} | {name: value for name, value in fields.items() if value is not None}
        return self._json("PUT", f"/cameras/{_part(camera_id)}", json=body)

    def remove_camera(self, camera_id: str) -> None:
        """Delete a camera."""
        self._send("DELETE", f"/cameras/{_part(camera_id)}")

    def enable_camera(self, camera_id: str, enabled: bool = True) -> Json:
        """Read the camera, or read it no more."""
        return self._json("POST", f"/cameras/{_part(camera_id)}/{'enable' if enabled else 'disable'}")

    # --- trial detections -------------------------------------------------------------------------------------------

    def create_trial(
        self, project: str, name: str, source: Mapping[str, Any], model_version: str = "latest", **fields: Any
    ) -> Json:
        """Create a trial. ``source``: {"kind": "folder", "uri": …}, {"kind": "images", "uris": […]} or
        {"kind": "upload"}; ``fields``: kms_key_id."""
        body = {"project": project, "name": name, "model_version": model_version, "source": dict(source)}
        return self._json("POST", "/trials", json=body | fields, timeout=_LONG_SECONDS)

    def upload_to_trial(self, trial_id: str, name: str, image: bytes) -> Json:
        """Give an image to a trial that was not started yet; one of that name is replaced."""
        return self._json("POST", f"/trials/{_part(trial_id)}/images", params={"name": name}, content=image)

    def start_trial(self, trial_id: str) -> Json:
        """Start a trial whose images were uploaded, or one again that failed."""
        return self._json("POST", f"/trials/{_part(trial_id)}/start")

    def trials(self, project: str) -> Iterator[Json]:
        """A project's trials, newest first."""
        return self._pages("/trials", {"project": project})

    def trial(self, trial_id: str) -> Json:
        """One trial, with counts."""
        return self._json("GET", f"/trials/{_part(trial_id)}")

    def trial_images(self, trial_id: str, **filters: Any) -> Iterator[Json]:
        """A trial's images. Filters: state, prediction, verification, label, sort."""
        return self._pages(f"/trials/{_part(trial_id)}/images", filters)

    def trial_file(self, trial_id: str, number: int, kind: str = "file") -> bytes:
        """The bytes of an image (``file``), its ``mask`` or its ``corrected-mask``."""
        return self._send("GET", f"/trials/{_part(trial_id)}/images/{number}/{_part(kind)}").content

    def verify_trial(
        self, trial_id: str, numbers: Sequence[int], verification: str, corrected_class: str | None = None
    ) -> list[Json]:
        """Say of predictions that they are ``correct``, ``incorrect`` or ``unverified``; the images as they are now."""
        body = {"images": list(numbers), "verification": verification, "corrected_class": corrected_class}
        answer = self._json("PATCH", f"/trials/{_part(trial_id)}/images", json=body)
        found: list[Json] = answer["items"]
        return found

    def correct_trial_mask(self, trial_id: str, number: int, mask: bytes) -> Json:
        """Replace the mask of an image: a PNG with anomalies in their labels' colours."""
        return self._json("PUT", f"/trials/{_part(trial_id)}/images/{number}/corrected-mask", content=mask)

    def add_trial_images(self, trial_id: str, numbers: Sequence[int] | None = None) -> Json:
        """Add verified images to the project's training dataset: some, or all that are not in it."""
        body = None if numbers is None else {"images": list(numbers)}
        return self._json("POST", f"/trials/{_part(trial_id)}/dataset-entries", json=body, timeout=_LONG_SECONDS)

    # --- thresholds -------------------------------------------------------------------------------------------------

    def thresholds(self, project: str, version: str) -> Iterator[Json]:
        """A version's threshold records, newest first; the newest decides."""
        return self._pages(_thresholds(project, version), {})

    def preview_threshold(self, project: str, version: str, value: float, **band: Any) -> Json:
        """What a threshold would do to the version's test images. ``band``: review_low, review_high."""
        return self._json("GET", f"{_thresholds(project, version)}/preview", params=_params({"value": value, **band}))

    def change_threshold(
        self, project: str, version: str, value: float, *, replaces: int, reason: str, **band: Any
    ) -> Json:
        """Decide by another threshold. ``replaces``: number of the newest record, as it was seen."""
        body = {"value": value, "replaces": replaces, "reason": reason, **band}
        return self._json("POST", _thresholds(project, version), json=body)

    def replay(self, project: str, model_version: str, threshold: float, **filters: Any) -> Json:
        """What a threshold would have made of the last inspections. Filters: review_low, review_high, last, line,
        camera, product, origin, from_, to."""
        asked = {"project": project, "model_version": model_version, "threshold": threshold, **filters}
        return self._json("GET", "/replay", params=_params(asked))

    # --- access -----------------------------------------------------------------------------------------------------

    def access(self, kind: str, name: str) -> Json | None:
        """One of ``users``, ``roles`` or ``policies``; None when there is none of that name."""
        try:
            return self._json("GET", f"/iam/{kind}/{_part(name)}")
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def accesses(self, kind: str) -> Iterator[Json]:
        """All ``users``, ``roles`` or ``policies``."""
        return self._pages(f"/iam/{kind}", {})

    def put_access(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Create or replace one of ``users``, ``roles`` or ``policies``."""
        self._send("PUT", f"/iam/{kind}/{_part(name)}", json=dict(body))

    def remove_access(self, kind: str, name: str) -> None:
        """Delete one of ``users`` (with its keys and sessions), ``roles`` (with its sessions) or ``policies``."""
        self._send("DELETE", f"/iam/{kind}/{_part(name)}")

    def add_access_key(self, user: str) -> Json:
        """A new key of a user, with ``secret_access_key``, which is told this once."""
        return self._json("POST", f"/iam/users/{_part(user)}/access-keys")

    def access_keys(self, user: str) -> list[Json]:
        """A user's keys, oldest first."""
        rows: list[Json] = self._json("GET", f"/iam/users/{_part(user)}/access-keys")["items"]
        return rows

    def switch_access_key(self, user: str, access_key_id: str, active: bool) -> Json:
        """Let a key sign, or not."""
        path = f"/iam/users/{_part(user)}/access-keys/{_part(access_key_id)}"
        return self._json("PATCH", path, json={"status": "Active" if active else "Inactive"})

    def remove_access_key(self, user: str, access_key_id: str) -> None:
        """Delete a key."""
        self._send("DELETE", f"/iam/users/{_part(user)}/access-keys/{_part(access_key_id)}")

    def simulate(
        self,
        action: str,
        resource: str = "*",
        *,
        user: str | None = None,
        role: str | None = None,
        context: Mapping[str, str | list[str]] | None = None,
    ) -> Json:
        """``decision`` (allowed, explicitDeny, implicitDeny) and the statements that made it."""
        given = {"user": user, "role": role, "action": action, "resource": resource, "context": dict(context or {})}
        return self._json("POST", "/iam/simulate", json={k: v for k, v in given.items() if v is not None})

    def accounts(self) -> Iterator[Json]:
        """All accounts, by id."""
        return self._pages("/iam/accounts", {})

    def add_account(self, account_id: str) -> Json:
        """A new account, with an access key of its user admin."""
        return self._json("POST", "/iam/accounts", json={"account_id": account_id})

    # --- history ----------------------------------------------------------------------------------------------------

    def inspections(self, **filters: Any) -> Iterator[Json]:
        """Inspections, newest first, page after page. Filters: see :meth:`inspection_page`."""
        return self._pages("/inspections", filters)

    def inspection_page(self, **filters: Any) -> Json:
        """One page: ``items`` and ``next``.

        Filters: line, camera, product, project, model_version, verdict, origin, from_ and to (ISO 8601), limit,
        cursor; to follow: after, wait.
        """
        return self._json("GET", "/inspections", params=_params(filters))

    def inspection(self, inspection_id: str) -> Json:
        """One inspection."""
        return self._json("GET", f"/inspections/{_part(inspection_id)}")

    def evidence(self, inspection_id: str, kind: str = "image") -> bytes:
        """The stored image or mask."""
        return self._send("GET", f"/inspections/{_part(inspection_id)}/{_part(kind)}").content

    def follow(self, after: str = "now", *, seconds: float | None = None, **filters: Any) -> Iterator[Json]:
        """Inspections as they are stored, each once, from now on or from an earlier answer's ``next``.

        Ends after ``seconds``, or never.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        place = after
        while True:
            left = FOLLOW_SECONDS if deadline is None else min(FOLLOW_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return
            page = self._json(
                "GET",
                "/inspections",
                params=_params(filters | {"after": place, "wait": left}),
                timeout=FOLLOW_SECONDS + 15,
            )
            yield from page["items"]
            place = page["next"]

    def trends(self, **filters: Any) -> Json:
        """Counts and defect rate over time. Filters: bucket, from_, to, group_by, line, camera, product, project,
        model_version."""
        return self._json("GET", "/trends", params=_params(filters))

    def faults(self, **filters: Any) -> Iterator[Json]:
        """When nobody looked, newest first. Filters: line, camera, kind, open, from_, to."""
        return self._pages("/faults", filters)

    # --- audit ------------------------------------------------------------------------------------------------------

    def audit(self, **filters: Any) -> Iterator[Json]:
        """Calls, newest first. Filters: name, user, source, access_key, read_only, outcome, project, model_version,
        resource, from_, to (ISO 8601), limit."""
        return self._pages("/audit", filters)

    # --- frames -----------------------------------------------------------------------------------------------------

    def push(
        self,
        camera_id: str,
        image: bytes,
        *,
        frame_id: str | None = None,
        part_id: str | None = None,
        captured_at: str | None = None,
    ) -> str:
        """Send a JPEG or PNG to a push camera; the id of its frame, once it is durable.

        With a ``frame_id`` of your own, sending again after an error has no second effect.
        """
        given = {
            "Content-Type": "image/png" if image.startswith(b"\x89PNG") else "image/jpeg",
            "X-Vigia-Frame-Id": frame_id,
            "X-Vigia-Part-Id": part_id,
            "X-Vigia-Captured-At": captured_at,
        }
        headers = {name: value for name, value in given.items() if value is not None}
        return str(self._json("POST", f"/frames/{_part(camera_id)}", content=image, headers=headers)["frame_id"])

    # --- wire -------------------------------------------------------------------------------------------------------

    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._json("GET", path, params=_params({"limit": _PAGE, **filters, "cursor": cursor}))
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return

    def _json(self, method: str, path: str, **options: Any) -> Json:
        answer: Json = self._send(method, path, **options).json()
        return answer

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._client.request(method, path, **options)
        if answer.is_success:
            return answer
        try:
            told = answer.json()
        except ValueError:
            told = {}
        detail = told.get("detail") or f"{method} {path} answers {answer.status_code}"
        details = told.get("details") or {}
        raise ApiError(answer.status_code, told.get("code") or "http_error", detail, details.get("problems"))


def _thresholds(project: str, version: str) -> str:
    return f"/projects/{_part(project)}/models/{_part(version)}/thresholds"


def _part(text: str) -> str:
    """A path segment."""
    return quote(text, safe="")


def _params(filters: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters without those that are None; a trailing underscore is Python's, not the API's."""
    return {
        name.rstrip("_"): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in filters.items()
        if value is not None
    }
