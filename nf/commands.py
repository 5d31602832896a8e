"""The commands of `nf`. Those on tasks, projects and models are made from `kinds`.

Exit codes: 0 all is well, 1 refused, 2 misspelt, 3 not signed in, 4 the server cannot be reached.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
from click.shell_completion import get_completion_class

from nf import config, show
from nf.client import Client, Failure
from nf.days import KNOWN, due, zone_here
from nf.kinds import KINDS, Kind, Option

SHELLS: Final = ("bash", "zsh", "fish")
_PAGE: Final = 1000  # the most that the API gives at once
_REPEATS: Final = {"none": ""} | {
    word: f"FREQ={word.upper()}" for word in ("daily", "weekly", "monthly", "yearly")
}

Values = Mapping[str, Any]
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def nf() -> None:
    """NeuralFlow from the command line: tasks, projects and models."""


def main() -> None:
    """Runs the command that was typed."""
    try:
        nf()
    except Failure as failure:
        print(f"nf: {show.plain_lines(str(failure))}", file=sys.stderr)
        sys.exit(failure.code)
    except BrokenPipeError:  # `nf task list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


# Who one is


@nf.command()
@click.option("--server", default="", help=f"Its address; {config.DEFAULT_SERVER} if not given.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
def login(server: str, token_stdin: bool) -> None:
    """Keep a server's address and a token for the commands that follow.

    Make a token on the page "API tokens" of your settings, or let the operator make one.
    """
    address = (server or os.environ.get("NF_SERVER") or config.DEFAULT_SERVER).rstrip("/")
    _check_address(address)
    text = sys.stdin.readline() if token_stdin else click.prompt("Token", hide_input=True)
    client = Client(address, text.strip())
    quota = client.get("quota/")
    place = config.save(client)
    print(f"Signed in at {address}. The token is in {place}.")
    print(f"{quota['remaining']} of {quota['limit']} calls are left this month.")


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query:
        raise Failure(f"{address} is no address of a server; one is like {config.DEFAULT_SERVER}")
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        print("nf: over http:// anybody on the way can read the token.", file=sys.stderr)


@nf.command()
def logout() -> None:
    """Forget the token. Revoke it on the page "API tokens", too, if nobody needs it."""
    print("The token is forgotten." if config.forget() else "There was no token.")


@nf.command()
@as_json_option
def quota(as_json: bool) -> None:
    """How many calls are left."""
    told = config.load().get("quota/")
    show.as_json(told) if as_json else show.record(told)


@nf.command()
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@as_json_option
def activity(limit: int, as_json: bool) -> None:
    """What was done lately."""
    told = config.load().get("activity/", {"limit": limit})
    if as_json:
        show.as_json(told)
    else:
        show.lines(
            f"{show.cell(one.get('timestamp'))}  {show.cell(one.get('description'))}"
            for one in told["activities"]
        )


# The whole of what one has


@nf.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def export(file: Path | None) -> None:
    """Write all that you own into a zip; FILE is neuralflow-DATE.zip if not given."""
    place = file or Path(f"neuralflow-{date.today().isoformat()}.zip")
    client = config.load()
    draft = place.with_name(f".{place.name}.part")
    try:
        with draft.open("xb") as to:
            size = client.download("export/", to)
        try:
            place.hardlink_to(draft)  # unlike a rename, never over a file that is there
        finally:
            draft.unlink()
    except FileExistsError as taken:
        raise Failure(f"{taken.filename2 or taken.filename} is there already") from None
    except OSError as fault:
        raise Failure(f"{place} cannot be written: {fault.strerror or fault}") from None
    except Failure:
        draft.unlink(missing_ok=True)
        raise
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
    show.as_json(report) if as_json else show.record(report)


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
        show.as_json(record)
    else:
        facts = [show.cell(record.get(name)) for name in ("due_date", "priority", "tags")]
        told = " · ".join(fact for fact in facts if fact not in ("", "-"))
        print(f"Added task {record['id']}: {show.cell(record.get('title'))} ({told})")


def _group(kind: Kind) -> click.Group:
    """The commands on one collection."""
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


def _add(kind: Kind) -> click.Command:
    def run(title: str, as_json: bool, **typed: Any) -> None:
        record = {kind.title: title} | _fields(kind, typed)
        _tell(kind, "Added", config.load().post(f"{kind.plural}/", record), as_json)

    title = click.Argument(["title"])
    return _command("add", run, f"Add a {kind.singular}.", [title, *_options(kind)])


def _list(kind: Kind) -> click.Command:
    def run(q: str | None, sort: str | None, limit: int, as_json: bool, **typed: Any) -> None:
        everything = typed.pop("everything", False)
        query = {"q": q, "sort": sort, "limit": min(limit, _PAGE)}
        query |= {name: ",".join(values) for name, values in typed.items() if values}
        found = []
        for record in config.load().pages(f"{kind.plural}/", kind.plural, query):
            if not everything and not typed["status"] and record.get("status") == kind.done:
                continue
            found.append(record)
            if len(found) == limit:
                break
        if as_json:
            show.as_json(found)
        elif found:
            show.table(found, kind.columns)
        else:
            print(f"There are no such {kind.plural}.")

    narrowing: list[click.Parameter] = [
        click.Option([f"--{_option_of(kind, name)}", name], multiple=True, help="Only these.")
        for name in kind.filters
    ]
    if kind.done:
        told = f"Also what is {kind.done}."
        narrowing.append(click.Option(["--all", "everything"], is_flag=True, help=told))
    narrowing += [
        click.Option(["-q", "--search", "q"], help="Only what has this text in it."),
        click.Option(["--sort"], help="By a field; -due_date is backwards."),
        click.Option(["--limit"], default=_PAGE, show_default=True, type=click.IntRange(1)),
    ]
    return _command("list", run, f"List your {kind.plural}.", narrowing)


def _show(kind: Kind) -> click.Command:
    def run(number: int, as_json: bool) -> None:
        record = config.load().get(f"{kind.plural}/{number}/")
        show.as_json(record) if as_json else show.record(record)

    return _command("show", run, f"Show all of a {kind.singular}.", [_number()])


def _edit(kind: Kind) -> click.Command:
    def run(number: int, title: str | None, as_json: bool, **typed: Any) -> None:
        changes = _fields(kind, typed) | ({kind.title: title} if title is not None else {})
        if not changes:
            raise click.UsageError("Say what is to change; --help lists the options.")
        record = config.load().patch(f"{kind.plural}/{number}/", changes)
        _tell(kind, "Changed", record, as_json)

    renaming = click.Option([f"--{kind.title}", "title"], help=f"Its new {kind.title}.")
    options = [_number(), renaming, *_options(kind)]
    return _command("edit", run, f"Change a {kind.singular}.", options)


def _set_status(kind: Kind, name: str, status: str, does: str) -> click.Command:
    def run(numbers: tuple[int, ...], as_json: bool) -> None:
        client = config.load()
        for number in numbers:
            record = client.patch(f"{kind.plural}/{number}/", {"status": status})
            _tell(kind, "Completed" if status == kind.done else "Reopened", record, as_json)

    return _command(name, run, f"{does} {kind.plural}.", [_numbers()])


def _delete(kind: Kind) -> click.Command:
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


def _options(kind: Kind) -> list[click.Parameter]:
    return [
        click.Option(
            [f"--{option.name}", f"opt_{option.name}"], multiple=option.many, help=option.help
        )
        for option in kind.options
    ]


def _option_of(kind: Kind, field: str) -> str:
    """What the option is called that sets this field."""
    return next((option.name for option in kind.options if option.field == field), field)


def _fields(kind: Kind, typed: Values) -> dict[str, Any]:
    """The fields that were typed, as the API takes them. What was not typed is not in it."""
    fields = {}
    for option in kind.options:
        value = typed[f"opt_{option.name}"]
        if value is not None and value != ():
            fields[option.field] = _values(option, value) if option.many else _value(option, value)
    return fields


def _values(option: Option, texts: Sequence[str]) -> list[Any]:
    if option.kind == "items":
        return [{"text": text, "done": False} for text in texts]
    return list(texts)


def _value(option: Option, text: str) -> Any:
    """One value as JSON has it. "none" stands for no value, where there may be none."""
    try:
        if option.kind == "day":
            return due(text, date.today())
        if option.kind == "number":
            return None if text == "none" else json.loads(text)
        if option.kind == "repeat":
            return _REPEATS.get(text, text)
        if option.kind == "yes":
            return {"yes": True, "no": False}[text]
        if option.kind == "json":
            return json.loads(text)
    except (ValueError, KeyError) as fault:
        wanted = {"day": KNOWN, "number": "a number or none", "yes": "yes or no", "json": "JSON"}
        raise click.BadParameter(
            f"{text!r} is not {wanted[option.kind]}", param_hint=f"--{option.name}"
        ) from fault
    return text


def _tell(kind: Kind, done: str, record: Values, as_json: bool) -> None:
    if as_json:
        show.as_json(record)
    else:
        print(f"{done} {kind.singular} {record['id']}: {show.cell(record.get(kind.title))}")


for _kind in KINDS:
    nf.add_command(_group(_kind))
