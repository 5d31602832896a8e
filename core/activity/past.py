"""What the activity page shows: which activities are asked for, and each in words."""

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

from core.activity.devices import device_of
from core.display import title_of
from core.numbers import number_text
from core.words import ACTIVITY_WORDS, Text, in_words
from docstore import StoreError, id_of
from utils.json_storage import JSONStorageManager
from utils.lists import Test
from utils.people.localization import local_time
from utils.people.past import Activity, of_text, of_time, of_types
from utils.records import COLLECTIONS, RECORD_COLLECTIONS
from utils.times import is_date, moment_of, parse_time, utc_text

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
    ("api", gettext_lazy("Calls of the API that only read"), r"api_call"),
    ("account", gettext_lazy("Account and log-ins"), r".*"),
)
# What their words say is all there is to say.
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
    "example_added",
    "example_removed",
}
_OF_RECORD = re.compile(r"(task|project|model)_(created|updated|completed|deleted)")
_TITLE = re.compile(r"“(.*)”", re.S)  # as `utils.people.activities` writes it
_PAGES = {"models": "model_detail", "projects": "project_detail"}
_COLLECTIONS = {COLLECTIONS[name].singular: name for name in RECORD_COLLECTIONS}


def kinds() -> list[tuple[str, Text, list[tuple[str, Text]]]]:
    """Each group of types with its name, and the types in it with theirs."""
    groups: dict[str, list[tuple[str, Text]]] = {name: [] for name, _label, _types in _KINDS}
    for type_, words in ACTIVITY_WORDS.items():
        group = next(name for name, _label, types in _KINDS if re.fullmatch(types, type_))
        groups[group].append((type_, words))
    return [(name, label, groups[name]) for name, label, _types in _KINDS]


@dataclass(frozen=True)
class Asked:
    """Which activities a person asked to see. What the page does not know counts as not asked."""

    kind: str  # a group of types, or one type
    since: str  # days; both belong to what is asked for
    until: str
    text: str

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Asked":
        kind = parameters.get("kind", "")
        return cls(
            kind=kind if _types_of(kind) else "",
            since=_day(parameters.get("from", "")),
            until=_day(parameters.get("to", "")),
            text=parameters.get("q", "").strip()[:TEXT_CHARACTERS_MAX],
        )

    @property
    def address(self) -> str:
        """The parameters that ask for the same."""
        names = {"kind": self.kind, "from": self.since, "to": self.until, "q": self.text}
        return urlencode({name: value for name, value in names.items() if value})

    @property
    def tests(self) -> list[Test]:
        """What an activity must pass."""
        return [
            *([of_types(_types_of(self.kind))] if self.kind else []),
            *_of_time("from", self.since),
            *_of_time("before", self.until, later=1),
            *([of_text(self.text)] if self.text else []),
        ]


def _types_of(kind: str) -> set[str]:
    """The types of a kind; none where there is no such kind."""
    if kind in ACTIVITY_WORDS:
        return {kind}
    return {type_ for name, _label, types in kinds() if name == kind for type_, _words in types}


def _day(text: str) -> str:
    return text if is_date(text) and moment_of(text) else ""


def _of_time(how: str, day: str, later: int = 0) -> list[Test]:
    """The test by a day, or by the day after it, which begins when it does in the person's zone."""
    if not day:
        return []
    try:
        begins = date.fromisoformat(day) + timedelta(days=later)
        moment = parse_time(f"{begins} 00:00", timezone.get_current_timezone())
    except (ValueError, OverflowError):  # before the first day that there is, or after the last
        return []
    return [of_time(how, utc_text(moment))]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One activity in words. Of a record that is gone there is a title, but nothing to lead to."""

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


def lines(manager: JSONStorageManager, owner: int, activities: Sequence[Activity]) -> list[Line]:
    """The activities of the owner in words, with links to the records that still exist."""
    about = [_about(activity) for activity in activities]
    titles = _titles(manager, owner, [one for one in about if one])
    return [_line(activity, one, titles) for activity, one in zip(activities, about, strict=True)]


def said_of(activity: Activity) -> tuple[Text, str]:
    """What was done, and the title that the record had then."""
    type_, description = str(activity.get("type") or ""), str(activity.get("description") or "")
    known = type_ in ACTIVITY_WORDS or not description
    what = in_words(type_, ACTIVITY_WORDS) if known else description
    return what, _quoted(description) if _OF_RECORD.fullmatch(type_) else ""


def days(found: Iterable[Line]) -> list[tuple[date | None, list[Line]]]:
    """The lines by their day in the person's zone; None for those without a time."""
    return [(day, list(group)) for day, group in groupby(found, _day_of)]


def _day_of(line: Line) -> date | None:
    moment = moment_of(line.at)
    return local_time(moment).date() if moment else None


def _about(activity: Activity) -> tuple[str, int] | None:
    """Collection and id of the record of one's own that an activity is about, if it is."""
    told = _told(activity)
    found = _OF_RECORD.fullmatch(str(activity.get("type")))
    collection = _COLLECTIONS[found[1]] if found else told.get("collection")
    number = id_of(told)
    if "owner" in told or number is None or collection not in RECORD_COLLECTIONS:
        return None
    return str(collection), number


def _titles(
    manager: JSONStorageManager, owner: int, about: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Text]:
    """The titles that the records have now. A document that cannot be read costs its links."""
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
) -> Line:
    told, type_ = _told(activity), str(activity.get("type") or "")
    description = str(activity.get("description") or "")
    of_record = _OF_RECORD.fullmatch(type_) is not None
    exists = about is not None and about in titles
    agent = _text(told, "user_agent")
    return Line(
        at=str(activity.get("timestamp") or ""),
        said=in_words(type_, ACTIVITY_WORDS) if type_ else description,
        about=titles[about] if about and exists else _quoted(description) if of_record else "",
        link=_link(*about) if about and exists else "",
        detail="" if of_record or not type_ or type_ in _SAID else _detail(told, description),
        by=_text(told, "by_name"),
        door=_door(told),
        address=_text(told, "ip_address"),
        device=device_of(agent),
        agent=agent,
        call=f"{_text(told, 'method')} {_text(told, 'path')}".strip(),
    )


def _detail(told: Mapping[str, Any], description: str) -> str:
    """The description; of the reads of a day, how many they are, in the user's language."""
    count = told.get("count")
    if type(count) is not int:
        return description
    return ngettext("%(count)s call", "%(count)s calls", count) % {"count": number_text(count)}


def _told(activity: Activity) -> Mapping[str, Any]:
    told = activity.get("metadata")
    return told if isinstance(told, dict) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _quoted(description: str) -> str:
    found = _TITLE.search(description)
    return found[1] if found else ""


def _link(collection: str, number: int) -> str:
    if collection in _PAGES:
        return reverse(_PAGES[collection], args=[number])
    return reverse("record_edit", args=[collection, number])


def _door(told: Mapping[str, Any]) -> str:
    """Through which door it was done, as far as is known; "" for what another person did."""
    if _text(told, "via") == "api":
        token = _text(told, "token")
        return _("API, token %(number)s") % {"number": token} if token else _("API")
    return _("Page") if "user_agent" in told else ""
