"""A WSGI application with a store that it opens and uses when it is imported.

`POST /` adds a note and responds with its id and the number of the process. It shows what
`--preload` means for a store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from docstore import Transaction, open_store
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

store = open_store(os.environ["SMALL_SERVER_STORE"], LAYOUTS.values())


def begin(transaction: Transaction) -> None:
    if transaction.document(ALICE_NOTES) is None:
        transaction.create(ALICE_NOTES, {"notes": []})


store.change(begin)


def add(transaction: Transaction) -> int:
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note, "by": os.getpid()})
    return note


def application(environment: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    note = store.change(add)
    document = store.read(ALICE_NOTES)
    assert document is not None
    seen = any(record["id"] == note for record in document.content["notes"])
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps({"id": note, "process": os.getpid(), "seen": seen}).encode()]
