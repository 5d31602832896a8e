"""Print the journal and documents. Read-only."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.console import count, escape_control, hint_for
from docstore import StoreError
from utils.json_storage import json_storage
from workspace.operations.inspector import Inspector

Result = dict[str, Any]
_SEE: str = "docs/troubleshoot.md says what to do."


class Command(BaseCommand):
    requires_system_checks = ()  # inspect folders that the server would refuse, too
    help = (
        "Shows what is stored: without arguments a summary of the journal, with --entries what was "
        "changed, with the name of a document its content as acknowledged. It only looks. Exit "
        "code 1 when something is damaged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="a document: tasks/tasks_7.json")
        parser.add_argument("--entries", action="store_true", help="what was changed, oldest first")
        parser.add_argument(
            "--since", type=int, default=0, metavar="SEQUENCE", help="only entries after this one"
        )
        parser.add_argument("--document", default="", metavar="NAME", help="only entries about it")
        parser.add_argument("--limit", type=int, metavar="N", help="only the newest N entries")
        parser.add_argument("--full", action="store_true", help="also values before and after")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
        result: Result = {}
        trouble = ""
        try:
            result = _looked_up(options)
            trouble = _trouble(result)
        except (StoreError, OSError) as fault:
            trouble = result["error"] = hint_for(fault)
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=2))
        elif "error" not in result:
            for line in _told(result, options):
                self.stdout.write(escape_control(line))
        if trouble:
            raise CommandError(trouble)


def _looked_up(options: Result) -> Result:
    inspector = Inspector(json_storage)
    if options["name"]:
        return inspector.document(options["name"])
    if options["entries"] or options["document"]:
        entries = inspector.entries(options["since"], options["document"], options["limit"])
        if not options["full"]:
            for entry in entries:
                for change in entry["changes"]:
                    change["edits"] = [_short(edit) for edit in change["edits"]]
        return {"entries": entries, "problems": inspector.problems()}
    return inspector.summary()


def _short(edit: Result) -> Result:
    """Return an edit without its values."""
    what = "changed" if "before" in edit else "added"
    return {"path": edit["path"], "what": what if "after" in edit else "removed"}


def _trouble(result: Result) -> str:
    problems = [*result.get("problems", []), *filter(None, [result.get("problem")])]
    return f"{escape_control('; '.join(problems))}. {_SEE}" if problems else ""


def _told(result: Result, options: Result) -> Iterator[str]:
    if "content" in result:
        yield from _tell_document(result)
    elif "entries" in result:
        for entry in result["entries"]:
            yield from _tell_entry(entry, full=options["full"])
        yield f"{count(len(result['entries']), 'entry')}."
    else:
        yield from _tell_summary(result)


def _tell_document(result: Result) -> Iterator[str]:
    yield from json.dumps(result["content"], indent=2, ensure_ascii=False).split("\n")
    file = "exact" if result["is_exact"] else "behind; it follows within a tenth of a second"
    if result["problem"]:
        file = "all that can be shown"
    yield f"{result['document']} has revision {result['revision']}; its file is {file}."


def _tell_entry(entry: Result, *, full: bool) -> Iterator[str]:
    changes = "; ".join(map(_summed_up, entry["changes"]))
    relaxed = " (relaxed)" if entry["relaxed"] else ""
    who, request = (entry[name] or "-" for name in ("actor", "request"))
    yield f"{entry['sequence']} {entry['at']} {who} {request} {changes}{relaxed}"
    for change in entry["changes"] if full else ():
        for edit in change["edits"]:
            yield f"    {change['document']} {_path(edit)}"
            for name, sign in (("before", "-"), ("after", "+")):
                if name in edit:
                    yield f"      {sign} {json.dumps(edit[name], ensure_ascii=False)}"


_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def _summed_up(change: Result) -> str:
    edits = " ".join(
        f"{_SIGNS[edit['what'] if 'what' in edit else _short(edit)['what']]}{_path(edit)}"
        for edit in change["edits"]
    )
    return f"{change['document']} r{change['revision']} {edits}"


def _path(edit: Result) -> str:
    return "/".join(map(str, edit["path"])) or "(all)"


def _tell_summary(result: Result) -> Iterator[str]:
    yield f"Journal of {result['folder']}:"
    for part in result["segments"]:
        yield (
            f"{part['name']}  frames {part['first']} to {part['last']}  epoch {part['epoch']}"
            f"  {part['used']} of {part['size']} bytes  {part['end']}"
        )
    for name in ("torn", "set_aside"):
        for path in result[name]:
            yield f"{path}  {'torn tail' if name == 'torn' else 'changed by hand'}, set aside"
    for document, changes in result["pending"].items():
        yield f"{document}  {count(changes, 'change')} not known to be in its file"
    if result["segments"] and not result["reserve"]:
        yield "The reserve for a full disk is not there."
    yield (
        f"{count(len(result['segments']), 'segment')}, {result['size_bytes']} bytes, up to frame"
        f" {result['last']}; the files are durable up to frame {result['checkpoint']};"
        f" {count(len(result['pending']), 'document')} pending."
    )
