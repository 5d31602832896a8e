"""Parts of pages that are kept: never shown for other values, languages or time zones."""

import re
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

from accounts.models import User
from utils.json_storage import json_storage
from web.fragment_cache import FragmentCache, key_of
from web.templatetags import neuralflow as templatetags

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


def test_a_text_that_the_template_holds_is_a_value_like_others() -> None:
    template = Template(LOAD + '{% kept "here" %}{{ counted }}{% endkept %}')
    counted = Counted()
    assert shown(template, counted=counted) == shown(template, counted=counted) == "1"


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
    parts = FragmentCache()
    assert parts.part(key_of([gettext_lazy("Tasks")]), lambda: "1") == "1"
    assert parts.part(key_of(["Tasks"]), lambda: "2") == "1"


class Silent:
    """Something that does not tell what it holds."""

    def __str__(self) -> str:
        return "silent"


def test_part_without_cache_key_is_not_cached() -> None:
    parts = FragmentCache()
    for number in range(2):
        assert parts.part(key_of([Silent()]), lambda: str(number)) == str(number)  # noqa: B023
    assert len(parts) == 0


def test_faults_count_as_what_they_say() -> None:
    parts = FragmentCache()
    assert parts.part(key_of([OSError("a")]), lambda: "1") == parts.part(
        key_of([OSError("a")]), lambda: "2"
    )
    assert parts.part(key_of([OSError("b")]), lambda: "3") == "3"
    assert parts.part(key_of([ValueError("b")]), lambda: "4") == "4"


def test_values_without_a_key_are_made_anew() -> None:
    parts = FragmentCache()
    looped: list[object] = []
    looped.append(looped)
    for number in range(2):
        assert parts.part(key_of([looped]), lambda: str(number)) == str(number)  # noqa: B023
    assert len(parts) == 0


def test_only_the_last_are_kept() -> None:
    parts = FragmentCache(limit=2 * len('["a"]old'))
    for name in ("a", "b", "a", "c"):
        parts.part(key_of([name]), lambda: "old")
    assert parts.part(key_of(["a"]), lambda: "new") == "old"
    assert parts.part(key_of(["b"]), lambda: "new") == "new"
    assert len(parts) == 2


@pytest.mark.parametrize(
    "source",
    [
        "{% kept %}x{% endkept %}",
        "{% kept a %}{% csrf_token %}{% endkept %}",
        "{% kept_each %}x{% endkept_each %}",
        "{% kept_each a of b %}x{% endkept_each %}",
        "{% kept_each a in b %}{% csrf_token %}{% endkept_each %}",
    ],
)
def test_a_part_without_values_or_with_a_token_is_refused(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="kept needs"):
        Template(LOAD + source)


def test_each_of_many_is_kept_by_itself() -> None:
    template = Template(
        LOAD + "{% kept_each one in many here %}{{ here }}{{ one }}{{ counted }} {% endkept_each %}"
    )
    counted = Counted()
    assert shown(template, many=["a", "b"], here="x", counted=counted) == "xa1 xb2 "
    assert shown(template, many=["b", "c", "a"], here="x", counted=counted) == "xb2 xc3 xa1 "
    assert shown(template, many=["a"], here="y", counted=counted) == "ya4 "
    with translation.override("es"), timezone.override(ZoneInfo("America/Lima")):
        assert shown(template, many=["a"], here="x", counted=counted) == "xa5 "


def test_each_part_without_cache_key_is_not_cached() -> None:
    template = Template(
        LOAD + "{% kept_each one in many %}{{ one }}{{ counted }}{% endkept_each %}"
    )
    counted = Counted()
    assert shown(template, many=[Silent()], counted=counted) == "silent1"
    assert shown(template, many=[Silent()], counted=counted) == "silent2"


def test_each_cached_part_is_escaped() -> None:
    template = Template(LOAD + "{% kept_each one in many %}<b>{{ one }}</b>{% endkept_each %}")
    for _again in range(2):
        assert shown(template, many=["<", "&"]) == "<b>&lt;</b><b>&amp;</b>"


@pytest.mark.parametrize(
    "source",
    [
        "{% kept a %}{% include part %}{% endkept %}",
        "{% kept_each one in a %}{% include part %}{% endkept_each %}",
    ],
)
def test_a_token_that_comes_with_another_template_is_refused_too(source: str) -> None:
    part = Template("{% csrf_token %}")
    with pytest.raises(TemplateSyntaxError, match="token"):
        Template(LOAD + source).render(Context({"a": ["b"], "part": part, "csrf_token": "c" * 64}))


class Typed(forms.Form):
    name = forms.CharField()
    secret = forms.CharField(widget=forms.PasswordInput(render_value=True))


FIELDS = Template(
    LOAD + '{% kept_each field in fields %}{% include "forms/field.html" %}{% endkept_each %}'
)


def field_of(form: forms.Form, name: str) -> str:
    return shown(FIELDS, fields=[form[name]])


def test_a_field_is_shown_with_what_was_typed_and_what_is_wrong_with_it() -> None:
    assert "anne" in field_of(Typed({"name": "anne"}), "name")
    assert "bert" in field_of(Typed({"name": "bert"}), "name")
    assert "This field is required" in field_of(Typed({"name": ""}), "name")
    assert "This field is required" not in field_of(Typed(), "name")


def test_a_secret_that_was_typed_is_not_kept() -> None:
    for _again in range(2):
        assert "owls-at-dusk" in field_of(Typed({"secret": "owls-at-dusk"}), "secret")
    kept = templatetags._parts._parts
    assert not [key for key, part in kept.items() if b"owls" in key or "owls" in part]


def test_a_field_that_may_be_left_out_or_not_changed_is_another() -> None:
    form = Typed()
    first = field_of(form, "name")
    assert field_of(Typed(), "name") == first
    form.fields["name"].required = False
    assert "optional" in field_of(form, "name")
    form.fields["name"].disabled = True
    assert "disabled" in field_of(form, "name")
    assert field_of(Typed(use_required_attribute=False), "name") != first


@pytest.mark.django_db
def test_cached_rows_differ_by_language_and_time_zone(
    client: Client, django_user_model: type[User]
) -> None:
    client.force_login(django_user_model.objects.create_user("noa"))
    told = {"title": "One", "priority": "low", "status": "pending", "zone": "UTC"}
    assert client.post("/tasks/new/", told | {"due_date": "2020-05-01 23:30"}).status_code == 302
    for _again in range(2):
        for address in ("/tasks/", "/tasks/board/", "/tasks/agenda/", "/dashboard/"):
            client.cookies["timezone"] = "UTC"
            english = client.get(address, headers={"accept-language": "en"}).content.decode()
            spanish = client.get(address, headers={"accept-language": "es"}).content.decode()
            client.cookies["timezone"] = "Europe/Madrid"
            madrid = client.get(address, headers={"accept-language": "en"}).content.decode()
            assert "Pending" in english
            assert "Pending" not in spanish
            assert "1 May 2020, 23:30" in english
            assert "2 May 2020, 01:30" in madrid


@pytest.mark.django_db
def test_lists_tell_what_is_true_now(client: Client, django_user_model: type[User]) -> None:
    nia = django_user_model.objects.create_user("nia")
    client.force_login(nia)
    told = {"title": "One", "priority": "low", "status": "pending", "due_date": "2020-05-01"}
    client.post("/tasks/new/", told)
    addresses = (
        "/tasks/",
        "/tasks/?q=zebra",
        "/tasks/board/",
        "/tasks/agenda/",
        "/search/?q=zebra",
    )
    for address in addresses:
        assert "Zebra" not in client.get(address).content.decode().partition("<main")[2]
    client.post("/tasks/new/", told | {"title": "Zebra"})
    for address in addresses:
        assert "Zebra" in client.get(address).content.decode()
    client.post("/tasks/2/complete/")
    assert ">Zebra<" not in client.get("/tasks/agenda/").content.decode()
    json_storage.delete("tasks", nia.pk, 2)
    for address in addresses[:4]:
        assert ">Zebra<" not in client.get(address).content.decode()


@pytest.mark.django_db
def test_the_navigation_marks_the_room_of_each_page_whatever_was_looked_at_before(
    client: Client, django_user_model: type[User]
) -> None:
    client.force_login(django_user_model.objects.create_user("nora"))
    task = client.post("/tasks/new/", {"title": "One", "priority": "low", "status": "pending"})
    assert task.status_code == 302
    marks = {
        "/tasks/": ("/tasks/", "page"),
        "/tasks/1/edit/": ("/tasks/", "true"),
        "/projects/": ("/projects/", "page"),
        "/projects/new/": ("/projects/", "true"),
        "/files/": ("/files/", "page"),
        "/accounts/profile/": ("/accounts/profile/", "page"),
        "/accounts/tokens/": ("/accounts/profile/", "true"),
        "/settings/": ("/accounts/profile/", "true"),
    }
    for _again in range(2):
        for address, mark in marks.items():
            rail = client.get(address, follow=True).content.decode().partition("<main")[0]
            found = re.findall(r'href="([^"]+)" aria-current="(\w+)"', rail)
            assert found == [mark], address
