"""An SQL expression -> whether it is a plain condition on a row, which ends soon and stays small."""

from __future__ import annotations

import json
from typing import Any, Final

import duckdb

from index.errors import UsageError, first_line

# What an expression is made of, as DuckDB's parser calls it: no subquery, no window, no lambda.
_CLASSES: Final = (
    *("COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "OPERATOR"),
    *("CAST", "TYPE", "BETWEEN", "CASE", "FUNCTION"),
)
# One call of `repeat` or `range` can take all memory, and nothing interrupts it.
_FUNCTIONS: Final = (
    *("~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "+", "-", "*", "/", "//", "%", "||"),
    *("abs", "ceil", "ceiling", "floor", "round", "trunc", "greatest", "least"),
    *(
        "concat",
        "contains",
        "ends_with",
        "left",
        "length",
        "lower",
        "ltrim",
        "prefix",
        "right",
        "rtrim",
    ),
    *("split_part", "starts_with", "strlen", "substr", "substring", "suffix", "trim", "upper"),
    *("regexp_extract", "regexp_full_match", "regexp_matches"),
    *(
        "date_diff",
        "date_part",
        "date_trunc",
        "day",
        "dayofweek",
        "epoch",
        "hour",
        "minute",
        "month",
    ),
    *("week", "year", "current_date", "now", "today", "to_seconds", "to_minutes", "to_hours"),
    *("to_days", "to_weeks", "to_months", "to_years"),
)


def check_condition(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    """Raise UsageError unless an expression is one plain condition.

    >>> with duckdb.connect() as connection:
    ...     check_condition(connection, "width >= 800 and lower(uri) like '%/cats/%'")
    """
    try:
        row = connection.execute(
            "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {expression}"]
        ).fetchone()
        tree = json.loads(row[0] if row else "{}")
        if tree.get("error"):
            raise _no_condition(expression, str(tree["error_message"]))
        expressions = [
            one for statement in tree["statements"] for one in statement["node"]["select_list"]
        ]
        _check(expression, expressions)
    except (duckdb.Error, RuntimeError, UnicodeError, KeyError) as error:
        raise _no_condition(expression, first_line(error)) from error
    except RecursionError as error:
        raise _no_condition(expression, "it is nested too deeply") from error
    if len(expressions) != 1:
        raise _no_condition(expression, f"it is {len(expressions)} expressions")


def _check(expression: str, node: Any) -> None:
    if isinstance(node, list):
        for one in node:
            _check(expression, one)
    elif isinstance(node, dict):
        kind, function = node.get("class"), node.get("function_name")
        if kind is not None and kind not in _CLASSES:
            raise _no_condition(expression, f"a {str(kind).lower()} is none of a row")
        if function is not None and function not in _FUNCTIONS:
            raise _no_condition(expression, f"it may not call {function}")
        for one in node.values():
            _check(expression, one)


def _no_condition(expression: str, reason: str) -> UsageError:
    return UsageError(f"filter {expression!r} is no condition: {reason}")
