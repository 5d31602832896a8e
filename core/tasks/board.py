"""The board: tasks in columns, one for each status.

A column is read from the top. Each task has a place, a number: greater stands higher. A task that
nobody has placed has its id for one, so that the newest is on top. What is completed stands by when
it was: the latest on top, wherever it had been. Why: `docs/decisions/0026`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from core.words import CHOICE_WORDS, Text, in_words
from docstore import id_of
from utils.lists import each, sort_value, whole
from utils.records import COLLECTIONS
from utils.table import PLACES_END

COLUMN_CARDS = 8  # of each column on a page at first; so many more each time
OTHER = "other"  # the column of what an old file holds beside the statuses

Record = Mapping[str, Any]
_TASKS = COLLECTIONS["tasks"]
_STATUS = _TASKS.by_name["status"]
_COMPLETED_AT = _TASKS.by_name["completed_at"]
_DIGITS = 15  # of a place behind its point; a float holds no more


@dataclass(frozen=True)
class Part:
    """Tasks of a page that belong together, in order: the first of them, and how many there are."""

    name: str
    title: Text
    on_page: list[Record]
    total: int
    shown: int  # at most
    step: int  # so many are shown at first, and so many more each time

    @property
    def more(self) -> int:
        """How many more are shown with the next step; 0 where all are."""
        return max(0, min(self.further, self.total) - self.shown)

    @property
    def further(self) -> int:
        """How many are shown then."""
        return self.shown - self.shown % self.step + self.step


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

    `parameters` say of how many columns more than the first cards are shown: `review=16`.
    """
    found = whole(tasks, _by_status)
    columns = []
    for name in (*_STATUS.choices, OTHER):
        members = found.get(name, [])
        if members or name != OTHER:
            shown = how_many(parameters, name, COLUMN_CARDS, COLUMN_CARDS)
            title, on_page = in_words(name, CHOICE_WORDS), members[:shown]
            columns.append(Column(name, title, on_page, len(members), shown, COLUMN_CARDS))
    return columns


def _by_status(tasks: Sequence[Record]) -> dict[str, list[Record]]:
    """The columns as they stand, from the top."""
    found: dict[str, list[tuple[Any, Record]]] = {}
    for task, standing in zip(tasks, each(tasks, _standing), strict=True):
        found.setdefault(status_of(task), []).append((standing, task))
    for members in found.values():
        members.sort(key=itemgetter(0), reverse=True)
    return {name: [task for _standing, task in members] for name, members in found.items()}


def status_of(task: Record) -> str:
    """The column of a task; without a status it has the default one."""
    status = task.get("status") or _STATUS.default
    return status if status in _STATUS.choices else OTHER


def how_many(parameters: Mapping[str, str], name: str, first: int, step: int) -> int:
    """How many tasks of a part an address asks to see (`review=16`): whole steps, or the first."""
    asked = parameters.get(name, "")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else 0
    return max(first, number - number % step)


def move_to(
    tasks: Sequence[Record], task_id: int, status: str, below: int | None
) -> dict[str, Any]:
    """What changes in a task that is put into a column: below another one, or on top.

    Its own place stays where that fits, and where nobody chooses the order.
    """
    task, others = _apart(tasks, task_id, status)
    changes: dict[str, Any] = {"status": status}
    if task is None or status == "completed":
        return changes
    ids = [id_of(other) for other in others]
    return changes | _put(task, others, ids.index(below) + 1 if below in ids else 0)


def step(tasks: Sequence[Record], task_id: int, by: int) -> dict[str, Any]:
    """What changes in a task that goes one place up (-1) or down (1) in its column."""
    status = next((status_of(task) for task in tasks if id_of(task) == task_id), "")
    task, others = _apart(tasks, task_id, status)
    if task is None or status == "completed":
        return {}
    index = sum(_place(other) > _place(task) for other in others) + by
    return _put(task, others, min(max(index, 0), len(others)))


def _apart(
    tasks: Sequence[Record], task_id: int, status: str
) -> tuple[Record | None, list[Record]]:
    """A task, and the column that it is to stand in without it, from the top."""
    task = next((task for task in tasks if id_of(task) == task_id), None)
    others = [other for other in tasks if other is not task and status_of(other) == status]
    return task, sorted(others, key=_place, reverse=True)


def _put(task: Record, others: Sequence[Record], index: int) -> dict[str, Any]:
    """The change of place that lets a task stand before the other with this index."""
    above = _place(others[index - 1]) if index else None
    under = _place(others[index]) if index < len(others) else None
    own = _place(task)
    if (above is None or own < above) and (under is None or under < own):
        return {}
    return {"position": _between(above and above[0], under and under[0])}


def _between(above: float | None, under: float | None) -> float:
    """The place with the fewest digits between two; where there is no room, that of the upper."""
    if above is None or under is None:
        free = 0 if under is None else math.floor(under) + 1
        free = free if above is None else math.ceil(above) - 1
        return min(max(free, -PLACES_END), PLACES_END)
    for digits in range(_DIGITS + 1):
        middle = round((above + under) / 2, digits)
        if under < middle < above:
            return middle if digits else int(middle)
    return above


def _place(task: Record) -> tuple[float, int]:
    """Where a task stands. Of two with the same place, the newer stands higher."""
    number, place = id_of(task) or 0, task.get("position")
    if isinstance(place, bool) or not isinstance(place, int | float):
        return number, number
    if -PLACES_END <= place <= PLACES_END:
        return place, number
    return number, number


def _standing(task: Record) -> tuple[float, int]:
    """Where a task stands in its column: the greater, the higher."""
    return _completed(task) if status_of(task) == "completed" else _place(task)


def _completed(task: Record) -> tuple[float, int]:
    moment = sort_value(_COMPLETED_AT, task)
    return (moment if isinstance(moment, int) else 0, id_of(task) or 0)
