//! SHA-256 digests of files and of the content of gzip files, compared with the published ones.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::source::File;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::numbers::hexadecimal;

/// A writer that feeds a hash and stores nothing.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the SHA-256 of all bytes of `source`, in hexadecimal.
///
/// # Errors
/// The error of the source.
pub fn sha256(mut source: impl Read) -> std::io::Result<String> {
    let mut hash = Hashing(Sha256::new());
    std::io::copy(&mut source, &mut hash)?;
    Ok(hexadecimal(&hash.0.finalize()))
}

/// Checks that the file at `path` is the published `file`, or has the same content packed differently or not packed.
///
/// # Errors
/// `Error::Data` with the digest found and the one expected; `Error::Io` when the file can't be read.
pub fn verify(path: &Path, file: &File) -> Result<()> {
    let (opened, _) = bounded::open(path)?;
    let found = sha256(opened).map_err(|e| Error::io(path, "read", e))?;
    let same_content = || {
        file.content.as_ref().is_some_and(|content| {
            found == content.sha256
                || unpacked(path, content.bytes).is_some_and(|inside| inside == content.sha256)
        })
    };
    if file.sha256.contains(&found.as_str()) || same_content() {
        Ok(())
    } else {
        Err(Error::data(
            path,
            format!(
                "has SHA-256 {found}, {} expected",
                file.sha256.first().copied().unwrap_or("another")
            ),
        ))
    }
}

/// Returns the SHA-256 of the content of a gzip file, of which at most one byte more than `expected` is unpacked; None
/// if it is not a sound gzip file.
fn unpacked(path: &Path, expected: u64) -> Option<String> {
    let (opened, _) = bounded::open(path).ok()?;
    sha256(MultiGzDecoder::new(BufReader::new(opened)).take(expected + 1)).ok()
}
