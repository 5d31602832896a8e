"""The project: settings, addresses, and how it is served.

In any program of this environment, `from neuralflow import storage` is the storage of the settings.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.json_storage import JSONStorageManager

    storage: JSONStorageManager


def __getattr__(name: str) -> "JSONStorageManager":
    """Return `storage`, now that it is asked for: settings must not import it."""
    if name != "storage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    from utils.json_storage import json_storage

    return json_storage
