"""What a caller is told of their limits: the month's calls, and how many may come at once.

In header fields after draft-ietf-httpapi-ratelimit-headers-10, and as JSON at `quota/`.
"""

from typing import Any

from utils.people.quota import Quota

MONTH = 31 * 24 * 60 * 60  # seconds: the longest that the month's calls have to last


def limit_headers(quota: Quota) -> dict[str, str]:
    """`RateLimit-Policy`, what is allowed, and `RateLimit`, what is left of it now."""
    burst = quota.burst
    return {
        "RateLimit-Policy": (
            f'"burst";q={burst.limit};w={burst.window}, "quota";q={quota.limit};w={MONTH}'
        ),
        "RateLimit": (
            f'"burst";r={burst.remaining};t={burst.resets_in}, '
            f'"quota";r={quota.remaining};t={quota.resets_in}'
        ),
    }


def limits(quota: Quota) -> dict[str, Any]:
    """The same for `quota/`, and how many calls each token made; "" stands for signed-in pages."""
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
    }
