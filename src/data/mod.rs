//! Data sets in memory: training and test samples, their scaling, and the batches drawn from them.

pub mod augment;
pub mod baseline;
pub mod batch;
pub mod catalogue;
pub mod checksum;
pub mod digits;
mod download;
pub mod fetch;
pub mod folder;
pub mod idx;
mod part;
pub mod published;
pub mod recall;
pub mod scores;
pub mod series;
pub mod shape;
pub mod svhn;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::shape::DataShape;
use crate::kernels::buffers::LINE;
use crate::kernels::real::Real;

/// A data set: what is fitted and what it is judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// The samples that are fitted.
    pub train: Samples,
    /// The samples that accuracy or error is measured on; never fitted.
    pub test: Samples,
}

impl Dataset {
    /// One sample without inputs, whose outputs are the `observations`, K numbers: fitted and judged on.
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

    /// The observations of a problem of one sample, K numbers; of others, none.
    #[must_use]
    pub fn observations(&self) -> &[f64] {
        match &self.train.targets {
            Targets::Values(values) if values.nrows() == 1 => values.as_slice().expect("row-major"),
            _ => &[],
        }
    }

    /// What the plan must know of it.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        DataShape {
            train: self.train.len(),
            test: self.test.len(),
            features: self.train.features(),
            outputs: self.train.outputs(),
            classes: matches!(self.train.targets, Targets::Classes { .. }),
        }
    }

    /// SHA-256 of all that is fitted and judged on, sizes and kinds too.
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
    /// What the forward map is given.
    pub inputs: Inputs,
    /// What it should give.
    pub targets: Targets,
}

/// Inputs n x d; images stay bytes, a quarter of the memory on every rank, until a batch needs them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Inputs {
    /// Pixels, n x d, row-major.
    Bytes(Array2<u8>),
    /// Real inputs, n x d.
    Reals(Array2<f64>),
}

/// A target for each of n samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Targets {
    /// A class in `0..classes` for each sample.
    Classes {
        /// The classes, n.
        labels: Vec<u8>,
        /// How many classes there are.
        classes: usize,
    },
    /// Real targets, n x c.
    Values(Array2<f64>),
}

impl Samples {
    /// The number of samples n.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Values(values) => values.nrows(),
        }
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The input dimension d.
    #[must_use]
    pub fn features(&self) -> usize {
        match &self.inputs {
            Inputs::Bytes(bytes) => bytes.ncols(),
            Inputs::Reals(reals) => reals.ncols(),
        }
    }

    /// The outputs c a forward map must give for one sample: classes, or target values.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match &self.targets {
            Targets::Classes { classes, .. } => *classes,
            Targets::Values(values) => values.ncols(),
        }
    }

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

    /// The samples `rows`, in that order.
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

/// The affine map x -> (x - shift) / scale that every input goes through, the same for all features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Subtracted first.
    pub shift: f64,
    /// Divided by next.
    pub scale: f64,
}

impl Scaling {
    /// Mean 0 and deviation 1 over all features of `samples` together (a constant input keeps scale 1).
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

    /// Pixels of 0..=`largest` to 0..=1.
    #[must_use]
    pub fn unit(largest: f64) -> Self {
        Self {
            shift: 0.0,
            scale: largest,
        }
    }
}

fn moments(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    values.fold((0.0, 0.0, 0.0), |(n, s, q), v| (n + 1.0, s + v, q + v * v))
}

/// m samples as the forward map and the loss take them.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// Scaled inputs, d x m: samples run fastest, as forward maps take them.
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
    /// The samples `rows` of `samples`, scaled, in that order.
    #[must_use]
    pub fn gather(samples: &Samples, rows: &[usize], scaling: Scaling) -> Self {
        let scaled = |v: f64| T::from_f64((v - scaling.shift) / scaling.scale);
        let inputs = match &samples.inputs {
            Inputs::Bytes(x) => {
                let of_byte: Vec<T> = (0..=u8::MAX).map(|v| scaled(f64::from(v))).collect();
                side_by_side(x, rows, |v| of_byte[usize::from(v)])
            }
            Inputs::Reals(x) => side_by_side(x, rows, scaled),
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

    /// The number of samples m.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inputs.ncols()
    }

    /// Whether the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples of a batch that are worked on together: so many of a feature's numbers lie in a line of memory.
const BESIDE: usize = LINE;

/// The `rows` of `samples` as columns.
fn side_by_side<S: Copy, T: Real>(
    samples: &Array2<S>,
    rows: &[usize],
    map: impl Fn(S) -> T,
) -> Array2<T> {
    let mut columns = Array2::zeros((samples.ncols(), rows.len()));
    let groups = columns.axis_chunks_iter_mut(ndarray::Axis(1), BESIDE);
    for (mut group, rows) in groups.zip(rows.chunks(BESIDE)) {
        let from: Vec<ArrayView1<S>> = rows.iter().map(|&row| samples.row(row)).collect();
        for (feature, mut to) in group.rows_mut().into_iter().enumerate() {
            for (to, from) in to.iter_mut().zip(&from) {
                *to = map(from[feature]);
            }
        }
    }
    columns
}
