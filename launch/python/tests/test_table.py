"""Tables: columns by name, as arrays and DataFrames."""

import tempfile
import unittest
from pathlib import Path

import numpy

from eki_mpi.table import Table, from_csv, from_records


class Tables(unittest.TestCase):
    def test_an_array_has_its_columns_by_name_and_by_number(self) -> None:
        array = numpy.array([[1.0, 2.0], [3.0, 4.0]])
        named = Table(array, ["a", "b"])
        self.assertEqual(list(named["b"]), [2.0, 4.0])
        self.assertEqual(dict(named).keys(), {"a", "b"})
        self.assertTrue((numpy.asarray(named) == array).all())
        self.assertEqual(list(Table(array)["1"]), [2.0, 4.0])
        with self.assertRaises(KeyError):
            named["c"]
        with self.assertRaises(ValueError):
            Table(array, ["a"])

    def test_text_stays_text_and_blanks_are_nan(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_text('name,mean,contraction\n1,2.5,\n"a,b",-1e-3,0.5\n')
            table = from_csv(path)
        self.assertEqual(list(table["name"]), ["1", "a,b"])
        self.assertEqual(list(table["mean"]), [2.5, -1e-3])
        self.assertTrue(numpy.isnan(table["contraction"][0]))
        self.assertEqual(table.array.shape, (2, 2))

    def test_records_lack_numbers_as_nan(self) -> None:
        table = from_records([{"step": 1}, {"step": 2, "accuracy_mean": 0.5}])
        self.assertEqual(list(table["step"]), [1, 2])
        self.assertTrue(numpy.isnan(table["accuracy_mean"][0]))
        self.assertEqual(table["accuracy_mean"][1], 0.5)


if __name__ == "__main__":
    unittest.main()
