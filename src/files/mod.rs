//! Every change the program makes to files passes through here, so that a test can refuse, cut short or interrupt any
//! single one of them.
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced: it is whole or absent, also after
//! the power fails (Pillai et al., All File Systems Are Not Created Equal, OSDI 2014).

pub mod bounded;
pub mod numbers;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

/// What is about to be done to a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Make a folder.
    CreateFolder,
    /// Make a file, in place of any there.
    Create,
    /// Write some bytes.
    Write,
    /// Wait until a file or folder lies on the disk.
    Sync,
    /// Give a file its final name.
    Rename,
    /// Remove a file or an empty folder.
    Remove,
}

impl Call {
    /// In words, for "cannot ...".
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

/// Asked before every call; tests make it fail.
pub trait Watch: Send + Sync {
    /// Of `bytes` to be written (0 for other calls), how many may be; or the error the call is to end with.
    ///
    /// # Errors
    /// Whatever the call shall seem to have met.
    fn allow(&self, call: Call, path: &Path, bytes: usize) -> io::Result<usize>;
}

/// The file system, or what a test makes of it.
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
    /// The file system with `watch` asked before every call.
    #[must_use]
    pub fn watched(watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch) }
    }

    fn call<R>(
        &self,
        call: Call,
        path: &Path,
        run: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        if let Some(watch) = &self.watch {
            watch.allow(call, path, 0)?;
        }
        run()
    }

    fn told<R>(&self, call: Call, path: &Path, run: impl FnOnce() -> io::Result<R>) -> Result<R> {
        self.call(call, path, run)
            .map_err(|e| Error::io(path, call.word(), e))
    }

    /// Makes `folder` in a folder that is there; one that is there already is no error. The folders above it are never
    /// made: a run's folder that was moved away would come into being again, without the run.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn create_folder(&self, folder: &Path) -> Result<()> {
        self.told(Call::CreateFolder, folder, || {
            match fs::create_dir(folder) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
                other => other,
            }
        })
    }

    /// Makes a new file at `path`, in place of any there: a link is not written through.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn create(&self, path: &Path) -> Result<Sink> {
        let file = self.told(Call::Create, path, || {
            gone(fs::remove_file(path))?;
            File::create_new(path)
        })?;
        Ok(self.sink(file, path))
    }

    /// Opens the file at `path` as `open_own` does, to be written on at its end; returns it with its length in bytes.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn append(&self, path: &Path) -> Result<(Sink, u64)> {
        let (file, length) = self.told(Call::Create, path, || {
            let file = open_own(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        })?;
        Ok((self.sink(file, path), length))
    }

    fn sink(&self, file: File, path: &Path) -> Sink {
        Sink {
            file,
            path: path.to_path_buf(),
            files: self.clone(),
        }
    }

    /// Waits until the names in `folder` lie on the disk.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.told(Call::Sync, folder, || File::open(folder)?.sync_all())
    }

    /// Gives the file at `from` the name `to`, in place of any there.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.told(Call::Rename, to, || fs::rename(from, to))
    }

    /// Removes the file at `path`; one that is gone already is no error.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn remove(&self, path: &Path) -> Result<()> {
        self.told(Call::Remove, path, || gone(fs::remove_file(path)))
    }

    /// Removes the empty folder at `path`; one that is gone already is no error.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn remove_folder(&self, path: &Path) -> Result<()> {
        self.told(Call::Remove, path, || gone(fs::remove_dir(path)))
    }

    /// A link at `path` to `target`, in place of any there.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn link(&self, target: &Path, path: &Path) -> Result<()> {
        let part = part_of(path);
        self.told(Call::Create, &part, || {
            gone(fs::remove_file(&part))?;
            std::os::unix::fs::symlink(target, &part)
        })?;
        self.rename(&part, path)
    }

    /// Writes the file at `path` with `fill`, whole or not at all.
    ///
    /// # Errors
    /// The first call that failed; the temporary file is then removed if it can be.
    pub fn write_with(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut Sink) -> io::Result<()>,
    ) -> Result<()> {
        self.place(path, fill).map(drop)
    }

    /// Writes a new file at `path` with `bytes`, whole or not at all, and leaves it open to be written on. Whoever holds the
    /// file that had this name writes to it no more.
    ///
    /// # Errors
    /// As `write_with`.
    pub fn write_open(&self, path: &Path, bytes: &[u8]) -> Result<Sink> {
        self.place(path, |sink| sink.write_all(bytes))
    }

    fn place(&self, path: &Path, fill: impl FnOnce(&mut Sink) -> io::Result<()>) -> Result<Sink> {
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

    /// The file at `path` with `bytes`, whole or not at all.
    ///
    /// # Errors
    /// As `write_with`.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.write_with(path, |sink| sink.write_all(bytes))
    }
}

/// The end of a temporary file's name.
const PART: &str = ".part";

/// The name that `path` has until it is whole: this process's own, so that two that write one file at once do not meet.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}{PART}", std::process::id()));
    PathBuf::from(part)
}

/// Returns true if `name` is that of a temporary file that was to become the file called `of`, or any file.
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

/// Opens the file at `path` for reading and for writing at its end, and makes it where there is none. A link is not
/// followed, and nothing but a regular file is opened.
///
/// # Errors
/// The system's refusal.
pub fn open_own(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    match opened {
        Ok(file) if !file.metadata()?.is_file() => refused("it is no regular file"),
        Err(_) if path.is_symlink() => {
            refused("it is a link, and files are not written through links")
        }
        other => other,
    }
}

/// As `open_own`; a file that has other names is replaced by a copy of its own first, as `has_other_names` asks for.
///
/// # Errors
/// The system's refusal.
pub fn open_unshared(path: &Path) -> io::Result<File> {
    let mut file = open_own(path)?;
    if !has_other_names(&file)? {
        return Ok(file);
    }
    let part = part_of(path);
    gone(fs::remove_file(&part))?;
    io::copy(&mut file, &mut File::create_new(&part)?)?;
    fs::rename(&part, path)?;
    open_own(path)
}

/// Returns true if `found` describes the opened `file`, under whatever name.
#[must_use]
pub fn is_same(found: &fs::Metadata, file: &File) -> bool {
    file.metadata()
        .is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// Returns true if the opened `file` has more than one name: what is written to it would show under the others, too.
///
/// # Errors
/// The system's refusal.
pub fn has_other_names(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 1)
}

/// The folder `path` stands in: of a bare name the present one, which `Path::parent` calls by the empty name.
fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Sink {
    file: File,
    path: PathBuf,
    files: Files,
}

impl Sink {
    /// Waits until all that was written lies on the disk.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn sync(&self) -> Result<()> {
        self.files
            .told(Call::Sync, &self.path, || self.file.sync_all())
    }

    /// Cuts the file off behind its first `length` bytes.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn cut(&self, length: u64) -> Result<()> {
        self.files
            .told(Call::Write, &self.path, || self.file.set_len(length))
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

    /// Refuses the call numbered `.1`; `.0` counts.
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
