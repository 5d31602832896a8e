"""Notes with a log, stored by the engine alone, without Django or a server.

python -m examples.notes /tmp/notes "Buy milk"
"""

import sys
from pathlib import Path

from docstore import (
    CollectionLayout,
    DocumentStore,
    History,
    Key,
    NotFound,
    Transaction,
    open_store,
)

NOTES = CollectionLayout(name="notes", stem="notes", records="notes")
LOGS = CollectionLayout(name="logs", stem="log", records="lines")


def add_note(store: DocumentStore, owner: int, text: str) -> int:
    """Store a note and a line of the log, both or neither; return the note's id."""
    notes, log = Key("notes", owner), Key("logs", owner)

    def edit(transaction: Transaction) -> int:
        for key, empty in ((notes, {"notes": []}), (log, {"lines": []})):
            if transaction.document(key) is None:
                transaction.create(key, empty)
        note_id = transaction.new_id(notes)
        transaction.put(notes, {"id": note_id, "text": text})
        transaction.append(log, {"at": transaction.now.isoformat(), "added": note_id})
        return note_id

    return store.change(edit, actor=str(owner))


def main(folder: str, text: str) -> None:
    """Add a note and print all notes."""
    url = Path(folder).absolute().as_uri()
    store = open_store(url, [NOTES, LOGS], history=History(days=7))
    try:
        added = add_note(store, 1, text)
        print(f"note {added} is durable")
        for note in store.records(Key("notes", 1)):
            print(note["id"], note["text"])
        try:
            store.change(lambda transaction: transaction.remove(Key("notes", 1), 999))
        except NotFound as fault:
            print(f"nothing was changed: {fault}")
    finally:
        store.close()  # the files are up to date from here on
    print((Path(folder) / "notes/notes_1.json").read_text(), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
