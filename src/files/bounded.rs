//! Bounded reading of files that users give: regular files only, within size limits. The sizes that a file claims are
//! not trusted: memory grows with what is really in it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// The largest number of bytes that one byte of deflate data can unpack to (RFC 1951: 258 bytes from two bits, less the
/// block's header).
pub const DEFLATE_RATIO: u64 = 1032;

/// Opens a regular file; returns it with its length in bytes. Does not open a pipe or a device, which could block or
/// have no end.
///
/// # Errors
/// The system's error, or `InvalidInput` when the file is not regular.
pub fn regular(path: &Path) -> io::Result<(File, u64)> {
    let described = std::fs::metadata(path)?;
    if !described.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    Ok((File::open(path)?, described.len()))
}

/// Opens a regular file that holds data; returns it with its length in bytes.
///
/// # Errors
/// `Error::Data` when it is missing or not a regular file, `Error::Io` when it can't be opened.
pub fn open(path: &Path) -> Result<(File, u64)> {
    regular(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::data(path, "not found"),
        ErrorKind::InvalidInput => Error::data(path, "is not a regular file"),
        _ => Error::io(path, "open", e),
    })
}

/// Returns all bytes of the regular file `path`, which may have at most `most` of them.
///
/// # Errors
/// `Error::Data` when it cannot be read, is not a regular file, or is longer.
pub fn whole(path: &Path, most: u64) -> Result<Vec<u8>> {
    let unread = |e: io::Error| Error::data(path, format!("cannot be read: {e}"));
    let (file, length) = regular(path).map_err(unread)?;
    let mut bytes = Vec::new();
    if length <= most {
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unread)?;
    }
    if length.max(bytes.len() as u64) > most {
        let why = format!("is too long: at most {most} bytes of it are read");
        return Err(Error::data(path, why));
    }
    Ok(bytes)
}

/// Returns the text of the regular file `path`, UTF-8 of at most `most` bytes, without the byte order mark that
/// spreadsheets and Windows programs write at its start.
///
/// # Errors
/// `Error::Data` when it cannot be read, is not a regular file, is longer, or is UTF-16 or binary.
pub fn text(path: &Path, most: u64) -> Result<String> {
    let bytes = whole(path, most)?;
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if marked || bytes.iter().take(1000).any(|byte| *byte == 0) {
        let why = "cannot be read: it is not UTF-8 text but UTF-16 or binary: save it as UTF-8";
        return Err(Error::data(path, why));
    }
    // Bytes that are not UTF-8 are harmless in comments; elsewhere the reader of the line refuses them.
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Reads exactly `promised` bytes of `what` from a source that can hold at most `most`, of which `stored` are in the
/// file.
///
/// Refuses a promise above `most` before allocating anything. Otherwise allocates at most eight times what is stored at
/// once, and the rest only as it arrives, so that a false promise costs no memory.
///
/// # Errors
/// `Error::Data` when `promised` is above `most`, or fewer bytes are found.
pub fn exactly(
    path: &Path,
    source: &mut impl Read,
    promised: u64,
    (stored, most): (u64, u64),
    what: &str,
) -> Result<Vec<u8>> {
    if promised > most {
        return Err(Error::data(
            path,
            format!(
                "promises {promised} bytes of {what}, but the file has room for at most {most}: it is cut off or damaged"
            ),
        ));
    }
    let room = promised.min(stored.saturating_mul(8));
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
    source
        .take(promised)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(path, what, &e))?;
    if bytes.len() as u64 == promised {
        Ok(bytes)
    } else {
        Err(Error::data(
            path,
            format!(
                "cut off: {} bytes of {what} found, {promised} expected",
                bytes.len()
            ),
        ))
    }
}

/// Reads the next N bytes of `what`.
///
/// # Errors
/// `Error::Data` when fewer are left.
pub fn array<const N: usize>(path: &Path, source: &mut impl Read, what: &str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    source
        .read_exact(&mut bytes)
        .map_err(|e| unreadable(path, what, &e))?;
    Ok(bytes)
}

/// Refuses bytes after the end of `what`. Reading to the end also lets an unpacker check its checksum.
///
/// # Errors
/// `Error::Data` when more bytes follow, or the checksum differs.
pub fn end(path: &Path, source: &mut impl Read, what: &str) -> Result<()> {
    match io::copy(&mut source.take(1), &mut io::sink()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::data(
            path,
            format!("more bytes follow where {what} should end"),
        )),
        Err(e) => Err(unreadable(path, what, &e)),
    }
}

/// Refuses the file with the message `problem` unless `sound`.
///
/// # Errors
/// `Error::Data` unless `sound`.
pub fn ensure(sound: bool, path: &Path, problem: impl FnOnce() -> String) -> Result<()> {
    if sound {
        Ok(())
    } else {
        Err(Error::data(path, problem()))
    }
}

/// Turns an unpacker's or the system's error into an `Error::Data` that names the file.
fn unreadable(path: &Path, what: &str, e: &io::Error) -> Error {
    let problem = match e.kind() {
        ErrorKind::UnexpectedEof => format!("cut off within {what}"),
        _ => format!("unreadable {what}: {e}"),
    };
    Error::data(path, problem)
}
