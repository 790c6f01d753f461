//! SHA-256 of files and of what gzip files unpack to, compared with what is published.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::catalogue::File;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::numbers::hexadecimal;

/// Feeds a hash; what is written counts, nothing is kept.
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

/// The SHA-256 of all that `source` gives, in hexadecimal.
///
/// # Errors
/// The source's own.
pub fn sha256(mut source: impl Read) -> std::io::Result<String> {
    let mut hash = Hashing(Sha256::new());
    std::io::copy(&mut source, &mut hash)?;
    Ok(hexadecimal(&hash.0.finalize()))
}

/// Whether the file at `path` is `file` as published, or as good: packed otherwise, or not packed.
///
/// # Errors
/// `Error::Data` with the checksum found and the one expected; `Error::Io` when it can't be read.
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

/// The SHA-256 of what a gzip file unpacks to, up to one byte more than expected; `None` for no sound gzip file.
fn unpacked(path: &Path, expected: u64) -> Option<String> {
    let (opened, _) = bounded::open(path).ok()?;
    sha256(MultiGzDecoder::new(BufReader::new(opened)).take(expected + 1)).ok()
}
