"""The undo button of messages: what it takes back, for whom, and for how long."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web import undo


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    return client


def button(page: Any) -> dict[str, str]:
    """What the undo button of a page sends."""
    (form,) = re.findall(r'action="/undo/">(.*?)</form>', page.content.decode(), re.DOTALL)
    return {
        name: value.replace("&amp;", "&")
        for name, value in re.findall(r'name="(undo|next)" value="([^"]*)"', form)
    }


def completed(browser: Client) -> Any:
    return browser.post("/tasks/1/complete/", {"next": "/tasks/?status=pending"}, follow=True)


def test_completed_task_can_be_undone_and_redone(browser: Client, alice: User) -> None:
    page = completed(browser)
    sent = button(page)
    assert sent["next"] == "/tasks/?status=pending"
    page = browser.post("/undo/", sent, follow=True)
    assert page.redirect_chain == [("/tasks/?status=pending", 302)] and "Undone." in text_of(page)
    assert json_storage.get("tasks", alice.pk, 1)["status"] == "pending"
    activity = json_storage.activities(alice.pk, 1)[0]
    assert (activity["type"], activity["metadata"]["id"]) == ("change_undone", 1)
    assert "Undid a change" in text_of(browser.get("/activity/"))
    assert "Redo" in text_of(page)
    page = browser.post("/undo/", button(page), follow=True)
    assert json_storage.get("tasks", alice.pk, 1)["status"] == "completed"
    assert "Redone." in text_of(page) and ">Redo<" not in page.content.decode()


def test_a_deleted_record_comes_back_under_its_number(browser: Client, alice: User) -> None:
    version = browser.get("/tasks/1/delete/").context["version"]
    page = browser.post("/tasks/1/delete/", {"version": version}, follow=True)
    assert json_storage.list("tasks", alice.pk) == []
    browser.post("/undo/", button(page))
    assert json_storage.get("tasks", alice.pk, 1)["title"] == "Train"


def test_undo_page_names_records_changed_since(browser: Client, alice: User) -> None:
    sent = button(completed(browser))
    json_storage.update("tasks", alice.pk, 1, {"title": "Train <b>more</b>"})
    page = browser.post("/undo/", sent, follow=True)
    assert "changed since: “Train <b>more</b>”" in text_of(page) and b"<b>more" not in page.content
    assert json_storage.get("tasks", alice.pk, 1)["status"] == "completed"


def test_a_button_serves_its_own_person_alone(browser: Client, alice: User, bob: User) -> None:
    sent = button(completed(browser))
    browser.force_login(bob)
    for token in (sent["undo"], sent["undo"] + "x", "", "a:b:c"):
        page = browser.post("/undo/", {"undo": token, "next": "//evil.example"}, follow=True)
        assert "can no longer be undone" in text_of(page)
        assert page.redirect_chain == [("/dashboard/", 302)]
    assert json_storage.get("tasks", alice.pk, 1)["status"] == "completed"


def test_it_is_offered_for_a_while(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = button(completed(browser))
    monkeypatch.setattr(undo, "OFFERED_FOR", timedelta(seconds=-1))
    page = browser.post("/undo/", sent, follow=True)
    assert "can no longer be undone" in text_of(page)
