"""The room of settings: how pages are, and everything out and in again."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, follow
from tests.browser.test_pages import sign_up, some_looks


@some_looks
def test_pages_are_as_one_chooses(visitor: Visitor) -> None:
    page = visitor.page
    sign_up(visitor, "chooses")
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    visitor.go("/settings/preferences/", "settings-preferences")
    told = page.get_by_label("Time zone").locator("option").first
    expect(told).to_have_text(f"Browser time zone ({zone})")
    page.get_by_label("Dark" if visitor.look.endswith("light") else "Light").check()
    page.get_by_label("Language").select_option("es")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    visitor.press("Save")
    expect(page.locator("#messages")).to_contain_text("Se guardaron tus ajustes.")
    visitor.look_at("settings-preferences-spanish")
    shade = "dark" if visitor.look.endswith("light") else "light"
    expect(page.locator("html")).to_have_attribute("data-theme", shade)
    expect(page.locator("html")).to_have_css("color-scheme", shade)

    visitor.go("/tasks/new/")
    page.get_by_label("Título", exact=True).fill("Entrenar el modelo")
    page.get_by_label("Vence").fill("2035-12-01 09:00")
    visitor.look_at("task-new-spanish")
    visitor.press("Guardar")
    expect(page.get_by_role("main")).to_contain_text("1 dic 2035, 09:00")
    visitor.look_at("tasks-spanish")
    visitor.go("/dashboard/", "dashboard-spanish")


@some_looks
def test_everything_goes_out_and_comes_in_again(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    sign_up(visitor, "portable")
    visitor.go("/tasks/new/")
    page.get_by_label("Title", exact=True).fill("Train the baseline")
    visitor.press("Save")
    visitor.go("/settings/data/", "settings-data")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export all data").click()
    archive = tmp_path / "mine.zip"
    download.value.save_as(archive)

    visitor.go("/tasks/")
    follow(page.get_by_role("link", name="Delete Train the baseline"))
    visitor.press("Delete")
    expect(page.get_by_role("main")).to_contain_text("No tasks yet")
    visitor.go("/settings/data/")
    page.get_by_label("Archive", exact=True).set_input_files(archive)
    visitor.press("Preview")
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    visitor.look_at("settings-data-looked-at")
    visitor.press("Import")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    visitor.look_at("settings-data-done")

    page.get_by_label("Archive", exact=True).set_input_files(
        {"name": "x.zip", "mimeType": "application/zip", "buffer": b"PK and no more"}
    )
    visitor.press("Preview")
    expect(page.get_by_role("alert")).to_contain_text("cannot be imported")
    visitor.look_at("settings-data-refused")

    visitor.go("/tasks/")
    expect(page.get_by_role("link", name="Train the baseline", exact=True)).to_be_visible()
