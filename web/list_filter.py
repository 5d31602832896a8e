"""Filter and sort lists of records by the query string."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from api.url_converters import record_id_of
from web.due_dates import due_of
from web.labels import CHOICE_WORDS, Text, in_words
from workspace.ordering import SEPARATOR, derive_cached, map_cached, search_text, sorted_by
from workspace.schema.validation import COLLECTIONS, CollectionSpec
from workspace.tasks.statistics import is_overdue
from workspace.texts import folded

PAGE_RECORDS = 50

Record = Mapping[str, Any]
Test = Callable[[Record], bool]  # returns whether a record is shown


OPEN = "open"  # pseudo-status: every status except completed
DUE: dict[str, Text] = {
    "overdue": _("Overdue"),
    "today": _("Today"),
    "week": _("Next 7 days"),
    "none": _("No date"),
}


@dataclass(frozen=True)
class ListFilter:
    """The filters and the order of a list. Unknown values are ignored."""

    text: str = ""
    status: str = ""
    sort: str = "newest"
    project: int | None = None
    priority: str = ""
    due: str = ""
    tag: str = ""
    assignee: int | None = None

    @classmethod
    def of(
        cls,
        spec: CollectionSpec,
        parameters: Mapping[str, str],
        projects: Container[int] = (),
        people: Container[int] = (),
    ) -> "ListFilter":
        """Parse a query string. `projects` and `people` are the ids that may be filtered by."""

        def among(name: str, options: Container[str], default: str = "") -> str:
            return text if (text := parameters.get(name, "")) in options else default

        return cls(
            text=parameters.get("q", "").strip(),
            status=among("status", _values(spec.name, status_options)),
            sort=among("sort", _values(spec.name, sort_options), "newest"),
            project=_id_in(parameters, "project", projects),
            priority=among("priority", _values(spec.name, priority_options)),
            due=among("due", DUE if "due_date" in spec.by_name else ()),
            tag=parameters.get("tag", "").strip() if "tags" in spec.by_name else "",
            assignee=_id_in(parameters, "assignee", people),
        )

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.filters)

    @property
    def filters(self) -> int:
        """The number of filters, not counting the search text."""
        values = (self.status, self.project, self.priority, self.due, self.tag, self.assignee)
        return sum(bool(value) for value in values)

    @property
    def query(self) -> str:
        """The canonical query string of this selection."""
        names = {"text": "q"}
        parameters = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.sort == "newest":
            del parameters["sort"]
        return urlencode(
            {names.get(name, name): value for name, value in parameters.items() if value}
        )

    def of_records(
        self, spec: CollectionSpec, records: Sequence[Record], now: datetime
    ) -> Sequence[Any]:
        """Return the filtered records in order. `now` is in the user's zone."""
        name, backwards = _order(spec, self.sort)
        ordered = derive_cached(records, sorted_by(spec.name, name, backwards))
        tests = self._tests(spec, now)
        if self.text:
            sought = folded(self.text)
            texts = derive_cached(records, _texts_in_order(spec.name, name, backwards))
            matches = [
                record for record, text in zip(ordered, texts, strict=True) if sought in text
            ]
            if SEPARATOR in sought:
                matches = []
        else:
            matches = ordered
        for test in tests:
            matches = [record for record in matches if test(record)]
        return matches

    def _tests(self, spec: CollectionSpec, now: datetime) -> list[Test]:
        """Return the predicates other than the search text, cheapest first."""
        tests: list[Test] = []
        if self.status == OPEN:
            tests.append(lambda record: record.get("status") != "completed")
        elif self.status:
            tests.append(_has(spec, "status", self.status))
        if self.project:
            tests.append(lambda record: record.get("project_id") == self.project)
        if self.assignee:
            tests.append(lambda record: record.get("assignee") == self.assignee)
        if self.priority:
            tests.append(_has(spec, "priority", self.priority))
        if self.tag:
            tests.append(_has_tag(folded(self.tag)))
        if self.due:
            tests.append(_is_due(self.due, now))
        return tests


@cache
def _texts_in_order(
    collection: str, name: str, backwards: bool
) -> Callable[[Sequence[Record]], list[str]]:
    """Return a function that returns the `search_text` records in the order of a field."""
    order, texts = sorted_by(collection, name, backwards), search_text(collection)

    def ordered(records: Sequence[Record]) -> list[str]:
        known = dict(zip(map(id, records), map_cached(records, texts), strict=True))
        return [known[id(record)] for record in derive_cached(records, order)]

    return ordered


def _has(spec: CollectionSpec, name: str, choice: str) -> Test:
    default = spec.by_name[name].default
    return lambda record: (record.get(name) or default) == choice


def _has_tag(sought: str) -> Test:
    def test(record: Record) -> bool:
        tags = record.get("tags")
        return isinstance(tags, list) and any(folded(str(tag)) == sought for tag in tags)

    return test


def _is_due(when: str, now: datetime) -> Test:
    today = now.date()
    last = today + timedelta(days=6 if when == "week" else 0)
    if when == "none":
        return lambda record: due_of(record.get("due_date"), now)[0] is None
    if when == "overdue":
        return lambda record: _begins(record, "", last) and is_overdue(record, now)

    def test(record: Record) -> bool:
        if not _begins(record, today - _FAR, last):
            return False
        day = due_of(record.get("due_date"), now)[0]
        return day is not None and today <= day <= last

    return test


# The stored day of a moment is in UTC or another offset. The user's zone may differ by 26 hours.
_FAR = timedelta(days=2)


def _begins(record: Record, first: date | str, last: date) -> bool:
    """Return whether the stored day may be within bounds, without parsing it: most are not."""
    due = record.get("due_date")
    return isinstance(due, str) and str(first) <= due[:10] <= str(last + _FAR)


def _id_in(parameters: Mapping[str, str], name: str, known: Container[int]) -> int | None:
    """Return the id in a parameter (`?project=3`) if it is among the known ones."""
    number = record_id_of(parameters.get(name, ""))
    return number if number is not None and number in known else None


def project_in(parameters: Mapping[str, str], projects: Container[int]) -> int | None:
    """Return the project in the query string (`?project=3`) if it is among these."""
    return _id_in(parameters, "project", projects)


@cache
def _values(
    collection: str, options: Callable[[CollectionSpec], list[tuple[str, Text]]]
) -> frozenset[str]:
    """Return the valid parameter values: the options without their labels."""
    return frozenset(value for value, _label in options(COLLECTIONS[collection]))


def status_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    choices = spec.by_name["status"].choices
    unfinished = [(OPEN, _("Not completed"))] if "completed_at" in spec.by_name else []
    named = [(choice, in_words(choice, CHOICE_WORDS)) for choice in choices]
    return [("", _("All")), *unfinished, *named]


def priority_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    field = spec.by_name.get("priority")
    return [(choice, in_words(choice, CHOICE_WORDS)) for choice in field.choices] if field else []


def sort_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    options: list[tuple[str, Text, str]] = [
        ("newest", _("Newest first"), "created_at"),
        ("changed", _("Recently changed"), "updated_at"),
        ("due", _("Due date"), "due_date"),
        ("priority", _("Priority"), "priority"),
        ("accuracy", _("Accuracy"), "accuracy"),
        ("title", _("By name"), spec.title_field),
    ]
    return [(value, label) for value, label, needs in options if needs in spec.by_name]


def _order(spec: CollectionSpec, sort: str) -> tuple[str, bool]:
    """Return the field to sort by, and whether to sort descending."""
    names = {
        "title": spec.title_field,
        "priority": "priority",
        "due": "due_date",
        "accuracy": "accuracy",
        "changed": "updated_at",
    }
    return names.get(sort, "created_at"), sort not in {"due", "title"}
