"""Lesson L2 in JupyterLab: the mask explorer's controls are moved from the keyboard, and the picture follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from support.lab.page import HEIGHT, WIDTH, LabPage, visiting
from support.lab.server import LabServer, lab_server

pytestmark = [pytest.mark.browser, pytest.mark.needs("chromium")]

LESSON = "lessons/L2_mask_explorer.ipynb"
# Space opens a list; JupyterLab keeps bare arrows for itself
NEXT, PREVIOUS = ("Space", "ArrowDown", "Enter"), ("Space", "ArrowUp", "Enter")


@pytest.fixture(scope="module")
def server(course_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    with lab_server(course_root, "student", tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def lesson(browser: Browser, server: LabServer, shots: Path) -> Iterator[LabPage]:
    with visiting(browser, server, shots) as lab:
        lab.open(LESSON)
        lab.run_all()
        yield lab


@pytest.fixture
def lab(lesson: LabPage) -> LabPage:
    """The lesson with an explorer that nobody has touched."""
    lesson.run_cell("explorer")
    lesson.run_cell("explorer-picture")
    explorer(lesson).locator("img").wait_for()
    return lesson


@pytest.fixture
def narrow(lab: LabPage) -> Iterator[LabPage]:
    """The same in a window of 1000 pixels."""
    lab.page.set_viewport_size({"width": 1000, "height": HEIGHT})
    yield lab
    lab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def explorer(lab: LabPage) -> Locator:
    return lab.outputs("explorer").locator(".attention-explorer").first


def press(lab: LabPage, control: Locator, *keys: str) -> None:
    """Press keys on a control, and wait until the picture is another one."""
    before = explorer(lab).locator("img").get_attribute("src")
    control.focus()
    for key in keys:
        lab.page.keyboard.press(key)
    lab.page.wait_for_function("before => document.querySelector('.attention-explorer img').src !== before", arg=before)


def test_every_control_has_a_label_that_is_read_out_and_moves_the_picture_from_the_keyboard(lab):
    assert lab.too_wide() == []
    lab.shoot_notebook("start")
    box = explorer(lab)
    for label, keys in {
        "padding": NEXT,
        "causal": ["Space"],
        "head": NEXT,
        "temperature": NEXT,
        "sentence 2": ["End", "Backspace", "Enter"],
        "shown": PREVIOUS,
        "words of 1": ["ArrowDown", "Tab"],
        "query": NEXT,
        "key": NEXT,
        "example": NEXT,
    }.items():
        press(lab, box.get_by_label(label, exact=True), *keys)
    caption = box.locator("img").get_attribute("alt")
    for setting in ("bidirectional", "padding left", "head 1", "temperature 2"):
        assert setting in caption
    lab.shoot("moved")


def test_sliders_move_the_picture_from_the_keyboard(lab):
    sliders = explorer(lab).locator(".noUi-handle")
    expect(sliders).to_have_count(3)
    for place in range(3):
        press(lab, sliders.nth(place), "ArrowLeft")
    press(lab, sliders.nth(2), "ArrowLeft")
    assert "temperature 0.2" in explorer(lab).locator("img").get_attribute("alt")
    lab.shoot("slid")


def test_chosen_and_pointed_at_cells_are_explained_in_a_sentence(lab):
    box = explorer(lab)
    says = box.locator(".explorer-explanation")
    expect(says).to_contain_text("puts")
    press(lab, box.get_by_label("query", exact=True), "Home")
    expect(says).to_contain_text("may not see bark: it comes later")
    cell = box.locator(".explorer-panel").first.locator(".explorer-cell").nth(3)
    cell.scroll_into_view_if_needed()
    cell.hover()
    content = cell.evaluate("cell => getComputedStyle(cell, '::after').content")
    assert content == '"query “Dogs” may not see “night”: it comes later"'
    lab.shoot("pointed_at")


def test_a_click_chooses_the_cell_that_is_explained_below(lab):
    box = explorer(lab)
    says = box.locator(".explorer-explanation")
    for panel, place, words in ((2, 13, "Query at puts"), (0, 3, "Query Dogs may not see night: it comes later")):
        box.locator(".explorer-panel").nth(panel).locator(".explorer-cell").nth(place).click()
        expect(says).to_contain_text(words)
    assert box.get_by_label("query", exact=True).input_value() == "0: Dogs"
    assert box.get_by_label("key", exact=True).input_value() == "3: night"
    for width in (1000, 1400):
        lab.page.set_viewport_size({"width": width, "height": 900})
        lab.shoot(f"clicked_{width}")
        lab.set_theme("JupyterLab Dark")
        lab.shoot(f"clicked_{width}_dark")
        lab.set_theme("JupyterLab Light")
    lab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def test_long_sentences_scroll_and_keep_their_size(narrow):
    lab = narrow
    picture, scroller = explorer(lab).locator("img"), explorer(lab).locator(".explorer-scroller")
    box = explorer(lab).get_by_label("sentence 1", exact=True)
    box.fill("one two three four five six seven eight nine ten eleven twelve thirteen")
    press(lab, box, "Enter")
    press(lab, explorer(lab).get_by_label("shown", exact=True), *PREVIOUS)
    assert scroller.evaluate("box => box.scrollWidth") > scroller.evaluate("box => box.clientWidth")
    assert picture.evaluate("img => img.width / img.naturalWidth") >= 0.64
    expect(explorer(lab).locator(".explorer-explanation")).to_contain_text("the first 12 words are used")
    assert lab.too_wide() == []
    lab.shoot("long")


def test_padded_and_packed_stand_side_by_side_and_the_picture_below_keeps_what_was_shown(lab):
    press(lab, explorer(lab).get_by_role("button", name="padded, packed"), "Enter")
    press(lab, explorer(lab).get_by_label("words of 2", exact=True), "ArrowDown", "Tab")
    expect(explorer(lab).locator(".explorer-explanation")).to_contain_text("cu_seqlens [0, 6, 9]")
    lab.shoot("packed")
    before = lab.alt_text("explorer-picture")
    lab.run_cell("explorer-picture")
    expect(lab.outputs("explorer-picture").locator("img")).not_to_have_attribute("alt", before)
    assert lab.alt_text("explorer-picture") == explorer(lab).locator("img").get_attribute("alt")
    assert lab.too_wide() == []
    lab.set_theme("JupyterLab Dark")
    lab.shoot_notebook("packed_dark")
    lab.set_theme("JupyterLab Light")


def test_an_explorer_whose_kernel_was_restarted_says_how_to_come_back(lab):
    """The last test: the lesson's kernel is a new one afterwards."""
    says = "box => getComputedStyle(box, '::before').content"
    assert explorer(lab).evaluate(says) == "none"
    lab.restart()
    lab.page.locator(".attention-explorer.jupyter-widgets-disconnected").first.wait_for()
    assert "The kernel was restarted" in explorer(lab).evaluate(says)
    assert "run all cells again" in explorer(lab).evaluate(says)
    explorer(lab).evaluate("box => box.scrollIntoView()")
    lab.shoot("restarted")
    lab.run_all()
    assert explorer(lab).evaluate(says) == "none"
    # ipywidgets takes the old box away twice where a cell runs at once after the restart
    lab.complaints = [each for each in lab.complaints if "removeChild" not in each]
