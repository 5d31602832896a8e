"""User preferences: language, time zone, theme, shortcuts, and saved views of lists.

They are in the user document under `preferences`. Only explicit choices are stored.
`table.PREFERENCE_FIELDS` has their rules. Two further rules, on time zones and views, are below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from workspace.json_values import ErrorList, pointer_to
from workspace.schema.collections import PREFERENCE_FIELDS
from workspace.schema.validation import InvalidRecord, Record
from workspace.texts import folded_name
from workspace.timestamps import is_time_zone, time_zones

__all__ = [
    "VIEWS_MAX",
    "VIEW_NAME_CHARACTERS_MAX",
    "VIEW_QUERY_CHARACTERS_MAX",
    "Preferences",
    "View",
    "changed_preferences",
    "is_time_zone",
    "preferences_in",
    "time_zones",
]

VIEWS_MAX = 20
VIEW_NAME_CHARACTERS_MAX = 50
VIEW_QUERY_CHARACTERS_MAX = 500

_FIELDS = {field.name: field for field in PREFERENCE_FIELDS}


@dataclass(frozen=True)
class View:
    """A saved list of tasks: its name and its query string, such as "due=week&sort=due"."""

    name: str
    query: str


@dataclass(frozen=True)
class Preferences:
    """A user's choices, with defaults where none was made."""

    language: str = ""  # "" means the browser's
    time_zone: str = ""  # an IANA name; "" means the browser's
    theme: str = "system"
    single_keys: bool = True
    week_start: str = "monday"
    views: tuple[View, ...] = ()

    @property
    def first_weekday(self) -> int:
        """The first day of the week. Monday is 0."""
        return {"monday": 0, "sunday": 6, "saturday": 5}[self.week_start]


Change = Mapping[str, Any] | Callable[[Preferences], Mapping[str, Any]]


def preferences_in(document: Mapping[str, Any]) -> Preferences:
    """Return the preferences in a user document. Invalid values are ignored."""
    stored = document.get("preferences")
    chosen: dict[str, Any] = {}
    for name, value in stored.items() if isinstance(stored, dict) else ():
        faults = ErrorList()
        accepted = _accepted(name, value, faults) if name in _FIELDS else None
        if accepted is not None and not faults.found:
            chosen[name] = accepted
    if "views" in chosen:
        chosen["views"] = tuple(View(view["name"], view["query"]) for view in chosen["views"])
    return Preferences(**chosen)


def changed_preferences(document: Mapping[str, Any], change: Change) -> Record:
    """Return the preferences of a user document with `change` applied. Unknown keys remain.

    Raises `InvalidRecord`, whose pointers are relative to the preferences ("/theme").
    """
    stored = document.get("preferences")
    changes = change(preferences_in(document)) if callable(change) else change
    faults, accepted = ErrorList(), {}
    for name, value in changes.items():
        if name in _FIELDS:
            accepted[name] = _accepted(name, value, faults)
        else:
            known = ", ".join(field.name for field in fields(Preferences))
            faults.add(pointer_to("", name), f"is not a preference; they are {known}")
    if faults.found:
        raise InvalidRecord(faults.found)
    return (dict(stored) if isinstance(stored, dict) else {}) | accepted


def _accepted(name: str, value: object, faults: ErrorList) -> Any:
    pointer = pointer_to("", name)
    if name == "views" and isinstance(value, Sequence) and not isinstance(value, str):
        value = [_as_object(view) for view in value]
    before = len(faults.found)
    accepted = _FIELDS[name].accept(value, pointer, faults)
    if len(faults.found) > before or faults.is_full:
        return None
    if name == "time_zone" and accepted and not is_time_zone(accepted):
        faults.add(pointer, "must be the name of a time zone, such as Europe/Madrid, or empty")
    if name == "views":
        _check_views(accepted, pointer, faults)
    return accepted


def _as_object(view: object) -> object:
    return {"name": view.name, "query": view.query} if isinstance(view, View) else view


def _check_views(views: Sequence[Mapping[str, Any]], pointer: str, faults: ErrorList) -> None:
    if len(views) > VIEWS_MAX:
        faults.add(pointer, f"must be at most {VIEWS_MAX} views")
    names: set[str] = set()
    for index, view in enumerate(views):
        place, name, query = pointer_to(pointer, index), view.get("name"), view.get("query")
        if not _is_line(name, 1, VIEW_NAME_CHARACTERS_MAX):
            most = VIEW_NAME_CHARACTERS_MAX
            faults.add(pointer_to(place, "name"), f"must be a text of 1 to {most} characters")
        elif folded_name(str(name)) in names:
            faults.add(pointer_to(place, "name"), "must differ from the names of other views")
        names.add(folded_name(str(name)))
        if not _is_line(query, 0, VIEW_QUERY_CHARACTERS_MAX):
            most = VIEW_QUERY_CHARACTERS_MAX
            faults.add(pointer_to(place, "query"), f"must be a text of at most {most} characters")


def _is_line(value: object, least: int, most: int) -> bool:
    return isinstance(value, str) and least <= len(value.strip()) and len(value) <= most
