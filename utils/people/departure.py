"""A person leaves: first the documents go, then the account, and nothing is left unnoticed.

| step | where | after a crash here |
|---|---|---|
| 1 | database: `leaving_at` is set | account and documents are whole; the person can sign in |
| 2 | store: all documents go, in one commit | the account is empty; the person can sign in |
| 3 | database: account, tokens and sessions go, and its id is noted as a former one | done |
| 4 | store: what a request began anew between 2 and 3 goes | whoever it belonged to is gone |

In each state `setup_data --validate` says so, and `setup_data --sync-users` finishes it: an account
with `leaving_at`, and documents of a former id, which a restored backup can bring back, too.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction as database
from django.utils import timezone

from docstore import StoreError
from utils.json_storage import JSONStorageManager

log = logging.getLogger(__name__)


def remove_person(manager: JSONStorageManager, user: Any) -> dict[str, Any]:
    """Removes a person's documents and account, and says what went; see the steps above.

    To be called outside of a database transaction. Raises `StoreError` where the documents cannot
    be removed; then nothing was, and the person stays.
    """
    accounts = get_user_model()._default_manager.filter(pk=user.pk)
    accounts.filter(leaving_at=None).update(leaving_at=timezone.now())
    try:
        dropped = manager.drop_person(user.pk)
    except StoreError:
        with suppress(StoreError):
            if manager.get_user_data(user.pk) is not None:
                accounts.update(leaving_at=None)
        raise
    with database.atomic():
        for account in accounts:
            account.delete()
    try:
        manager.drop_person(user.pk)
    except StoreError:
        log.exception("Documents of the former account %s may be left", user.pk)
    return dropped
