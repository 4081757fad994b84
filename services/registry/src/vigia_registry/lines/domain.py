"""What a line is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A production line: the place that cameras stand at."""

    account_id: str
    region: str
    line_id: str
    description: str
    created_at: datetime
