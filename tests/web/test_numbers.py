"""Numbers in two languages: pages write them as forms read them, and markup is the same in both."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from tests.attacks.rows import ROWS
from tests.browser import sample
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web.numbers import Ambiguous, Number, exact_text, number_text, read_number, typed_text

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("language", "typed", "number"),
    [
        ("en", "1234567.5", 1234567.5),
        ("en", "1,234", 1234),
        ("en", "1,234,567.5", 1234567.5),
        ("en", "1.234", 1.234),
        ("en", "91,4", 91.4),
        ("en", "0,914", 0.914),
        ("en", "1.234.567,5", 1234567.5),
        ("es", "1234567,5", 1234567.5),
        ("es", f"1{SPACE}234{SPACE}567,5", 1234567.5),
        ("es", "12 400", 12400),
        ("es", "1,234", 1.234),
        ("es", "1.234,5", 1234.5),
        ("es", "1.234.567", 1234567),
        ("es", "91.4", 91.4),
        ("es", "0.914", 0.914),
        ("es", "-3,5", -3.5),
        ("es", "\N{MINUS SIGN}3,5", -3.5),
        ("es", "1,5e-05", 1.5e-05),
        ("es", "+7", 7),
        ("es", ",5", 0.5),
    ],
)
def test_read_number_in_either_language(language: str, typed: str, number: Number) -> None:
    with translation.override(language):
        read = read_number(typed)
    assert (read, type(read)) == (number, type(number))


@pytest.mark.parametrize(
    "typed",
    [
        *("", "-", ".", ",", "1,23,4", "12,34.5", "1.2.3", "1,2,3", "1,234.5.6", ",234,567"),
        *("1 23", "1 2345", "12 34,5", "nan", "inf", "٣", "1e", "e5", "0x10", "1_000", "9" * 5000),
    ],
)
@pytest.mark.parametrize("language", ["en", "es"])
def test_read_number_refuses_what_is_none(language: str, typed: str) -> None:
    with translation.override(language), pytest.raises(ValueError, match=r"\w") as refused:
        read_number(typed)
    assert refused.type is ValueError


def test_number_with_two_readings_is_refused_in_spanish() -> None:
    with translation.override("es"), pytest.raises(Ambiguous) as refused:
        read_number("1.234")
    assert refused.value.args == ("1234", "1,234")


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
@pytest.mark.parametrize("language", ["en", "es"])
def test_formatted_number_parses_to_same_value(language: str, number: Number) -> None:
    with translation.override(language):
        assert read_number(typed_text(number)) == number
        assert read_number(exact_text(number)) == number
        assert read_number(number_text(number)) == pytest.approx(number, rel=1e-5, abs=0)


@pytest.fixture
def in_spanish(client: Client, alice: User) -> Client:
    json_storage.change_preferences(alice.pk, {"language": "es"})
    client.force_login(alice)
    return client


def add_model(client: Client, **values: str) -> Any:
    form = {"name": "Net", "model_type": "llm", "status": "draft"}
    return client.post("/models/new/", form | values)


def test_form_in_spanish_reads_what_the_page_shows(in_spanish: Client, alice: User) -> None:
    project = {"name": "Radios", "status": "active", "priority": "low", "budget": "1234567,5"}
    assert in_spanish.post("/projects/new/", project).status_code == 302
    (stored,) = json_storage.list("projects", alice.pk)
    assert stored["budget"] == 1234567.5
    assert f"1{SPACE}234{SPACE}567,5" in in_spanish.get("/projects/1/").content.decode()
    page = in_spanish.get("/projects/1/edit/").content.decode()
    assert 'value="1234567,5"' in page
    assert 'name="language" value="es"' in page

    assert add_model(in_spanish, accuracy="91,25", training_data_size="12 400").status_code == 302
    (model,) = json_storage.list("models", alice.pk)
    assert (model["accuracy"], model["training_data_size"]) == (91.25, 12400)
    words = text_of(in_spanish.get("/models/1/"))
    assert "91,25 %" in words


def test_form_in_spanish_asks_which_of_two_numbers_is_meant(
    in_spanish: Client, alice: User
) -> None:
    page = add_model(in_spanish, accuracy="1.234")
    assert page.status_code == 422
    assert "escribe 1234 o 1,234" in page.content.decode()
    assert json_storage.list("models", alice.pk) == []


def test_form_shown_in_another_language_is_read_in_that(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert add_model(client, accuracy="1,234", language="es").status_code == 302
    assert json_storage.list("models", alice.pk)[0]["accuracy"] == 1.234
    assert add_model(client, accuracy="1.234", language="xx").status_code == 302
    assert json_storage.list("models", alice.pk)[1]["accuracy"] == 1.234


def test_dates_of_a_model_in_spanish_are_no_counts(in_spanish: Client, alice: User) -> None:
    json_storage.create("models", alice.pk, {"name": "Net"})
    words = text_of(in_spanish.get("/models/1/"))
    assert "Creación" in words
    assert "Actualizado" in words
    assert not {"Añadidos", "Actualizados"} & set(words.split())


# Markup

_NUMBER = re.compile(r"-?\d+(\.\d+)?%?\Z")
_NUMBERS = re.compile(r"-?\d+(\.\d+)?( -?\d+(\.\d+)?)*\Z")
_POINTS = re.compile(r"-?\d+(\.\d+)?,-?\d+(\.\d+)?( -?\d+(\.\d+)?,-?\d+(\.\d+)?)*\Z")
_SHAPES = {
    **dict.fromkeys(("x", "y", "cx", "cy", "r", "rx", "ry", "width", "height"), _NUMBER),
    **dict.fromkeys(("min", "max", "step", "rows", "cols", "maxlength", "colspan"), _NUMBER),
    "viewbox": _NUMBERS,
    "points": _POINTS,
}
_LOCALIZED = re.compile(r"-?\d{1,3}([\u00a0\u202f ]\d{3})*,\d+\Z|-?\d{1,3}([\u00a0\u202f]\d{3})+\Z")
_TYPED = {"value", "alt", "title", "placeholder", "content"}  # texts of people


class Attributes(HTMLParser):
    """The attributes of a page, and the text of what is code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value or "") for name, value in attrs]


def faults_of(page: str) -> Iterator[str]:
    parser = Attributes()
    parser.feed(page)
    for tag, name, value in parser.found:
        shape = _SHAPES.get(name) if value else None
        wrong = shape.match(value) is None if shape else _LOCALIZED.match(value) is not None
        if (wrong or name == "style") and not value.startswith("var(") and name not in _TYPED:
            yield f'<{tag} {name}="{value}">'


@pytest.mark.django_db(transaction=True)
def test_markup_of_every_page_in_spanish_has_plain_numbers(client: Client) -> None:
    named = sample.make()
    ada = User.objects.get(username=sample.PERSON)
    json_storage.change_preferences(ada.pk, {"language": "es"})
    client.force_login(ada)
    further = ("/models/{model}/", "/models/?view=table", "/models/compare/?a={model}&b=2")
    addresses = {row.address for row in ROWS.values()} | set(further)
    pages, faults, drawn = 0, set(), 0
    for address in sorted(addresses):
        if "/api/" in address or address.startswith("/admin/"):
            continue
        answer = client.get(address.format_map(named))
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            page = answer.content.decode()
            assert 'lang="es"' in page, address
            pages, drawn = pages + 1, drawn + page.count("<svg") - page.count('class="icon"')
            faults |= {f"{address}: {fault}" for fault in faults_of(page)}
    assert faults == set()
    assert pages > 40
    assert drawn > 10
