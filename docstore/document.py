"""What the store keeps, and under which names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CollectionLayout:
    """Where a collection lives: folder `name`, files `<stem>_<owner>.json`, list key `records`."""

    name: str
    stem: str
    records: str
