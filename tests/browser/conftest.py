"""A served NeuralFlow of its own, and pages of Debian's Chromium that are watched.

Every test runs with a phone in the dark and with a wide screen in the light. With TEST_LOOKS=all it
runs in all four combinations and saves pictures: `make screenshots`, `make soak ARGS=looks`.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.server import PROJECT, Server, running_server

SHOTS = PROJECT / "test-results"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AXE = Axe()
# Without `resultTypes` axe describes every node that passes as well, which takes most of its time.
CHECKS = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
VIOLATIONS = "async checks => (await axe.run(checks)).violations"
# Without these Chromium asks its maker for updates and lists.
QUIETLY = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
LOOKS = {
    f"{device}-{scheme}": (width, height, scheme)
    for device, width, height in [("phone", 390, 844), ("wide", 1280, 800)]
    for scheme in ("light", "dark")
}
ALL_LOOKS = os.environ.get("TEST_LOOKS") == "all"
# Each width and each colour scheme once: rendering takes most of the time of the whole suite.
SAMPLE_OF_LOOKS = ["phone-dark", "wide-light"]


def chromium_path() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def missing_packages() -> list[str]:
    missing = [] if chromium_path() else ["chromium"]
    try:
        ctypes.CDLL("libatomic.so.1")  # the driver of Playwright needs it
    except OSError:
        missing.append("libatomic1")
    return missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    packages = " ".join(missing_packages())
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            if packages:
                reason = f"no browser to test with: apt-get install {packages}, and run again"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    # Not for the session: while Playwright runs, Django refuses the database to this thread.
    with sync_playwright() as playwright:
        arguments = [*QUIETLY, "--disable-gpu"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # root has no user namespace to put it in
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=LOOKS if ALL_LOOKS else SAMPLE_OF_LOOKS)
def context(
    request: pytest.FixtureRequest, chromium: Browser, server: Server
) -> Iterator[BrowserContext]:
    width, height, scheme = LOOKS[request.param]
    context = chromium.new_context(
        base_url=server.address,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)  # a busy machine is no fault of the page
    yield context
    context.close()


# What the browser and htmx say of refusals that a walk asked for, of a network that it cut, and of
# a page that it left before a part of it had come.
BY_THE_WALK = (
    "status of 4",
    "ERR_INTERNET_DISCONNECTED",
    "htmx:sendError",
    "htmx:sendAbort",
    "htmx:afterRequest",
)


def press(button: Locator) -> None:
    """Presses it; where this sends a form, waits for the answer and for the page that follows.

    What is left before the server has answered may not be saved, and the browser refuses an
    address that is asked for while another page is on its way.
    """
    page, loaded = button.page, list[Page]()
    if not button.evaluate("button => button.type === 'submit' && button.form?.method === 'post'"):
        button.click()
        return

    def note(page: Page) -> None:
        loaded.append(page)

    page.on("load", note)
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        button.click()
    if answer.value.request.is_navigation_request() and not loaded:
        page.wait_for_event("load")
    page.remove_listener("load", note)


def follow(link: Locator) -> None:
    """Click the link and wait for the page that it leads to.

    What is looked at before the browser has begun to load is the old page, or none.
    """
    with link.page.expect_navigation():
        link.click()


class Visitor:
    """One tab, and everything that must not happen in it."""

    def __init__(self, page: Page, server: Server, look: str) -> None:
        self.page, self.server, self.look = page, server, look
        self.complaints: list[str] = []
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str) -> None:
        expected = any(words in text for words in BY_THE_WALK)
        if kind in ("error", "warning") and not expected:
            self.complaints.append(f"console: {text}")

    def _see(self, url: str) -> None:
        if not url.startswith((self.server.address, "data:")):
            self.complaints.append(f"asked another host: {url}")

    def go(self, path: str, name: str = "") -> None:
        self.page.goto(path)
        if name:
            self.look_at(name)

    def press(self, name: str) -> None:
        press(self.page.get_by_role("button", name=name, exact=True))

    def look_at(self, name: str) -> None:
        """Checks what every page must keep, and saves a picture of it where pictures are wanted."""
        self.take_picture(name, full_page=True)
        self.page.evaluate(AXE.axe_script)
        found = self.page.evaluate(VIOLATIONS, CHECKS)
        faults = [f"{v['id']}: {[node['html'][:200] for node in v['nodes']]}" for v in found]
        assert not faults, f"{self.page.url}\n" + "\n".join(faults)
        across = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(across) <= 0, f"{self.page.url} scrolls sideways"
        assert self.complaints == []

    def take_picture(self, name: str, *, full_page: bool = False) -> None:
        """Saves a picture of the page in test-results, if pictures are wanted."""
        if ALL_LOOKS:
            SHOTS.mkdir(exist_ok=True)
            # A hidden caret would leave an empty style in the page, which htmx carries along.
            path = SHOTS / f"{name}-{self.look}.png"
            self.page.screenshot(path=path, full_page=full_page, caret="initial")


@pytest.fixture
def visitor(
    context: BrowserContext, server: Server, request: pytest.FixtureRequest
) -> Iterator[Visitor]:
    look = request.node.callspec.params["context"]
    visitor = Visitor(context.new_page(), server, look)
    yield visitor
    assert visitor.complaints == []
