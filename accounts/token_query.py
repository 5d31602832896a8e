"""Look-up of a token by its digest, by one query per call.

The token is not cached, so revoking it or blocking its account takes effect at once in all
processes. Compiling the query takes Django twenty times as long as SQLite takes to run it, so the
SQL is compiled once per database.
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
    """The columns of a token that a call needs. Building a model would cost more than the query."""

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
        """Return whether the account is active."""
        return bool(self.about_user[_USER_FIELDS.index("is_active")])

    @cached_property
    def user(self) -> User:
        """The account. Fields that the look-up did not read are deferred."""
        return User.from_db(self.database, _USER_FIELDS, self.about_user)


def token_by_digest(digest: str) -> TokenRow | None:
    """Return the token with this digest, even if it is not valid, or None."""
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
    """Return the compiled SQL, and converters to Python values.

    A converter is a column's position, a function, and the column's expression.
    """
    fields = (*_TOKEN_FIELDS, *(f"user__{name}" for name in _USER_FIELDS))
    wanted = ApiToken.objects.using(alias).filter(digest="").order_by().values_list(*fields)
    compiler = wanted.query.get_compiler(alias)
    statement, parameters = compiler.as_sql()
    assert parameters == ("",), "the digest is all that differs from call to call"
    columns = [column for column, _sql, _alias in compiler.select]
    converted = compiler.get_converters(columns).items()
    return statement, [
        (position, convert, column)
        for position, (converters, column) in converted
        for convert in converters
    ]
