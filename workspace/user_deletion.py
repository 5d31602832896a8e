"""Delete a user's documents and their memberships in projects of other users."""

from typing import Any

from docstore import Transaction
from workspace.documents import key_of
from workspace.member_entries import entries_of
from workspace.schema.collections import COLLECTIONS
from workspace.sharing.membership_index import remove_member
from workspace.sharing.permissions import index_of


def delete_user_documents(transaction: Transaction, person: int) -> dict[str, Any]:
    """Delete the user's documents and their member entries in projects of other users.

    The members' indexes of the user's own projects, and assignments in tasks of others, are updated
    as after any change (`sharing.index`). Returns counts.
    """
    left = 0
    for record in list(index_of(transaction, person)):
        owner, project_id = record.get("owner"), record.get("project_id")
        if type(owner) is int and owner > 0 and type(project_id) is int and owner != person:
            left += _leave(transaction, person, owner, project_id)
    documents = {}
    for name, spec in COLLECTIONS.items():
        key = key_of(name, person)
        content = transaction.document(key)
        if content is not None:
            documents[name] = len(content.get(spec.layout.records) or ())
            transaction.drop(key)
    return {"documents": documents, "projects_left": left}


def _leave(transaction: Transaction, person: int, owner: int, project_id: int) -> bool:
    projects = transaction.records(key_of("projects", owner)).find(project_id)
    if len(projects) != 1 or person not in entries_of(projects[0]):
        return False
    remove_member(transaction, owner, projects[0], person)
    return True
