"""The board: tasks in columns, one for each status.

A column is read from the top. Each task has a place, a number: greater stands higher. A task that
nobody has placed has its id for one, so that the newest is on top. What is completed stands by when
it was: the latest on top, wherever it had been. Why: `docs/decisions/0026`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.words import CHOICE_WORDS, Text, in_words
from docstore import id_of
from utils.lists import sort_value
from utils.records import COLLECTIONS

COLUMN_CARDS = 12  # of each column on a page at first; so many more each time
OTHER = "other"  # the column of what an old file holds beside the statuses

Record = Mapping[str, Any]
_TASKS = COLLECTIONS["tasks"]
_STATUS = _TASKS.by_name["status"]


@dataclass(frozen=True)
class Part:
    """Some tasks of a page that belong together, in order; those that are shown come first."""

    name: str
    title: Text
    tasks: list[Record]
    shown: int
    step: int  # so many are shown at first, and so many more each time

    @property
    def on_page(self) -> list[Record]:
        return self.tasks[: self.shown]

    @property
    def more(self) -> int:
        """How many to show with the next step; 0 where all are shown."""
        return min(self.step, max(0, len(self.tasks) - self.shown))


@dataclass(frozen=True)
class Column(Part):
    """The tasks of one status."""

    @property
    def takes(self) -> bool:
        """Whether tasks can be moved into it."""
        return self.name in _STATUS.choices

    @property
    def ordered(self) -> bool:
        """Whether people choose the order in it."""
        return self.name != "completed"


def columns(tasks: Sequence[Record], parameters: Mapping[str, str]) -> list[Column]:
    """A column for each status, and one for what has none of these, if there is any.

    `parameters` say of how many columns more than the first cards are shown: `review=24`.
    """
    found: dict[str, list[Record]] = {name: [] for name in (*_STATUS.choices, OTHER)}
    for task in reversed(tasks):  # nearly the order that they come to stand in
        found[status_of(task)].append(task)
    if not found[OTHER]:
        del found[OTHER]
    return [
        Column(
            name,
            in_words(name, CHOICE_WORDS),
            sorted(members, key=_completed if name == "completed" else _place, reverse=True),
            how_many(parameters, name, COLUMN_CARDS),
            COLUMN_CARDS,
        )
        for name, members in found.items()
    ]


def status_of(task: Record) -> str:
    """The column of a task; without a status it has the default one."""
    status = task.get("status") or _STATUS.default
    return status if status in _STATUS.choices else OTHER


def how_many(parameters: Mapping[str, str], name: str, step: int) -> int:
    """How many tasks of a part an address asks to see (`review=24`): whole steps, at least one."""
    asked = parameters.get(name, "")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 0
    return max(step, number - number % step)


def _place(task: Record) -> tuple[float, int]:
    number = id_of(task) or 0
    return (number, number)


def _completed(task: Record) -> tuple[float, int]:
    moment = sort_value(_TASKS.by_name["completed_at"], task)
    return (moment if isinstance(moment, int) else 0, id_of(task) or 0)
