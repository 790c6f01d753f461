//! Data sets in memory: training and test samples, their scaling, and the batches drawn from them.
//!
//! Imports `error`, `files`, `kernels`, `parallel` and of `config` the names of the user's own data. To add a data set: an entry in `published.rs` (files, sizes,
//! digests, mirrors, licence); a new file format also needs a variant of `source::Format`, a file that decodes it
//! within the limits of `files::bounded`, and an arm in `catalogue.rs`.

pub mod augment;
pub mod baseline;
pub mod batch;
pub mod catalogue;
pub mod checksum;
pub mod digits;
pub mod distances;
mod download;
pub mod fetch;
pub mod folder;
pub mod form;
pub mod groups;
pub mod idx;
pub mod noise;
pub mod observed;
mod part;
pub mod published;
pub mod recall;
pub mod scores;
pub mod series;
pub mod shape;
pub(crate) mod shared;
pub mod source;
pub mod svhn;
pub mod taper_blocks;
pub mod tapers;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::shape::DataShape;
use crate::kernels::buffers::LINE;
use crate::kernels::real::Real;

/// A data set: samples to fit and samples to test on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// The samples that are fitted.
    pub train: Samples,
    /// The test samples, on which accuracy or error is measured; never fitted.
    pub test: Samples,
}

impl Dataset {
    /// Returns a data set of one sample without inputs, whose targets are the K `observations`, for training and test.
    #[must_use]
    pub fn of_observations(observations: Array1<f64>) -> Self {
        let one = Samples {
            inputs: Inputs::Reals(Array2::zeros((1, 0))),
            targets: Targets::Values(observations.insert_axis(Axis(0))),
        };
        Self {
            train: one.clone(),
            test: one,
        }
    }

    /// Returns the observations of a problem with one sample, K numbers; an empty slice for any other problem.
    #[must_use]
    pub fn observations(&self) -> &[f64] {
        match &self.train.targets {
            Targets::Values(values) if values.nrows() == 1 => values.as_slice().expect("row-major"),
            _ => &[],
        }
    }

    /// Returns the sizes on which the plan of a run depends.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        DataShape {
            train: self.train.len(),
            test: self.test.len(),
            features: self.train.features(),
            outputs: self.train.outputs(),
            classes: matches!(self.train.targets, Targets::Classes { .. }),
            image: None,
        }
    }

    /// Returns the SHA-256 of all training and test samples, including sizes and kinds.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for samples in [&self.train, &self.test] {
            samples.add_to(&mut hash);
        }
        hash.finalize().into()
    }
}

/// n samples: inputs n x d, and a target for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The inputs of the forward map.
    pub inputs: Inputs,
    /// The targets of its outputs.
    pub targets: Targets,
}

/// The inputs of n samples of d features. Images stay bytes, to save memory on every rank, until a batch needs them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inputs {
    /// Pixels, n x d, row-major.
    Bytes(Array2<u8>),
    /// Real inputs, n x d.
    Reals(Array2<f64>),
}

/// The targets of n samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Targets {
    /// A class in `0..classes` for each sample.
    Classes {
        /// The classes, n.
        labels: Vec<u8>,
        /// The number of classes.
        classes: usize,
    },
    /// Real targets, n x c.
    Values(Array2<f64>),
}

impl Samples {
    /// Returns the number n of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Values(values) => values.nrows(),
        }
    }

    /// Returns true if there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the input dimension d.
    #[must_use]
    pub fn features(&self) -> usize {
        match &self.inputs {
            Inputs::Bytes(bytes) => bytes.ncols(),
            Inputs::Reals(reals) => reals.ncols(),
        }
    }

    /// Returns the number c of outputs that a forward map must give for one sample: classes, or target values.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match &self.targets {
            Targets::Classes { classes, .. } => *classes,
            Targets::Values(values) => values.ncols(),
        }
    }

    /// Adds the samples, with sizes and kinds, to `hash`.
    fn add_to(&self, hash: &mut Sha256) {
        let reals = |hash: &mut Sha256, numbers: &Array2<f64>| {
            numbers.iter().for_each(|x| hash.update(x.to_le_bytes()));
        };
        for size in [self.len(), self.features(), self.outputs()] {
            hash.update((size as u64).to_le_bytes());
        }
        match &self.inputs {
            Inputs::Bytes(bytes) => {
                hash.update(b"bytes");
                hash.update(bytes.as_standard_layout().as_slice().expect("row-major"));
            }
            Inputs::Reals(numbers) => {
                hash.update(b"reals");
                reals(hash, numbers);
            }
        }
        match &self.targets {
            Targets::Classes { labels, .. } => {
                hash.update(b"classes");
                hash.update(labels);
            }
            Targets::Values(numbers) => {
                hash.update(b"values");
                reals(hash, numbers);
            }
        }
    }

    /// Returns the samples `rows`, in that order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let axis = ndarray::Axis(0);
        Self {
            inputs: match &self.inputs {
                Inputs::Bytes(bytes) => Inputs::Bytes(bytes.select(axis, rows)),
                Inputs::Reals(reals) => Inputs::Reals(reals.select(axis, rows)),
            },
            targets: match &self.targets {
                Targets::Classes { labels, classes } => Targets::Classes {
                    labels: rows.iter().map(|&i| labels[i]).collect(),
                    classes: *classes,
                },
                Targets::Values(values) => Targets::Values(values.select(axis, rows)),
            },
        }
    }
}

/// An affine map x -> (x - shift) / scale: of every input, or of one number of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The number subtracted first.
    pub shift: f64,
    /// The divisor.
    pub scale: f64,
}

impl Scaling {
    /// Returns the scaling to mean 0 and standard deviation 1 over all features of `samples` together. A constant input
    /// keeps scale 1.
    #[must_use]
    pub fn standard(samples: &Samples) -> Self {
        let (count, sum, square) = match &samples.inputs {
            Inputs::Bytes(x) => moments(x.iter().map(|&v| f64::from(v))),
            Inputs::Reals(x) => moments(x.iter().copied()),
        };
        let shift = sum / count;
        let deviation = (square / count - shift * shift).max(0.0).sqrt();
        Self {
            shift,
            scale: if deviation > 0.0 { deviation } else { 1.0 },
        }
    }

    /// Leaves every number as it is.
    pub const NONE: Self = Self {
        shift: 0.0,
        scale: 1.0,
    };

    /// Returns the scaling of `values` to mean 0 and standard deviation 1. Constant values keep scale 1.
    #[must_use]
    pub fn to_standard(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let shift = values.clone().sum::<f64>() / count;
        let square = values.map(|x| (x - shift).powi(2)).sum::<f64>() / count;
        Self::to(shift, square.sqrt())
    }

    /// Returns the scaling of `values` to the range from 0 to 1. Constant values keep scale 1.
    #[must_use]
    pub fn to_range(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        Self::to(if low.is_finite() { low } else { 0.0 }, high - low)
    }

    /// Returns the scaling by `shift` and, where that is above 0, by `scale`.
    fn to(shift: f64, scale: f64) -> Self {
        let scale = if scale > 0.0 { scale } else { 1.0 };
        Self { shift, scale }
    }

    /// Returns `x` scaled.
    #[must_use]
    pub fn apply(self, x: f64) -> f64 {
        (x - self.shift) / self.scale
    }

    /// Returns the number that is scaled to `y`.
    #[must_use]
    pub fn undo(self, y: f64) -> f64 {
        y * self.scale + self.shift
    }

    /// Returns the scaling of pixels of 0..=`largest` to 0..=1.
    #[must_use]
    pub fn unit(largest: f64) -> Self {
        Self {
            shift: 0.0,
            scale: largest,
        }
    }
}

/// Returns the count, the sum and the sum of squares.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    values.fold((0.0, 0.0, 0.0), |(n, s, q), v| (n + 1.0, s + v, q + v * v))
}

/// A batch of m samples, in the form that the forward map and the loss use.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// The scaled inputs, d x m: samples run fastest.
    pub inputs: Array2<T>,
    /// The target of each sample.
    pub targets: BatchTargets<T>,
}

/// The targets of a batch.
#[derive(Clone, Debug)]
pub enum BatchTargets<T> {
    /// The true class of each sample, m.
    Classes(Vec<u8>),
    /// The target values, m x c.
    Values(Array2<T>),
}

impl<T: Real> Batch<T> {
    /// Gathers the samples `rows` of `samples`, scaled, in that order.
    #[must_use]
    pub fn gather(samples: &Samples, rows: &[usize], scaling: Scaling) -> Self {
        let scaled = |v: f64| T::from_f64(scaling.apply(v));
        let inputs = match &samples.inputs {
            Inputs::Bytes(x) => {
                let scaled_bytes: Vec<T> = (0..=u8::MAX).map(|v| scaled(f64::from(v))).collect();
                to_columns(x, rows, |v| scaled_bytes[usize::from(v)])
            }
            Inputs::Reals(x) => to_columns(x, rows, scaled),
        };
        let targets = match &samples.targets {
            Targets::Classes { labels, .. } => {
                BatchTargets::Classes(rows.iter().map(|&row| labels[row]).collect())
            }
            Targets::Values(y) => {
                BatchTargets::Values(y.select(ndarray::Axis(0), rows).mapv(T::from_f64))
            }
        };
        Self { inputs, targets }
    }

    /// Returns the number m of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs.ncols()
    }

    /// Returns true if the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The number of samples that are gathered together: as many numbers of a feature as fit in a cache line.
const GATHERED: usize = LINE;

/// Returns the `rows` of `samples` as columns.
fn to_columns<S: Copy, T: Real>(
    samples: &Array2<S>,
    rows: &[usize],
    map: impl Fn(S) -> T,
) -> Array2<T> {
    let mut columns = Array2::zeros((samples.ncols(), rows.len()));
    let groups = columns.axis_chunks_iter_mut(ndarray::Axis(1), GATHERED);
    for (mut group, rows) in groups.zip(rows.chunks(GATHERED)) {
        let from: Vec<ArrayView1<S>> = rows.iter().map(|&row| samples.row(row)).collect();
        for (feature, mut to) in group.rows_mut().into_iter().enumerate() {
            for (to, from) in to.iter_mut().zip(&from) {
                *to = map(from[feature]);
            }
        }
    }
    columns
}
