"""Run this Python process under another clock: TEST_CLOCK_AHEAD says how many seconds it is ahead.

Python imports this module by itself where its folder is on PYTHONPATH, in child processes, too: a
test, its server and its commands agree on the time. `tests.harness.clocks` sets both variables.
File times are ahead as well, since the store compares them with the clock.
"""

import os

AHEAD = round(float(os.environ.get("TEST_CLOCK_AHEAD") or 0))

if AHEAD:
    import functools
    import time

    import time_machine

    TIMES = ("st_atime", "st_mtime", "st_ctime")

    def _ahead(status):
        kind, (items, names) = status.__reduce__()
        names = dict(names)
        for name in TIMES:
            names[name] += AHEAD
            names[f"{name}_ns"] += AHEAD * 10**9
        return kind((*items[:7], *(seconds + AHEAD for seconds in items[7:10]), *items[10:]), names)

    def _shifted(function):
        @functools.wraps(function)
        def status(*arguments, **named):
            return _ahead(function(*arguments, **named))

        return status

    def _utime(path, times=None, *, ns=None, **named):
        if times is not None:
            named["times"] = tuple(seconds - AHEAD for seconds in times)
        elif ns is not None:
            named["ns"] = tuple(nanoseconds - AHEAD * 10**9 for nanoseconds in ns)
        return _REAL_UTIME(path, **named)

    _REAL_UTIME = os.utime
    for _name, _replacement in (
        ("stat", _shifted(os.stat)),
        ("lstat", _shifted(os.lstat)),
        ("fstat", _shifted(os.fstat)),
        ("utime", functools.wraps(os.utime)(_utime)),
    ):
        for _able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            if getattr(os, _name) in _able:
                _able.add(_replacement)
        setattr(os, _name, _replacement)

    time_machine.travel(time.time() + AHEAD, tick=True).start()
