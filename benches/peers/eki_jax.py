"""EKI of a dense classifier in JAX (jit, vmap): what a user of today's array libraries would write.

    D_jk = <G(u_k) - Gbar, grad Psi(G(u_j))> / J        u <- u - h / (|D|_F + epsilon) D u
"""
import functools

import jax
import jax.numpy as jnp
from mnist import DELTA, arguments, ensemble, sizes, timed, training_set

H, EPSILON = 2.0, 0.5


def probabilities(member, x, layers):
    at, hidden = 0, x
    for layer, (a, b) in enumerate(sizes(layers)):
        hidden = hidden @ member[at : at + a * b].reshape(a, b) + member[at + a * b : at + a * b + b]
        at += a * b + b
        if layer + 2 < len(layers):
            hidden = jax.nn.relu(hidden)
    return jax.nn.softmax(hidden)


@functools.partial(jax.jit, static_argnames=("layers", "form"), donate_argnums=0)
def step(u, x, labels, layers, form):
    members = u.shape[0]
    z = jax.vmap(lambda member: probabilities(member, x, layers))(u)[:, jnp.arange(x.shape[0]), labels]
    v, w = -1 / (z + DELTA), z - z.mean(0)
    if form == "explicit":
        d = v @ w.T / members
        norm = jnp.linalg.norm(d)
        return u - H / (norm + EPSILON) * (d @ u), norm
    norm = jnp.sqrt(jnp.sum((v.T @ v) * (w.T @ w))) / members
    return u - H / (norm + EPSILON) / members * (v @ (w.T @ (u - u.mean(0)))), norm


if __name__ == "__main__":
    given = arguments(["factored", "explicit"])
    x, labels = training_set(given.data)
    u = jnp.asarray(ensemble(given.members, given.layers))

    def one(n):
        global u
        batch = slice(n * given.batch, (n + 1) * given.batch)
        u, norm = step(u, x[batch], labels[batch], given.layers, given.form)
        u.block_until_ready()
        return norm

    timed(one, given.steps, peer="jax", version=jax.__version__)
