//! How a run writes an ensemble of its history: rank 0 lays the files out under a temporary name, every rank writes the rows of its
//! own members at their place, and rank 0 gives the folder its name.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{ABOUT, HistoryOf, MEAN, STEP, STEPS, StepArray, StepRecord, step_folder};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::files::table::quoted;
use crate::io::npy::{self, Rows};

/// The largest array, in numbers, that is written as text too.
const MOST_AS_TEXT: usize = 1 << 24;
/// The numbers that are held at once while an array is written as text.
const HELD: usize = 1 << 16;

/// Opens the history of the run in `run`, which is to be `of` this: creates it, or checks the one that is there. Called by rank 0.
///
/// # Errors
/// A history of another run; a file that cannot be read or written.
pub fn begin(files: &Files, run: &Path, of: &HistoryOf, data: Option<[u8; 32]>) -> Result<()> {
    let folder = run.join(STEPS);
    let about = folder.join(ABOUT);
    if about.exists() {
        let was: HistoryOf = super::read_json(&about)?;
        return was.check(&folder, &of.config, data);
    }
    files.create_folder(&folder)?;
    let json = serde_json::to_string_pretty(of).expect("plain data encodes") + "\n";
    files.write_whole(&about, json.as_bytes())
}

/// Returns the temporary name of the folder of `step`.
fn part_of(run: &Path, step: u64) -> PathBuf {
    step_folder(run, step).with_extension("part")
}

/// Lays out the arrays of `record` under a temporary name. Called by rank 0.
///
/// # Errors
/// The first file call that failed.
pub fn prepare(files: &Files, run: &Path, record: &StepRecord) -> Result<()> {
    let folder = part_of(run, record.step);
    remove(files, &folder)?;
    files.create_folder(&folder)?;
    for array in StepArray::ALL {
        let path = folder.join(array.file());
        let header = npy::header(record.members, array.columns(record));
        files
            .create(&path)?
            .write_all(&header)
            .map_err(|e| Error::io(&path, "write", e))?;
    }
    Ok(())
}

/// Writes the `rows` of an array of `record`, a row after the other: those of this rank's members. Called by all ranks after
/// `prepare`.
///
/// # Errors
/// The first file call that failed.
pub fn rows(
    files: &Files,
    run: &Path,
    record: &StepRecord,
    (array, rows): (StepArray, Range<usize>),
    mut row: impl FnMut(usize) -> Vec<f64>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let path = part_of(run, record.step).join(array.file());
    let columns = array.columns(record);
    let start =
        npy::header(record.members, columns).len() + size_of::<f64>() * columns * rows.start;
    let mut file = BufWriter::new(files.write_at(&path, start as u64)?);
    let write = || -> io::Result<()> {
        for member in rows {
            file.write_all(bytemuck::cast_slice(&row(member)))?;
        }
        file.flush()
    };
    write().map_err(|e| Error::io(&path, "write", e))?;
    file.get_ref().sync()
}

/// Gives the folder of `record`, whose rows all ranks have written, its name; with its arrays as text, under these names, if
/// there are any. Called by rank 0.
///
/// # Errors
/// The first file call that failed.
pub fn commit(
    files: &Files,
    run: &Path,
    record: &StepRecord,
    text_of: Option<&HistoryOf>,
) -> Result<()> {
    let (part, folder) = (part_of(run, record.step), step_folder(run, record.step));
    if let Some(of) = text_of {
        as_text(files, &part, record, of)?;
    }
    let json = serde_json::to_string_pretty(record).expect("plain data encodes") + "\n";
    files.write_whole(&part.join(STEP), json.as_bytes())?;
    // One of an earlier course of the run.
    remove(files, &folder)?;
    files.rename(&part, &folder)?;
    files.sync_folder(&run.join(STEPS))
}

/// Removes what a failed attempt to write the ensemble after `step` steps left. Called by rank 0.
pub fn give_up(files: &Files, run: &Path, step: u64) {
    let _ = remove(files, &part_of(run, step));
}

/// Writes the arrays of a whole folder of `record` as text too, if they are not there. Called by rank 0.
///
/// # Errors
/// The first file call that failed.
pub fn add_text(files: &Files, run: &Path, record: &StepRecord, of: &HistoryOf) -> Result<()> {
    let folder = step_folder(run, record.step);
    match text_file(&folder, StepArray::Outputs).exists() {
        true => Ok(()),
        false => as_text(files, &folder, record, of),
    }
}

/// Writes the `outputs` at the mean of the ensemble after `step` steps beside it, if it was kept and they were not. Called by rank 0.
///
/// # Errors
/// The first file call that failed.
pub fn mean_outputs(files: &Files, run: &Path, step: u64, outputs: &[f64]) -> Result<()> {
    let folder = step_folder(run, step);
    let path = folder.join(MEAN);
    if !folder.exists() || path.exists() {
        return Ok(());
    }
    let mut bytes = npy::header(1, outputs.len());
    bytes.extend_from_slice(bytemuck::cast_slice(outputs));
    files.write_whole(&path, &bytes)
}

/// Returns the file of an array as text in a step's `folder`.
fn text_file(folder: &Path, array: StepArray) -> PathBuf {
    folder.join(format!("{}.csv", array.stem()))
}

/// Writes the arrays in `folder` as text, each if it is not too large.
fn as_text(files: &Files, folder: &Path, record: &StepRecord, of: &HistoryOf) -> Result<()> {
    for (array, names) in StepArray::ALL
        .into_iter()
        .zip([&of.parameters, &of.outputs])
    {
        let columns = array.columns(record);
        if record.members * columns > MOST_AS_TEXT {
            continue;
        }
        let mut numbers =
            Rows::<f64>::open(&folder.join(array.file()), Some(record.members), columns)?;
        let mut failed = Ok(());
        files
            .write_with(&text_file(folder, array), |sink| {
                let mut out = BufWriter::new(sink);
                let heading: Vec<_> = names.iter().map(|name| quoted(name)).collect();
                writeln!(out, "{}", heading.join(","))?;
                loop {
                    let rows = match numbers.read_any(HELD.div_ceil(columns)) {
                        Ok(rows) if rows.is_empty() => return out.flush(),
                        Ok(rows) => rows,
                        Err(error) => {
                            failed = Err(error);
                            return Err(io::ErrorKind::InvalidData.into());
                        }
                    };
                    for row in rows.chunks_exact(columns) {
                        let words: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
                        writeln!(out, "{}", words.join(","))?;
                    }
                }
            })
            .or_else(|error| failed.and(Err(error)))?;
    }
    Ok(())
}

/// Removes the `folder` of an ensemble, if it is there.
fn remove(files: &Files, folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(folder, "read", e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(folder, "read", e))?;
        files.remove(&entry.path())?;
    }
    files.remove_folder(folder)
}
