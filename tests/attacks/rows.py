"""What every address answers, to whom, by which method: the expected side of the matrix.

A row belongs to a route as `routes` finds it. Its address is one to call, with new records of the
owner's in place of {task} and its like; `sends` has what an accepted call carries,
by method. A shape is a table of statuses; the line `others` is for every role without a line of
its own, and `*` allows any answer below 500.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.attacks.world import ROLES, World
from utils.json_storage import json_storage
from workspace.schema.validation import record_version

Statuses = Mapping[str, str]  # by method
Shape = Mapping[str, Statuses]  # by role


def shape(table: str) -> Shape:
    """A table of statuses: methods above, roles at the left."""
    head, *lines = (line.split() for line in table.strip().splitlines())
    rows = {role: dict(zip(head, statuses, strict=True)) for role, *statuses in lines}
    return {role: rows[role] if role in rows else rows["others"] for role in ROLES}


@dataclass(frozen=True)
class Row:
    """One route: an address to call, what is to be answered, and what an accepted call sends.
    What is public is the same for everybody, and caches may keep it."""

    address: str
    shape: Shape
    sends: Mapping[str, Any] = field(default_factory=dict)
    public: bool = False
    media_type: str = ""  # of what is sent, where it is neither JSON nor a form


# The API. A call by nobody is refused before anything else is looked at.

OWN_LIST = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     200 200  204     405   405  405 405   201  405
""")
OWN_RECORD = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  200 200   405  204
others     404 404  204     405   405  404 404   405  404
""")
OWN_FIGURES = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     200 200  204     405   405  405 405   405  405
""")
READ_WORDS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     200 200  400     405   405  405 405   405  405
""")  # OPTIONS takes no query
OWN_ARCHIVE = OWN_FIGURES
ARCHIVE_SENT_AS_JSON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     405 405  204     405   405  405 405   415  405
""")
API_FOR_EVERYBODY = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  200 200  401     405   405  401 401   401  401
others     200 200  204     405   405  405 405   405  405
""")
# The first commit of all is nobody's to take back.
API_UNDO = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     405 405  204     405   405  405 405   404  405
""")
API_QUICK = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     405 405  204     405   405  405 405   201  405
""")
NOTHING_THERE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     404 404  404     405   405  404 404   404  404
""")

OWN_BULK = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     405 405  204     405   405  405 405   200  405
""")
OWN_MEMBERS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  405 405   201  405
others     404 404  204     405   405  405 405   404  405
""")
OWN_MEMBER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 200   405  204
others     405 405  204     405   405  405 404   405  404
""")
OWN_TRANSFER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   200  204
others     405 405  204     405   405  405 405   404  404
""")
OWN_OFFER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   200  204
others     405 405  204     405   405  405 405   404  404
""")
OWN_ADDRESSED = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 200   405  204
others     405 405  204     405   405  405 404   405  404
""")
OWN_INVITATIONS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
others     200 200  204     405   405  405 405   405  200
""")
OWN_BLOCK = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  200 405   405  204
others     405 405  204     405   405  404 405   405  204
""")
OWN_WITHDRAWN = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   405  204
others     405 405  204     405   405  405 405   405  404
""")
SHARED_WITHDRAWN = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   405  204
editor     405 405  204     405   405  405 405   405  403
viewer     405 405  204     405   405  405 405   405  403
others     405 405  204     405   405  405 405   405  404
""")
# What others share with the editor and the viewer has numbers like these.
OWN_INVITATION = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  405 200   405  204
editor     *   *    204     405   405  405 *     405  404
viewer     *   *    204     405   405  405 *     405  404
others     404 404  204     405   405  405 404   405  404
""")
SHARED_TASKS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  405 405   201  405
editor     200 200  204     405   405  405 405   201  405
viewer     200 200  204     405   405  405 405   403  405
others     404 404  204     405   405  405 405   404  405
""")
SHARED_TASK = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  200 200   405  204
editor     200 200  204     405   405  200 200   405  204
viewer     200 200  204     405   405  403 403   405  403
others     404 404  204     405   405  404 404   405  404
""")
SHARED_PROJECTS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  405 405   201  405
editor     200 200  204     405   405  405 405   403  405
viewer     200 200  204     405   405  405 405   403  405
others     404 404  204     405   405  405 405   404  405
""")
SHARED_PROJECT = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  200 200   405  204
editor     200 200  204     405   405  200 200   405  403
viewer     200 200  204     405   405  403 403   405  403
others     404 404  204     405   405  404 404   405  404
""")
SHARED_BULK = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   200  405
editor     405 405  204     405   405  405 405   200  405
viewer     405 405  204     405   405  405 405   403  405
others     405 405  204     405   405  405 405   404  405
""")
SHARED_MEMBERS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      200 200  204     405   405  405 405   201  405
editor     200 200  204     405   405  405 405   403  405
viewer     200 200  204     405   405  405 405   403  405
others     404 404  204     405   405  405 405   404  405
""")
# The editor leaves.
SHARED_MEMBER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 200   405  204
editor     405 405  204     405   405  405 403   405  204
viewer     405 405  204     405   405  405 403   405  403
others     405 405  204     405   405  405 404   405  404
""")
SHARED_TRANSFER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  401     405   405  401 401   401  401
owner      405 405  204     405   405  405 405   200  204
editor     405 405  204     405   405  405 405   403  403
viewer     405 405  204     405   405  405 405   403  403
others     405 405  204     405   405  405 405   404  404
""")

# Pages

FOR_EVERYBODY = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     200 200  405     405   405  405 405   405  405
""")
NOT_IN_SERVICE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     404 404  405     405   405  405 405   405  405
""")
POINTER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     302 302  405     405   405  405 405   405  405
""")
OWN_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   405  405
others     200 200  405     405   405  405 405   405  405
""")
OWN_FORM = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
others     200 200  405     405   405  405 405   302  405
""")
RECORD_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   405  405
owner      200 200  405     405   405  405 405   405  405
others     404 404  405     405   405  405 405   405  405
""")
RECORD_FORM = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   409  405
others     404 404  405     405   405  405 405   404  405
""")
ANYBODYS_OWN_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     405 405  405     405   405  405 405   302  405
""")
OFFER_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
others     404 404  405     405   405  405 405   404  405
""")
# Of one's own project; and of another's, where {editor} is asked about.
OWN_MEMBER_PAGES = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_MEMBER_LIST = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
editor     200 200  405     405   405  405 405   403  405
viewer     200 200  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_MEMBER_LEAVES = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
editor     200 200  405     405   405  405 405   302  405
viewer     403 403  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_HAND_OVER = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
editor     403 403  405     405   405  405 405   403  405
viewer     403 403  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_ROLE_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  405 405  405     405   405  405 405   302  405
owner      405 405  405     405   405  405 405   302  405
editor     405 405  405     405   405  405 405   403  405
viewer     405 405  405     405   405  405 405   403  405
others     405 405  405     405   405  405 405   404  405
""")
# What others share with the editor and the viewer has numbers like these.
INVITATION_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  405 405  405     405   405  405 405   302  405
owner      405 405  405     405   405  405 405   302  405
editor     405 405  405     405   405  405 405   *    405
viewer     405 405  405     405   405  405 405   *    405
others     405 405  405     405   405  405 405   404  405
""")
RECORD_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  405 405  405     405   405  405 405   302  405
owner      405 405  405     405   405  405 405   302  405
others     405 405  405     405   405  405 405   404  405
""")
LIST_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     405 405  405     405   405  405 405   302  405
""")
SHARED_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   405  405
owner      200 200  405     405   405  405 405   405  405
editor     200 200  405     405   405  405 405   405  405
viewer     200 200  405     405   405  405 405   405  405
others     404 404  405     405   405  405 405   405  405
""")
OWN_BOARD = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
others     200 200  405     405   405  405 405   404  405
""")
SHARED_BOARD = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
editor     200 200  405     405   405  405 405   302  405
viewer     200 200  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_NEW = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   302  405
editor     200 200  405     405   405  405 405   302  405
viewer     403 403  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_FORM = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   409  405
editor     200 200  405     405   405  405 405   409  405
viewer     200 200  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_QUESTION = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
owner      200 200  405     405   405  405 405   409  405
editor     200 200  405     405   405  405 405   409  405
viewer     403 403  405     405   405  405 405   403  405
others     404 404  405     405   405  405 405   404  405
""")
SHARED_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  405 405  405     405   405  405 405   302  405
owner      405 405  405     405   405  405 405   302  405
editor     405 405  405     405   405  405 405   302  405
viewer     405 405  405     405   405  405 405   403  405
others     405 405  405     405   405  405 405   404  405
""")
FOR_THOSE_OUTSIDE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  200 200  200     405   405  200 405   200  405
others     302 302  302     405   405  302 302   302  302
""")
LOGOUT = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  200     405   405  405 405   302  405
others     200 200  200     405   405  405 405   302  405
""")
TOLD_TO_ALL = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     200 200  200     405   405  405 405   405  405
""")
OWN_SETTINGS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     200 200  405     405   405  405 405   200  405
""")
OWN_UPLOAD = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
others     200 200  405     405   405  405 405   422  405
""")
PREFERRED = {"theme": "dark", "week_start": "sunday", "language": "es", "time_zone": "browser"}
GUARDED = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     302 302  302     405   405  302 302   302  302
""")
OWN_LOGINS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     200 200  405     405   405  405 405   405  405
""")
SECOND_FACTOR = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     200 200  200     405   405  405 405   405  405
""")
ANYBODYS_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  405 405  405     405   405  405 405   302  405
others     405 405  405     405   405  405 405   302  405
""")
NOTHING_TO_TURN_OFF = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     404 404  404     405   405  404 404   404  404
""")
NO_CODES = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     404 404  200     405   405  405 405   405  405
""")
SETTINGS_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
owner      405 405  405     405   405  405 405   302  405
others     405 405  405     405   405  405 405   404  405
""")
ONES_OWN_RECEIPT = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     404 404  405     405   405  405 405   405  405
""")
# The password must be given again first.
GUARDED_SETTINGS = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     200 200  405     405   405  405 405   302  405
""")
OWN_BUTTON = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     405 405  405     405   405  405 405   302  405
""")
LANGUAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     405 405  405     405   405  405 405   302  405
""")
UNDO = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     405 405  405     405   405  405 405   302  405
""")
OWN_VERSION = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     302 302  405     405   405  405 405   302  405
""")
PASSWORD_CHANGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
others     200 200  200     405   405  200 405   200  405
""")
# Without mail there is no such page.
NOTHING_TO_PROVE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     404 404  404     405   405  404 404   404  404
""")
# As on a server without mail: who forgot the password is told to ask the operator.
PASSWORD_RESET = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     200 200  405     405   405  405 405   409  405
""")
PASSWORD_RESET_KEY = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
others     200 200  200     405   405  200 200   200  200
""")
STAFF_ONLY = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
staff      *   *    *       405   405  *   *     *    *
others     302 302  302     405   405  302 302   302  302
""")
STAFFS_OWN_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   405  405
staff      200 200  405     405   405  405 405   405  405
others     404 404  405     405   405  405 405   405  405
""")
# What machines watch; the figures are for staff and whoever has the token.
FIGURES_FOR_STAFF = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  401 401  405     405   405  405 405   405  405
staff      200 200  405     405   405  405 405   405  405
others     404 404  405     405   405  405 405   405  405
""")
STAFFS_GUARDED_PAGE = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  405     405   405  405 405   302  405
staff      302 302  405     405   405  405 405   302  405
others     404 404  405     405   405  405 405   404  405
""")
STAFF_LOGIN = shape("""
           GET HEAD OPTIONS TRACE BREW PUT PATCH POST DELETE
anonymous  302 302  302     405   405  302 302   302  302
staff      302 *    *       405   405  *   *     *    *
others     403 403  403     405   405  403 403   403  403
""")

TITLE = {"tasks": "title", "projects": "name", "models": "name"}
SINGULAR = {"tasks": "task", "projects": "project", "models": "model"}
API = "accounts/api/"
RESET_KEY = r"password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$"
TASK = {"title": "Sent", "priority": "low", "status": "pending"}


def _own_records(collection: str) -> dict[str, Row]:
    record = {TITLE[collection]: "Sent"}
    singular = SINGULAR[collection]
    return {
        f"{API}{collection}/": Row(f"/{API}{collection}/", OWN_LIST, {"POST": record}),
        f"{API}{collection}/bulk/": Row(
            f"/{API}{collection}/bulk/",
            OWN_BULK,
            {"POST": {"operations": [{"op": "create", "record": record}]}},
        ),
        f"{API}{collection}/<record_id:record_id>/": Row(
            f"/{API}{collection}/{{{singular}}}/", OWN_RECORD, {"PUT": record, "PATCH": record}
        ),
    }


def _in_shared_project(world: World) -> dict[str, Any]:
    return TASK | {"project_id": world.shared_project}


def _shared_bulk(world: World) -> dict[str, Any]:
    return {"operations": [{"op": "create", "record": _in_shared_project(world)}]}


def _moved(world: World) -> dict[str, Any]:
    return _move_of(world, world.task())


def _moved_shared(world: World) -> dict[str, Any]:
    # One that is there: what a stranger sends must leave no trace, not even in the making.
    there = json_storage.list("tasks", world.owner)
    shared = [task["id"] for task in there if task["project_id"] == world.shared_project]
    return _move_of(world, shared[-1] if shared else world.shared_task())


def _move_of(world: World, task: int) -> dict[str, Any]:
    version = record_version(json_storage.get("tasks", world.owner, task))
    return {"move": f"{task}:{version}:review"}


def _handed_to_editor(world: World) -> dict[str, Any]:
    return {"to": world.editor}


_INVITED = {"POST": {"who": "bystander-of-all", "role": "viewer"}}
_ROLE = {"PATCH": {"role": "viewer"}}
_HANDED = {"POST": _handed_to_editor}
_PROJECT = f"/{API}projects/{{another_shared_project}}/"
_OFFERED = f"/{API}projects/{{offered_project}}/"
_THERE, _THEIRS = f"{API}users/<record_id:owner>/", f"/{API}users/{{owner}}/"
_THEIR_PROJECT = f"{_THEIRS}projects/{{another_shared_project}}/"
_ONE_PROJECT = "projects/<record_id:record_id>/"

SHARING: dict[str, Row] = {
    f"{API}{_ONE_PROJECT}members/": Row(f"{_PROJECT}members/", OWN_MEMBERS, _INVITED),
    f"{API}{_ONE_PROJECT}members/<record_id:person>/": Row(
        f"{_PROJECT}members/{{editor}}/", OWN_MEMBER, _ROLE
    ),
    f"{API}{_ONE_PROJECT}transfer/": Row(f"{_OFFERED}transfer/", OWN_TRANSFER, _HANDED),
    f"{API}shared/": Row(f"/{API}shared/", OWN_FIGURES),
    f"{API}shared/<record_id:shared_id>/": Row(
        f"/{API}shared/{{invitation}}/", OWN_INVITATION, {"PATCH": {"status": "member"}}
    ),
    f"{API}{_ONE_PROJECT}invitations/<record_id:number>/": Row(
        f"/{API}projects/{{addressed_project}}/invitations/{{waiting}}/", OWN_WITHDRAWN
    ),
    f"{_THERE}{_ONE_PROJECT}invitations/<record_id:number>/": Row(
        f"{_THEIRS}projects/{{addressed_project}}/invitations/{{waiting}}/", SHARED_WITHDRAWN
    ),
    f"{API}invitations/": Row(f"/{API}invitations/", OWN_INVITATIONS),
    f"{API}blocked-inviters/": Row(f"/{API}blocked-inviters/", OWN_FIGURES),
    f"{API}blocked-inviters/<record_id:inviter>/": Row(
        f"/{API}blocked-inviters/{{inviter}}/", OWN_BLOCK
    ),
    f"{API}invitations/<record_id:number>/": Row(
        f"/{API}invitations/{{addressed}}/", OWN_ADDRESSED, {"PATCH": {"status": "member"}}
    ),
    f"{API}shared/<record_id:shared_id>/ownership/": Row(
        f"/{API}shared/{{offer}}/ownership/", OWN_OFFER, {"POST": {"former_owner": "none"}}
    ),
    f"{_THERE}tasks/": Row(f"{_THEIRS}tasks/", SHARED_TASKS, {"POST": _in_shared_project}),
    f"{_THERE}tasks/bulk/": Row(f"{_THEIRS}tasks/bulk/", SHARED_BULK, {"POST": _shared_bulk}),
    f"{_THERE}tasks/<record_id:record_id>/": Row(
        f"{_THEIRS}tasks/{{shared_task}}/",
        SHARED_TASK,
        {"PUT": _in_shared_project, "PATCH": {"status": "review"}},
    ),
    f"{_THERE}projects/": Row(f"{_THEIRS}projects/", SHARED_PROJECTS, {"POST": {"name": "Sent"}}),
    f"{_THERE}projects/bulk/": Row(
        f"{_THEIRS}projects/bulk/",
        {**SHARED_BULK, "editor": SHARED_BULK["viewer"]},
        {"POST": {"operations": [{"op": "create", "record": {"name": "Sent"}}]}},
    ),
    f"{_THERE}{_ONE_PROJECT}": Row(
        _THEIR_PROJECT, SHARED_PROJECT, {"PUT": {"name": "Sent"}, "PATCH": {"name": "Sent"}}
    ),
    f"{_THERE}{_ONE_PROJECT}members/": Row(f"{_THEIR_PROJECT}members/", SHARED_MEMBERS, _INVITED),
    f"{_THERE}{_ONE_PROJECT}members/<record_id:person>/": Row(
        f"{_THEIR_PROJECT}members/{{editor}}/", SHARED_MEMBER, _ROLE
    ),
    f"{_THERE}{_ONE_PROJECT}transfer/": Row(
        f"{_THEIRS}projects/{{offered_project}}/transfer/", SHARED_TRANSFER, _HANDED
    ),
}

_OWN_PAGE = "/projects/{another_shared_project}/members/"
_THEIR_PAGE = "/shared/{owner}/projects/{another_shared_project}/members/"
_OWN_MEMBERS, _THEIR_MEMBERS = (
    f"{_ONE_PROJECT}members/",
    f"shared/<record_id:owner>/{_ONE_PROJECT}members/",
)
_MEMBER, _NEW_ROLE = "<record_id:person>/", {"POST": {"role": "viewer"}}

SHARING_PAGES: dict[str, Row] = {
    _OWN_MEMBERS: Row(_OWN_PAGE, OWN_MEMBER_PAGES, _INVITED),
    f"{_OWN_MEMBERS}{_MEMBER}role/": Row(f"{_OWN_PAGE}{{editor}}/role/", RECORD_BUTTON, _NEW_ROLE),
    f"{_OWN_MEMBERS}{_MEMBER}remove/": Row(f"{_OWN_PAGE}{{editor}}/remove/", OWN_MEMBER_PAGES),
    f"{_OWN_MEMBERS}{_MEMBER}hand-over/": Row(
        f"{_OWN_PAGE}{{editor}}/hand-over/", OWN_MEMBER_PAGES
    ),
    f"{_OWN_MEMBERS}invitations/<record_id:number>/withdraw/": Row(
        "/projects/{addressed_project}/members/invitations/{waiting}/withdraw/", RECORD_BUTTON
    ),
    f"{_THEIR_MEMBERS}invitations/<record_id:number>/withdraw/": Row(
        "/shared/{owner}/projects/{addressed_project}/members/invitations/{waiting}/withdraw/",
        SHARED_ROLE_BUTTON,
    ),
    "shared/addressed/<record_id:number>/accept/": Row(
        "/shared/addressed/{addressed}/accept/", RECORD_BUTTON
    ),
    "shared/addressed/<record_id:number>/decline/": Row(
        "/shared/addressed/{addressed}/decline/", RECORD_BUTTON
    ),
    "shared/decline-all/": Row("/shared/decline-all/", ANYBODYS_OWN_BUTTON),
    "shared/people/<record_id:person>/never/": Row(
        "/shared/people/{inviter}/never/", INVITATION_BUTTON
    ),
    "shared/people/<record_id:person>/allow/": Row(
        "/shared/people/{editor}/allow/", ANYBODYS_OWN_BUTTON
    ),
    f"{_OWN_MEMBERS}{_MEMBER}withdraw/": Row(
        "/projects/{offered_project}/members/{editor}/withdraw/", RECORD_BUTTON
    ),
    f"{_THEIR_MEMBERS}{_MEMBER}withdraw/": Row(
        "/shared/{owner}/projects/{offered_project}/members/{editor}/withdraw/", SHARED_ROLE_BUTTON
    ),
    "shared/offers/<record_id:shared_id>/accept/": Row(
        "/shared/offers/{offer}/accept/", OFFER_PAGE, {"POST": {"former_owner": "none"}}
    ),
    "shared/offers/<record_id:shared_id>/decline/": Row(
        "/shared/offers/{offer}/decline/", RECORD_BUTTON
    ),
    _THEIR_MEMBERS: Row(_THEIR_PAGE, SHARED_MEMBER_LIST, _INVITED),
    f"{_THEIR_MEMBERS}{_MEMBER}role/": Row(
        f"{_THEIR_PAGE}{{editor}}/role/", SHARED_ROLE_BUTTON, _NEW_ROLE
    ),
    f"{_THEIR_MEMBERS}{_MEMBER}remove/": Row(
        f"{_THEIR_PAGE}{{editor}}/remove/", SHARED_MEMBER_LEAVES
    ),
    f"{_THEIR_MEMBERS}{_MEMBER}hand-over/": Row(
        f"{_THEIR_PAGE}{{editor}}/hand-over/", SHARED_HAND_OVER
    ),
    "shared/": Row("/shared/", OWN_PAGE),
    "shared/invitations/<record_id:shared_id>/accept/": Row(
        "/shared/invitations/{invitation}/accept/", INVITATION_BUTTON
    ),
    "shared/invitations/<record_id:shared_id>/decline/": Row(
        "/shared/invitations/{invitation}/decline/", INVITATION_BUTTON
    ),
}

_PAGES, _THEIR_PAGES = "shared/<record_id:owner>/", "/shared/{owner}/"
_ONE_TASK, _THEIR_TASK = f"{_PAGES}tasks/<record_id:record_id>/", "tasks/{shared_task}/"

SHARED_PAGES: dict[str, Row] = {
    _ONE_PROJECT: Row("/projects/{another_shared_project}/", RECORD_PAGE),
    f"{_PAGES}{_ONE_PROJECT}": Row(f"{_THEIR_PAGES}projects/{{shared_project}}/", SHARED_PAGE),
    f"{_PAGES}<shared_collection:spec>/": Row(f"{_THEIR_PAGES}projects/", SHARED_PAGE),
    f"{_PAGES}<shared_collection:spec>/<record_id:record_id>/edit/": Row(
        f"{_THEIR_PAGES}{_THEIR_TASK}edit/", SHARED_FORM, {"POST": _in_shared_project}
    ),
    f"{_PAGES}tasks/board/": Row(
        f"{_THEIR_PAGES}tasks/board/", SHARED_BOARD, {"POST": _moved_shared}
    ),
    f"{_PAGES}tasks/month/": Row(f"{_THEIR_PAGES}tasks/month/", SHARED_PAGE),
    f"{_PAGES}tasks/agenda/": Row(f"{_THEIR_PAGES}tasks/agenda/", SHARED_PAGE),
    f"{_PAGES}tasks/new/": Row(
        f"{_THEIR_PAGES}tasks/new/", SHARED_NEW, {"POST": _in_shared_project}
    ),
    f"{_PAGES}<tasks:spec>/bulk/": Row(
        f"{_THEIR_PAGES}tasks/bulk/", SHARED_BUTTON, {"POST": {"do": "complete", "all": "yes"}}
    ),
    f"{_PAGES}<tasks:spec>/<record_id:record_id>/checklist/": Row(
        f"{_THEIR_PAGES}{_THEIR_TASK}checklist/", SHARED_BUTTON, {"POST": {"tick": "0 Nothing"}}
    ),
    f"{_PAGES}<tasks:spec>/quick/": Row(
        f"{_THEIR_PAGES}tasks/quick/", SHARED_NEW, {"POST": {"text": "Sent"}}
    ),
    f"{_ONE_TASK}delete/": Row(f"{_THEIR_PAGES}{_THEIR_TASK}delete/", SHARED_QUESTION),
    f"{_ONE_TASK}complete/": Row(f"{_THEIR_PAGES}{_THEIR_TASK}complete/", SHARED_BUTTON),
}

ROWS: dict[str, Row] = {
    **SHARING_PAGES,
    **SHARING,
    **SHARED_PAGES,
    **_own_records("tasks"),
    **_own_records("projects"),
    **_own_records("models"),
    f"{API}dashboard/": Row(f"/{API}dashboard/", OWN_FIGURES),
    f"{API}export/": Row(f"/{API}export/", OWN_ARCHIVE),
    f"{API}import/": Row(f"/{API}import/", ARCHIVE_SENT_AS_JSON, media_type="application/zip"),
    f"{API}openapi.json": Row(f"/{API}openapi.json", API_FOR_EVERYBODY, public=True),
    f"{API}docs/": Row(f"/{API}docs/", API_FOR_EVERYBODY, public=True),
    f"{API}undo/": Row(f"/{API}undo/", API_UNDO, {"POST": {"sequence": 1}}),
    f"{API}tasks/quick/": Row(f"/{API}tasks/quick/", API_QUICK, {"POST": {"text": "Sent"}}),
    f"{API}quota/": Row(f"/{API}quota/", OWN_FIGURES),
    f"{API}dates/": Row(f"/{API}dates/?text=tomorrow", READ_WORDS),
    f"{API}activity/": Row(f"/{API}activity/", OWN_FIGURES),
    f"{API}changes/": Row(f"/{API}changes/", OWN_FIGURES),
    API: Row(f"/{API}nothing/here/", NOTHING_THERE),
    "": Row("/", FOR_EVERYBODY),
    "dashboard/": Row("/dashboard/", OWN_PAGE),
    "design/": Row("/design/", NOT_IN_SERVICE),
    "example/add/": Row("/example/add/", ANYBODYS_BUTTON),
    "example/remove/": Row("/example/remove/", ANYBODYS_BUTTON),
    "search/": Row("/search/?q=a", OWN_PAGE),
    "shortcuts/": Row("/shortcuts/", OWN_FORM, {"POST": {"single_keys": "off"}}),
    "livez": Row("/livez", FOR_EVERYBODY),
    "readyz": Row("/readyz", FOR_EVERYBODY),
    "healthz": Row("/healthz", FIGURES_FOR_STAFF),
    "metrics": Row("/metrics", FIGURES_FOR_STAFF),
    "operator/maintenance/": Row("/operator/maintenance/", STAFFS_GUARDED_PAGE),
    "operator/": Row("/operator/", STAFFS_OWN_PAGE),
    "activity/": Row("/activity/", OWN_PAGE),
    "activity/activity.csv": Row("/activity/activity.csv", OWN_PAGE),
    "activity/activity.json": Row("/activity/activity.json", OWN_PAGE),
    "files/": Row("/files/", OWN_PAGE),
    "files/<own_file:spec>/": Row("/files/users/", OWN_PAGE),
    "files/<own_file:spec>/version/": Row("/files/tasks/version/", OWN_VERSION),
    "files/<own_file:spec>/download/": Row("/files/users/download/", OWN_PAGE),
    "schemas/v1/<slug:name>.json": Row("/schemas/v1/tasks.json", FOR_EVERYBODY, public=True),
    ".well-known/security.txt": Row("/.well-known/security.txt", FOR_EVERYBODY),
    ".well-known/change-password": Row("/.well-known/change-password", POINTER),
    "favicon.ico": Row("/favicon.ico", POINTER),
    "security/": Row("/security/", FOR_EVERYBODY),
    "problems/": Row("/problems/", FOR_EVERYBODY),
    "problems/<slug:slug>/": Row("/problems/not-found/", FOR_EVERYBODY),
    "models/compare/": Row("/models/compare/?a={model}&b={model}", RECORD_PAGE),
    "models/<record_id:record_id>/": Row("/models/{model}/", RECORD_PAGE),
    "tasks/board/": Row("/tasks/board/", OWN_BOARD, {"POST": _moved}),
    "tasks/month/": Row("/tasks/month/", OWN_PAGE),
    "tasks/agenda/": Row("/tasks/agenda/", OWN_PAGE),
    "<collection:spec>/": Row("/tasks/", OWN_PAGE),
    "tasks/views/": Row("/tasks/views/", LIST_BUTTON, {"POST": {"do": "save", "name": "Mine"}}),
    "<tasks:spec>/bulk/": Row("/tasks/bulk/", LIST_BUTTON, {"POST": {"do": "complete", "id": "1"}}),
    "<tasks:spec>/<record_id:record_id>/checklist/": Row(
        "/tasks/{task}/checklist/", RECORD_BUTTON, {"POST": {"tick": "0 Nothing"}}
    ),
    "<tasks:spec>/quick/": Row("/tasks/quick/", OWN_FORM, {"POST": {"text": "Sent"}}),
    "<collection:spec>/new/": Row("/tasks/new/", OWN_FORM, {"POST": TASK}),
    "<collection:spec>/<record_id:record_id>/edit/": Row(
        "/tasks/{task}/edit/", RECORD_FORM, {"POST": TASK}
    ),
    "<collection:spec>/<record_id:record_id>/delete/": Row("/tasks/{task}/delete/", RECORD_FORM),
    "<collection:spec>/<record_id:record_id>/complete/": Row(
        "/tasks/{task}/complete/", RECORD_BUTTON
    ),
    "language/": Row("/language/", LANGUAGE, {"POST": {"language": "es"}}),
    "undo/": Row("/undo/", UNDO),
    "accounts/signup/": Row("/accounts/signup/", FOR_THOSE_OUTSIDE),
    "accounts/login/": Row("/accounts/login/", FOR_THOSE_OUTSIDE),
    "accounts/logout/": Row("/accounts/logout/", LOGOUT),
    "accounts/inactive/": Row("/accounts/inactive/", TOLD_TO_ALL),
    "accounts/profile/": Row("/accounts/profile/", OWN_SETTINGS),
    "accounts/profile/prove/": Row("/accounts/profile/prove/", OWN_BUTTON),
    "accounts/verify/": Row("/accounts/verify/", NOTHING_TO_PROVE),
    "settings/": Row("/settings/", POINTER),
    "settings/preferences/": Row("/settings/preferences/", OWN_FORM, {"POST": PREFERRED}),
    "settings/data/": Row("/settings/data/", OWN_UPLOAD),
    "settings/data/export/": Row("/settings/data/export/", OWN_PAGE),
    "accounts/delete/": Row("/accounts/delete/", OWN_SETTINGS, {"POST": {"password": "guess"}}),
    "accounts/deleted/": Row("/accounts/deleted/", ONES_OWN_RECEIPT),
    "accounts/deleted/receipt.txt": Row("/accounts/deleted/receipt.txt", ONES_OWN_RECEIPT),
    "accounts/tokens/": Row("/accounts/tokens/", GUARDED_SETTINGS),
    "accounts/tokens/<record_id:token_id>/revoke/": Row(
        "/accounts/tokens/{token}/revoke/", SETTINGS_BUTTON
    ),
    "accounts/invitations/": Row("/accounts/invitations/", OWN_SETTINGS),
    "accounts/invitations/<record_id:number>/revoke/": Row(
        "/accounts/invitations/{sign_up_invitation}/revoke/", SETTINGS_BUTTON
    ),
    "accounts/sessions/": Row("/accounts/sessions/", OWN_LOGINS),
    "accounts/sessions/end/": Row("/accounts/sessions/end/", OWN_BUTTON),
    "accounts/sessions/<record_id:session_id>/end/": Row(
        "/accounts/sessions/{session}/end/", SETTINGS_BUTTON
    ),
    "accounts/reauthenticate/": Row("/accounts/reauthenticate/", PASSWORD_CHANGE),
    "accounts/2fa/": Row("/accounts/2fa/", SECOND_FACTOR),
    "accounts/2fa/authenticate/": Row("/accounts/2fa/authenticate/", GUARDED),
    "accounts/2fa/reauthenticate/": Row("/accounts/2fa/reauthenticate/", GUARDED),
    "accounts/2fa/totp/activate/": Row("/accounts/2fa/totp/activate/", GUARDED),
    "accounts/2fa/totp/deactivate/": Row("/accounts/2fa/totp/deactivate/", NOTHING_TO_TURN_OFF),
    "accounts/2fa/codes/": Row("/accounts/2fa/codes/", NO_CODES),
    "accounts/2fa/codes/generate/": Row("/accounts/2fa/codes/generate/", GUARDED),
    "accounts/password/change/": Row("/accounts/password/change/", PASSWORD_CHANGE),
    "accounts/password/set/": Row("/accounts/password/set/", GUARDED),
    "accounts/password/reset/": Row("/accounts/password/reset/", PASSWORD_RESET),
    "accounts/password/reset/done/": Row("/accounts/password/reset/done/", TOLD_TO_ALL),
    f"accounts/{RESET_KEY}": Row("/accounts/password/reset/key/1-guessed/", PASSWORD_RESET_KEY),
    "accounts/password/reset/key/done/": Row("/accounts/password/reset/key/done/", TOLD_TO_ALL),
    "admin/login/": Row("/admin/login/", STAFF_LOGIN),
}

# The administration comes with Django and has the same rule everywhere.
SHAPES_BY_PREFIX: dict[str, Shape] = {"admin/": STAFF_ONLY}


def row_of(route: str) -> Row | None:
    """The row of a route; None when nobody has said what is to be expected of it."""
    for prefix, expected in SHAPES_BY_PREFIX.items():
        if route.startswith(prefix) and route not in ROWS:
            return Row(_example(route), expected)
    return ROWS.get(route)


def _example(route: str) -> str:
    """An address of a route that has no row of its own: 1 for every number, the first choice."""
    chosen = re.sub(r"\(\?P<app_label>(\w+)[^)]*\)", r"\1", route)
    chosen = re.sub(r"\(\?P<url>[^)]*\)", "nowhere", chosen)
    return "/" + re.sub(r"<[^>]*>", "1", re.sub(r"[\^$]", "", chosen))
