"""Filters of the activity page, and activities in words."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from docstore import StoreError, id_of
from utils.json_storage import JSONStorageManager
from web.labels import ACTIVITY_WORDS, Text, in_words
from web.localization import local_time
from web.numbers import number_text
from web.presenters import title_of
from web.user_agents import device_of
from workspace.ordering import Test
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS
from workspace.timestamps import format_utc, is_date, parse_or_none, parse_time
from workspace.users.activity_query import Activity, of_text, of_time, of_types

PAGE_ACTIVITIES = 50
TEXT_CHARACTERS_MAX = 200

_KINDS: tuple[tuple[str, Text, str], ...] = (
    ("tasks", gettext_lazy("Tasks"), r"tasks?_.*"),
    (
        "projects",
        gettext_lazy("Projects"),
        r"projects?_(created|updated|deleted|changed)|example_.*",
    ),
    ("models", gettext_lazy("Models"), r"models?_.*"),
    ("sharing", gettext_lazy("Sharing"), r"member_.*|invitation_.*|project_.*"),
    ("api", gettext_lazy("Read-only API calls"), r"api_call"),
    ("account", gettext_lazy("Account and logins"), r".*"),
)
# Types whose label says everything, so the description is not shown.
_SAID = {
    "account_created",
    "login",
    "logout",
    "password_changed",
    "password_reset",
    "second_factor_on",
    "second_factor_off",
    "recovery_codes_made",
    "account_exported",
    "account_invited",
    "example_added",
    "example_removed",
}
_OF_RECORD = re.compile(r"(task|project|model)_(created|updated|completed|deleted)")
_TITLE = re.compile(r"“(.*)”", re.S)  # the format of `workspace.users.activity_entries`
_PAGES = {"models": "model_detail", "projects": "project_detail"}
_COLLECTIONS = {COLLECTIONS[name].singular: name for name in RECORD_COLLECTIONS}


def kinds() -> list[tuple[str, Text, list[tuple[str, Text]]]]:
    """Return the groups of types with their labels, and the types in each with theirs."""
    groups: dict[str, list[tuple[str, Text]]] = {name: [] for name, _label, _types in _KINDS}
    for type_, words in ACTIVITY_WORDS.items():
        group = next(name for name, _label, types in _KINDS if re.fullmatch(types, type_))
        groups[group].append((type_, words))
    return [(name, label, groups[name]) for name, label, _types in _KINDS]


@dataclass(frozen=True)
class ActivityFilter:
    """The filters of the activity page. Unknown values are ignored."""

    kind: str  # a group of types, or one type
    since: str  # first and last day, both inclusive
    until: str
    text: str

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "ActivityFilter":
        kind = parameters.get("kind", "")
        return cls(
            kind=kind if _types_of(kind) else "",
            since=_day(parameters.get("from", "")),
            until=_day(parameters.get("to", "")),
            text=parameters.get("q", "").strip()[:TEXT_CHARACTERS_MAX],
        )

    @property
    def address(self) -> str:
        """The query string of these filters."""
        names = {"kind": self.kind, "from": self.since, "to": self.until, "q": self.text}
        return urlencode({name: value for name, value in names.items() if value})

    @property
    def tests(self) -> list[Test]:
        """The predicates of these filters."""
        return [
            *([of_types(_types_of(self.kind))] if self.kind else []),
            *_of_time("from", self.since),
            *_of_time("before", self.until, later=1),
            *([of_text(self.text)] if self.text else []),
        ]


def _types_of(kind: str) -> set[str]:
    """Return the types of a group, or of a single type. Empty if unknown."""
    if kind in ACTIVITY_WORDS:
        return {kind}
    return {type_ for name, _label, types in kinds() if name == kind for type_, _words in types}


def _day(text: str) -> str:
    return text if is_date(text) and parse_or_none(text) else ""


def _of_time(how: str, day: str, later: int = 0) -> list[Test]:
    """Return the predicate for a day in the user's zone, or for the day `later` days after it."""
    if not day:
        return []
    try:
        begins = date.fromisoformat(day) + timedelta(days=later)
        moment = parse_time(f"{begins} 00:00", timezone.get_current_timezone())
    except (ValueError, OverflowError):  # outside of the years 1 to 9999
        return []
    return [of_time(how, format_utc(moment))]


@dataclass(frozen=True, kw_only=True)
class ActivityLine:
    """An activity in words. A deleted record has a title but no link."""

    at: str
    said: Text
    about: Text = ""
    link: str = ""
    detail: str = ""
    by: str = ""
    door: Text = ""
    address: str = ""
    device: str = ""
    agent: str = ""
    call: str = ""


def lines(
    manager: JSONStorageManager, owner: int, activities: Sequence[Activity]
) -> list[ActivityLine]:
    """Return the owner's activities in words, with links to records that still exist."""
    about = [_about(activity) for activity in activities]
    titles = _titles(manager, owner, [record for record in about if record])
    return [
        _line(activity, record, titles) for activity, record in zip(activities, about, strict=True)
    ]


def said_of(activity: Activity) -> tuple[Text, str]:
    """Return what was done, and the title of the record at that time."""
    type_, description = str(activity.get("type") or ""), str(activity.get("description") or "")
    known = type_ in ACTIVITY_WORDS or not description
    what = in_words(type_, ACTIVITY_WORDS) if known else description
    return what, _quoted(description) if _OF_RECORD.fullmatch(type_) else ""


def days(found: Iterable[ActivityLine]) -> list[tuple[date | None, list[ActivityLine]]]:
    """Group the lines by day in the user's zone. None is the group without a time."""
    return [(day, list(group)) for day, group in groupby(found, _day_of)]


def _day_of(line: ActivityLine) -> date | None:
    moment = parse_or_none(line.at)
    return local_time(moment).date() if moment else None


def _about(activity: Activity) -> tuple[str, int] | None:
    """Return collection and id of the user's own record that an activity is about, or None."""
    metadata = _told(activity)
    match = _OF_RECORD.fullmatch(str(activity.get("type")))
    collection = _COLLECTIONS[match[1]] if match else metadata.get("collection")
    number = id_of(metadata)
    if "owner" in metadata or number is None or collection not in RECORD_COLLECTIONS:
        return None
    return str(collection), number


def _titles(
    manager: JSONStorageManager, owner: int, about: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Text]:
    """Return the current titles of the records. Unreadable documents are omitted."""
    titles: dict[tuple[str, int], Text] = {}
    for collection in {name for name, _id in about}:
        wanted = {number for name, number in about if name == collection}
        try:
            records = manager.view(collection, owner)
        except StoreError:
            continue
        for record in records:
            number = id_of(record)
            if number in wanted:
                titles[collection, number] = title_of(COLLECTIONS[collection], record)
    return titles


def _line(
    activity: Activity, about: tuple[str, int] | None, titles: Mapping[tuple[str, int], Text]
) -> ActivityLine:
    metadata, type_ = _told(activity), str(activity.get("type") or "")
    description = str(activity.get("description") or "")
    of_record = _OF_RECORD.fullmatch(type_) is not None
    exists = about is not None and about in titles
    agent = _text(metadata, "user_agent")
    return ActivityLine(
        at=str(activity.get("timestamp") or ""),
        said=in_words(type_, ACTIVITY_WORDS) if type_ else description,
        about=titles[about] if about and exists else _quoted(description) if of_record else "",
        link=_link(*about) if about and exists else "",
        detail="" if of_record or not type_ or type_ in _SAID else _detail(metadata, description),
        by=_text(metadata, "by_name"),
        door=_door(metadata),
        address=_text(metadata, "ip_address"),
        device=device_of(agent),
        agent=agent,
        call=f"{_text(metadata, 'method')} {_text(metadata, 'path')}".strip(),
    )


def _detail(told: Mapping[str, Any], description: str) -> str:
    """Return the description, or the localized number of calls for reads."""
    count = told.get("count")
    if type(count) is not int:
        return description
    return ngettext("%(count)s call", "%(count)s calls", count) % {"count": number_text(count)}


def _told(activity: Activity) -> Mapping[str, Any]:
    metadata = activity.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _quoted(description: str) -> str:
    match = _TITLE.search(description)
    return match[1] if match else ""


def _link(collection: str, number: int) -> str:
    if collection in _PAGES:
        return reverse(_PAGES[collection], args=[number])
    return reverse("record_edit", args=[collection, number])


def _door(told: Mapping[str, Any]) -> str:
    """Return whether the API or a page was used, or "" if unknown or another user acted."""
    if _text(told, "via") == "api":
        token = _text(told, "token")
        return _("API, token %(number)s") % {"number": token} if token else _("API")
    return _("Page") if "user_agent" in told else ""
