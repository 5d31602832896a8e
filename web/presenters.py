"""Prepare records for display. Old records may lack keys or have unexpected values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from django.utils import dateformat
from django.utils.translation import gettext as _

from docstore import id_of
from web.labels import CHOICE_WORDS, WORDS, Text, in_words
from workspace.member_entries import MEMBERS, entries_of, is_member_entry
from workspace.ordering import names_of_entry
from workspace.schema.validation import COLLECTIONS, CollectionSpec, Field, Kind
from workspace.tasks.statistics import is_overdue

Record = Mapping[str, Any]

_IDS_END = 10**18  # exclusive bound of ids in URLs
_LISTS = (Kind.TEXTS, Kind.MEMBERS)
_TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.CHOICE, Kind.OPEN_CHOICE, Kind.TIME)


def relative_day(day: date, today: date) -> str:
    """Return a day for use within a sentence: "today", "Fri 27 Nov", "2 May 2027"."""
    named = {-1: _("yesterday"), 0: _("today"), 1: _("tomorrow")}.get((day - today).days)
    return named or dateformat.format(day, _("D j M") if day.year == today.year else _("j M Y"))


@dataclass(frozen=True)
class RecordRow:
    """A record in a list."""

    id: int | None  # records of old files may have none: they are shown, but cannot be changed
    anchor: str  # its HTML id: "task-3", or "task-7-3" for user 7's
    title: Text
    collection: str
    stored: Record
    overdue: bool = False
    project: Text = ""
    assignee: Text = ""
    members: int = 0  # number of members of a project
    may_change: bool = True  # by the current user
    may_delete: bool = True
    owner: int | None = None  # None if the current user owns it

    @cached_property
    def record(self) -> Record:
        """The record with a displayable value for every field.

        Lazy, because a row from the fragment cache does not need it.
        """
        return _shown(COLLECTIONS[self.collection].fields, self.stored)

    @property
    def fault(self) -> str:
        """The reason why the record cannot be changed, or ""."""
        if self.id is not None:
            return ""
        stored = self.stored.get("id")
        if stored is None:
            return _("It has no id, so you cannot edit it here. Add one in your file.")
        shown = {"id": str(stored)[:40]}
        return _("Its id is not valid: %(id)s. Change it in your file.") % shown

    @property
    def ticked(self) -> int:
        """The number of done checklist items."""
        return sum(item["done"] is True for item in self.record.get("checklist", ()))

    @property
    def done(self) -> bool:
        return self.record.get("status") == "completed"


def present(
    spec: CollectionSpec,
    record: Record,
    now: datetime,
    projects: Mapping[int, Text] | None = None,
    people: Mapping[int, str] | None = None,
    *,
    may_change: bool = True,
    may_delete: bool = True,
    owner: int | None = None,
) -> RecordRow:
    """Return a row for a record.

    `projects` and `people` have the names of referenced records, as far as known. `owner` is the
    owner of the record if it is another user.
    """
    joined = entries_of(record).values() if spec.name == "projects" else ()
    return RecordRow(
        id=id_of(record),
        anchor=anchor_of(spec, id_of(record), owner),
        title=title_of(spec, record),
        collection=spec.name,
        stored=record,
        overdue=is_overdue(record, now),
        project=_named(record.get("project_id"), projects),
        assignee=_named(record.get("assignee"), people),
        members=sum(entry["status"] == "member" for entry in joined),
        may_change=may_change,
        may_delete=may_delete,
        owner=owner,
    )


def anchor_of(spec: CollectionSpec, record_id: int | None, owner: int | None = None) -> str:
    """Return the HTML id of a record. `owner` is its owner if it is another user."""
    return "-".join(str(part) for part in (spec.singular, owner, record_id) if part is not None)


def _shown(fields: Iterable[Field], record: Record) -> dict[str, Any]:
    """Return a displayable value for every field."""
    return {field.name: _presentable(field, record.get(field.name)) for field in fields}


def _named(number: object, names: Mapping[int, Text] | None) -> Text:
    return (names or {}).get(number) or f"#{number}" if isinstance(number, int) else ""


def title_of(spec: CollectionSpec, record: Record) -> Text:
    title = record.get(spec.title_field)
    return title if isinstance(title, str) and title.strip() else WORDS[spec.name].untitled


def names_of(spec: CollectionSpec, records: Iterable[Record]) -> dict[int, Text]:
    """Return the names of records by id."""
    ids = ((id_of(record), record) for record in records)
    return {number: title_of(spec, record) for number, record in ids if number is not None}


def team_of(project: Record) -> list[str]:
    """Return the names among a project's members that give no access, in order."""
    entries = project.get(MEMBERS)
    names: dict[str, None] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not is_member_entry(entry):
            name = next(names_of_entry(entry), None)
            text = f"#{name}" if type(name) is int else str(name or "").strip()
            names |= {text: None} if text else {}
    return list(names)


@dataclass(frozen=True)
class SharedRow:
    """A project that another user shares, or an invitation to it."""

    id: int
    owner: int
    project_id: int
    title: Text
    owner_name: str
    record: dict[str, Any]  # with a displayable value for every field

    @property
    def is_invitation(self) -> bool:
        return bool(self.record["status"] == "invited")


def shared_rows(records: Iterable[Record]) -> list[SharedRow]:
    """Return the memberships, newest first. Entries spoilt by hand edits are omitted."""
    rows = [_shared_row(record) for record in records if _leads_somewhere(record)]
    return rows[::-1]


def _leads_somewhere(record: Record) -> bool:
    numbers = [record.get(name) for name in ("id", "owner", "project_id")]
    return all(type(number) is int and 0 < number < _IDS_END for number in numbers)


def _shared_row(record: Record) -> SharedRow:
    shown = _shown(COLLECTIONS["shared"].fields, record)
    return SharedRow(
        id=record["id"],
        owner=record["owner"],
        project_id=record["project_id"],
        title=shown["project_name"] or WORDS["projects"].untitled,
        owner_name=shown["owner_name"] or f"#{record['owner']}",
        record=shown,
    )


@dataclass(frozen=True)
class Bar:
    """A bar of a chart and its count."""

    label: Text
    count: int
    share: int  # per cent of the total


def bars(counts: Mapping[str, int]) -> list[Bar]:
    """Return a bar for each choice of a field and its number of records."""
    total = sum(counts.values())
    return [
        Bar(in_words(choice, CHOICE_WORDS), count, share(count, total))
        for choice, count in counts.items()
    ]


def share(part: int, whole: int) -> int:
    """Return `part` of `whole` in per cent, from 0 to 100. Return 0 if `whole` is 0."""
    return min(100, round(100 * part / whole)) if whole > 0 else 0


def checklist_in(value: object) -> list[dict[str, Any]]:
    """Return the items of a checklist, or [] if it cannot be displayed, as after a hand edit."""
    items = value if isinstance(value, list) else []
    good = all(
        isinstance(item, dict) and isinstance(item.get("text"), str) and "done" in item
        for item in items
    )
    return items if good else []


def _presentable(field: Field, value: object) -> Any:
    if field.kind is Kind.CHECKLIST:
        return checklist_in(value)
    if field.kind in _LISTS:
        return value if isinstance(value, list) else []
    if value is None:
        return field.fresh_default()
    if field.has_shape(value):
        return value
    return str(value) if field.kind in _TEXTS else field.fresh_default()
