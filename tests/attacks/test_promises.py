"""docs/security.md goes through the whole standard, and names tests that there are."""

import re
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = (PROJECT / "docs/security.md").read_text("utf-8")

# OWASP ASVS 5.0.0: how many requirements of levels 1 and 2 each section has. They come first there.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2,
    "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
    "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
    "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
    "12.1": 3, "12.2": 2, "12.3": 4,
    "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3,
    "15.1": 3, "15.2": 3, "15.3": 7,
    "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
    "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
ITEMS = [
    f"{section}.{number}" for section, last in SECTIONS.items() for number in range(1, last + 1)
]


def rows() -> list[list[str]]:
    """The cells of every row about requirements."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in DOCUMENT.splitlines()
        if line.startswith("|")
    ]
    return [row for row in cells if re.match(r"\d", row[0])]


def named(cell: str) -> list[str]:
    """The requirements that a cell names, by their numbers or by that of their section."""
    return [
        item
        for name in cell.split(", ")
        for item in ITEMS
        if item == name or item.startswith(f"{name}.")
    ]


def test_every_requirement_has_its_place() -> None:
    found = Counter(item for row in rows() for item in named(row[0]))

    assert len(ITEMS) == 253
    assert {*ITEMS} - {*found} == set()
    assert [item for item, times in found.items() if times > 1] == []


def test_no_row_names_what_is_no_requirement_and_none_is_empty() -> None:
    for row in rows():
        assert all(row), row
        assert all(named(name) for name in row[0].split(", ")), row


def test_every_row_that_is_met_names_tests_that_there_are() -> None:
    met = [row for row in rows() if len(row) == 4]
    assert len(met) > 80
    for row in met:
        tests = re.findall(r"`([^`]+)`", row[3])
        assert tests, row
        for test in tests:
            assert (PROJECT / "tests" / test).is_file(), f"{row[0]}: {test}"


def test_all_libraries_are_locked_with_their_digests() -> None:
    lock = (PROJECT / "uv.lock").read_text("utf-8")
    packages = lock.count('source = { registry = "')
    assert packages > 20
    assert len(re.findall(r'hash = "sha256:[0-9a-f]{64}"', lock)) > packages


def test_weaknesses_have_times_in_which_they_are_mended() -> None:
    promises = (PROJECT / "SECURITY.md").read_text("utf-8")
    assert re.search(r"\| critical, and reachable here \| \d+ days \|", promises)
