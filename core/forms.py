"""Forms for records, built from the table of collections.

A form turns what was typed into the values that records hold, and back; nothing more. Whether a
value is good is for the table alone to say (`utils.records`), and what it says is shown at the
field that it concerns. A field of which nothing was changed is not sent, so that an edit neither
judges nor rewrites what an old record holds. A form for an edit carries along what it showed, in
hidden fields, so that what the person changed is known also when the record has become another.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.forms.boundfield import BoundField
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.entries import ENTRIES, WIDE, show_text, unix_lines
from core.faults import in_persons_words, sentence
from core.numbers import number_text
from core.tasks import repeating
from core.words import CHOICE_WORDS, FIELD_HINTS, FIELD_WORDS, Text, in_words
from docstore.positions import Places
from utils.fields import ITEM_CHARACTERS_MAX, ITEMS_MAX
from utils.json.values import same_value
from utils.model_schemas import OBJECTS, Wanted, misfits
from utils.people.preferences import is_time_zone
from utils.records import (
    CollectionSpec,
    Field,
    InvalidRecord,
    Kind,
    changed_record,
    new_record,
    record_version,
)

Record = dict[str, Any]
Choices = Mapping[str, Sequence[tuple[str, Text]]]  # by the name of the field

KEEP = "keep-"  # before the name of a field: whether what is stored there stays, or what was typed

_SLIP = _("Line %(line)d, column %(column)d: “%(key)s” is usually %(wanted)s.")


def wanted_words(wanted: Wanted) -> Text:
    """What is usual, as the end of a sentence: "a number from 0 to 1"."""
    low, high = number_words(wanted.minimum), number_words(wanted.maximum)
    above = number_words(wanted.above)
    if wanted.kind == "text":
        return gettext("a text")
    if wanted.kind == "integer":
        return (
            gettext("a whole number of at least %(low)s") % {"low": low}
            if low
            else gettext("a whole number")
        )
    if above:
        return gettext("a number greater than %(above)s") % {"above": above}
    if low and high:
        return gettext("a number from %(low)s to %(high)s") % {"low": low, "high": high}
    if low:
        return gettext("a number of at least %(low)s") % {"low": low}
    if high:
        return gettext("a number of at most %(high)s") % {"high": high}
    return gettext("a number")


def number_words(limit: float | None) -> str:
    """A limit as it is written; "" for none."""
    return "" if limit is None else number_text(limit)


class RecordField(forms.Field):
    """One field of a record in a form."""

    def __init__(self, field: Field, stored: object, options: list[tuple[str, Text]]) -> None:
        self.entry = ENTRIES[field.kind]
        self.field, self.stored = field, stored
        self.wide = field.kind in WIDE
        self.suggestions = _suggestions(field)
        widget = self.entry.widget()
        if isinstance(widget, forms.Select):
            widget.choices = options
        if field.kind in (Kind.TITLE, Kind.TEXT):
            widget.attrs["dir"] = "auto"
        if self.suggestions:
            widget.attrs["list"] = f"id_{field.name}_suggestions"
        super().__init__(
            required=field.required
            or field.kind in (Kind.CHOICE, Kind.OPEN_CHOICE)
            or bool(options and "" not in dict(options)),
            widget=widget,
            label=str(in_words(field.name, FIELD_WORDS)),
            help_text=" ".join(
                str(part)
                for part in (self.entry.help, FIELD_HINTS.get(field.name, field.help))
                if part
            ),
            initial=self.entry.show(stored),
        )

    def clean(self, value: Any) -> Any:
        typed = unix_lines(value or "")
        if typed == unix_lines(self.initial):
            return self.stored  # untouched, whatever an old record holds there
        return self.entry.read(typed, self.field, self.stored)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return unix_lines(initial or "") != unix_lines(data or "")


def _suggestions(field: Field) -> Sequence[str]:
    """What may be chosen without typing it, where one may type something else."""
    if field.kind is Kind.REPEAT:
        return [repeating.told(rule) for rule in repeating.OFFERED]
    return field.choices if field.kind is Kind.OPEN_CHOICE else ()


class FlagField(forms.BooleanField):
    """A field that is true or false."""

    wide = False

    def __init__(self, field: Field, stored: object) -> None:
        label = str(in_words(field.name, FIELD_WORDS))
        self.stored = stored is True
        super().__init__(
            required=False,
            label=label,
            help_text=str(FIELD_HINTS.get(field.name, field.help)),
            initial=self.stored,
        )


AnyField = RecordField | FlagField

# Fields that come first, where they are to stand in another order than in the file: in pairs.
_FIRST: Final = {
    "tasks": (
        *("title", "description", "due_date", "repeat", "priority", "status"),
        *("project_id", "assignee", "tags", "category"),
    ),
}


@dataclass(frozen=True)
class Part:
    """Some fields of a record in a form of their own, of which a page may have several."""

    names: Container[str]
    auto_id: str  # the ids of its controls; %s is the name of the field
    first: str  # the field that has the focus when it appears


class RecordForm(forms.Form):
    """Adds a record to a collection, or edits `stored`."""

    def __init__(
        self,
        spec: CollectionSpec,
        typed: Mapping[str, Any] | None = None,
        *,
        stored: Record | None = None,
        choices: Choices | None = None,
        proposed: Mapping[str, Any] | None = None,
        part: Part | None = None,
    ) -> None:
        """`choices`: of each reference that can be entered, the ids and names to choose from.

        `proposed`: what stands in the form for a new record at first. `part`: what alone is
        entered, of an edit within a row.
        """
        super().__init__(_as_chosen(typed), auto_id=part.auto_id if part else "id_%s")
        self.spec, self.stored, self.choices, self.part = spec, stored, choices or {}, part
        self.zone, self.language = _zone(typed), _language(typed)
        self.slips = (
            False  # whether something unusual stands in it, which may be saved all the same
        )
        entered = [
            field
            for field in spec.writable
            if field.on_forms
            and (field.kind is not Kind.REFERENCE or field.name in self.choices)
            and (part is None or field.name in part.names)
        ]
        self.more_names = [field.name for field in entered if field.kind is Kind.OBJECT]
        self.values: dict[str, Any] = {}  # as they are without anything typed
        with timezone.override(self.zone), translation.override(self.language):
            for field in entered:
                made = _form_field(field, proposed if stored is None else stored, self.choices)
                made.show_hidden_initial = stored is not None
                self.fields[field.name], self.values[field.name] = made, made.stored
        self.meanwhile: frozenset[str] = frozenset()  # what others changed while this was typed
        self.differences: list[Difference] = []
        self.order_fields(_FIRST.get(spec.name))
        if part is not None:
            self.fields[part.first].widget.attrs["autofocus"] = True
        elif stored is None and typed is None:
            self.fields[spec.title_field].widget.attrs["autofocus"] = True

    def full_clean(self) -> None:
        with timezone.override(self.zone), translation.override(self.language):
            super().full_clean()

    @property
    def version(self) -> str:
        """The version of the record that the person saw when they began to type."""
        if self.stored is None:
            return ""
        return self.data.get("version", "") if self.is_bound else record_version(self.stored)

    @property
    def checklist_limits(self) -> dict[str, int] | None:
        """Where a checklist is entered: how many items it may have, and how long one may be."""
        if any(one.kind is Kind.CHECKLIST for one in self.spec.writable):
            return {"most": ITEMS_MAX, "longest": ITEM_CHARACTERS_MAX}
        return None

    @property
    def main_fields(self) -> list[BoundField]:
        return [bound for bound in self._asked_for() if bound.name not in self.more_names]

    @property
    def more_fields(self) -> list[BoundField]:
        return [bound for bound in self._asked_for() if bound.name in self.more_names]

    def _asked_for(self) -> list[BoundField]:
        """The fields but for those that stand with their differences."""
        apart = {difference.field.name for difference in self.differences}
        return [bound for bound in self if bound.name not in apart]

    @property
    def more_is_open(self) -> bool:
        return any(name in self.errors for name in self.more_names)

    def clean(self) -> None:
        """Has the table judge what could be read, so that all faults are told at once."""
        now = datetime.now(UTC)  # goes nowhere: the manager makes the record that is stored
        try:
            if self.stored is None:
                new_record(self.spec, self.changes(), record_id=1, owner=1, now=now)
            else:
                changed_record(self.spec, self.stored, self.changes(), now=now)
        except InvalidRecord as invalid:
            self.add_faults(invalid)
        if self.spec.name == "models" and not self.data.get("unusual"):
            self._point_at_slips()

    def _point_at_slips(self) -> None:
        """Of a model, shows what is unusual in the objects that were typed, by line and column."""
        model_type = str(self.cleaned_data.get("model_type") or self.values.get("model_type"))
        for name in OBJECTS:
            value = self.cleaned_data.get(name)
            if name not in self.fields or same_value(value, self.values[name]):
                continue
            places = Places(unix_lines(self.data.get(name, "")).encode("utf-8", "replace"))
            for misfit in misfits(model_type, name, value):
                self.slips = True
                line, column = places.of((misfit.key,))
                told = {"line": line, "column": column, "key": misfit.key}
                told["wanted"] = wanted_words(misfit.wanted)
                self.add_error(name, _SLIP % told)

    def changes(self) -> dict[str, Any]:
        """What is to be written: of a new record all values, of an edited one the changed."""
        if self.stored is None:
            return dict(self.cleaned_data)
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if not same_value(value, self.values[name])
        }

    def add_faults(self, invalid: InvalidRecord) -> None:
        """Shows each fault that the table found at the field that it concerns."""
        for fault in invalid.errors:
            name, _slash, inside = fault.pointer.removeprefix("/").partition("/")
            told = in_persons_words(fault.detail)
            detail = f"{inside}: {told}" if inside else told
            if name in self.fields:
                self.add_error(name, sentence(detail))
            else:
                self.add_error(None, sentence(f"{name} {detail}" if name else detail))

    def on_top_of(self, stored: Record) -> "RecordForm":
        """This form again, for what the record has become meanwhile.

        What the person changed stays as typed; what they left alone follows the record, so that
        saving sets nothing back that somebody else changed.
        """
        typed = dict(self.data.items()) | {"version": record_version(stored)}
        meanwhile = set()
        for bound in RecordForm(self.spec, stored=stored, choices=self.choices, part=self.part):
            now, name = str(bound.initial), bound.html_initial_name
            if unix_lines(typed.get(name, "")) != unix_lines(now):
                meanwhile.add(bound.name)
            typed[name] = now
            if bound.name not in self.changed_data:
                typed[bound.name] = now
            typed.pop(KEEP + bound.name, None)
        newer = RecordForm(self.spec, typed, stored=stored, choices=self.choices, part=self.part)
        newer.meanwhile = frozenset(meanwhile)
        newer.differences = newer._differences()
        return newer

    def taken_over(self) -> list[dict[str, Text]]:
        """What others changed meanwhile, and the person did not: label and value."""
        return [
            {"label": str(bound.label), "value": _readable(bound, bound.initial)}
            for bound in self._asked_for()
            if bound.name in self.meanwhile
        ]

    def facts(self) -> list[dict[str, Text]]:
        """What the record holds beside its title, for those who only read it: label and value."""
        return [
            {"label": str(bound.label), "value": value}
            for bound in self
            if bound.name != self.spec.title_field and (value := _readable(bound, bound.initial))
        ]

    def _differences(self) -> list["Difference"]:
        return [
            Difference(bound, stored, typed, bound.name in self.meanwhile)
            for bound in self
            if (stored := _readable(bound, bound.initial))
            != (typed := _readable(bound, bound.value()))
        ]


@dataclass(frozen=True)
class Difference:
    """Where what was typed differs from the record as it is: one of them is to be chosen."""

    field: BoundField
    stored: Text
    typed: Text
    both: bool  # others changed it, too, since the form was shown

    @property
    def name(self) -> str:
        """Of the choice, in the form."""
        return KEEP + self.field.name


def _as_chosen(typed: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What was typed; where the person chose what is stored, that takes its place."""
    kept = [name for name in typed or () if name.startswith(KEEP)]
    if typed is None or not kept:
        return typed
    names = (name.removeprefix(KEEP) for name in kept if typed[name] == "stored")
    return dict(typed.items()) | {name: typed.get(f"initial-{name}", "") for name in names}


def _readable(bound: BoundField, value: object) -> Text:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    widget = bound.field.widget
    options = dict(widget.choices) if isinstance(widget, forms.Select) else {}
    return options.get(value) or unix_lines(str(value or ""))


def _zone(typed: Mapping[str, Any] | None) -> tzinfo:
    """The zone that a form was shown in and sends along: the person's may be another by now."""
    name = (typed or {}).get("zone", "")
    return ZoneInfo(name) if is_time_zone(name) else timezone.get_current_timezone()


def _language(typed: Mapping[str, Any] | None) -> str:
    """The language that a form was shown in and sends along: its numbers are written in it."""
    name = str((typed or {}).get("language", ""))
    return name if name in dict(settings.LANGUAGES) else translation.get_language() or "en"


def _form_field(field: Field, held: Mapping[str, Any] | None, choices: Choices) -> AnyField:
    """The field for what a record holds, if there is one yet."""
    value = held[field.name] if held and field.name in held else field.fresh_default()
    if field.kind is Kind.BOOLEAN:
        return FlagField(field, value)
    options: list[tuple[str, Text]] = []
    if field.kind is Kind.CHOICE:
        options = [(choice, in_words(choice, CHOICE_WORDS)) for choice in field.choices]
        value = field.default if value is None else value
    elif field.kind is Kind.REFERENCE:
        options = list(choices[field.name])
    if options and (shown := show_text(value)) not in dict(options):
        # Kept as a choice, or the first of the others would take its place unasked.
        options.append((shown, _("%(value)s (not there any more)") % {"value": shown}))
    return RecordField(field, value, options)
