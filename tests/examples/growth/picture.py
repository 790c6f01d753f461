"""Draws the README's picture from a run of mine.toml: python3 picture.py FOLDER LAST_STEP > growth.svg, as in fit 000017."""

import csv
import subprocess
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 340, 52, 40, 36
MOST = 6.0


def x_of(month):
    return LEFT + (WIDTH - LEFT - 20) * month / 11


def y_of(size):
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * size / MOST


def line(sizes, style):
    points = " ".join(f"{x_of(k):.1f},{y_of(size):.1f}" for k, size in enumerate(sizes))
    print(f'<polyline points="{points}" fill="none" clip-path="url(#frame)" {style}/>')


def outputs(step):
    with open(f"{sys.argv[1]}/steps/{step}/outputs.csv") as file:
        return [[float(size) for size in row] for row in list(csv.reader(file))[1:]]


def quantile(sizes, share):
    return sorted(sizes)[round(share * (len(sizes) - 1))]


with open("observed.csv") as file:
    observed = list(csv.DictReader(file))
prior, fit = outputs("000000"), outputs(sys.argv[2])

answer = subprocess.run([sys.executable, "model.py"], input="0.8 3\n", capture_output=True, text=True, check=True)
truth = [float(size) for size in answer.stdout.split()]

print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" role="img"')
print('aria-label="A population over twelve months: simulations from the prior spread widely, those of the fit lie on the truth">')
print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>')
print(f'<clipPath id="frame"><rect x="0" y="{TOP}" width="{WIDTH}" height="{HEIGHT}"/></clipPath>')
for size in range(int(MOST) + 1):
    print(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y_of(size):.1f}" y2="{y_of(size):.1f}" stroke="#e4e4e4"/>')
    print(f'<text x="{LEFT - 10}" y="{y_of(size) + 4:.1f}" text-anchor="end" fill="#444444">{size}</text>')
for k, row in enumerate(observed):
    print(f'<text x="{x_of(k):.1f}" y="{HEIGHT - 14}" text-anchor="middle" fill="#444444">{row["name"][:3]}</text>')
for sizes in prior[:60]:
    line(sizes, 'stroke="#999999" stroke-opacity="0.35"')
band = [[quantile([member[k] for member in fit], share) for k in range(12)] for share in (0.025, 0.975)]
points = [(k, size) for k, size in enumerate(band[0])] + [(k, band[1][k]) for k in reversed(range(12))]
path = " ".join(f"{x_of(k):.1f},{y_of(size):.1f}" for k, size in points)
print(f'<polygon points="{path}" fill="#0072b2" fill-opacity="0.35" stroke="#0072b2"/>')
line(truth, 'stroke="#222222" stroke-width="1.5" stroke-dasharray="6 4"')
for k, row in enumerate(observed):
    value, deviation = float(row["value"]), float(row["deviation"])
    ends = y_of(value - 2 * deviation), y_of(value + 2 * deviation)
    print(f'<line x1="{x_of(k):.1f}" x2="{x_of(k):.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="#d55e00" stroke-width="2"/>')
    print(f'<circle cx="{x_of(k):.1f}" cy="{y_of(value):.1f}" r="3.5" fill="#d55e00"/>')
legend = [("#999999", "prior: 60 members"), ("#0072b2", "posterior: 95 % of members"), ("#222222", "truth"), ("#d55e00", "observed ± 2 deviations")]
at = LEFT
for colour, words in legend:
    print(f'<rect x="{at:.0f}" y="14" width="18" height="6" fill="{colour}"/><text x="{at + 24:.0f}" y="21" fill="#222222">{words}</text>')
    at += 44 + 6.6 * len(words)
print("</svg>")
