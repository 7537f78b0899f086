"""The main job in a real browser: open a link, forget a class, look at pictures, click in the charts."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import click_point, hover_point, settle, text, until_link, until_said

pytestmark = pytest.mark.browser


def forget(page, name: str) -> None:
    page.locator(".st-key-forget").get_by_text(name, exact=True).click()
    until_link(page, f"forget={name}")
    page.locator("h1", has_text=f"“{name}”").wait_for()


def opened(visit, path: str, title: str):
    """A page from a cold deep link, with its frame."""
    page = visit(path)
    assert page.locator("h1").inner_text().startswith(title) and "“3”" in page.locator("h1").inner_text()
    page.get_by_test_id("stSidebar").get_by_text("Behaves as if it had forgotten").wait_for()
    page.locator(".st-key-strip .js-plotly-plot").wait_for()
    return page


def test_forget_by_switch_and_gallery(visit):
    page = opened(visit, "/?network=digits-cnn&forget=3&split=train", "What changes")
    said = {re.search(r"Of \d.*", text(page)).group()}
    forget(page, "8")
    until_said(page, r"Of \d+ pictures of “8”")
    said.add(re.search(r"Of \d.*", text(page)).group())
    page.reload()
    until_said(page, r"Of \d+ pictures of “8”")
    assert len(said) == 2 and re.search(r"Of \d.*", text(page)).group() in said
    cards = page.locator(".st-key-gallery button")
    cards.nth(11).wait_for()
    before = [card.get_attribute("aria-label") for card in cards.all()]
    assert len(before) == 12 and sum("8: before" in label for label in before) == 6
    cards.nth(9).click()
    page.locator(".st-key-gallery button:nth-child(10)[aria-pressed=true]").wait_for()
    cards.nth(2).focus()
    page.keyboard.press("Enter")
    page.locator(".st-key-gallery button:nth-child(3)[aria-pressed=true]").wait_for()
    page.get_by_role("button", name="Other pictures").click()
    page.wait_for_function(
        """before => { const root = document.querySelector(".st-key-gallery");
            const cards = [...root.querySelectorAll("*")].flatMap(e => [...(e.shadowRoot?.querySelectorAll("button") ?? [])]);
            return cards.length === 12 && cards.some((c, i) => c.getAttribute("aria-label") !== before[i]); }""",
        arg=before,
    )


def test_pictures_of_ones_own(visit):
    page = visit("/?forget=3&source=draw")
    canvas = page.locator("canvas[role=img]")
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"]
    page.mouse.move(x, y + 40)
    page.mouse.down()
    page.mouse.move(x, y + box["height"] - 40, steps=12)
    page.mouse.up()
    page.get_by_text("what the network sees").wait_for()
    until_said(page, "[Ww]as “\\d”")
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("what the network sees").wait_for(state="detached")
    page.locator(".st-key-source").get_by_text("upload", exact=True).click()
    field = page.locator(".st-key-upload input[type=file]")
    field.wait_for(state="attached")
    picture = io.BytesIO()
    Image.fromarray(np.full((20, 30, 4), 128, np.uint8)).save(picture, "PNG")
    field.set_input_files({"name": "grey.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    page.get_by_text("what the network sees").wait_for()
    field.set_input_files({"name": "text.png", "mimeType": "image/png", "buffer": b"no picture at all"})
    page.get_by_text("no picture that can be read").wait_for()
    settle(page)
    assert page.get_by_test_id("stException").count() == 0


def test_the_class_travels_through_the_pages(visit):
    page = visit("/?forget=5", width=1600)
    for name, title in (("Filters", "Which"), ("Before and after", "mix up"), ("Forget", "What changes")):
        page.get_by_role("link", name=name, exact=True).click()
        page.locator("h1", has_text=title).filter(has_text="“5”").wait_for()
        until_link(page, "forget=5")


def test_two_visitors_do_not_disturb_each_other(visit, browser):
    """Both switch without waiting for the other, each on a network of its own."""
    first = visit("/?forget=3&network=digits-cnn")
    second = visit("/?forget=7&network=digits-vit_micro", inside=browser.new_context())
    for one, other in (("1", "6"), ("4", "0"), ("3", "7")):
        first.locator(".st-key-forget").get_by_text(one, exact=True).click()
        second.locator(".st-key-forget").get_by_text(other, exact=True).click()
    for page, name, network in ((first, "3", "digits-cnn"), (second, "7", "digits-vit_micro")):
        until_said(page, rf"Of \d+ pictures of “{name}”")
        until_link(page, f"forget={name}")
        assert f"“{name}”" in page.locator("h1").inner_text()
        assert page.get_by_test_id("stSidebar").get_by_role("combobox", name="Network").input_value() == network


def test_filters_by_click_view_and_link(visit):
    page = opened(visit, "/filters?network=digits-cnn&forget=3&shared=1", "Which filters")

    def opacities() -> list[str]:
        return page.evaluate("[...document.querySelectorAll('.st-key-graph .scatterlayer .trace')].map(t => t.style.opacity)")

    before = opacities()
    assert float(min(before)) < 0.2  # lines that nobody asked about
    hover_point(page, "graph", ["class", 4])
    page.locator(".st-key-graph .lit path").first.wait_for(state="attached")
    assert opacities() != before
    page.mouse.move(5, 5)
    page.locator(".st-key-graph .lit").wait_for(state="detached")
    assert opacities() == before
    click_point(page, "graph", ["class", 4])
    until_link(page, "isolate=class+4")
    until_said(page, "“4” in ")
    click_point(page, "graph", ["class", 4])
    until_link(page, without="isolate")
    for view, found in (("table", "[data-testid=stDataFrame]"), ("graph", ".st-key-graph"), ("matrix", ".st-key-matrix .js-plotly-plot")):
        page.locator(".st-key-view").get_by_text(view, exact=True).click()
        page.locator(found).first.wait_for()
        until_link(page, *([f"view={view}"] if view != "graph" else []))
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert all(part in link for part in ("network=", "forget=3", "view=matrix", "split=test"))


def test_clicks_in_the_matrices(visit):
    page = opened(visit, "/before_after?network=digits-cnn&forget=3", "What does the network mix up")
    for chart, (true, taken) in (("before", (3, 3)), ("after", (2, 2)), ("difference", (3, 3))):
        click_point(page, chart, [true, taken])
        until_link(page, f"true={true}", f"taken={taken}")
        until_said(page, rf"\d+ pictures? of “{true}” taken for “{taken}” before")
    page.locator(".st-key-cell_before [role=img]").nth(11).wait_for()  # to look at: nothing happens on a click
    assert page.locator(".st-key-cell_before button").count() == 0
    click_point(page, "collateral", [6, 2])
    until_link(page, "forget=6")
    page.locator("h1", has_text="“6”").wait_for()
