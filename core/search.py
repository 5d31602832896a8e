"""What a person finds by a few words: their own records, those that others share with them, and
pages. Names come before what only mentions the words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from core.dashboard.summary import Panel, read_panel
from core.display import shared_rows, title_of
from core.places import Place, places_for
from core.whose import address_of, project_address
from core.words import WORDS, Text
from docstore import id_of
from utils.caller import Caller
from utils.json_storage import JSONStorageManager
from utils.lists import each, texts_of
from utils.records import COLLECTIONS, RECORD_COLLECTIONS
from utils.sharing.access import SHARED_COLLECTIONS

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
    groups: list[tuple[Text, list[Hit]]] = field(default_factory=list)
    is_whole: bool = True  # whether everything could be read

    @property
    def count(self) -> int:
        return len(self.places) + sum(len(hits) for _label, hits in self.groups)


@dataclass(frozen=True)
class _Of:
    """One owner's records of a collection, as the person sees them."""

    collection: str
    owner: int | None  # None: the person's own
    owner_name: str
    panel: Panel


def find(manager: JSONStorageManager, person: int, is_staff: bool, text: str) -> Found:
    """What goes by all words of the text. Without a word: places, and no records."""
    words = text[:CHARACTERS_MAX].casefold().split()[:WORDS_MAX]
    found = Found(text, places_for(is_staff, words))
    if not words:
        return found
    read = list(_readable(manager, person))
    found.is_whole = all(of.panel.fault is None for of in read)
    for collection in RECORD_COLLECTIONS:
        hits = _hits([of for of in read if of.collection == collection], words)
        if hits:
            found.groups.append((WORDS[collection].plural, hits))
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


def _hits(places: Sequence[_Of], words: Sequence[str]) -> list[Hit]:
    """The best few: names that begin with the words, names that hold them, other texts."""
    found: list[tuple[int, Hit]] = []
    for of in places:
        spec = COLLECTIONS[of.collection]
        texts = each(of.panel.records, texts_of(spec.name))
        found_in = [
            record
            for record, text in zip(of.panel.records, texts, strict=True)
            if all(word in text for word in words)
        ]
        found_in.reverse()  # among equals, the newest first
        ranked = [(_rank(str(record.get(spec.title_field)), words), record) for record in found_in]
        ranked.sort(key=lambda pair: pair[0])
        found += [(rank, _hit(of, record)) for rank, record in ranked[:HITS_MAX]]
    found.sort(key=lambda pair: pair[0])
    return [hit for _rank, hit in found[:HITS_MAX]]


def _rank(title: str, words: Sequence[str]) -> int:
    """1 for a title that begins with the words, 2 for one that holds them, 3 for any other."""
    title = title.casefold()
    if not all(word in title for word in words):
        return 3
    return 1 if title.startswith(words[0]) else 2


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
