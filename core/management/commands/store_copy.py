"""Copy a whole store between files and PostgreSQL."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.console import count, hint_for
from docstore import StoreError, copy_url
from workspace.schema.collections import COLLECTIONS

_SHOW_EVERY = 100


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Copies all documents and their history into an empty store: file:///path/to/data or "
        "postgres://host/database, in either direction. The server may run meanwhile; writers wait "
        "for the last step only. Run it again to copy what was changed since."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", metavar="SOURCE", help="the store to copy, as a URL")
        parser.add_argument("target", metavar="TARGET", help="an empty store, or an earlier copy")

    def handle(self, *args: Any, **options: Any) -> str:
        layouts = [spec.layout for spec in COLLECTIONS.values()]
        try:
            copied = copy_url(options["source"], options["target"], layouts, self._progress)
        except (StoreError, ValueError) as fault:
            raise CommandError(hint_for(fault)) from fault
        return (
            f"{count(copied.documents, 'document')} copied, {copied.written} of them written now,"
            f" and {count(copied.entries, 'change')} of the history.\n"
            f"Both stores have the root hash {copied.root_hash}."
        )

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % _SHOW_EVERY == 0 or done == total):
            self.stderr.write(f"\r{done} of {total}", ending="\n" if done == total else "")
