"""The cast of the attacks, and records to attack.

The owner shares one project. Of those who know it, the editor may write and the viewer may look;
the stranger has an account, and staff run the place.
"""

from __future__ import annotations

import atexit
import itertools
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler
from django.utils import timezone

from accounts.models import AddressInvitation, ApiToken, RefusedInviter, SignUpInvitation, User
from accounts.session_store import row_key
from accounts.tokens import create_token
from tests.conftest import proves
from tests.folders import contents
from utils.json_storage import json_storage
from utils.middleware import API_PREFIX
from workspace.membership.members import Memberships

ANONYMOUS, OWNER, STRANGER = "anonymous", "owner", "stranger"
ROLES = (ANONYMOUS, OWNER, "editor", "viewer", STRANGER, "staff")
# Those that change or end what they are sent to come last.
METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "BREW", "PUT", "PATCH", "POST", "DELETE")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_MEMBERSHIPS = Memberships(json_storage)
PASSWORD = "Owls-hunt-at-dusk"


class World:
    """People with tokens and sessions, over one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = {role: self._person(role) for role in ROLES if role != ANONYMOUS}
        self.tokens = {role: create_token(user)[1] for role, user in self.people.items()}
        self._sessions: dict[str, str] = {}
        self._handlers: dict[bool, ClientHandler] = {}
        self._numbers = itertools.count(1)
        self.bystander = self._person("bystander")  # who is invited, and plays no part
        self.shared_project = self.another_shared_project()

    @classmethod
    def copied(cls, folder: Path) -> World:
        """A world as the constructor makes it, most of it copied from the first one.

        Hundreds of attacks each need one of their own, and it takes a dozen synced commits.
        """
        if _FIRST:
            return _FIRST[0].copy_to(folder)
        before = {model: {row.pk for row in model._default_manager.all()} for model in _models()}
        world = cls(folder)
        _FIRST.append(_Original(world, before))
        return world

    @staticmethod
    def _person(role: str) -> User:
        all_rights = {"is_staff": role == "staff", "is_superuser": role == "staff"}
        user = User.objects.create_user(
            f"{role}-of-all", f"{role}@example.com", PASSWORD, api_calls_limit=10**9, **all_rights
        )
        json_storage.save_user_data(user)
        return proves(user)

    @property
    def owner(self) -> int:
        return int(self.people[OWNER].pk)

    def browser(self, role: str, *, strict: bool = False) -> Client:
        """A browser in which *role* has signed in; `strict` asks it for the proof of origin."""
        client = self._client(strict)
        if role != ANONYMOUS:
            client.cookies[settings.SESSION_COOKIE_NAME] = self._session(role)
        return client

    def _client(self, strict: bool = False) -> Client:
        """Return a client that shares the middleware of all others, which is costly to set up."""
        client = Client(raise_request_exception=False, enforce_csrf_checks=strict)
        client.handler = self._handlers.setdefault(strict, client.handler)
        return client

    def _session(self, role: str) -> str:
        """Return the key of a session of *role*, a new one if the last has ended."""
        key = self._sessions.get(role, "")
        if not (key and Session.objects.filter(pk=row_key(key)).exists()):
            client = Client()
            client.force_login(self.people[role])
            key = self._sessions[role] = client.cookies[settings.SESSION_COOKIE_NAME].value
        return key

    def program(self, role: str) -> Client:
        """A program with a token of *role*."""
        client = self._client()
        if role != ANONYMOUS:
            client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[role]}"
        return client

    def client(self, role: str, address: str) -> Client:
        """What *role* would use for the address: a program for the API, else a browser."""
        return self.program(role) if address.startswith(API_PREFIX) else self.browser(role)

    # Records, each new: no attack finds what another one left.

    def address(self, pattern: str) -> str:
        """The pattern with new records of the owner in place of {task} and its like."""
        return pattern.format_map(_Fresh(self))

    def filled(self, data: Any) -> Any:
        """What a call sends, with new records in the same way."""
        return data(self) if callable(data) else data

    def task(self) -> int:
        return self._create("tasks", title=f"Owner's task {next(self._numbers)}")

    def project(self) -> int:
        return self._create("projects", name=f"Owner's project {next(self._numbers)}")

    def model(self) -> int:
        return self._create("models", name=f"Owner's model {next(self._numbers)}")

    def token(self) -> int:
        ApiToken.objects.filter(user=self.owner, name="to be attacked").delete()
        return int(create_token(self.people[OWNER], "to be attacked")[0].pk)

    def sign_up_invitation(self) -> int:
        return int(
            SignUpInvitation.objects.create(
                inviter=self.people[OWNER],
                digest=f"to be attacked {next(self._numbers)}",
                expires_at=timezone.now() + timedelta(days=1),
            ).pk
        )

    def session(self) -> int:
        """The number of one of the owner's sessions, as their page shows it."""
        key = f"to be attacked {next(self._numbers)}"
        made = UserSession.objects.create(
            user=self.people[OWNER], session_key=key, ip="192.0.2.1", user_agent="Lynx"
        )
        return int(made.pk)

    # What is shared: the editor and the viewer are in one project, and in each further one.

    @property
    def editor(self) -> int:
        return int(self.people["editor"].pk)

    def another_shared_project(self) -> int:
        project = self.project()
        for role in ("editor", "viewer"):
            person = self.people[role]
            _MEMBERSHIPS.invite(self.owner, project, person.username, role)
            _MEMBERSHIPS.accept(person.pk, json_storage.list("shared", person.pk)[-1]["id"])
        return project

    def shared_task(self) -> int:
        return self._create("tasks", title="Shared", project_id=self.shared_project)

    def offered_project(self) -> int:
        """A shared project that is offered to the editor."""
        project = self.another_shared_project()
        _MEMBERSHIPS.offer(self.owner, project, self.editor)
        return project

    def offer(self) -> int:
        """A project of staff is offered to the owner; where they find that."""
        staff, shared = int(self.people["staff"].pk), self.invitation()
        _MEMBERSHIPS.accept(self.owner, shared)
        project = json_storage.get("shared", self.owner, shared)["project_id"]
        _MEMBERSHIPS.offer(staff, project, self.owner)
        return shared

    def addressed_project(self) -> int:
        """A shared project to which an address is invited, as `waiting` says."""
        project = self.another_shared_project()
        self.waiting = self._invite_address(self.owner, project, "nobody@example.com")
        return project

    def addressed(self) -> int:
        """The owner's address is invited to a project of staff; the invitation's number."""
        staff = int(self.people["staff"].pk)
        project = json_storage.create("projects", staff, {"name": "Of staff"})["id"]
        return self._invite_address(staff, project, self.people[OWNER].email)

    @staticmethod
    def _invite_address(owner: int, project: int, address: str) -> int:
        """Invite an address as where there is mail; the world has none."""
        AddressInvitation.objects.all().delete()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "NEURALFLOW_SENDS_MAIL", True)
            patch.setattr("workspace.membership.members.OPEN_MAX", 10**9)
            entry = _MEMBERSHIPS.invite(owner, project, address, "viewer")
        return int(entry["invitation"])

    def inviter(self) -> int:
        """Who invited the owner, and did not invite the others."""
        RefusedInviter.objects.filter(user=self.people[OWNER]).delete()
        self.invitation()
        return int(self.people["staff"].pk)

    def invitation(self) -> int:
        """The owner is invited to a project of staff; where they find that."""
        staff = int(self.people["staff"].pk)
        for record in json_storage.list("shared", self.owner):  # few of one inviter may be open
            if record["status"] == "invited":
                _MEMBERSHIPS.decline(self.owner, record["id"])
        project = json_storage.create("projects", staff, {"name": "Of staff"})["id"]
        _MEMBERSHIPS.invite(staff, project, self.people[OWNER].username, "viewer")
        return int(json_storage.list("shared", self.owner)[-1]["id"])

    def _create(self, collection: str, **data: Any) -> int:
        return int(json_storage.create(collection, self.owner, data)["id"])

    # What is kept

    @staticmethod
    def moment() -> int:
        """Where the store is now, for `changed_since`."""
        return json_storage.store.backend.sequence()

    @staticmethod
    def changed_since(moment: int) -> bool:
        """Whether anything was committed."""
        return bool(json_storage.store.entries(moment).told)

    def bytes(self) -> dict[str, bytes]:
        """Every document as it lies on disk."""
        return contents(self.folder)


class _Original:
    """The first world of this process: its folder, and the rows that came into the database."""

    def __init__(self, world: World, before: Mapping[type[Model], set[Any]]) -> None:
        self._world = world
        self._rows = {
            model: [row for row in model._default_manager.all() if row.pk not in before[model]]
            for model in before
        }
        self._made = next(world._numbers)
        world._numbers = itertools.count(self._made)
        json_storage.close()  # a folder is copied when it is exact
        self._folder = Path(tempfile.mkdtemp(prefix="neuralflow-world-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        shutil.copytree(world.folder, self._folder / "data")

    def copy_to(self, folder: Path) -> World:
        """Puts its files into the folder and its rows into the empty database."""
        json_storage.close()
        shutil.copytree(self._folder / "data", folder)
        for model, rows in self._rows.items():
            model._default_manager.bulk_create([copy(row) for row in rows])
        world = copy(self._world)
        people = User.objects.in_bulk()
        world.folder = folder
        world.people = {role: people[user.pk] for role, user in self._world.people.items()}
        world.bystander = people[self._world.bystander.pk]
        world.tokens, world._sessions = dict(self._world.tokens), {}
        world._handlers = {}
        world._numbers = itertools.count(self._made)
        return world


_FIRST: list[_Original] = []


def _models() -> list[type[Model]]:
    """Those that have a table of their own."""
    return [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy]


class _Fresh(dict[str, str]):
    """Makes what an address names when it is asked for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def __missing__(self, name: str) -> str:
        made = getattr(self._world, name)
        self[name] = str(made() if callable(made) else made)
        return self[name]


def uncounted(documents: Mapping[str, bytes]) -> dict[str, Any]:
    """The documents but for what counts a person's calls and tells of them."""
    return {
        name: _without_counts(json.loads(content)) if name.startswith("users/") else content
        for name, content in documents.items()
    }


def _without_counts(document: dict[str, Any]) -> dict[str, Any]:
    counts = (
        "api_calls_used",
        "api_calls_by",
        "api_calls_period",
        "api_burst",
        "api_reads",
        "activities",
    )
    noted = ("revision", "updated_at", "last_id")
    return {
        name: value
        for name, value in document.items()
        if name not in noted and not name.startswith(counts)
    }


def send(client: Client, method: str, address: str, data: Any = None) -> HttpResponse:
    """One call. Under the API data is sent as JSON, elsewhere as a form; bytes go as they are."""
    return whole(_sent(client, method, address, data))


def whole(answer: Any) -> HttpResponse:
    """The answer with all of its content, also where that came in pieces."""
    if not answer.streaming:
        found: HttpResponse = answer
        return found
    return HttpResponse(answer.getvalue(), status=answer.status_code, headers=dict(answer.headers))


def _sent(client: Client, method: str, address: str, data: Any) -> Any:
    if method not in UNSAFE:
        return client.generic(method, address)
    if address.startswith(API_PREFIX):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return client.generic(method, address, body, "application/json")
    if method == "POST":
        return client.post(address, data or {})
    return client.generic(method, address)


@contextmanager
def reads() -> Iterator[list[tuple[str, int]]]:
    """The documents that this thread asks the store for inside the block, each time.

    Another thread may be committing the reads of calls that were counted before.
    """
    asked: list[tuple[str, int]] = []
    here = threading.get_ident()
    backend = type(json_storage.store.backend)
    read = backend.read

    def noted(self: Any, key: Any) -> Any:
        if threading.get_ident() == here:
            asked.append((key.collection, key.owner))
        return read(self, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "read", noted)
        yield asked
