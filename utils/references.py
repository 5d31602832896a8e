"""Fields that hold the id of another record of the same person, such as a task's `project_id`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docstore import Key, Transaction, id_of
from utils.documents import key_of
from utils.fields import Kind
from utils.records import FieldError, InvalidRecord, changed_record
from utils.table import COLLECTIONS, RECORD_COLLECTIONS


def check_references(
    transaction: Transaction, key: Key, record: Mapping[str, Any], before: Mapping[str, Any]
) -> None:
    """Refuses a new reference that leads nowhere; one that an old file has may stay.

    Of `before`, the record as it was in the document `key`, what `record` is to become. Raises
    `InvalidRecord`.
    """
    faults = []
    for name, target in references_of(key.collection):
        wanted = record.get(name)
        if wanted is None or wanted == before.get(name):
            continue
        if not transaction.records(key_of(target, key.owner)).find(wanted):
            singular = COLLECTIONS[target].singular
            faults.append(FieldError(f"/{name}", f"must be the id of a {singular} of yours"))
    if faults:
        raise InvalidRecord(faults)


def clear_references(transaction: Transaction, key: Key, record_id: int) -> None:
    """Lets go of a record of the document `key` wherever the owner's other records refer to it."""
    for other in RECORD_COLLECTIONS:
        for name, target in references_of(other):
            if target != key.collection:
                continue
            place, spec = key_of(other, key.owner), COLLECTIONS[other]
            for record in transaction.records(place):
                if id_of(record) and record.get(name) == record_id:
                    changed = changed_record(spec, record, {name: None}, now=transaction.now)
                    transaction.put(place, changed)


def references_of(collection: str) -> Iterator[tuple[str, str]]:
    """The fields of a collection that people set to the id of another record, and whose."""
    for spec_field in COLLECTIONS[collection].writable:
        if spec_field.kind is Kind.REFERENCE and spec_field.refers_to in RECORD_COLLECTIONS:
            yield spec_field.name, spec_field.refers_to
