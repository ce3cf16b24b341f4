"""An SQL expression over the rows of an index -> which rows it is true of."""

from __future__ import annotations

import threading
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.errors import UsageError, first_line
from index.filter_condition import check_condition

# An expression sees the rows, and nothing else: no file, no network, no setting, no Python variable.
_SEALED: Final = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
    "temp_directory": "",
}


def matching_rows(
    rows: pa.Table, expression: str, *, timeout_s: float = threading.TIMEOUT_MAX
) -> NDArray[np.bool_]:
    """Which rows an expression is true of: bool [rows].

    Args:
        rows: a column an expression can name.
        expression: as after WHERE, such as "width >= 1000 and uri like '%/cats/%'"; of comparisons,
            logic, arithmetic, and the plain functions of strings and times.
        timeout_s: after which it is given up.

    Raises:
        UsageError: DuckDB cannot make a condition of it, or not in time.

    >>> rows = pa.table({"uri": ["a.jpg", "b.png"], "width": [10, 20]})
    >>> matching_rows(rows, "width > 10 or uri like '%.jpg'").tolist()
    [True, True]
    """
    numbered = rows.append_column("row number", pa.array(np.arange(rows.num_rows)))
    with duckdb.connect(config=dict(_SEALED)) as connection:
        check_condition(connection, expression)
        connection.execute("SET lock_configuration = true")
        connection.register("rows", numbered)
        timer = threading.Timer(timeout_s, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            condition = duckdb.SQLExpression(expression).cast("BOOLEAN")
            found = connection.table("rows").filter(condition).select('"row number"')
            numbers = found.fetchnumpy()["row number"]
        except duckdb.InterruptException as error:
            raise UsageError(
                f"filter {expression!r} took more than {timeout_s:g} s; make it simpler"
            ) from error
        except (duckdb.Error, RuntimeError, UnicodeError) as error:
            raise UsageError(
                f"filter {expression!r} is no condition: {first_line(error)}"
            ) from error
        finally:
            timer.cancel()
    matching = np.zeros(rows.num_rows, np.bool_)
    matching[np.asarray(numbers, np.int64)] = True
    return matching
