#!/usr/bin/env python3
"""The STATS tables into a PostgreSQL: `fill_stats.py SERVER FOLDER SCRATCH`; the folder holds schema.sql, indexes.sql, and a CSV or
Parquet file for each table."""

import sys
from pathlib import Path

import duckdb
import psycopg

FILES = {
    "users": "users.csv.zst",
    "posts": "posts.csv.zst",
    "badges": "badges.csv.zst",
    "postLinks": "postLinks.csv.zst",
    "tags": "tags.csv.zst",
    "comments": "reconstructed_comments.parquet",
    "votes": "reconstructed_votes.parquet",
    "postHistory": "reconstructed_postHistory.parquet",
}


def main():
    (host, port), folder, scratch = sys.argv[1].split(":"), Path(sys.argv[2]), Path(sys.argv[3])
    reader = duckdb.connect()
    with psycopg.connect(host=host, port=port, user="bench", password="bench", dbname="postgres", autocommit=True) as server:
        server.execute((folder / "schema.sql").read_text())
        for table, name in FILES.items():
            file = str(folder / name)
            rows = reader.read_parquet(file) if name.endswith("parquet") else reader.read_csv(file, header=True)
            rows.write_csv(str(scratch), header=False)
            with server.cursor().copy(f"COPY {table} ({', '.join(rows.columns)}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(scratch.read_bytes())
        server.execute((folder / "indexes.sql").read_text())
        server.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
