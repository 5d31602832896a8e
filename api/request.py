"""The request that an endpoint's handler gets."""

from collections.abc import Collection
from typing import Any

from api.operation import Operation
from utils.middleware import StorageRequest
from workspace.actor import Actor
from workspace.users.quota import Quota


class ApiRequest(StorageRequest):
    """A request with an authenticated caller. `quota` is set by handlers that count the call."""

    user: Any
    caller: Actor
    scopes: Collection[str]
    operation: Operation
    quota: Quota
    quota_before: Quota | None = None  # before the call, if the store can be read
