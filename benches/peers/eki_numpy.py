"""EKI of a dense classifier in NumPy, as fast as NumPy does it: blocks of members and of columns, spread over threads.

    D_jk = <G(u_k) - Gbar, grad Psi(G(u_j))> / J        u <- u - h / (|D|_F + epsilon) D u

Each thread takes a block of members through the network, or a block of columns through the update, with products of one
thread each: the passes between products then run on all cores too, and a block stays in the cache.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mnist import DELTA, arguments, ensemble, sizes, timed, training_set

MEMBERS = 8  # of a block
COLUMNS = 4096

H, EPSILON = 2.0, 0.5


def true_class(members, x, labels, layers):
    """The members' softmax outputs at each sample's own class, the only ones that enter D: n x m."""
    n, at, hidden = len(members), 0, x
    for layer, (a, b) in enumerate(sizes(layers)):
        weights = members[:, at : at + a * b].reshape(n, a, b)
        hidden = np.matmul(hidden, weights)
        hidden += members[:, None, at + a * b : at + a * b + b]
        at += a * b + b
        if layer + 2 < len(layers):
            np.maximum(hidden, 0, out=hidden)
    hidden -= hidden.max(-1, keepdims=True)
    np.exp(hidden, out=hidden)
    return hidden[:, np.arange(len(x)), labels] / hidden.sum(-1)


def step(u, x, labels, given, pool):
    members, parameters = u.shape
    outputs = np.empty((members, len(x)), np.float32)

    def evaluate(first):
        block = slice(first, first + MEMBERS)
        outputs[block] = true_class(u[block], x, labels, given.layers)

    list(pool.map(evaluate, range(0, members, MEMBERS)))
    v = -1 / (outputs + DELTA)
    w = outputs - outputs.mean(0)
    if given.form == "explicit":
        d = np.empty((members, members), np.float32)
        rows = -(-members // given.threads)

        def interact(first):
            np.matmul(v[first : first + rows], w.T, out=d[first : first + rows])

        list(pool.map(interact, range(0, members, rows)))
        norm = np.linalg.norm(d) / members
        d *= np.float32(-H / (norm + EPSILON) / members)
    else:
        norm = np.sqrt(np.vdot(v.T @ v, w.T @ w)) / members
        v *= np.float32(-H / (norm + EPSILON) / members)

    def update(first):
        block = u[:, first : first + COLUMNS]
        if given.form == "explicit":
            block += d @ block
        else:
            block += v @ (w.T @ (block - block.mean(0)))

    list(pool.map(update, range(0, parameters, COLUMNS)))
    return norm


if __name__ == "__main__":
    given = arguments(["factored", "explicit"])
    x, labels = training_set(given.data)
    u = ensemble(given.members, given.layers)
    with ThreadPoolExecutor(given.threads) as pool:

        def one(n):
            batch = slice(n * given.batch, (n + 1) * given.batch)
            return step(u, x[batch], labels[batch], given, pool)

        timed(one, given.steps, peer="numpy", version=np.__version__)
