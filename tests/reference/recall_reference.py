"""The golden number of src/data/recall.rs: the tasks' first examples, drawn by a ChaCha8 of its own.

    python3 tests/reference/recall_reference.py
"""
import hashlib
import struct


def rotl(x, n):
    return ((x << n) | (x >> (32 - n))) & 0xFFFFFFFF


def block(key, counter):
    """One block of ChaCha with 8 rounds (Bernstein 2008), 64-bit counter, nonce 0."""
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    w = start[:]

    def quarter(a, b, c, d):
        for i, j, k, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[i] = (w[i] + w[j]) & 0xFFFFFFFF
            w[k] = rotl(w[k] ^ w[i], n)

    for _ in range(4):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(w, start)]


def stream(seed, purpose, step, member):
    key = struct.pack("<QIIQQ", seed, purpose, 0, step, member)
    counter = 0
    while True:
        yield from block(key, counter)
        counter += 1


def adding(length, words):
    x = [0.0] * (2 * length)
    for t in range(length):
        x[2 * t] = next(words) / 2**32
    half, y = length // 2, 0.0
    for t in ((next(words) * half) >> 32, half + ((next(words) * (length - half)) >> 32)):
        x[2 * t + 1] = 1.0
        y += x[2 * t]
    return x, [y]


def copying(length, words):
    x, y = [0.0] * (10 * (length + 20)), [0.0] * 80
    for t in range(length + 20):
        symbol = 9 if t == length + 9 else 8
        if t < 10:
            symbol = (next(words) * 8) >> 32
            y[8 * t + symbol] = 1.0
        x[10 * t + symbol] = 1.0
    return x, y


data = b""
for task in (adding, copying):
    for part, count in ((0, 5), (1, 2)):
        examples = [task(100, stream(1, 12, part, i)) for i in range(count)]
        for side in (0, 1):
            for example in examples:
                data += struct.pack(f"<{len(example[side])}d", *example[side])
print(hashlib.sha256(data).hexdigest())
