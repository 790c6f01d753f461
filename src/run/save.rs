//! The arrays a run leaves: final/mean.npy, final/best.npy, final/ensemble.npy; what NumPy reads.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use npyz::WriterBuilder as _;

use super::{Crew, Outcome, State};
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::plan::Plan;
use crate::real::Real;

/// Writes the final arrays under `folder`, which rank 0 alone names. Called by all ranks.
///
/// # Errors
/// On rank 0: a file that cannot be written.
pub fn save<T: Real>(
    crew: Crew,
    plan: &Plan,
    (map, state): (&dyn ForwardMap<T>, &State<T>),
    outcome: &Outcome,
    folder: Option<&Path>,
) -> Result<()> {
    let folder = folder.map(|folder| folder.join("final"));
    if let Some(folder) = &folder {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
    }
    let parameters = state.ensemble.parameters();
    let mean = state.ensemble.mean(crew);
    if let Some(folder) = &folder {
        write_npy(
            &folder.join("mean.npy"),
            &[parameters],
            std::iter::once(mean),
        )?;
    }
    if let Some(best) = outcome.scores.best {
        let row = state.ensemble.rows_on_first(crew, map, best..best + 1);
        if let (Some(folder), Some(row)) = (&folder, row) {
            write_npy(
                &folder.join("best.npy"),
                &[parameters],
                std::iter::once(row),
            )?;
        }
    }
    if plan.config().output.ensemble {
        let members = state.ensemble.members(crew).items();
        // A few rows at a time: rank 0 never holds the whole ensemble.
        let height = (1_usize << 22).div_ceil(parameters).min(members);
        let starts = (0..members).step_by(height);
        let chunks = starts.map(|start| {
            state
                .ensemble
                .rows_on_first(crew, map, start..(start + height).min(members))
        });
        match &folder {
            Some(folder) => {
                write_npy(
                    &folder.join("ensemble.npy"),
                    &[members, parameters],
                    chunks.flatten(),
                )?;
            }
            None => chunks.for_each(drop),
        }
    }
    Ok(())
}

/// Writes `rows` one after the other as an array of `shape`, under a temporary name until whole.
fn write_npy<T: Real>(
    path: &Path,
    shape: &[usize],
    rows: impl Iterator<Item = Vec<T>>,
) -> Result<()> {
    let part = path.with_extension("part");
    let failed = |e: std::io::Error| Error::io(path, "write", e);
    let mut file = BufWriter::new(File::create(&part).map_err(failed)?);
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut file)
        .begin_nd()
        .map_err(failed)?;
    for row in rows {
        writer.extend(row).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    file.flush().map_err(failed)?;
    file.get_ref().sync_all().map_err(failed)?;
    drop(file);
    fs::rename(&part, path).map_err(failed)
}
