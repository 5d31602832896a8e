"""How far tasks have come, as one bar of several parts with its words beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.display import share
from core.words import CHOICE_WORDS, Text, in_words
from utils.statistics import count_by, count_overdue

# From the left: what is done, and what comes next to it.
_ORDER = ("completed", "review", "in_progress", "pending")


@dataclass(frozen=True)
class Part:
    """The tasks of one status: how many, and where their part of the bar lies (per cent)."""

    status: str
    label: Text
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class Progress:
    """Tasks by status. `overdue` are among those that are open."""

    parts: list[Part]
    done: int
    total: int
    overdue: int

    @property
    def share(self) -> int:
        """What is done, in per cent."""
        return share(self.done, self.total)

    @property
    def open(self) -> int:
        return self.total - self.done


def progress_of(tasks: Sequence[Mapping[str, Any]], now: datetime) -> Progress:
    """The progress of these tasks; a status that the table does not know counts by itself."""
    counts = count_by("tasks", "status", tasks)
    ordered = [*(name for name in _ORDER if name in counts), *(set(counts) - set(_ORDER))]
    parts, start = [], 0.0
    for status in ordered:
        width = 100 * counts[status] / len(tasks) if tasks else 0.0
        label = in_words(status, CHOICE_WORDS)
        parts.append(Part(status, label, counts[status], round(start, 2), round(width, 2)))
        start += width
    overdue = count_overdue(tasks, now)
    return Progress(parts, counts["completed"], len(tasks), overdue)
