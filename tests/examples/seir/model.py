"""An epidemic by the SEIR equations in steps of a day: contact, incubation and recovery rates a day, infected at first."""
import sys

PEOPLE, DAYS, REPORTED = 100_000.0, 80, 0.4


def cases(contact, incubation, recovery, infected):
    """Returns the cases that are reported on each day."""
    s, e, i, found = PEOPLE - infected, 0.0, infected, []
    for _ in range(DAYS):
        new, ill = contact * s * i / PEOPLE, incubation * e
        if new > s:
            raise ValueError("more are infected in a day than are healthy: the step is too long for these rates")
        s, e, i = s - new, e + new - ill, i + ill - recovery * i
        found.append(REPORTED * ill)
    return found


if __name__ == "__main__":
    for line in sys.stdin:
        print(*cases(*map(float, line.split())), flush=True)
