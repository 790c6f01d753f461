//! The commands `data fetch` and `data list`: fetch published files whole and verified, or not at all.
//!
//! A file grows under its name with `.part` added, continues after an interruption (HTTP Range), and gets its final
//! name only once its checksum is right. Of several processes that fetch the same file, one does and the others wait.
//! Ranks of a run never fetch.

use std::fs;
use std::path::{Path, PathBuf};

use super::checksum;
use super::download::{Failure, Link};
use super::part::Part;
use super::published::SOURCES;
use super::source::{File, Format, Source};
use crate::error::{Error, Result};

/// The number of consecutive attempts without progress after which a mirror is given up.
const IDLE_ATTEMPTS: usize = 3;

/// A file of a data set that is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The path of the file.
    pub path: PathBuf,
    /// True if it was fetched now, false if it was already there.
    pub fetched: bool,
}

/// Returns the mirror that the environment variable `EKI_MIRROR` names, if any; for [`fetch`].
#[must_use]
pub fn mirror_from_env() -> Option<String> {
    std::env::var("EKI_MIRROR").ok().filter(|m| !m.is_empty())
}

/// Fetches the files of `source` into `data_dir`, from `mirror` if one is given, else from its public mirrors.
///
/// `mirror` (see [`mirror_from_env`]) is the address of a web server with the layout of the data folder, such as
/// `http://data.example.org/eki` for `http://data.example.org/eki/mnist/train-images-idx3-ubyte.gz`; the public mirrors
/// are then not used. Files already in place are verified and kept.
///
/// # Errors
/// `Error::Usage` for a file in place that differs from the published one; `Error::Io` for a folder that can't be
/// written; `Error::Run` when no mirror gave a file, with the reason of each and how to place the files by hand.
pub fn fetch(source: &Source, data_dir: &Path, mirror: Option<&str>) -> Result<Vec<Placed>> {
    let link = Link::new();
    let mut placed = Vec::new();
    for file in source.files {
        let (path, fetched) = match source.locate(file, data_dir) {
            Some(path) => (path, false),
            None => bring(&link, (source, file), data_dir, mirror)?,
        };
        if !fetched {
            checksum::verify(&path, file).map_err(|e| {
                Error::Usage(format!(
                    "{e}; it is not replaced: move it away to fetch the published file"
                ))
            })?;
        }
        placed.push(Placed { path, fetched });
    }
    Ok(placed)
}

/// Returns the addresses of `file`, in the order in which to try them.
fn addresses(source: &Source, file: &File, mirror: Option<&str>) -> Vec<String> {
    match mirror {
        Some(base) => vec![format!(
            "{}/{}/{}",
            base.trim_end_matches('/'),
            source.folder,
            file.name
        )],
        None => source
            .mirrors
            .iter()
            .map(|base| format!("{base}{}", file.published))
            .collect(),
    }
}

/// The reason why a file could not be fetched.
enum Failed {
    /// Writing to the disk failed.
    Local(Error),
    /// The reason of each mirror.
    Mirrors(Vec<String>),
}

impl Failed {
    /// Returns an error of one line that says what was tried and what to do instead.
    fn into_error(self, source: &Source, file: &File, folder: &Path) -> Error {
        let reasons = match self {
            Self::Local(error) => return error,
            Self::Mirrors(reasons) if reasons.is_empty() => "it has no mirror".to_owned(),
            Self::Mirrors(reasons) => reasons.join("; "),
        };
        let names: Vec<_> = source.files.iter().map(|f| f.name).collect();
        Error::Run(format!(
            "cannot fetch {} of {}: {reasons}. Try again to go on where it stopped; without a network place {} in {} by \
             hand, or set EKI_MIRROR to a web server laid out like the data folder",
            file.name,
            source.name,
            names.join(", "),
            folder.display()
        ))
    }
}

/// Fetches one file into `data_dir`. Returns its path, and whether this process fetched it rather than another one at
/// the same time.
fn bring(
    link: &Link,
    (source, file): (&Source, &File),
    data_dir: &Path,
    mirror: Option<&str>,
) -> Result<(PathBuf, bool)> {
    let folder = data_dir.join(source.folder);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create", e))?;
    let path = folder.join(file.name);
    let Some(mut part) = Part::open(&path)? else {
        return Ok((path, false));
    };
    let addresses = addresses(source, file, mirror);
    fill(link, file, (&mut part, &path), &addresses)
        .map_err(|failed| failed.into_error(source, file, &folder))?;
    Ok((path, true))
}

/// Fills the `part` of one file from the first address that gives it whole, and renames it to `path`.
fn fill(
    link: &Link,
    file: &File,
    (part, path): (&mut Part, &Path),
    addresses: &[String],
) -> std::result::Result<(), Failed> {
    let mut reasons = Vec::new();
    for address in addresses {
        // The first round continues what an earlier call or mirror left; if the result is wrong, a second one starts
        // from nothing.
        for _ in 0..2 {
            let fresh = part.length() == 0;
            match complete(link, file, part, address) {
                Ok(()) => match checksum::verify(part.path(), file) {
                    Ok(()) => return part.keep(path).map_err(Failed::Local),
                    Err(wrong) => {
                        part.clear().map_err(Failed::Local)?;
                        reasons.push(format!("{address}: {wrong}"));
                    }
                },
                Err(Failure::Local(error)) => return Err(Failed::Local(error)),
                Err(Failure::Cut(reason) | Failure::Refused(reason)) => {
                    reasons.push(format!("{address}: {reason}"));
                    break;
                }
            }
            if fresh {
                break;
            }
            // A stale part caused the first failure, not the mirror.
            reasons.pop();
        }
    }
    Err(Failed::Mirrors(reasons))
}

/// Repeats attempts until `part` is complete by the server's word, or the mirror makes no more progress.
fn complete(
    link: &Link,
    file: &File,
    part: &mut Part,
    address: &str,
) -> std::result::Result<(), Failure> {
    // A complete part may be left if the last call was ended before renaming it.
    if part.length() == file.bytes {
        return Ok(());
    }
    let (mut furthest, mut idle) = (part.length(), 0);
    loop {
        match link.attempt(address, file, part) {
            Err(Failure::Cut(reason)) => {
                let reached = part.length();
                idle = if reached > furthest { 0 } else { idle + 1 };
                furthest = furthest.max(reached);
                if idle == IDLE_ATTEMPTS {
                    return Err(Failure::Cut(reason));
                }
                std::thread::sleep(std::time::Duration::from_millis(300) * idle as u32);
            }
            ended => return ended,
        }
    }
}

/// Returns one line for each known data set: its name, whether it is there and as published, and its folder.
#[must_use]
pub fn list(data_dir: &Path) -> Vec<String> {
    SOURCES
        .iter()
        .map(|source| {
            let (state, place) = state(source, data_dir);
            format!(
                "{:<14} {state:<10} {place}  ({})",
                source.name, source.title
            )
        })
        .collect()
}

/// Returns whether a data set is there, and where.
fn state(source: &Source, data_dir: &Path) -> (&'static str, String) {
    let folder = data_dir.join(source.folder);
    if source.format == Format::Embedded {
        return ("there", "in the program".to_owned());
    }
    let found: Vec<_> = source
        .files
        .iter()
        .map(|file| (file, source.locate(file, data_dir)))
        .collect();
    let missing: Vec<_> = found
        .iter()
        .filter(|(_, path)| path.is_none())
        .map(|(file, _)| file.name)
        .collect();
    if !missing.is_empty() {
        let state = if missing.len() == found.len() {
            "missing"
        } else {
            "incomplete"
        };
        let place = folder.join(missing[0]).display().to_string();
        return (state, place);
    }
    let differs = |(file, path): &(&File, Option<PathBuf>)| {
        path.as_ref()
            .filter(|path| checksum::verify(path, file).is_err())
            .cloned()
    };
    match found.iter().find_map(differs) {
        Some(path) => ("differs", format!("{}, not as published", path.display())),
        None => ("there", folder.display().to_string()),
    }
}
