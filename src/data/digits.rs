//! The 8x8 handwritten digits embedded in the program: 1797 images of 64 pixels in 0..=16, ten classes.
//!
//! The UCI optical digits test set (Alpaydin & Kaynak 1998), by way of scikit-learn; `digits/README.md` names source
//! and licence.

use std::path::Path;

use super::{Dataset, idx};
use crate::error::Result;
use crate::kernels::rng::{Key, Purpose};

/// The height and width of an image.
pub const SIDE: usize = 8;
/// The largest pixel value.
pub const LARGEST: f64 = 16.0;
/// The number of classes.
pub const CLASSES: usize = 10;
/// The number of training samples, four fifths of 1797; the other 360 are test samples.
pub const TRAIN: usize = 1437;

const IMAGES: &[u8] = include_bytes!("digits/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("digits/digits-labels-idx1-ubyte.gz");

/// Loads the digits, split by a fixed shuffle into 1437 training and 360 test samples.
///
/// The shuffle has its own key, with seed 0, so the split is the same for any seed of a run and results can be
/// compared.
///
/// # Errors
/// None in a sound build: the embedded files are checked like any others.
pub fn load() -> Result<Dataset> {
    let (images, labels) = (Path::new("embedded images"), Path::new("embedded labels"));
    let (samples, _) = idx::join(
        images,
        idx::decode(images, IMAGES, IMAGES.len() as u64)?,
        labels,
        idx::decode(labels, LABELS, LABELS.len() as u64)?,
        CLASSES,
    )?;
    let split = Key {
        seed: 0,
        purpose: Purpose::Split,
        step: 0,
        member: 0,
        block: 0,
    };
    let order = split.permutation(samples.len());
    let (train, test) = order.split_at(TRAIN);
    Ok(Dataset {
        train: samples.select(train),
        test: samples.select(test),
    })
}
