//! Means of columns, and columns less their means, as the update's products read them.

use ndarray::ArrayView2;

use crate::ensemble::survivors::Survivors;
use crate::kernels::bfloat::places;
use crate::kernels::panel::PANEL;
use crate::kernels::real::Real;

/// Returns the mean over surviving members of each column of `u`, J x w, summed in double precision in the order of members.
#[must_use]
pub fn column_means<T: Real>(u: ArrayView2<T>, survivors: &Survivors) -> Vec<f64> {
    let mut means = vec![0.0; u.ncols()];
    pulp::Arch::new().dispatch(AddRows {
        u,
        survivors,
        sums: &mut means,
    });
    let count = survivors.count() as f64;
    means.iter_mut().for_each(|mean| *mean /= count);
    means
}

/// Returns the means that `column_means` gives, rounded to the precision of `u`.
#[must_use]
pub fn rounded_means<T: Real>(u: ArrayView2<T>, survivors: &Survivors) -> Vec<T> {
    let means = column_means(u, survivors).into_iter();
    means.map(T::from_f64).collect()
}

/// Adds the rows of survivors to `sums`, in whatever vectors the processor has.
struct AddRows<'a, T> {
    u: ArrayView2<'a, T>,
    survivors: &'a Survivors,
    sums: &'a mut [f64],
}

impl<T: Real> pulp::WithSimd for AddRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (j, row) in self.u.rows().into_iter().enumerate() {
            if !self.survivors.contains(j) {
                continue;
            }
            let row = row.to_slice().expect("row-major");
            for (sum, x) in self.sums.iter_mut().zip(row) {
                *sum += x.as_f64();
            }
        }
    }
}

/// The centre of a block's draws, without the draws' own mean, and the mean before momentum moved it on to that centre.
#[derive(Clone)]
pub(crate) struct DrawCentre<T> {
    pub(crate) drawn: Vec<T>,
    pub(crate) mean: Vec<T>,
}

/// The survivors' column means of a block and their squared deviations, before its update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockMoments {
    /// The mean of each column over survivors, before the update.
    pub means: Vec<f64>,
    /// The sum over survivors and columns of (u - ubar)^2, before the update.
    pub squares: f64,
}

/// Rows that `rows` rows make, paired or not.
pub(crate) fn standing(rows: usize, paired: bool) -> usize {
    if paired { places(rows) } else { rows }
}

/// ubar and u - ubar of columns u, J x w, the latter in panels in `centred`, its rows `paired` or not; with the sum of
/// squared deviations.
pub(crate) fn centre<T: Real>(
    u: ArrayView2<T>,
    survivors: &Survivors,
    paired: bool,
    centred: &mut [T],
) -> BlockMoments {
    let means = column_means(u, survivors);
    let rounded: Vec<T> = means.iter().copied().map(T::from_f64).collect();
    let mut squares = vec![T::zero(); means.len()];
    pulp::Arch::new().dispatch(Subtract {
        u,
        means: &rounded,
        survivors,
        paired,
        centred,
        squares: &mut squares,
    });
    BlockMoments {
        means,
        squares: squares.iter().map(|x| x.as_f64()).sum(),
    }
}

/// Writes the survivors' rows of u less the means to the panels `centred`, zero for others, every two rows as pairs where
/// they are to be `paired`, and adds the squares column by column, so that a row's terms do not wait for each other.
struct Subtract<'a, T> {
    u: ArrayView2<'a, T>,
    means: &'a [T],
    survivors: &'a Survivors,
    paired: bool,
    centred: &'a mut [T],
    squares: &'a mut [T],
}

impl<T: Real> pulp::WithSimd for Subtract<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let (members, width) = self.u.dim();
        let together = if self.paired { 2 } else { 1 };
        let places = standing(members, self.paired);
        for place in 0..places {
            let first = place * together;
            for (p, start) in (0..width).step_by(PANEL).enumerate() {
                let columns = start..width.min(start + PANEL);
                let (means, squares) = (
                    &self.means[columns.clone()],
                    &mut self.squares[columns.clone()],
                );
                let mut rows = [[T::zero(); PANEL]; 2];
                for (j, differences) in (first..members.min(first + together)).zip(&mut rows) {
                    // Whatever it holds, a failed member must not reach the product.
                    if !self.survivors.contains(j) {
                        continue;
                    }
                    let row = self.u.row(j);
                    let row = &row.to_slice().expect("row-major")[columns.clone()];
                    let terms = row.iter().zip(means).zip(&mut *squares);
                    for (to, ((&x, &mean), square)) in differences.iter_mut().zip(terms) {
                        let difference = x - mean;
                        *to = difference;
                        *square += difference * difference;
                    }
                }
                let out = &mut self.centred[(p * places + place) * PANEL..][..PANEL];
                let [even, odd] = rows;
                if self.paired {
                    for (out, (even, odd)) in out.iter_mut().zip(even.into_iter().zip(odd)) {
                        *out = T::pair_of(even, odd);
                    }
                } else {
                    out.copy_from_slice(&even);
                }
            }
        }
    }
}
