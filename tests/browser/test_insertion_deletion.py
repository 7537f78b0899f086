"""The curves play in the browser, by mouse and by keyboard, and a link opens them where they were left."""

import pytest

from tests.browser.conftest import settle

pytestmark = pytest.mark.browser
PATH = "/insertion_deletion?network=digits-cnn&forget=3"


def drawn(page) -> list[int]:
    """How many points of every curve are drawn, and how many gates are open in the row below."""
    return page.evaluate(
        """() => {
            const data = document.querySelector(".st-key-curve .js-plotly-plot")._fullData;
            const row = Array.from(data.find(t => t.type === "heatmap").z[0]);
            return [...data.filter(t => t.type === "scatter").slice(5, 9).map(t => t.x.length), row.filter(g => g > 0.5).length];
        }"""
    )


def step(page) -> int:
    return int(page.locator("input.place").input_value())


def rested(page, at: int) -> None:
    """Wait until the server has put the step into the link."""
    page.wait_for_function(f"new URLSearchParams(location.search).get('step') === '{at}'")
    settle(page)


def test_it_plays_pauses_and_reaches_the_end(visit):
    page = visit(PATH)
    for mode in ("insertion", "deletion"):
        if mode == "deletion":
            page.locator(".st-key-mode").get_by_text(mode, exact=True).click()
            page.wait_for_function("location.search.includes('mode=deletion') && !location.search.includes('step=')")
            settle(page)
        play = page.locator("button.play")
        assert play.get_attribute("aria-label") == "Play"  # nothing moves before it is asked to
        start = step(page)
        assert start < 21 and drawn(page)[:4] == [start + 1] * 4
        page.locator("select.speed").select_option("fast")
        play.click()
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_role("button", name="Play").wait_for()  # it has come to its end
        rested(page, 21)
        assert step(page) == 21 and drawn(page)[:4] == [22] * 4
        assert drawn(page)[4] == (288 if mode == "insertion" else 0)
        assert "288 of 288 filters" in page.locator(".said").inner_text()
    play.click()  # once more from the start
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Pause").click()
    rested(page, at := step(page))
    assert at < 21 and step(page) == at and drawn(page)[:4] == [at + 1] * 4


def test_step_by_step_with_the_keyboard(visit):
    page = visit(f"{PATH}&step=4")
    assert step(page) == 4 and drawn(page)[:4] == [5] * 4
    words, open_gates = page.locator(".said").inner_text(), drawn(page)[4]
    page.locator("input.place").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    rested(page, 10)
    assert step(page) == 10 and drawn(page)[:4] == [11] * 4 and drawn(page)[4] > open_gates
    assert page.locator(".said").inner_text() != words
    assert page.locator("input.place").get_attribute("aria-valuetext") == page.locator(".said").inner_text()
    page.locator("button.back").focus()
    page.keyboard.press("Enter")
    rested(page, 9)
    page.reload()
    settle(page)
    assert step(page) == 9 and drawn(page)[:4] == [10] * 4

    def chances() -> list[float]:
        return [float(c.inner_text().split()[0]) for c in page.locator(".picture .words span:last-child").all()]

    page.locator("input.place").fill("0")
    settle(page)
    low = chances()
    page.locator("input.place").fill("21")
    settle(page)
    assert len(low) == 3 and all(a < 50 < b for a, b in zip(low, chances(), strict=True))
    assert page.locator(".picture img").first.get_attribute("alt") == "a picture of “3”"


def test_maps_change_with_the_picture(visit):
    page = visit("/where?network=digits-cnn&forget=3&method=occlusion")
    page.locator(".st-key-map_difference .js-plotly-plot").wait_for()

    def values():
        return page.evaluate("Array.from(document.querySelector('.st-key-map_before .js-plotly-plot')._fullData[1].z[0])")

    before = values()
    page.locator(".st-key-gallery button").nth(8).click()
    page.wait_for_function("location.search.includes('picture=8')")
    settle(page)
    assert values() != before
    page.reload()
    settle(page)
    assert page.locator(".st-key-gallery button").nth(8).get_attribute("aria-pressed") == "true"
