"""What each address of the API does, for routing, for scopes and for the OpenAPI document.

An operation is one method at one address. It is declared once, where its handler is; nothing about
it is written down a second time. Schemas are JSON Schema 2020-12, mostly references to those of the
OpenAPI document.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http.response import HttpResponseBase

from accounts.api.problems import PROBLEMS

JSON = "application/json"
PROBLEM = "application/problem+json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Handler = Callable[..., HttpResponseBase]
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What comes back with one status. `headers` are the names of those worth knowing."""

    description: str
    schema: Schema | None = None
    headers: tuple[str, ...] = ()
    media_type: str = JSON


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query. With `many` it may be given more than once."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    many: bool = False
    required: bool = False


@dataclass(frozen=True)
class Operation:
    """One method of one address.

    `area` is the collection that it is about, "" when it is about everything of a person; with
    `writes` it says which scope a token needs. `bodies` names the media types taken, and what each
    must hold. An operation that is not `counted` costs no call; an `open` one asks not who calls.
    With `judges_query` the handler reads the query itself, to tell all of its faults at once.
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
        """Whether a token with these scopes may do it."""
        return any(scope in scopes for scope in self.scopes)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of which any one is enough; the narrowest comes first."""
        kinds = ("write",) if self.writes else ("read", "write")
        narrow = tuple(f"{self.area}:{kind}" for kind in kinds) if self.area else ()
        return (*narrow, *kinds)


def ref(name: str) -> Schema:
    """A reference to a schema of the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{name}"}


# What any call may be answered, and any call that sends a body.
ALWAYS = (400, 401, 403, 405, 429, 500, 503)
WITH_BODY = (411, 413, 415, 422, 507)


def answers(good: Mapping[int, Answer], refused: Iterable[int] = ()) -> Mapping[int, Answer]:
    """All answers of an operation: the good ones, what it may be refused with, and the common."""
    return {**good, **{status: _problem(status) for status in sorted({*ALWAYS, *refused})}}


def _problem(status: int) -> Answer:
    titles = dict.fromkeys(told.title for told in PROBLEMS.values() if told.status == status)
    return Answer(". ".join(titles), ref("Problem"), media_type=PROBLEM)
