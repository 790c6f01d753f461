//! The matrix of factors that `method.localise` names, of which each rank keeps the columns that it updates.

use std::path::Path;

use crate::data::noise::KeptFile;
use crate::data::observed::ObservedOutputs;
use crate::data::tapers::TaperFile;
use crate::error::{Error, Result};
use crate::io::npy;

/// The name of the file in messages between ranks.
const STEM: &str = "tapers";

/// Reads the matrix in `path` once, row by row, and checks it: a row for each of the simulator's `outputs`, and factors from 0 to 1.
///
/// # Errors
/// A file that cannot be read, or is no such matrix.
pub(super) fn check(path: &Path, outputs: &ObservedOutputs) -> Result<TaperFile> {
    let shape = npy::shape(path)?;
    let total = outputs.total();
    let parameters = match shape[..] {
        [rows, columns] if rows == total as u64 && columns > 0 => columns as usize,
        _ => {
            let why = format!(
                "has shape {shape:?}, but must have {total} rows, one for each output, and a column for each parameter"
            );
            return Err(Error::data(path, why));
        }
    };
    npy::read_columns(
        path,
        (total, parameters),
        (0..total, 0..parameters),
        |k, row| {
            let wrong = row.iter().position(|x| !(0.0..=1.0).contains(x));
            wrong.map_or(Ok(()), |p| {
                let (k, number, p) = (k + 1, row[p], p + 1);
                let why = format!("holds {number} in row {k}, column {p}: must be from 0 to 1");
                Err(Error::data(path, why))
            })
        },
    )?;
    Ok(TaperFile {
        file: KeptFile::of(STEM, path)?,
        rows: total,
        parameters,
        observed: outputs.places().collect(),
    })
}
