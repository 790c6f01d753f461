//! The folder of a sweep: used by one sweep at a time. Its runs have folders of their own in it.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::lock::{Claim, LOCK, lock};
use super::{STOP_FILE, refuse_dangling_links};
use crate::error::{Error, Result};
use crate::files::Files;

/// The copy of a sweep's file in its folder.
pub const SWEEP: &str = "sweep.toml";

/// Looks for the lock, and the time between them: one that only asks whether the sweep runs holds it for a moment.
const LOOKS: (usize, Duration) = (5, Duration::from_millis(100));

/// Claims `folder` for a sweep whose file has the bytes `text`, and creates it if needed. It must be new or empty, or hold a
/// sweep. Called by rank 0.
///
/// # Errors
/// If the folder is in use, holds other files, or cannot be written. It is left unchanged.
pub fn claim_sweep(folder: &Path, text: &[u8]) -> Result<Claim> {
    refuse_dangling_links(folder)?;
    let refused = |why: &str| Err(Error::Usage(format!("{}: {why}", folder.display())));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = |name: &std::ffi::OsStr| name == LOCK || name == STOP_FILE;
    let foreign = entries
        .map(|entry| entry.file_name())
        .any(|name| !ours(&name));
    if foreign && !folder.join(SWEEP).is_file() {
        return refused("holds no sweep but other files; choose another folder with --out");
    }
    if folder.exists() && !folder.is_dir() {
        return refused("is not a folder");
    }
    fs::create_dir_all(folder)
        .map_err(|e| Error::Usage(format!("{}: cannot be created: {e}", folder.display())))?;
    let claim = wait_for_lock(folder)?;
    let path = folder.join(SWEEP);
    if !fs::read(&path).is_ok_and(|was| was == text) {
        Files::default().write_whole(&path, text)?;
    }
    Ok(claim)
}

fn wait_for_lock(folder: &Path) -> Result<Claim> {
    let (looks, pause) = LOOKS;
    for _ in 1..looks {
        if let Ok(claim) = lock(folder) {
            return Ok(claim);
        }
        std::thread::sleep(pause);
    }
    lock(folder)
}

/// Returns true if a sweep is using `folder`, as far as the file system has locks.
#[must_use]
pub fn is_sweep_running(folder: &Path) -> bool {
    let file = File::open(folder.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweeps_folder_is_one_sweeps_and_no_runs() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("a/sweep");
        let first = claim_sweep(&folder, b"base").unwrap();
        assert!(is_sweep_running(&folder));
        let second = claim_sweep(&folder, b"base").unwrap_err().to_string();
        assert!(second.contains("is using this folder"), "{second}");
        drop(first);
        assert!(!is_sweep_running(&folder));
        // It may hold runs by now, and the file may have changed.
        fs::create_dir(folder.join("h=1")).unwrap();
        claim_sweep(&folder, b"other").unwrap();
        assert_eq!(fs::read(folder.join(SWEEP)).unwrap(), b"other");
        let run = super::super::claim(&folder, true, "").unwrap_err();
        assert!(run.to_string().contains("holds other files"), "{run}");
        drop(super::super::claim(&room.path().join("run"), false, "").unwrap());
        let refused = claim_sweep(&room.path().join("run"), b"").unwrap_err();
        assert!(refused.to_string().contains("holds no sweep"), "{refused}");
    }
}
