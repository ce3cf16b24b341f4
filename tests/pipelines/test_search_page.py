"""The page, in a real browser, over a running service."""

import shutil
from pathlib import Path

import pytest

from pipelines.command_line import main
from tests.conftest import picture, random_vectors, write_dataset
from tests.copies import GROUPS
from tests.page import CHROMIUM, names, status, upload, wait_until
from tests.service import running_service

MANY = 10_000
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(searchable):
    with running_service(searchable) as (address, _):
        yield address


def test_a_picture_is_uploaded_and_its_neighbors_come_best_first(address, open_page, copies):
    page = open_page(address)
    status(page, "pictures")
    upload(page, copies / "in/train/5.jpg")
    status(page, "neighbors")
    assert names(page)[0] == "5.jpg"
    scores = [float(text) for text in page.locator(".score").all_inner_texts()]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert page.locator("#query-picture").is_visible()
    assert "in the set" in page.locator("#query-name").inner_text()


def test_a_picture_of_the_set_is_clicked_and_the_way_back_leads_back(address, open_page):
    page = open_page(address)
    status(page, "pictures")
    chosen = names(page)[4]
    page.locator(".pick").nth(4).click()
    status(page, "neighbors")
    assert names(page)[0] == chosen
    second = names(page)[2]
    page.locator(".pick").nth(2).click()
    page.locator(f'.card.own [title$="/{second}"]').wait_for()
    page.go_back()
    page.locator(f'.card.own [title$="/{chosen}"]').wait_for()
    page.go_back()
    status(page, "pictures")


def test_words_and_conditions_filter_and_wrong_ones_are_told(address, open_page):
    page = open_page(address)
    status(page, "pictures")
    every = page.locator("#status").inner_text()
    page.locator("#filter").fill("test small")
    status(page, "1 picture matches the filter")
    assert names(page) == ["0_small.jpg"]
    assert page.locator("#filter-told").inner_text() == "Paths with “test” and “small”."
    page.locator("#filter").fill("width < 100000 and uri like '%/train/%'")
    wait_until(page, "document.querySelectorAll('.card').length === 8")
    page.locator("#filter").fill("width = red")
    page.locator("#trouble", has_text="is no condition").wait_for()
    page.locator("#filter").fill("nothing-is-called-this")
    page.locator(".empty", has_text="No picture matches").wait_for()
    assert not page.locator("#trouble").is_visible()
    page.locator("#filter").fill("")
    status(page, every)


def test_the_sliders_choose_how_many_and_how_alike(address, open_page):
    page = open_page(address, "/#/like/0")
    status(page, "neighbors")
    whole = len(names(page))
    page.locator("#k").fill("3")
    status(page, "3 neighbors")
    assert len(names(page)) == 3 < whole
    page.locator("#least").fill("1")
    status(page, "under the least score")
    assert len(names(page)) < 3
    wait_until(page, "location.hash.includes('least=1')")
    page.reload()
    status(page, "under the least score")
    page.locator("#k").fill("5")
    page.locator("#least").fill("0.99")  # before the first has been asked for
    wait_until(page, "location.hash.includes('k=5') && location.hash.includes('least=0.99')")


def test_a_broken_picture_is_told_and_the_page_goes_on(address, open_page, copies):
    page = open_page(address)
    status(page, "pictures")
    upload(page, {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": picture(1)[:300]})
    page.locator("#trouble", has_text="cannot be used").wait_for()
    assert names(page) == []
    page.locator("#query-gone", has_text="cannot be shown").wait_for()
    assert not page.locator("#query-picture").is_visible()
    upload(page, copies / "in/train/6.jpg")
    status(page, "neighbors")
    assert not page.locator("#trouble").is_visible()
    assert names(page)[0] == "6.jpg"


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(address, open_page, copies, way):
    page = open_page(address)
    status(page, "pictures")
    page.evaluate(
        """([bytes, way]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "own.jpg", { type: "image/jpeg" }));
          const event = way === "paste"
            ? new ClipboardEvent("paste", { clipboardData: data })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true });
          window.dispatchEvent(event);
        }""",
        [list((copies / "in/train/7.jpg").read_bytes()), way],
    )
    status(page, "neighbors")
    assert names(page)[0] == "7.jpg"


def test_the_keyboard_is_enough(address, open_page):
    page = open_page(address)
    page.locator(".card").nth(3).wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    focused = page.evaluate("document.activeElement.querySelector('.name').textContent")
    assert focused == names(page)[1]
    page.keyboard.press("Space")
    page.locator("#preview[open]").wait_for()
    assert focused in page.locator(".pane").inner_text()
    page.keyboard.press("ArrowRight")
    assert names(page)[2] in page.locator(".pane").inner_text()
    page.keyboard.press("Escape")
    page.locator("#preview").wait_for(state="hidden")
    page.locator(".pick").nth(1).focus()
    page.keyboard.press("Enter")
    status(page, "neighbors")
    assert names(page)[0] == focused
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.locator(".group").first.wait_for()
    page.keyboard.press("g")
    status(page, "pictures")
    page.locator(".pick").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.className") == "pick"


def test_copies_stand_side_by_side(address, open_page):
    page = open_page(address, "/#/copies")
    page.locator(".group").nth(len(GROUPS) - 1).wait_for()
    assert page.locator(".group").count() == len(GROUPS)
    group = page.locator(".group", has_text="1_gray.png")
    assert group.locator(".member.keep").count() == 1
    assert group.locator(".member").count() == 2
    group.locator(".pick").nth(1).click()
    page.locator("#preview[open]").wait_for()
    assert page.locator(".pane").count() == 2
    page.locator("#search-this").click()
    status(page, "neighbors")


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory) -> Path:
    """An output with an index of ten thousand pictures: links to a few."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "in").mkdir()
    for seed in range(20):
        (folder / f"{seed}.jpg").write_bytes(picture(seed, (60 + 8 * seed, 120)))
    uris = []
    for number in range(MANY):
        link = folder / "in" / f"{number:05}.jpg"
        link.symlink_to(folder / f"{number % 20}.jpg")
        uris.append(str(link))
    widths = [60 + 8 * (number % 20) for number in range(MANY)]
    write_dataset(
        folder / "out",
        random_vectors(MANY),
        part_rows=MANY,
        uri=uris,
        width=widths,
        height=[120] * MANY,
    )
    assert main(["index", str(folder / "out")]) == 0
    return folder / "out"


def _click_and_come_back(page):
    where = page.evaluate("scrollY")
    chosen = page.evaluate(
        """() => {
          const pick = document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest(".pick");
          pick.focus();
          pick.click();
          return pick.title;
        }"""
    )
    status(page, "neighbors")
    assert where > 3000
    assert page.evaluate("scrollY") == 0
    page.go_back()
    status(page, "10,000 pictures")
    wait_until(page, f"Math.abs(scrollY - {where}) < 3")
    wait_until(page, f"document.activeElement.title === '{chosen}'")


def test_a_list_that_cannot_go_on_says_so_and_goes_on_later(ten_thousand, open_page):
    with running_service(ten_thousand) as (address, _):
        page = open_page(address)
        status(page, "10,000 pictures")
        before = page.locator(".card").count()
        page.route("**/pictures?*", lambda route: route.abort())
        page.mouse.wheel(0, 20_000)
        page.locator("#stopped", has_text="does not answer").wait_for()
        page.get_by_role("button", name="Try again").click()
        assert page.locator(".card").count() == before
        page.unroute("**/pictures?*")
        page.locator("#stopped").wait_for(state="hidden")  # without anybody asking for it
        wait_until(page, f"document.querySelectorAll('.card').length > {before}")


def test_ten_thousand_pictures_come_as_one_scrolls(ten_thousand, open_page):
    with running_service(ten_thousand) as (address, _):
        page = open_page(address)
        status(page, "10,000 pictures")
        first = page.locator(".card").count()
        assert 0 < first < 600
        for _ in range(4):
            page.mouse.wheel(0, 3000)
            page.wait_for_timeout(100)
        wait_until(page, f"document.querySelectorAll('.card').length > {first} + 100")
        shown = names(page)
        assert len(shown) == len(set(shown)) < 3000
        _click_and_come_back(page)
        page.locator("#filter").fill("09999")
        status(page, "1 picture matches")
        page.locator(".pick").click()
        status(page, "1 neighbor, filtered")
        page.locator(".card img:not(.waiting)").first.wait_for()


def test_where_there_is_no_index_the_page_says_how_to_make_one(searchable, tmp_path, open_page):
    out = tmp_path / "out"
    shutil.copytree(searchable, out, ignore=shutil.ignore_patterns("index"))
    with running_service(out) as (address, _):
        page = open_page(address)
        page.locator(".empty", has_text="no index yet").wait_for()
        shutil.copytree(searchable / "index", out / "index")
        status(page, "pictures")  # it looks again by itself


@pytest.mark.parametrize("path", ["/", "/#/like/0", "/#/copies"])
def test_the_page_fits_a_phone(address, open_page, path):
    page = open_page(address, path, **PHONE)
    page.locator(".card img:not(.waiting)").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".card .large").first.tap()
    page.locator("#preview[open]").wait_for()
    assert page.evaluate("document.querySelector('#preview').getBoundingClientRect().width") <= 390


def test_variants_are_switched(out, tmp_path, open_page):
    both = tmp_path / "both"
    shutil.copytree(out, both)
    for name in ("tf1", "tf2"):
        assert main(["index", str(both), "--variant", name]) == 0
    with running_service(both) as (address, _):
        page = open_page(address)
        status(page, "pictures")
        page.locator("#variant").select_option("tf2")
        wait_until(page, "location.hash.includes('variant=tf2')")
        page.locator('.card img[src*="variant=tf2"]').first.wait_for()
        page.evaluate("window.option = document.querySelector('#variant').options[1]")
        with page.expect_response("**/variants"):
            page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_timeout(100)
        assert page.evaluate("option.isConnected && option.selected")
        upload(page, {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": picture(3)})
        status(page, "neighbors")
        page.locator("#variant").select_option("tf1")
        page.locator('.card img[src*="variant=tf1"]').first.wait_for()
        status(page, "neighbors")


def test_a_token_is_asked_for_once(searchable, open_page):
    with running_service(searchable, LOOKALIKE_TOKEN="søt secret") as (address, _):
        page = open_page(address)
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("#token-trouble", has_text="not the token").wait_for()
        for _ in range(4):
            page.keyboard.press("Escape")
        page.locator("#token").fill("søt secret")
        page.keyboard.press("Enter")
        status(page, "pictures")
        page.locator(".card img:not(.waiting)").first.wait_for()
        page.reload()
        status(page, "pictures")
