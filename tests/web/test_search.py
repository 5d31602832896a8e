"""The search page, and the list of keys."""

import html
import re
from pathlib import Path

from django.test import Client

from accounts.models import User
from tests.web.pages import text_of, write_document
from utils.json_storage import json_storage
from web.navigation import BEGINNINGS, PAGES
from workspace.membership.members import Memberships


def found(client: Client, words: str) -> str:
    """What the search page finds, as text."""
    page = client.get("/search/", {"q": words}).content.decode()
    region = page.partition('id="found"')[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", region)).split())


def test_names_come_before_what_only_mentions_the_words(client: Client, alice: User) -> None:
    client.force_login(alice)
    for title, description in [("Label data", "for the baseline"), ("Train the baseline", "")]:
        json_storage.save_task_data(alice.pk, {"title": title, "description": description})
    json_storage.save_model_data(alice.pk, {"name": "Baseline resnet"})
    told = found(client, "BASE line")
    assert told.index("Train the baseline") < told.index("Label data")
    assert "Baseline resnet" in told
    assert "No results." in found(client, "zebra")


def test_pages_are_found_by_other_words_too(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "Board" in found(client, "kanban")
    assert "Server" not in found(client, "journal")


def test_search_finds_only_shared_records_of_others(client: Client, alice: User, bob: User) -> None:
    shared = json_storage.save_project_data(alice.pk, {"name": "X-rays together"})
    json_storage.save_project_data(alice.pk, {"name": "X-rays alone"})
    memberships = Memberships(json_storage)
    memberships.invite(alice.pk, shared["id"], "bob", "viewer")
    client.force_login(bob)
    assert "X-rays" not in found(client, "x-rays")
    memberships.accept(bob.pk, 1)
    told = found(client, "x-rays")
    assert "X-rays together" in told
    assert "X-rays alone" not in told


def test_every_match_is_counted_though_eight_are_shown(client: Client, alice: User) -> None:
    client.force_login(alice)
    for number in range(9):
        json_storage.create("tasks", alice.pk, {"title": f"Baseline {number}"})
    json_storage.create("tasks", alice.pk, {"title": "Other", "description": "for the baseline"})
    told = found(client, "baseline")
    assert told.startswith("> 10 results ")
    assert "Showing 8 of 10. Show all (Tasks)" in told
    page = client.get("/search/", {"q": "baseline"}).content.decode()
    assert 'href="/tasks/?q=baseline"' in page
    assert text_of(client.get("/tasks/?q=baseline")).count("Delete Baseline") == 9
    # A list looks for one text: it would show fewer than the two words find.
    told = found(client, "the baseline")
    assert told.startswith("> 1 result ")


def test_a_file_that_cannot_be_read_is_said(client: Client, alice: User, data_folder: Path) -> None:
    client.force_login(alice)
    write_document(data_folder, f"models/models_{alice.pk}.json", "{")
    json_storage.save_task_data(alice.pk, {"title": "Baseline"})
    told = found(client, "baseline")
    assert "were not searched" in told
    assert "1 result" in told


def test_single_keys_can_be_switched_off(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "data-single-keys" in client.get("/dashboard/").content.decode()
    client.post("/shortcuts/", {"single_keys": "off"})
    assert "data-single-keys" not in client.get("/dashboard/").content.decode()
    assert "Turn on" in text_of(client.get("/shortcuts/"))
    client.post("/shortcuts/", {"single_keys": "on"})
    assert json_storage.preferences(alice.pk).single_keys


def test_no_key_leads_to_two_places() -> None:
    keys = [place.keys for place in (*PAGES, *BEGINNINGS) if place.keys]
    assert len(set(keys)) == len(keys)
