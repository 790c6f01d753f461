//! The IDX format of MNIST and related data sets: a magic number, big-endian sizes, then bytes; gzip or not.
//!
//! The magic number is 0, 0, the type of the values (8: unsigned bytes) and the rank. One 32-bit size per dimension
//! follows, then the values with the last dimension fastest (Y. LeCun, "The MNIST database", file formats). A gzip file
//! is recognised by its first bytes, not by its name.
//!
//! Written here because a file is read within bounds and every size in it is distrusted; the format takes some lines.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ndarray::Array2;

use super::{Inputs, Samples, Targets};
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::bounded::DEFLATE_RATIO;

/// The highest rank that is read; the published sets have 1 (labels), 3 (grey images) and 4 (colour images).
const MAX_RANK: u8 = 4;

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The array of bytes in an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// The sizes, one per dimension; none is 0.
    pub shape: Vec<usize>,
    /// The values, the last dimension fastest.
    pub values: Vec<u8>,
}

/// Reads an IDX file of bytes of rank 1 to 4.
///
/// # Errors
/// `Error::Data` when it is missing, damaged, cut off, too long or empty.
pub fn read(path: &Path) -> Result<Idx> {
    let (file, stored) = bounded::open(path)?;
    decode(path, BufReader::new(file), stored)
}

/// Decodes an IDX file from a source of `stored` bytes; `path` only names it in errors.
///
/// # Errors
/// `Error::Data` when it is damaged, cut off, too long or empty.
pub fn decode(path: &Path, mut source: impl Read, stored: u64) -> Result<Idx> {
    let head: [u8; 2] = bounded::array(path, &mut source, "the magic number")?;
    let mut whole = Cursor::new(head).chain(source);
    if head == GZIP {
        let most = stored.saturating_mul(DEFLATE_RATIO);
        unpacked(path, &mut MultiGzDecoder::new(whole), stored, most)
    } else {
        unpacked(path, &mut whole, stored, stored)
    }
}

/// Returns the sizes of the array in an IDX file, of which no more is read than its header.
///
/// # Errors
/// `Error::Data` when it is missing, or its header is damaged or of an empty array.
pub fn shape(path: &Path) -> Result<Vec<usize>> {
    let (file, _) = bounded::open(path)?;
    let mut source = BufReader::new(file);
    let head: [u8; 2] = bounded::array(path, &mut source, "the magic number")?;
    let mut whole = Cursor::new(head).chain(source);
    let shape = match head == GZIP {
        true => header(path, &mut MultiGzDecoder::new(whole))?,
        false => header(path, &mut whole)?,
    };
    Ok(shape.into_iter().map(|size| size as usize).collect())
}

/// Reads the header of the unpacked content; returns the sizes of the array, none of them 0.
fn header(path: &Path, source: &mut impl Read) -> Result<Vec<u32>> {
    let magic: [u8; 4] = bounded::array(path, source, "the magic number")?;
    let [0, 0, kind, rank] = magic else {
        return Err(Error::data(
            path,
            format!(
                "begins with {:#010x}, not with an IDX magic number such as 0x00000803",
                u32::from_be_bytes(magic)
            ),
        ));
    };
    let known = kind == 8 && (1..=MAX_RANK).contains(&rank);
    bounded::ensure(known, path, || {
        format!(
            "IDX values of type {kind:#04x} and rank {rank} found, unsigned bytes (0x08) of rank 1 to {MAX_RANK} expected"
        )
    })?;
    let mut shape = Vec::new();
    for _ in 0..rank {
        let size: [u8; 4] = bounded::array(path, source, "the sizes")?;
        shape.push(u32::from_be_bytes(size));
    }
    bounded::ensure(!shape.contains(&0), path, || {
        format!("is empty: its sizes are {shape:?}")
    })?;
    Ok(shape)
}

/// Decodes the unpacked content; `most` is the largest number of bytes the file can unpack to.
fn unpacked(path: &Path, source: &mut impl Read, stored: u64, most: u64) -> Result<Idx> {
    let shape = header(path, source)?;
    let promised = shape
        .iter()
        .try_fold(1_u64, |n, &size| n.checked_mul(u64::from(size)))
        .unwrap_or(u64::MAX);
    let limit = most.saturating_sub(4 + 4 * shape.len() as u64);
    let values = bounded::exactly(path, source, promised, (stored, limit), "values")?;
    bounded::end(path, source, "the values")?;
    Ok(Idx {
        shape: shape.into_iter().map(|size| size as usize).collect(),
        values,
    })
}

/// Reads images and their labels; returns the samples and the shape of one image, such as [28, 28].
///
/// # Errors
/// `Error::Data` when a file is missing or damaged, when the counts differ, or when a label is not in `0..classes`.
pub fn read_labelled(
    images: &Path,
    labels: &Path,
    classes: usize,
) -> Result<(Samples, Vec<usize>)> {
    // The labels first: they are small, and a missing set is noticed as well by them.
    let label_values = read(labels)?;
    join(images, read(images)?, labels, label_values, classes)
}

/// Joins decoded images and labels; the paths only name them in errors.
///
/// # Errors
/// `Error::Data` when the counts differ, or when a label is not in `0..classes`.
pub fn join(
    images_path: &Path,
    images: Idx,
    labels_path: &Path,
    labels: Idx,
    classes: usize,
) -> Result<(Samples, Vec<usize>)> {
    let (n, shape) = (images.shape[0], images.shape[1..].to_vec());
    bounded::ensure(!shape.is_empty(), images_path, || {
        "is of rank 1, as labels are; images of rank 2 to 4 expected".to_owned()
    })?;
    bounded::ensure(labels.shape.len() == 1, labels_path, || {
        format!("labels of rank 1 expected, sizes {:?} found", labels.shape)
    })?;
    let (found, at) = (labels.shape[0], images_path.display());
    bounded::ensure(found == n, labels_path, || {
        format!("{found} labels found, but {n} images in {at}")
    })?;
    let odd = labels
        .values
        .iter()
        .position(|&label| usize::from(label) >= classes);
    if let Some(at) = odd {
        let label = labels.values[at];
        return Err(Error::data(
            labels_path,
            format!("label {label} of sample {at} is not in 0..{classes}"),
        ));
    }
    let inputs = Array2::from_shape_vec((n, shape.iter().product()), images.values)
        .map_err(|e| Error::data(images_path, e.to_string()))?;
    let samples = Samples {
        inputs: Inputs::Bytes(inputs),
        targets: Targets::Classes {
            labels: labels.values,
            classes,
        },
    };
    Ok((samples, shape))
}
