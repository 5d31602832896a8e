"""The home folder of an installation: its data, database, secret key, `.env` and static files."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def home_folder() -> Path:
    """Return the home folder. It is created if it is missing.

    It is NEURALFLOW_HOME, else the checkout that holds the code, else `neuralflow` in the user's
    data folder ($XDG_DATA_HOME, or ~/.local/share). An installed package never writes to
    site-packages.
    """
    named = os.environ.get("NEURALFLOW_HOME", "").strip()
    if named:
        folder = Path(named).expanduser().absolute()
    elif (PACKAGE / "manage.py").is_file():
        return PACKAGE
    else:
        data = os.environ.get("XDG_DATA_HOME", "").strip()
        base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
        folder = base / "neuralflow"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
