"""The page on the way there and back: addresses, history, focus, and answers that come late."""

import pytest

from tests.page import CHROMIUM, names, status, upload, wait_until
from tests.service import running_service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
NAME = "document.activeElement.querySelector('.name')?.textContent"


@pytest.fixture(scope="module")
def address(searchable):
    with running_service(searchable) as (address, _):
        yield address


def test_back_closes_the_preview_and_stays_where_it_was_opened(address, open_page):
    page = open_page(address)
    status(page, "pictures")
    page.locator(".pick").nth(2).focus()
    for close in (page.go_back, lambda: page.keyboard.press("Escape")):
        page.keyboard.press("Space")
        page.locator("#preview[open]").wait_for()
        close()
        page.locator("#preview").wait_for(state="hidden")
        wait_until(page, "!history.state.preview")
        assert page.evaluate(NAME) == names(page)[2]
    page.keyboard.press("Space")
    page.locator("#preview[open]").wait_for()
    page.reload()
    status(page, "pictures")
    wait_until(page, "!history.state.preview")
    page.locator(".pick").nth(2).focus()
    page.keyboard.press("Space")
    page.locator("#search-this").click()
    status(page, "neighbors")
    page.go_back()
    status(page, "pictures")
    assert not page.locator("#preview").is_visible()


def test_each_upload_has_an_address_and_one_that_is_gone_is_told(address, open_page, copies):
    page = open_page(address)
    status(page, "pictures")
    for number in (5, 6):
        upload(page, copies / f"in/train/{number}.jpg")
        page.locator("#query-name", has_text=f"{number}.jpg, which is in the set").wait_for()
    assert page.evaluate("location.hash") == "#/upload/2"
    page.go_back()
    page.locator("#query-name", has_text="5.jpg, which is in the set").wait_for()
    assert names(page)[0] == "5.jpg"
    page.reload()
    page.get_by_role("button", name="Choose the picture again").wait_for()
    assert names(page) == []
    upload(page, copies / "in/train/7.jpg")
    status(page, "neighbors")
    assert page.evaluate("location.hash") == "#/upload/3"


def test_the_focus_follows_from_picture_to_picture(address, open_page):
    page = open_page(address)
    status(page, "pictures")
    chosen = names(page)[3]
    page.locator(".pick").nth(3).focus()
    page.keyboard.press("Enter")
    status(page, "neighbors")
    assert page.evaluate(NAME) == chosen == names(page)[0]
    page.go_back()
    status(page, "pictures")
    wait_until(page, f"{NAME} === '{chosen}'")


def test_a_search_that_takes_long_is_told_and_a_late_answer_is_dropped(address, open_page):
    page = open_page(address)
    status(page, "pictures")
    waiting = []
    page.route("**/neighbors/0?*", lambda route: waiting.append(route))
    page.evaluate("location.hash = '#/like/0'")
    status(page, "Searching…")
    assert page.locator("#grid[aria-busy=true].stale").count() == 1
    page.evaluate("location.hash = '#/like/3'")
    status(page, "neighbors")
    found = names(page)
    assert page.locator("#grid[aria-busy], #grid.stale").count() == 0
    for route in waiting:
        route.abort()
    page.wait_for_timeout(200)
    assert names(page) == found
    assert not page.locator("#stopped, #trouble").first.is_visible()


@pytest.mark.parametrize(
    ("hash", "told"),
    [
        ("#/nonsense", "no view “/nonsense”"),
        ("#/like/abc", "“abc” is not the number"),
        ("#/like/99999", "no picture 99999"),
        ("#/upload/7", "no longer here"),
        ("#/upload", "no longer here"),
        ("#/copies?variant=none", "no variant “none”"),
        ("#/like/0?k=1e9&least=-4", "neighbors"),
        ("#/like/0?k=-3&least=soon", "1 neighbor"),
    ],
)
def test_an_odd_address_is_told_or_brought_within_bounds(address, open_page, hash, told):
    page = open_page(address, f"/{hash}")
    page.locator("#search-view section", has_text=told).wait_for()


def test_an_unknown_kind_of_copies_is_the_usual_one(address, open_page):
    page = open_page(address, "/#/copies?kind=triplets")
    page.locator(".group").first.wait_for()


WORDS = [
    "IMG (1)",
    "O'Brien",
    "cat <3",
    "a=b",
    "id card",
    "format is odd",
    "100% width",
    "like new",
]
CONDITIONS = [
    "width >= 800",
    "800<=width and height<3",
    "uri like '%/cats/%'",
    "uri NOT ILIKE '%x'",
    "format in ('PNG')",
    "bytes between 1 and 9",
    "modified is not null",
    "starts_with(uri, '/a')",
]


def test_only_what_clearly_is_a_condition_is_read_as_one(address, open_page):
    page = open_page(address)
    read = """async (texts) => {
      const { readFilter } = await import("/filter.js");
      return texts.filter((text) => readFilter(text, null).isWords);
    }"""
    assert page.evaluate(read, WORDS + CONDITIONS) == WORDS


@pytest.mark.parametrize("word", ["IMG (1)", "O'Brien <3", "100%", "_small_", "back\\slash"])
def test_words_are_taken_to_the_letter_and_can_be_read_the_other_way(address, open_page, word):
    page = open_page(address)
    status(page, "pictures")
    page.locator("#filter").fill(word)
    page.locator(".empty", has_text="No picture matches").wait_for()
    page.locator("#filter-other").click()
    page.locator("#trouble", has_text="is no condition").wait_for()
    page.locator("#filter-other", has_text="Look for the words").click()
    page.locator(".empty", has_text="No picture matches").wait_for()


def test_a_thumbnail_is_asked_for_in_its_version(address, open_page):
    page = open_page(address)
    asked = """async (picture) => (await import("/service.js")).thumbnail("v", picture, 320)"""
    assert page.evaluate(asked, {"id": 4}) == "thumbnails/4?variant=v&side=320"
    known = {"id": 4, "version": "ab12"}
    assert page.evaluate(asked, known) == "thumbnails/4?variant=v&side=320&version=ab12"
