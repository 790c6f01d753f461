//! A run's folder: who may use it, one run at a time, and what a run taken up again finds there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::config::{CONFIG, OBSERVATIONS, Resolved, changes, resumable};
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::{Files, is_part, is_same};
use crate::io::checkpoint::newest_mark;
use crate::io::observations;

/// The file in the run's folder that stops it.
pub const STOP_FILE: &str = "STOP";

/// The folder in the run's folder where simulators' outputs are kept until a checkpoint holds what became of them.
pub const SIMULATED: &str = "simulated";

/// The longest config.toml that is read, bytes.
const LONGEST: u64 = 1 << 26;

/// The file whose lock says that a run is using the folder.
const LOCK: &str = ".lock";

/// A folder that is ours until this is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct Claim {
    /// The path it was claimed by.
    path: PathBuf,
    /// The folder itself, opened: it stays the same when it is moved.
    folder: File,
    lock: Mutex<File>,
}

impl Claim {
    /// Returns the path where the claimed folder is now: another than it was claimed by, if it was moved. Makes the lock
    /// file anew if it was removed.
    ///
    /// # Errors
    /// The folder was removed, or another run has claimed it. Nothing may be written any more.
    pub fn place(&self) -> Result<PathBuf> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => is_same(&found, &self.folder),
            Err(e) => ![ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&e.kind()),
        };
        if found {
            return self.hold(&self.path).map(|()| self.path.clone());
        }
        // Linux tells where an opened folder is.
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

    /// Returns true if the folder is ours and where it was claimed.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.place().is_ok_and(|place| place == self.path)
    }

    /// Sees to it that the lock file in `folder`, which is the claimed one, is the one held.
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
            // Whether it is there cannot be told: the next look may.
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

/// Writes into a lock file who holds it, for people and for the message to the next run: that it cannot be written is no
/// reason not to run.
fn sign(file: &mut File) {
    let host = crate::parallel::abort::host();
    let text = format!("process {} on host {host}\n", std::process::id());
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()));
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
    let anew = resume && is_lost(folder, config)?;
    // Root may write where permissions forbid it, and a full disk shows only now: try.
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

/// Copies the file of the observations that `resolved` names, where it has a simulator, into the run's `folder`, as it is. For
/// rank 0.
///
/// # Errors
/// Files that cannot be read or written, or that no longer hold the numbers `observed`.
pub fn copy_observations(
    files: &Files,
    folder: &Path,
    resolved: &Resolved,
    observed: &[f64],
) -> Result<()> {
    if !resolved.config.model.kind.simulates() {
        return Ok(());
    }
    let from = resolved.observations()?;
    if observations::read(&from)? != observed {
        let why = "has been changed since the run read it: start the run again";
        return Err(Error::data(&from, why));
    }
    let is_array = from
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("npy"));
    let [copy, other] = match (is_array, OBSERVATIONS) {
        (false, names) => names,
        (true, [text, array]) => [array, text],
    };
    let (bytes, copy) = (bounded::whole(&from, u64::MAX)?, folder.join(copy));
    if !fs::read(&copy).is_ok_and(|was| was == bytes) {
        files.write_whole(&copy, &bytes)?;
    }
    // Of a start that went no further, with a file of another kind.
    files.remove(&folder.join(other))
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
    let configures = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        (name == CONFIG || is_part(&name, Some(CONFIG))) && entry.path().is_file()
    };
    let run = entries.iter().any(configures) || newest_mark(folder).is_some();
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
        // Some cluster file systems have no locks: the user is told, and the run goes on.
        Err(TryLockError::Error(e)) => {
            crate::parallel::abort::say(&format!(
                "{}: this file system gives no locks ({e}): take care that no second run uses the folder",
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

/// Reads config.toml in the run's folder with `read`; an error says what is wrong with the file.
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

/// Returns true if the configuration in the folder is lost, and is to be written anew as `config`: config.toml is missing,
/// damaged or another, but the newest checkpoint is of a run of `config`, but for what may change.
///
/// # Errors
/// The folder holds a run of another configuration, or config.toml is damaged and there is no checkpoint to compare with.
fn is_lost(folder: &Path, config: &str) -> Result<bool> {
    let path = folder.join(CONFIG);
    let why = match read_config(folder, |was| changes(was, config)) {
        Ok(differ) if differ.is_empty() => return Ok(false),
        why => why,
    };
    let refused = |differ: &[String]| {
        Err(Error::Usage(format!(
            "{}: holds a run of another configuration: {}; these may change: {}",
            folder.display(),
            differ.join("; "),
            resumable()
        )))
    };
    let Some(mark) = newest_mark(folder) else {
        return match why {
            Ok(differ) => refused(&differ),
            // Killed as it started, a run has left nothing else.
            Err(_) if !path.exists() => Ok(false),
            Err(flaw) => Err(Error::data(
                &path,
                format!("{flaw}, and there is no checkpoint that holds the configuration"),
            )),
        };
    };
    let differ = changes(&mark.config, config).map_err(|e| {
        Error::data(
            &path,
            format!("the checkpoint's configuration is not TOML: {e}"),
        )
    })?;
    if !differ.is_empty() {
        return refused(&differ);
    }
    crate::parallel::abort::say(&format!(
        "{}: {}: it is written anew, for the checkpoint of step {} is of this configuration",
        path.display(),
        why.map_or_else(
            |flaw| flaw,
            |differ| format!("differs: {}", differ.join("; "))
        ),
        mark.step
    ));
    Ok(true)
}

/// Removes what a run that was killed while it wrote config.toml left of it. That it stays does no harm.
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
        // Another folder in its place is not the run's.
        let beside = claim(&first, false, "").unwrap();
        assert_eq!(held.place().unwrap(), real);
        assert!(beside.is_in_place() && !held.is_in_place());
        fs::remove_file(moved.join(LOCK)).unwrap();
        let thief = claim(&moved, true, "").unwrap();
        let taken = held.place().unwrap_err().to_string();
        assert!(taken.contains("another run has taken"), "{taken}");
        assert!(thief.is_in_place());
        fs::remove_dir_all(&first).unwrap();
        let gone = beside.place().unwrap_err().to_string();
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
