"""Values of the current request: its id, and the results of its changes.

The middleware sets and resets them at the start of each request.
"""

from contextvars import ContextVar

from workspace.users.quota import Quota

# The id of the current request, recorded in its commits.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# The number of the latest commit in this context, or 0.
latest_commit: ContextVar[int] = ContextVar("latest_commit", default=0)

# The caller's quota after the latest metered change in this context.
latest_quota: ContextVar[Quota | None] = ContextVar("latest_quota", default=None)
