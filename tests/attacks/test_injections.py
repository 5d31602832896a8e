"""What would do something in a browser is kept as it was typed, and only shown."""

from html.parser import HTMLParser
from typing import Any

import pytest

from tests.attacks.counting import Count
from tests.attacks.hostile import INJECTIONS
from tests.attacks.world import OWNER, World
from utils.json_storage import json_storage
from workspace.schema.fields import Kind
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec

pytestmark = pytest.mark.slow
TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.OPEN_CHOICE)
# Of the addresses an element may have.
LINKS = ("href", "src", "action", "formaction", "data", "poster")


class Page(HTMLParser):
    """A page as a browser understands it: what would happen there, and the words that are shown."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.happens: list[str] = []
        self.words = ""
        self._script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag == "script"
        if tag == "x-owned":
            self.happens.append(f"<{tag}>")
        for name, value in attrs:
            said = (value or "").strip()
            self.words += f"\n{said}"
            if name.startswith("on") or name in ("srcdoc", "style", "x-owned"):
                self.happens.append(f"{tag} {name}={said}")
            if name in LINKS and said.lower().startswith(("javascript:", "data:", "vbscript:")):
                self.happens.append(f"{tag} {name}={said}")

    def handle_data(self, data: str) -> None:
        self.words += f"\n{data}"
        if self._script and "owned" in data:
            self.happens.append(f"script: {data}")

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def _record(spec: CollectionSpec, payload: str) -> dict[str, Any]:
    """A record that holds the payload wherever one may write freely."""
    record: dict[str, Any] = {field.name: payload for field in spec.writable if field.kind in TEXTS}
    for field in spec.writable:
        if field.kind in (Kind.TEXTS, Kind.MEMBERS):
            record[field.name] = [payload]
        elif field.kind is Kind.OBJECT:
            record[field.name] = {payload: [payload]}
        elif field.kind is Kind.CHECKLIST:
            record[field.name] = [{"text": payload, "done": False}]
    return record


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
@pytest.mark.parametrize("payload", INJECTIONS)
def test_it_is_kept_and_only_shown(
    world: World, count: Count, payload: str, collection: str
) -> None:
    spec = COLLECTIONS[collection]
    sent = _record(spec, payload)
    answer = world.program(OWNER).post(
        f"/accounts/api/{collection}/", sent, content_type="application/json"
    )
    assert answer.status_code == 201, answer.content
    record_id = answer.json()["id"]
    stored = json_storage.get(collection, world.owner, record_id)
    assert {name: stored[name] for name in sent} == sent

    for address in (
        f"/{collection}/",
        f"/{collection}/{record_id}/edit/",
        f"/{collection}/{record_id}/delete/",
        "/dashboard/",
    ):
        response = world.browser(OWNER).get(address)
        assert response.status_code == 200
        page = Page(response.content.decode())
        assert page.happens == [], address
        if address != "/dashboard/":
            assert payload in page.words, address
        assert str(1337 * 1337) not in page.words, address  # nobody has worked it out
        count("pages that show an injection", 1)


def test_a_profile_is_only_shown(world: World, count: Count) -> None:
    person = world.people[OWNER]
    for payload in INJECTIONS:
        for name in ("first_name", "last_name", "company_name", "job_title", "bio", "location"):
            setattr(person, name, payload)
        person.save()
        for address in ("/accounts/profile/", "/dashboard/"):
            page = Page(world.browser(OWNER).get(address).content.decode())
            assert page.happens == []
            count("pages that show an injection", 1)


@pytest.mark.parametrize("field", ["website", "linkedin_url", "github_url"])
def test_addresses_of_a_profile_are_of_the_web(world: World, field: str) -> None:
    for payload in INJECTIONS:
        answer = world.browser(OWNER).post("/accounts/profile/", {field: payload})
        assert answer.status_code != 302 or not getattr(_again(world), field)


def _again(world: World) -> Any:
    person = world.people[OWNER]
    person.refresh_from_db()
    return person


def test_the_test_would_notice() -> None:
    for payload in ("<x-owned>", "<img src=x onerror=owned()>", "<script>owned()</script>"):
        assert Page(f"<p>{payload}</p>").happens
    assert Page('<a href="javascript:owned()">x</a>').happens
    assert Page('<p title="">x</p>').happens == []
