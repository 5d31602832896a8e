"""What the documents say is so: settings, flags, fields, links."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from django.core.management import load_command_class
from django.test import Client

from accounts.models import User
from neuralflow.settings import env
from tests.documented import operator_manual
from tests.folders import exact
from workspace.schema.collections import ACTIVITY_FIELDS, PREFERENCE_FIELDS
from workspace.schema.fields import Field
from workspace.schema.validation import COLLECTIONS

PROJECT = Path(__file__).resolve().parents[1]
APPS = ("core", "web", "api", "accounts")
PACKAGES = (*APPS, "backups", "docstore", "neuralflow", "utils", "workspace")
CONFIGURE = (PROJECT / "docs/configure.md").read_text("utf-8")
MANUAL = operator_manual()
FORMAT = (PROJECT / "docs/format.md").read_text("utf-8")
DOCUMENTS = [
    *PROJECT.glob("*.md"),
    *PROJECT.glob("docs/**/*.md"),
    *PROJECT.glob("benchmarks/*.md"),
]


def test_every_setting_that_is_read_is_documented_and_none_else() -> None:
    read = env.names
    table = CONFIGURE.partition("## Settings")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    assert read == {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert len(read) > 10


def test_every_flag_of_setup_data_has_its_chapter() -> None:
    parser = load_command_class("core", "setup_data").create_parser("manage.py", "setup_data")
    general = load_command_class("core", "prepare").create_parser("manage.py", "prepare")
    flags = set(parser._option_string_actions) - set(general._option_string_actions)
    chapters = set(re.findall(r"^### `(--[a-z-]+)", MANUAL, re.MULTILINE))
    assert chapters == flags
    assert len(flags) == 18


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        ("### A record of `tasks`", COLLECTIONS["tasks"].fields),
        ("### A record of `projects`", COLLECTIONS["projects"].fields),
        ("### A record of `models`", COLLECTIONS["models"].fields),
        ("### A record of `shared`", COLLECTIONS["shared"].fields),
        ("### A record of `requests`", COLLECTIONS["requests"].fields),
        (
            "### `users/user_7.json`",
            (*COLLECTIONS["users"].fields, *PREFERENCE_FIELDS, *ACTIVITY_FIELDS),
        ),
    ],
)
def test_every_field_is_documented_as_the_table_has_it(
    title: str, fields: tuple[Field, ...]
) -> None:
    chapter = FORMAT.partition(title)[2].partition("\n### ")[0].partition("\n## ")[0]
    rows = [line for line in chapter.splitlines() if line.startswith("| `")]
    assert rows == [_row(field) for field in fields]


def _row(field: Field) -> str:
    default = "required" if field.required else f"`{json.dumps(field.default)}`"
    return f"| `{field.name}` | {field.must_be.removeprefix('must be ')} | {default} |"


def test_every_finding_that_asks_for_setup_data_names_a_flag_of_it() -> None:
    code = "".join(path.read_text("utf-8") for path in (PROJECT / "utils").rglob("*.py"))
    for flag in set(re.findall(r"setup_data (--[a-z-]+)", code)):
        assert f"### `{flag}" in MANUAL


def test_recipes_that_write_everybodys_data_write_it_for_nobody_else() -> None:
    recipes = [
        block
        for block in re.findall(r"```sh\n(.*?)```", MANUAL, re.S)
        if re.search(r"VACUUM INTO|pg_dump|--entries --full >", block)
    ]
    assert len(recipes) == 1
    assert all("umask 077\n" in block for block in recipes)


def test_links_between_documents_lead_somewhere() -> None:
    links = 0
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            found = document.parent / path if path else document
            assert found.exists(), f"{document.name} links to {target}"
            if anchor and found.suffix == ".md":
                assert anchor in _anchors(found), f"{document.name} links to {target}"
            links += 1
    assert links > 10


def test_documents_contain_no_conflict_markers() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"^(<<<<<<<|>>>>>>>) ", document.read_text("utf-8"), re.M), document


def test_findings_and_errors_in_the_manual_are_those_of_the_code() -> None:
    manual = (PROJECT / "docs/troubleshoot.md").read_text("utf-8")
    from_elsewhere = {"Expecting ',' delimiter", "Permission denied"}  # msgspec, the system
    source = [text for app in PACKAGES for text in _strings_of(PROJECT / app)]
    rows = re.findall(r"^\| (.*?`.*?) \|", manual, re.M)
    parts = [
        part.strip(" ,.").removesuffix(" must be")
        for row in rows
        for quoted in re.findall(r"``(.+?)``|`([^`]+)`", row)
        for part in re.split(r'…|\d+|"|: ', "".join(quoted))
    ]
    parts = [part for part in parts if len(part) > 4 and part not in from_elsewhere]
    assert len(parts) > 60
    assert [part for part in parts if not any(part in text for text in source)] == []


def _strings_of(package: Path) -> Iterator[str]:
    """Yield all string literals of a package, with a NUL in place of each replacement field."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "\0"
                    for part in node.values
                )


def _anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_commands_in_manual_exist() -> None:
    for name in re.findall(r"manage\.py ([a-z_]+)", MANUAL):
        ours = any((PROJECT / app / f"management/commands/{name}.py").exists() for app in APPS)
        assert ours or name in {"check", "migrate", "createsuperuser", "changepassword"}
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake ([a-z]+)`", MANUAL):
        assert f"\n{target}:" in makefile


def test_modules_targets_and_scripts_that_documents_run_are_there() -> None:
    found = 0
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    for document in DOCUMENTS:
        if "decisions" in document.parts:
            continue  # they tell of their time
        text = document.read_text("utf-8")
        code = "\n".join(re.findall(r"```\w*\n.*?```|`[^`\n]+`", text, re.S))
        for module in re.findall(r"python -m ([\w.]+)", code):
            path = PROJECT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
            found += 1
        for script in re.findall(r"\.venv/bin/python ([\w/]+\.py)", code):
            assert (PROJECT / script).exists(), script
        for target in re.findall(r"(?:^|[`$&] ?)make ([a-z-]+)", code, re.M):
            assert f"\n{target}:" in makefile, f"{document.name}: make {target}"
            found += 1
    assert found > 15


def test_the_file_in_the_readme_is_what_one_gets(
    client: Client, alice: User, data_folder: Path
) -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    shown = readme.partition("cat data/tasks/tasks_1.json")[2].partition("```json\n")[2]
    shown = shown.partition("```")[0]
    task = json.loads(shown)["tasks"][0]
    form = {name: task[name] for name in ("title", "priority", "status", "due_date")}

    client.force_login(alice)
    answer = client.post("/tasks/new/", {**form, "tags": ", ".join(task["tags"])})

    assert answer.status_code == 302, answer.content.decode()
    path = data_folder / f"tasks/tasks_{alice.pk}.json"
    text = exact(path).read_text("utf-8").replace(f'"user_id": {alice.pk}\n', '"user_id": 1\n')
    a_time = re.compile(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"')
    assert a_time.sub("A TIME", text) == a_time.sub("A TIME", shown)


def test_architecture_names_only_paths_that_exist_and_every_package() -> None:
    text = (PROJECT / "ARCHITECTURE.md").read_text("utf-8")
    paths = set(re.findall(r"`([\w.]+(?:/[\w.]+)+/?)`", text)) - {"data/tasks/tasks_7.json"}
    assert [path for path in sorted(paths) if not (PROJECT / path).exists()] == []
    assert len(paths) > 40
    for name, path in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", text):
        source = (PROJECT / path).read_text("utf-8")
        assert re.search(rf"\b{name}\b", source), f"{name} in {path}"
    named = set(re.findall(r"^\| `([\w/]+)` \|", text, re.M))
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert packages - named == {"tests"}


def test_commands_page_lists_every_command() -> None:
    page = (PROJECT / "docs/commands.md").read_text("utf-8").partition("\n## ")[0]
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*?\|", page, re.M))))
    ours = {path.stem for path in PROJECT.glob("*/management/commands/[a-z]*.py")}
    assert ours - listed == {"prepare", "reserve_ids"}  # parts of `make run`


def test_glossary_is_short_and_defines_each_word_once() -> None:
    glossary = (PROJECT / "docs/glossary.md").read_text("utf-8")
    words = re.findall(r"^\| ([a-z ]+) \|", glossary, re.M)
    assert 20 < len(words) < 35
    assert len(set(words)) == len(words)


def test_decisions_are_all_in_the_index_with_their_status() -> None:
    index = (PROJECT / "docs/decisions/README.md").read_text("utf-8")
    rows = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| .+ \| (?:in force|partly|superseded)", index, re.M
    )
    pages = [path.name for path in PROJECT.glob("docs/decisions/0*.md")]
    assert sorted(name for _, name in rows) == sorted(pages)
    assert all(name.startswith(number) for number, name in rows)


def test_index_of_documents_lists_every_page() -> None:
    index = (PROJECT / "docs/README.md").read_text("utf-8")
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", index)}
    pages = {path.name for path in PROJECT.glob("docs/*.md")} - {"README.md"}
    assert pages <= linked


def test_user_guide_quotes_only_words_that_stand_on_pages() -> None:
    guide = (PROJECT / "docs/guide.md").read_text("utf-8")
    with (PROJECT / "web/locale/es/LC_MESSAGES/django.po").open("rb") as file:
        shown = {message.id for message in read_po(file)}
    quoted = {" ".join(words.split()) for words in re.findall(r"“([^”]+)”", guide)}
    assert quoted - shown == {"Image search"}  # a project
    assert len(quoted) > 25


def test_documents_name_only_source_files_that_exist() -> None:
    named = 0
    for document in DOCUMENTS:
        if "decisions" in document.parts:
            continue  # their time had other files
        for path in re.findall(
            r"`([\w./-]+/[\w.-]+\.(?:py|html|js|css|po))`", document.read_text("utf-8")
        ):
            root = PROJECT / "tests" if document.name == "security.md" else PROJECT
            assert (root / path).exists(), f"{document.name} names {path}"
            named += 1
    assert named > 100
