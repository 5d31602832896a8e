"""Convert record values to form input and back.

Each kind of field has an `FieldInput`. Unreadable input raises a translated ValidationError.
Whether a parsed value is valid is decided by the table alone.
"""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from web import recurrence_text
from web.error_messages import localize_error, sentence
from web.labels import Text
from web.localization import local_time
from web.numbers import Ambiguous, is_number, read_number, typed_text
from workspace.schema.fields import ITEM_CHARACTERS_MAX, ITEMS_MAX
from workspace.schema.validation import Field, Kind
from workspace.strict_json import MalformedBody, load_strict
from workspace.tasks.quick_add import parse_due_words
from workspace.timestamps import format_utc, is_date, parse_time

_BOX = re.compile(r"(?:[-*]\s+)?\[([ xX]?)\]")  # prefix of a checklist item: "[x]"
_ITEM_FAULT = _("Line %(line)d: use 1 to %(most)d characters.")
_TWO_READINGS = _("“%(typed)s” is ambiguous: enter %(whole)s or %(fraction)s.")
_ITEMS_FAULT = _("Line %(line)d: at most %(most)d items.")


# Values to text


def show_text(value: object) -> str:
    """Return a value as text. Values other than texts become JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show_time(value: object) -> str:
    text = show_text(value)
    try:
        moment = parse_time(text)
    except ValueError:
        return text
    if is_date(text):
        return text
    local = local_time(moment)
    # Show UTC if local time is ambiguous, in the hour repeated at the end of daylight saving.
    if parse_time(_typed(local), local.tzinfo or UTC) != moment:
        return _typed(moment) + "Z"
    return _typed(local)


def _typed(moment: datetime) -> str:
    exact = moment.second or moment.microsecond
    return moment.replace(tzinfo=None).isoformat(" ", "auto" if exact else "minutes")


def _show_number(value: object) -> str:
    return typed_text(value) if is_number(value) else show_text(value)


def _show_entries(value: object) -> str:
    return ", ".join(_quoted(show_text(entry)) for entry in _entries(value))


def _show_names(value: object) -> str:
    return _show_entries([entry for entry in _entries(value) if isinstance(entry, str)])


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _quoted(entry: str) -> str:
    plain = entry == entry.strip() and not {",", '"'} & set(entry)
    return entry if plain else '"{}"'.format(entry.replace('"', '""'))


def _show_object(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


# Text to values


def unix_lines(typed: str) -> str:
    """Return the input without the CR that browsers send before each LF."""
    return typed.replace("\r\n", "\n")


def _read_text(typed: str, field: Field, stored: object) -> str:
    return typed


def _read_line(typed: str, field: Field, stored: object) -> str:
    return typed.strip()


def _read_time(typed: str, field: Field, stored: object) -> str | None:
    """Parse a time. Without an offset it is in the zone in which the form was shown."""
    text, zone = typed.strip(), timezone.get_current_timezone()
    if is_date(text) or not text:
        return text or None
    try:
        return format_utc(parse_time(text, zone))
    except ValueError:
        pass
    named = parse_due_words(text, now=datetime.now(UTC), zone=zone, language=get_language() or "en")
    if named is None:
        raise forms.ValidationError(
            _("Enter a date or time: “tomorrow”, “fri 17:00”, 2026-11-23 or 2026-11-23 14:05.")
        )
    return named


def _read_entries(typed: str, field: Field, stored: object) -> list[Any]:
    """Parse entries separated by commas. An entry that contains a comma is in double quotes."""
    try:
        rows = list(csv.reader(typed.splitlines(), skipinitialspace=True))
    except csv.Error:
        raise forms.ValidationError(_("Separate entries with commas.")) from None
    return [entry.strip() for row in rows for entry in row if entry.strip()]


def _read_names(typed: str, field: Field, stored: object) -> list[Any]:
    """Parse the names, and retain stored members that forms cannot show."""
    others = [entry for entry in _entries(stored) if not isinstance(entry, str)]
    return _read_entries(typed, field, stored) + others


def _read_object(typed: str, field: Field, stored: object) -> Any:
    if not typed.strip():
        return {}
    try:
        return load_strict(typed.encode("utf-8", "surrogatepass"))
    except MalformedBody as fault:
        place = gettext("Line %(line)d, column %(column)d: %(reason)s") % {
            "line": fault.line,
            "column": fault.column,
            "reason": localize_error(fault.reason),
        }
        raise forms.ValidationError(sentence(place)) from None


def _show_repeat(value: object) -> str:
    return recurrence_text.to_input(value) if isinstance(value, str) else show_text(value)


def _read_repeat(typed: str, field: Field, stored: object) -> str:
    return recurrence_text.parse_input(typed)


def _show_checklist(value: object) -> str:
    """Return a line per item, after "[ ]" or "[x]". Invalid items become JSON."""
    return "\n".join(_item_line(entry) for entry in _entries(value))


def _item_line(entry: object) -> str:
    if not isinstance(entry, dict) or entry.keys() != {"text", "done"}:
        return show_text(entry)
    return f"[{'x' if entry['done'] is True else ' '}] {show_text(entry['text'])}"


def _read_checklist(typed: str, field: Field, stored: object) -> list[Any]:
    """Parse an item per line that is not blank. Faults name their line."""
    lines = [(number, line.strip()) for number, line in enumerate(typed.splitlines(), 1)]
    items = [(number, _item(line)) for number, line in lines if line]
    faults = [
        _ITEM_FAULT % {"line": number, "most": ITEM_CHARACTERS_MAX}
        for number, item in items
        if not 1 <= len(item["text"]) <= ITEM_CHARACTERS_MAX
    ]
    if len(items) > ITEMS_MAX:
        line, _text = items[ITEMS_MAX]
        faults.append(_ITEMS_FAULT % {"line": line, "most": ITEMS_MAX})
    if faults:
        raise forms.ValidationError(faults)
    return [item for _number, item in items]


def _item(line: str) -> dict[str, Any]:
    """Parse an item, also as a Markdown list item: "- [x] Label"."""
    match = _BOX.match(line)
    if match is None:
        return {"text": line, "done": False}
    return {"text": line[match.end() :].strip(), "done": match[1].lower() == "x"}


def _read_number(typed: str, field: Field, stored: object) -> Any:
    text = typed.strip()
    if not text:
        return None
    try:
        return read_number(text)
    except Ambiguous as fault:
        integer, fraction = fault.args
        values = {"typed": text, "whole": integer, "fraction": fraction}
        raise forms.ValidationError(_TWO_READINGS % values) from None
    except ValueError:
        raise forms.ValidationError(sentence(field.must_be)) from None


@dataclass(frozen=True)
class FieldInput:
    """The widget of a kind of field, and its conversions."""

    widget: Callable[[], forms.Widget]
    show: Callable[[object], str]
    read: Callable[[str, Field, object], Any]
    help: Text = ""


def _line_input(**attributes: str) -> Callable[[], forms.Widget]:
    return lambda: forms.TextInput(attrs={"autocomplete": "off"} | attributes)


def _area(**attributes: str) -> Callable[[], forms.Widget]:
    return lambda: forms.Textarea(attrs={"cols": "", "rows": "4"} | attributes)


INPUTS = {
    Kind.TITLE: FieldInput(_line_input(), show_text, _read_line),
    Kind.LINE: FieldInput(_line_input(), show_text, _read_line),
    Kind.TEXT: FieldInput(_area(), show_text, _read_text),
    Kind.CHOICE: FieldInput(forms.Select, show_text, _read_line),
    Kind.OPEN_CHOICE: FieldInput(_line_input(), show_text, _read_line),
    Kind.TIME: FieldInput(
        _line_input(),
        _show_time,
        _read_time,
        _("For example “tomorrow”, “fri 17:00” or 2026-11-23."),
    ),
    Kind.TEXTS: FieldInput(_line_input(), _show_entries, _read_entries, _("Separate with commas.")),
    Kind.MEMBERS: FieldInput(
        _line_input(), _show_names, _read_names, _("Separate names with commas.")
    ),
    Kind.OBJECT: FieldInput(
        _area(**{"class": "mono", "spellcheck": "false", "data-json": ""}),
        _show_object,
        _read_object,
        _("A JSON object (optional)."),
    ),
    Kind.NUMBER: FieldInput(_line_input(inputmode="decimal"), _show_number, _read_number),
    Kind.INTEGER: FieldInput(_line_input(inputmode="numeric"), _show_number, _read_number),
    Kind.REFERENCE: FieldInput(forms.Select, show_text, _read_number),
    Kind.REPEAT: FieldInput(
        _line_input(),
        _show_repeat,
        _read_repeat,
        _("For example “every week” or “every Monday”, or a rule: FREQ=WEEKLY;BYDAY=MO."),
    ),
    Kind.TIME_ZONE: FieldInput(
        _line_input(),
        show_text,
        _read_line,
        _("Time zone for repeats, for example Europe/Madrid. Empty: your own."),
    ),
    Kind.CHECKLIST: FieldInput(
        _area(**{"data-checklist": ""}),
        _show_checklist,
        _read_checklist,
        _("One item per line; start it with [x] if it is done."),
    ),
}

WIDE = (Kind.TITLE, Kind.TEXT, Kind.OBJECT, Kind.CHECKLIST)
