"""Which records of a list are shown, and in which order, as the address says (GET parameters)."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from django.utils.translation import gettext_lazy as _

from core.words import CHOICE_WORDS, Text, in_words
from utils.lists import mentions, sort_value
from utils.records import CollectionSpec

PAGE_RECORDS = 50
ID_DIGITS_MAX = 18

Record = Mapping[str, Any]
SortKey = Callable[[Record], Any]


@dataclass(frozen=True)
class Selection:
    """What a person asked to see. Anything the list does not know counts as not asked."""

    text: str
    status: str
    sort: str
    project: int | None = None

    @classmethod
    def of(
        cls, spec: CollectionSpec, parameters: Mapping[str, str], projects: Container[int] = ()
    ) -> "Selection":
        """`projects` are those that the list can be narrowed to."""
        statuses, sorts = dict(status_options(spec)), dict(sort_options(spec))
        status, sort = parameters.get("status", ""), parameters.get("sort", "")
        return cls(
            text=parameters.get("q", "").strip(),
            status=status if status in statuses else "",
            sort=sort if sort in sorts else "newest",
            project=project_in(parameters, projects),
        )

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.status or self.project)

    def of_records(self, spec: CollectionSpec, records: Sequence[Record]) -> list[Any]:
        """The records asked for, in the order asked for."""
        default = spec.by_name["status"].default
        chosen = [
            record
            for record in reversed(records)  # among equals, the newest first
            if (not self.status or (record.get("status") or default) == self.status)
            and (self.project is None or record.get("project_id") == self.project)
            and (not self.text or mentions(spec, record, self.text.casefold()))
        ]
        key, backwards = _order(spec, self.sort)
        keyed = [(key(record), record) for record in chosen]
        # Those without a value come last, whichever way the others go.
        with_value = [pair for pair in keyed if pair[0] is not None]
        with_value.sort(key=itemgetter(0), reverse=backwards)
        return [record for _value, record in with_value] + [
            record for value, record in keyed if value is None
        ]


def project_in(parameters: Mapping[str, str], projects: Container[int]) -> int | None:
    """The project that an address names (`?project=3`), if it is one of these."""
    text = parameters.get("project", "")
    named = int(text) if text.isdecimal() and len(text) <= ID_DIGITS_MAX else 0
    return named if named in projects else None


def status_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    choices = spec.by_name["status"].choices
    return [("", _("All")), *((choice, in_words(choice, CHOICE_WORDS)) for choice in choices)]


def priority_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    field = spec.by_name.get("priority")
    return [(choice, in_words(choice, CHOICE_WORDS)) for choice in field.choices] if field else []


def sort_options(spec: CollectionSpec) -> list[tuple[str, Text]]:
    options: list[tuple[str, Text, str]] = [
        ("newest", _("Newest first"), "created_at"),
        ("changed", _("Recently changed"), "updated_at"),
        ("due", _("Due first"), "due_date"),
        ("priority", _("Most urgent first"), "priority"),
        ("accuracy", _("Most accurate first"), "accuracy"),
        ("title", _("By name"), spec.title_field),
    ]
    return [(value, label) for value, label, needs in options if needs in spec.by_name]


def _order(spec: CollectionSpec, sort: str) -> tuple[SortKey, bool]:
    """What the records are ordered by, and whether the greatest comes first."""
    names = {
        "title": spec.title_field,
        "priority": "priority",
        "due": "due_date",
        "accuracy": "accuracy",
        "changed": "updated_at",
    }
    field = spec.by_name[names.get(sort, "created_at")]
    return lambda record: sort_value(field, record), sort not in {"due", "title"}
