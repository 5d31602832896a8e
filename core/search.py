"""What a person finds by a few words: their own records, those that others share with them, and
pages. Names come before what only mentions the words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from core.dashboard.summary import Panel, read_panel
from core.display import shared_rows, title_of
from core.places import Place, places_for
from core.whose import address_of, project_address
from core.words import WORDS, Text
from docstore import id_of
from utils.caller import Caller
from utils.json_storage import JSONStorageManager
from utils.lists import SEPARATOR, each, texts_of, whole
from utils.records import COLLECTIONS, RECORD_COLLECTIONS
from utils.sharing.access import SHARED_COLLECTIONS
from utils.texts import folded

HITS_MAX = 8  # of each kind
WORDS_MAX = 8
CHARACTERS_MAX = 200

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Hit:
    """A record that was found."""

    icon: str
    title: Text
    address: str
    status: object = ""
    owner: str = ""  # the name of another whose it is


@dataclass
class Found:
    """Everything that was found."""

    text: str
    places: list[Place]
    groups: list["Group"] = field(default_factory=list)
    is_whole: bool = True  # whether everything could be read

    @property
    def count(self) -> int:
        return len(self.places) + sum(group.total for group in self.groups)


@dataclass(frozen=True)
class Group:
    """The best hits of one kind, and how many there are in all."""

    label: Text
    hits: list[Hit]
    total: int
    more_at: str = ""  # the address of all of them, if one list has them all

    @property
    def is_cut(self) -> bool:
        return self.total > len(self.hits)


@dataclass(frozen=True)
class _Of:
    """One owner's records of a collection, as the person sees them."""

    collection: str
    owner: int | None  # None: the person's own
    owner_name: str
    panel: Panel


def find(manager: JSONStorageManager, person: int, is_staff: bool, text: str) -> Found:
    """What goes by all words of the text. Without a word: places, and no records."""
    words = folded(text[:CHARACTERS_MAX]).split()[:WORDS_MAX]
    found = Found(text, places_for(is_staff, words))
    if not words or SEPARATOR in text:
        return found
    read = list(_readable(manager, person))
    found.is_whole = all(of.panel.fault is None for of in read)
    for collection in RECORD_COLLECTIONS:
        group = _group(collection, [of for of in read if of.collection == collection], words)
        if group.hits:
            found.groups.append(group)
    return found


def _readable(manager: JSONStorageManager, person: int) -> Iterator[_Of]:
    for collection in RECORD_COLLECTIONS:
        yield _Of(collection, None, "", read_panel(manager, collection, person))
    shared = shared_rows(read_panel(manager, "shared", person).records)
    owners = {row.owner: row.owner_name for row in shared if not row.is_invitation}
    for owner, name in owners.items():
        for collection in SHARED_COLLECTIONS:
            panel = read_panel(manager, collection, owner, Caller(person))
            yield _Of(collection, owner, name, panel)


def _group(collection: str, places: Sequence[_Of], words: Sequence[str]) -> Group:
    """The best few: names that begin with the words, names that hold them, other texts."""
    found: list[tuple[int, Hit]] = []
    totals: dict[int | None, int] = {}
    for of in places:
        ranked = _ranked(whole(of.panel.records, _newest_first(of.collection)), words)
        totals[of.owner] = sum(map(len, ranked))
        for rank, records in enumerate(ranked):
            found += [(rank, _hit(of, record)) for record in records[:HITS_MAX]]
    found.sort(key=itemgetter(0))
    total = sum(totals.values())
    # A list is searched for one text, not for several words.
    is_one_list = len(words) == 1 and totals.get(None) == total
    address = address_of("record_list", COLLECTIONS[collection])
    more_at = f"{address}?{urlencode({'q': words[0]})}" if is_one_list else ""
    return Group(WORDS[collection].plural, [hit for _rank, hit in found[:HITS_MAX]], total, more_at)


_Sought = tuple[str, str, Record]  # its name and all its texts, folded


@cache
def _newest_first(collection: str) -> Callable[[Sequence[Record]], list[_Sought]]:
    """The function that gives records as they are searched."""
    title_of_record = partial(_title, COLLECTIONS[collection].title_field)

    def newest_first(records: Sequence[Record]) -> list[_Sought]:
        titles, texts = each(records, title_of_record), each(records, texts_of(collection))
        return list(zip(titles, texts, records, strict=True))[::-1]

    return newest_first


def _title(field_name: str, record: Record) -> str:
    return folded(str(record.get(field_name)))


def _ranked(sought: Sequence[_Sought], words: Sequence[str]) -> tuple[list[Record], ...]:
    """Those whose names begin with the words, those whose names hold them, and those that hold them
    anywhere; the newest first."""
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
    if record_id is None:  # an old file may hold some; they are in the list, and nowhere else
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
