//! What can go wrong, as data; the program prints it once, on one line, and picks the exit code.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure the library returns. `Display` is one line and names what is at fault.
#[derive(thiserror::Error)]
pub enum Error {
    /// A configuration key that is unknown, of the wrong type, or out of range.
    #[error("{file}: {key} = {value}: {allowed}")]
    Config {
        /// The file or preset the key came from, or `--set`.
        file: String,
        /// The key's full path, such as `ensemble.members`.
        key: String,
        /// The value as given.
        value: String,
        /// The values that are allowed.
        allowed: String,
    },
    /// A data file that is missing, damaged, or of the wrong shape.
    #[error("{}: {problem}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The problem that was found, and the value expected instead.
        problem: String,
    },
    /// The command line, the launcher or the output folder asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused a file operation.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed, as in "write", "rename".
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The computation cannot go on.
    #[error("{0}")]
    Run(String),
    /// A copy, on this rank, of what another rank (rank 0) reported; the exit code travels with it.
    #[error("{message}")]
    Remote {
        /// The other rank's message.
        message: String,
        /// The other rank's exit code.
        code: i32,
    },
}

/// The same line as `Display`: a `main` that returns an error prints it by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Returns true if the disk is full, or this user's share of it.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    /// A data file's problem.
    pub fn data(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Data {
            path: path.as_ref().to_path_buf(),
            problem: problem.into(),
        }
    }

    /// An operating-system error on `path` while doing `action`.
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            action,
            source,
        }
    }

    /// The program's exit code: 2 for what the user can mend on the command line or in a file, else 1.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Config { .. } | Self::Data { .. } | Self::Usage(_) => 2,
            Self::Io { .. } | Self::Run(_) => 1,
            Self::Remote { code, .. } => *code,
        }
    }
}
