import sys

def simulate(growth, capacity):                 # a population over twelve months
    x, outputs = 0.1, []
    for month in range(12):
        for _ in range(100):
            x += 0.01 * growth * x * (1 - x / capacity)
        outputs.append(x)
    return outputs

for line in sys.stdin:                          # a line of parameters in, a line of outputs out
    print(*simulate(*map(float, line.split())), flush=True)
