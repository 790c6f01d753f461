//! The 8x8 handwritten digits inside the program: 1797 images of 64 pixels in 0..=16, ten classes.
//!
//! The UCI optical digits test set (Alpaydin & Kaynak 1998) by way of scikit-learn; source and licence stand in
//! `digits/README.md`.

use std::path::Path;

use super::{Dataset, idx};
use crate::error::Result;
use crate::kernels::rng::{Key, Purpose};

/// Height and width of an image.
pub const SIDE: usize = 8;
/// The largest pixel value.
pub const LARGEST: f64 = 16.0;
/// The number of classes.
pub const CLASSES: usize = 10;
/// The samples that are fitted, four fifths of 1797; the other 360 are for the test.
pub const TRAIN: usize = 1437;

const IMAGES: &[u8] = include_bytes!("digits/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("digits/digits-labels-idx1-ubyte.gz");

/// The digits, split once for all into 1437 training and 360 test samples by a fixed shuffle.
///
/// The shuffle has a key of its own, seed 0, so the split is the same for every run's seed and results compare.
///
/// # Errors
/// None in a sound build: the embedded files are checked as any others.
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
