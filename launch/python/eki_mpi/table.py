"""Tables of named columns, as arrays and DataFrames."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy
import numpy.typing

if TYPE_CHECKING:
    import pandas

Array = numpy.typing.NDArray[Any]

# Columns that hold text, also where each cell looks like a number.
TEXT = ("name", "group", "set")


class Table(Mapping[str, Array]):
    """Named columns of equal length: `table["growth"]` is one, `table.array` all that hold numbers, `table.frame()` a DataFrame."""

    def __init__(self, columns: Union[Array, Sequence[Array]], names: Optional[Sequence[str]] = None) -> None:
        """Takes `columns`, one each or as an array of rows x columns, and their `names`, without which they are "0", "1", ..."""
        self._columns = columns
        self._names = None if names is None else list(names)
        self._places: Optional[dict[str, int]] = None
        if names is not None and len(names) != self._count():
            raise ValueError(f"{len(names)} names of {self._count()} columns")

    def _count(self) -> int:
        return self._columns.shape[1] if isinstance(self._columns, numpy.ndarray) else len(self._columns)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        if self._names is None:
            self._names = [str(i) for i in range(self._count())]
        return self._names

    @property
    def array(self) -> Array:
        """The columns that hold numbers, rows x columns."""
        if isinstance(self._columns, numpy.ndarray):
            return self._columns
        numbers = [column for column in self._columns if column.dtype.kind in "fiub"]
        return numpy.column_stack(numbers) if numbers else numpy.empty((0, 0))

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> Array:
        array = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __getitem__(self, name: str) -> Array:
        if self._places is None:
            self._places = {name: i for i, name in enumerate(self.names)}
        place = self._places[name]
        return self._columns[:, place] if isinstance(self._columns, numpy.ndarray) else self._columns[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Returns the number of columns."""
        return self._count()

    def __repr__(self) -> str:
        rows = len(self._columns) if isinstance(self._columns, numpy.ndarray) else max(map(len, self._columns), default=0)
        shown = self.names[:8] + (["..."] if self._count() > 8 else [])
        return f"<Table of {rows} rows: {', '.join(shown)}>"

    def frame(self) -> pandas.DataFrame:
        """Returns a DataFrame of all columns. Needs pandas."""
        import pandas

        if isinstance(self._columns, numpy.ndarray):
            return pandas.DataFrame(self._columns, columns=self.names)
        return pandas.DataFrame(dict(zip(self.names, self._columns)))


def from_records(records: Sequence[Mapping[str, Any]]) -> Table:
    """Returns the table of `records`, a row each, with NaN where one lacks a number. Values that are no numbers are left out."""
    names: dict[str, None] = {}
    for record in records:
        names.update({name: None for name, value in record.items() if isinstance(value, (int, float))})
    columns = [numpy.array([record.get(name, numpy.nan) for record in records]) for name in names]
    return Table(columns, list(names))


def from_csv(path: Path) -> Table:
    """Returns the table in the file at `path`, whose first line holds the names; blank cells among numbers are NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    if not rows:
        raise ValueError(f"{path}: is empty")
    names, cells = rows[0], rows[1:]
    return Table([_column(name, [row[i] for row in cells]) for i, name in enumerate(names)], names)


def _column(name: str, cells: Sequence[str]) -> Array:
    """Returns `cells` as numbers, or as text where some are none or the column `name` holds text."""
    if name not in TEXT:
        try:
            return numpy.array([float(cell) if cell else numpy.nan for cell in cells])
        except ValueError:
            pass
    return numpy.array(cells, dtype=object)
