//! Matrices that a user brings: .npy, or text as `files::numbers` reads it, a line for each row.

use std::path::Path;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::files::{self, bounded, numbers};
use crate::io::npy;

/// The longest text that is read for a matrix, in bytes; longer ones must be .npy files.
const LONGEST: u64 = 1 << 28;

/// Reads the matrix in `path`: .npy if its name ends so, else text. Entries may be NaN or infinite.
///
/// # Errors
/// `Error::Data` for a file that is missing, of another kind, or empty, or lines of different lengths.
pub fn read(path: &Path) -> Result<Array2<f64>> {
    let matrix = match files::ends_in(path, "npy") {
        true => npy::matrix(&bounded::whole(path, u64::MAX)?),
        false => in_text(&bounded::text(path, LONGEST)?),
    };
    let matrix = matrix.map_err(|why| Error::data(path, why))?;
    if matrix.is_empty() {
        return Err(Error::data(path, "holds no numbers"));
    }
    Ok(matrix)
}

/// Returns the rows of `text`, or what is wrong with it.
pub(crate) fn in_text(text: &str) -> std::result::Result<Array2<f64>, String> {
    let (mut entries, mut columns, mut rows) = (Vec::new(), 0, 0);
    for (place, line) in numbers::lines(text) {
        let fields = numbers::fields(line, None).map_err(|why| format!("line {place} {why}"))?;
        if rows > 0 && fields.len() != columns {
            let given = fields.len();
            return Err(format!(
                "line {place} holds {given} numbers, and those before {columns}"
            ));
        }
        (columns, rows) = (fields.len(), rows + 1);
        let filled = |(i, field): (usize, Option<f64>)| {
            field.ok_or_else(|| format!("line {place} has nothing in field {}", i + 1))
        };
        for field in fields.into_iter().enumerate().map(filled) {
            entries.push(field?);
        }
    }
    Ok(Array2::from_shape_vec((rows, columns), entries).expect("whole rows"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn text_is_read_row_by_row_and_ragged_rows_are_refused() {
        assert_eq!(
            in_text("# a comment\n1, 2e0\n\n3, nan\n").unwrap().dim(),
            (2, 2)
        );
        assert_eq!(in_text("1\n2\n").unwrap(), array![[1.0], [2.0]]);
        let ragged = in_text("1 2\n3\n").unwrap_err();
        assert_eq!(ragged, "line 2 holds 1 numbers, and those before 2");
        assert!(
            in_text("1,,2\n")
                .unwrap_err()
                .contains("nothing in field 2")
        );
        assert!(in_text("a b\n").unwrap_err().contains("not a number"));
    }
}
