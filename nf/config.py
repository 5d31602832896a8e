"""Where `nf` keeps the server's address and the token: a file that only its owner may read.

It lies where the XDG Base Directory Specification wants it:
`$XDG_CONFIG_HOME/neuralflow/config.toml`, by default under `~/.config`. `NF_SERVER` and `NF_TOKEN`
in the environment win, for scripts that keep nothing.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Final

from nf.client import Client, Failure

DEFAULT_SERVER: Final = "http://127.0.0.1:8000"


def path() -> Path:
    """The file."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative path there is invalid by the specification, and is passed over.
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "neuralflow" / "config.toml"


def load() -> Client:
    """The client that was signed in. Raises `Failure` when there is none."""
    told = _read()
    server = os.environ.get("NF_SERVER") or told.get("server") or DEFAULT_SERVER
    token = os.environ.get("NF_TOKEN") or told.get("token")
    if not token:
        failure = Failure("You are not signed in. Make a token, then: nf login")
        failure.code = 3
        raise failure
    return Client(server.rstrip("/"), token)


def save(client: Client) -> Path:
    """Keeps the server and the token; returns the file."""
    place = path()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A basic string of TOML and one of JSON are the same for what stands in these two.
    text = f"server = {json.dumps(client.server)}\ntoken = {json.dumps(client.token)}\n"
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place)
    return place


def forget() -> bool:
    """Deletes the file; tells whether there was one."""
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
