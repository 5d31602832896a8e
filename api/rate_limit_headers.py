"""The caller's limits: hourly quota and burst.

As header fields (draft-ietf-httpapi-ratelimit-headers-10), and as JSON at `quota/`.
"""

from typing import Any

from workspace.users.quota import Quota
from workspace.users.storage_use import Storage

HOUR = 60 * 60  # seconds


def limit_headers(quota: Quota) -> dict[str, str]:
    """Return `RateLimit-Policy`, the limits, and `RateLimit`, the remaining calls."""
    burst = quota.burst
    policy = f'"burst";q={burst.limit};w={burst.window}'
    left = f'"burst";r={burst.remaining};t={burst.resets_in}'
    if quota.limit is not None:
        policy += f', "quota";q={quota.limit};w={HOUR}'
        left += f', "quota";r={quota.remaining};t={quota.resets_in}'
    return {"RateLimit-Policy": policy, "RateLimit": left}


def limits(quota: Quota, storage: Storage) -> dict[str, Any]:
    """Return the limits for `quota/`, with the number of calls per token ("" for sessions).

    `storage` counts the bytes of the user's files, of versions set aside and of the history of the
    user's changes. `limit` and `remaining` are null without a limit.
    """
    burst = quota.burst
    return {
        "limit": quota.limit,
        "used": quota.used,
        "remaining": quota.remaining,
        "resets_in": quota.resets_in,
        "by_token": dict(quota.by_token),
        "burst": {
            "limit": burst.limit,
            "window": burst.window,
            "remaining": burst.remaining,
            "resets_in": burst.resets_in,
        },
        "storage": {
            "limit": storage.limit or None,
            "used": storage.used,
            "remaining": storage.remaining,
            "files": storage.files,
            "set_aside": storage.asides,
            "history": storage.history,
        },
    }
