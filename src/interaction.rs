//! The interaction D of all members, put together by all ranks from the outputs each has of its own members.
//!
//! ```text
//! explicit: outputs J/R x K -> gathered J x K -> J/R rows of V W^T -> gathered, D on every rank
//!           or, where K > J, sample slabs J x K/R -> partial V W^T, summed exactly -> D on every rank
//! factored: outputs J/R x K -> gathered J x K -> V, W on every rank; ||D||_F from tiles that the ranks share out
//! mean:     as factored, then c = W vbar / J
//! ```
//!
//! With the Kalman gain (`implicit`) D is multiplied by it once it is there.
//!
//! D has the same bits for any number of ranks and threads: a row is the same whoever makes it, and partial products are
//! formed per fixed block of samples and rounded to a common quantum before they are summed (`exact`).

mod explicit;
mod implicit;

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, s};
use rayon::ThreadPool;

use crate::comm::Comm;
use crate::eki::{self, Form, Localised, Survivors};
use crate::ensemble::Draw;
use crate::error::Result;
use crate::layout::for_each;
use crate::loss::Loss;
use crate::panel::{Packed, ROWS, pack_part};
use crate::partition::Partition;
use crate::real::Real;
use crate::spare::Spare;
pub(crate) use explicit::rows_of_d;

/// D of one step, in the run's form, the same on every rank.
#[derive(Debug)]
pub enum Interaction<T> {
    /// The matrix itself, J x J.
    Explicit(Packed<T>),
    /// Its factors: D = gradients anomalies / J.
    Factored {
        /// V, J x K.
        gradients: Packed<T>,
        /// W^T, K x J.
        anomalies: Packed<T>,
        /// How covariances of parameters with outputs are corrected, if at all.
        localised: Option<Localised>,
    },
    /// The coefficients c of the mean's move, J numbers.
    Mean(Vec<f64>),
    /// The same sample by sample, of this rank's members alone: J/R x m, row k sums to c_k.
    Samples(Array2<T>),
}

impl<T: Real> Interaction<T> {
    /// Leaves its room to `spare`, where it is from there.
    pub fn give_back(self, spare: &Spare<T>) {
        match self {
            Self::Explicit(d) => d.give_back(spare),
            Self::Factored {
                gradients,
                anomalies,
                ..
            } => {
                gradients.give_back(spare);
                anomalies.give_back(spare);
            }
            Self::Mean(_) | Self::Samples(_) => (),
        }
    }
}

/// What all ranks bring to one interaction.
pub struct Outputs<'a, T> {
    /// Selected outputs of this rank's members, J/R x K.
    pub selected: &'a Array2<T>,
    /// Targets of the K numbers.
    pub targets: &'a [T],
    /// The loss whose gradients enter D.
    pub loss: &'a Loss,
    /// The members that count.
    pub survivors: &'a Survivors,
    /// Members over ranks.
    pub members: Partition,
    /// In the mean form, the samples m, where the coefficients are wanted sample by sample.
    pub samples: Option<usize>,
    /// With the Kalman gain, its h.
    pub gain: Option<f64>,
    /// With the Kalman gain, what draws each member's noise on the observations, where they are perturbed.
    pub noise: Option<Draw>,
    /// The power of correlations by which covariances with parameters are corrected; 0: none.
    pub localise: usize,
    /// Whether the update is to be by products of bfloat16.
    pub mixed: bool,
    /// Room of earlier steps.
    pub spare: &'a Spare<T>,
}

/// Rows of V, W, J x K, and Gbar, K numbers.
struct Factors<T> {
    gradients: Array2<T>,
    anomalies: Array2<T>,
    means: Vec<T>,
}

/// Rows of D computed as one task; part of the format, since the kernel's rounding may depend on the shape.
pub const PANEL: usize = 10 * ROWS;

/// Whether ranks share out the rows of an explicit D, having gathered all outputs, rather than its samples. By rows a rank
/// sends about 4 J (J + K) bytes and all have work, whatever K is; by samples 8 J^2, as a sum that passes twice, ranks
/// beyond the K / 512 blocks have none, but no rank holds more than its samples.
#[must_use]
pub fn by_rows(members: usize, outputs: usize) -> bool {
    outputs <= members
}

impl<T: Real> Outputs<'_, T> {
    /// D in the form asked for, and its Frobenius norm (before the gain); the same bits on all ranks.
    ///
    /// # Errors
    /// On all ranks alike: outputs too large for the Kalman gain.
    pub fn interaction(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        form: Form,
    ) -> Result<(Interaction<T>, f64)> {
        Ok(match form {
            Form::Explicit => {
                let (members, outputs) = (self.members.items(), self.targets.len());
                let (d, norm) = match self.gain {
                    Some(h) => self.explicit_with_gain(comm, pool, h)?,
                    None if by_rows(members, outputs) => self.explicit_by_rows(comm, pool),
                    None => self.explicit_by_samples(comm, pool),
                };
                (Interaction::Explicit(self.paired_if_mixed(pool, d)), norm)
            }
            Form::Factored => {
                let Factors {
                    mut gradients,
                    anomalies,
                    means,
                } = self.factors(comm, pool, 0..self.members.items());
                let norm = self.factored_norm(comm, pool, &gradients, &anomalies);
                if let Some(h) = self.gain {
                    self.gain_on_gradients(comm, pool, h, &mut gradients, (&anomalies, &means))?;
                }
                let pack = |matrix: ArrayView2<T>| {
                    self.paired_if_mixed(pool, pack(pool, matrix, self.spare))
                };
                let localised =
                    (self.localise > 0).then(|| Localised::new(anomalies.view(), self.localise));
                let factors = (pack(gradients.view()), pack(anomalies.t()));
                self.spare.keep_array(gradients);
                self.spare.keep_array(anomalies);
                let (gradients, anomalies) = factors;
                (
                    Interaction::Factored {
                        gradients,
                        anomalies,
                        localised,
                    },
                    norm,
                )
            }
            Form::Mean => {
                let Factors {
                    gradients,
                    anomalies,
                    means,
                } = self.factors(comm, pool, 0..self.members.items());
                let norm = self.factored_norm(comm, pool, &gradients, &anomalies);
                let mean_gradient = match self.gain {
                    None => eki::column_means(gradients.view(), self.survivors),
                    Some(h) => self.mean_gradient_with_gain(comm, pool, h, (&anomalies, &means))?,
                };
                let interaction = self.of_mean(comm, &mean_gradient, anomalies.view());
                self.spare.keep_array(gradients);
                self.spare.keep_array(anomalies);
                (interaction, norm)
            }
        })
    }

    /// A factor as the update's products take it.
    fn paired_if_mixed(&self, pool: &ThreadPool, factor: Packed<T>) -> Packed<T> {
        if !self.mixed {
            return factor;
        }
        let mut paired = factor.unfilled_pairs(self.spare);
        for_each(
            pool,
            paired.parts_mut().enumerate(),
            |_, (part, numbers)| {
                factor.pair_part(part, numbers);
            },
        );
        factor.give_back(self.spare);
        paired
    }

    /// The coefficients of the mean's move, from vbar and W.
    fn of_mean(&self, comm: &Comm, mean_gradient: &[f64], w: ArrayView2<T>) -> Interaction<T> {
        let Some(samples) = self.samples else {
            return Interaction::Mean(eki::mean_coefficients(mean_gradient, w, self.survivors));
        };
        let own = w.slice(s![self.members.range(comm.rank()), ..]);
        let count = self.survivors.count();
        Interaction::Samples(eki::sample_coefficients(own, mean_gradient, count, samples))
    }

    /// Rows `of_v` of V, all of W, and the outputs' means, on every rank.
    fn factors(&self, comm: &Comm, pool: &ThreadPool, of_v: Range<usize>) -> Factors<T> {
        let (members, k) = (self.members.items(), self.targets.len());
        let own = self.members.range(comm.rank());
        let mut anomalies = self.spare.array(members, k);
        anomalies.slice_mut(s![own, ..]).assign(self.selected);
        comm.all_gather_rows(
            self.members,
            k,
            anomalies.as_slice_mut().expect("row-major"),
        );
        let mut gradients = self.spare.array(of_v.len(), k);
        // Means run down all members, so the work is cut by rows only after they are known.
        let means: Vec<T> = eki::column_means(anomalies.view(), self.survivors)
            .into_iter()
            .map(T::of)
            .collect();
        let about = self.gain.map(|_| self.expanded(&means, 0));
        let mut rows_of_v = gradients.rows_mut().into_iter();
        let rows = anomalies.rows_mut().into_iter().enumerate();
        let rows = rows.map(|(j, w)| {
            let v = of_v.contains(&j).then(|| rows_of_v.next().expect("a row"));
            (j, w, v)
        });
        for_each(pool, rows, |_, (j, mut w, mut v)| {
            if !self.survivors.contains(j) {
                w.fill(T::zero());
                if let Some(v) = &mut v {
                    v.fill(T::zero());
                }
                return;
            }
            let w = w.as_slice_mut().expect("row-major");
            let mut v = v.as_mut().map(|v| v.as_slice_mut().expect("row-major"));
            if let (None, Some(v)) = (&about, &mut v) {
                self.loss.gradient(w, self.targets, 0, v);
            }
            w.iter_mut().zip(&means).for_each(|(w, &mean)| *w -= mean);
            if let (Some(about), Some(v)) = (&about, &mut v) {
                about.gradients(w, self.noise(j, 0..k).as_deref(), v);
            }
        });
        Factors {
            gradients,
            anomalies,
            means,
        }
    }

    /// ||V W^T||_F / J from tiles that ranks and threads share out.
    fn factored_norm(&self, comm: &Comm, pool: &ThreadPool, v: &Array2<T>, w: &Array2<T>) -> f64 {
        let tiles = eki::norm_tiles(v.nrows(), v.ncols());
        let own = Partition::new(tiles.len(), comm.size()).range(comm.rank());
        let mut parts = vec![0.0; tiles.len()];
        let scratch: Vec<Mutex<Vec<T>>> = (0..pool.current_num_threads())
            .map(|_| Mutex::new(self.spare.take(0)))
            .collect();
        for_each(
            pool,
            parts[own.clone()].iter_mut().zip(&tiles[own]),
            |thread, (part, &tile)| {
                *part = eki::norm_tile(
                    v.view(),
                    w.view(),
                    tile,
                    &mut scratch[thread].lock().expect("one thread each"),
                );
            },
        );
        for room in scratch {
            self.spare
                .keep(room.into_inner().expect("no thread panicked"));
        }
        // Every part is zero but on the rank that computed it: the sum is exact.
        comm.sum_exact(&mut parts);
        parts.iter().sum::<f64>().max(0.0).sqrt() / self.survivors.count() as f64
    }
}

/// `matrix` as the left operand of the update's products, put together by all threads.
fn pack<T: Real>(pool: &ThreadPool, matrix: ArrayView2<T>, spare: &Spare<T>) -> Packed<T> {
    let rows = matrix.nrows();
    let mut packed = Packed::unfilled(rows, matrix.ncols(), spare);
    for_each(
        pool,
        packed.parts_mut().enumerate(),
        |_, (part, numbers)| {
            let own = part * ROWS..rows.min((part + 1) * ROWS);
            pack_part(matrix.slice(s![own, ..]), numbers);
        },
    );
    packed
}
