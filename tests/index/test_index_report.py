from html.parser import HTMLParser

from index.builder import IndexOptions, build_index
from index.index_report import index_facts
from index.output_folder import OutputFolder
from tests.conftest import random_vectors, write_dataset
from tests.index.test_living_index import OURS


class Shapes(HTMLParser):
    def __init__(self):
        super().__init__()
        self.circles = []

    def handle_starttag(self, tag, attributes):
        if tag == "circle":
            self.circles.append(dict(attributes))


def test_the_page_draws_every_setting_and_marks_the_chosen_one(tmp_path):
    dataset = write_dataset(tmp_path, random_vectors(1500))
    folder = OutputFolder.at(tmp_path).folder("index")
    manifest = build_index(dataset, folder, IndexOptions(factory_string=OURS))
    page = (tmp_path / "index/report.html").read_text()
    shapes = Shapes()
    shapes.feed(page)
    assert len(shapes.circles) == len(manifest.tried) > 2
    assert [circle["r"] for circle in shapes.circles].count("7") == 1
    for circle in shapes.circles:
        assert 70 <= float(circle["cx"]) <= 620
        assert 34 <= float(circle["cy"]) <= 310
    for value in index_facts(manifest).values():
        assert value in page
    assert "http" not in page.replace("http-equiv", "")


def test_an_index_of_one_vector_has_a_page_too(tmp_path):
    dataset = write_dataset(tmp_path, random_vectors(1))
    manifest = build_index(dataset, OutputFolder.at(tmp_path).folder("index"), IndexOptions())
    assert index_facts(manifest)["recall@10"] == "not measurable"
    assert "<svg" not in (tmp_path / "index/report.html").read_text()
