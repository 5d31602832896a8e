"""An embedded store of JSON documents."""

from docstore.document import CollectionLayout

__all__ = ["CollectionLayout"]
