"""Backups on S3, encrypted, of accounts in PostgreSQL, and unpacked without NeuralFlow."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from backups.accounts import PostgresAccounts
from backups.create import create_backup
from backups.encryption import read_identities
from backups.manifest import Backup, backup_names
from backups.remove import remove_backups
from backups.restore import documents_of, restore_backup
from backups.targets import FolderTarget, S3Target, target_of
from backups.verify import verify_backup
from docstore import Corrupt, InvalidValue, NotFound, Unavailable
from tests.backups.conftest import World, put, spoil
from tests.docstore.layouts import BOB_NOTES
from tests.postgres import Cluster
from tests.seaweedfs import Bucket, seaweedfs

PROJECT = Path(__file__).resolve().parents[2]
FORMAT = (PROJECT / "docs/format.md").read_text("utf-8")


@pytest.fixture
def key(world: World) -> tuple[str, Path]:
    """A recipient, and the file of its identity as `age-keygen` writes it."""
    identity = pyrage.x25519.Identity.generate()
    path = world.folder / "key.txt"
    path.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public()), path


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with seaweedfs() as server:
        yield server


# Encryption


def test_encrypted_backup_needs_the_identity_of_a_recipient(
    world: World, key: tuple[str, Path]
) -> None:
    recipient, path = key
    taken = world.documents()
    created = world.back_up(recipients=[recipient])
    stored = b"".join(path.read_bytes() for path in (world.root / "backups").rglob("*.*"))
    assert b"gr" in taken["notes/notes_1.json"] and b"notes_1" not in stored
    spoil(world)
    blind = world.backup(created)
    with pytest.raises(Unavailable, match="name the file of an age identity"):
        restore_backup(world.store, blind, accounts=world.accounts)
    strange = Backup(world.target, created.name, [pyrage.x25519.Identity.generate()])
    with pytest.raises(Unavailable, match="no identity opens the backup"):
        restore_backup(world.store, strange)
    result = verify_backup(world.store, blind, program="test", clock=world.clock)
    assert (result.complete, result.problem) == (False, "")
    backup = Backup(world.target, created.name, read_identities(path))
    result = verify_backup(world.store, backup, program="test", clock=world.clock)
    assert (result.complete, result.problem) == (True, "")
    restore_backup(world.store, backup, accounts=world.accounts)
    assert (world.documents(), world.names()) == (taken, ["alice"])
    pack = next((world.root / "backups/packs").rglob("*.age"))
    pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    result = verify_backup(world.store, blind, program="test", clock=world.clock)
    assert "is damaged" in result.problem


def test_plain_packs_are_not_used_for_an_encrypted_backup(
    world: World, key: tuple[str, Path]
) -> None:
    world.back_up()
    created = world.back_up(recipients=[key[0]])
    assert created.read == 4
    names = {name for name in world.target.names("packs") if name.endswith(".age")}
    assert len(names) == len(created.manifest.packs)
    second = world.back_up(recipients=[key[0]])
    assert set(second.manifest.packs) == set(created.manifest.packs)


def test_invalid_recipient_or_identity_is_refused(world: World) -> None:
    with pytest.raises(InvalidValue, match="'age1x' is no age recipient"):
        world.back_up(recipients=["age1x"])
    path = world.folder / "key.txt"
    for text in ("", "# nothing\n", "AGE-SECRET-KEY-1X\n"):
        path.write_text(text)
        with pytest.raises(InvalidValue, match="holds no age identity"):
            read_identities(path)
    with pytest.raises(Unavailable, match="cannot read the identity"):
        read_identities(world.folder / "missing.txt")


# Without NeuralFlow


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_standard_tools_unpack_a_backup_as_documented(
    world: World, key: tuple[str, Path], is_encrypted: bool
) -> None:
    tools = ["jq", "zstd", "tar", "sha256sum", *(["age"] if is_encrypted else [])]
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    taken = world.documents()
    world.back_up(recipients=[key[0]] if is_encrypted else [])
    put(world, 2, "later")
    taken = world.documents()
    created = world.back_up(recipients=[key[0]] if is_encrypted else [])
    chapter = FORMAT.partition("### Unpack a backup with standard tools")[2]
    (script,) = re.findall(r"```sh\n(.*?)```", chapter.partition("\n#")[0], re.S)
    into = world.folder / "unpacked"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=world.root / "backups",
        env={**os.environ, "name": created.name, "into": str(into), "key": str(key[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    *_, root, said = ran.stdout.splitlines()
    assert root.split()[0] == said == created.manifest.root
    database = into / "data/db.sqlite3"
    world.accounts.check(database)
    database.unlink()
    unpacked = {
        str(path.relative_to(into / "data")): path.read_bytes()
        for path in (into / "data").rglob("*")
        if path.is_file()
    }
    assert unpacked == taken


# Places


def test_backup_on_s3_is_verified_restored_and_removed(
    world: World, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket.credentials.items():
        monkeypatch.setenv(name, value)
    target = target_of(bucket.url("some/prefix"), world.root)
    assert isinstance(target, S3Target)
    taken = world.documents()
    first = create_backup(
        world.store, target, program="test", clock=world.clock, accounts=world.accounts
    )
    spoil(world)
    second = create_backup(
        world.store, target, program="test", clock=world.clock, accounts=world.accounts
    )
    assert backup_names(target) == [first.name, second.name]
    backup = Backup(target, first.name)
    result = verify_backup(
        world.store, backup, program="test", clock=world.clock, accounts=world.accounts
    )
    assert (result.complete, result.problem) == (True, "")
    restore_backup(world.store, backup, accounts=world.accounts)
    assert (world.documents(), world.names()) == (taken, ["alice"])
    assert remove_backups(world.store, target, [second.name]) > 0
    assert backup_names(target) == [first.name]
    result = verify_backup(
        world.store, Backup(target, first.name), program="test", clock=world.clock
    )
    assert result.problem == ""
    with pytest.raises(NotFound, match="there is no"):
        Backup(target, second.name)
    strange = target_of(bucket.url("x").replace("//bucket", "//strange"), world.root)
    with pytest.raises(Unavailable, match="strange"):
        create_backup(world.store, strange, program="test", clock=world.clock)


@pytest.mark.parametrize(
    "url", ["", "http://x/y", "s3://", "s3:///x", "s3://bucket/x?secret=1", "ftp://x"]
)
def test_place_that_is_not_understood_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidValue, match="s3://bucket"):
        target_of(url, tmp_path)


def test_removed_backup_leaves_what_others_need(world: World) -> None:
    first = world.back_up()
    spoil(world)
    middle = world.back_up()
    put(world, 1, "later")
    put(world, 1, "later", BOB_NOTES)
    world.sign_up("carl")
    second = world.back_up()
    (world.root / "backups" / f"{second.name}.json").rename(world.root / "backups/renamed.json")
    assert remove_backups(world.store, world.target, [middle.name]) > 0
    remove_backups(world.store, world.target, [first.name])
    assert backup_names(world.target) == ["renamed"]
    result = verify_backup(
        world.store, Backup(world.target, "renamed"), program="test", clock=world.clock
    )
    assert result.problem == ""
    stored = {name.rpartition("/")[2][:64] for name in world.target.names("packs")}
    assert stored == set(second.manifest.packs)
    damaged = world.back_up()
    (world.root / "backups" / f"{damaged.name}.json").write_text("{}")
    with pytest.raises(Corrupt):  # nothing is removed while it is unknown what is needed
        remove_backups(world.store, world.target, ["renamed"])
    assert "renamed" in backup_names(world.target)


def test_one_user_is_restored_without_reading_all_packs(world: World) -> None:
    created = world.back_up()
    reads: list[str] = []

    class Counting(FolderTarget):
        def read(self, name: str) -> bytes:
            reads.append(name)
            return super().read(name)

    backup = Backup(Counting(world.root / "backups"), created.name)
    documents_of(world.store, backup, 1)
    assert len(reads) == len(set(reads)) <= 3


# Accounts in PostgreSQL


def test_accounts_in_postgresql_are_backed_up_and_restored(
    world: World, postgres_cluster: Cluster
) -> None:
    if not shutil.which("pg_dump"):
        pytest.skip("there is no pg_dump: apt-get install postgresql-client")
    postgres_cluster.execute("DROP DATABASE IF EXISTS backed_up")
    postgres_cluster.execute("CREATE DATABASE backed_up")
    url = postgres_cluster.url("backed_up").replace("postgres://", "postgresql://")

    def execute(query: str) -> list[Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    execute("CREATE TABLE people (name text)")
    execute("CREATE TABLE django_session (session_key text)")
    execute("INSERT INTO people VALUES ('alice')")
    execute("INSERT INTO django_session VALUES ('a digest')")
    parts = psycopg.conninfo.conninfo_to_dict(url)
    accounts = PostgresAccounts(
        {name: str(value) for name, value in parts.items()}, ["django_session"]
    )
    created = world.back_up(accounts=accounts)
    backup = world.backup(created)
    result = verify_backup(
        world.store, backup, program="test", clock=world.clock, accounts=accounts
    )
    assert (result.complete, result.problem) == (True, "")
    execute("INSERT INTO people VALUES ('bob')")
    restore_backup(world.store, backup, accounts=accounts)
    assert execute("SELECT name FROM people") == [("alice",)]
    assert execute("SELECT count(*) FROM django_session") == [(0,)]
    with pytest.raises(Unavailable, match="the database here is sqlite"):
        restore_backup(world.store, backup, accounts=world.accounts)


# The drill: the disk is lost

PEOPLE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from accounts.models import User
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
for number in range(3):
    name = f"user{number}"
    user = User.objects.create_user(name, f"{name}@example.com", "Owls-hunt-at-dusk")
    json_storage.save_task_data(user.pk, {"title": f"Task of {number}"})
json_storage.close()
"""


def test_drill_disk_lost_and_restored_elsewhere_from_s3(
    tmp_path: Path, bucket: Bucket, key: tuple[str, Path]
) -> None:
    def manage(home: Path, *arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env={
                **os.environ,
                **bucket.credentials,
                "NEURALFLOW_STORE": (home / "data").as_uri(),
                "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
                "NEURALFLOW_SECRET_KEY": "only for this test",
                "NEURALFLOW_BACKUPS": bucket.url("drill"),
                "NEURALFLOW_BACKUP_RECIPIENTS": key[0],
                "NEURALFLOW_BACKUP_IDENTITY": str(key[1]),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    manage(here, "shell", "-v0", "-c", PEOPLE)
    assert "Verified: restored on trial" in manage(here, "setup_data", "--backup")
    taken = {
        str(path.relative_to(here)): path.read_bytes() for path in here.glob("data/*/*_*.json")
    }
    assert len(taken) >= 6
    shutil.rmtree(here)
    out = manage(elsewhere, "setup_data", "--restore", "latest", "--validate")
    assert "and the accounts from neuralflow_" in out and "nothing is wrong" in out
    restored = {
        str(path.relative_to(elsewhere)): path.read_bytes()
        for path in elsewhere.glob("data/*/*_*.json")
    }
    assert restored == taken
    with closing(sqlite3.connect(elsewhere / "db.sqlite3")) as database:
        passwords = database.execute("SELECT password FROM accounts_user").fetchall()
    assert [Argon2PasswordHasher().verify("Owls-hunt-at-dusk", one) for (one,) in passwords] == [
        True
    ] * 3
