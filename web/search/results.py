"""Full-text search in the user's own records, in shared ones, and among pages.

Matches in names rank before matches in other texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from docstore import id_of
from utils.json_storage import JSONStorageManager
from web.labels import WORDS, Text
from web.navigation import Destination, places_for
from web.panels import Panel, read_panel
from web.presenters import shared_rows, title_of
from web.record_scope import address_of, project_address
from workspace.actor import Actor
from workspace.ordering import SEPARATOR, derive_cached, map_cached, search_text
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS
from workspace.sharing.permissions import SHARED_COLLECTIONS
from workspace.texts import folded

HITS_MAX = 8  # per collection
WORDS_MAX = 8
CHARACTERS_MAX = 200

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Hit:
    """A matching record."""

    icon: str
    title: Text
    address: str
    status: object = ""
    owner: str = ""  # the owner's name if it is another user


@dataclass
class SearchResults:
    """The search results."""

    text: str
    places: list[Destination]
    groups: list["HitGroup"] = field(default_factory=list)
    is_whole: bool = True  # False if a document was unreadable

    @property
    def count(self) -> int:
        return len(self.places) + sum(group.total for group in self.groups)


@dataclass(frozen=True)
class HitGroup:
    """The best hits of a collection, and the total number of matches."""

    label: Text
    hits: list[Hit]
    total: int
    more_at: str = ""  # URL of a list with all of them, if one exists

    @property
    def is_cut(self) -> bool:
        return self.total > len(self.hits)


@dataclass(frozen=True)
class _Of:
    """An owner's records of a collection, as visible to the user."""

    collection: str
    owner: int | None  # None for the user's own records
    owner_name: str
    panel: Panel


def find(manager: JSONStorageManager, person: int, is_staff: bool, text: str) -> SearchResults:
    """Return everything that matches all words of the text. Without words, only pages match."""
    words = folded(text[:CHARACTERS_MAX]).split()[:WORDS_MAX]
    results = SearchResults(text, places_for(is_staff, words))
    if not words or SEPARATOR in text:
        return results
    read = list(_readable(manager, person))
    results.is_whole = all(of.panel.fault is None for of in read)
    for collection in RECORD_COLLECTIONS:
        group = _group(collection, [of for of in read if of.collection == collection], words)
        if group.hits:
            results.groups.append(group)
    return results


def _readable(manager: JSONStorageManager, person: int) -> Iterator[_Of]:
    for collection in RECORD_COLLECTIONS:
        yield _Of(collection, None, "", read_panel(manager, collection, person))
    shared = shared_rows(read_panel(manager, "shared", person).records)
    owners = {row.owner: row.owner_name for row in shared if not row.is_invitation}
    for owner, name in owners.items():
        for collection in SHARED_COLLECTIONS:
            panel = read_panel(manager, collection, owner, Actor(person))
            yield _Of(collection, owner, name, panel)


def _group(collection: str, places: Sequence[_Of], words: Sequence[str]) -> HitGroup:
    """Return the best hits: names that begin with the words, names with them, other texts."""
    hits: list[tuple[int, Hit]] = []
    totals: dict[int | None, int] = {}
    for of in places:
        ranked = _ranked(derive_cached(of.panel.records, _newest_first(of.collection)), words)
        totals[of.owner] = sum(map(len, ranked))
        for rank, records in enumerate(ranked):
            hits += [(rank, _hit(of, record)) for record in records[:HITS_MAX]]
    hits.sort(key=itemgetter(0))
    total = sum(totals.values())
    # The list's own search matches a phrase, so its result differs for several words.
    is_one_list = len(words) == 1 and totals.get(None) == total
    address = address_of("record_list", COLLECTIONS[collection])
    more_at = f"{address}?{urlencode({'q': words[0]})}" if is_one_list else ""
    return HitGroup(
        WORDS[collection].plural, [hit for _rank, hit in hits[:HITS_MAX]], total, more_at
    )


_Sought = tuple[str, str, Record]  # folded name, all folded texts, record


@cache
def _newest_first(collection: str) -> Callable[[Sequence[Record]], list[_Sought]]:
    """Return a function that prepares records for searching."""
    title_of_record = partial(_title, COLLECTIONS[collection].title_field)

    def newest_first(records: Sequence[Record]) -> list[_Sought]:
        titles, texts = (
            map_cached(records, title_of_record),
            map_cached(records, search_text(collection)),
        )
        return list(zip(titles, texts, records, strict=True))[::-1]

    return newest_first


def _title(field_name: str, record: Record) -> str:
    return folded(str(record.get(field_name)))


def _ranked(sought: Sequence[_Sought], words: Sequence[str]) -> tuple[list[Record], ...]:
    """Return matches in three ranks, newest first: begins of names, in names, anywhere."""
    begin: list[Record] = []
    named: list[Record] = []
    others: list[Record] = []
    first = words[0]
    for title, texts, record in sought:
        if first not in texts or not all(word in texts for word in words):
            continue
        if not all(word in title for word in words):
            others.append(record)
        elif title.startswith(first):
            begin.append(record)
        else:
            named.append(record)
    return begin, named, others


def _hit(of: _Of, record: Record) -> Hit:
    spec = COLLECTIONS[of.collection]
    record_id = id_of(record)
    if record_id is None:  # records of old files without an id have no page of their own
        address = address_of("record_list", spec, owner=of.owner)
    elif spec.name == "models":
        address = reverse("model_detail", args=[record_id])
    elif spec.name == "projects":
        address = project_address("project_detail", record_id, of.owner)
    else:
        address = address_of("record_edit", spec, record_id, of.owner)
    return Hit(
        icon=WORDS[spec.name].icon,
        title=title_of(spec, record),
        address=address,
        status=record.get("status") or "",
        owner=of.owner_name,
    )
