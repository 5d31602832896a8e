"""What is published for programs."""

import json

import jsonschema_rs
import pytest
from django.test import Client

from workspace.schema.json_schema import SCHEMAS as OF_FILES
from workspace.schema.model_conventions import MODEL_SCHEMAS

SCHEMAS = {**OF_FILES, **MODEL_SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_where_its_id_says(client: Client, name: str) -> None:
    answer = client.get(SCHEMAS[name]["$id"])
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/schema+json"
    assert json.loads(answer.content) == SCHEMAS[name]
    assert jsonschema_rs.meta.is_valid(json.loads(answer.content))


def test_a_schema_may_be_kept_by_everybody(client: Client) -> None:
    answer = client.get("/schemas/v1/tasks.json")
    assert {"public", "max-age=3600"} <= set(answer["Cache-Control"].split(", "))
    assert "Cookie" not in answer.get("Vary", "") and not answer.cookies
    again = client.get("/schemas/v1/tasks.json", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
    assert client.head("/schemas/v1/tasks.json")["ETag"] == answer["ETag"]
    assert client.get("/schemas/v1/users.json")["ETag"] != answer["ETag"]


def test_nothing_else_is_there(client: Client) -> None:
    for path in ("nothing.json", "tasks", "..%2ftasks.json", "tasks.json/", ""):
        assert client.get(f"/schemas/v1/{path}").status_code == 404
    assert client.post("/schemas/v1/tasks.json").status_code == 405
