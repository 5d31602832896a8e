"""Store the server's address and the token in a file that only its owner can read.

The path follows the XDG Base Directory Specification: `$XDG_CONFIG_HOME/neuralflow/config.toml`, by
default under `~/.config`. The variables `NF_SERVER` and `NF_TOKEN` take precedence, for scripts
that store no token. The numbers of the latest command's commits, for `nf undo`, are in
`$XDG_STATE_HOME/neuralflow/undo.json`, by default under `~/.local/state`.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nf.client import ApiClient, Failure

DEFAULT_SERVER: Final = "http://127.0.0.1:8000"


def path() -> Path:
    """Return the path of the configuration file."""
    return _folder("XDG_CONFIG_HOME", ".config") / "config.toml"


def undo_path() -> Path:
    """Return the path of the file with the latest command's commit numbers."""
    return _folder("XDG_STATE_HOME", ".local/state") / "undo.json"


def _folder(variable: str, default: str) -> Path:
    base = os.environ.get(variable, "")
    # The specification says to ignore relative paths.
    folder = Path(base) if base.startswith("/") else Path.home() / default
    return folder / "neuralflow"


def load() -> ApiClient:
    """Return a client for the stored credentials. Raises `Failure` if there are none."""
    stored = _read()
    server = os.environ.get("NF_SERVER", "").strip() or stored.get("server") or DEFAULT_SERVER
    token = os.environ.get("NF_TOKEN", "").strip() or stored.get("token", "").strip()
    if not token:
        failure = Failure("You are not signed in. Make a token, then: nf login")
        failure.code = 3
        raise failure
    address = checked_address(server)
    return ApiClient(address, checked_token(token), ConfigChanges(address))


def checked_address(server: str) -> str:
    """Return a server address without its trailing slash. Raises `Failure` if invalid."""
    address = server.strip().rstrip("/")
    parts = urlsplit(address)
    is_address = parts.scheme in {"http", "https"} and parts.netloc and address.isprintable()
    if not is_address or parts.path or parts.query or " " in address:
        raise Failure(f"{address} is no address of a server; one is like {DEFAULT_SERVER}")
    return address


def checked_token(token: str) -> str:
    """Return a token that is valid in a header field. Raises `Failure`."""
    if not re.fullmatch(r"[!-~]+", token):
        raise Failure(
            "The token holds a space, a line break or another strange character. Copy it anew."
        )
    return token


class ConfigChanges:
    """A callback that stores the commit numbers of this command as they arrive."""

    def __init__(self, server: str) -> None:
        self._server, self._numbers = server, list[int]()

    def __call__(self, number: int) -> None:
        self._numbers.append(number)
        store_changes(self._server, self._numbers)


def store_changes(server: str, numbers: Sequence[int]) -> None:
    """Store the commit numbers that `nf undo` takes back, oldest first."""
    text = json.dumps({"server": server, "changes": numbers})
    place = undo_path()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(place)
    except OSError:  # only `nf undo` depends on this file
        pass


def latest_changes(server: str) -> list[int]:
    """Return the commit numbers of the latest command on a server, oldest first."""
    try:
        stored = json.loads(undo_path().read_text(encoding="utf-8"))
        if stored["server"] != server:
            return []
        return [int(number) for number in stored["changes"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def save(client: ApiClient) -> Path:
    """Store the server and the token. Return the path of the file."""
    place = path()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # For these ASCII values, JSON strings are valid basic strings of TOML.
    text = f"server = {json.dumps(client.server)}\ntoken = {json.dumps(client.token)}\n"
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place)
    return place


def forget() -> bool:
    """Delete the file. Return whether it existed."""
    try:
        path().unlink()
    except FileNotFoundError:
        return False
    return True


def _read() -> dict[str, str]:
    place = path()
    try:
        content = tomllib.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        raise Failure(
            f"{place} cannot be read: {fault}. Mend it, or delete it and: nf login"
        ) from None
    return {name: value for name, value in content.items() if isinstance(value, str)}
