"""A Python function as the program that `model.command` starts: the protocol of the guide's chapter `simulators`."""

from __future__ import annotations

import csv
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy

# The longest reason for a failure that is answered.
LONGEST = 160

# Outputs of a function: numbers in the order of the observations, or by name.
Function = Callable[..., Any]
Names = Union[Sequence[str], str, "os.PathLike[str]"]


def observation_set() -> Optional[str]:
    """Returns the set of observations that this process is asked for; None where the observations have no sets."""
    return os.environ.get("EKI_SET")


def simulator(
    function: Union[Function, Mapping[str, Function]],
    *,
    names: Optional[Sequence[str]] = None,
    outputs: Optional[Names] = None,
) -> None:
    """Answers the questions on standard input by `function`, until there are no more.

    `function` takes the parameters as numbers, in the order of `model.prior`, or by their `names` where these are given. It returns
    a number for each observation, in their order; or a mapping from their names, where `outputs` says the order: the names, or the path of the
    table of observations. A mapping from sets of observations to functions in place of `function` has one for each.

    An exception makes the member fail: its message goes to the run's log, its traceback to standard error. NaN says that an output is
    missing. Questions with numbers (`model.numbered`) are answered with theirs. What the function prints goes to standard error, and
    what it starts reads nothing: questions and answers keep their own files.

    Raises ValueError where there is no function for the set that is asked for, and OSError where the table cannot be read.
    """
    asked = observation_set()
    if isinstance(function, Mapping):
        if asked is None or asked not in function:
            raise ValueError(f"no function for the set of observations {asked!r}; there are {', '.join(map(repr, function))}")
        function = function[asked]
    order = _order(outputs, asked)
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    with questions, answers:
        for line in questions:
            answers.write(_answer(line, function, names, order) + "\n")
            answers.flush()


def _answer(line: str, function: Function, names: Optional[Sequence[str]], order: Optional[Sequence[str]]) -> str:
    """Returns the answer to the question `line`, with its number if it has one."""
    fields = line.split()
    number = ""
    # Parameters have a point or an exponent; a question's number has digits alone.
    if fields and fields[0].isdigit():
        number = fields.pop(0) + " "
    parameters = [float(field) for field in fields]
    try:
        if names is None:
            answer = function(*parameters)
        else:
            if len(names) != len(parameters):
                raise ValueError(f"{len(names)} names were given, and model.prior has {len(parameters)} parameters")
            answer = function(**dict(zip(names, parameters)))
        return number + " ".join(map(repr, _numbers(answer, order)))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return f"{number}failed: {reason[:LONGEST]}"


def _numbers(answer: Any, order: Optional[Sequence[str]]) -> list[float]:
    """Returns the numbers of `answer`, those of a mapping in this `order`."""
    if isinstance(answer, Mapping):
        if order is None:
            raise TypeError("outputs by name need their order: simulator(function, outputs=...)")
        lacking = [name for name in order if name not in answer]
        if lacking:
            raise KeyError(f"no output {lacking[0]!r}")
        answer = [answer[name] for name in order]
    return [float(x) for x in numpy.ravel(numpy.asarray(answer, dtype=float))]


def _order(outputs: Optional[Names], asked: Optional[str]) -> Optional[list[str]]:
    """Returns the names of the outputs in their order, of the set `asked`, from a table of observations where `outputs` is its path."""
    if outputs is None:
        return None
    if not isinstance(outputs, (str, os.PathLike)):
        return list(outputs)
    with open(outputs, newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.split("#")[0].strip()]
    if not lines:
        raise ValueError(f"{os.fspath(outputs)}: is empty")
    separator = next((c for c in ",;\t" if c in lines[0]), " ")
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    columns = [column.lower() for column in rows[0]]
    if "name" not in columns:
        raise ValueError(f"{os.fspath(outputs)}: has no column `name`")
    name = columns.index("name")
    of = columns.index("set") if asked is not None and "set" in columns else None
    return [row[name] for row in rows[1:] if of is None or row[of] == asked]
