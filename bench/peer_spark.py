#!/usr/bin/env python3
"""TPC-H over Parquet by Spark on one core: `peer_spark.py FOLDER RUNS STATEMENT.sql …`. Prints a line for each run as `bench/run workers` writes
them."""

import os
import sys
import time

from pyspark.sql import SparkSession

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]


def ticks():
    """Of user and system time of this process's Java machine."""
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    spent = 0
    while children:
        child = children.pop()
        fields = open(f"/proc/{child}/stat").read().rsplit(") ", 1)[1].split()
        spent += int(fields[11]) + int(fields[12])
        children += open(f"/proc/{child}/task/{child}/children").read().split()
    return spent


def main():
    folder, runs, *files = sys.argv[1:]
    settings = {"spark.driver.memory": "8g", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "4", "spark.sql.ansi.enabled": "true"}
    spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for table in TABLES:
        spark.read.parquet(f"{folder}/{table}.parquet").createOrReplaceTempView(table)
    for file in files:
        name, sql = os.path.basename(file).removesuffix(".sql"), open(file).read().strip().rstrip(";")
        for _ in range(int(runs)):
            before, began = ticks(), time.monotonic_ns()
            try:
                rows = spark.sql(sql).collect()
            except Exception as error:
                print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
                break
            print(f"Spark local bench {name} {time.monotonic_ns() - began} {before} 0 {ticks()} 0 0 {len(rows)}", flush=True)


main()
