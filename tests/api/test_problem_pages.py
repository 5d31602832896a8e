"""Where a problem's type leads a person who looks it up."""

import html
import re

import pytest
from django.test import Client

from api.problems import PROBLEMS, REMEDIES
from tests.api.conftest import Caller

SLUGS = sorted({problem.slug for problem in PROBLEMS.values()})


@pytest.mark.django_db
@pytest.mark.parametrize("slug", SLUGS)
def test_every_type_has_its_page(slug: str) -> None:
    answer = Client().get(f"/problems/{slug}/")

    assert answer.status_code == 200
    titles = {problem.title for problem in PROBLEMS.values() if problem.slug == slug}
    text = html.unescape(answer.content.decode())
    assert any(re.search(rf"<h1[^>]*>{re.escape(title)}</h1>", text) for title in titles)
    shown = re.sub(r"</?code>", "`", text)
    assert REMEDIES[slug][1:] in shown


def test_a_type_leads_to_its_page(alice: Caller) -> None:
    told = alice.get("tasks/7/").json()["type"]

    answer = Client().get(told, follow=True)

    assert answer.redirect_chain == [(f"{told}/", 301)]
    assert answer.status_code == 200


@pytest.mark.django_db
def test_all_are_listed() -> None:
    text = Client().get("/problems/").content.decode()

    assert re.findall(r'href="/problems/([a-z-]+)/"', text) == [
        slug for _, slug in sorted({(p.status, p.slug) for p in PROBLEMS.values()})
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["", "no-such-type/", "Conflict/", "not-found/x/", "..%2f/"])
def test_other_addresses_and_methods(slug: str) -> None:
    client = Client()
    assert client.get(f"/problems/{slug}").status_code == (404 if slug else 200)
    assert client.post(f"/problems/{slug}").status_code in {404, 405}
