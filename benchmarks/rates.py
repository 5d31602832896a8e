"""The API's request rate with concurrent clients, against Django REST Framework and a bare view.

    .uv/bin/uv run --frozen --group bench python -m benchmarks.rates
    … python -m benchmarks.rates --rounds 1 --seconds 1  # a first look

All are served by gunicorn with the project's worker, two processes of eight threads. wrk (Debian:
`apt-get install wrk`) keeps 1, 8 and 32 connections busy; the servers take turns in each round. The
bare view returns as many bytes as a list of 100 tasks, without authentication.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from benchmarks.api import BARE, OURS, PEER, TASKS, Api, Client, served
from benchmarks.peers import task

CLIENTS = (1, 8, 32)
OPERATIONS = {"GET": f"GET of {TASKS} tasks", "POST": "POST of a task"}
_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_REFUSED = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*[1-9].*")

Rates = dict[tuple[str, int, str], list[float]]


def wrk() -> str:
    """Return the path of wrk. Exits with a message that says how to install it if it is missing."""
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("wrk is missing, which makes the calls: apt-get install wrk")
    return path


def rate(method: str, client: Client, clients: int, seconds: int, folder: Path) -> float:
    """Return how many calls per second are answered for this number of clients."""
    script = folder / "call.lua"
    headers = {"Authorization": client.authorization, "Content-Type": "application/json"}
    lines = [f"wrk.method = {json.dumps(method)}"]
    lines += [f"wrk.headers[{json.dumps(n)}] = {json.dumps(v)}" for n, v in headers.items()]
    if method == "POST":
        lines.append(f"wrk.body = {json.dumps(json.dumps(task(1)))}")
    script.write_text("\n".join(lines))
    options = ["-t", "1", "-c", str(clients), "-d", f"{seconds}s", "-s", str(script)]
    options += ["--timeout", "60s"]  # for a response: on a busy machine, 32 clients wait long
    done = subprocess.run(
        [wrk(), *options, client.url], check=True, stdout=subprocess.PIPE, text=True
    )
    match = _RATE.search(done.stdout)
    if match is None or _REFUSED.search(done.stdout):
        raise SystemExit(done.stdout)
    return float(match[1])


def warm_up(client: Client) -> None:
    """Wait until the server's processes have loaded everything that a response needs."""
    request = Request(client.url, headers={"Authorization": client.authorization})
    for _call in range(20):  # a new connection each, so that both processes get some
        with urlopen(request, timeout=120) as answer:
            answer.read()


def measured(rounds: int, seconds: int, clients: Sequence[int], methods: Iterable[str]) -> Rates:
    """Return the rates by method, clients and API, one per round. Each round has new servers."""
    rates: Rates = {}
    methods = list(methods)
    for _round in range(rounds):
        with TemporaryDirectory(prefix="benchmark-") as name, ExitStack() as stack:
            folder = Path(name)
            open_ = {api: stack.enter_context(served(api, folder)) for api in (OURS, PEER, BARE)}
            for client in open_.values():
                warm_up(client)
            for method in methods:
                for count in clients:
                    for api, client in open_.items():
                        if method == "POST" and api is BARE:
                            continue
                        figure = rate(method, client, count, seconds, folder)
                        rates.setdefault((method, count, api.name), []).append(figure)
    return rates


def report(rates: Rates) -> str:
    """Return a table of calls per second, with NeuralFlow's rate as a multiple of each peer's."""
    names = [api.name for api in (OURS, PEER, BARE)]
    lines = [
        "**Calls a second, median of the rounds (ours in multiples of it)**\n",
        f"| | clients | {' | '.join(names)} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    for method, count in dict.fromkeys((method, count) for method, count, _name in rates):
        cells = [_cell(rates, method, count, api) for api in (OURS, PEER, BARE)]
        lines.append(f"| {OPERATIONS[method]} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rates: Rates, method: str, count: int, api: Api) -> str:
    figures = rates.get((method, count, api.name))
    if figures is None:
        return ""
    ours = rates[method, count, OURS.name]
    # The ratio is taken within each round: the machine may be busier in the next.
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, figures, strict=True))
    text = f"{statistics.median(figures):,.0f}"
    return text if api is OURS else f"{text} ({ratio:.2f} x)"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="with new servers each")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--methods", nargs="+", default=list(OPERATIONS), choices=OPERATIONS)
    options = parser.parse_args(None if arguments is None else list(arguments))
    wrk()
    print(report(measured(options.rounds, options.seconds, options.clients, options.methods)))


if __name__ == "__main__":
    main()
