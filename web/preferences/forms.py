"""The form for the user's settings."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.utils.choices import BaseChoiceIterator
from django.utils.translation import gettext_lazy as _

from workspace.schema.collections import PREFERENCE_FIELDS
from workspace.users.preferences import Preferences, time_zones

THEME_WORDS = {
    "system": _("Match system"),
    "light": _("Light"),
    "dark": _("Dark"),
}
DAY_WORDS = {
    "monday": _("Monday"),
    "sunday": _("Sunday"),
    "saturday": _("Saturday"),
}
_BROWSERS = "browser"  # the choice that follows the browser
_CHOICES = {field.name: field.choices for field in PREFERENCE_FIELDS}


class PreferencesForm(forms.Form):
    """A form for appearance, language, time zone, first weekday and shortcuts."""

    theme = forms.ChoiceField(
        label=_("Appearance"),
        choices=[(theme, THEME_WORDS[theme]) for theme in _CHOICES["theme"]],
        widget=forms.RadioSelect,
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=[(_BROWSERS, _("Browser default")), *settings.LANGUAGES],
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        help_text=_("Times are shown and entered in this zone."),
    )
    week_start = forms.ChoiceField(
        label=_("First day of the week"),
        choices=[(day, DAY_WORDS[day]) for day in _CHOICES["week_start"]],
    )
    single_keys = forms.BooleanField(
        label=_("Single-key shortcuts"),
        required=False,
        help_text=_("For example n for a new task. Turn off if you use voice input."),
    )

    def __init__(self, data: Any = None, *, chosen: Preferences, browsers_zone: str) -> None:
        own = {"language": chosen.language, "time_zone": chosen.time_zone}
        shown = {name: value or _BROWSERS for name, value in own.items()}
        super().__init__(data, initial=vars(chosen) | shown)
        as_browser = _("Browser time zone (%(zone)s)") % {"zone": readable_zone(browsers_zone)}
        zones = self.fields["time_zone"]
        assert isinstance(zones, forms.ChoiceField)
        zones.choices = _Zones(chosen.time_zone, as_browser)

    def clean_language(self) -> str:
        return str(self.cleaned_data["language"]).removeprefix(_BROWSERS)

    def clean_time_zone(self) -> str:
        return str(self.cleaned_data["time_zone"]).removeprefix(_BROWSERS)


def readable_zone(name: str) -> str:
    """Return the name of a time zone with spaces, as in "America/New York"."""
    return name.replace("_", " ")


class _Zones(BaseChoiceIterator):
    """Lazy choices: the browser's zone, and all time zones by region.

    With a list, Django would iterate over hundreds of zones three times per page.
    """

    def __init__(self, chosen: str, as_browser: object) -> None:
        self._chosen, self._as_browser = chosen, as_browser

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield _BROWSERS, self._as_browser
        yield from _zones_by_region(self._chosen)


@lru_cache(100)
def _zones_by_region(chosen: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the time zones by region, with `chosen` even if it is deprecated or a UTC offset."""
    regions: dict[str, list[tuple[str, str]]] = {"UTC": [("UTC", "UTC")]}
    for name in time_zones():
        region, _slash, place = name.partition("/")
        if (place and region not in {"Etc", "US", "Canada", "Mexico", "Chile", "Brazil"}) or (
            name == chosen != "UTC"
        ):
            regions.setdefault(region, []).append((name, readable_zone(place or name)))
    return list(regions.items())
