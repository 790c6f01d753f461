#!/usr/bin/env python3
"""Ten steps of every method in NumPy, written from the equations alone, for tests/reference.rs to compare with.

    python3 tests/reference/eki_reference.py

writes, beside this file, NAME.npy for each case (every twelfth parameter of the final ensemble) and numbers.json (the
cases' settings as the program's command line takes them, the mean, and each step's loss, ||D||_F, step size and
spread). It reads digits.npy alone: the first 18 training samples, 64 pixels and the class, which the test checks.

Everything is in double precision. Cases with random draws are to be run in single precision, whose draws (ChaCha8
and Box-Muller, see src/rng.rs) are made here a second time, from the ChaCha20 paper's rounds and NumPy's logarithm
and cosine; the initial ensembles come from a hash that the test computes too. Nothing is taken from the program.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LAYERS = [64, 8, 10]
PARAMETERS = sum((a + 1) * b for a, b in zip(LAYERS, LAYERS[1:]))
BATCH, SAMPLES, STEPS = 6, 18, 10
STEPS_PER_EPOCH = SAMPLES // BATCH
BLOCK = 512
INITIAL, RERANDOMISE, PERTURB = 1, 2, 8
SEED = 11


# ---- random numbers -------------------------------------------------------------------------------------------------


def hashed_ensemble(members):
    """Uniform on +-0.4: splitmix64 (Steele, Lea & Flood 2014) of the number's place, its upper 53 bits."""
    z = (np.arange(1, members * PARAMETERS + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    unit = (z >> np.uint64(11)).astype(np.float64) / 2.0**53
    return (0.8 * (unit - 0.5)).reshape(members, PARAMETERS)


def chacha8_block(key, counter):
    """The 16 words of block `counter`: RFC 8439's state and quarter rounds, but 8 rounds and a 64-bit counter."""
    mask = 0xFFFFFFFF
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key, counter & mask, counter >> 32, 0, 0]
    s = list(start)

    def quarter(a, b, c, d):
        for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & mask
            t = s[z] ^ s[x]
            s[z] = ((t << by) | (t >> (32 - by))) & mask

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(x + y) & mask for x, y in zip(s, start)]


def normals(count, purpose, step, member, block):
    """The first `count` N(0, 1) draws of a key, as src/rng.rs says: 16 blocks give 128 radii, then 128 angles."""
    words = np.array([SEED & 0xFFFFFFFF, SEED >> 32, purpose, block, step & 0xFFFFFFFF, step >> 32, member, 0])
    key = [int(word) for word in words]
    out = []
    for batch in range(-(-count // 256)):
        blocks = np.array([chacha8_block(key, 16 * batch + lane) for lane in range(16)], dtype=np.float64)
        radii, angles = blocks.T[:8].ravel(), blocks.T[8:].ravel()  # word by word, the lanes of each
        radius = np.sqrt(-2.0 * np.log((radii + 0.5) / 2.0**32))
        turn = 2.0 * np.pi * angles / 2.0**32
        out += [radius * np.cos(turn), radius * np.sin(turn)]
    return np.concatenate(out)[:count]


def xi(members, purpose, step):
    """C_0^{1/2} xi for members 0..members: Glorot's deviation for weights and biases, a key for each block of 512."""
    deviations = DEVIATIONS
    rows = []
    for member in range(members):
        starts = range(0, PARAMETERS, BLOCK)
        parts = [normals(min(BLOCK, PARAMETERS - s), purpose, step, member, s // BLOCK) for s in starts]
        rows.append(deviations * np.concatenate(parts))
    return np.array(rows)


# ---- the forward map and the losses ---------------------------------------------------------------------------------


def network(u, x, activation, softmax):
    """Outputs m x c of one member on inputs m x d."""
    at, h = 0, x
    for layer, (a, b) in enumerate(zip(LAYERS, LAYERS[1:])):
        weight, bias = u[at : at + a * b].reshape(a, b), u[at + a * b : at + (a + 1) * b]
        at += (a + 1) * b
        h = h @ weight + bias
        if layer < len(LAYERS) - 2:
            h = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh, "heaviside": lambda z: (z > 0) * 1.0}[activation](h)
    if not softmax:
        return h
    e = np.exp(h - h.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gradient_and_misfit(z, label, case):
    """grad Psi, as a matrix m x c, and Psi summed over the batch."""
    one_hot = np.eye(10)[label]
    if case["loss"] == "cross-entropy":
        delta = 0.005
        true = (z * one_hot).sum(axis=1)
        return -one_hot / (z + delta), -np.log(true + delta).sum()
    gamma = np.array(case["noise"])
    return (z - one_hot) / gamma, 0.5 * ((z - one_hot) ** 2 / gamma).sum()


# ---- the methods ----------------------------------------------------------------------------------------------------


def localised(points, gradients, anomalies, power):
    """What gradients move points by, J x P, where the correlations of parameters with outputs are shrunk."""
    c_uw = (points - points.mean(axis=0)).T @ anomalies / len(points)
    r = c_uw / np.outer(points.std(axis=0), anomalies.std(axis=0))
    return gradients @ (c_uw * np.abs(r) ** power).T


def interaction(points, x, label, case):
    """D by its definition, row by row, the members' mean misfit, and what localised gradients move members by."""
    outputs = [network(u, x, case["activation"], case["softmax"]) for u in points]
    mean = sum(outputs) / len(outputs)
    d = np.zeros((len(points), len(points)))
    misfits, gradients = [], []
    for j, z in enumerate(outputs):
        gradient, misfit = gradient_and_misfit(z, label, case)
        misfits.append(misfit)
        gradients.append(gradient.ravel())
        for k, other in enumerate(outputs):
            d[j, k] = np.sum((other - mean) * gradient) / len(points)
    flat = np.array(outputs).reshape(len(points), -1)
    return d, np.mean(misfits), localised(points, np.array(gradients), flat - flat.mean(axis=0), case["localise"])


def kalman(points, x, label, case, h, step):
    """D about the mean outputs, the matrix that moves members, C^{uw} (C^{ww} + Omega^{-1}/h)^{-1} being their gain, and
    the members' mean misfit; of cross-entropy the true class alone is an output. By misfit h is what the members' misfits
    allow of it, and is given back. Each member may have noise on its observations, of variance 1/(h Omega). Last, what
    localised gradients move members by."""
    outputs = np.array([network(u, x, case["activation"], case["softmax"]) for u in points])
    one_hot = np.eye(10)[label]
    misfits = np.array([gradient_and_misfit(z, label, case)[1] for z in outputs])
    if case["shape"] == "misfit":
        h *= min(1.0, max(outputs[0].size / (2 * misfits.mean()), np.sqrt(outputs[0].size / (2 * misfits.var()))))
    if case["loss"] == "cross-entropy":
        z = (outputs * one_hot).sum(axis=2)
        root = 1.0 / (z.mean(axis=0) + 0.005)
        gradient, omega = -root, root**2 / (1.005 - z.mean(axis=0))
    else:
        z = outputs.reshape(len(points), -1)
        omega = np.tile(1.0 / np.array(case["noise"]), z.shape[1] // len(case["noise"]))
        gradient = omega * (z.mean(axis=0) - one_hot.ravel())
    w = z - z.mean(axis=0)
    residual = gradient / omega + w
    if case["perturb"]:
        starts = range(0, w.shape[1], BLOCK)
        draws = [[normals(min(BLOCK, w.shape[1] - s), PERTURB, step, j, s // BLOCK) for s in starts] for j in range(len(points))]
        residual -= np.array([np.concatenate(row) for row in draws]) / np.sqrt(h * omega)
    d = (residual * omega) @ w.T / len(points)
    c_ww = w.T @ w / len(points)
    solved = residual @ np.linalg.inv(c_ww + np.diag(1.0 / omega) / h)
    return d, solved @ w.T / len(points), misfits.mean(), h, localised(points, solved, w, case["localise"])


def members_in(epoch, case):
    """J grows evenly to grow_to in the last epoch."""
    last = (STEPS - 1) // STEPS_PER_EPOCH
    return case["members"] + max(0, case["grow_to"] - case["members"]) * min(epoch, last) // last


def spread(step, case):
    return np.sqrt(case["gamma"] * case["gamma_decay"] ** (step / STEPS_PER_EPOCH))


def coefficient(n, case):
    """What extrapolates after step number n since momentum last started."""
    if not case["momentum"]:
        return 0.0
    return case["momentum_coefficient"] or n / (n + 3)


def whitened(draws, centre, x, case):
    """Draws times a root of each layer's damped inverse second moments of inputs at the centre, over x, and the mean square
    deviation of what they become."""
    if case["whiten"] == 0.0:
        return draws, np.mean(DEVIATIONS**2)
    at, h, out, square = 0, x, draws.copy(), 0.0
    for a, b in zip(LAYERS, LAYERS[1:]):
        with_one = np.hstack([h, np.ones((len(h), 1))])
        moments = with_one.T @ with_one / len(h)
        t = np.trace(moments) / (a + 1)
        lower = np.linalg.cholesky(moments + case["whiten"] * t * np.eye(a + 1))
        root = np.sqrt(t) * np.linalg.inv(lower).T
        part = slice(at, at + (a + 1) * b)
        out[:, part] = (root @ draws[:, part].reshape(-1, a + 1, b)).reshape(len(draws), -1)
        square += (root**2).sum() * (b * 2.0 / (a + b))
        sums = with_one @ centre[part].reshape(a + 1, b)
        h = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}[case["activation"]](sums)
        at = part.stop
    return out, square / PARAMETERS


def run(case):
    digits = np.load(HERE / "digits.npy").astype(np.float64)
    inputs, labels = digits[:, :64] / 16.0, digits[:, 64].astype(int)
    apart = {"never": 0, "step": 1, "epoch": STEPS_PER_EPOCH}[case["rerandomise"]] * case["every"]
    each_step = apart == 1
    j = case["members"]
    if case["initial"] == "file":
        u = hashed_ensemble(1 if case["form"] == "mean" else j)
    else:
        u = xi(j, INITIAL, 0) * (spread(0, case) if each_step else 1.0)
    # With a re-draw at each step: `centre` is what members are drawn about, `mean` the mean before momentum. With
    # momentum of the mean alone: what they are about, their draws' own mean left out.
    of_mean = case["momentum_of"] == "mean"
    centre = mean = u[0] if case["form"] == "mean" else u.mean(axis=0) if of_mean else np.zeros(PARAMETERS)
    first = inputs[: min(128, SAMPLES)]
    if case["form"] == "mean":
        draws, square = whitened(xi(j, INITIAL, 0), centre, first, case)
        u = centre + spread(0, case) * draws
    v, n, steps = u.copy(), 0, []
    for step in range(STEPS):
        epoch, place = divmod(step, STEPS_PER_EPOCH)
        batch = slice(place * BATCH, (place + 1) * BATCH)
        h = case["h"] * case["h_decay"] ** (step / STEPS_PER_EPOCH)
        if case["step"] == "kalman":
            d, moves, misfit, h, local = kalman(v, inputs[batch], labels[batch], case, h, step)
        else:
            d, misfit, local = interaction(v, inputs[batch], labels[batch], case)
        norm = np.sqrt((d**2).sum())
        h = h / (norm + 0.5) if case["step"] == "adaptive" else h
        moves, local = (moves, local) if case["step"] == "kalman" else (h * d, h * local)
        deviation = np.sqrt(((v - v.mean(axis=0)) ** 2).mean())
        if case["form"] == "mean":
            deviation = spread(step, case) * np.sqrt(square)
        steps.append([misfit / BATCH, norm, h, deviation])
        moved = v - (local if case["localise"] else moves @ v)
        moved = moved.mean(axis=0) + case["inflation"] * (moved - moved.mean(axis=0))
        ends = (step + 1) % STEPS_PER_EPOCH == 0
        due = apart > 0 and (step + 1) % apart == 0 and (each_step or step + 1 < STEPS)
        count = members_in(epoch + 1, case) if ends else j
        k = coefficient(n, case)
        n += 1
        about = lambda point: point + spread(step + 1, case) * xi(count, RERANDOMISE, step + 1)
        if each_step or of_mean:
            new = centre + (moved - v).mean(axis=0)
            at_rest = due and not each_step and (case["restart"] or count > j)
            centre, mean = new + (0.0 if at_rest else k) * (new - mean), new
            u = v = about(centre) if due else moved + (centre - new)
            if case["whiten"]:
                draws, square = whitened(xi(count, RERANDOMISE, step + 1), centre, first, case)
                u = v = centre + spread(step + 1, case) * draws
            n = 0 if due and not each_step and case["restart"] else n
        elif due:
            new, old = moved.mean(axis=0), u.mean(axis=0)
            carry = 0.0 if case["restart"] or count > j else k
            u, v = about(new), about(new + carry * (new - old))
            if case["restart"]:
                n = 0
        else:
            u, v = moved, moved + k * (moved - u)
        if count > j:
            if not due:
                joined = about(centre if of_mean else u.mean(axis=0))[j:]
                u, v = np.vstack([u, joined]), np.vstack([v, joined])
            j, n = count, 0
    return u, mean if each_step or of_mean else u.mean(axis=0), steps


DEVIATIONS = np.concatenate([np.full((a + 1) * b, np.sqrt(2.0 / (a + b))) for a, b in zip(LAYERS, LAYERS[1:])])

DEFAULT = {
    "members": 10, "grow_to": 0, "initial": "file", "rerandomise": "never", "every": 1,
    "gamma": 1.0, "gamma_decay": 1.0, "momentum": False, "momentum_coefficient": 0.0, "momentum_of": "members", "restart": True, "form": "explicit", "step": "adaptive",
    "h": 2.0, "h_decay": 1.0, "shape": "level", "perturb": False, "localise": 0, "whiten": 0.0, "inflation": 1.0, "loss": "cross-entropy", "noise": [1.0], "activation": "relu", "softmax": True,
    "precision": "double",
}  # fmt: skip

MEKI = {"momentum": True}
SQUARES = {"loss": "least-squares", "h": 0.5, "activation": "tanh"}
GAMMA = {"noise": [0.5, 1.0, 2.0, 1.5, 1.0, 3.0, 1.0, 0.25, 1.0, 0.75]}
EPOCH = {"rerandomise": "epoch", "gamma": 0.5, "gamma_decay": 0.9, "precision": "single"}
STEP = {"rerandomise": "step", "gamma": 0.3, "gamma_decay": 0.9, "precision": "single"}
APART = {"every": 2}
GROW = {"grow_to": 14, "precision": "single"}
OF_MEAN = {"momentum": True, "momentum_of": "mean"}
HEAVY = {"momentum": True, "momentum_coefficient": 0.9}
KALMAN = {"step": "kalman", "h": 1.5, "h_decay": 0.9}
FACTORED, MEAN, DRAWN = {"form": "factored"}, {"form": "mean"}, {"initial": "prior"}

CASES = {
    "eki-explicit": [],
    "eki-factored": [FACTORED],
    "meki-explicit": [MEKI],
    "meki-factored": [MEKI, FACTORED],
    "squares-explicit": [SQUARES, GAMMA],
    "squares-factored": [SQUARES, GAMMA, FACTORED],
    "heavy-heaviside": [HEAVY, {"activation": "heaviside", "h_decay": 0.8}],
    "fixed-identity": [SQUARES, MEKI, {"softmax": False, "step": "fixed", "h": 0.01, "h_decay": 0.9}],
    "drawn": [DRAWN, {"precision": "single"}],
    "epoch-explicit": [EPOCH],
    "epoch-factored": [EPOCH, FACTORED],
    "epoch-meki": [EPOCH, MEKI],
    "epoch-meki-carried": [EPOCH, MEKI, {"restart": False}],
    "of-mean-explicit": [OF_MEAN],
    "of-mean-factored": [HEAVY, OF_MEAN, FACTORED],
    "of-mean-epoch": [EPOCH, OF_MEAN],
    "of-mean-epoch-carried": [EPOCH, HEAVY, OF_MEAN, {"restart": False}],
    "of-mean-grow": [GROW, OF_MEAN],
    "of-mean-grow-epoch": [GROW, EPOCH, OF_MEAN, {"restart": False}],
    "grow": [GROW],
    "grow-meki": [GROW, MEKI],
    "grow-epoch-meki": [GROW, EPOCH, MEKI],
    "step-mean": [STEP, MEAN],
    "step-mean-heavy": [STEP, MEAN, HEAVY],
    "step-mean-squares": [STEP, MEAN, SQUARES],
    "step-mean-grow": [STEP, MEAN, GROW],
    "step-mean-whitened": [STEP, MEAN, HEAVY, {"whiten": 0.1}],
    "kalman-mean-whitened": [STEP, MEAN, SQUARES, GAMMA, KALMAN, {"whiten": 0.02}],
    "step-explicit": [STEP, DRAWN, HEAVY],
    "step-factored": [STEP, DRAWN, FACTORED],
    "step-explicit-grow": [STEP, DRAWN, GROW, MEKI],
    "apart-steps": [STEP, APART, DRAWN],
    "apart-steps-meki": [STEP, APART, MEKI, FACTORED],
    "apart-steps-grow": [STEP, APART, GROW, OF_MEAN, {"restart": False}],
    "apart-epochs": [EPOCH, APART, MEKI],
    "inflated": [{"inflation": 1.05}],
    "inflated-meki": [EPOCH, MEKI, FACTORED, {"inflation": 1.1}],
    "inflated-of-mean": [HEAVY, OF_MEAN, {"inflation": 1.02, "precision": "single"}],
    "localised": [FACTORED, {"localise": 1}],
    "localised-meki": [SQUARES, GAMMA, MEKI, FACTORED, {"localise": 2, "precision": "single"}],
    "kalman-localised": [EPOCH, FACTORED, KALMAN, {"members": 64, "localise": 1}],
    "kalman-explicit": [KALMAN],
    "kalman-factored": [KALMAN, FACTORED],
    "kalman-squares": [SQUARES, GAMMA, KALMAN],
    "kalman-misfit": [SQUARES, {"noise": [0.004]}, KALMAN, {"shape": "misfit"}],
    "kalman-mean-misfit": [STEP, MEAN, SQUARES, {"noise": [0.004]}, KALMAN, {"shape": "misfit"}],
    "kalman-meki": [MEKI, SQUARES, {"softmax": False}, KALMAN],
    "kalman-epoch": [EPOCH, FACTORED, KALMAN],
    "kalman-perturbed": [SQUARES, GAMMA, KALMAN, {"perturb": True, "precision": "single"}],
    "kalman-perturbed-factored": [SQUARES, EPOCH, FACTORED, KALMAN, {"members": 64, "perturb": True}],
    "kalman-mean": [STEP, MEAN, KALMAN],
    "kalman-mean-squares": [STEP, MEAN, SQUARES, GAMMA, KALMAN],
}  # fmt: skip

KEYS = {
    "members": "ensemble.members", "grow_to": "ensemble.grow_to", "rerandomise": "ensemble.rerandomise",
    "every": "ensemble.rerandomise_every", "gamma": "ensemble.gamma", "gamma_decay": "ensemble.gamma_decay", "momentum": "method.momentum",
    "momentum_coefficient": "method.momentum_coefficient", "momentum_of": "method.momentum_of", "restart": "method.momentum_restart",
    "form": "method.form", "step": "method.step", "h": "method.h", "h_decay": "method.h_decay", "shape": "method.h_schedule", "perturb": "method.perturb", "localise": "method.localisation_exponent", "whiten": "ensemble.whiten", "inflation": "ensemble.inflation",
    "loss": "method.loss", "noise": "method.noise", "activation": "model.activation", "precision": "run.precision",
}  # fmt: skip


def settings(case):
    keys = KEYS | ({"step": "method.kind"} if case["step"] == "kalman" else {})
    sets = [f"{key}={json.dumps(case[name])}" for name, key in keys.items()]
    fixed = {
        "seed": SEED, "model.layers": LAYERS, "model.output": "softmax" if case["softmax"] else "identity",
        "data.limit": SAMPLES, "data.batch": BATCH, "data.shuffle": False, "data.scale": "unit", "run.steps": STEPS,
        "method.delta": 0.005, "method.epsilon": 0.5, "ensemble.centre": "zero",
    }  # fmt: skip
    return sets + [f"{key}={json.dumps(value)}" for key, value in fixed.items()]


def main():
    numbers = {}
    for name, changes in CASES.items():
        case = dict(DEFAULT)
        for change in changes:
            case.update(change)
        ensemble, mean, steps = run(case)
        np.save(HERE / f"{name}.npy", ensemble[:, ::12].copy())
        numbers[name] = {
            "sets": settings(case), "initial": case["initial"], "precision": case["precision"], "form": case["form"],
            "members": case["members"], "steps": steps, "mean": mean[::12].tolist(),
        }  # fmt: skip
    (HERE / "numbers.json").write_text(json.dumps(numbers, indent=0) + "\n")


if __name__ == "__main__":
    main()
