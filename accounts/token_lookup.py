"""A token by its digest: one row of the database, read anew at every call.

So a token that is revoked, or whose account is blocked, opens nothing from that moment on, in any
process. Writing the query costs Django twenty times what SQLite takes to answer it, and it is the
same each time: it is written once for each database, and run as it is.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connections, router
from django.db.models import Model
from django.db.models.expressions import BaseExpression

from accounts.models import ApiToken, User


def _in_order(model: type[Model], *names: str) -> tuple[str, ...]:
    """The names in the order of the model's fields, in which `from_db` takes their values."""
    return tuple(f.attname for f in model._meta.concrete_fields if f.attname in names)


_TOKEN_FIELDS = _in_order(
    ApiToken, "id", "user_id", "scopes", "last_used_at", "expires_at", "revoked_at"
)
_USER_FIELDS = _in_order(User, "id", "is_active")


def token_by_digest(digest: str) -> ApiToken | None:
    """The token with this digest, valid or not, and its `user`; their other fields are deferred."""
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
    user = User.from_db(alias, _USER_FIELDS, about_user)
    token = ApiToken.from_db(alias, _TOKEN_FIELDS, about_token)
    token.user = user
    return token


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
