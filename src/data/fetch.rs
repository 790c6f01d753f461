//! `eki-mpi data fetch` and `data list`: brings published files whole and verified, or not at all.
//!
//! A file grows under its name with `.part` added, goes on from there after a cut (HTTP Range), and gets its own name
//! only once its checksum is right. Of several processes that fetch it at once one does, and the others wait for it. No rank
//! of a run ever fetches.

use std::fs;
use std::path::{Path, PathBuf};

use super::catalogue::{File, Format, SOURCES, Source};
use super::checksum;
use super::download::{Failure, Link};
use super::part::Part;
use crate::error::{Error, Result};

/// Attempts in a row that may bring nothing new before a mirror is given up.
const IDLE_ATTEMPTS: usize = 3;

/// A file of a set, in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it was brought now, or had been there.
    pub fetched: bool,
}

/// The mirror that the environment names in `EKI_MIRROR`, if any; for [`fetch`].
#[must_use]
pub fn mirror_from_env() -> Option<String> {
    std::env::var("EKI_MIRROR").ok().filter(|m| !m.is_empty())
}

/// Brings the files of `source` into `data_dir`, from `mirror` if one is given, else from its public mirrors.
///
/// `mirror` (see [`mirror_from_env`]) is the address of a web server laid out like the data folder, such as
/// `http://data.example.org/eki` for `http://data.example.org/eki/mnist/train-images-idx3-ubyte.gz`; the public ones
/// are then left alone. Files already in place are verified and kept.
///
/// # Errors
/// `Error::Data` for a file in place that isn't the published one; `Error::Io` for a folder that can't be written;
/// `Error::Run` when no mirror gave a file, with each one's reason and how to place the files by hand.
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

/// Where `file` can be had, in the order to try.
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

/// Why a file couldn't be brought.
enum Failed {
    /// The disk, not the network.
    Local(Error),
    /// Each mirror's reason.
    Mirrors(Vec<String>),
}

impl Failed {
    /// One line that says what was tried and what to do instead.
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

/// Brings one file into `data_dir`: where it is, and whether this process fetched it, not another at the same time.
fn bring(
    link: &Link,
    (source, file): (&Source, &File),
    data_dir: &Path,
    mirror: Option<&str>,
) -> Result<(PathBuf, bool)> {
    let folder = data_dir.join(source.folder);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create", e))?;
    let path = folder.join(file.name);
    let Some(mut part) = Part::of(&path)? else {
        return Ok((path, false));
    };
    let addresses = addresses(source, file, mirror);
    fill(link, file, (&mut part, &path), &addresses)
        .map_err(|failed| failed.into_error(source, file, &folder))?;
    Ok((path, true))
}

/// Fills the `part` of one file from the first address that gives it whole, and names it `path`.
fn fill(
    link: &Link,
    file: &File,
    (part, path): (&mut Part, &Path),
    addresses: &[String],
) -> std::result::Result<(), Failed> {
    let mut reasons = Vec::new();
    for address in addresses {
        // Once on top of what an earlier call or mirror left; should the whole turn out wrong, once more from nothing.
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
            // The first of the two was a stale part's fault, not the mirror's.
            reasons.pop();
        }
    }
    Err(Failed::Mirrors(reasons))
}

/// Attempts until `part` is whole by the server's word, or the mirror brings nothing more.
fn complete(
    link: &Link,
    file: &File,
    part: &mut Part,
    address: &str,
) -> std::result::Result<(), Failure> {
    // A whole part may be left where the last call was ended before its name was changed.
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

/// One line for each known set: its name, whether it is there and as published, where it is looked for.
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

/// Whether a set is there, and where.
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
