from html.parser import HTMLParser

from index.html_report import PictureCard, PictureRow, Section, render_report


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_a_page_shows_its_pictures_and_loads_nothing_from_outside():
    shown = PictureCard("/p/a.jpg", "data:image/jpeg;base64,AAAA", "0.9", "near")
    gone = PictureCard("/p/gone.jpg", None, "keep", "kept")
    section = Section("Groups", "a note", [PictureRow("2 pictures", [shown, gone])])
    page = render_report("Title", {"pictures": "2"}, [section])
    links = Links()
    links.feed(page)
    assert links.found == ["data:image/jpeg;base64,AAAA"]
    assert "not readable now" in page
    assert "gone.jpg" in page


def test_names_cannot_write_html():
    card = PictureCard("/p/<script>alert(1)</script>.jpg", None, '"><b>', "near")
    page = render_report("<i>", {"<u>": "<s>"}, [Section("h", "n", [PictureRow("", [card])])])
    for tag in ("<script>", '"><b>', "<i>", "<u>", "<s>"):
        assert tag not in page
