"""Parts of pages that are kept: never shown for other values, languages or time zones."""

from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

from core.kept import KeptParts

LOAD = "{% load i18n neuralflow %}"


class Counted:
    """A value that tells how often it was shown."""

    def __init__(self) -> None:
        self.shown = 0

    def __str__(self) -> str:
        self.shown += 1
        return f"{self.shown}"


def shown(template: Template, **values: object) -> str:
    return template.render(Context(values))


def test_a_part_is_rendered_once_for_the_same_values() -> None:
    template = Template(LOAD + "{% kept name %}{{ name }} {{ counted }}{% endkept %}")
    counted = Counted()
    assert shown(template, name="a", counted=counted) == "a 1"
    assert shown(template, name="a", counted=counted) == "a 1"
    assert shown(template, name="b", counted=counted) == "b 2"


def test_two_places_keep_each_their_own() -> None:
    template = Template(LOAD + "{% kept name %}<{% endkept %}\n{% kept name %}>{% endkept %}")
    assert shown(template, name="a") == "<\n>"
    assert shown(template, name="a") == "<\n>"


def test_text_is_escaped_as_ever_and_what_was_kept_is_not_escaped_twice() -> None:
    template = Template(LOAD + "{% kept name %}<b>{{ name }}</b>{% endkept %}")
    for _again in range(2):
        assert shown(template, name="<i>") == "<b>&lt;i&gt;</b>"


def test_a_language_and_a_time_zone_have_parts_of_their_own() -> None:
    counted = Counted()
    template = Template(LOAD + "{% kept name %}{{ counted }}{% endkept %}")
    told = []
    for language in ("en", "es"):
        for zone in ("UTC", "America/Lima"):
            with translation.override(language), timezone.override(ZoneInfo(zone)):
                told.append(shown(template, name="a", counted=counted))
    assert told == ["1", "2", "3", "4"]


def test_a_lazy_text_counts_as_what_it_says() -> None:
    parts = KeptParts()
    assert parts.part([gettext_lazy("Tasks")], lambda: "1") == "1"
    assert parts.part(["Tasks"], lambda: "2") == "1"


def test_values_without_a_key_are_made_anew() -> None:
    parts = KeptParts()
    looped: list[object] = []
    looped.append(looped)
    for number in range(2):
        assert parts.part([looped], lambda: str(number)) == str(number)  # noqa: B023
    assert len(parts) == 0


def test_only_the_last_are_kept() -> None:
    parts = KeptParts(limit=2)
    for name in ("a", "b", "a", "c"):
        parts.part([name], lambda: "old")
    assert parts.part(["a"], lambda: "new") == "old"
    assert parts.part(["b"], lambda: "new") == "new"
    assert len(parts) == 2


@pytest.mark.parametrize(
    "source", ["{% kept %}x{% endkept %}", "{% kept a %}{% csrf_token %}{% endkept %}"]
)
def test_a_part_without_values_or_with_a_token_is_refused(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="kept needs"):
        Template(LOAD + source)
