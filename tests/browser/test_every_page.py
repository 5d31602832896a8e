"""Every page there is, in the light, in the dark and on a phone: looked at by axe, watched for
complaints of the browser, and weighed. The pictures are in test-results (`make screenshots`).

The addresses are those of the attack matrix, which knows every route: a new page is looked at as
soon as it has a row there.
"""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Request

from tests.attacks.rows import FOR_THOSE_OUTSIDE, ROWS
from tests.browser.conftest import Server, Visitor
from tests.browser.sample import PASSWORD, PERSON
from tests.server import running_server

PAGE_BYTES = 60_000  # of one page, as it travels
ASSET_BYTES = 150_000  # of all that pages share
PAGES_AT_LEAST = 45

NOT_OURS = ("/admin/",)  # Django's own pages for operators
FURTHER = (
    "/tasks/?q=nothing+fits",
    "/projects/",
    "/projects/new/",
    "/projects/{project}/edit/",
    "/models/",
    "/models/?view=table",
    "/models/new/",
    "/models/{model}/edit/",
    "/models/compare/?a={model}&b={other_model}",
    "/files/tasks/",
    "/nowhere/",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("every-page")) as server:
        yield server


@pytest.fixture(scope="module")
def named(server: Server) -> dict[str, int]:
    """The people and records of the sample, by the names that addresses have for them."""
    named: dict[str, int] = json.loads(server.run("-m", "tests.browser.sample"))
    return named


def signed_in(visitor: Visitor) -> None:
    visitor.page.goto("/accounts/login/")
    visitor.page.locator('[name="login"]').fill(PERSON)
    visitor.page.locator('[name="password"]').fill(PASSWORD)
    visitor.page.locator('main [type="submit"]').click()
    visitor.page.wait_for_url("**/dashboard/")


PAGES_OF_A_PERSON: dict[str, bool] = {}  # whether an address is a page; asked once for all looks
PAGES_OUTSIDE: dict[str, bool] = {}


def is_page(context: BrowserContext, address: str) -> bool:
    """Whether a page is answered there, and not a file, a redirect or a refusal of the method."""
    answer = context.request.get(address, max_redirects=0)
    is_html = answer.headers.get("content-type", "").startswith("text/html")
    return answer.status in (200, 404) and is_html


class Scales:
    """Weighs what travels, the first time that it does."""

    def __init__(self, page: Page) -> None:
        self.assets: dict[str, int] = {}
        page.on("requestfinished", lambda request: self._finished.append(request))
        self._finished: list[Request] = []

    def page_bytes(self) -> int:
        """What the page weighs that was gone to last."""
        weight = 0
        for request in self._finished:
            try:
                sizes = request.sizes()
            except Error:  # a page left before it was whole
                continue
            size = sizes["responseBodySize"] + sizes["responseHeadersSize"]
            if "/static/" in request.url:
                self.assets.setdefault(request.url, size)
            elif request.is_navigation_request():
                weight = size
        self._finished.clear()
        return weight


def looked_at(
    visitor: Visitor, scales: Scales, addresses: list[str], are_pages: dict[str, bool]
) -> list[str]:
    """Goes to every page among these; what is wrong with them."""
    faults, seen = [], 0
    for address in addresses:
        if address not in are_pages:
            are_pages[address] = is_page(visitor.page.context, address)
        if not are_pages[address]:
            continue
        visitor.page.goto(address)
        visitor.page.wait_for_load_state()
        seen += 1
        weight = scales.page_bytes()
        if weight >= PAGE_BYTES:
            faults.append(f"{address} weighs {weight:,} bytes")
        try:
            visitor.look_at(re.sub(r"\W+", "-", address).strip("-") or "home")
        except AssertionError as fault:
            faults.append(str(fault))
            visitor.complaints.clear()
    shared = sum(scales.assets.values())
    if shared >= ASSET_BYTES:
        faults.append(f"what pages share weighs {shared:,} bytes")
    print(f"{seen} pages; what they share weighs {shared:,} bytes")
    return [f"only {seen} pages", *faults] if seen < min(len(addresses), 3) else faults


def test_every_page_of_a_person(visitor: Visitor, named: dict[str, int]) -> None:
    patterns = {row.address for row in ROWS.values()} | set(FURTHER)
    addresses = [pattern.format_map(named) for pattern in sorted(patterns)]
    pages = [
        address
        for address in addresses
        if not address.startswith(NOT_OURS)
        and ("/api/" not in address or address.endswith("/docs/"))
    ]
    assert len(pages) > PAGES_AT_LEAST
    scales = Scales(visitor.page)
    signed_in(visitor)
    scales.page_bytes()
    assert looked_at(visitor, scales, pages, PAGES_OF_A_PERSON) == []


def test_every_page_for_who_has_not_signed_in(visitor: Visitor) -> None:
    outside = {row.address for row in ROWS.values() if row.shape is FOR_THOSE_OUTSIDE}
    pages = sorted({"/", "/accounts/password/reset/", *outside})
    assert looked_at(visitor, Scales(visitor.page), pages, PAGES_OUTSIDE) == []
