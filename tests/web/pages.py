"""What the tests of pages share: reading a page as a person would, and old folders."""

import html
import json
import re
from pathlib import Path
from typing import Any

from django.http import HttpResponse

from tests.folders import exact, forget_journal


def text_of(response: HttpResponse) -> str:
    """The words of a page, without markup."""
    body = response.content.decode().partition("<body")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def version_in(response: HttpResponse) -> str:
    """The version of the record that a form was made from."""
    found = re.search(r'name="version" value="([^"]+)"', response.content.decode())
    assert found
    return found.group(1)


def write_document(folder: Path, name: str, content: Any) -> Path:
    """Lays a document into the data folder as an older program left it."""
    path = exact(folder / name)
    forget_journal(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


OLD_TASKS = {
    "tasks": [
        {"title": "From long ago", "id": 1, "created_at": "2024-03-01T10:00:00.123456"},
        {
            "title": "Half filled",
            "description": None,
            "priority": None,
            "status": None,
            "tags": None,
            "project_id": 99,
            "due_date": "some day",
            "metadata": None,
            "id": 2,
            "group_id": None,
            "created_at": None,
            "updated_at": None,
        },
        {"title": "Odd", "priority": "urgent", "status": "stuck", "tags": "a,b", "id": 3},
        {"description": "No title at all", "due_date": "2024-03-01", "id": 4},
        {"title": "No number"},
    ],
    "updated_at": None,
}
OLD_PROJECTS = {"projects": [{"name": "Old", "id": 5, "status": None}], "updated_at": None}
OLD_MODELS = {"models": [{"name": "Older", "id": 1, "accuracy": "high", "parameters": None}]}
