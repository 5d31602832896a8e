"""Declarations of API operations, for routing, for scopes and for the OpenAPI document.

An operation is a method at a URL. It is declared once, next to its handler. Schemas are JSON Schema
2020-12, mostly references to components of the OpenAPI document.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http.response import HttpResponseBase

from api.problems import PROBLEMS

JSON = "application/json"
PROBLEM = "application/problem+json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Handler = Callable[..., HttpResponseBase]
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """The response for a status. `headers` are the names of its notable header fields."""

    description: str
    schema: Schema | None = None
    headers: tuple[str, ...] = ()
    media_type: str = JSON


@dataclass(frozen=True)
class Parameter:
    """A query parameter. With `many` it may be repeated."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    many: bool = False
    required: bool = False


@dataclass(frozen=True)
class Operation:
    """A method at a URL.

    `area` is its collection, or "" if it concerns all of a user's data. `area` and `writes`
    determine the scope that a token needs. `bodies` has the accepted media types with their
    schemas. An operation that is not `counted` is free of charge. An `open` one requires no
    authentication. With `judges_query` the handler validates the query string itself, to report all
    faults at once.
    """

    handler: Handler
    summary: str
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Schema] = field(default_factory=dict)
    area: str = ""
    writes: bool = True
    counted: bool = True
    open: bool = False
    judges_query: bool = False
    description: str = ""

    def allowed_by(self, scopes: Collection[str]) -> bool:
        """Return whether any of a token's scopes permits the operation."""
        return any(scope in scopes for scope in self.scopes)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that permit the operation, narrowest first. One of them is enough."""
        kinds = ("write",) if self.writes else ("read", "write")
        narrow = tuple(f"{self.area}:{kind}" for kind in kinds) if self.area else ()
        return (*narrow, *kinds)


def ref(name: str) -> Schema:
    """Return a reference to a component of the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{name}"}


# The error statuses of any call, of any call without an account, and of any call with a body.
ALWAYS = (400, 401, 403, 405, 429, 500, 503)
OPEN = (400, 405, 500, 503)
WITH_BODY = (411, 413, 415, 422, 507)


def answers(
    good: Mapping[int, Answer], refused: Iterable[int] = (), common: Iterable[int] = ALWAYS
) -> Mapping[int, Answer]:
    """Return all responses of an operation: successful, specific and common errors."""
    return {**good, **{status: _problem(status) for status in sorted({*common, *refused})}}


def _problem(status: int) -> Answer:
    titles = dict.fromkeys(
        problem.title for problem in PROBLEMS.values() if problem.status == status
    )
    return Answer(". ".join(titles), ref("Problem"), media_type=PROBLEM)
