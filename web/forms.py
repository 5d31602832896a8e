"""Forms for records, generated from the table of collections.

A form only converts input to record values and back. `workspace.schema.validation` validates them
and its errors are shown at their fields. Unchanged fields are not written, so an edit neither
validates nor rewrites the other values of an old record. An edit form includes its original values
in hidden fields. So the user's own changes are known even if the record has changed meanwhile.
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

from docstore.json_positions import Places
from web import recurrence_text
from web.error_messages import localize_error, sentence
from web.form_values import INPUTS, WIDE, show_text, unix_lines
from web.labels import CHOICE_WORDS, FIELD_HINTS, FIELD_WORDS, Text, in_words
from web.numbers import number_text
from workspace.json_values import same_value
from workspace.schema.fields import ITEM_CHARACTERS_MAX, ITEMS_MAX
from workspace.schema.model_conventions import OBJECTS, Expectation, deviations
from workspace.schema.validation import (
    CollectionSpec,
    Field,
    InvalidRecord,
    Kind,
    changed_record,
    new_record,
    record_version,
)
from workspace.users.preferences import is_time_zone

Record = dict[str, Any]
Choices = Mapping[str, Sequence[tuple[str, Text]]]  # by field name

KEEP = "keep-"  # prefix of the field that chooses the stored or the typed value of a conflict

_SLIP = _("Line %(line)d, column %(column)d: “%(key)s” is usually %(wanted)s.")


def wanted_words(wanted: Expectation) -> Text:
    """Return an expectation as the end of a sentence: "a number from 0 to 1"."""
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
    """Return a limit as text, or "" for None."""
    return "" if limit is None else number_text(limit)


class RecordField(forms.Field):
    """A form field for one field of a record."""

    def __init__(self, field: Field, stored: object, options: list[tuple[str, Text]]) -> None:
        self.entry = INPUTS[field.kind]
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
            return self.stored  # unchanged, so not parsed: old records may hold anything
        return self.entry.read(typed, self.field, self.stored)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return unix_lines(initial or "") != unix_lines(data or "")


def _suggestions(field: Field) -> Sequence[str]:
    """Return suggested values for a field that also accepts others."""
    if field.kind is Kind.REPEAT:
        return [recurrence_text.describe(rule) for rule in recurrence_text.OFFERED]
    return field.choices if field.kind is Kind.OPEN_CHOICE else ()


class FlagField(forms.BooleanField):
    """A form field for a boolean."""

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

# Fields to move to the top of the form, in pairs that share a row.
_FIRST: Final = {
    "tasks": (
        *("title", "description", "due_date", "repeat", "priority", "status"),
        *("project_id", "assignee", "tags", "category"),
    ),
}


@dataclass(frozen=True)
class FormSection:
    """A form for some fields of a record. A page may have several."""

    names: Container[str]
    auto_id: str  # pattern of control ids; %s is the field name
    first: str  # the field to focus


class RecordForm(forms.Form):
    """A form that adds a record to a collection, or edits `stored`."""

    def __init__(
        self,
        spec: CollectionSpec,
        typed: Mapping[str, Any] | None = None,
        *,
        stored: Record | None = None,
        choices: Choices | None = None,
        proposed: Mapping[str, Any] | None = None,
        part: FormSection | None = None,
    ) -> None:
        """Build the form.

        `choices` has the ids and names for each reference that can be entered. `proposed` has
        initial values for a new record. `part` restricts an edit to some fields, for editing within
        a row.
        """
        super().__init__(_as_chosen(typed), auto_id=part.auto_id if part else "id_%s")
        self.spec, self.stored, self.choices, self.part = spec, stored, choices or {}, part
        self.zone, self.language = _zone(typed), _language(typed)
        self.slips = False  # True if values are unusual, which the user may save nevertheless
        entered = [
            field
            for field in spec.writable
            if field.on_forms
            and (field.kind is not Kind.REFERENCE or field.name in self.choices)
            and (part is None or field.name in part.names)
        ]
        self.more_names = [field.name for field in entered if field.kind is Kind.OBJECT]
        self.values: dict[str, Any] = {}  # the values without any input
        with timezone.override(self.zone), translation.override(self.language):
            for field in entered:
                form_field = _form_field(
                    field, proposed if stored is None else stored, self.choices
                )
                form_field.show_hidden_initial = stored is not None
                self.fields[field.name], self.values[field.name] = form_field, form_field.stored
        self.meanwhile: frozenset[str] = frozenset()  # fields that others changed since the form
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
        """The version of the record when the form was first shown."""
        if self.stored is None:
            return ""
        return self.data.get("version", "") if self.is_bound else record_version(self.stored)

    @property
    def checklist_limits(self) -> dict[str, int] | None:
        """The limits of a checklist for the editor script, or None without a checklist."""
        if any(field.kind is Kind.CHECKLIST for field in self.spec.writable):
            return {"most": ITEMS_MAX, "longest": ITEM_CHARACTERS_MAX}
        return None

    @property
    def main_fields(self) -> list[BoundField]:
        return [bound for bound in self._asked_for() if bound.name not in self.more_names]

    @property
    def more_fields(self) -> list[BoundField]:
        return [bound for bound in self._asked_for() if bound.name in self.more_names]

    def _asked_for(self) -> list[BoundField]:
        """Return the fields except those that are shown as differences."""
        apart = {difference.field.name for difference in self.differences}
        return [bound for bound in self if bound.name not in apart]

    @property
    def more_is_open(self) -> bool:
        return any(name in self.errors for name in self.more_names)

    def clean(self) -> None:
        """Validate all parsed values against the table, so that all faults are shown at once."""
        now = datetime.now(UTC)  # not stored: the manager sets the timestamps when writing
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
        """Add warnings about unusual values in a model's objects, with line and column."""
        model_type = str(self.cleaned_data.get("model_type") or self.values.get("model_type"))
        for name in OBJECTS:
            value = self.cleaned_data.get(name)
            if name not in self.fields or same_value(value, self.values[name]):
                continue
            places = Places(unix_lines(self.data.get(name, "")).encode("utf-8", "replace"))
            for misfit in deviations(model_type, name, value):
                self.slips = True
                line, column = places.of((misfit.key,))
                values = {"line": line, "column": column, "key": misfit.key}
                values["wanted"] = wanted_words(misfit.wanted)
                self.add_error(name, _SLIP % values)

    def changes(self) -> dict[str, Any]:
        """Return the values to write: all of a new record, the changed ones of an edited record."""
        if self.stored is None:
            return dict(self.cleaned_data)
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if not same_value(value, self.values[name])
        }

    def add_faults(self, invalid: InvalidRecord) -> None:
        """Add each fault of the table to the field that it concerns."""
        for fault in invalid.errors:
            name, _slash, inside = fault.pointer.removeprefix("/").partition("/")
            message = localize_error(fault.detail)
            detail = f"{inside}: {message}" if inside else message
            if name in self.fields:
                self.add_error(name, sentence(detail))
            else:
                self.add_error(None, sentence(f"{name} {detail}" if name else detail))

    def on_top_of(self, stored: Record) -> "RecordForm":
        """Return this form rebased onto the current state of the record.

        The user's changes remain as typed. Other fields take the current values, so that saving
        does not revert changes of others.
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
        """Return label and value of fields that others changed and this user did not."""
        return [
            {"label": str(bound.label), "value": _readable(bound, bound.initial)}
            for bound in self._asked_for()
            if bound.name in self.meanwhile
        ]

    def facts(self) -> list[dict[str, Text]]:
        """Return label and value of the fields other than the title, for read-only pages."""
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
    """A field whose typed value differs from the current one. The user must choose."""

    field: BoundField
    stored: Text
    typed: Text
    both: bool  # others changed it, too, since the form was shown

    @property
    def name(self) -> str:
        """The name of the form field for the choice."""
        return KEEP + self.field.name


def _as_chosen(typed: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the input, with stored values where the user chose them."""
    choice_names = [name for name in typed or () if name.startswith(KEEP)]
    if typed is None or not choice_names:
        return typed
    names = (name.removeprefix(KEEP) for name in choice_names if typed[name] == "stored")
    return dict(typed.items()) | {name: typed.get(f"initial-{name}", "") for name in names}


def _readable(bound: BoundField, value: object) -> Text:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    widget = bound.field.widget
    options = dict(widget.choices) if isinstance(widget, forms.Select) else {}
    return options.get(value) or unix_lines(str(value or ""))


def _zone(typed: Mapping[str, Any] | None) -> tzinfo:
    """Return the time zone in which the form was rendered.

    The form sends it along, because the user's preference may have changed since.
    """
    name = (typed or {}).get("zone", "")
    return ZoneInfo(name) if is_time_zone(name) else timezone.get_current_timezone()


def _language(typed: Mapping[str, Any] | None) -> str:
    """Return the language in which the form was rendered, and its numbers were written."""
    name = str((typed or {}).get("language", ""))
    return name if name in dict(settings.LANGUAGES) else translation.get_language() or "en"


def _form_field(field: Field, held: Mapping[str, Any] | None, choices: Choices) -> AnyField:
    """Return the form field for the value in `held`, or for the default."""
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
        # Without this option, the browser would select the first one and the user would change the
        # value unknowingly.
        options.append((shown, _("%(value)s (no longer exists)") % {"value": shown}))
    return RecordField(field, value, options)
