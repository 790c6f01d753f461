//! A partly fetched file, under its name with `.part` added. It stays for the next call if it is cut short, and one
//! process at a time writes to it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{has_other_names, is_same, open_own};

/// The part of a file, locked until it is dropped.
pub struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Opens and locks the part of the file `path`; creates it if it is missing. Waits for another process that fetches
    /// the file; returns None if that process has completed it.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        loop {
            let file = open_regular(&part).map_err(|e| Error::io(&part, "open", e))?;
            lock(&file, &part).map_err(|e| Error::io(&part, "lock", e))?;
            // While this process waited the part may have been given its final name, or removed.
            if fs::symlink_metadata(&part).is_ok_and(|found| is_same(&found, &file)) {
                return Ok(Some(Self { path: part, file }));
            }
            if path.exists() {
                return Ok(None);
            }
        }
    }

    /// Returns the path of the part.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length in bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |described| described.len())
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| Error::io(&self.path, "write", e))
    }

    /// Empties the part.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn clear(&self) -> Result<()> {
        let cut = self.file.set_len(0);
        cut.map_err(|e| Error::io(&self.path, "write", e))
    }

    /// Stores the part on the disk and gives it its final name, `path`.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn keep(&self, path: &Path) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(|e| Error::io(&self.path, "write", e))?;
        fs::rename(&self.path, path).map_err(|e| Error::io(path, "rename", e))
    }
}

impl Drop for Part {
    /// Removes an empty part, which nobody needs, while it is still locked.
    fn drop(&mut self) {
        if self.length() == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file at `part`. First removes a link, or a file that has other names.
fn open_regular(part: &Path) -> io::Result<File> {
    let regular = fs::symlink_metadata(part).is_ok_and(|kind| kind.is_file());
    if !regular && part.is_symlink() {
        fs::remove_file(part)?;
    }
    let file = open_own(part)?;
    if !has_other_names(&file)? {
        return Ok(file);
    }
    fs::remove_file(part)?;
    open_own(part)
}

/// Locks `file`. If the file system has no locks, two processes that fetch the same file at once are caught by the
/// checksum.
fn lock(file: &File, part: &Path) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            crate::parallel::abort::say(&format!(
                "{}: another process is fetching this file: waiting for it",
                part.display()
            ));
            file.lock()
        }
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}
