//! A file of the run's folder that grows while the run goes on.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{Files, Sink};

/// The largest number of bytes that wait to be written.
const WAITING: usize = 1 << 13;

/// A file that grows, open on rank 0, with the bytes that wait to be written.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    sink: Sink,
    /// Bytes not yet written; a part of a line or record where a write stopped within it.
    waiting: Vec<u8>,
    failing: bool,
}

impl Appender {
    /// Writes the file at `path` anew with `bytes`, and leaves it open. It is a new file: a run that lost its lock and still writes to
    /// the old one adds nothing to it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn new(files: &Files, path: PathBuf, bytes: &[u8]) -> Result<Self> {
        Ok(Self {
            sink: files.write_open(&path, bytes)?,
            path,
            waiting: Vec::new(),
            failing: false,
        })
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes that wait to be written.
    pub fn waiting(&self) -> &[u8] {
        &self.waiting
    }

    /// The file was moved to `path`, with its folder.
    pub fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Adds `bytes` to those that wait; returns true if so many wait by now that they should be written.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        self.waiting.extend(bytes);
        self.waiting.len() >= WAITING
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The system's refusal; what it did not take waits on, so that nothing is lost or written twice.
    pub fn flush(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            match self.sink.write(&self.waiting) {
                Ok(0) => return Err(self.refused(ErrorKind::WriteZero.into())),
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.refused(e)),
            }
        }
        self.failing = false;
        Ok(())
    }

    fn refused(&self, error: std::io::Error) -> Error {
        Error::io(&self.path, "write", error)
    }

    /// Writes what waits; a failure is logged once until the next success, and tried again with what is added later.
    pub fn flush_or_wait(&mut self) {
        if let Err(error) = self.flush()
            && !std::mem::replace(&mut self.failing, true)
        {
            tracing::warn!("{error}; its lines wait until they can be written");
        }
    }

    /// Waits until all bytes lie on the disk.
    ///
    /// # Errors
    /// As `flush`.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.sink.sync()
    }
}
