//! The generations of a run's checkpoints: their folders, their marks, and the removal of old ones.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::format::{Manifest, PRELUDE, frame_length};
use super::{Checked, Defect};
use crate::error::{Error, Result};
use crate::files::Files;

const MAGIC: &[u8; 8] = b"EKI-MARK";

/// The folder of all generations in a run's folder.
pub const FOLDER: &str = "checkpoints";

const MARK: &str = "mark";

pub(super) fn part_name(rank: u64, ranks: u64) -> String {
    format!("part-{rank:05}-of-{ranks:05}")
}

/// The folder of the generation at `step` in the run's folder `run`.
#[must_use]
pub fn step_folder(run: &Path, step: u64) -> PathBuf {
    run.join(FOLDER).join(format!("step-{step:08}"))
}

/// The steps of all generations there seem to be in the run's folder `run`, complete or not, the newest first.
///
/// # Errors
/// A folder that is there but cannot be read.
pub fn list(run: &Path) -> Result<Vec<u64>> {
    let folder = run.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(&folder, "read", e)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(&folder, "read", e))?;
        // A link is not followed: what it leads to is not ours to read or remove.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        let step = name
            .to_str()
            .and_then(|name| name.strip_prefix("step-"))
            .and_then(|digits| digits.parse().ok());
        // Only the name we would give counts: another, such as step-12, is nobody's.
        steps.extend(step.filter(|&step| step_folder(run, step).file_name() == Some(&name)));
    }
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

/// Opens a regular file, never a pipe or a device, which could block or have no end.
pub(super) fn open_regular(path: &Path) -> Checked<File> {
    let kind = fs::symlink_metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is missing".to_owned(),
        _ => format!("cannot be read: {e}"),
    })?;
    if !kind.is_file() {
        return Err("is no regular file".to_owned());
    }
    File::open(path).map_err(|e| format!("cannot be read: {e}"))
}

/// The mark of the generation in `folder`.
///
/// # Errors
/// A mark that is missing, damaged, or of another step than the folder's name says.
pub fn read_mark(folder: &Path) -> Checked<Manifest> {
    let flawed = |flaw: Defect| format!("{MARK}: {flaw}");
    let mut file = open_regular(&folder.join(MARK)).map_err(|flaw| match flaw.as_str() {
        "is missing" => "was never finished".to_owned(),
        _ => flawed(flaw),
    })?;
    let unreadable = |e: std::io::Error| flawed(format!("cannot be read: {e}"));
    let length = file.metadata().map_err(unreadable)?.len();
    let mut prelude = [0; PRELUDE];
    file.read_exact(&mut prelude).map_err(unreadable)?;
    let whole = frame_length(MAGIC, &prelude).map_err(flawed)?;
    if whole as u64 != length {
        return Err(flawed(format!("has {length} bytes instead of {whole}")));
    }
    let mut bytes = vec![0; whole];
    bytes[..PRELUDE].copy_from_slice(&prelude);
    file.read_exact(&mut bytes[PRELUDE..]).map_err(unreadable)?;
    let mark = Manifest::unframe(&bytes).map_err(flawed)?;
    mark.check().map_err(flawed)?;
    if !folder.ends_with(format!("step-{:08}", mark.step)) {
        return Err(flawed(format!("is that of step {}", mark.step)));
    }
    Ok(mark)
}

/// The newest mark in the run's folder `run` that can be read.
#[must_use]
pub fn newest_mark(run: &Path) -> Option<Manifest> {
    let steps = list(run).ok()?;
    let mut marks = steps.iter().map(|&step| read_mark(&step_folder(run, step)));
    marks.find_map(std::result::Result::ok)
}

/// Writes `mark`: from now on the generation in `folder` counts. Called when all parts lie on the disk.
///
/// # Errors
/// The first file call that failed.
pub fn write_mark(files: &Files, folder: &Path, mark: &Manifest) -> Result<()> {
    let bytes = mark
        .frame(MAGIC)
        .map_err(|flaw| Error::Run(format!("mark: {flaw}")))?;
    files.write_whole(&folder.join(MARK), &bytes)
}

/// Makes a folder for the generation at `step`. What an interrupted or damaged one left there goes as far as it can be
/// removed; its mark always.
///
/// # Errors
/// The first file call that failed.
pub fn prepare(files: &Files, run: &Path, step: u64) -> Result<PathBuf> {
    let folder = step_folder(run, step);
    // A link to another folder would have this generation written there.
    if folder.is_symlink() {
        files.remove(&folder)?;
    }
    match remove(files, run, step) {
        Err(error) if has_mark(&folder) => return Err(error),
        _ => {}
    }
    files.create_folder(&run.join(FOLDER))?;
    files.create_folder(&folder)?;
    // The names of the new folders must lie on the disk as surely as the files in them.
    files.sync_folder(&run.join(FOLDER))?;
    files.sync_folder(run)?;
    Ok(folder)
}

/// Removes the generation at `step`, its mark first, so that a half-removed one is no checkpoint.
///
/// # Errors
/// The first file call that failed.
pub fn remove(files: &Files, run: &Path, step: u64) -> Result<()> {
    let folder = step_folder(run, step);
    if !fs::symlink_metadata(&folder).is_ok_and(|kind| kind.is_dir()) {
        return Ok(());
    }
    files.remove(&folder.join(MARK))?;
    files.sync_folder(&folder)?;
    let entries = fs::read_dir(&folder).map_err(|e| Error::io(&folder, "read", e))?;
    // The folder goes only when all in it is gone; what can be removed is, whatever cannot.
    let mut removed = Ok(());
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(&folder, "read", e))?;
        removed = removed.and(files.remove(&entry.path()));
    }
    removed.and_then(|()| files.remove_folder(&folder))
}

/// Removes all generations but the newest `keep` up to `step`, which has just been committed. Those after it come
/// from a future that was given up, and those in `damaged` do not count. Returns the steps of those that could not be
/// removed, each with the reason; the others are removed all the same.
///
/// # Errors
/// The folder of all generations cannot be read.
pub fn prune(
    files: &Files,
    run: &Path,
    (step, keep): (u64, usize),
    damaged: &[u64],
) -> Result<Vec<(u64, Error)>> {
    let (mut kept, mut left) = (0, Vec::new());
    for found in list(run)? {
        let good = found <= step && !damaged.contains(&found);
        if good && kept < keep && (found == step || has_mark(&step_folder(run, found))) {
            kept += 1;
        } else if let Err(error) = remove(files, run, found) {
            left.push((found, error));
        }
    }
    Ok(left)
}

fn has_mark(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}
