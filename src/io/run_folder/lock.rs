//! The lock of a run's folder: one run at a time uses it, and follows it when it is moved.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::files::is_same;

/// The file whose lock says that a run is using the folder.
pub(super) const LOCK: &str = ".lock";

/// A run's hold on its folder, until it is dropped or the process ends in any way. Held by rank 0.
#[derive(Debug)]
pub struct Claim {
    /// The path by which it was claimed.
    path: PathBuf,
    /// The open folder, which stays the same if it is moved.
    folder: File,
    lock: Mutex<File>,
}

impl Claim {
    /// Returns the current path of the claimed folder, which differs from the original one if the folder was moved.
    /// Creates the lock file again if it was removed.
    ///
    /// # Errors
    /// `Error::Run` if the folder was removed, or another run has claimed it. Nothing may be written any more.
    pub fn place(&self) -> Result<PathBuf> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => is_same(&found, &self.folder),
            Err(e) => ![ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&e.kind()),
        };
        if found {
            return self.hold(&self.path).map(|()| self.path.clone());
        }
        // Linux says where an open folder is.
        let link = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        let now = fs::read_link(link).unwrap_or_default();
        if fs::metadata(&now).is_ok_and(|found| is_same(&found, &self.folder)) {
            return self.hold(&now).map(|()| now);
        }
        Err(Error::Run(format!(
            "{}: the run's folder was removed, or moved to where it cannot be followed: the run ends, and what it did since \
             its last checkpoint is lost",
            self.path.display()
        )))
    }

    /// Returns true if the folder is still claimed by this run and has not been moved.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.place().is_ok_and(|place| place == self.path)
    }

    /// Makes sure that the lock file in `folder`, the claimed folder, is the one that this run holds; creates it if
    /// missing.
    fn hold(&self, folder: &Path) -> Result<()> {
        let path = folder.join(LOCK);
        let taken = || {
            Err(Error::Run(format!(
                "{}: another run has taken this folder, whose file {LOCK} had been removed: this run ends and writes nothing \
                 more",
                folder.display()
            )))
        };
        let mut held = self.lock.lock().expect("no thread panicked");
        match fs::symlink_metadata(&path) {
            Ok(found) if is_same(&found, &held) => return Ok(()),
            Ok(_) => return taken(),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            // It is unknown whether the file is there; the next check may find out.
            Err(_) => return Ok(()),
        }
        let mut anew = OpenOptions::new();
        match anew.read(true).write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                    return taken();
                }
                sign(&mut file);
                *held = file;
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => taken(),
            Err(_) => Ok(()),
        }
    }
}

/// Writes into a lock file which process holds it, for people and for the message to the next run. Failing to write is
/// no reason not to run.
fn sign(file: &mut File) {
    let host = crate::parallel::abort::host();
    let text = format!("process {} on host {host}\n", std::process::id());
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()));
}

/// Takes the lock, which ends with the process, however that ends. Called by rank 0.
pub(super) fn lock(folder: &Path) -> Result<Claim> {
    let opened = File::open(folder).map_err(|e| Error::io(folder, "open", e))?;
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Error::Usage(format!("{}: cannot be written: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => sign(&mut file),
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
        // Some cluster file systems have no locks: warn and continue.
        Err(TryLockError::Error(e)) => {
            crate::parallel::abort::say(&format!(
                "{}: this file system has no locks ({e}): make sure that no second run uses the folder",
                folder.display()
            ));
        }
    }
    Ok(Claim {
        path: folder.to_path_buf(),
        folder: opened,
        lock: Mutex::new(file),
    })
}
