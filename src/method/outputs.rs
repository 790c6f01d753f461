//! The interaction D of all members, put together by all ranks from the outputs each has of its own members.
//!
//! ```text
//! explicit: outputs J/R x K -> gathered J x K -> J/R rows of V W^T -> gathered, D on every rank
//!           or, where K > J, sample slabs J x K/R -> partial V W^T, summed exactly -> D on every rank
//! factored: outputs J/R x K -> gathered J x K -> V, W on every rank; ||D||_F from tiles that the ranks share out
//! mean:     as factored, then c = W vbar / J
//! ```
//!
//! With the Kalman gain (`method::kalman`) D is multiplied by it once it is there.
//!
//! D has the same bits for any number of ranks and threads: a row is the same whoever makes it, and partial products are
//! formed per fixed block of samples and rounded to a common quantum before they are summed (`kernels::exact_sum`).

use crate::ensemble::centre;
use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};
use rayon::ThreadPool;

use crate::ensemble::draw::Draw;
use crate::ensemble::localisation::Localisation;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::ensemble::survivors::Survivors;
use crate::kernels::buffers::BufferPool;
use crate::kernels::panel::{Packed, ROWS, pack_part};
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::loss::Loss;
use crate::method::step_size::SamplerStep;
use crate::parallel::comm::Comm;
use crate::parallel::partition::Partition;

/// The outputs of one step, as all ranks bring them to the method.
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
    /// The samples m, where the mean's coefficients are wanted sample by sample; else None.
    pub samples: Option<usize>,
    /// The h of the Kalman gain; None without.
    pub gain: Option<f64>,
    /// The draws of each member's noise on the observations, where they are perturbed.
    pub noise: Option<Draw>,
    /// True if the perturbations are second-order exact (`method::perturbations`).
    pub second_order: bool,
    /// C, J x J, by which members follow from the first ones, where the method keeps it (`gnki`).
    pub coefficients: Option<&'a Array2<T>>,
    /// The step of a sampler; None with other methods.
    pub sampler: Option<SamplerStep>,
    /// The sigma points that members are (`uki`); None with other methods.
    pub points: Option<SigmaPoints>,
    /// The localisation, if any.
    pub localisation: Option<Localisation>,
    /// True if the update's products are rounded to bfloat16.
    pub mixed: bool,
    /// Buffers of earlier steps, to be used again.
    pub buffers: &'a BufferPool<T>,
}

/// Rows of V, W, J x K, and Gbar, K numbers.
pub(crate) struct Factors<T> {
    pub(crate) gradients: Array2<T>,
    pub(crate) anomalies: Array2<T>,
    pub(crate) means: Vec<T>,
}

/// Rows of D computed as one task; part of the format, since the kernel's rounding may depend on the shape.
pub const ROWS_PER_TASK: usize = 10 * ROWS;

/// Returns true if ranks share out the rows of an explicit D, having gathered all outputs, rather than its samples. By rows a rank
/// sends about 4 J (J + K) bytes and all have work, whatever K is; by samples 8 J^2, as a sum that passes twice, ranks
/// beyond the K / 512 blocks have none, but no rank holds more than its samples.
#[must_use]
pub fn by_rows(members: usize, outputs: usize) -> bool {
    outputs <= members
}

impl<T: Real> Outputs<'_, T> {
    /// Returns a factor as the update's products take it.
    pub(crate) fn paired_if_mixed(&self, pool: &ThreadPool, factor: Packed<T>) -> Packed<T> {
        if !self.mixed {
            return factor;
        }
        let mut paired = factor.unfilled_pairs(self.buffers);
        for_each(
            pool,
            paired.parts_mut().enumerate(),
            |_, (part, numbers)| {
                factor.pair_part(part, numbers);
            },
        );
        factor.recycle(self.buffers);
        paired
    }

    /// Rows `of_v` of V, all of W, and the outputs' means, on every rank.
    pub(crate) fn factors(&self, comm: &Comm, pool: &ThreadPool, of_v: Range<usize>) -> Factors<T> {
        let (members, k) = (self.members.items(), self.targets.len());
        let own = self.members.range(comm.rank());
        let mut anomalies = self.buffers.array(members, k);
        anomalies.slice_mut(s![own, ..]).assign(self.selected);
        comm.all_gather_rows(
            self.members,
            k,
            anomalies.as_slice_mut().expect("row-major"),
        );
        let mut gradients = self.buffers.array(of_v.len(), k);
        // Means run down all members, so the work is cut by rows only after they are known.
        let means = centre::rounded_means(anomalies.view(), self.survivors);
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
                let noise = self.noise(j, 0..k).filter(|_| !self.second_order);
                about.gradients(w, noise.as_deref(), v);
            }
        });
        Factors {
            gradients,
            anomalies,
            means,
        }
    }
}

/// Returns the `columns` of `matrix`, row-major.
pub(crate) fn picked<T: Real>(matrix: &Array2<T>, columns: &[usize]) -> Array2<T> {
    Array2::from_shape_fn((matrix.nrows(), columns.len()), |(j, i)| {
        matrix[[j, columns[i]]]
    })
}

/// `matrix` as the left operand of the update's products, put together by all threads.
pub(crate) fn pack<T: Real>(
    pool: &ThreadPool,
    matrix: ArrayView2<T>,
    buffers: &BufferPool<T>,
) -> Packed<T> {
    let rows = matrix.nrows();
    let mut packed = Packed::unfilled(rows, matrix.ncols(), buffers);
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
