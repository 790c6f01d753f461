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

use ndarray::Array2;

use super::Crew;
use crate::ensemble::Draw;
use crate::exact::Quantum;
use crate::layout::for_each;
use crate::partition::Blocks;
use crate::prior::Prior;
use crate::real::Real;

/// No draw's magnitude reaches this: |xi| < 6.8 in single precision; in double, beyond it with probability 1e-57.
const LARGEST_DRAW: f64 = 16.0;

/// An ensemble of which only the mean is kept, the same on all ranks.
pub struct MeanOnly<T> {
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
}

impl<T: Real> MeanOnly<T> {
    /// Members drawn by `draw` with `spread` times the prior's deviations about `mean`.
    pub fn new(mean: Vec<T>, prior: &Prior, draw: Draw, spread: f64) -> Self {
        let mut deviations = vec![T::zero(); mean.len()];
        prior.deviations(0, 1.0, &mut deviations);
        Self {
            blocks: Blocks::new(mean.len()),
            centre: mean.clone(),
            mean,
            deviations,
            draw,
            spread,
        }
    }

    /// m, P numbers.
    pub fn mean(&self) -> &[T] {
        &self.mean
    }

    /// Draws `member` to `out`, P numbers.
    pub fn fill(&self, member: usize, out: &mut [T]) {
        let spread = T::of(self.spread);
        for b in 0..self.blocks.count() {
            let columns = self.blocks.range(b);
            let out = &mut out[columns.clone()];
            T::fill_normal(&self.draw.key(member, b), out);
            for ((x, &c), &d) in out
                .iter_mut()
                .zip(&self.centre[columns.clone()])
                .zip(&self.deviations[columns])
            {
                *x = c + spread * d * *x;
            }
        }
    }

    /// Moves the mean by h_n = `h` along the `coefficients` c of all members, of which this rank sums its `own`, and
    /// extrapolates by `momentum`; the next members are those of `next`.
    pub fn update(
        &mut self,
        crew: Crew,
        own: Range<usize>,
        coefficients: &[f64],
        h: f64,
        momentum: f64,
        next: (Draw, f64),
    ) {
        let largest = coefficients.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        let quantum = Quantum::new(largest * LARGEST_DRAW, coefficients.len());
        let mut sums = vec![0.0; self.mean.len()];
        let rooms: Vec<Mutex<Vec<T>>> = (0..crew.pool.current_num_threads())
            .map(|_| Mutex::default())
            .collect();
        let (blocks, draw) = (self.blocks, self.draw);
        for_each(
            crew.pool,
            sums.chunks_mut(blocks.range(0).len()).enumerate(),
            |thread, (b, sums)| {
                let mut xi = rooms[thread].lock().expect("one thread each");
                xi.resize(sums.len(), T::zero());
                for member in own.clone() {
                    T::fill_normal(&draw.key(member, b), &mut xi);
                    let c = coefficients[member];
                    for (sum, xi) in sums.iter_mut().zip(xi.iter()) {
                        *sum += quantum.round(c * xi.wide());
                    }
                }
            },
        );
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
        (self.draw, self.spread) = next;
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
