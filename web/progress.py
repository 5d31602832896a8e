"""A progress bar of tasks by status, with a legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from web.labels import CHOICE_WORDS, Text, in_words
from web.presenters import share
from workspace.tasks.statistics import count_by, count_overdue

# From left to right.
_ORDER = ("completed", "review", "in_progress", "pending")


@dataclass(frozen=True)
class ProgressPart:
    """The tasks of one status: their number, and the position of their segment in per cent."""

    status: str
    label: Text
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class TaskProgress:
    """Tasks by status. The `overdue` tasks are also counted as open."""

    parts: list[ProgressPart]
    done: int
    total: int
    overdue: int

    @property
    def share(self) -> int:
        """The completed tasks in per cent."""
        return share(self.done, self.total)

    @property
    def open(self) -> int:
        return self.total - self.done


def progress_of(tasks: Sequence[Mapping[str, Any]], now: datetime) -> TaskProgress:
    """Return the progress of the tasks. An unknown status has its own segment."""
    counts = count_by("tasks", "status", tasks)
    ordered = [*(name for name in _ORDER if name in counts), *sorted(set(counts) - set(_ORDER))]
    parts, start = [], 0.0
    for status in ordered:
        width = 100 * counts[status] / len(tasks) if tasks else 0.0
        label = in_words(status, CHOICE_WORDS)
        parts.append(ProgressPart(status, label, counts[status], round(start, 2), round(width, 2)))
        start += width
    overdue = count_overdue(tasks, now)
    return TaskProgress(parts, counts["completed"], len(tasks), overdue)
