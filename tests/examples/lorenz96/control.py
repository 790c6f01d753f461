"""Makes the example's data: control runs of the length of the observations, their covariance, and one more run as the observations.

    python3 control.py        runs.csv, gamma.csv, variances.csv, observed.txt
"""
from multiprocessing import Pool

from model import statistics

TRUTH, LENGTH, RUNS = (8.0, 1.0), 20.0, 400


def run(start):
    return statistics(*TRUTH, LENGTH, start)


def covariance(runs):
    n = len(runs)
    mean = [sum(column) / n for column in zip(*runs)]
    about = [[x - m for x, m in zip(row, mean)] for row in runs]
    return [[sum(a[i] * a[j] for a in about) / (n - 1) for j in range(len(mean))] for i in range(len(mean))]


def write(name, rows):
    with open(name, "w") as file:
        for row in rows:
            print(*(f"{x:.10g}" for x in row), sep=",", file=file)


if __name__ == "__main__":
    with Pool() as pool:
        observed, *runs = pool.map(run, range(1000, 1001 + RUNS))
    gamma = covariance(runs)
    write("runs.csv", runs)
    write("gamma.csv", gamma)
    write("variances.csv", [[gamma[i][i]] for i in range(len(gamma))])
    write("observed.txt", [[y] for y in observed])
