"""Makes spark.tsv: what Spark MLlib's ALS (implicitPrefs) made of 60 users and 80 items, for
tests/unit/model/test_foldin_spark.c.

    pip install pyspark==3.5.3 numpy==1.26.4        (and Java 17)
    python3 tests/golden/make_spark.py > tests/golden/spark.tsv

Lines, tab-separated: `setting NAME VALUE`, `rating USER ITEM VALUE`, `item ITEM F1 ... Fr`, `user USER F1 ... Fr`.

Spark solves the users last in an iteration (item factors, then user factors), so that a user's factors are the exact
solution against the item factors beside them, both rounded to float32. Its confidence is 1 + alpha |r|, its
preference 1 if r > 0, and its lambda is regParam times the number of the row's ratings above 0.
"""

import numpy as np
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession

USERS, ITEMS, RANK, ALPHA, REG, ITERATIONS, SEED = 60, 80, 8, 2.5, 0.03, 7, 20240604


def main():
    rng = np.random.default_rng(SEED)
    kinds = rng.integers(0, 4, USERS)
    ratings = []
    for user in range(USERS):
        share = np.where(np.arange(ITEMS) % 4 == kinds[user], 8.0, 1.0) / (1 + np.arange(ITEMS) / 10)
        for item in rng.choice(ITEMS, rng.integers(1, 30), replace=False, p=share / share.sum()):
            ratings.append((user, int(item), float(rng.integers(1, 6))))
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    als = ALS(
        rank=RANK,
        maxIter=ITERATIONS,
        regParam=REG,
        alpha=ALPHA,
        implicitPrefs=True,
        seed=SEED,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    )
    model = als.fit(spark.createDataFrame(ratings, ["user", "item", "rating"]))
    for name, value in (("spark", spark.version), ("rank", RANK), ("alpha", ALPHA), ("regParam", REG), ("seed", SEED)):
        print("setting", name, value, sep="\t")
    for rating in ratings:
        print("rating", *rating, sep="\t")
    for name, frame in (("item", model.itemFactors), ("user", model.userFactors)):
        for row in sorted(frame.collect()):
            print(name, row.id, *(f"{np.float32(value):.9g}" for value in row.features), sep="\t")
    spark.stop()


main()
