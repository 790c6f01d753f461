//! The coordinates that localisation by distance goes by, from the files that `method.localise` names.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};

use crate::config::{Localise, Resolved};
use crate::data::distances::Distances;
use crate::data::noise::{Gamma, KeptFile};
use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::io::matrix;

/// The key that all of this file is about.
const KEY: &str = "method.localise";
/// The names of the files' copies in a run's folder.
const STEMS: [&str; 2] = ["parameters-places", "observations-places"];

/// Reads where parameters and the observations of `table` lie, if `resolved` localises by distance. For one process.
///
/// # Errors
/// One line on what is wrong: a file that is missing or damaged, another number of lines or columns, correlated noise (`gamma`), or
/// parameters that are correlated.
pub fn load(
    resolved: &Resolved,
    table: &ObservationTable,
    gamma: &Gamma,
) -> Result<Option<Distances>> {
    let config = &resolved.config;
    let Localise::Distance {
        radius,
        parameters,
        observations,
    } = &config.method.localise
    else {
        return Ok(None);
    };
    let refuse = |allowed: &str| Err(resolved.error(KEY, allowed));
    if !config.model.kind.simulates() {
        return refuse("distances need model.kind = \"process\" or \"ask-tell\"");
    }
    if let Gamma::Correlated(_) = gamma {
        return refuse(
            "distances need independent noise: correlated outputs are mixed before they inform parameters",
        );
    }
    if resolved.prior_matrix.is_some() {
        return refuse(
            "distances need parameters that model.prior takes as independent: correlated members can be given by ensemble.initial",
        );
    }
    if config.method.tikhonov > 0.0 {
        return refuse("distances need method.tikhonov = 0");
    }
    let mut files = Vec::new();
    let (path, parameters) = read(resolved, parameters, (STEMS[0], radius), &mut files)?;
    let (observed_path, observations) =
        read(resolved, observations, (STEMS[1], radius), &mut files)?;
    let (given, total) = (observations.nrows(), table.outputs.total());
    if given != total {
        let why = format!("has {given} lines, and there are {total} observations");
        return Err(Error::data(&observed_path, why));
    }
    if observations.ncols() != parameters.ncols() {
        let why = format!(
            "has {} coordinates in a line, and {} has {}",
            observations.ncols(),
            path.display(),
            parameters.ncols()
        );
        return Err(Error::data(&observed_path, why));
    }
    let places: Vec<usize> = table.outputs.places().collect();
    let observations = observations.select(Axis(0), &places);
    Ok(Some(Distances::new(
        &parameters,
        &observations,
        path,
        files,
    )))
}

/// Reads the coordinates in the file `named`, whose copy is called `stem`, in units of the radii.
fn read(
    resolved: &Resolved,
    named: &str,
    (stem, radius): (&str, &[f64]),
    files: &mut Vec<KeptFile>,
) -> Result<(PathBuf, Array2<f64>)> {
    let path = resolved.kept_file(KEY, named, stem)?;
    files.push(KeptFile::of(stem, &path)?);
    let mut places = matrix::read(&path)?;
    check(&path, &places, radius.len())?;
    for (i, mut column) in places.columns_mut().into_iter().enumerate() {
        column /= radius[i % radius.len()];
    }
    Ok((path, places))
}

/// Refuses `places` that are not 1 to 3 finite coordinates a line, as many as there are `radii` unless there is one.
fn check(path: &Path, places: &Array2<f64>, radii: usize) -> Result<()> {
    let n = places.ncols();
    let wrong = if n > 3 {
        format!("has {n} coordinates in a line, and distances are in up to 3 dimensions")
    } else if radii > 1 && radii != n {
        format!("has {n} coordinates in a line, and {KEY} gives {radii} distances")
    } else if let Some(line) =
        (0..places.nrows()).find(|&i| !places.row(i).iter().all(|x| x.is_finite()))
    {
        format!("holds a coordinate that is not finite in line {}", line + 1)
    } else {
        return Ok(());
    };
    Err(Error::data(path, wrong))
}
