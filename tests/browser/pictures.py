"""Take the pictures in README and user guide: `.venv/bin/python -m tests.browser.pictures`."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import QUIETLY, chromium_path
from tests.browser.sample import PASSWORD, PERSON
from tests.server import PROJECT, Server, running_server

FOLDER = PROJECT / "docs/pictures"
# name: address, color scheme, width and height in pixels
PICTURES: Final = {
    "dashboard": ("/dashboard/", "light", 1280, 800),
    "board": ("/tasks/board/", "dark", 1280, 800),
    "model": ("/models/compare/?a={model}&b={other_model}", "light", 1280, 800),
}


def take(browser: Browser, server: Server, name: str, address: str) -> None:
    """Saves what a person sees of the page before they scroll."""
    _address, scheme, width, height = PICTURES[name]
    context = browser.new_context(
        base_url=server.address,
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]  # playwright names the schemes by Literal
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/accounts/login/")
    page.locator('[name="login"]').fill(PERSON)
    page.locator('[name="password"]').fill(PASSWORD)
    page.locator('main [type="submit"]').click()
    page.wait_for_url("**/dashboard/")
    page.goto(address)
    page.screenshot(path=FOLDER / f"{name}.png")
    context.close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    arguments = [*QUIETLY, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        named = json.loads(server.run("-m", "tests.browser.sample"))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
            for name, (address, *_look) in PICTURES.items():
                take(browser, server, name, address.format_map(named))
            browser.close()


if __name__ == "__main__":
    main()
