"""A token by its digest: one row of the database, read anew at every call.

So a token that is revoked, or whose account is blocked, opens nothing from that moment on, in any
process. Writing the query costs Django twenty times what SQLite takes to answer it, and it is the
same each time: it is written once for each database, and run as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from django.db import connections, router
from django.db.models.expressions import BaseExpression

from accounts.models import ApiToken, User

_TOKEN_FIELDS = ("id", "user_id", "scopes", "last_used_at", "expires_at", "revoked_at")
# In the order of the model's fields, in which `from_db` takes their values.
_USER_FIELDS = tuple(
    f.attname for f in User._meta.concrete_fields if f.attname in {"id", "is_active"}
)


@dataclass
class TokenRow:
    """What a call needs to know of its token. Making models of it costs more than the query."""

    pk: int
    user_id: int
    scopes: list[str]
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    about_user: tuple[Any, ...]
    database: str

    @property
    def user_is_active(self) -> bool:
        """Whether the account is."""
        return bool(self.about_user[_USER_FIELDS.index("is_active")])

    @cached_property
    def user(self) -> User:
        """The account; what the look-up did not read is read when it is asked for."""
        return User.from_db(self.database, _USER_FIELDS, self.about_user)


def token_by_digest(digest: str) -> TokenRow | None:
    """The token with this digest, valid or not, with what is known of its account."""
    alias = router.db_for_read(ApiToken)
    connection = connections[alias]
    statement, converters = _statement(alias)
    with connection.cursor() as cursor:
        cursor.execute(statement, [digest])
        row = cursor.fetchone()
    if row is None:
        return None
    values = list(row)
    for position, convert, column in converters:
        values[position] = convert(values[position], column, connection)
    about_token, about_user = values[: len(_TOKEN_FIELDS)], values[len(_TOKEN_FIELDS) :]
    known = dict(zip(("pk", *_TOKEN_FIELDS[1:]), about_token, strict=True))
    return TokenRow(**known, about_user=tuple(about_user), database=alias)


@cache
def _statement(alias: str) -> tuple[str, list[tuple[int, Callable[..., Any], BaseExpression]]]:
    """The query in the database's words; and what makes Python's values of those that it answers:
    the position of each, the function, and what was selected there."""
    fields = (*_TOKEN_FIELDS, *(f"user__{name}" for name in _USER_FIELDS))
    wanted = ApiToken.objects.using(alias).filter(digest="").order_by().values_list(*fields)
    compiler = wanted.query.get_compiler(alias)
    statement, parameters = compiler.as_sql()
    assert parameters == ("",), "the digest is all that differs from call to call"
    columns = [column for column, _sql, _alias in compiler.select]
    found = compiler.get_converters(columns).items()
    return statement, [
        (position, convert, column)
        for position, (converters, column) in found
        for convert in converters
    ]
