"""Write the JSON files of a store that is not on files."""

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.console import count, hint_for
from docstore import Export, StoreError
from utils.json_storage import json_storage
from workspace.schema.collections import COLLECTIONS


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Writes all documents into a folder, as the files that a store on files has, for grep, git "
        "and rsync. They are for reading: nothing reads them back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path)
        parser.add_argument(
            "--follow", action="store_true", help="go on with what is changed, until interrupted"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
        export = Export(json_storage.store, options["folder"].absolute(), layouts)
        over = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            over.set()

        try:
            through = export.run()
            self.stdout.write(f"{count(export.written, 'file')} written, {export.removed} removed.")
            if options["follow"]:
                self.stdout.flush()
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, stop)
                export.follow_until(through, over.wait)
        except StoreError as fault:
            raise CommandError(hint_for(fault)) from fault
