"""A client of server-sent events, by the rules of the HTML standard as far as they matter here."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from types import TracebackType
from typing import Any

from tests.server import Person

PATIENCE = 60  # seconds, on a busy machine


class Stream:
    """An open stream of a person's changes. `latest` is the number to come back with."""

    def __init__(self, person: Person, since: int | None = None) -> None:
        self._connection = HTTPConnection("127.0.0.1", person.server.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"}
        if since is not None:
            headers["Last-Event-ID"] = str(since)
        self._connection.request("GET", "/accounts/api/changes/", headers=headers)
        self.response = self._connection.getresponse()
        self.status = self.response.status
        self.latest = since

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[Any]:
        """The changes as they come, until the server ends the stream. As most clients do, it takes
        every block with a field for an event, and reads its data as JSON."""
        data, latest, name, fields = "", self.latest, "message", 0
        for line in self.response:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            fields += bool(field)
            if field == "data":
                data += value
            elif field == "id":
                latest = int(value)
                assert latest >= (self.latest or 0), "it went back"
            elif field == "event":
                name = value
            elif line == b"\n":
                self.latest = latest
                event = json.loads(data) if fields else None
                if event is not None and name == "message":
                    yield event
                data, name, fields = "", "message", 0

    def begun(self) -> "Stream":
        """The same, once it is known where it begins."""
        assert self.status == 200
        while self.latest is None:
            line = self.response.readline()
            if line.startswith(b"data: "):
                self.latest = json.loads(line.removeprefix(b"data: "))["next"]
        return self
