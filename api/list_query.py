"""Parse the query string of a list by the table of collections.

Pure: it gets a QueryDict and uses no store. All faults are reported at once.
"""

import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import msgspec
from django.http import QueryDict

from api.filters import filters_of
from api.operation import Parameter
from api.pagination import Ordering, Position, SortBy, read_cursor
from api.problems import BadParameter, ParameterFault, UnknownParameter
from workspace.json_values import text_error
from workspace.ordering import Test, is_ordered
from workspace.schema.collections import COLLECTIONS, CollectionSpec
from workspace.sharing.permissions import SHARED_COLLECTIONS
from workspace.texts import folded

LIMIT_MAX = 1000  # records per page, and the default
TEXT_CHARACTERS_MAX = 200  # in a search text
SORTS_MAX = 4
FAULTS_MAX = 100

_COUNT = re.compile("[1-9][0-9]{0,5}", re.ASCII)


@dataclass(frozen=True)
class ListQuery:
    """The parsed query of a list."""

    tests: tuple[Test, ...] = ()
    text: str = ""  # search text, folded
    sort: tuple[SortBy, ...] = ()
    fields: frozenset[str] = frozenset()  # empty for all
    limit: int = LIMIT_MAX
    after: Position | None = None  # position of the last record of the previous page
    total: bool = False  # return the total of filtered lists, too
    shared: bool = False  # include records shared by others
    paged: bool = False  # limit or cursor was given
    digest: str = ""  # identifies the list, to refuse cursors of others

    @property
    def narrows(self) -> bool:
        return bool(self.tests or self.text)

    @property
    def ordering(self) -> Ordering:
        return Ordering(self.sort)

    @property
    def is_plain(self) -> bool:
        """True if the response is a contiguous part of the stored list."""
        return not (self.narrows or self.sort or self.fields or self.shared)


def read_query(collection: str, parameters: QueryDict, whose: tuple[int, ...]) -> ListQuery:
    """Parse the parameters of a list. `whose` is the caller and the owner, for its cursors.

    Raises `BadParameter` and `UnknownParameter`.
    """
    if not parameters:
        return _everything(collection, whose)
    return _Reading(COLLECTIONS[collection], parameters, whose).query()


@lru_cache(maxsize=1024)
def _everything(collection: str, whose: tuple[int, ...]) -> ListQuery:
    """Return the query without parameters, which most calls use."""
    return _Reading(COLLECTIONS[collection], QueryDict(), whose).query()


class _Reading:
    """The parser of a query, which collects its faults."""

    def __init__(self, spec: CollectionSpec, parameters: QueryDict, whose: tuple[int, ...]) -> None:
        self._spec, self._parameters, self._whose = spec, parameters, whose
        self._filters = filters_of(spec.name)
        self._known = {parameter.name: parameter for parameter in parameters_of(spec.name)}
        self._faults: list[ParameterFault] = []
        self._has_unknown = False

    def query(self) -> ListQuery:
        self._check_names()
        sort = tuple(self._sort())
        shared = self._shared()
        digest = self._digest(shared)
        query = ListQuery(
            tests=tuple(self._tests()),
            text=self._text(),
            sort=sort,
            fields=frozenset(self._fields()),
            limit=self._limit(),
            after=self._after(sort, digest),
            total=self._one_of("total", ("true", "false")) == "true",
            shared=shared,
            paged="limit" in self._parameters or "cursor" in self._parameters,
            digest=digest,
        )
        self._raise_faults()
        return query

    def _fault(self, name: str, detail: str) -> None:
        self._faults.append(ParameterFault(name[:100], detail))

    def _raise_faults(self) -> None:
        if self._faults:
            kind = UnknownParameter if self._has_unknown else BadParameter
            first, more = self._faults[0], len(self._faults) - 1
            text = f"{first.parameter} {first.detail}"
            detail = f"{text}; `errors` tells of {more} more." if more else f"{text}."
            raise kind(detail, errors=self._faults[:FAULTS_MAX])

    def _check_names(self) -> None:
        for name, values in self._parameters.lists():
            known = self._known.get(name)
            if known is None:
                self._has_unknown = True
                near = difflib.get_close_matches(name[:50], self._known, n=1)
                meant = f"; {near[0]} is meant, perhaps" if near else ""
                self._fault(name, f"is no parameter of {self._spec.name}{meant}")
            elif len(values) > 1 and not known.many:
                self._fault(name, "must be given once")

    def _one(self, name: str) -> str | None:
        return self._parameters.get(name)

    def _listed(self, name: str) -> list[str]:
        values = self._parameters.getlist(name)
        return [entry for value in values for entry in value.split(",")]

    def _tests(self) -> Iterator[Test]:
        for name, wanted in self._filters.items():
            if name in self._parameters:
                try:
                    yield wanted.test(self._parameters.getlist(name))
                except ValueError as fault:
                    self._fault(name, str(fault))

    def _text(self) -> str:
        text = (self._one("q") or "").strip()
        if len(text) > TEXT_CHARACTERS_MAX:
            self._fault("q", f"may have at most {TEXT_CHARACTERS_MAX} characters")
        if unfit := text_error(text, one_line=True):
            self._fault("q", unfit)
        return folded(text)

    def _sort(self) -> Iterator[SortBy]:
        names = self._listed("sort")
        if len(names) > SORTS_MAX:
            self._fault("sort", f"may name at most {SORTS_MAX} fields")
        for name in names[:SORTS_MAX]:
            field = self._spec.by_name.get(name.removeprefix("-"))
            if field is None or not is_ordered(field):
                known = ", ".join(
                    ordered_field.name
                    for ordered_field in self._spec.fields
                    if is_ordered(ordered_field)
                )
                self._fault(
                    "sort", f"must name fields of {known}; backwards with - before the name"
                )
                return
            yield SortBy(field, backwards=name.startswith("-"))

    def _fields(self) -> Iterator[str]:
        for name in self._listed("fields"):
            if name not in self._spec.by_name:
                known = ", ".join(self._spec.by_name)
                self._fault("fields", f"must name fields of a {self._spec.singular}: {known}")
                return
            yield name

    def _limit(self) -> int:
        try:
            return limit_of(text) if (text := self._one("limit")) is not None else LIMIT_MAX
        except ValueError as fault:
            self._fault("limit", str(fault))
            return LIMIT_MAX

    def _one_of(self, name: str, values: tuple[str, ...]) -> str | None:
        value = self._one(name)
        if value is not None and value not in values:
            self._fault(name, f"must be {' or '.join(values)}")
        return value

    def _shared(self) -> bool:
        shared = self._one_of("include", ("shared",)) == "shared"
        if shared and len(set(self._whose)) > 1:
            self._fault("include", "is for one's own lists; this one is another's")
        return shared

    def _after(self, sort: tuple[SortBy, ...], digest: str) -> Position | None:
        text = self._one("cursor")
        if text is None:
            return None
        try:
            return read_cursor(text, sort, digest)
        except ValueError as fault:
            self._fault("cursor", str(fault))
            return None

    def _digest(self, shared: bool) -> str:
        """Return a digest of everything that lists with interchangeable cursors have in common."""
        parameters = self._parameters
        filters = [(name, parameters.getlist(name)) for name in self._filters if name in parameters]
        text = msgspec.json.encode(
            [self._spec.name, self._whose, shared, self._listed("sort"), self._one("q"), filters]
        )
        return hashlib.blake2b(text, digest_size=8).hexdigest()


def limit_of(text: str) -> int:
    """Return the page size in a parameter. Raises ValueError."""
    if not _COUNT.fullmatch(text) or int(text) > LIMIT_MAX:
        raise ValueError(f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)


@cache
def parameters_of(collection: str) -> tuple[Parameter, ...]:
    """Return all parameters of a collection's list."""
    filters = [
        Parameter(
            name, f"Only records with {filter_.description}.", filter_.schema, many=filter_.many
        )
        for name, filter_ in filters_of(collection).items()
    ]
    return (*_common(COLLECTIONS[collection]).values(), *filters)


def _common(spec: CollectionSpec) -> dict[str, Parameter]:
    """Return the parameters other than filters."""
    names = "|".join(spec.by_name)
    ordered = "|".join(field.name for field in spec.fields if is_ordered(field))
    every: tuple[Parameter, ...] = (
        _parameter(
            "q",
            "Only records with this in a text, a tag or a member's name, whatever its capitals and"
            " accents.",
            maxLength=TEXT_CHARACTERS_MAX,
        ),
        _parameter(
            "sort",
            f"Up to {SORTS_MAX} fields to order by, with commas between; - before one: backwards.",
            pattern=f"^-?({ordered})(,-?({ordered})){{0,{SORTS_MAX - 1}}}$",
        ),
        _parameter(
            "fields",
            "The fields to answer, with commas between.",
            pattern=f"^({names})(,({names}))*$",
        ),
        Parameter(
            "limit",
            "How many records to answer at most.",
            {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_MAX},
        ),
        _parameter("cursor", "Where to go on: it stands in `next` of the page before."),
        _parameter(
            "total",
            "true to be told how many records there are also where something filters.",
            enum=["true", "false"],
        ),
    )
    if spec.name in SHARED_COLLECTIONS:
        shared = _parameter("include", "shared: also what others share.", enum=["shared"])
        every = (*every, shared)
    return {parameter.name: parameter for parameter in every}


def _parameter(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(name, description, {"type": "string", **schema})
