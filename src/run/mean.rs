//! The mean form: re-randomised at each step, all that survives a step is the mean, so only the mean is kept.
//!
//! ```text
//! u_k = v + sqrt(gamma) C_0^{1/2} xi_k                 drawn where needed, never kept
//! m_{n+1} = v_n - h_n sum_k c_k (u_k - v_n)            c = W vbar / J
//! v_{n+1} = m_{n+1} + momentum (m_{n+1} - m_n)
//! ```
//!
//! The draws' own mean, of order sqrt(gamma/J), is left out: it is noise. State and memory are O(P), not O(J P).
//! This form extends the publication (its EKI(R) re-draws at each epoch's end).

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array2, ArrayView2};

use super::Crew;
use super::drawn::LowRankDraws;
use crate::ensemble::Draw;
use crate::exact::Quantum;
use crate::forward::low_rank::LowRank;
use crate::layout::for_each;
use crate::partition::{Blocks, Partition};
use crate::prior::Prior;
use crate::real::Real;

/// No draw's magnitude reaches this: |xi| < 6.8 in single precision; in double, beyond it with probability 1e-57.
pub(super) const LARGEST_DRAW: f64 = 16.0;

/// An ensemble of which only the mean is kept, the same on all ranks.
pub struct MeanOnly<T> {
    members: usize,
    blocks: Blocks,
    /// m, P numbers.
    pub(super) mean: Vec<T>,
    /// v: what members are drawn about.
    pub(super) centre: Vec<T>,
    /// The prior's deviations, P numbers.
    deviations: Vec<T>,
    /// The present step's draws and sqrt(gamma).
    draw: Draw,
    spread: f64,
    /// Where members are of low rank: their numbers.
    low_rank: Option<LowRankDraws<T>>,
}

/// The members of the step after an update.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// Their draws.
    pub draw: Draw,
    /// sqrt(gamma).
    pub spread: f64,
}

impl<T: Real> MeanOnly<T> {
    /// `members` members drawn as `first` says about `mean`; of low rank where a rank is given.
    pub fn new(
        members: usize,
        mean: Vec<T>,
        prior: &Prior,
        first: Next,
        rank: Option<usize>,
    ) -> Self {
        let mut deviations = vec![T::zero(); mean.len()];
        prior.deviations(0, 1.0, &mut deviations);
        Self {
            members,
            blocks: Blocks::new(mean.len()),
            centre: mean.clone(),
            mean,
            deviations,
            draw: first.draw,
            spread: first.spread,
            low_rank: rank.map(LowRankDraws::new),
        }
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Members over ranks: whole units where their sums are formed by units.
    pub fn partition(&self, crew: Crew) -> Partition {
        let unit = if self.low_rank.is_some() {
            crate::forward::low_rank::UNIT
        } else {
            1
        };
        Partition::in_units(self.members, crew.comm.size(), unit)
    }

    /// From now on there are `members`.
    pub fn expand(&mut self, members: usize) {
        self.members = members;
    }

    /// m, P numbers.
    pub fn mean(&self) -> &[T] {
        &self.mean
    }

    /// Evaluates this rank's members on `inputs`, d x m, where they are of low rank; see `Evaluator::for_members`.
    pub fn evaluate_low_rank<P: Send>(
        &mut self,
        crew: Crew,
        map: &dyn LowRank<T>,
        inputs: ArrayView2<T>,
        places: impl Iterator<Item = P> + Send,
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let own = self.partition(crew).range(crew.comm.rank());
        let draws = self
            .low_rank
            .as_mut()
            .expect("called with low-rank draws alone");
        draws.prepare(crew, map, own, self.draw);
        draws.evaluate(crew, map, (&self.centre, self.spread), inputs, places, take);
    }

    /// Whether members are of low rank.
    pub fn is_low_rank(&self) -> bool {
        self.low_rank.is_some()
    }

    /// Draws `member` to `out`, P numbers.
    pub fn fill(&self, map: Option<&dyn LowRank<T>>, member: usize, out: &mut [T]) {
        if let (Some(draws), Some(map)) = (&self.low_rank, map) {
            draws.member(map, (&self.centre, self.spread), self.draw, member, out);
            return;
        }
        let spread = T::of(self.spread);
        for b in 0..self.blocks.count() {
            let columns = self.blocks.range(b);
            let out = &mut out[columns.clone()];
            T::fill_normal(&self.draw.key(member, b), out);
            pulp::Arch::new().dispatch(Place {
                out,
                centre: &self.centre[columns.clone()],
                deviations: &self.deviations[columns],
                spread,
            });
        }
    }

    /// Moves the mean by h_n = `h` along the `coefficients` c of all members and extrapolates by `momentum`; then come
    /// the members of `next`.
    pub fn update(
        &mut self,
        crew: Crew,
        map: Option<&dyn LowRank<T>>,
        coefficients: &[f64],
        (h, momentum): (f64, f64),
        next: Next,
    ) {
        let own = self.partition(crew).range(crew.comm.rank());
        let mut sums = vec![0.0; self.mean.len()];
        match (&mut self.low_rank, map) {
            (Some(draws), Some(map)) => draws.sum(crew, map, own, coefficients, &mut sums),
            _ => self.sum_full(crew, own, coefficients, &mut sums),
        }
        crew.comm.sum_exact(&mut sums);
        let scale = h * self.spread;
        for (((m, v), &deviation), sum) in self
            .mean
            .iter_mut()
            .zip(&mut self.centre)
            .zip(&self.deviations)
            .zip(&sums)
        {
            let moved = T::of(v.wide() - scale * deviation.wide() * sum);
            *v = T::of(moved.wide() + momentum * (moved.wide() - m.wide()));
            *m = moved;
        }
        (self.draw, self.spread) = (next.draw, next.spread);
    }

    /// Moves m against a `gradient`, P numbers, by `rate`, and lets it roll on: v keeps m + momentum (m - m_before).
    #[cfg(feature = "gradients")]
    pub fn descend(&mut self, gradient: &[f64], rate: f64, momentum: f64) {
        for ((m, v), g) in self.mean.iter_mut().zip(&mut self.centre).zip(gradient) {
            let moved = T::of(v.wide() - rate * g);
            *v = T::of(moved.wide() + momentum * (moved.wide() - m.wide()));
            *m = moved;
        }
    }

    /// sum_k c_k xi_k over this rank's members, each term rounded so that sums over ranks are exact.
    fn sum_full(&self, crew: Crew, own: Range<usize>, coefficients: &[f64], sums: &mut [f64]) {
        let largest = coefficients.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        let quantum = Quantum::new(largest * LARGEST_DRAW, coefficients.len());
        let rooms: Vec<Mutex<Vec<T>>> = (0..crew.pool.current_num_threads())
            .map(|_| Mutex::default())
            .collect();
        let draw = self.draw;
        for_each(
            crew.pool,
            sums.chunks_mut(self.blocks.range(0).len()).enumerate(),
            |thread, (b, sums)| {
                let mut xi = rooms[thread].lock().expect("one thread each");
                xi.resize(sums.len(), T::zero());
                for member in own.clone() {
                    T::fill_normal(&draw.key(member, b), &mut xi);
                    pulp::Arch::new().dispatch(AddRounded {
                        sums: &mut *sums,
                        xi: &xi,
                        coefficient: coefficients[member],
                        quantum,
                    });
                }
            },
        );
    }

    /// The mean square deviation of the members from the mean: gamma times the prior's mean variance.
    pub fn mean_variance(&self) -> f64 {
        let sum: f64 = self.deviations.iter().map(|d| d.wide() * d.wide()).sum();
        self.spread * self.spread * sum / self.deviations.len() as f64
    }

    /// m as a matrix, 1 x P.
    pub fn as_row(&self) -> Array2<T> {
        Array2::from_shape_vec((1, self.mean.len()), self.mean.clone()).expect("one row")
    }
}

/// x <- centre + spread deviation x, in whatever vectors the processor has.
struct Place<'a, T> {
    out: &'a mut [T],
    centre: &'a [T],
    deviations: &'a [T],
    spread: T,
}

impl<T: Real> pulp::WithSimd for Place<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let about = self.centre.iter().zip(self.deviations);
        for (x, (&centre, &deviation)) in self.out.iter_mut().zip(about) {
            *x = centre + self.spread * deviation * *x;
        }
    }
}

/// Adds c xi, rounded, to the sums, in whatever vectors the processor has.
struct AddRounded<'a, T> {
    sums: &'a mut [f64],
    xi: &'a [T],
    coefficient: f64,
    quantum: Quantum,
}

impl<T: Real> pulp::WithSimd for AddRounded<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (sum, xi) in self.sums.iter_mut().zip(self.xi) {
            *sum += self.quantum.round(self.coefficient * xi.wide());
        }
    }
}
