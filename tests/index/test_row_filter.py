import pyarrow as pa
import pytest

from index.errors import UsageError
from index.row_filter import matching_rows

ROWS = pa.table(
    {
        "id": [0, 1, 2],
        "uri": ["/a/cat.jpg", "/a/Dog_1.png", "/b/100%.jpg"],
        "width": pa.array([100, 200, 300], pa.int32()),
        "modified": pa.array([0, 10**15, 2 * 10**15], pa.timestamp("us", tz="UTC")),
    }
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("width >= 200 and not uri like '%.jpg'", [1]),
        ("uri ilike '%dog%' or id in (0, 7)", [0, 1]),
        ("contains(lower(uri), 'dog_1')", [1]),
        ("width / 100.0 between 1.5 and 2.5", [1]),
        ("year(modified) = 1970", [0]),
        ("modified > now() - interval 100 years and modified is not null", [0, 1, 2]),
        ("regexp_matches(uri, '[0-9]%')", [2]),
        ("case when width > 150 then uri like '/b/%' else true end", [0, 2]),
        ("null", []),
    ],
)
def test_a_condition_chooses_rows(expression, expected):
    assert matching_rows(ROWS, expression).nonzero()[0].tolist() == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "wide > 1",
        "width >",
        "width > 1; drop table rows",
        "width > 1, width > 2",
        "width > 10 order by 1",
        "true from rows",
        "*",
        "(select true)",
        "id in (select 1)",
        "exists (select 1)",
        "(select count(*) from read_text('/etc/passwd')) > 0",
        "length(repeat('a', 1000000000)) > 3",
        "len(range(60000000)) > id",
        "len(list_transform([1], x -> x)) > 0",
        "row_number() over () > 1",
        "count(*) > 0",
        "current_setting('memory_limit') is not null",
        "getenv('HOME') is not null",
        "replace(uri, 'a', 'aaaa') > 'a'",
        "? > 1",
        "uri = '\ud800'",
        "(" * 3000 + "true" + ")" * 3000,
        "not " * 5000 + "true",
    ],
)
def test_what_is_no_plain_condition_is_refused(expression):
    with pytest.raises(UsageError, match="is no condition"):
        matching_rows(ROWS, expression)


def test_a_condition_that_takes_too_long_is_given_up():
    many = pa.table({"uri": pa.array(["ab" * 100] * 500_000)})
    slow = " or ".join(["regexp_matches(uri, '(a|b|ab)*c')"] * 20)
    with pytest.raises(UsageError, match=r"took more than 0\.1 s"):
        matching_rows(many, slow, timeout_s=0.1)
