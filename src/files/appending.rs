//! Files that grow, such as logs and tables: opened for appending, never through a link.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::{ignore_missing, part_of};

/// Opens the file at `path` for reading and appending; creates it if it is missing. Does not follow a link, and opens
/// regular files only.
///
/// # Errors
/// The system's error, or that the file is a link or not regular.
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
        Ok(file) if !file.metadata()?.is_file() => refused("it is not a regular file"),
        Err(_) if path.is_symlink() => {
            refused("it is a link, and files are not written through links")
        }
        other => other,
    }
}

/// Opens the file at `path` for reading and appending, as `open_own` does. A file that has other names (hard links) is
/// first replaced by a copy, so that appending does not show under the other names.
///
/// # Errors
/// The system's error, or that the file is a link or not regular.
pub fn open_unshared(path: &Path) -> io::Result<File> {
    let mut file = open_own(path)?;
    if !has_other_names(&file)? {
        return Ok(file);
    }
    let part = part_of(path);
    ignore_missing(fs::remove_file(&part))?;
    io::copy(&mut file, &mut File::create_new(&part)?)?;
    fs::rename(&part, path)?;
    open_own(path)
}

/// Returns true if `found` describes the open `file`, whatever its name.
#[must_use]
pub fn is_same(found: &fs::Metadata, file: &File) -> bool {
    file.metadata()
        .is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// Returns true if the open `file` has more than one name (hard link): what is written to it shows under the others,
/// too.
///
/// # Errors
/// The system's error.
pub fn has_other_names(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 1)
}
