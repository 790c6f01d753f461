//! The arrays a run leaves: final/mean.npy, final/best.npy, final/ensemble.npy; what NumPy reads.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use npyz::WriterBuilder as _;

use super::{Crew, Outcome, State};
use crate::error::Result;
use crate::files::Files;
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
    files: &Files,
) -> Result<()> {
    let folder = folder.map(|folder| folder.join("final"));
    if let Some(folder) = &folder {
        files.create_folder(folder)?;
    }
    let parameters = state.ensemble.parameters();
    let mean = state.ensemble.mean(crew);
    if let Some(folder) = &folder {
        write_npy(
            files,
            &folder.join("mean.npy"),
            &[parameters],
            std::iter::once(mean),
        )?;
    }
    if let Some(best) = outcome.scores.best {
        let row = state.ensemble.rows_on_first(crew, map, best..best + 1);
        if let (Some(folder), Some(row)) = (&folder, row) {
            write_npy(
                files,
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
                    files,
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
    files: &Files,
    path: &Path,
    shape: &[usize],
    rows: impl Iterator<Item = Vec<T>>,
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
