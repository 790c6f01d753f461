//! The checkpoints in a run's folder: their folders, their manifests, and the removal of old ones.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::format::{Manifest, PRELUDE, frame_length};
use super::{Checked, Defect};
use crate::error::{Error, Result};
use crate::files::Files;

const MAGIC: &[u8; 8] = b"EKI-MARK";

/// The subfolder of a run's folder that holds the checkpoints.
pub const FOLDER: &str = "checkpoints";

/// The name of the manifest's file.
const MARK: &str = "mark";

/// Returns the name of the file of rank `rank`'s shard.
pub(super) fn shard_name(rank: u64, ranks: u64) -> String {
    format!("part-{rank:05}-of-{ranks:05}")
}

/// Returns the folder of the checkpoint at `step` in the run's folder `run`.
#[must_use]
pub fn step_folder(run: &Path, step: u64) -> PathBuf {
    run.join(FOLDER).join(format!("step-{step:08}"))
}

/// Returns the steps of all checkpoints, complete or not, in the run's folder `run`, the newest first.
///
/// # Errors
/// A folder that exists but cannot be read.
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
        // A link is not followed: what it leads to is not this run's.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        let step = name
            .to_str()
            .and_then(|name| name.strip_prefix("step-"))
            .and_then(|digits| digits.parse().ok());
        // Only the exact name counts: a folder such as step-12 is not a checkpoint of this program.
        steps.extend(step.filter(|&step| step_folder(run, step).file_name() == Some(&name)));
    }
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

/// Opens a regular file. Refuses a pipe or a device, which could block or have no end.
pub(super) fn open_regular(path: &Path) -> Checked<File> {
    let kind = fs::symlink_metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is missing".to_owned(),
        _ => format!("cannot be read: {e}"),
    })?;
    if !kind.is_file() {
        return Err("is not a regular file".to_owned());
    }
    File::open(path).map_err(|e| format!("cannot be read: {e}"))
}

/// Reads the manifest of the checkpoint in `folder`.
///
/// # Errors
/// A manifest that is missing, damaged, or of another step than the folder's name says.
pub fn read_manifest(folder: &Path) -> Checked<Manifest> {
    let in_manifest = |defect: Defect| format!("{MARK}: {defect}");
    let mut file = open_regular(&folder.join(MARK)).map_err(|defect| match defect.as_str() {
        "is missing" => "was never finished".to_owned(),
        _ => in_manifest(defect),
    })?;
    let unreadable = |e: std::io::Error| in_manifest(format!("cannot be read: {e}"));
    let length = file.metadata().map_err(unreadable)?.len();
    let mut prelude = [0; PRELUDE];
    file.read_exact(&mut prelude).map_err(unreadable)?;
    let whole = frame_length(MAGIC, &prelude).map_err(in_manifest)?;
    if whole as u64 != length {
        return Err(in_manifest(format!(
            "has {length} bytes instead of {whole}"
        )));
    }
    let mut bytes = vec![0; whole];
    bytes[..PRELUDE].copy_from_slice(&prelude);
    file.read_exact(&mut bytes[PRELUDE..]).map_err(unreadable)?;
    let manifest = Manifest::unframe(&bytes).map_err(in_manifest)?;
    manifest.check().map_err(in_manifest)?;
    if !folder.ends_with(format!("step-{:08}", manifest.step)) {
        return Err(in_manifest(format!("is that of step {}", manifest.step)));
    }
    Ok(manifest)
}

/// Returns the newest readable manifest in the run's folder `run`.
#[must_use]
pub fn newest_manifest(run: &Path) -> Option<Manifest> {
    let steps = list(run).ok()?;
    let mut manifests = steps
        .iter()
        .map(|&step| read_manifest(&step_folder(run, step)));
    manifests.find_map(std::result::Result::ok)
}

/// Writes `manifest`, which makes the checkpoint in `folder` valid. Called by rank 0 when all shards are stored on the
/// disk.
///
/// # Errors
/// The first file call that failed.
pub fn write_manifest(files: &Files, folder: &Path, manifest: &Manifest) -> Result<()> {
    let bytes = manifest
        .frame(MAGIC)
        .map_err(|defect| Error::Run(format!("mark: {defect}")))?;
    files.write_whole(&folder.join(MARK), &bytes)
}

/// Creates a folder for the checkpoint at `step`. Removes what an interrupted or damaged checkpoint left there as far
/// as possible, its manifest always.
///
/// # Errors
/// The first file call that failed.
pub fn prepare(files: &Files, run: &Path, step: u64) -> Result<PathBuf> {
    let folder = step_folder(run, step);
    // Otherwise this checkpoint would be written to the folder that the link leads to.
    if folder.is_symlink() {
        files.remove(&folder)?;
    }
    match remove(files, run, step) {
        Err(error) if has_manifest(&folder) => return Err(error),
        _ => {}
    }
    files.create_folder(&run.join(FOLDER))?;
    files.create_folder(&folder)?;
    // The names of the new folders must be stored on the disk as surely as the files in them.
    files.sync_folder(&run.join(FOLDER))?;
    files.sync_folder(run)?;
    Ok(folder)
}

/// Removes the checkpoint at `step`, its manifest first, so that a half-removed one does not count.
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
    // Every file that can be removed is removed, even if another cannot.
    let mut removed = Ok(());
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(&folder, "read", e))?;
        removed = removed.and(files.remove(&entry.path()));
    }
    removed.and_then(|()| files.remove_folder(&folder))
}

/// Removes all checkpoints but the newest `keep` up to `step`, which has just been written. Checkpoints after `step`
/// come from a course of the run that was given up, and those in `damaged` do not count. Returns the steps of those
/// that could not be removed, each with the reason; the others are removed all the same.
///
/// # Errors
/// The folder of the checkpoints cannot be read.
pub fn prune(
    files: &Files,
    run: &Path,
    (step, keep): (u64, usize),
    damaged: &[u64],
) -> Result<Vec<(u64, Error)>> {
    let (mut kept, mut left) = (0, Vec::new());
    for found in list(run)? {
        let good = found <= step && !damaged.contains(&found);
        if good && kept < keep && (found == step || has_manifest(&step_folder(run, found))) {
            kept += 1;
        } else if let Err(error) = remove(files, run, found) {
            left.push((found, error));
        }
    }
    Ok(left)
}

/// Returns true if the checkpoint in `folder` has a manifest.
fn has_manifest(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}
