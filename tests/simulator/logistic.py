import sys

def simulate(growth, capacity):
    x, outputs = 0.1, []
    for month in range(12):
        for _ in range(100):
            x += 0.01 * growth * x * (1 - x / capacity)
        outputs.append(x)
    return outputs

for line in sys.stdin:                          # one member a line
    try:
        print(*simulate(*map(float, line.split())), flush=True)
    except (ArithmeticError, ValueError) as reason:
        print("failed:", reason, flush=True)    # it is left out and redrawn
