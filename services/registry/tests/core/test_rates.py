"""Who asks too often is told when to ask again, and nobody else notices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from vigia_registry.entrypoints import http
from vigia_registry.http.lookoutvision.operations import OPERATIONS
from vigia_registry.rates import MOST_BUCKETS, RateLimiter, TooManyRequests
from vigia_registry.settings import Rate, RateSettings
from vigia_runtime.settings import HttpSettings, SettingsError

from .conftest import Registry, Running, answers, free_port, until
from .test_errors import raw, refused


class Clock:
    """Seconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(limiter: RateLimiter, operation: str = "ListModels", account: str = "a") -> bool:
    try:
        limiter.take(account, "lookoutvision", operation)
    except TooManyRequests:
        return False
    return True


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(RateSettings(per_second=5, burst=3), clock)
    assert [allowed(limiter) for _ in range(5)] == [True, True, True, False, False]
    clock.now = 0.1
    assert not allowed(limiter)
    clock.now = 0.2
    assert [allowed(limiter), allowed(limiter)] == [True, False]
    clock.now = 100
    assert [allowed(limiter) for _ in range(4)] == [True, True, True, False]


# Of 0.1 s + 4 s no more than 3.9999999999999996 s are left when 0.1 s is taken away again.
@example([0.1, 0.0], 0.25, 1)
@given(st.lists(st.floats(0, 2), max_size=80), st.floats(0.2, 20), st.integers(1, 10))
def test_never_more_than_burst_and_rate(gaps: list[float], rate: float, burst: int) -> None:
    clock = Clock()
    limiter = RateLimiter(RateSettings(per_second=rate, burst=burst), clock)
    taken: list[float] = []
    for gap in gaps:
        clock.now += gap
        if allowed(limiter):
            taken.append(clock.now)
        else:
            # Asking at the moment that was named succeeds.
            with pytest.raises(TooManyRequests) as caught:
                limiter.take("a", "lookoutvision", "ListModels")
            clock.now += caught.value.retry_after
            assert allowed(limiter)
            taken.append(clock.now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - begin) * rate + 1e-6


def test_accounts_and_operations_are_counted_apart_and_some_differently() -> None:
    settings = RateSettings(per_second=1, burst=1, operations="DescribeModel=10/2, ListModels=0.5/1")
    assert settings.operations == {"DescribeModel": Rate(10.0, 2), "ListModels": Rate(0.5, 1)}
    clock = Clock()
    limiter = RateLimiter(settings, clock)
    assert [allowed(limiter, "DescribeModel") for _ in range(3)] == [True, True, False]
    assert [allowed(limiter, "ListProjects") for _ in range(2)] == [True, False]
    assert allowed(limiter, "ListProjects", account="b")
    assert [allowed(limiter) for _ in range(2)] == [True, False]
    clock.now = 1
    assert [allowed(limiter), allowed(limiter, "ListProjects")] == [False, True]


def test_memory_is_bounded() -> None:
    limiter = RateLimiter(RateSettings(per_second=1, burst=1), Clock())
    assert allowed(limiter, account="first")
    for number in range(MOST_BUCKETS - 1):
        assert allowed(limiter, account=str(number))
    # Who was refused a moment ago is not forgotten before the others.
    assert not allowed(limiter, account="first")
    assert allowed(limiter, account="one more")
    assert len(limiter._buckets) == MOST_BUCKETS
    assert not allowed(limiter, account="first")


@pytest.mark.parametrize(
    "text", ["DescribeModel", "DescribeModel=5", "DescribeModel=0/5", "DescribeModel=5/0", "a=b/c"]
)
def test_rates_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form Operation=per_second/burst"):
        RateSettings(operations=text)


@pytest.fixture(scope="module")
def slow(alone: Registry) -> Iterator[Registry]:
    """A registry whose clients may ask twice at once and then four times a second."""
    rates = RateSettings(per_second=4, burst=2, operations="ListModels=1000/1000")
    settings = alone.settings.model_copy(update={"rates": rates, "http": HttpSettings(port=free_port())})
    running = Running(http.main, settings)
    made = Registry(settings, alone.store)
    until(lambda: answers(made.url))
    yield made
    running.stop()


def count(operation: str) -> float:
    labels = {"service": "lookoutvision", "operation": operation}
    return REGISTRY.get_sample_value("vigia_throttled_requests_total", labels) or 0


def test_too_many_requests_on_the_wire(slow: Registry) -> None:
    before = count("ListProjects")
    client = slow.client(*slow.add_key("121212121212"))
    failures: list[dict[str, Any]] = []
    began, taken = time.monotonic(), 0
    while len(failures) < 4:
        try:
            client.list_projects()
            taken += 1
        except ClientError as error:
            failures.append(error.response)
    assert 2 <= taken <= 2 + 4 * (time.monotonic() - began)
    failure = failures[0]
    assert failure["Error"]["Code"] == "ThrottlingException"
    assert failure["ResponseMetadata"]["HTTPStatusCode"] == 429
    headers = failure["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amzn-errortype"], headers["retry-after"]) == ("ThrottlingException", "1")
    assert (failure["QuotaCode"], failure["ServiceCode"]) == ("requests_per_second", "lookoutvision")
    assert failure["RetryAfterSeconds"] == 1
    assert count("ListProjects") - before == len(failures)
    # Another account is not told to wait.
    slow.client(*slow.add_key("131313131313")).list_projects()


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_boto3_tries_again_and_succeeds(slow: Registry, mode: str) -> None:
    account = {"legacy": "141414141414", "standard": "151515151515"}[mode]
    before = count("ListProjects")
    client = slow.client(*slow.add_key(account), retries={"mode": mode, "total_max_attempts": 10})
    for _ in range(4):
        assert client.list_projects()["Projects"] == []
    assert count("ListProjects") > before


def test_who_is_not_known_uses_nothing_up(slow: Registry) -> None:
    key, secret = slow.add_key("161616161616")
    stranger, client = slow.client(key, "wrong"), slow.client(key, secret)
    for _ in range(5):
        assert refused(stranger.list_projects)["code"] == "InvalidSignatureException"
    client.list_projects()
    client.list_projects()


def test_an_operation_with_another_rate(slow: Registry) -> None:
    client = slow.client(*slow.add_key("171717171717"))
    for _ in range(10):
        assert refused(lambda: client.list_models(ProjectName="nobody"))["code"] == "ResourceNotFoundException"


def test_detection_is_not_counted_here(slow: Registry) -> None:
    for _ in range(5):
        assert raw(slow, "POST", "/2020-11-20/projects/p/models/1/detect").status_code == 404


def test_a_rate_for_an_operation_that_does_not_exist_is_named(alone: Registry) -> None:
    rates = RateSettings(operations="DescribeModle=5/5")
    with pytest.raises(SettingsError, match="DescribeModle"):
        alone.run(lambda deps: _build(deps, rates))
    everything = RateSettings(operations=",".join(f"{operation.name}=1/1" for operation in OPERATIONS))
    alone.run(lambda deps: _build(deps, everything))


async def _build(deps: Any, rates: RateSettings) -> None:
    http.build(type(deps)(deps.settings.model_copy(update={"rates": rates}), deps.database, deps.objects))
