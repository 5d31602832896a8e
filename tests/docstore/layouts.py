"""Two collections for the engine's tests: one of records with ids, one of a log."""

from docstore import CollectionLayout, Key

NOTES = CollectionLayout(name="notes", stem="notes", records="notes")
PEOPLE = CollectionLayout(name="people", stem="person", records="log")
LAYOUTS = {layout.name: layout for layout in (NOTES, PEOPLE)}

ALICE_NOTES, BOB_NOTES = Key("notes", 1), Key("notes", 2)
ALICE = Key("people", 1)
