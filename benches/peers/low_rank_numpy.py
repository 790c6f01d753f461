"""EKI's mean form with low-rank draws in NumPy: W_k = Wbar + s a_k b_k^T, biases drawn in full.

    x W_k = x Wbar + s (x a_k) b_k^T        Wbar <- Wbar - h_n s A diag(c) B,   c = W vbar / J

The product with Wbar is shared by all members in the first layer; blocks of members are spread over threads.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mnist import DELTA, arguments, sizes, timed, training_set

MEMBERS = 8  # of a block
H, EPSILON, GAMMA, MOMENTUM = 4.0, 0.5, 0.02, 0.9


class Mean:
    """The mean's weights and biases, and their velocities."""

    def __init__(self, layers, rng):
        self.pairs = sizes(layers)
        self.spread = [np.float32(np.sqrt(2 / (a + b) * GAMMA)) for a, b in self.pairs]
        glorot = [np.sqrt(2 / (a + b)) for a, b in self.pairs]
        drawn = zip(self.pairs, glorot)
        self.weights = [(rng.standard_normal(pair) * scale).astype(np.float32) for pair, scale in drawn]
        self.biases = [np.zeros(b, np.float32) for _, b in self.pairs]
        self.moves = [(np.zeros_like(w), np.zeros_like(b)) for w, b in zip(self.weights, self.biases)]


def step(mean, x, labels, members, rng, pool):
    pairs = mean.pairs
    def normal(shape):
        return rng.standard_normal(shape, dtype=np.float32)

    left = [normal((a, members)) for a, _ in pairs]
    right = [normal((members, b)) for _, b in pairs]
    offsets = [normal((members, b)) for _, b in pairs]
    ahead = [(w + MOMENTUM * mw, b + MOMENTUM * mb) for w, b, (mw, mb) in zip(mean.weights, mean.biases, mean.moves)]
    projected = np.ascontiguousarray((x @ left[0]).T)  # J x m
    shared = x @ ahead[0][0] + ahead[0][1]
    outputs = np.empty((members, len(x)), np.float32)

    def evaluate(first):
        own = slice(first, first + MEMBERS)
        s = mean.spread
        z = projected[own, :, None] * (s[0] * right[0][own])[:, None, :]
        z += shared
        z += (s[0] * offsets[0][own])[:, None, :]
        for i in range(1, len(pairs)):
            np.maximum(z, 0, out=z)
            along = np.matmul(z, left[i][:, own].T[:, :, None])
            z = np.matmul(z, ahead[i][0]) + ahead[i][1]
            z += along * (s[i] * right[i][own])[:, None, :]
            z += (s[i] * offsets[i][own])[:, None, :]
        z -= z.max(-1, keepdims=True)
        np.exp(z, out=z)
        outputs[own] = z[:, np.arange(len(x)), labels] / z.sum(-1)

    list(pool.map(evaluate, range(0, members, MEMBERS)))
    v = -1 / (outputs + DELTA)
    w = outputs - outputs.mean(0)
    norm = np.sqrt(np.vdot(v.T @ v, w.T @ w)) / members
    c = (w @ v.mean(0)) * np.float32(H / (norm + EPSILON) / members)
    for i, (weight, bias) in enumerate(ahead):
        new = weight - mean.spread[i] * ((left[i] * c) @ right[i]), bias - mean.spread[i] * (c @ offsets[i])
        mean.moves[i] = new[0] - mean.weights[i], new[1] - mean.biases[i]
        mean.weights[i], mean.biases[i] = new
    return norm


if __name__ == "__main__":
    given = arguments(["low-rank"])
    x, labels = training_set(given.data)
    rng = np.random.Generator(np.random.SFC64(0))
    mean = Mean(given.layers, rng)
    with ThreadPoolExecutor(given.threads) as pool:

        def one(n):
            batch = slice(n * given.batch, (n + 1) * given.batch)
            return step(mean, x[batch], labels[batch], given.members, rng, pool)

        timed(one, given.steps, peer="numpy", version=np.__version__)
