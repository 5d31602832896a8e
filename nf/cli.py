"""The commands of `nf`. Those for tasks, projects and models are generated from `kinds`.

Exit codes: 0 success, 1 refused, 2 usage error, 3 not signed in, 4 server unreachable.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
from click.shell_completion import get_completion_class

from nf import config, output, presentation
from nf.client import ApiClient, Failure
from nf.resources import KINDS, Option, Resource
from nf.zone import zone_here

SHELLS: Final = ("bash", "zsh", "fish")
_PAGE: Final = 1000  # maximum page size of the API
_NONE: Final = "none"  # input that means no value
_DAYS: Final = "today, next friday, 26 nov, +3d, 2026-11-30, 2026-11-30T14:00, or none"

Values = Mapping[str, Any]
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="neuralflow", prog_name="nf")
def nf() -> None:
    """NeuralFlow from the command line: tasks, projects and models."""


def main() -> None:
    """Run the command line."""
    output.guard()
    try:
        code = _run()
        sys.stdout.flush()
    except output.Unwritable as fault:
        code = output.give_up(fault, "nf")
    sys.exit(code)


def _run() -> int:
    try:
        return int(nf(standalone_mode=False) or 0)
    except Failure as failure:
        print(f"nf: {presentation.plain_lines(str(failure))}", file=sys.stderr)
        return failure.code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        print("Aborted!", file=sys.stderr)
        return 1


# Signing in


@nf.command()
@click.option("--server", default="", help=f"Its address; {config.DEFAULT_SERVER} if not given.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
def login(server: str, token_stdin: bool) -> None:
    """Keep a server's address and a token for the commands that follow.

    Make a token on the page "API tokens" of your settings, or let the operator make one.
    """
    address = config.checked_address(server or os.environ.get("NF_SERVER") or config.DEFAULT_SERVER)
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        print("nf: over http:// anybody on the way can read the token.", file=sys.stderr)
    text = sys.stdin.readline() if token_stdin else click.prompt("Token", hide_input=True)
    client = ApiClient(address, config.checked_token(text.strip()))
    quota = client.get("quota/")
    place = config.save(client)
    print(f"Signed in at {address}. The token is in {place}.")
    if quota["limit"] is None:
        print("API calls are not limited.")
    else:
        print(f"{quota['remaining']} of {quota['limit']} calls are left this hour.")


@nf.command()
def logout() -> None:
    """Forget the token. Revoke it on the page "API tokens", too, if nobody needs it."""
    print("The token is forgotten." if config.forget() else "There was no token.")


@nf.command()
@as_json_option
def quota(as_json: bool) -> None:
    """How many calls are left."""
    values = config.load().get("quota/")
    presentation.as_json(values) if as_json else presentation.record(values)


@nf.command()
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@as_json_option
def activity(limit: int, as_json: bool) -> None:
    """What was done lately."""
    response = config.load().get("activity/", {"limit": limit})
    if as_json:
        presentation.as_json(response)
    else:
        presentation.lines(
            f"{presentation.cell(entry.get('timestamp'))}"
            f"  {presentation.cell(entry.get('description'))}"
            for entry in response["activities"]
        )


@nf.command()
@as_json_option
def undo(as_json: bool) -> None:
    """Take back what the latest nf command changed, within an hour. Again: do it again."""
    client = config.load()
    numbers, changes = config.latest_changes(client.server), list[int]()
    if not numbers:
        raise Failure("There is no change of nf to undo on this server.")
    client = replace(client, on_change=changes.append)
    undone = []
    try:
        while numbers:
            undone.append(client.post("undo/", {"sequence": numbers[-1]}))
            # If a later one fails, `nf undo` continues with those that are left.
            config.store_changes(client.server, numbers := numbers[:-1])
        config.store_changes(client.server, changes)
    finally:
        if as_json and undone:
            presentation.as_json(undone)
        else:
            presentation.lines(
                f"Undone: {presentation.cell(result.get('description'))}" for result in undone
            )


# Export and import


@nf.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def export(file: Path | None) -> None:
    """Write all that you own into a zip; FILE is neuralflow-DATE.zip if not given."""
    place = file or Path(f"neuralflow-{date.today().isoformat()}.zip")
    client = config.load()
    draft = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        stream = draft.open("xb")
        try:
            with stream:
                size = client.download("export/", stream)
            place.hardlink_to(draft)  # unlike a rename, never overwrites an existing file
        finally:  # also after Ctrl-C
            draft.unlink(missing_ok=True)
    except FileExistsError as taken:
        raise Failure(f"{taken.filename2 or taken.filename} is there already") from None
    except OSError as fault:
        raise Failure(f"{place} cannot be written: {fault.strerror or fault}") from None
    print(f"{place}: {size} bytes")


@nf.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="What is there now makes room for what is in FILE.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@as_json_option
def import_(file: Path, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Take in what `nf export` wrote, or a zipped data folder."""
    query = {"mode": "replace" if replace else "merge", "dry_run": "true" if dry_run else None}
    report = config.load().upload("import/", file.read_bytes(), query)
    presentation.as_json(report) if as_json else presentation.record(report)


@nf.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete: eval "$(nf completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None, "click knows all of SHELLS"
    print(kind(nf, {}, "nf", "_NF_COMPLETE").source())


# Tasks, projects, models


@nf.command()
@click.argument("words", nargs=-1, required=True)
@as_json_option
def add(words: tuple[str, ...], as_json: bool) -> None:
    """Add a task in plain words: nf add "train baseline fri 17:00 !high #vision".

    The server understands days, times, repetitions, !priority, #tags and +project, as the line on
    the page of tasks does; times are those of this machine's zone.
    """
    zone = zone_here()
    line = {"text": " ".join(words)} | ({"time_zone": zone} if zone else {})
    record = config.load().post("tasks/quick/", line)
    if as_json:
        presentation.as_json(record)
    else:
        facts = [
            presentation.cell(record.get(name))
            for name in ("due_date", "repeat", "priority", "tags")
        ]
        text = " · ".join(fact for fact in facts if fact not in ("", "-"))
        print(f"Added task {record['id']}: {presentation.cell(record.get('title'))} ({text})")


def _group(kind: Resource) -> click.Group:
    """Return the commands for a collection."""
    group = click.Group(kind.singular, help=f"Your {kind.plural}.")
    group.add_command(_add(kind))
    group.add_command(_list(kind))
    group.add_command(_show(kind))
    group.add_command(_edit(kind))
    group.add_command(_delete(kind))
    if kind.done:
        group.add_command(_set_status(kind, "done", kind.done, "Complete"))
        group.add_command(_set_status(kind, "reopen", kind.fresh, "Take up again"))
    return group


def _add(kind: Resource) -> click.Command:
    def run(title: str, as_json: bool, **typed: Any) -> None:
        client = config.load()
        record = {kind.title: title} | _fields(client, kind, typed, is_new=True)
        _tell(kind, "Added", client.post(f"{kind.plural}/", record), as_json)

    title = click.Argument(["title"])
    return _command("add", run, f"Add a {kind.singular}.", [title, *_options(kind)])


def _list(kind: Resource) -> click.Command:
    def run(q: str | None, sort: str | None, limit: int, as_json: bool, **typed: Any) -> None:
        everything = typed.pop("everything", False)
        client = config.load()
        query = {"q": q, "sort": sort, "limit": min(limit, _PAGE)}
        query |= {
            name: _wanted(client, _option_for(kind, name), values)
            for name, values in typed.items()
            if values
        }
        records = []
        for record in client.pages(f"{kind.plural}/", kind.plural, query):
            if not everything and not typed["status"] and record.get("status") == kind.done:
                continue
            records.append(record)
            if len(records) == limit:
                break
        if as_json:
            presentation.as_json(records)
        elif records:
            presentation.table(records, kind.columns)
        else:
            print(f"There are no such {kind.plural}.")

    narrowing: list[click.Parameter] = [
        click.Option([f"--{_option_for(kind, name).name}", name], multiple=True, help="Only these.")
        for name in kind.filters
    ]
    if kind.done:
        help_text = f"Also what is {kind.done}."
        narrowing.append(click.Option(["--all", "everything"], is_flag=True, help=help_text))
    narrowing += [
        click.Option(["-q", "--search", "q"], help="Only what has this text in it."),
        click.Option(["--sort"], help="By a field; -due_date is backwards."),
        click.Option(["--limit"], default=_PAGE, show_default=True, type=click.IntRange(1)),
    ]
    return _command("list", run, f"List your {kind.plural}.", narrowing)


def _show(kind: Resource) -> click.Command:
    def run(number: int, as_json: bool) -> None:
        record = config.load().get(f"{kind.plural}/{number}/")
        presentation.as_json(record) if as_json else presentation.record(record)

    return _command("show", run, f"Show all of a {kind.singular}.", [_number()])


def _edit(kind: Resource) -> click.Command:
    def run(number: int, title: str | None, as_json: bool, **typed: Any) -> None:
        if title is None and not any(value not in (None, ()) for value in typed.values()):
            raise click.UsageError("Say what is to change; --help lists the options.")
        client = config.load()
        changes = _fields(client, kind, typed, is_new=False) | (
            {} if title is None else {kind.title: title}
        )
        record = client.patch(f"{kind.plural}/{number}/", changes)
        _tell(kind, "Changed", record, as_json)

    renaming = click.Option([f"--{kind.title}", "title"], help=f"Its new {kind.title}.")
    options = [_number(), renaming, *_options(kind)]
    return _command("edit", run, f"Change a {kind.singular}.", options)


def _set_status(kind: Resource, name: str, status: str, does: str) -> click.Command:
    def run(numbers: tuple[int, ...], as_json: bool) -> None:
        client = config.load()
        for number in numbers:
            record = client.patch(f"{kind.plural}/{number}/", {"status": status})
            _tell(kind, "Completed" if status == kind.done else "Reopened", record, as_json)

    return _command(name, run, f"{does} {kind.plural}.", [_numbers()])


def _delete(kind: Resource) -> click.Command:
    def run(numbers: tuple[int, ...], as_json: bool) -> None:
        client = config.load()
        for number in numbers:
            client.delete(f"{kind.plural}/{number}/")
            if not as_json:
                print(f"Deleted {kind.singular} {number}.")

    return _command("delete", run, f"Delete {kind.plural}.", [_numbers()])


def _command(
    name: str, run: Callable[..., None], told: str, params: list[click.Parameter]
) -> click.Command:
    json_option = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON.")
    return click.Command(name, callback=run, help=told, params=[*params, json_option])


def _number() -> click.Argument:
    return click.Argument(["number"], type=click.IntRange(1))


def _numbers() -> click.Argument:
    return click.Argument(["numbers"], type=click.IntRange(1), nargs=-1, required=True)


def _options(kind: Resource) -> list[click.Parameter]:
    return [
        click.Option(
            [f"--{option.name}", f"opt_{option.name}"], multiple=option.many, help=option.help
        )
        for option in kind.options
    ]


def _option_for(kind: Resource, field: str) -> Option:
    """Return the option that sets a field, or a plain one if there is none."""
    plain = Option(field, field, "")
    return next((option for option in kind.options if option.field == field), plain)


def _fields(client: ApiClient, kind: Resource, typed: Values, *, is_new: bool) -> dict[str, Any]:
    """Return the fields to set as the API expects them. Options not given are omitted."""
    fields: dict[str, Any] = {}
    for option in kind.options:
        value = typed[f"opt_{option.name}"]
        if value is None or value == ():
            continue
        if option.kind == "repeat":
            fields = _repeat(client, value, is_new) | fields
        else:
            fields[option.field] = (
                _values(option, value) if option.many else _value(client, option, value)
            )
    return fields


def _values(option: Option, texts: Sequence[str]) -> list[Any]:
    """Return a list as the API expects it. "none" alone is the empty list."""
    if list(texts) == [_NONE]:
        return []
    if option.kind == "items":
        return [{"text": text, "done": False} for text in texts]
    return [entry for text in texts for entry in _entries(text)]


def _entries(text: str) -> list[str]:
    """Return the entries between commas, parsed like those of the web forms.

    An entry that contains a comma must be in double quotes.
    """
    rows = csv.reader([text], skipinitialspace=True)
    return [entry.strip() for row in rows for entry in row if entry.strip()]


def _wanted(client: ApiClient, option: Option, texts: Sequence[str]) -> str:
    """Return a filter parameter that matches any of the values. "none" matches empty fields."""
    values: list[str] = []
    for text in texts:
        if text == _NONE:
            values.append("")
        elif option.kind == "project":
            values.append(str(_project(client, text)))
        elif option.kind == "entries":
            values += dict.fromkeys([*_entries(text), text])
        else:
            values.append(text)
    return ",".join(map(_quoted, values))


def _quoted(value: str) -> str:
    """Quote a value that contains the separator of filter values."""
    return '"{}"'.format(value.replace('"', '""')) if {",", '"'} & set(value) else value


def _value(client: ApiClient, option: Option, text: str) -> Any:
    """Return a value as JSON. "none" is null for options that permit it."""
    if option.kind == "day":
        return None if text == _NONE else _due(client, option, text)
    if option.kind == "project":
        return None if text == _NONE else _project(client, text)
    try:
        if option.kind == "number":
            return None if text == _NONE else json.loads(text)
        if option.kind == "yes":
            return {"yes": True, "no": False}[text]
        if option.kind == "json":
            return json.loads(text)
    except (ValueError, KeyError) as fault:
        wanted = {"number": "a number or none", "yes": "yes or no", "json": "JSON"}
        raise _misspelt(option, text, wanted[option.kind]) from fault
    return text


def _misspelt(option: Option, text: str, wanted: str) -> click.BadParameter:
    return click.BadParameter(f"{text!r} is not {wanted}", param_hint=f"--{option.name}")


def _due(client: ApiClient, option: Option, text: str) -> str:
    """Return the day or moment that the server parses from words."""
    dates = _dates(client, text)
    if dates["repeat"]:
        raise _misspelt(option, text, "a single day; give it to --repeat")
    if dates["due_date"] is None:
        raise _misspelt(option, text, _DAYS)
    return str(dates["due_date"])


def _repeat(client: ApiClient, text: str, is_new: bool) -> dict[str, Any]:
    """Return the fields for a repetition and its time zone.

    Words that include a time also set the due date. For a new task, so do words that name a day.
    Other text is sent unchanged for the server to validate.
    """
    zone = zone_here()
    if text == _NONE:
        return {"repeat": ""}
    if "=" in text:
        return {"repeat": text} | ({"time_zone": zone} if zone else {})
    dates = _dates(client, text)
    if not dates["repeat"]:
        return {"repeat": text}
    fields = {"repeat": dates["repeat"]} | ({"time_zone": zone} if zone else {})
    names_due = "T" in dates["due_date"] or (is_new and "BY" in dates["repeat"])
    return fields | ({"due_date": dates["due_date"]} if names_due else {})


def _dates(client: ApiClient, text: str) -> dict[str, Any]:
    if not text.strip():
        return {"due_date": None, "repeat": ""}
    dates: dict[str, Any] = client.get("dates/", {"text": text, "time_zone": zone_here()})
    return dates


def _project(client: ApiClient, text: str) -> int:
    """Return the id of a project given by id or name."""
    if text.isascii() and text.isdecimal():
        return int(text)
    name = text.strip().casefold()
    query = {"q": text, "fields": "id,name", "limit": _PAGE}
    names: dict[int, str] = {
        name_of["id"]: name_of["name"] for name_of in client.pages("projects/", "projects", query)
    }
    same = [number for number, name_of in names.items() if name_of.casefold() == name]
    matches = same or [
        number for number, name_of in names.items() if name_of.casefold().startswith(name)
    ]
    if not matches:
        raise Failure(f"There is no project {text} among yours.")
    if len(matches) > 1:
        several = ", ".join(f"{number} ({names[number]})" for number in matches[:5])
        raise Failure(f"{text} may be several projects: {several}. Give the number.")
    return matches[0]


def _tell(kind: Resource, done: str, record: Values, as_json: bool) -> None:
    if as_json:
        presentation.as_json(record)
    else:
        print(f"{done} {kind.singular} {record['id']}: {presentation.cell(record.get(kind.title))}")


for _kind in KINDS:
    nf.add_command(_group(_kind))
