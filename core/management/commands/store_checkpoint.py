"""Publish all files durably on demand, so that journal history can be deleted."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.console import count, hint_for
from docstore import StoreError
from utils.json_storage import json_storage
from workspace.operations.inspector import Inspector


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Makes all files exact and durable, and deletes the part of the journal's history that "
        "NEURALFLOW_HISTORY_DAYS and NEURALFLOW_HISTORY_BYTES do not keep. The server does so by "
        "itself, every few seconds while there are changes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            result = Inspector(json_storage).checkpoint()
        except (StoreError, OSError) as fault:
            if options["json"]:
                self.stdout.write(json.dumps({"error": hint_for(fault)}, indent=2))
            raise CommandError(hint_for(fault)) from fault
        if options["json"]:
            return json.dumps(result, indent=2)
        return (
            f"All files are exact and durable, up to frame {result['checkpoint']}."
            f" {count(result['retired'], 'segment')} retired;"
            f" {count(result['segments'], 'segment')} kept, {result['size_bytes']} bytes."
        )
