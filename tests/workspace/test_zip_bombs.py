"""Hostile archives are refused before they take much memory, measured in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace.bombs import BOMBS, MIB, honest

# The archives are made once, for the tests of one process.
pytestmark = pytest.mark.xdist_group("bombs")
PROJECT = Path(__file__).parents[2]
MEMORY_MAX = 64 * MIB

# Forks for each archive: the highest mark of a process never falls again.
_CHILD = """
import json, os, resource, sys
from types import SimpleNamespace
import django
django.setup()
from workspace.archive.zip_reader import ArchiveFault
from utils.json_storage import json_storage
from workspace.archive.package import InvalidImport

json_storage.save_user_data(SimpleNamespace(pk=7))
json_storage.create("tasks", 7, {"title": "one that must not change"})
before = json_storage.list("tasks", 7)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def tried(path):
    started, refused = peak(), ""
    with open(path, "rb") as file:
        try:
            json_storage.import_archive(7, file, mode="replace")
        except (ArchiveFault, InvalidImport) as fault:
            refused = type(fault).__name__
    assert json_storage.list("tasks", 7) == before
    return refused, peak() - started

def apart(path):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, json.dumps(tried(path)).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    return json.loads(os.read(reader, 1000))

with open(sys.argv[1], "rb") as file:
    json_storage.import_archive(7, file, dry_run=True)
print(json.dumps([apart(path) for path in sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """By bomb: what refused it, and by how many bytes the process had grown until then."""
    folder = tmp_path_factory.mktemp("bombs")
    files = [folder / f"{number}.zip" for number in range(len(BOMBS) + 1)]
    files[0].write_bytes(honest([("tasks/tasks_1.json", b'{"tasks": []}')]))
    for path, make in zip(files[1:], BOMBS.values(), strict=True):
        path.write_bytes(make())
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "neuralflow.settings",
        "NEURALFLOW_STORE": (folder / "data").as_uri(),
        "DATABASE_URL": "sqlite://:memory:",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *map(str, files)],
        cwd=PROJECT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(zip(BOMBS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_within_little_memory(
    name: str, measured: dict[str, tuple[str, int]]
) -> None:
    refused, grown = measured[name]
    print(f"{name}: {refused}, {grown / MIB:.1f} MiB")
    assert refused in {"ArchiveTooLarge", "MalformedArchive", "UnsafeArchive", "InvalidImport"}
    assert grown < MEMORY_MAX
