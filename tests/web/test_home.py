"""The first page, and the pages that say that something is wrong."""

import html
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from workspace.schema.validation import COLLECTIONS, check_record
from workspace.strict_json import load_strict

ASSETS = re.compile(r'(?:href|src)="(/static/[^"#]+)')


def test_it_works(client: Client, db: None) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "in files you own" in page.content.decode()
    assert "/accounts/signup/" in page.content.decode()


def test_a_signed_in_person_is_led_to_the_dashboard_and_not_sent_there(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    page = client.get("/")
    assert page.status_code == 200
    assert 'href="/dashboard/"' in page.content.decode()


def test_the_example_is_a_tasks_file_as_it_is_written() -> None:
    sheet = render_to_string("parts/sample.html")
    code = re.sub(r"<[^>]+>", "", sheet[sheet.index("<code>") : sheet.index("</code>")])
    document = load_strict(html.unescape(code).encode())
    spec = COLLECTIONS["tasks"]
    (task,) = document["tasks"]
    assert list(task) == [field.name for field in spec.fields]
    assert check_record(spec, task) == []


def test_every_asset_of_a_page_is_there(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/tasks/").content.decode()
    found = set(ASSETS.findall(page))
    assert found
    for path in found:
        # Under its plain name or, where somebody has collected the files, its hashed one.
        assert client.get(path).status_code == 200, path


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (settings.BASE_DIR / "web/static/img/icons.svg").read_text()
    drawn = set(re.findall(r'<symbol id="(\w+)"', sprite))
    folders = ("web/templates", "api/templates", "accounts/templates")
    sources = [
        path.read_text() for name in folders for path in (settings.BASE_DIR / name).rglob("*.html")
    ]
    named = set(re.findall(r'{% icon "(\w+)"', "".join(sources)))
    assert named and named <= drawn


def test_every_rule_of_the_style_sheet_is_closed_before_the_next_begins() -> None:
    sheet = (settings.BASE_DIR / "web/static/css/neuralflow.css").read_text()
    lines = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), sheet, flags=re.S)
    depth = 0
    for number, line in enumerate(lines.splitlines(), start=1):
        assert depth == 0 or not line[:1].strip(" }"), f"line {number} stands in an unclosed rule"
        depth += line.count("{") - line.count("}")
    assert depth == 0


def test_templates_have_no_inline_script_and_no_inline_style() -> None:
    for name in ("web/templates", "api/templates", "accounts/templates"):
        for path in (settings.BASE_DIR / name).rglob("*.html"):
            text = path.read_text()
            found = re.findall(
                r"<script(?! src=\"{% static)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://",
                text,
            )
            assert not found, f"{path}: {found}"


@pytest.mark.parametrize("name", ["400.html", "500.html", "storage_error.html"])
def test_the_pages_for_the_worst_need_nothing_at_all(name: str) -> None:
    page = render_to_string(name)
    assert "<h1>" in page
    assert "/static/css/neuralflow" in page


def test_an_unknown_address_gets_our_404(client: Client, db: None) -> None:
    page = client.get("/no/such/page/")
    assert page.status_code == 404
    assert "Page not found" in page.content.decode()


def test_a_form_without_its_token_is_told_so(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    page = client.post("/tasks/new/", {"title": "Forged"})
    assert page.status_code == 403
    assert "Please try again" in page.content.decode()


def test_the_style_sheet_reads_nothing_from_elsewhere() -> None:
    sheet = Path(settings.BASE_DIR / "web/static/css/neuralflow.css").read_text()
    assert "url(" not in sheet
    assert "@import" not in sheet


def test_every_block_of_the_style_sheet_is_closed() -> None:
    """One brace less, and the rest of the sheet holds for some pages only."""
    sheet = Path(settings.BASE_DIR, "web/static/css/neuralflow.css").read_text()
    depth = 0
    for number, line in enumerate(sheet.splitlines(), 1):
        assert depth == 0 or not line.startswith("/* "), f"line {number} is within a block"
        depth += line.count("{") - line.count("}")
    assert depth == 0


@pytest.mark.django_db
def test_the_design_page_is_for_developers(client: Client, settings: Settings) -> None:
    assert client.get("/design/").status_code == 404
    settings.DEBUG = True
    page = client.get("/design/")
    assert page.status_code == 200
    for shown in ("accent-wash", "button-danger", "entry: the doors", "tick-done"):
        assert shown in page.content.decode()
