"""Makes observed.csv: reported cases of an epidemic with known rates, with errors, and days on which nothing was reported."""
import random

from model import DAYS, cases

TRUTH = (0.6, 0.25, 0.2, 20.0)

random.seed(5)
print("name,value,deviation,group")
for day, true in enumerate(cases(*TRUTH)):
    deviation = 5 + 0.1 * true
    value = max(0.0, random.gauss(true, deviation))
    missing = day % 7 == 6 or 24 <= day <= 27
    week = 1 + day // 7
    print(f"day {day + 1},{'' if missing else f'{value:.0f}'},{deviation:.2f},week {week}")
