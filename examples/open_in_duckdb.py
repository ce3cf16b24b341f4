"""The embeddings of an output in DuckDB: the pictures most like one of them, in SQL.

python examples/open_in_duckdb.py out/embeddings/variant=NAME
"""

import sys

import duckdb


def main(folder: str) -> None:
    """Print the five pictures that are the most like the first."""
    duckdb.sql(f"create view pictures as select * from read_parquet('{folder}/*.parquet')")
    duckdb.sql(
        """
        with query as (select uri, embedding from pictures order by uri limit 1)
        select pictures.uri, pictures.width, pictures.height,
               list_cosine_similarity(pictures.embedding, query.embedding) as score
        from pictures, query
        order by score desc, pictures.uri
        limit 5
        """
    ).show(max_width=200)


if __name__ == "__main__":
    main(*sys.argv[1:])
