"""Sessions in the database, under a digest of their key: a copy of the database opens none.

The key itself travels in the cookie and is stored nowhere. `SESSION_ENGINE` names this module.
"""

import base64
import hashlib
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.utils import timezone

_DIGEST_BYTES = 30  # 240 bits, which fill the 40 characters of the column


def row_key(session_key: str) -> str:
    """Return the primary key under which the session with this key is stored."""
    # Without salt and stretching: 165 random bits cannot be guessed from their digest.
    digest = hashlib.sha256(session_key.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode("ascii")


class SessionStore(DatabaseStore):
    """Django's store of sessions, which reads and writes rows by the digest of the key.

    Its name is the salt under which Django signs session data.
    """

    def _get_session_from_db(self) -> Session | None:
        rows = Session.objects.filter(expire_date__gt=timezone.now())
        row = rows.filter(pk=row_key(self.session_key)).first() if self.session_key else None
        if row is None:
            self._session_key = None
        return row

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(pk=row_key(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row: Session = super().create_model_instance(data)  # type: ignore[assignment]
        row.session_key = row_key(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(pk=row_key(key)).delete()

    # Django's own asynchronous operations would read and write rows by the key itself.
    aload = SessionBase.aload
    aexists = SessionBase.aexists
    acreate = SessionBase.acreate
    asave = SessionBase.asave
    adelete = SessionBase.adelete
