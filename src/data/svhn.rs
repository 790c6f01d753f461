//! SVHN's published files: MATLAB level 5 with X (32 x 32 x 3 x N bytes) and y (N labels, 10 for the digit 0).
//!
//! The format: a header of 128 bytes, then elements of a type, a size and data. A compressed element unpacks to a
//! matrix element, which holds flags, sizes, a name and values as elements of its own, padded to 8 bytes (MathWorks,
//! "MAT-File Format", version 5). Y. Netzer et al., NIPS Workshop on Deep Learning (2011), describe the data.
//!
//! Written here because only this one layout is needed, within bounds, with no size in the file trusted.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::ZlibDecoder;
use ndarray::Array2;

use super::{Inputs, Samples, Targets};
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::bounded::DEFLATE_RATIO;

/// The height and width of an image.
pub const SIDE: usize = 32;
/// The number of channels of an image.
pub const CHANNELS: usize = 3;
/// The number of classes.
pub const CLASSES: usize = 10;

const PIXELS: usize = CHANNELS * SIDE * SIDE;
const HEADER: u64 = 128;
/// Element types.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const SIGNED_BYTES: u32 = 1;
const BYTES: u32 = 2;
const DOUBLES: u32 = 9;
/// Array classes.
const CLASS_DOUBLE: u8 = 6;
const CLASS_UINT8: u8 = 9;
/// More bytes than the flags, the sizes and a name of MATLAB's greatest length (63) need.
const LONGEST_DESCRIPTION: u64 = 256;

/// A variable as stored in the file.
struct Variable {
    class: u8,
    sizes: Vec<usize>,
    /// The element type of the values: MATLAB stores doubles as bytes if they fit.
    kind: u32,
    values: Vec<u8>,
}

/// Reads SVHN images, N x 3072 as channel*32*32 + row*32 + column, and their labels 0..=9.
///
/// # Errors
/// `Error::Data` when the file is missing, damaged, cut off or of another format (such as MATLAB 7.3), lacks X or y, or
/// when their sizes differ from N images and N labels of 1..=10.
pub fn read(path: &Path) -> Result<Samples> {
    let (file, stored) = bounded::open(path)?;
    decode(path, BufReader::new(file), stored)
}

/// Decodes a MATLAB file from a source of `stored` bytes; `path` only names it in errors.
///
/// # Errors
/// `Error::Data` when it is damaged, cut off or of another format (such as MATLAB 7.3), lacks X or y, or when their
/// sizes differ from N images and N labels of 1..=10.
pub fn decode(path: &Path, mut source: impl Read, stored: u64) -> Result<Samples> {
    check_header(path, &mut source)?;
    let mut left = stored.saturating_sub(HEADER);
    let (mut images, mut labels) = (None, None);
    while left > 0 {
        let [kind, size] = tag(path, &mut source)?;
        left = left.saturating_sub(8);
        if u64::from(size) > left {
            return Err(Error::data(
                path,
                format!("cut off: an element promises {size} bytes, {left} are left"),
            ));
        }
        let size = u64::from(size);
        let mut element = source.by_ref().take(size);
        let found = match kind {
            COMPRESSED => compressed(path, &mut element, size)?,
            MATRIX => variable(path, &mut element, (size, size))?,
            other => {
                return Err(Error::data(
                    path,
                    format!("element of type {other} found, a matrix (14 or 15) expected"),
                ));
            }
        };
        match found {
            Some(("X", x)) => images = Some(x),
            Some((_, y)) => labels = Some(y),
            None => {}
        }
        // The content of a variable with another name, and padding.
        std::io::copy(&mut element, &mut std::io::sink())
            .map_err(|e| Error::io(path, "read", e))?;
        left -= size;
    }
    join(path, images, labels)
}

/// Checks the first 128 bytes: level 5, little-endian.
fn check_header(path: &Path, source: &mut impl Read) -> Result<()> {
    let header: [u8; HEADER as usize] = bounded::array(path, source, "the MATLAB header")?;
    if header.starts_with(b"MATLAB 7.3") || header.starts_with(b"\x89HDF") {
        return Err(Error::data(
            path,
            "is a MATLAB 7.3 (HDF5) file; SVHN is published as level 5: save it with -v7",
        ));
    }
    match &header[124..] {
        [0, 1, b'I', b'M'] => Ok(()),
        other => Err(Error::data(
            path,
            format!(
                "is not a little-endian MATLAB level 5 file: header ends in {}, 00 01 49 4d expected",
                other
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        )),
    }
}

/// Reads the type and size with which an element begins.
fn tag(path: &Path, source: &mut impl Read) -> Result<[u32; 2]> {
    let bytes: [u8; 8] = bounded::array(path, source, "an element's tag")?;
    let [a, b, c, d, e, f, g, h] = bytes;
    Ok([
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ])
}

/// Returns the variable in a compressed element of `size` bytes, if it is X or y.
fn compressed(
    path: &Path,
    element: &mut impl Read,
    size: u64,
) -> Result<Option<(&'static str, Variable)>> {
    let mut unpacked = ZlibDecoder::new(element);
    let [kind, promised] = tag(path, &mut unpacked)?;
    if kind != MATRIX {
        return Err(Error::data(
            path,
            format!("compressed element of type {kind} found, a matrix (14) expected"),
        ));
    }
    let promised = u64::from(promised);
    let most = promised.min(size.saturating_mul(DEFLATE_RATIO));
    let mut content = unpacked.by_ref().take(promised);
    let found = variable(path, &mut content, (size, most))?;
    if found.is_some() {
        bounded::end(path, &mut content, "a variable")?;
        // The element's checksum is compared at its end only.
        bounded::end(path, &mut unpacked, "a compressed element")?;
    }
    Ok(found)
}

/// Returns the variable in a matrix element, if it is X or y; `limits` is (stored bytes, largest possible bytes) of the
/// element.
fn variable(
    path: &Path,
    source: &mut impl Read,
    limits: (u64, u64),
) -> Result<Option<(&'static str, Variable)>> {
    let short = (LONGEST_DESCRIPTION, LONGEST_DESCRIPTION);
    let (_, flags) = field(path, source, short, "array flags")?;
    let (_, sizes) = field(path, source, short, "array sizes")?;
    let (_, name) = field(path, source, short, "a variable's name")?;
    let name = match name.as_slice() {
        b"X" => "X",
        b"y" => "y",
        _ => return Ok(None),
    };
    let sizes = sizes
        .chunks_exact(4)
        .map(|s| i32::from_le_bytes([s[0], s[1], s[2], s[3]]))
        .map(usize::try_from)
        .collect::<std::result::Result<Vec<usize>, _>>()
        .map_err(|_| Error::data(path, format!("{name} has a negative size")))?;
    let (kind, values) = field(path, source, limits, name)?;
    let class = flags.first().copied().unwrap_or(0);
    let found = Variable {
        class,
        sizes,
        kind,
        values,
    };
    Ok(Some((name, found)))
}

/// Returns an element within a matrix: its type and data; skips the padding to 8 bytes.
fn field(
    path: &Path,
    source: &mut impl Read,
    limits: (u64, u64),
    what: &str,
) -> Result<(u32, Vec<u8>)> {
    let [kind, size] = tag(path, source)?;
    // A small element holds its size in the upper half of the type, and up to four bytes of data in place of the size.
    if kind >> 16 != 0 {
        let (kind, length) = (kind & 0xffff, (kind >> 16) as usize);
        let data = size.to_le_bytes();
        return match data.get(..length) {
            Some(data) => Ok((kind, data.to_vec())),
            None => Err(Error::data(
                path,
                format!("{what}: a small element of {length} bytes, at most 4 expected"),
            )),
        };
    }
    let data = bounded::exactly(path, source, u64::from(size), limits, what)?;
    let padding = u64::from(size).next_multiple_of(8) - u64::from(size);
    std::io::copy(&mut source.take(padding), &mut std::io::sink())
        .map_err(|e| Error::data(path, format!("unreadable {what}: {e}")))?;
    Ok((kind, data))
}

/// Joins images and labels to samples.
fn join(path: &Path, images: Option<Variable>, labels: Option<Variable>) -> Result<Samples> {
    let lacks = |name| Error::data(path, format!("lacks the variable {name}"));
    let labels = digits(path, &labels.ok_or_else(|| lacks("y"))?)?;
    let images = images.ok_or_else(|| lacks("X"))?;
    let n = labels.len();
    let expected = [SIDE, SIDE, CHANNELS, n];
    // MATLAB drops a last size of 1.
    let single = n == 1 && images.sizes == expected[..3];
    let (class, kind) = (images.class, images.kind);
    bounded::ensure((class, kind) == (CLASS_UINT8, BYTES), path, || {
        format!("X of class {class} stored as type {kind} found, bytes (9, 2) expected")
    })?;
    bounded::ensure(images.sizes == expected || single, path, || {
        let found = &images.sizes;
        format!("X of sizes {found:?} found, {expected:?} expected for {n} labels")
    })?;
    let (found, promised) = (images.values.len(), n * PIXELS);
    bounded::ensure(found == promised, path, || {
        format!("X holds {found} bytes, its sizes promise {promised}")
    })?;
    let mut pixels = images.values;
    pixels
        .chunks_exact_mut(PIXELS / CHANNELS)
        .for_each(transpose);
    let inputs = Array2::from_shape_vec((n, PIXELS), pixels)
        .map_err(|e| Error::data(path, e.to_string()))?;
    Ok(Samples {
        inputs: Inputs::Bytes(inputs), // N x 3072
        targets: Targets::Classes {
            labels,
            classes: CLASSES,
        },
    })
}

/// Transposes one channel from MATLAB's column-major order to row-major, in place.
fn transpose(plane: &mut [u8]) {
    for row in 0..SIDE {
        for column in 0..row {
            plane.swap(row * SIDE + column, column * SIDE + row);
        }
    }
}

/// Returns the labels y, N x 1 of 1..=10 in whatever type they are stored, as digits 0..=9.
fn digits(path: &Path, y: &Variable) -> Result<Vec<u8>> {
    let n = match *y.sizes {
        [n, 1] | [1, n] => n,
        _ => 0,
    };
    bounded::ensure(n > 0, path, || {
        format!("y of sizes {:?} found, [N, 1] expected", y.sizes)
    })?;
    let width = if y.kind == DOUBLES { 8 } else { 1 };
    let known = [SIGNED_BYTES, BYTES, DOUBLES].contains(&y.kind)
        && [CLASS_UINT8, CLASS_DOUBLE].contains(&y.class);
    let (class, kind, found) = (y.class, y.kind, y.values.len());
    bounded::ensure(
        known && found % width == 0 && found / width == n,
        path,
        || {
            format!(
                "y of class {class} stored as {found} bytes of type {kind} found, {n} bytes (1, 2) or doubles (9) expected"
            )
        },
    )?;
    y.values
        .chunks_exact(width)
        .enumerate()
        .map(|(i, stored)| {
            digit(stored).map_err(|label| {
                Error::data(
                    path,
                    format!("label {label} of sample {i} is not in 1..=10"),
                )
            })
        })
        .collect()
}

/// Returns the digit of a label stored as a byte or a double: 10 means 0. The error holds the invalid label.
fn digit(stored: &[u8]) -> std::result::Result<u8, f64> {
    let label = match *stored {
        [byte] => f64::from(byte),
        _ => f64::from_le_bytes(stored.try_into().unwrap_or_default()),
    };
    let known = (1..=10_u8).find(|&known| f64::from(known) == label);
    known.map(|known| known % 10).ok_or(label)
}
