"""The limits of a caller: the calls of the hour, and how many may come at once.

In header fields after draft-ietf-httpapi-ratelimit-headers-10, and as JSON at `quota/`.
"""

from typing import Any

from utils.people.quota import Quota
from utils.people.storage import Storage

HOUR = 60 * 60  # seconds


def limit_headers(quota: Quota) -> dict[str, str]:
    """`RateLimit-Policy`, what is allowed, and `RateLimit`, what is left of it now."""
    burst = quota.burst
    policy = f'"burst";q={burst.limit};w={burst.window}'
    left = f'"burst";r={burst.remaining};t={burst.resets_in}'
    if quota.limit is not None:
        policy += f', "quota";q={quota.limit};w={HOUR}'
        left += f', "quota";r={quota.remaining};t={quota.resets_in}'
    return {"RateLimit-Policy": policy, "RateLimit": left}


def limits(quota: Quota, storage: Storage) -> dict[str, Any]:
    """The same for `quota/`, and how many calls each token made; "" stands for signed-in pages.

    `storage` is the bytes of the person's files. `limit` and `remaining` are null where there is no
    limit.
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
        },
    }
