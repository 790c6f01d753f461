//! The folder of a run: used by one run at a time, and checked before a run begins or resumes in it.

pub mod history;
mod lock;
mod sweep;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::config::{CONFIG, OBSERVATIONS, PRIOR_MATRICES, Resolved, changes, copies, resumable};
use crate::data::noise::KeptFile;
use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::{Files, ends_in, is_part};
use crate::io::checkpoint::newest_manifest;
use crate::io::observation_table;

use lock::{LOCK, lock};

pub use lock::Claim;
pub use sweep::{SWEEP, claim_sweep, is_sweep_running};

/// The file in a run's folder that stops the run.
pub const STOP_FILE: &str = "STOP";
/// The file of how a run ended.
pub const SUMMARY: &str = "summary.json";

/// The subfolder of a run's folder that keeps the outputs of simulators until a checkpoint holds their effect.
pub const SIMULATED: &str = "simulated";

/// The error's words for a user's file that cannot be copied.
const CHANGED: &str = "has been changed since the run read it: start the run again";

/// The longest config.toml that is read, in bytes.
const LONGEST: u64 = 1 << 26;

/// Claims `folder` for a run and creates it if needed. It must be new or empty, or, with `resume`, hold a run whose
/// configuration differs from `config` (TOML) only in keys that may change. Called by rank 0. A new run's configuration
/// is written before any other file, so that a run killed at any time is recognised and can be resumed.
///
/// # Errors
/// If the folder is in use, holds other files, holds a run and `resume` is false, or cannot be written. It is left
/// unchanged.
pub fn claim(folder: &Path, resume: bool, config: &str) -> Result<Claim> {
    let refused = |e: std::io::Error| {
        Error::Usage(format!(
            "{}: cannot be created or written: {e}",
            folder.display()
        ))
    };
    look(folder, resume)?;
    fs::create_dir_all(folder).map_err(refused)?;
    let claim = lock(folder)?;
    // Checked again, since another process may have changed the folder before it was locked.
    look(folder, resume)?;
    let anew = resume && is_lost(folder, config)?;
    // Root may write where permissions forbid it, and a full disk shows only when writing: so try.
    let probe = folder.join(".probe");
    let _ = fs::remove_file(&probe);
    File::create_new(&probe)
        .and_then(|mut file| file.write_all(b"?"))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(refused)?;
    let path = folder.join(CONFIG);
    if anew || !path.exists() {
        Files::default().write_whole(&path, config.as_bytes())?;
    }
    clear(folder);
    Ok(claim)
}

/// Copies the file of observations that `resolved` names, if it has a simulator, unchanged into the run's `folder`.
/// Called by rank 0.
///
/// # Errors
/// If a file cannot be read or written, or no longer holds the `values` and what the `table` says of them.
pub fn copy_observations(
    files: &Files,
    folder: &Path,
    resolved: &Resolved,
    (values, table): (&[f64], &ObservationTable),
) -> Result<()> {
    if !resolved.config.model.kind.simulates() {
        return Ok(());
    }
    let from = resolved.observations()?;
    let (now, of_now) = observation_table::read(&from)?;
    let of_now = of_now.with_missing(resolved.config.model.missing);
    if now != values || of_now != *table {
        return Err(Error::data(&from, CHANGED));
    }
    let bytes = bounded::whole(&from, u64::MAX)?;
    keep_copy(files, folder, (&from, &bytes), OBSERVATIONS)
}

/// Copies the files of noise, or of coordinates, unchanged into the run's `folder`. Called by rank 0.
///
/// # Errors
/// If a file cannot be read or written, or has changed since it was read.
pub fn copy_kept<'a>(
    files: &Files,
    folder: &Path,
    kept: impl Iterator<Item = &'a KeptFile>,
) -> Result<()> {
    for file in kept {
        let bytes = bounded::whole(&file.path, u64::MAX)?;
        if Sha256::digest(&bytes)[..] != file.digest {
            return Err(Error::data(&file.path, CHANGED));
        }
        keep_copy(files, folder, (&file.path, &bytes), &file.stem)?;
    }
    Ok(())
}

/// Writes the `bytes` of the file `from` to its copy `stem` in the run's `folder`, whose ending says whether it is an array.
fn keep_copy(
    files: &Files,
    folder: &Path,
    (from, bytes): (&Path, &[u8]),
    stem: &str,
) -> Result<()> {
    let is_array = ends_in(from, "npy");
    let names = copies(stem);
    keep(
        files,
        folder,
        (names.each_ref().map(String::as_str), is_array),
        bytes,
    )
}

/// Copies the matrix that correlates the parameters of `resolved`, if there is one, into the run's `folder`. Called by rank 0.
///
/// # Errors
/// If it cannot be written.
pub fn copy_prior_matrix(files: &Files, folder: &Path, resolved: &Resolved) -> Result<()> {
    resolved.prior_matrix.as_ref().map_or(Ok(()), |matrix| {
        let kind = (PRIOR_MATRICES, matrix.is_array());
        keep(files, folder, kind, &matrix.bytes)
    })
}

/// Keeps `bytes` in `folder` under the first of both names, of text, or the second, of an array.
fn keep(
    files: &Files,
    folder: &Path,
    ([text, array], is_array): ([&str; 2], bool),
    bytes: &[u8],
) -> Result<()> {
    let [copy, other] = if is_array {
        [array, text]
    } else {
        [text, array]
    };
    let copy = folder.join(copy);
    if !fs::read(&copy).is_ok_and(|was| was == bytes) {
        files.write_whole(&copy, bytes)?;
    }
    // An earlier start that went no further may have left a file in the other format.
    files.remove(&folder.join(other))
}

/// Refuses a folder that is, or is below, a link to nowhere: nothing is created where such a link points.
fn refuse_dangling_links(folder: &Path) -> Result<()> {
    let mut dangling = folder
        .ancestors()
        .filter(|path| path.is_symlink() && !path.exists());
    if let Some(link) = dangling.next() {
        let target = fs::read_link(link).unwrap_or_default();
        return Err(Error::Usage(format!(
            "{}: is a link to {}, which does not exist: create that folder, or choose another with --out",
            link.display(),
            target.display()
        )));
    }
    Ok(())
}

/// Checks by its content whether the folder may be used.
fn look(folder: &Path, resume: bool) -> Result<()> {
    let refused = |why: &str| Err(Error::Usage(format!("{}: {why}", folder.display())));
    refuse_dangling_links(folder)?;
    let Ok(entries) = fs::read_dir(folder) else {
        return match folder.exists() {
            true => refused("is not a folder, or cannot be read"),
            false => Ok(()),
        };
    };
    let entries: Vec<_> = entries.flatten().collect();
    // A run must not write through a link to a file. A link to a folder is allowed: it may be on another disk.
    let is_link = |entry: &&fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let mut links = entries.iter().filter(is_link);
    if let Some(link) = links.find(|link| !link.path().is_dir()) {
        let name = link.file_name();
        return refused(&format!(
            "holds a link, {}: a run does not write through links; put the file itself there, or choose another folder with --out",
            name.display()
        ));
    }
    if folder.join(STOP_FILE).is_dir() {
        return refused(&format!(
            "holds {STOP_FILE}, a folder, which would stop the run at each step: remove it"
        ));
    }
    let ours = [LOCK, ".probe", STOP_FILE];
    let foreign = entries
        .iter()
        .any(|entry| !ours.iter().any(|name| entry.file_name() == *name));
    let configures = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        (name == CONFIG || is_part(&name, Some(CONFIG))) && entry.path().is_file()
    };
    let run = entries.iter().any(configures) || newest_manifest(folder).is_some();
    match (foreign, run, resume) {
        (false, ..) | (true, true, true) => Ok(()),
        (true, true, false) => refused(
            "holds another run: continue it with --resume, or choose another folder with --out",
        ),
        (true, false, _) => refused("holds other files; choose another folder with --out"),
    }
}

/// Parses config.toml in the run's folder with `read`; an error says what is wrong with the file.
pub(crate) fn read_config<R>(
    folder: &Path,
    read: impl FnOnce(&str) -> std::result::Result<R, String>,
) -> std::result::Result<R, String> {
    let path = folder.join(CONFIG);
    if !path.exists() {
        return Err("is missing".to_owned());
    }
    match bounded::text(&path, LONGEST) {
        Ok(text) => read(&text).map_err(|e| format!("is not TOML: {e}")),
        Err(Error::Data { problem, .. }) => Err(problem),
        Err(other) => Err(other.to_string()),
    }
}

/// Returns the configuration with which the run in `folder` began, as TOML, if it can be read: of config.toml, else of the newest
/// checkpoint.
#[must_use]
pub fn began_with(folder: &Path) -> Option<String> {
    let whole = |text: &str| match text.parse::<toml::Table>() {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(e.message().to_owned()),
    };
    let of_checkpoint = || newest_manifest(folder).map(|manifest| manifest.config);
    read_config(folder, whole).ok().or_else(of_checkpoint)
}

/// Returns the error that `folder` holds a run whose configuration differs, as `differ` lists, in keys that may not change.
#[must_use]
pub fn another_configuration(folder: &Path, differ: &[String]) -> Error {
    Error::Usage(format!(
        "{}: holds a run of another configuration: {}; these may change: {}",
        folder.display(),
        differ.join("; "),
        resumable()
    ))
}

/// Returns true if the configuration in the folder is lost and must be rewritten as `config`: config.toml is missing,
/// damaged or different, but the configuration of the newest checkpoint differs from `config` only in keys that may
/// change.
///
/// # Errors
/// If the folder holds a run of another configuration, or config.toml is damaged and no checkpoint can replace it.
fn is_lost(folder: &Path, config: &str) -> Result<bool> {
    let path = folder.join(CONFIG);
    let why = match read_config(folder, |was| changes(was, config)) {
        Ok(differ) if differ.is_empty() => return Ok(false),
        why => why,
    };
    let refused = |differ: &[String]| Err(another_configuration(folder, differ));
    let Some(manifest) = newest_manifest(folder) else {
        return match why {
            Ok(differ) => refused(&differ),
            // A run killed as it started has left nothing else.
            Err(_) if !path.exists() => Ok(false),
            Err(defect) => Err(Error::data(
                &path,
                format!("{defect}, and there is no checkpoint that holds the configuration"),
            )),
        };
    };
    let differ = changes(&manifest.config, config).map_err(|e| {
        Error::data(
            &path,
            format!("the checkpoint's configuration is not TOML: {e}"),
        )
    })?;
    if !differ.is_empty() {
        return refused(&differ);
    }
    crate::parallel::abort::say(&format!(
        "{}: {}: rewritten, because the checkpoint of step {} has this configuration",
        path.display(),
        why.map_or_else(
            |defect| defect,
            |differ| format!("differs: {}", differ.join("; "))
        ),
        manifest.step
    ));
    Ok(true)
}

/// Removes temporary files that a run killed while writing config.toml left. If that fails they do no harm.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_part(&entry.file_name().to_string_lossy(), Some(CONFIG)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let first = claim(&path, false, "").unwrap();
        let second = claim(&path, true, "").unwrap_err();
        assert!(
            second.to_string().contains("another run is using"),
            "{second}"
        );
        assert!(second.to_string().contains(&std::process::id().to_string()));
        drop(first);
        claim(&path, true, "").unwrap();
    }

    /// A run killed after writing only its log once could neither be resumed nor replaced by another run.
    #[test]
    fn a_run_killed_as_it_starts_can_be_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        drop(claim(path, false, "seed = 2\n").unwrap());
        fs::write(path.join("run.log"), "").unwrap();
        let again = claim(path, false, "seed = 2\n").unwrap_err().to_string();
        assert!(again.contains("--resume"), "{again}");
        let other = claim(path, true, "seed = 3").unwrap_err().to_string();
        assert!(other.contains("seed = 2, now 3"), "{other}");
        claim(path, true, "seed = 2\n").unwrap();
    }

    #[test]
    fn a_run_killed_as_it_wrote_its_configuration_can_be_resumed() {
        for name in ["config.toml.part", "config.toml.17.part"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            for file in [LOCK, ".probe", name] {
                fs::write(path.join(file), "").unwrap();
            }
            claim(path, true, "seed = 2\n").unwrap();
            assert_eq!(fs::read_to_string(path.join(CONFIG)).unwrap(), "seed = 2\n");
            assert!(!path.join(name).exists());
        }
    }

    #[test]
    fn a_damaged_configuration_without_a_checkpoint_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for damaged in [&b"seed = "[..], b"seed = \xff\xfe1", b"\0\0\0\0"] {
            fs::write(path.join(CONFIG), damaged).unwrap();
            claim(path, true, "seed = 2\n").unwrap_err();
            assert_eq!(fs::read(path.join(CONFIG)).unwrap(), damaged);
        }
    }

    #[test]
    fn a_claim_follows_its_folder_and_notices_that_it_is_gone_or_taken() {
        let room = tempfile::tempdir().unwrap();
        let [first, moved] = ["first", "moved"].map(|name| room.path().join(name));
        let held = claim(&first, false, "").unwrap();
        assert_eq!(held.place().unwrap(), first);
        fs::remove_file(first.join(LOCK)).unwrap();
        assert!(held.is_in_place());
        let other = claim(&first, true, "").unwrap_err().to_string();
        assert!(other.contains("another run is using"), "{other}");
        fs::rename(&first, &moved).unwrap();
        let real = moved.canonicalize().unwrap();
        assert_eq!(held.place().unwrap(), real);
        // Another folder with the same path is not the run's.
        let other = claim(&first, false, "").unwrap();
        assert_eq!(held.place().unwrap(), real);
        assert!(other.is_in_place() && !held.is_in_place());
        fs::remove_file(moved.join(LOCK)).unwrap();
        let thief = claim(&moved, true, "").unwrap();
        let taken = held.place().unwrap_err().to_string();
        assert!(taken.contains("another run has taken"), "{taken}");
        assert!(thief.is_in_place());
        fs::remove_dir_all(&first).unwrap();
        let gone = other.place().unwrap_err().to_string();
        assert!(gone.contains("was removed") && !first.exists(), "{gone}");
    }

    #[test]
    fn other_files_and_other_runs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("thesis.tex"), "").unwrap();
        assert!(
            claim(path, true, "")
                .unwrap_err()
                .to_string()
                .contains("other files")
        );
        assert!(!path.join(LOCK).exists());
        fs::remove_file(path.join("thesis.tex")).unwrap();
        fs::write(path.join("config.toml"), "seed = 2\n").unwrap();
        assert!(
            claim(path, false, "seed = 2")
                .unwrap_err()
                .to_string()
                .contains("--resume")
        );
        let other = claim(path, true, "seed = 3").unwrap_err().to_string();
        assert!(other.contains("seed = 2, now 3"), "{other}");
        claim(path, true, "seed = 2\n[run]\nepochs = 3").unwrap();
    }

    #[test]
    fn a_link_to_a_file_is_refused_and_what_it_leads_to_left_alone() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, thesis) = (folder.path(), other.path().join("thesis.tex"));
        fs::write(&thesis, "done").unwrap();
        fs::write(path.join("config.toml"), "seed = 2\n").unwrap();
        for name in [LOCK, "metrics.jsonl", ".probe"] {
            std::os::unix::fs::symlink(&thesis, path.join(name)).unwrap();
            let refused = claim(path, true, "seed = 2").unwrap_err().to_string();
            assert!(refused.contains(&format!("a link, {name}")), "{refused}");
            fs::remove_file(path.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(other.path(), path.join("checkpoints")).unwrap();
        claim(path, true, "seed = 2").unwrap();
        assert_eq!(fs::read_to_string(thesis).unwrap(), "done");
    }
}
