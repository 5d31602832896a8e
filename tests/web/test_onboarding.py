"""The first minutes, and the example."""

import re

from django.test import Client

from accounts.models import User
from tests.web.pages import text_of
from utils.json_storage import json_storage


def marked(person: User) -> list[str]:
    return [
        str(record.get("title") or record["name"])
        for collection in ("projects", "tasks", "models")
        for record in json_storage.list(collection, person.pk)
        if record["metadata"].get("example")
    ]


def test_the_example_comes_and_goes_in_one_click(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "Get started" in text_of(client.get("/dashboard/"))
    for _twice in range(2):
        client.post("/example/add/")
    assert len(marked(alice)) == 7
    (project,) = json_storage.list("projects", alice.pk)
    own = json_storage.save_task_data(alice.pk, {"title": "Mine", "project_id": project["id"]})
    page = client.get("/dashboard/")
    assert "Get started" not in text_of(page)
    assert "Remove the example" in text_of(page)
    client.post("/example/remove/")
    assert marked(alice) == []
    (left,) = json_storage.list("tasks", alice.pk)
    assert (left["id"], left["project_id"]) == (own["id"], None)
    told = [one["type"] for one in json_storage.activities(alice.pk, 10)]
    assert (told.count("example_added"), told.count("example_removed")) == (1, 1)


def test_the_example_comes_back_by_undo(client: Client, alice: User) -> None:
    client.force_login(alice)
    client.post("/example/add/", follow=True)
    before = marked(alice)
    page = client.post("/example/remove/", follow=True).content.decode()
    token = re.search(r'name="undo" value="([^"]+)"', page)
    assert token
    client.post("/undo/", {"undo": token[1]})
    assert sorted(marked(alice)) == sorted(before)
    (project,) = json_storage.list("projects", alice.pk)
    assert {task["project_id"] for task in json_storage.list("tasks", alice.pk)} == {project["id"]}


def test_the_steps_go_once_they_are_done(client: Client, alice: User) -> None:
    client.force_login(alice)
    json_storage.save_task_data(alice.pk, {"title": "First"})
    told = text_of(client.get("/dashboard/"))
    assert "Start a project" in told
    assert "Add an example project" not in told
    json_storage.save_project_data(alice.pk, {"name": "Second"})
    json_storage.save_model_data(alice.pk, {"name": "Third"})
    assert 'id="steps-title"' not in client.get("/dashboard/").content.decode()
