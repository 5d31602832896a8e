"""Strangers choose what stands in messages; they cannot choose where a line ends."""

import json
import logging
import sys

import pytest

from neuralflow.logging_config import JsonFormatter, LineFormatter

FORGED = (
    "/\r\n2026-01-01T00:00:00.000Z INFO accounts: all is well\x1b[2J\u2028\u0085\u202e\u200b\udc9b"
)


def record(message: str, *arguments: object, fault: str = "") -> logging.LogRecord:
    trace = None
    if fault:
        try:
            raise ValueError(fault)
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("app", logging.WARNING, "file.py", 1, message, arguments, trace)


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_an_event_is_one_line(formatter: logging.Formatter) -> None:
    line = formatter.format(record("Not found: %s", FORGED))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_machines_read_json() -> None:
    event = json.loads(JsonFormatter().format(record("Not found: %s", FORGED, fault="why")))
    assert event["level"] == "WARNING"
    assert event["logger"] == "app"
    assert event["message"] == f"Not found: {FORGED}"
    assert event["time"].endswith("Z")
    assert "ValueError: why" in event["traceback"]


def test_lines_of_a_traceback_are_indented() -> None:
    first, *rest = LineFormatter().format(record("It broke", fault=FORGED)).splitlines()
    assert first.endswith("WARNING app: It broke")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "ValueError" in rest[-1] or any("ValueError" in line for line in rest)


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_log_of_disallowed_host_is_one_line(
    formatter: logging.Formatter,
) -> None:
    refused = record("Invalid HTTP_HOST header: %s", "evil", fault="why")
    refused.name = "django.security.DisallowedHost"
    line = formatter.format(refused)
    assert "evil" in line
    assert "ValueError" not in line


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_keys_of_links_for_new_passwords_are_left_out(formatter: logging.Formatter) -> None:
    path = "/accounts/password/reset/key/3-div5l6-4412aaeacbb786058ee88a435a620493/"
    line = formatter.format(record("Method Not Allowed: %s", path, fault=f"broke at {path}"))
    assert "4412aaea" not in line
    assert line.count("/accounts/password/reset/key/...") == 2
