"""What the peers share: MNIST's files, the network's sizes, the ensemble drawn from the prior, the line of results."""
import argparse
import gzip
import json
import os
import struct
import time

import numpy as np

DELTA = np.float32(0.005)  # of the gradient -y/(z + delta)


def arguments(forms):
    parser = argparse.ArgumentParser(description="Times steps of ensemble Kalman inversion on a dense network.")
    parser.add_argument("--data", required=True, help="the folder with MNIST's four files as published")
    parser.add_argument("--layers", default="784,100,10")
    parser.add_argument("--members", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=600)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--form", choices=forms, default=forms[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    given.layers = tuple(int(width) for width in given.layers.split(","))
    return given


def read(path):
    with gzip.open(path) as file:
        rank = file.read(4)[3]
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def training_set(folder):
    """Pixels in 0..1, n x 784, and labels, n."""
    pixels = read(f"{folder}/train-images-idx3-ubyte.gz").reshape(-1, 784)
    return pixels.astype(np.float32) / 255, read(f"{folder}/train-labels-idx1-ubyte.gz").astype(np.int64)


def sizes(layers):
    return list(zip(layers, layers[1:]))


def deviations(layers):
    """The prior's deviation of each parameter: Glorot's, for weights and biases."""
    parts = [np.full(a * b + b, np.sqrt(2 / (a + b)), np.float32) for a, b in sizes(layers)]
    return np.concatenate(parts)


def ensemble(members, layers):
    """Members drawn from the prior, J x P, layer by layer the weight and then the bias."""
    scale = deviations(layers)
    drawn = np.random.default_rng(0).standard_normal((members, len(scale)), dtype=np.float32)
    drawn *= scale
    return drawn


def timed(step, steps, **said):
    """Runs step(n) for each n and prints their seconds, and the first ||D||, by which peers are compared."""
    seconds, norms = [], []
    for n in range(steps):
        start = time.perf_counter()
        norms.append(float(step(n)))
        seconds.append(time.perf_counter() - start)
    print(json.dumps(dict(step_seconds=seconds, d_norm=norms[0], **said)))
