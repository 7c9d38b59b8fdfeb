"""Spark MLlib's ALS as a peer of bench/als.py: time an iteration, wall and CPU of its Java process, and the factors."""

import os
import time

import numpy as np
from pyspark import StorageLevel
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def java_cpu_s(spark):
    fields = open(f"/proc/{java_pid(spark)}/stat", encoding="ascii").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def java_pid(spark):
    return spark._jvm.java.lang.ProcessHandle.current().pid()


def factors(frame, rows, rank):
    matrix = np.zeros((rows, rank), np.float32)
    for row in frame.collect():
        matrix[row.id] = row.features
    return matrix


def measure(matrix, rank, regularization, few, many, rounds):
    """Where it starts (X0, Y0) and is after `many` iterations (X, Y); and what one took, by round."""
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "8g")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    coo = matrix.tocoo()
    ratings = spark.createDataFrame(
        zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist()), "user int, item int, rating float"
    )
    ratings = ratings.repartition(4).persist(StorageLevel.MEMORY_ONLY)
    ratings.count()

    def fit(iterations):
        als = ALS(
            rank=rank,
            maxIter=iterations,
            regParam=regularization,
            alpha=1.0,
            implicitPrefs=True,
            numUserBlocks=4,
            numItemBlocks=4,
            seed=1,
            checkpointInterval=-1,
        )
        cpu, wall = java_cpu_s(spark), time.perf_counter()
        model = als.fit(ratings)
        return model, {"cpu_ms": (java_cpu_s(spark) - cpu) * 1e3, "wall_ms": (time.perf_counter() - wall) * 1e3}

    start, _ = fit(0)
    fit(few)  # the compiler of the Java machine warms up
    results = []
    for _ in range(rounds):
        _, short = fit(few)
        model, long = fit(many)
        results.append({field: (long[field] - short[field]) / (many - few) for field in short})
    found = {"iterations": results}
    for of, mark in ((start, "0"), (model, "")):
        found["X" + mark] = factors(of.userFactors, matrix.shape[0], rank)
        found["Y" + mark] = factors(of.itemFactors, matrix.shape[1], rank)
    spark.stop()
    return found
