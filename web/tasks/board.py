"""The board: tasks in a column per status.

A task's position is a number. Greater is higher in the column. A task without one uses its id, so
the newest is on top. Completed tasks are ordered by completion time, the latest on top, regardless
of position. See `docs/decisions/0026`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from docstore import id_of
from web.labels import CHOICE_WORDS, Text, in_words
from workspace.ordering import derive_cached, map_cached, sort_value
from workspace.schema.collections import PLACES_END
from workspace.schema.validation import COLLECTIONS

COLUMN_CARDS = 8  # initially shown per column, and per step of "more"
OTHER = "other"  # the column of tasks with a status that is not in the table

Record = Mapping[str, Any]
_TASKS = COLLECTIONS["tasks"]
_STATUS = _TASKS.by_name["status"]
_COMPLETED_AT = _TASKS.by_name["completed_at"]
_DIGITS = 15  # decimal places of a position: all that a float can represent


@dataclass(frozen=True)
class TaskGroup:
    """An ordered group of tasks on a page: the first of them, and their total number."""

    name: str
    title: Text
    on_page: list[Record]
    total: int
    shown: int  # upper bound of tasks on the page
    step: int  # by which `shown` grows

    @property
    def more(self) -> int:
        """The number of tasks that the next step adds, or 0 if all are shown."""
        return max(0, min(self.further, self.total) - self.shown)

    @property
    def further(self) -> int:
        """The upper bound after the next step."""
        return self.shown - self.shown % self.step + self.step


@dataclass(frozen=True)
class Column(TaskGroup):
    """The tasks of one status."""

    @property
    def takes(self) -> bool:
        """True if tasks can be moved into the column."""
        return self.name in _STATUS.choices

    @property
    def ordered(self) -> bool:
        """True if users choose the order in the column."""
        return self.name != "completed"


def columns(tasks: Sequence[Record], parameters: Mapping[str, str]) -> list[Column]:
    """Return a column per status, and one for other values if there are any.

    `parameters` request more than the initial cards of a column: `review=16`.
    """
    by_status = derive_cached(tasks, _by_status)
    columns = []
    for name in (*_STATUS.choices, OTHER):
        members = by_status.get(name, [])
        if members or name != OTHER:
            shown = how_many(parameters, name, COLUMN_CARDS, COLUMN_CARDS)
            title, on_page = in_words(name, CHOICE_WORDS), members[:shown]
            columns.append(Column(name, title, on_page, len(members), shown, COLUMN_CARDS))
    return columns


def _by_status(tasks: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the tasks of each column from top to bottom."""
    by_status: dict[str, list[tuple[Any, Record]]] = {}
    for task, standing in zip(tasks, map_cached(tasks, _standing), strict=True):
        by_status.setdefault(status_of(task), []).append((standing, task))
    for members in by_status.values():
        members.sort(key=itemgetter(0), reverse=True)
    return {name: [task for _standing, task in members] for name, members in by_status.items()}


def status_of(task: Record) -> str:
    """Return the column of a task. Without a status it is in the default column."""
    status = task.get("status") or _STATUS.default
    return status if status in _STATUS.choices else OTHER


def how_many(parameters: Mapping[str, str], name: str, first: int, step: int) -> int:
    """Return the number of tasks that a parameter requests (`review=16`), rounded down to steps."""
    text = parameters.get(name, "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    return max(first, number - number % step)


def move_to(
    tasks: Sequence[Record], task_id: int, status: str, below: int | None
) -> dict[str, Any]:
    """Return the changes that move a task into a column: below another task, or on top.

    The position remains if it fits already, and in columns with a fixed order.
    """
    task, others = _apart(tasks, task_id, status)
    changes: dict[str, Any] = {"status": status}
    if task is None or status == "completed":
        return changes
    ids = [id_of(other) for other in others]
    return changes | _put(task, others, ids.index(below) + 1 if below in ids else 0)


def step(tasks: Sequence[Record], task_id: int, by: int) -> dict[str, Any]:
    """Return the changes that move a task up (-1) or down (1) in its column."""
    status = next((status_of(task) for task in tasks if id_of(task) == task_id), "")
    task, others = _apart(tasks, task_id, status)
    if task is None or status == "completed":
        return {}
    index = sum(_place(other) > _place(task) for other in others) + by
    return _put(task, others, min(max(index, 0), len(others)))


def _apart(
    tasks: Sequence[Record], task_id: int, status: str
) -> tuple[Record | None, list[Record]]:
    """Return a task, and the other tasks of its future column from top to bottom."""
    task = next((task for task in tasks if id_of(task) == task_id), None)
    others = [other for other in tasks if other is not task and status_of(other) == status]
    return task, sorted(others, key=_place, reverse=True)


def _put(task: Record, others: Sequence[Record], index: int) -> dict[str, Any]:
    """Return the change of position that puts a task before the other one with this index."""
    above = _place(others[index - 1]) if index else None
    under = _place(others[index]) if index < len(others) else None
    own = _place(task)
    if (above is None or own < above) and (under is None or under < own):
        return {}
    return {"position": _between(above and above[0], under and under[0])}


def _between(above: float | None, under: float | None) -> float:
    """Return the shortest number between two positions, or the upper one if there is no room."""
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
    """Return the sort key of a task. With equal positions, the newer task is higher."""
    number, place = id_of(task) or 0, task.get("position")
    if isinstance(place, bool) or not isinstance(place, int | float):
        return number, number
    if -PLACES_END <= place <= PLACES_END:
        return place, number
    return number, number


def _standing(task: Record) -> tuple[float, int]:
    """Return the sort key of a task in its column. Greater is higher."""
    return _completed(task) if status_of(task) == "completed" else _place(task)


def _completed(task: Record) -> tuple[float, int]:
    moment = sort_value(_COMPLETED_AT, task)
    return (moment if isinstance(moment, int) else 0, id_of(task) or 0)
