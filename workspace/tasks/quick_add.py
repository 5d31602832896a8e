"""Parse a task from one line of plain words: "train baseline fri 17:00 !high #vision".

Recognized are a day and a time ("tomorrow", "fri 17:00", "in 3 days", "26 nov"), a repetition
("every monday"), a priority ("!high"), tags ("#vision") and a project ("+vision" or "@vision").
Only tags may occur more than once. English is always recognized, Spanish if it is the user's
language.

A phrase counts only if it is complete (`quick_words.Strength`): "call Ann friday" names a day, "the
friday report" does not. Quoted words are never parsed. All other words stay in the title. If the
title would be empty, the line is the title and sets no field.

The parser is a pure function and the only grammar for pages, forms, API and `nf`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple

from workspace.schema.fields import ENTRIES_MAX, ENTRY_CHARACTERS_MAX
from workspace.tasks.quick_add_grammar import (
    ABBREVIATIONS,
    BLOCKED_BEFORE,
    BLOCKED_BEHIND,
    FUNCTION_WORDS,
    LANGUAGES,
    OFFSETS,
    PARTS,
    PATTERNS,
    PRIORITIES,
    RANGES,
    UNITS,
    UNTIL,
    Pattern,
    Strength,
)
from workspace.tasks.quick_add_meaning import SHORT_UNITS, Found, Meaning, is_real, rule_of, when

CHARACTERS_MAX: Final = 1_000  # a longer line is not parsed
LINE_CHARACTERS_MAX: Final = 200  # for lines sent through the API, the maximum length of a title
_WORDS_MAX: Final = 12  # in a phrase
_AROUND: Final = ",;:.!?…"
_BREAKS: Final = ";:!?…"  # end a phrase
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"
_TAG: Final = re.compile(r"#(?=\S*[^\W\d_])[\w][\w./+-]*")
# A straight quote opens at the beginning of a word and closes at the end of one.
_QUOTED: Final = re.compile(
    r"\u201c[^\u201d]*\u201d|«[^»]*»|\u2018[^\u2019]*\u2019"
    r"|(?<![^\s(\[{])([\"'`])(?=\S)(?:(?!\1).)*\1(?![^\s.,;:!?)\]}])"
)
_DASHES: Final = str.maketrans("\u2013\u2014\u2019", "--'")
_PAIRS: Final = ("and", "or", "&", "y", "o")
_ORDINAL: Final = re.compile("[0-9]+(?:st|nd|rd|th)")
_ARTICLES: Final = ("a", "an")

_CLOCK: Final = "clock"
_FIELD_OF: Final = {
    "day": "due_date",
    "weekday": "due_date",
    "clock": _CLOCK,
    "part": _CLOCK,
    "repeat": "repeat",
    "ends": "repeat",
}


@dataclass(frozen=True)
class RecognizedText:
    """Words of the line as typed, and the field that they set."""

    field: str
    text: str


@dataclass(frozen=True)
class ParsedTask:
    """The fields that a line sets. A field that the line does not name is None or empty."""

    title: str
    due_date: str | None = None
    priority: str | None = None
    tags: tuple[str, ...] = ()
    project_id: int | None = None
    repeat: str = ""
    understood: tuple[RecognizedText, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the task fields that the line sets."""
        fields: dict[str, Any] = {
            "due_date": self.due_date,
            "priority": self.priority,
            "tags": list(self.tags),
            "project_id": self.project_id,
            "repeat": self.repeat,
        }
        return {"title": self.title} | {name: value for name, value in fields.items() if value}


class ParsedWords(NamedTuple):
    """The due date and rule that a text names, in stored form."""

    due: str | None
    repeat: str


def parse(
    text: str,
    *,
    now: datetime,
    zone: tzinfo = UTC,
    projects: Mapping[int, object] | None = None,
    language: str = "en",
) -> ParsedTask:
    """Return the fields that the line sets, relative to the moment `now` in `zone`.

    `projects` maps the ids of the projects that a line may name to their names.
    """
    words = text.split()
    if len(text) > CHARACTERS_MAX:
        return ParsedTask(" ".join(words))
    reader = _Reader(text, language, now.astimezone(zone))
    meaning = Meaning()
    reader.read_marks(meaning, projects or {})
    reader.read_when(meaning)
    try:
        due, repeat = when(meaning, now.astimezone(zone))
    except (ValueError, OverflowError):  # after the year 9999
        return ParsedTask(" ".join(words))
    title = " ".join(word for word, taken in zip(words, reader.taken, strict=True) if not taken)
    if not title:
        return ParsedTask(" ".join(words))
    return ParsedTask(
        title,
        due_date=due,
        priority=meaning.priority,
        tags=tuple(meaning.tags),
        project_id=meaning.project_id,
        repeat=repeat,
        understood=tuple(reader.understood()),
    )


def parse_words(
    text: str, *, now: datetime, zone: tzinfo = UTC, language: str = "en"
) -> ParsedWords | None:
    """Return the due date and rule that the complete text names, or None if it has other words.

    "fri 17:00" names a due date, "every monday at 9" also a rule.
    """
    if not text.strip() or len(text) > CHARACTERS_MAX:
        return None
    meaning = Meaning()
    if not _Reader(text, language, now.astimezone(zone)).read_all(meaning):
        return None
    try:
        return ParsedWords(*when(meaning, now.astimezone(zone)))
    except (ValueError, OverflowError):  # after the year 9999
        return None


def parse_repeat_words(text: str, *, now: datetime, language: str = "en") -> str:
    """Return the rule that the complete text names, such as "every monday", or "".

    `now` is in the user's time zone. "until 3 feb" is relative to it.
    """
    if not text.strip() or len(text) > CHARACTERS_MAX:
        return ""
    meaning = Meaning()
    if not _Reader(text, language, now).read_all(meaning) or meaning.repeat is None:
        return ""
    is_all = not any((meaning.day, meaning.weekday, meaning.clock, meaning.part))
    try:
        return rule_of(meaning, now.date()) if is_all else ""
    except ValueError:
        return ""


def parse_due_words(
    text: str, *, now: datetime, zone: tzinfo = UTC, language: str = "en"
) -> str | None:
    """Return the due date that the complete text names, such as "fri 17:00", in stored form.

    Return None if it names none, or names a repetition.
    """
    words = parse_words(text, now=now, zone=zone, language=language)
    return None if words is None or words.repeat else words.due


def _bare(text: str) -> str:
    """Return the text in lower case without accents, for comparison of words."""
    if text.isascii():
        return text.lower().replace(" ", "_")
    apart = unicodedata.normalize("NFD", text.casefold()).translate(_DASHES)
    return "".join(char for char in apart if not unicodedata.combining(char)).replace(" ", "_")


def _plain(word: str) -> str:
    """Return a word without the punctuation around it, for matching patterns."""
    bare = _bare(word)
    return bare.lstrip(_OPENING).rstrip(_AROUND + _CLOSING).rstrip(_AROUND) or bare


# Matching words


class _Item(NamedTuple):
    """A match of a pattern, covering the words from `start` up to `end`."""

    kind: str
    strength: Strength
    start: int
    end: int
    groups: Found

    @property
    def is_short(self) -> bool:
        """True for an offset of minutes or hours from now, which includes a time of day."""
        unit = UNITS.get(self.groups.get("unit") or "")
        return self.kind == "day" and (unit in SHORT_UNITS or "half_hour" in self.groups)

    @property
    def roles(self) -> frozenset[str]:
        """The roles that the item fills. A line fills each role at most once."""
        roles = {"day" if self.kind == "weekday" else self.kind, self.kind}
        if self.is_short or self.groups.get("hour"):
            roles.add("clock")
        if self.groups.get("part") or self.groups.get("this"):
            roles.add("part")
        return frozenset(roles)


class _Reader:
    """The parser of a line. `taken` has, for each word, the field that it sets, or ""."""

    def __init__(self, text: str, language: str, now: datetime) -> None:
        """Prepare the words. `now` is in the user's time zone."""
        language = _bare(language)[:2]
        self._words = text.split()
        self._bare = [_plain(word) for word in self._words]
        self._languages = [language, "en"] if language in LANGUAGES and language != "en" else ["en"]
        self._now, self._count = now, len(self._words)
        self.taken = [""] * len(self._words)
        self._quoted = _quoted(text, self._words)
        self._phrases: list[tuple[int, int, str]] = []
        self._blocked_behind = self._all_of(BLOCKED_BEHIND)
        self._function_words = self._all_of(FUNCTION_WORDS)
        self._items: dict[int, list[_Item]] = {}

    def _all_of(self, words: Mapping[str, frozenset[str]]) -> frozenset[str]:
        return frozenset().union(*(words[language] for language in self._languages))

    def understood(self) -> Iterator[RecognizedText]:
        for start, end, name in sorted(self._phrases):
            text = " ".join(self._words[start:end])
            yield RecognizedText("due_date" if name == _CLOCK else name, text)

    def _take(self, start: int, end: int, name: str) -> None:
        self.taken[start:end] = [name] * (end - start)
        self._phrases.append((start, end, name))

    # Marks

    def read_marks(self, said: Meaning, projects: Mapping[int, object]) -> None:
        """Parse priority, tags and project, which begin with a sign of their own."""
        named = _Named(projects if any(word[0] in "+@" for word in self._words) else {})
        for at, word in enumerate(self._words):
            if self.taken[at] or self._quoted[at]:
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
        return next(
            (p for language in self._languages if (p := PRIORITIES[language].get(word))), None
        )

    def _read_tag(self, at: int, said: Meaning) -> None:
        tag = self._words[at].rstrip(_AROUND)
        if not _TAG.fullmatch(tag) or not 1 < len(tag) <= ENTRY_CHARACTERS_MAX + 1:
            return  # "#12" is an issue number
        if tag[1:] in said.tags or len(said.tags) < ENTRIES_MAX:
            said.tags = list(dict.fromkeys([*said.tags, tag[1:]]))
            self._take(at, at + 1, "tags")

    def _read_project(self, at: int, said: Meaning, projects: _Named) -> None:
        """Set the project with the longest name that the words from `at` on spell.

        A single word may also be the beginning of a name, if it is unique.
        """
        for end in range(min(len(self._words), at + _WORDS_MAX), at, -1):
            if not any(self.taken[at:end]) and not any(self._quoted[at:end]):
                spelt = _letters(" ".join(self._words[at:end])[1:])
                number = projects.called(spelt)
                if number is None and end == at + 1 and len(spelt) > 1:
                    number = projects.beginning(spelt)
                if number is not None:
                    said.project_id = number
                    self._take(at, end, "project_id")
                    return

    # Days, times and repetitions

    def read_when(self, said: Meaning) -> None:
        """Take phrases, strongest first. Those that count only last are matched backwards."""
        filled: set[str] = set()
        places = range(len(self._words))
        for strength in (Strength.ANYWHERE, Strength.COMPLETE, Strength.LAST):
            for at in places if strength > Strength.LAST else reversed(places):
                phrase = self._phrase(at, strength, filled)
                if phrase:
                    self._take_phrase(phrase, said)
                    filled |= frozenset().union(*(item.roles for item in phrase))

    def read_all(self, said: Meaning) -> bool:
        """Return True if the complete text is one phrase, whose meaning is then in `said`."""
        phrase = self._whole(0, frozenset())
        if phrase is None or any(self._quoted) or not _agrees(phrase):
            return False
        self._take_phrase(phrase, said)
        return True

    def _whole(self, at: int, filled: frozenset[str]) -> list[_Item] | None:
        """Return items that cover all words from `at` on, or None."""
        if at == len(self._words):
            return []
        for item in self._next_items(at, filled, bool(filled)):
            rest = self._whole(item.end, filled | item.roles)
            if rest is not None:
                return [item, *rest]
        return None

    def _take_phrase(self, phrase: Iterable[_Item], said: Meaning) -> None:
        self._items.clear()  # cached matches may include words that are now taken
        for item in phrase:
            self._take(item.start, item.end, _FIELD_OF[item.kind])
            part = item.groups.get("part") or item.groups.get("this")
            if part or item.groups.get("word") == "tonight":
                said.part = part or "night"
            if item.kind == "ends":
                said.count = item.groups.get("count")
                said.until = item.groups if said.count is None else None
            elif item.kind != "part":
                setattr(said, item.kind, item.groups)
                if item.groups.get("hour"):
                    said.clock = item.groups

    def _phrase(self, at: int, strength: Strength, filled: set[str]) -> list[_Item]:
        """Return the longest phrase from `at` on that counts there, or []."""
        phrase: list[_Item] = []
        roles = frozenset(filled)
        end = at
        while items := self._next_items(end, roles, bool(phrase)):
            phrase.append(items[0])
            roles |= items[0].roles
            end = items[0].end
        while phrase:
            if _strength(phrase) >= strength and _agrees(phrase) and self._fits(phrase):
                return phrase
            phrase.pop()
        return []

    def _next_items(self, at: int, filled: frozenset[str], goes_on: bool) -> list[_Item]:
        """Return the items that may follow in a phrase, longest first."""
        if goes_on and (at >= len(self._words) or self._breaks(at - 1)):
            return []
        items = []
        for item in self._items_at(at):
            clash = item.roles & filled
            if item.kind in ("day", "weekday") and clash == {"day"}:
                # "Friday 18 December": a weekday and its date fill the role together.
                clash = frozenset() if "weekday" in filled | item.roles else clash
            if "bare_day" in item.groups and "weekday" not in filled:
                continue
            if item.kind == "ends" and "repeat" not in filled:
                continue
            if not clash:
                items.append(item)
        if "repeat" in filled and goes_on and self._bare[at] in UNTIL and not self._breaks(at):
            ends = [item for item in self._items_at(at + 1) if item.kind == "day"]
            items += [
                _Item("ends", Strength.WITH, at, item.end, item.groups)
                for item in ends
                if "bare_day" not in item.groups and not item.is_short
            ]
        return items

    def _items_at(self, at: int) -> list[_Item]:
        """Return the items that begin at the word `at`, longest first."""
        if at not in self._items:
            self._items[at] = list(self._look(at)) if at < len(self._words) else []
        return self._items[at]

    def _look(self, at: int) -> Iterator[_Item]:
        end = at
        while end < min(len(self._words), at + _WORDS_MAX):
            # A taken or quoted word, or the end of a clause, ends the phrase.
            if self.taken[end] or self._quoted[end] or (end > at and self._breaks(end - 1)):
                break
            end += 1
        text = " ".join(self._bare[at:end])
        matches = [
            (match.end(), place, pattern, match)
            for place, pattern in enumerate(self._patterns())
            if text and (match := pattern.regex.match(text))
        ]
        for _length, _place, pattern, match in sorted(matches, key=lambda one: (-one[0], one[1])):
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            if is_real(groups) and not self._is_past(groups):
                last = at + match[0].count(" ") + 1
                yield _Item(pattern.kind, pattern.strength, at, last, groups)

    def _patterns(self) -> Iterator[Pattern]:
        for language in self._languages:
            yield from PATTERNS[language]

    def _is_past(self, groups: Found) -> bool:
        """Return True for a part of today that has ended: "what broke this morning"."""
        part = groups.get("this")
        return part is not None and self._now.hour >= PARTS[part].end

    def _breaks(self, at: int) -> bool:
        """Return True if the punctuation after this word ends a phrase."""
        mark = self._words[at].rstrip(_CLOSING)[-1:]
        return mark in _BREAKS or (mark == "." and self._bare[at] not in ABBREVIATIONS)

    def _fits(self, phrase: Sequence[_Item]) -> bool:
        """Return True if the phrase is complete in its context."""
        start, end, strength = phrase[0].start, phrase[-1].end, _strength(phrase)
        if self._is_blocked(start, end):
            return False
        if strength is Strength.ANYWHERE or all(map(self._says_nothing, range(end, self._count))):
            return True
        if strength is Strength.LAST:
            return False
        return (
            self._says_nothing(end)
            or self._words[end - 1][-1] in _AROUND + _CLOSING
            or self._bare[end] in self._function_words
            or (strength is Strength.FIRST and start == 0)
        )

    def _says_nothing(self, at: int) -> bool:
        """Return True if a word does not extend a phrase: it is taken, or an emoji."""
        return bool(self.taken[at]) or not any(map(str.isalnum, self._bare[at]))

    def _is_blocked(self, start: int, end: int) -> bool:
        """Return True for a part of something else: "the friday report", "9 to 10", "(see fri"."""
        before = self._bare[start - 1] if start and not self.taken[start - 1] else ""
        if before in self._blocked_behind and not self._ends_clause(start - 1):
            return before not in _ARTICLES or self._bare[start] not in OFFSETS  # "a tomorrow"
        if before.endswith("'s") or _ORDINAL.fullmatch(before):  # "every 15th friday"
            return True
        if before in _PAIRS and start > 1 and self._bare[start - 2][0].isdecimal():
            return True  # "between 9 and 10am"
        text = " ".join(self._words[start:end])
        if any(text.count(a) != text.count(b) for a, b in zip(_OPENING, _CLOSING, strict=True)):
            return True
        if end == len(self._words) or self.taken[end] or self._ends_clause(end - 1):
            return False
        if self._bare[end] in BLOCKED_BEFORE:
            return True
        is_range = self._bare[end] in RANGES and end + 1 < len(self._words)
        return is_range and (self._bare[end + 1][0].isdecimal() or bool(self._items_at(end + 1)))

    def _ends_clause(self, at: int) -> bool:
        return len(self._words[at]) > 1 and self._words[at][-1] in _AROUND + _CLOSING


def _strength(phrase: Sequence[_Item]) -> Strength:
    """Return where a phrase of these items counts. Two items that agree count anywhere."""
    main = [item for item in phrase if item.kind not in ("part", "ends")]
    if not main:
        return Strength.WITH
    strongest = max(item.strength for item in main)
    if len(main) > 1:
        numbers = [item for item in main if item.groups.keys() & {"bare_day", "month_day"}]
        if len(main) == 2 and numbers and any(item.kind == "weekday" for item in main):
            return Strength.LAST if "bare_day" in numbers[0].groups else Strength.COMPLETE
        return Strength.ANYWHERE
    if any(item.kind == "part" for item in phrase):
        return Strength.ANYWHERE if main[0].kind == "clock" else max(strongest, Strength.COMPLETE)
    return strongest


def _agrees(phrase: Sequence[_Item]) -> bool:
    """Return True unless a weekday contradicts the repetition. "every 2 weeks friday" agrees."""
    rules = [item.groups for item in phrase if item.kind == "repeat"]
    is_beside = bool(rules) and any(item.kind == "weekday" for item in phrase)
    return not is_beside or UNITS.get(rules[0].get("unit") or "") in ("week", "fortnight")


def _quoted(text: str, words: Sequence[str]) -> list[bool]:
    """Return for each word whether it is in quotes."""
    spans = [match.span() for match in _QUOTED.finditer(text)] if words else []
    quoted, at, span = [], 0, 0
    for word in words:
        at = text.index(word, at)
        end = at + len(word)
        while span < len(spans) and spans[span][1] <= at:
            span += 1
        quoted.append(span < len(spans) and spans[span][0] < end)
        at = end
    return quoted


class _Named:
    """An index of projects by the letters and digits of their names."""

    def __init__(self, names: Mapping[int, object]) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, name in names.items():
            self._numbers.setdefault(_letters(str(name)), []).append(number)
        self._ordered = sorted(self._numbers)

    def called(self, spelt: str) -> int | None:
        """Return the id if exactly one project has that name, otherwise None."""
        return _one(self._numbers.get(spelt, []) if spelt else [])

    def beginning(self, spelt: str) -> int | None:
        """Return the id if exactly one project's name begins like that, otherwise None."""
        first = bisect_left(self._ordered, spelt)
        fitting = [name for name in self._ordered[first : first + 2] if name.startswith(spelt)]
        return _one([number for name in fitting for number in self._numbers[name]])


def _one(found: list[int]) -> int | None:
    return found[0] if len(found) == 1 else None


@lru_cache(20_000)  # a preview parses the line at every key press, with the same names
def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, _bare(name)))
