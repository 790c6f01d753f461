//! A run's folder: who may use it, one run at a time, and what a run taken up again finds there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::config::{MAY_CHANGE, changes};
use crate::error::{Error, Result};
use crate::files::Files;

/// The file in the run's folder that stops it.
pub const STOP_FILE: &str = "STOP";

/// The run's configuration, all of it, as TOML.
pub const CONFIG: &str = "config.toml";

/// The file whose lock says that a run is using the folder.
const LOCK: &str = ".lock";

/// A folder that is ours until this is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Claims `folder` for a run, making it if need be: a new or empty one, or where `resume` one that holds a run whose
/// configuration, as TOML, differs from `config` in nothing that matters. On rank 0. A new run's configuration is in it
/// from now on, before any other file, so that whenever it is killed it is known for a run and can be resumed.
///
/// # Errors
/// The folder is in use, or holds other files, or a run and `resume` is not asked for, or cannot be written. It is
/// left as it was.
pub fn claim(folder: &Path, resume: bool, config: &str) -> Result<Claim> {
    let refused = |e: std::io::Error| {
        Error::Usage(format!(
            "{}: cannot be made or written: {e}",
            folder.display()
        ))
    };
    look(folder, resume)?;
    fs::create_dir_all(folder).map_err(refused)?;
    let claim = lock(folder)?;
    // Again, now that nobody else can be between looking and locking.
    look(folder, resume)?;
    if resume {
        compare(folder, config)?;
    }
    // Root may write where permissions forbid it, and a full disk shows only now: try.
    let probe = folder.join(".probe");
    let _ = fs::remove_file(&probe);
    File::create_new(&probe)
        .and_then(|mut file| file.write_all(b"?"))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(refused)?;
    let path = folder.join(CONFIG);
    if !path.exists() {
        Files::default().write_whole(&path, config.as_bytes())?;
    }
    Ok(claim)
}

/// Whether the folder may be used, by what lies in it.
fn look(folder: &Path, resume: bool) -> Result<()> {
    let refused = |why: &str| Err(Error::Usage(format!("{}: {why}", folder.display())));
    // A link that leads nowhere, of the folder or one above it: nothing is made where it points.
    let mut nowhere = folder
        .ancestors()
        .filter(|path| path.is_symlink() && !path.exists());
    if let Some(link) = nowhere.next() {
        let target = fs::read_link(link).unwrap_or_default();
        return Err(Error::Usage(format!(
            "{}: is a link to {}, which is not there: make that folder, or choose another with --out",
            link.display(),
            target.display()
        )));
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return match folder.exists() {
            true => refused("is no folder, or cannot be read"),
            false => Ok(()),
        };
    };
    let entries: Vec<_> = entries.flatten().collect();
    // Through a link to a file the run would write to whatever it leads to. A folder may lie on another disk.
    let is_link = |entry: &&fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
    let mut links = entries.iter().filter(is_link);
    if let Some(link) = links.find(|link| !link.path().is_dir()) {
        let name = link.file_name();
        return refused(&format!(
            "holds a link, {}: a run writes through none; put the file itself there, or choose another folder with --out",
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
    let run = folder.join(CONFIG).is_file() || folder.join("config.toml.part").is_file();
    match (foreign, run, resume) {
        (false, ..) | (true, true, true) => Ok(()),
        (true, true, false) => refused(
            "holds another run: go on with it by --resume, or choose another folder with --out",
        ),
        (true, false, _) => refused("holds other files; choose another folder with --out"),
    }
}

/// The lock, held by rank 0: it goes with the process, however that ends.
fn lock(folder: &Path) -> Result<Claim> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Error::Usage(format!("{}: cannot be written: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => {
            let host = crate::parallel::abort::host();
            let text = format!("process {} on host {host}\n", std::process::id());
            // For people and for the message below: that it cannot be written is no reason not to run.
            let _ = file
                .set_len(0)
                .and_then(|()| file.write_all(text.as_bytes()));
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.take(200).read_to_string(&mut holder));
            return Err(Error::Usage(format!(
                "{}: another run is using this folder ({})",
                folder.display(),
                holder.trim()
            )));
        }
        // Some cluster file systems have no locks: the user is told, and the run goes on.
        Err(TryLockError::Error(e)) => {
            eprintln!(
                "eki-mpi: {}: this file system gives no locks ({e}): take care that no second run uses the folder",
                folder.display()
            );
        }
    }
    Ok(Claim { _lock: file })
}

/// Compares the run's configuration in the folder, if it is there, with `config`.
fn compare(folder: &Path, config: &str) -> Result<()> {
    let path = folder.join(CONFIG);
    let Ok(was) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let differ = changes(&was, config).map_err(|e| Error::data(&path, format!("not TOML: {e}")))?;
    if differ.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: holds a run of another configuration: {}; these may change: {}",
        folder.display(),
        differ.join("; "),
        MAY_CHANGE.join(", ")
    )))
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

    /// Killed when all it wrote is its log, it once could not be resumed, nor another run take the folder.
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
