"""The operator command for the data folder: parse options, call DataInitializer, print results."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.console import count, escape_control, hint_for
from docstore import Finding, StoreError, is_database
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.operations import backups
from workspace.operations.finding_codes import described
from workspace.operations.repair import Repair, repairs
from workspace.operations.run_reports import keep_counted, keep_validated

Result = dict[str, Any]
Watch = Callable[[int, int], None]


def _structure(options: Result, watch: Watch) -> Result:
    if is_database(settings.NEURALFLOW_STORE):
        json_storage.store.sequence()  # makes the tables that are missing
        return {"folder": "", "created": []}
    created = data_initializer.initialize_data_structure()
    return {"folder": str(data_initializer.folder), "created": created}


def _restore(options: Result, watch: Watch) -> Result:
    scope = backups.Scope(
        user=options["user"],
        record=backups.record_from(options["record"]) if options["record"] else None,
        at=backups.moment_from(options["at"]) if options["at"] else None,
        keep_accounts=options["keep_accounts"],
        dry_run=options["dry_run"],
    )
    restored = data_initializer.restore_backup(
        options["restore"], watch, source=_place(options["from"]), scope=scope
    )
    if restored.accounts and restored.before:  # the backup may be of an older release
        call_command("migrate", interactive=False, verbosity=0)
    return asdict(restored)


def _place(text: str | None) -> str:
    """Return a place for backups as typed: a folder is relative to the working folder."""
    if not text or "://" in text:
        return text or ""
    return str(Path(text).absolute())


def _adopt(options: Result, watch: Watch) -> Result:
    return asdict(data_initializer.adopt_users(watch))


def _sync(options: Result, watch: Watch) -> Result:
    return asdict(data_initializer.sync_existing_users(watch))


def _validate(options: Result, watch: Watch) -> Result:
    findings = data_initializer.validate_data_integrity(watch)
    keep_validated(json_storage.folder, findings)
    return {"findings": [described(finding) for finding in findings]}


def _repair(options: Result, watch: Watch) -> Result:
    done = list(repairs(json_storage, apply=options["apply"], progress=watch))
    return {
        "applied": options["apply"],
        "repairs": [asdict(repair) for repair in done],
        "unsolved": sum(not options["apply"] or repair.is_unsolved for repair in done),
    }


def _backup(options: Result, watch: Watch) -> Result:
    place, verify = _place(options["to"]), not options["no_verify"]
    return asdict(data_initializer.back_up(to=place, verify=verify, progress=watch))


def _verify_backup(options: Result, watch: Watch) -> Result:
    result = data_initializer.verify_backup(
        options["verify_backup"], source=_place(options["from"]), progress=watch
    )
    return {
        "backup": result.name,
        "complete": result.complete,
        "problem": result.problem,
        "files": result.files,
        "size_bytes": result.bytes,
        "findings": [asdict(finding) for finding in result.findings],
    }


def _stats(options: Result, watch: Watch) -> Result:
    stats = data_initializer.get_storage_stats(watch)
    keep_counted(json_storage.folder, stats)
    return stats


def _tell_structure(result: Result) -> Iterator[str]:
    if not result["folder"]:
        yield "Store in PostgreSQL: complete."
        return
    created = ", ".join(f"{name}/" for name in result["created"])
    yield f"Data folder {result['folder']}: " + (f"made {created}." if created else "complete.")


def _tell_restore(result: Result) -> Iterator[str]:
    for change in result["changes"]:
        before, after = (_records(change[name]) for name in ("records_before", "records_after"))
        yield f"{change['file']}: {change['change']} ({before} -> {after})"
    accounts = " and the accounts" if result["accounts"] else ""
    if not result["before"]:
        files = count(len(result["changes"]), "file")
        yield f"A restore of {result['backup']} would change {files}{accounts}."
        return
    yield f"Restored {count(result['files'], 'file')}{accounts} from {result['backup']}."
    yield f"What was there before is in {result['before']}."


def _records(number: int | None) -> str:
    return "no records" if number is None else count(number, "record")


def _tell_adopt(result: Result) -> Iterator[str]:
    names = result["usernames"]
    yield f"Made {count(len(names), 'account')} for documents without one" + (
        f": {', '.join(names)}. They have no password yet." if names else "."
    )


def _tell_sync(result: Result) -> Iterator[str]:
    accounts = count(result["accounts"], "account")
    yield f"Synced {accounts}; {result['changed']} had something to change."
    if result["removed"]:
        yield f"Removed what was left of {count(result['removed'], 'deleted account')}."


def _tell_validate(result: Result) -> Iterator[str]:
    yield "Validated: nothing is wrong." if not result["findings"] else "Validated."


def _tell_repair(result: Result) -> Iterator[str]:
    for values in result["repairs"]:
        yield str(Repair(**values))
    if not result["repairs"]:
        yield "Nothing to repair."
    elif not result["applied"]:
        documents = count(len(result["repairs"]), "document")
        yield f"{documents} to repair. Nothing was changed: add --apply to do it."


def _tell_backup(result: Result) -> Iterator[str]:
    accounts = "the accounts and " if result["accounts"] else ""
    yield (
        f"Backup written: {result['backup']} in {result['place']},"
        f" {accounts}{count(result['files'], 'file')}"
        f" ({result['read']} read, {result['added_bytes']} bytes added)."
    )
    if result["problem"]:
        yield f"The backup is damaged: {result['problem']}. Make another one."
    elif result["verified"]:
        yield "Verified: restored on trial, complete."
    if result["findings"]:
        yield f"{count(len(result['findings']), 'document')} in it does not read, as above."


def _tell_verify_backup(result: Result) -> Iterator[str]:
    name = result["backup"]
    if result["problem"]:
        yield f"{name} is damaged: {result['problem']}."
    elif result["complete"]:
        yield f"Verified {name}: restored {count(result['files'], 'file')} on trial, complete."
    else:
        yield f"{name} is encrypted and no identity is here: its stored bytes are complete."


def _tell_stats(result: Result) -> Iterator[str]:
    yield "Storage statistics:"
    for name, value in result.items():
        if isinstance(value, dict):
            for part, figure in value.items():
                yield f"{name}.{part}: {'none' if figure is None else figure}"
        else:
            yield f"{name}: {(', '.join(value) or 'none') if isinstance(value, list) else value}"


@dataclass(frozen=True)
class _Step:
    title: str
    run: Callable[[Result, Watch], Result]
    tell: Callable[[Result], Iterator[str]]


# The fixed order of execution: adopt what was restored, sync what was adopted, then repair,
# validate, back up and count the result.
_STEPS = {
    "structure": _Step("Laying out", _structure, _tell_structure),
    "restore": _Step("Restoring", _restore, _tell_restore),
    "adopt_users": _Step("Adopting", _adopt, _tell_adopt),
    "sync_users": _Step("Syncing", _sync, _tell_sync),
    "repair": _Step("Repairing", _repair, _tell_repair),
    "validate": _Step("Validating", _validate, _tell_validate),
    "backup": _Step("Backing up", _backup, _tell_backup),
    "verify_backup": _Step("Verifying", _verify_backup, _tell_verify_backup),
    "stats": _Step("Counting", _stats, _tell_stats),
}
_ONLY_LOOKING = {"validate", "stats"}


class Command(BaseCommand):
    # The command reports problems itself. System checks would refuse to validate and count a
    # read-only folder.
    requires_system_checks = ()
    help = (
        "Lays out the data folder. With flags: keeps it in step with the accounts, checks it, "
        "backs it up, restores it, counts it. Flags combine; the order of the work is fixed: "
        "restore, adopt, sync, repair, validate, backup, verify-backup, stats. Exit code 1 when "
        "something was found, 2 when the work could not be done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        flag: dict[str, Any] = {"action": "store_true"}
        parser.add_argument(
            "--sync-users", **flag, help="bring the documents of all accounts up to date"
        )
        parser.add_argument(
            "--validate", **flag, help="check everything, change nothing; say file, line, column"
        )
        parser.add_argument(
            "--repair",
            **flag,
            help="heal damaged files from journal or backup, else set them aside; shows it only",
        )
        parser.add_argument("--apply", **flag, help="let --repair change the files")
        parser.add_argument(
            "--backup", **flag, help="back up documents and accounts, and restore that on trial"
        )
        parser.add_argument(
            "--to", metavar="PLACE", help="back up to this folder or s3://bucket/prefix"
        )
        parser.add_argument("--no-verify", **flag, help="do not restore the new backup on trial")
        parser.add_argument(
            "--verify-backup",
            metavar="NAME",
            help="restore a backup on trial; `latest`: the newest",
        )
        parser.add_argument(
            "--restore", metavar="NAME", help="restore a backup, after a backup of what is there"
        )
        parser.add_argument(
            "--from", metavar="PLACE", help="restore or verify from this folder or s3://…"
        )
        parser.add_argument(
            "--user", type=int, metavar="ID", help="restore this user's documents only"
        )
        parser.add_argument(
            "--record", metavar="COLLECTION/USER/ID", help="restore this record only"
        )
        parser.add_argument(
            "--at", metavar="TIME", help="restore the documents of this moment, from the journal"
        )
        parser.add_argument(
            "--keep-accounts", **flag, help="restore the documents, and leave the accounts"
        )
        parser.add_argument(
            "--dry-run", **flag, help="show what --restore would change, and change nothing"
        )
        parser.add_argument("--stats", **flag, help="count people, records and bytes")
        parser.add_argument(
            "--adopt-users", **flag, help="make accounts for user documents without one"
        )
        parser.add_argument(
            "--json", **flag, help="print one JSON object with the result of each step"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        results: Result = {}
        trouble = ""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
        try:
            chosen = _chosen(options)
            if not set(chosen) <= _ONLY_LOOKING and data_initializer.finish_restore():
                call_command("migrate", interactive=False, verbosity=0)
                self.stderr.write("Finished a restore that had been interrupted.")
            for name in chosen:
                results[name] = self._run(_STEPS[name], options)
        except (StoreError, DatabaseError, OSError) as fault:
            trouble = results["error"] = hint_for(fault)
        if options["json"]:
            self.stdout.write(json.dumps(results, indent=2))
        finding_count = sum(
            len(result.get("findings", []))
            + bool(result.get("problem"))
            + result.get("unsolved", 0)
            for result in _by_step(results)
        )
        if trouble or finding_count:
            raise CommandError(trouble or _sum_up(finding_count), returncode=2 if trouble else 1)

    def _run(self, step: _Step, options: Result) -> Result:
        with self._progress(step.title) as watch:
            result = step.run(options, watch)
        if not options["json"]:
            for finding in result.get("findings", []):
                self.stdout.write(escape_control(str(_finding(finding))))
            for line in step.tell(result):
                self.stdout.write(escape_control(line))
        return result

    @contextmanager
    def _progress(self, title: str) -> Iterator[Watch]:
        """Show a progress bar on a terminal once the total is known. Do nothing elsewhere."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Progress(
            *columns, console=console, transient=True, disable=not self.stderr.isatty()
        ) as bar:
            task = bar.add_task(title, total=None, visible=False)
            yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _chosen(options: Result) -> list[str]:
    """Return the steps to run.

    Read-only steps must not create folders. Otherwise they could not report a missing one.
    """
    flagged = [name for name in _STEPS if options.get(name) not in (None, False)]
    return flagged if flagged and set(flagged) <= _ONLY_LOOKING else ["structure", *flagged]


def _finding(values: Result) -> Finding:
    return Finding(*(values[name] for name in ("document", "problem", "line", "column")))


def _by_step(results: Result) -> list[Result]:
    return [result for result in results.values() if isinstance(result, dict)]


def _sum_up(found: int) -> str:
    return f"{count(found, 'finding')}; docs/troubleshoot.md says what to do about each."
