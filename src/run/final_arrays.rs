//! The arrays a run leaves: final/mean.npy, final/best.npy, final/ensemble.npy, which NumPy reads, and a network's
//! final/model.safetensors.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use ndarray::{Array2, ArrayView1};
use npyz::WriterBuilder as _;

use super::{Outcome, State, final_network};
use crate::error::Result;
use crate::files::Files;
use crate::forward::ForwardMap;
use crate::forward::problem::Problem;
use crate::kernels::real::{Real, product};
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;

/// The file beside a simulator's arrays that says what they hold. Without it they are of an earlier version of the program,
/// which left coordinates with standard normal priors.
pub const UNITS: &str = "units.txt";

/// The files of the mean and covariance of the normal law of sigma points.
const NORMAL_MEAN: &str = "normal_mean.npy";
const NORMAL_COVARIANCE: &str = "normal_covariance.npy";

/// Text of the file that names the arrays' units.
const OWN: &str = "mean.npy, best.npy and ensemble.npy hold the parameters in their own units, in the order of \
                   parameters.csv.\n";

/// Writes the final arrays under `folder`, which rank 0 alone names; a simulator's in its parameters' own units. Called by
/// all ranks.
///
/// # Errors
/// On rank 0: a file that cannot be written.
pub fn save<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    (problem, state): (&Problem<T>, &State<T>),
    outcome: &Outcome,
    folder: Option<&Path>,
    files: &Files,
) -> Result<()> {
    let map = problem.map.as_ref();
    let folder = folder.map(|folder| folder.join("final"));
    if let Some(folder) = &folder {
        files.create_folder(folder)?;
    }
    save_law(ranks, plan, (map, state), (files, folder.as_deref()))?;
    let Some(prior) = map.own_units() else {
        let mean = state.ensemble.mean(ranks);
        if let (Some(folder), Some(network), Some(form)) = (&folder, map.network(), &problem.form) {
            final_network::save((&network, &mean), form, (files, folder))?;
        }
        let to = (files, folder.as_deref());
        return save_as(ranks, plan, (map, state), outcome, to, mean, |row| row);
    };
    if let Some(folder) = &folder {
        // What an earlier version left must not be taken for the new.
        for name in ["mean.npy", "best.npy", "ensemble.npy"] {
            files.remove(&folder.join(name))?;
        }
        files.write_whole(&folder.join(UNITS), OWN.as_bytes())?;
    }
    let mean = state.own_mean(ranks, (plan, map), prior);
    let own = |rows: Vec<T>| {
        let rows = rows.chunks_exact(prior.coordinates());
        rows.flat_map(|row| prior.at(row)).collect()
    };
    let to = (files, folder.as_deref());
    save_as(ranks, plan, (map, state), outcome, to, mean, own)
}

/// Writes the mean and covariance of the normal law of sigma points, in the coordinates in which these move: P numbers, and P x P. Called by
/// all ranks.
fn save_law<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    (map, state): (&dyn ForwardMap<T>, &State<T>),
    (files, folder): (&Files, Option<&Path>),
) -> Result<()> {
    let Some(points) = plan.sigma_points() else {
        return Ok(());
    };
    let parameters = plan.parameters;
    let (mut mean, mut covariance) = (Vec::new(), Array2::zeros((parameters, parameters)));
    for rows in state.rows(ranks, map).flatten() {
        let rows = Array2::from_shape_vec((rows.len() / parameters, parameters), rows);
        let mut rows = rows.expect("whole rows").mapv(|u| u.as_f64());
        if mean.is_empty() {
            mean = rows.row(0).to_vec();
        }
        let centre = ArrayView1::from(&mean);
        rows.rows_mut()
            .into_iter()
            .for_each(|mut row| row -= &centre);
        product(
            covariance.view_mut(),
            1.0,
            points.weight(),
            rows.t(),
            rows.view(),
        );
    }
    let Some(folder) = folder else {
        return Ok(());
    };
    let rows = covariance.rows().into_iter().map(|row| row.to_vec());
    let shape = [parameters, parameters];
    write_npy(files, &folder.join(NORMAL_COVARIANCE), &shape, rows)?;
    let mean = std::iter::once(mean);
    write_npy(files, &folder.join(NORMAL_MEAN), &shape[..1], mean)
}

/// Writes `mean` and the members' rows, each converted by `convert`. Called by all ranks.
fn save_as<T: Real, N: npyz::AutoSerialize>(
    ranks: Ranks,
    plan: &Plan,
    (map, state): (&dyn ForwardMap<T>, &State<T>),
    outcome: &Outcome,
    (files, folder): (&Files, Option<&Path>),
    mean: Vec<N>,
    convert: impl Fn(Vec<T>) -> Vec<N>,
) -> Result<()> {
    let parameters = mean.len();
    let one = |name: &str, row: Vec<N>| match folder {
        Some(folder) => write_npy(
            files,
            &folder.join(name),
            &[parameters],
            std::iter::once(row),
        ),
        None => Ok(()),
    };
    one("mean.npy", mean)?;
    if let Some(best) = outcome.scores.best {
        let row = state.ensemble.rows_on_first(ranks, map, best..best + 1);
        row.map_or(Ok(()), |row| one("best.npy", convert(row)))?;
    }
    if plan.config().output.ensemble {
        let members = state.ensemble.members(ranks).items();
        let chunks = state.rows(ranks, map);
        match &folder {
            Some(folder) => {
                write_npy(
                    files,
                    &folder.join("ensemble.npy"),
                    &[members, parameters],
                    chunks.flatten().map(convert),
                )?;
            }
            None => chunks.for_each(drop),
        }
    }
    Ok(())
}

/// Writes `rows` one after the other as an array of `shape`, under a temporary name until whole.
fn write_npy<N: npyz::AutoSerialize>(
    files: &Files,
    path: &Path,
    shape: &[usize],
    rows: impl Iterator<Item = Vec<N>>,
) -> Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    files.write_with(path, |sink| {
        let mut file = BufWriter::new(sink);
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut file)
            .begin_nd()?;
        for row in rows {
            writer.extend(row)?;
        }
        writer.finish()?;
        file.flush()
    })
}
