"""What other limits would have made of inspections that were decided: the verdict is a function of the score."""

from __future__ import annotations

from dataclasses import dataclass

from vigia_runtime.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Limits:
    """From ``value`` on a score is REJECT; from ``review_low`` to below ``review_high`` it is REVIEW instead."""

    value: float
    review_low: float | None
    review_high: float | None

    def check(self) -> None:
        """InvalidInput names the number that breaks a rule; they are registry's for threshold records."""
        low, high = self.review_low, self.review_high
        if not 0 < self.value < 1:
            raise _bad("threshold", "it lies between 0 and 1, neither of them included")
        if (low is None) != (high is None):
            missing = "review_low" if low is None else "review_high"
            raise _bad(missing, "a review band has both ends, or there is none")
        if low is None or high is None:
            return
        if not 0 <= low <= self.value:
            raise _bad("review_low", "it lies between 0 and the threshold")
        if not self.value <= high <= 1:
            raise _bad("review_high", "it lies between the threshold and 1")
        if low == high:
            raise _bad("review_high", "no score lies in a band that ends where it begins")


def _bad(field: str, message: str) -> InvalidInput:
    return InvalidInput(
        "bad_threshold", f"{field}: {message}", {"problems": [{"where": f"query.{field}", "message": message}]}
    )
