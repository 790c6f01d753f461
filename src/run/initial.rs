//! The first members from a file: of a network P numbers each as they are, of a simulator in its parameters' own units.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::bounded;
use crate::forward::marginal::Marginal;
use crate::io::npy;
use crate::kernels::real::Real;

/// The most bytes of a table that is read.
const LONGEST: u64 = 1 << 30;

/// Returns the coordinates of `rows` members, row-major, from the table `path` of their parameters in their own units: an .npy file
/// with a column for each of `marginals` in their order, or a .csv file that names its columns, in any order. Columns of other
/// names are left alone.
///
/// # Errors
/// A file that cannot be read, is of another shape, or holds a value that its prior excludes: named by row and parameter.
pub(super) fn coordinates<T: Real>(
    path: &Path,
    rows: usize,
    marginals: &[Marginal],
) -> Result<Vec<T>> {
    let is_text = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let values = if is_text {
        table(path, rows, marginals)?
    } else {
        npy::read_either(path, rows, marginals.len())?
    };
    let of = |(i, u): (usize, f64)| {
        let marginal = &marginals[i % marginals.len()];
        let (row, name) = (i / marginals.len() + 1, &marginal.name);
        let outside = || {
            let support = marginal.support();
            Error::data(
                path,
                format!(
                    "row {row}, {name} = {u:?}: outside its prior (model.prior), must be {support}"
                ),
            )
        };
        Ok(T::from_f64(marginal.coordinate(u).ok_or_else(outside)?))
    };
    values.into_iter().enumerate().map(of).collect()
}

/// Returns the values of `rows` members from the text of `path`, in the order of `marginals`.
fn table(path: &Path, rows: usize, marginals: &[Marginal]) -> Result<Vec<f64>> {
    let text = String::from_utf8(bounded::whole(path, LONGEST)?)
        .map_err(|e| Error::data(path, format!("cannot be read: {e}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty());
    let fault = |why: String| Error::data(path, why);
    let head = lines.next().map_or("", |(_, line)| line);
    let names: Vec<&str> = head
        .split(',')
        .map(|n| n.trim().trim_matches('"'))
        .collect();
    let place = |marginal: &Marginal| {
        let found: Vec<usize> = (0..names.len())
            .filter(|&i| names[i] == marginal.name)
            .collect();
        match found[..] {
            [one] => Ok(one),
            ref found => Err(fault(format!(
                "has {} columns named {:?} in its first line, and must have one for each parameter of model.prior",
                found.len(),
                marginal.name
            ))),
        }
    };
    let places = marginals
        .iter()
        .map(place)
        .collect::<Result<Vec<usize>>>()?;
    let mut values = Vec::new();
    for (i, line) in lines {
        let line_number = i + 1;
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if fields.len() != names.len() {
            let (found, wanted) = (fields.len(), names.len());
            return Err(fault(format!(
                "line {line_number}: has {found} fields, and the first line names {wanted} columns"
            )));
        }
        for (&place, marginal) in places.iter().zip(marginals) {
            let number: Option<f64> = fields[place].parse().ok();
            values.push(number.ok_or_else(|| {
                let field: String = fields[place].chars().take(60).collect();
                let name = &marginal.name;
                fault(format!(
                    "line {line_number}, {name}: {field:?} is no number"
                ))
            })?);
        }
    }
    let found = values.len() / marginals.len();
    if found != rows {
        return Err(fault(format!(
            "has {found} members, a line each, and {rows} are needed (ensemble.members)"
        )));
    }
    Ok(values)
}
