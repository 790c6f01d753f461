//! What localises beside the members' correlations, from the files that `method.localise` names: coordinates, groups, or a matrix.

mod groups;
mod taper;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, Axis};

use crate::config::{Localise, Resolved};
use crate::data::distances::Distances;
use crate::data::noise::{Gamma, KeptFile};
use crate::data::observed::ObservationTable;
use crate::data::tapers::{TaperKind, Tapers};
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::forward::joint_prior::{JointPrior, field_names};
use crate::io::matrix;

/// The key that all of this file is about.
const KEY: &str = "method.localise";
/// The names of the files' copies in a run's folder.
const STEMS: [&str; 2] = ["parameters-places", "observations-places"];
const GROUPS_STEM: &str = "groups";
/// The longest file of groups that is read, in bytes.
const LONGEST: u64 = 1 << 28;

/// Reads which observations of `table` inform which parameters, if `resolved` localises by files. For one process.
///
/// # Errors
/// One line on what is wrong: a file that is missing or damaged, another number of lines or columns, correlated noise (`gamma`), or
/// parameters that are correlated.
pub fn load(
    resolved: &Resolved,
    table: &ObservationTable,
    gamma: &Gamma,
) -> Result<Option<Tapers>> {
    let of_file = |named, stem| resolved.kept_file(KEY, named, stem);
    match &resolved.config.method.localise {
        Localise::None | Localise::Sec(_) | Localise::Threshold(_) | Localise::Fisher => Ok(None),
        Localise::Distance {
            radius,
            parameters,
            observations,
        } => {
            refuse_mixtures(resolved, gamma, "distances")?;
            if let Some((field, _)) = field_names(resolved).next() {
                let allowed = format!(
                    "distances need parameters that have a place each, and the coordinates of the random field {field} have none: \
                     \"threshold\" works for a field with `modes N`"
                );
                return Err(resolved.error(KEY, allowed));
            }
            distances(resolved, table, radius, [parameters, observations]).map(Some)
        }
        Localise::Groups(named) => {
            refuse_mixtures(resolved, gamma, "groups")?;
            let path = of_file(named, GROUPS_STEM)?;
            let text = bounded::text(&path, LONGEST)?;
            let prior = JointPrior::new(&resolved.config.model.prior);
            let prior = prior.map_err(|why| resolved.error("model.prior", why))?;
            let groups = groups::read(&text, &prior, table);
            let groups = groups.map_err(|why| Error::data(&path, why))?;
            Ok(Some(Tapers {
                kind: TaperKind::Groups(Arc::new(groups)),
                files: vec![KeptFile::of(GROUPS_STEM, &path)?],
                path,
            }))
        }
        Localise::Taper(named) => {
            refuse_mixtures(resolved, gamma, "a taper")?;
            let path = resolved.file(KEY, named)?;
            Ok(Some(Tapers {
                kind: TaperKind::Matrix(taper::check(&path, &table.outputs)?),
                files: Vec::new(),
                path,
            }))
        }
    }
}

/// Refuses runs in which parameters or outputs are mixtures, so that `what` says nothing of them.
fn refuse_mixtures(resolved: &Resolved, gamma: &Gamma, what: &str) -> Result<()> {
    let config = &resolved.config;
    let needed = if !config.model.kind.simulates() {
        "model.kind = \"process\" or \"ask-tell\""
    } else if let Gamma::Correlated(_) = gamma {
        "independent noise: correlated outputs are mixed before they inform parameters"
    } else if resolved.prior_matrix.is_some() {
        "parameters that model.prior takes as independent: correlated members can be given by ensemble.initial"
    } else if config.method.tikhonov > 0.0 {
        "method.tikhonov = 0"
    } else {
        return Ok(());
    };
    let verb = if what.starts_with("a ") {
        "needs"
    } else {
        "need"
    };
    Err(resolved.error(KEY, format!("{what} {verb} {needed}")))
}

/// Reads the distances by the coordinates in the files `named`, of parameters and observations, in units of the radii.
fn distances(
    resolved: &Resolved,
    table: &ObservationTable,
    radius: &[f64],
    named: [&str; 2],
) -> Result<Tapers> {
    let mut files = Vec::new();
    let (path, parameters) = read(resolved, named[0], (STEMS[0], radius), &mut files)?;
    let (observed_path, observations) = read(resolved, named[1], (STEMS[1], radius), &mut files)?;
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
    Ok(Tapers {
        kind: TaperKind::Distances(Arc::new(Distances::new(&parameters, &observations))),
        path,
        files,
    })
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
