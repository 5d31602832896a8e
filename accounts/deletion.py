"""Delete a user: documents, account and everything that refers to them.

| step | store | state after a crash following this step |
|---|---|---|
| 1 | database: set `leaving_at` | account and documents are complete; the user can sign in |
| 2 | store: delete all documents, in one commit | the account is empty; the user can sign in |
| 3 | database: delete account, tokens and sessions, record the id as former | done |
| 4 | store: delete documents that a request created between 2 and 3 | done |

In each state `setup_data --validate` reports what remains, and `setup_data --sync-users` finishes
the deletion: of accounts with `leaving_at`, and of documents of former ids, which a restored backup
can bring back.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction as database
from django.utils import timezone

from docstore import StoreError
from workspace.installation import UserDocuments

log = logging.getLogger(__name__)


def delete_user(documents: UserDocuments, user: Any) -> dict[str, Any]:
    """Delete a user's documents and account, and return counts of what was deleted.

    Call it outside of a database transaction. Raises `StoreError` if the documents cannot be
    deleted. Then nothing is deleted, and the account remains usable.
    """
    accounts = get_user_model()._default_manager.filter(pk=user.pk)
    accounts.filter(leaving_at=None).update(leaving_at=timezone.now())
    try:
        dropped = documents.delete_user_documents(user.pk)
    except StoreError:
        with suppress(StoreError):
            if documents.get_user_data(user.pk) is not None:
                accounts.update(leaving_at=None)
        raise
    with database.atomic():
        for account in accounts:
            account.delete()
    try:
        documents.delete_user_documents(user.pk)
    except StoreError:
        log.exception("Documents of the former account %s may be left", user.pk)
    return dropped
