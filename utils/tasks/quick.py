"""A task in one line of plain words: "train baseline fri 17:00 !high #vision".

Understood are a day and a time ("tomorrow", "fri 17:00", "in 3 days", "26 nov"), a repetition
("every monday"), a priority ("!high"), tags ("#vision") and a project ("+vision" or "@vision"), of
each but the tags one. English is understood always, and Spanish for who reads it. Nothing is
dropped: every other word stays in the title, and where none would be left, all do. A pure function
of its arguments.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from utils.fields import ENTRIES_MAX, ENTRY_CHARACTERS_MAX
from utils.tasks.quick_words import (
    DATES,
    LANGUAGES,
    MONTHS,
    OFFSETS,
    ORDINALS,
    PRIORITIES,
    REPEATS,
    SHORT_DATES,
    SHORT_REPEATS,
    TIMES,
    UNITS,
    WEEKDAYS,
    Patterns,
)
from utils.tasks.repeats import next_due
from utils.times import utc_text

CHARACTERS_MAX: Final = 1_000  # of a line; of a longer one nothing is understood
LINE_CHARACTERS_MAX: Final = 200  # of a line that a program sends: as many as a title may have
_WORDS_MAX: Final = 10  # of one phrase
_AROUND: Final = ",;.!?"
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_TAG: Final = re.compile(r"#(?=\S*[^\W\d_])[\w][\w./+-]*")
_FREQUENCIES: Final = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}

_SHORT_UNITS: Final = ("minute", "hour")
_CLOCK: Final = "clock"

Found = Mapping[str, str | None]


@dataclass(frozen=True)
class Understood:
    """Words of the line, as they were typed, and the field that they set."""

    field: str
    text: str


@dataclass(frozen=True)
class Quick:
    """What a line says. What it says nothing of, is None or empty."""

    title: str
    due_date: str | None = None
    priority: str | None = None
    tags: tuple[str, ...] = ()
    project_id: int | None = None
    repeat: str = ""
    understood: tuple[Understood, ...] = ()

    def record(self) -> dict[str, Any]:
        """The fields of a new task that the line sets."""
        told: dict[str, Any] = {
            "due_date": self.due_date,
            "priority": self.priority,
            "tags": list(self.tags),
            "project_id": self.project_id,
            "repeat": self.repeat,
        }
        return {"title": self.title} | {name: value for name, value in told.items() if value}


def parse(
    text: str,
    *,
    now: datetime,
    zone: tzinfo = UTC,
    projects: Mapping[int, object] | None = None,
    language: str = "en",
) -> Quick:
    """What the line says at the moment `now`, on the clocks and the calendar of `zone`.

    `projects` are the names, by id, of those that it may mean.
    """
    words = text.split()
    if len(text) > CHARACTERS_MAX:
        return Quick(" ".join(words))
    reader = _Reader(words, _bare(language)[:2])
    said = _Said()
    reader.read_marks(said, projects or {})
    reader.read_when(said)
    try:
        due, repeat = _when(said, now.astimezone(zone))
    except (ValueError, OverflowError):  # after the year 9999
        return Quick(" ".join(words))
    title = " ".join(word for word, taken in zip(words, reader.taken, strict=True) if not taken)
    if not title:
        return Quick(" ".join(words))
    return Quick(
        title,
        due_date=due,
        priority=said.priority,
        tags=tuple(said.tags),
        project_id=said.project_id,
        repeat=repeat,
        understood=tuple(reader.understood()),
    )


def parse_repeat_words(text: str, language: str = "en") -> str:
    """The rule that the whole text names, such as "every monday"; "" where it names none."""
    words = text.split()
    if not words or len(text) > CHARACTERS_MAX:
        return ""
    reader, said = _Reader(words, _bare(language)[:2]), _Said()
    reader.read_when(said)
    is_all = said.repeat is not None and set(reader.taken) == {"repeat"}
    return _rule(said.repeat) if is_all and said.repeat else ""


def parse_due_words(
    text: str, *, now: datetime, zone: tzinfo = UTC, language: str = "en"
) -> str | None:
    """The day or the moment that the whole text names, such as "fri 17:00", as it is stored.

    None where it names none.
    """
    words = text.split()
    if not words or len(text) > CHARACTERS_MAX:
        return None
    reader, said = _Reader(words, _bare(language)[:2]), _Said()
    reader.read_when(said)
    if not set(reader.taken) <= {"due_date", _CLOCK}:
        return None
    try:
        return _when(said, now.astimezone(zone))[0]
    except (ValueError, OverflowError):  # after the year 9999
        return None


def _bare(text: str) -> str:
    """The text in small letters without accents, as words are compared."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(char for char in apart if not unicodedata.combining(char)).replace(" ", "_")


# Which words mean something


@dataclass
class _Said:
    priority: str | None = None
    tags: list[str] = field(default_factory=list)
    project_id: int | None = None
    day: Found | None = None
    clock: Found | None = None
    repeat: Found | None = None


class _Reader:
    """Goes over the words of a line; `taken` is, word by word, the field that it sets, or ""."""

    def __init__(self, words: Sequence[str], language: str) -> None:
        self._words = words
        self._bare = [_bare(word).rstrip(_AROUND) or _bare(word) for word in words]
        self._languages = [language, "en"] if language in LANGUAGES and language != "en" else ["en"]
        self.taken = [""] * len(words)
        self._phrases: list[tuple[int, int, str]] = []

    def understood(self) -> Iterator[Understood]:
        for start, end, name in sorted(self._phrases):
            text = " ".join(self._words[start:end])
            yield Understood("due_date" if name == _CLOCK else name, text)

    def _take(self, start: int, end: int, name: str) -> None:
        self.taken[start:end] = [name] * (end - start)
        self._phrases.append((start, end, name))

    # Marks

    def read_marks(self, said: _Said, projects: Mapping[int, object]) -> None:
        """Priority, tags and project: words that begin with a sign of their own."""
        named = _Named(projects if any(word[0] in "+@" for word in self._words) else {})
        for at, word in enumerate(self._words):
            if self.taken[at]:
                continue
            if word.startswith("!") and said.priority is None:
                said.priority = self._priority(self._bare[at].lstrip("!"))
                if said.priority:
                    self._take(at, at + 1, "priority")
            elif word.startswith("#"):
                self._read_tag(at, said)
            elif word.startswith(("+", "@")) and said.project_id is None:
                self._read_project(at, said, named)

    def _priority(self, word: str) -> str | None:
        return next((p for one in self._languages if (p := PRIORITIES[one].get(word))), None)

    def _read_tag(self, at: int, said: _Said) -> None:
        tag = self._words[at].rstrip(_AROUND)
        if not _TAG.fullmatch(tag) or not 1 < len(tag) <= ENTRY_CHARACTERS_MAX + 1:
            return  # "#12" is a number of something
        if tag[1:] in said.tags or len(said.tags) < ENTRIES_MAX:
            said.tags = list(dict.fromkeys([*said.tags, tag[1:]]))
            self._take(at, at + 1, "tags")

    def _read_project(self, at: int, said: _Said, projects: _Named) -> None:
        """The project with the longest name that the words from here on spell, or else begin."""
        for end in range(min(len(self._words), at + _WORDS_MAX), at, -1):
            if not any(self.taken[at:end]):
                spelt = _letters(" ".join(self._words[at:end])[1:])
                number = projects.called(spelt)
                if number is None and end == at + 1 and len(spelt) > 1:
                    number = projects.beginning(spelt)
                if number is not None:
                    said.project_id = number
                    self._take(at, end, "project_id")
                    return

    # Days, times and repetitions

    def read_when(self, said: _Said) -> None:
        """First what can mean nothing else, then words such as "sun", where nothing follows."""
        said.repeat = self._phrase(REPEATS, "repeat", self._anywhere)
        said.day = self._phrase(DATES, "due_date", self._anywhere)
        if said.day is None or UNITS.get(said.day.get("unit") or "") not in _SHORT_UNITS:
            said.clock = self._phrase(TIMES, _CLOCK, self._anywhere)
        if said.day is None and said.repeat is None:
            said.day = self._phrase(SHORT_DATES, "due_date", self._at_the_end)
        if said.repeat is None:
            said.repeat = self._phrase(SHORT_REPEATS, "repeat", self._at_the_end)

    def _phrase(
        self, patterns: Patterns, name: str, fits: Callable[[int, int], bool]
    ) -> Found | None:
        """The first phrase that fits, and the longest of those that begin there."""
        wanted = [pattern for language in self._languages for pattern in patterns[language]]
        for at in range(len(self._words)):
            # What is behind the next taken word belongs to another phrase.
            free = next((n for n in range(at, len(self._words)) if self.taken[n]), None)
            said = " ".join(self._bare[at:free][:_WORDS_MAX])
            matches = [found for pattern in wanted if (found := pattern.match(said))]
            for found in sorted(matches, key=_length, reverse=True):
                end = at + found[0].count(" ") + 1
                if fits(at, end) and _is_real(found.groupdict()):
                    self._take(at, end, name)
                    return found.groupdict()
        return None

    def _anywhere(self, start: int, end: int) -> bool:
        return True

    def _at_the_end(self, start: int, end: int) -> bool:
        """Whether only what was understood follows, or a time stands beside."""
        beside = [*self.taken[end : end + 1], *self.taken[max(0, start - 1) : start]]
        return all(self.taken[end:]) or _CLOCK in beside


class _Named:
    """What can be meant by a name: ids by the letters of their names, and these in order."""

    def __init__(self, names: Mapping[int, object]) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, name in names.items():
            self._numbers.setdefault(_letters(str(name)), []).append(number)
        self._ordered = sorted(self._numbers)

    def called(self, spelt: str) -> int | None:
        """The only one of that name; None where there is none, or more."""
        return _one(self._numbers.get(spelt, []) if spelt else [])

    def beginning(self, spelt: str) -> int | None:
        """The only one whose name begins so."""
        first = bisect_left(self._ordered, spelt)
        fitting = [name for name in self._ordered[first : first + 2] if name.startswith(spelt)]
        return _one([number for name in fitting for number in self._numbers[name]])


def _length(found: re.Match[str]) -> int:
    return len(found[0])


def _one(found: list[int]) -> int | None:
    return found[0] if len(found) == 1 else None


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, _bare(name)))


def _is_real(found: Found) -> bool:
    """Whether the numbers in it can be those of a time or a day."""
    hour, minute, half = (found.get(name) for name in ("hour", "minute", "half"))
    if hour and not (int(hour) <= 23 and int(minute or 0) <= 59):
        return False
    if half and not 1 <= int(hour or 0) <= 12:
        return False
    try:
        _fixed_day(found)
    except ValueError:
        return False
    return True


# When that is


def _when(said: _Said, now: datetime) -> tuple[str | None, str]:
    """Due, as it is stored, and the rule. `now` is in the person's zone."""
    today, repeat = now.date(), _rule(said.repeat) if said.repeat else ""
    clock = _clock(said.clock) if said.clock else None
    if said.day is not None:
        amount, unit = said.day.get("amount"), UNITS.get(said.day.get("unit") or "")
        if unit in _SHORT_UNITS:
            ahead = timedelta(**{f"{unit}s": _amount(amount)})
            return utc_text((now + ahead).astimezone(UTC).replace(second=0, microsecond=0)), repeat
        day = _day(said.day, today)
    elif repeat:
        late = clock is not None and clock <= now.time()
        day = _first(repeat, today + timedelta(days=1 if late else 0))
    elif clock is not None:
        day = today + timedelta(days=1 if clock <= now.time() else 0)
    else:
        return None, repeat
    if clock is None:
        return day.isoformat(), repeat
    return utc_text(datetime.combine(day, clock, now.tzinfo).astimezone(UTC)), repeat


def _first(repeat: str, day: date) -> date:
    """The first day of the rule from this one on."""
    if "BY" not in repeat:
        return day
    every = re.sub(r";INTERVAL=\d+", "", repeat)  # of every other Monday, the first is the next
    before = day - timedelta(days=1)
    found = next_due(before.isoformat(), every, now=datetime.combine(before, time.min, UTC))
    return date.fromisoformat(found.due) if found else day


def _clock(found: Found) -> time:
    hour = int(found["hour"] or 0)
    half = found.get("half")
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return time(hour, int(found.get("minute") or 0))


def _amount(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 1  # "in a week"


def _day(found: Found, today: date) -> date:
    if (word := found.get("word")) is not None:
        return today + timedelta(days=OFFSETS[word])
    if (name := found.get("weekday") or found.get("coming")) is not None:
        return today + timedelta(days=(WEEKDAYS[name] - today.weekday() - 1) % 7 + 1)
    monday = today + timedelta(days=7 - today.weekday())
    if (name := found.get("next")) is not None:
        return monday + timedelta(days=WEEKDAYS[name])
    if found.get("week"):
        return monday
    if found.get("whole_month"):
        return _months_later(today.replace(day=1), 1)
    if unit := UNITS.get(found.get("unit") or ""):
        amount = _amount(found.get("amount"))
        if unit in ("day", "week"):
            return today + timedelta(days=amount * (7 if unit == "week" else 1))
        return _months_later(today, amount * (12 if unit == "year" else 1))
    return _dated(found, today)


def _dated(found: Found, today: date) -> date:
    """The day of a month; without a year the next one that there is."""
    fixed = _fixed_day(found)
    if fixed is not None:
        return fixed
    month, day = _month(found), int(found["day"] or 0)
    years = range(today.year, today.year + 9)  # 29 February may be that far
    days = (date(year, month, day) for year in years if day <= monthrange(year, month)[1])
    return next(one for one in days if one >= today)


def _fixed_day(found: Found) -> date | None:
    """The day that is named with its year. Raises ValueError for a day that never is."""
    if iso := found.get("iso"):
        return date.fromisoformat(iso)
    if not (day := found.get("day")):
        return None
    if year := found.get("year"):
        return date(int(year), _month(found), int(day))
    date(2000, _month(found), int(day))  # a leap year
    return None


def _month(found: Found) -> int:
    month = found["month"] or ""
    return int(month) if month.isdecimal() else MONTHS[month]


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


# How it repeats


def _rule(found: Found) -> str:
    times = 2 if found.get("other") else int(found.get("times") or 1)
    interval = f";INTERVAL={times}" if times > 1 else ""
    if unit := UNITS.get(found.get("unit") or ""):
        return f"FREQ={_FREQUENCIES[unit]}{interval}"
    if found.get("workdays"):
        return "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"
    if ordinal := found.get("ordinal"):
        weekday = _DAYS[WEEKDAYS[found["ordinal_day"] or ""]]
        return f"FREQ=MONTHLY;BYDAY={ORDINALS[ordinal]}{weekday}"
    if found.get("last_day"):
        return "FREQ=MONTHLY;BYMONTHDAY=-1"
    if day := found.get("month_day"):
        return f"FREQ=MONTHLY;BYMONTHDAY={int(day)}"
    if day := found.get("day"):
        return f"FREQ=YEARLY;BYMONTH={_month(found)};BYMONTHDAY={int(day)}"
    named = {WEEKDAYS[word] for word in (found.get("days") or "").split() if word in WEEKDAYS}
    return f"FREQ=WEEKLY{interval};BYDAY={','.join(_DAYS[day] for day in sorted(named))}"
