import sys

def simulate(growth, capacity):
    x, outputs = 0.1, []
    for month in range(12):
        for _ in range(100):
            x += 0.01 * growth * x * (1 - x / capacity)
        outputs.append(x)
    return outputs

for line in sys.stdin:                          # one member a line: its number, its parameters
    number, *u = line.split()
    try:
        print(number, *simulate(*map(float, u)), flush=True)
    except (ArithmeticError, TypeError, ValueError) as reason:
        print(number, "failed:", reason, flush=True)    # it is left out and redrawn
