"""An SQL expression over the rows of an index -> which rows it is true of."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.errors import UsageError, first_line


def matching_rows(rows: pa.Table, expression: str) -> NDArray[np.bool_]:
    """Which rows an expression is true of: bool [rows].

    Args:
        rows: a column an expression can name.
        expression: as after WHERE, such as "width >= 1000 and uri like '%/cats/%'". It sees the
            rows, and nothing else: no file, no network, no setting.

    Raises:
        UsageError: DuckDB cannot make a condition of it.

    >>> rows = pa.table({"uri": ["a.jpg", "b.png"], "width": [10, 20]})
    >>> matching_rows(rows, "width > 10 or uri like '%.jpg'").tolist()
    [True, True]
    """
    numbered = rows.append_column("row number", pa.array(np.arange(rows.num_rows)))
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET lock_configuration = true")
        connection.register("rows", numbered)
        try:
            condition = duckdb.SQLExpression(expression).cast("BOOLEAN")
            found = connection.table("rows").filter(condition).select('"row number"')
            numbers = found.fetchnumpy()["row number"]
        except (duckdb.Error, RuntimeError) as error:
            raise UsageError(
                f"--filter {expression!r} is no condition: {first_line(error)}"
            ) from error
    matching = np.zeros(rows.num_rows, np.bool_)
    matching[np.asarray(numbers, np.int64)] = True
    return matching
