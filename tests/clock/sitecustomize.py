"""Run this Python process under another clock: TEST_CLOCK_AHEAD says how many seconds it is ahead.

Python imports this module by itself where its folder is on PYTHONPATH, in child processes, too: a
test, its server and its commands agree on the time. `tests.harness.clocks` sets both variables.
"""

import os

AHEAD = float(os.environ.get("TEST_CLOCK_AHEAD") or 0)

if AHEAD:
    import time

    import time_machine

    time_machine.travel(time.time() + AHEAD, tick=True).start()
