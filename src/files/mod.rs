//! Files: changes that leave a file whole or absent, files that users give, and numbers in text.
//!
//! Every change that the program makes to files passes through `Files`, so that a test can refuse, cut short or
//! interrupt any single one of them. A file is written under a temporary name, synced and renamed, and its folder is
//! synced: it is whole or absent, even after a power failure (Pillai et al., All File Systems Are Not Created Equal,
//! OSDI 2014).
//!
//! Imports `error` only. To add an operation on files: a method of `Files` that makes its system call inside `call`,
//! with a kind in `Call`; the tests below then refuse it, too.

mod appending;
pub mod bounded;
pub mod numbers;
pub mod table;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::files::appending::{has_other_names, is_same, open_own, open_unshared};

use crate::error::{Error, Result};

/// The kinds of calls that change files or folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Create a folder.
    CreateFolder,
    /// Create a file, replacing an existing one.
    Create,
    /// Write bytes.
    Write,
    /// Wait until a file or folder is stored on the disk.
    Sync,
    /// Give a file its final name.
    Rename,
    /// Remove a file or an empty folder.
    Remove,
}

impl Call {
    /// Returns the verb for "cannot ..." in an error message.
    fn word(self) -> &'static str {
        match self {
            Self::CreateFolder | Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }
}

/// A hook that is called before every change to a file; tests use it to make calls fail.
pub trait Watch: Send + Sync {
    /// Returns how many of `bytes` may be written (0 is passed for calls that write nothing).
    ///
    /// # Errors
    /// The error with which the call is to fail.
    fn allow(&self, call: Call, path: &Path, bytes: usize) -> io::Result<usize>;
}

/// The file system; a test may watch its calls.
#[derive(Clone, Default)]
pub struct Files {
    watch: Option<Arc<dyn Watch>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.watch.is_some() {
            "Files(watched)"
        } else {
            "Files"
        })
    }
}

impl Files {
    /// Returns the file system with `watch` called before every change.
    #[must_use]
    pub fn watched(watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch) }
    }

    /// Runs one change to the file or folder at `path`, after asking the watch.
    fn call<R>(&self, call: Call, path: &Path, run: impl FnOnce() -> io::Result<R>) -> Result<R> {
        let allowed = match &self.watch {
            Some(watch) => watch.allow(call, path, 0).map(drop),
            None => Ok(()),
        };
        allowed
            .and_then(|()| run())
            .map_err(|e| Error::io(path, call.word(), e))
    }

    /// Creates `folder` in an existing folder; does nothing if it exists. Folders above it are never created: a run's
    /// folder that was moved away would come back without the run.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn create_folder(&self, folder: &Path) -> Result<()> {
        self.call(Call::CreateFolder, folder, || {
            match fs::create_dir(folder) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
                other => other,
            }
        })
    }

    /// Creates a new file at `path`, replacing an existing one: a link is not written through.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn create(&self, path: &Path) -> Result<Sink> {
        let file = self.call(Call::Create, path, || {
            ignore_missing(fs::remove_file(path))?;
            File::create_new(path)
        })?;
        Ok(self.sink(file, path))
    }

    /// Opens the file at `path` for appending, as `open_own` does; returns it with its length in bytes.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn append(&self, path: &Path) -> Result<(Sink, u64)> {
        let (file, length) = self.call(Call::Create, path, || {
            let file = open_own(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        })?;
        Ok((self.sink(file, path), length))
    }

    /// Opens the file at `path`, which another process may have created, to be written from the byte `start` on.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses, or there is no such file.
    pub fn write_at(&self, path: &Path, start: u64) -> Result<Sink> {
        let file = self.call(Call::Create, path, || {
            let mut file = File::options().write(true).open(path)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        })?;
        Ok(self.sink(file, path))
    }

    fn sink(&self, file: File, path: &Path) -> Sink {
        Sink {
            file,
            path: path.to_path_buf(),
            files: self.clone(),
        }
    }

    /// Waits until the names in `folder` are stored on the disk.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.call(Call::Sync, folder, || File::open(folder)?.sync_all())
    }

    /// Renames the file at `from` to `to`, replacing an existing one.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.call(Call::Rename, to, || fs::rename(from, to))
    }

    /// Removes the file at `path`; does nothing if it is already gone.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn remove(&self, path: &Path) -> Result<()> {
        self.call(Call::Remove, path, || ignore_missing(fs::remove_file(path)))
    }

    /// Removes the empty folder at `path`; does nothing if it is already gone.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn remove_folder(&self, path: &Path) -> Result<()> {
        self.call(Call::Remove, path, || ignore_missing(fs::remove_dir(path)))
    }

    /// Creates a symbolic link at `path` to `target`, replacing an existing one.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn link(&self, target: &Path, path: &Path) -> Result<()> {
        let part = part_of(path);
        self.call(Call::Create, &part, || {
            ignore_missing(fs::remove_file(&part))?;
            std::os::unix::fs::symlink(target, &part)
        })?;
        self.rename(&part, path)
    }

    /// Writes the file at `path` with `fill`, whole or not at all.
    ///
    /// # Errors
    /// The first call that failed; the temporary file is then removed if possible.
    pub fn write_with(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut Sink) -> io::Result<()>,
    ) -> Result<()> {
        self.write_and_rename(path, fill).map(drop)
    }

    /// Writes a new file at `path` with `bytes`, whole or not at all, and leaves it open for more. A process that holds
    /// the file that had this name before no longer writes to it.
    ///
    /// # Errors
    /// The first call that failed; the temporary file is then removed if possible.
    pub fn write_open(&self, path: &Path, bytes: &[u8]) -> Result<Sink> {
        self.write_and_rename(path, |sink| sink.write_all(bytes))
    }

    /// Writes a temporary file with `fill`, syncs it, renames it to `path`, and leaves it open.
    fn write_and_rename(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut Sink) -> io::Result<()>,
    ) -> Result<Sink> {
        let part = part_of(path);
        let written = self.create(&part).and_then(|mut sink| {
            fill(&mut sink).map_err(|e| Error::io(path, "write", e))?;
            sink.sync()?;
            self.rename(&part, path)?;
            sink.path = path.to_path_buf();
            Ok(sink)
        });
        if written.is_err() {
            let _ = self.remove(&part);
        }
        let sink = written?;
        self.sync_folder(folder_of(path))?;
        Ok(sink)
    }

    /// Writes the file at `path` with `bytes`, whole or not at all.
    ///
    /// # Errors
    /// The first call that failed; the temporary file is then removed if possible.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.write_with(path, |sink| sink.write_all(bytes))
    }
}

/// The suffix of a temporary file's name.
const PART: &str = ".part";

/// Returns the name of `path` until it is whole. It holds this process's number, so that two processes writing the same
/// file use different temporary files.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}{PART}", std::process::id()));
    PathBuf::from(part)
}

/// Returns true if the name of the file at `path` ends in a point and `ending`, in small letters or large ones.
#[must_use]
pub fn ends_in(path: &Path, ending: &str) -> bool {
    let own = path.extension();
    own.is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// Returns true if `name` is a temporary file's name: of the file called `of`, or of any file if `of` is None.
#[must_use]
pub fn is_part(name: &str, of: Option<&str>) -> bool {
    let Some(whole) = name.strip_suffix(PART) else {
        return false;
    };
    of.is_none_or(|of| {
        whole
            .strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Returns the folder that contains `path`: "." for a bare name, for which `Path::parent` returns the empty path.
fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Treats a file that is not there as removed.
fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file that is being written; every write is first passed to the watch of its `Files`.
#[derive(Debug)]
pub struct Sink {
    file: File,
    path: PathBuf,
    files: Files,
}

impl Sink {
    /// Waits until all bytes written are stored on the disk.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn sync(&self) -> Result<()> {
        self.files
            .call(Call::Sync, &self.path, || self.file.sync_all())
    }

    /// Truncates the file to its first `length` bytes.
    ///
    /// # Errors
    /// `Error::Io` when the system refuses.
    pub fn cut(&self, length: u64) -> Result<()> {
        self.files
            .call(Call::Write, &self.path, || self.file.set_len(length))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let allowed = match &self.files.watch {
            Some(watch) => watch.allow(Call::Write, &self.path, bytes.len())?,
            None => bytes.len(),
        };
        self.file.write(&bytes[..allowed.min(bytes.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Refuses call number `.1`; `.0` counts the calls.
    struct Refuse(Mutex<usize>, usize);

    impl Watch for Refuse {
        fn allow(&self, _: Call, _: &Path, bytes: usize) -> io::Result<usize> {
            let mut calls = self.0.lock().unwrap();
            *calls += 1;
            if *calls - 1 == self.1 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            // Short writes throughout: seven bytes at a time.
            Ok(bytes.min(7))
        }
    }

    #[test]
    fn a_bare_name_stands_in_the_present_folder() {
        assert_eq!(folder_of(Path::new("report.html")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/report.html")), Path::new("a"));
        Files::default()
            .sync_folder(folder_of(Path::new("report.html")))
            .unwrap();
    }

    #[test]
    fn whichever_call_fails_a_link_leads_where_it_led_or_where_it_should() {
        for refused in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("now");
            let old = Path::new("old");
            Files::default().link(old, &path).unwrap();
            let watch = Arc::new(Refuse(Mutex::new(0), refused));
            let result = Files::watched(watch).link(Path::new("new"), &path);
            assert_eq!(result.is_err(), refused < 2);
            let leads = fs::read_link(&path).unwrap();
            assert_eq!(leads == old, refused < 2);
            Files::default().link(Path::new("new"), &path).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn whichever_call_fails_a_file_is_the_old_or_the_new_and_nothing_lies_beside_it() {
        let (old, new) = (
            b"the old text".to_vec(),
            b"the new and longer text".to_vec(),
        );
        for refused in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.txt");
            Files::default().write_whole(&path, &old).unwrap();
            let watch = Arc::new(Refuse(Mutex::new(0), refused));
            let result = Files::watched(watch.clone()).write_whole(&path, &new);
            let found = fs::read(&path).unwrap();
            assert!(found == old || found == new);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            if *watch.0.lock().unwrap() <= refused {
                assert!(result.is_ok() && found == new && refused > 6);
                break;
            }
            assert!(result.is_err());
        }
    }
}
