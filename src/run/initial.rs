//! The first members from a file: of a network P numbers each as they are, of a simulator in its parameters' own units.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::table::Table;
use crate::files::{self, bounded};
use crate::forward::joint_prior::JointPrior;
use crate::io::npy;
use crate::kernels::real::Real;

/// The most bytes of a table that is read.
const LONGEST: u64 = 1 << 30;

/// Returns the coordinates of `rows` members, row-major, from the table `path` of their parameters in their own units: an .npy file
/// with a column for each parameter of `prior` in their order, or a .csv file that names its columns, in any order. There fixed and
/// tied parameters may be left out, and a column of another name is refused.
///
/// # Errors
/// A file that cannot be read, is of another shape, or holds a value that its prior excludes: named by row and parameter.
pub(super) fn coordinates<T: Real>(path: &Path, rows: usize, prior: &JointPrior) -> Result<Vec<T>> {
    if let Some(field) = prior.field_without_modes() {
        let why = format!(
            "cannot hold members of the field {field}: give it modes in model.prior, from which coordinates follow"
        );
        return Err(Error::data(path, why));
    }
    let values = match files::ends_in(path, "csv") {
        true => table(path, rows, prior)?,
        false => npy::read_either(path, rows, prior.parameters())?,
    };
    let mut all = Vec::with_capacity(rows * prior.coordinates());
    for (row, u) in values.chunks_exact(prior.parameters()).enumerate() {
        let found = match prior.misplaced(u) {
            Some(p) => Err(p),
            None => prior.coordinates_of(u),
        };
        let xi = found.map_err(|p| {
            let (row, name, u) = (row + 1, prior.name(p), u[p]);
            let support = prior.support(p);
            let why = format!(
                "row {row}, {name} = {u:?}: outside its prior (model.prior), must be {support}"
            );
            Error::data(path, why)
        })?;
        all.extend(xi.into_iter().map(T::from_f64));
    }
    Ok(all)
}

/// Returns the values of `rows` members from the text of `path`, in the order of `prior`; NaN for parameters that are left out.
fn table(path: &Path, rows: usize, prior: &JointPrior) -> Result<Vec<f64>> {
    let fault = |why: String| Error::data(path, why);
    let text = bounded::text(path, LONGEST)?;
    let table = Table::read(&text).map_err(fault)?;
    let mut columns: HashMap<&str, (usize, usize)> = HashMap::with_capacity(table.names.len());
    for (column, &name) in table.names.iter().enumerate() {
        columns.entry(name).or_insert((column, 0)).1 += 1;
    }
    let place = |p: usize| {
        let name = prior.name(p);
        match columns.get(name.as_ref()) {
            Some(&(column, 1)) => Ok(Some(column)),
            None if !prior.is_free(p) => Ok(None),
            found => {
                let count = found.map_or(0, |(_, count)| *count);
                Err(fault(format!(
                    "has {count} columns named {name:?} in its first line, and must have one for each parameter of model.prior"
                )))
            }
        }
    };
    let places = (0..prior.parameters())
        .map(place)
        .collect::<Result<Vec<Option<usize>>>>()?;
    let mut unknown = vec![true; table.names.len()];
    let known = places.iter().flatten();
    known.for_each(|&column| unknown[column] = false);
    if let Some(column) = unknown.iter().position(|unknown| *unknown) {
        let name = table.names[column];
        return Err(fault(format!(
            "has a column {name:?}, which is no parameter of model.prior"
        )));
    }
    let mut values = Vec::with_capacity(table.rows.len() * places.len());
    for (line, row) in &table.rows {
        for (p, &place) in places.iter().enumerate() {
            let Some(place) = place else {
                values.push(f64::NAN);
                continue;
            };
            let number: Option<f64> = row[place].parse().ok();
            values.push(number.ok_or_else(|| {
                let field: String = row[place].chars().take(60).collect();
                fault(format!(
                    "line {line}, {}: {field:?} is no number",
                    prior.name(p)
                ))
            })?);
        }
    }
    let found = table.rows.len();
    if found != rows {
        return Err(fault(format!(
            "has {found} members, a line each, and {rows} are needed (ensemble.members)"
        )));
    }
    Ok(values)
}
