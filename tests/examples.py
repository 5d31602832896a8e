"""How many examples a property is tried with: few in `make test`, more in the soak."""

import os

IN_SOAK = float(os.environ.get("TEST_EXAMPLES") or 1) > 1  # no case is left out


def examples(count: int) -> int:
    """Return `count` times TEST_EXAMPLES, which is 1 by default."""
    return max(1, round(count * float(os.environ.get("TEST_EXAMPLES") or 1)))
