//! How the members move in a step, in the shape that is cheapest to apply, and the update of one block of columns by it.
//!
//! ```text
//! u <- u - h D (u - ubar)             explicit, D = V W^T / J: 2 J^2 P flops
//! u <- u - h/J V (W^T (u - ubar))     factored: 4 J K P flops
//! ```
//!
//! In mixed precision (`Packed::paired`) the factors are rounded to bfloat16; u, ubar and all sums are not.

use ndarray::{Array2, ArrayRef2};

use crate::ensemble::centre::{BlockMoments, centre, standing};
use crate::ensemble::localisation::{Correction, Correlations, Near};
use crate::ensemble::survivors::Survivors;
use crate::kernels::buffers::{BufferPool, LOST, aligned};
use crate::kernels::panel::{PANEL, Packed, Target, in_panels, multiply};
use crate::kernels::real::Real;

/// How the ensemble moves in one step, in the shape that is cheapest to apply; the same on every rank.
#[derive(Debug)]
pub enum Transform<T> {
    /// Moves all members: u <- u - h X (u - ubar).
    Members(MemberMove<T>),
    /// Moves their mean alone: ubar <- ubar - h sum_k c_k (u_k - ubar).
    Mean(MeanMove<T>),
}

/// X, J x J, by which all members move.
#[derive(Debug)]
pub enum MemberMove<T> {
    /// The matrix itself.
    Matrix(Packed<T>),
    /// Its factors: X = gradients anomalies / J.
    Factors {
        /// V, J x K.
        gradients: Packed<T>,
        /// W^T, K x J.
        anomalies: Packed<T>,
        /// The correction of the products of anomalies with parameters (localisation), if any.
        correlations: Option<Correlations<T>>,
    },
    /// Its factors, of which each block of columns takes the observations that inform it.
    Near(Near<T>),
}

/// The coefficients by which the mean moves.
#[derive(Debug)]
pub enum MeanMove<T> {
    /// c, J numbers.
    Members(Vec<f64>),
    /// c sample by sample, of this rank's members alone: J/R x m; row k sums to c_k.
    Samples(Array2<T>),
}

impl<T: Real> Transform<T> {
    /// Returns its numbers to `buffers` for later steps.
    pub fn recycle(self, buffers: &BufferPool<T>) {
        match self {
            Self::Members(MemberMove::Matrix(x)) => x.recycle(buffers),
            Self::Members(MemberMove::Factors {
                gradients,
                anomalies,
                correlations,
            }) => {
                gradients.recycle(buffers);
                anomalies.recycle(buffers);
                if let Some(correlations) = correlations {
                    correlations.recycle(buffers);
                }
            }
            Self::Members(MemberMove::Near(near)) => near.recycle(buffers),
            Self::Mean(_) => (),
        }
    }
}

impl<T: Real> MemberMove<T> {
    /// u <- u - h X (u - ubar) for one block u, J x w, whose first column is the `first`, of which survivors alone count and move;
    /// `scratch` grows as needed. Returns the block's means and squared deviations before the move.
    pub fn apply(
        &self,
        (first, u): (usize, &mut ArrayRef2<T>),
        h: f64,
        survivors: &Survivors,
        scratch: &mut Vec<T>,
    ) -> BlockMoments {
        let (members, width) = u.dim();
        match self {
            Self::Matrix(x) => {
                let numbers = update_scratch(Form::Explicit, members, 0, width);
                scratch.resize(numbers, T::zero());
                update_explicit(u, x, h, survivors, scratch)
            }
            Self::Factors {
                gradients,
                anomalies,
                correlations,
            } => {
                let correction = correlations.as_ref().map(Correction::Correlations);
                let products = match correction.as_ref().and_then(Correction::anomalies) {
                    Some(_) => 2 * anomalies.rows(),
                    None => anomalies.rows(),
                };
                let numbers = update_scratch(Form::Factored, members, products, width);
                scratch.resize(numbers, T::zero());
                let factors = (gradients, anomalies);
                corrected(u, factors, correction, h, survivors, scratch)
            }
            Self::Near(near) => {
                let (outputs, gradients, anomalies) = near.factors(first..first + width);
                let numbers = update_scratch(Form::Factored, members, outputs.len(), width);
                scratch.resize(numbers, T::zero());
                if outputs.is_empty() {
                    return moved(u, survivors, scratch, near.mixed, |_, _, _| ());
                }
                let correction = near.correction(first..first + width, &outputs);
                let factors = (&gradients, &anomalies);
                let before = corrected(u, factors, Some(correction), h, survivors, scratch);
                near.put([gradients, anomalies]);
                before
            }
        }
    }
}

/// Which of the equal forms of the update a run uses; fixed by (J, K) and the method, never by ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By the J x J matrix D.
    Explicit,
    /// By the two J x K factors of D.
    Factored,
    /// A move of the mean alone, where members are redrawn about it at each step.
    Mean,
}

/// Returns the scratch numbers an update of a block of `width` columns needs, in any precision.
#[must_use]
pub fn update_scratch(form: Form, members: usize, outputs: usize, width: usize) -> usize {
    let standing = [false, true].map(|paired| standing(members, paired));
    let centred = LOST + in_panels(standing[0].max(standing[1]), width);
    match form {
        Form::Explicit => centred,
        Form::Factored => centred + in_panels(outputs, width),
        Form::Mean => 0,
    }
}

/// Explicit form: u <- u - h D (u - ubar) for one block u, J x w, with D, J x J.
pub fn update_explicit<T: Real>(
    u: &mut ArrayRef2<T>,
    d: &Packed<T>,
    h: f64,
    survivors: &Survivors,
    scratch: &mut [T],
) -> BlockMoments {
    moved(u, survivors, scratch, d.is_paired(), |centred, _, u| {
        multiply(d, centred, true, T::from_f64(-h), u);
    })
}

/// Factored form: u <- u - h/J V (W^T (u - ubar)) for one block u, J x w, with V, J x K, and W^T, K x J.
pub fn update_factored<T: Real>(
    u: &mut ArrayRef2<T>,
    factors: (&Packed<T>, &Packed<T>),
    h: f64,
    survivors: &Survivors,
    scratch: &mut [T],
) -> BlockMoments {
    corrected(u, factors, None, h, survivors, scratch)
}

/// Updates as `update_factored` does, with W^T (u - ubar) corrected by `correction`; by correlations where the factors are no pairs.
fn corrected<T: Real>(
    u: &mut ArrayRef2<T>,
    (gradients, anomalies): (&Packed<T>, &Packed<T>),
    correction: Option<Correction<T>>,
    h: f64,
    survivors: &Survivors,
    scratch: &mut [T],
) -> BlockMoments {
    let (outputs, scale) = (anomalies.rows(), T::from_f64(-h / survivors.count() as f64));
    let paired = anomalies.is_paired();
    moved(u, survivors, scratch, paired, |centred, inner, u| {
        let columns = u.columns.next_multiple_of(PANEL);
        let (inner, rest) = inner.split_at_mut(outputs * columns); // K x w
        let products = |by: &Packed<T>, numbers: &mut [T]| {
            let mut target = Target {
                numbers,
                panel: outputs * PANEL,
                row: PANEL,
                columns,
            };
            multiply(by, centred, false, T::one(), &mut target);
        };
        products(anomalies, inner);
        if let Some(correction) = &correction {
            let raw = correction.anomalies().map(|anomalies| {
                let raw = &mut rest[..outputs * columns];
                products(anomalies, raw);
                &*raw
            });
            correction.apply(centred, inner, raw);
        }
        if paired {
            T::pair_rows::<PANEL>(inner, outputs);
        }
        multiply(gradients, inner, true, scale, u);
    })
}

/// Hands u, J x w, to `by`: less its means in panels, its rows `paired` or not, the rest of the scratch, and where to add
/// the members' move.
fn moved<T: Real>(
    u: &mut ArrayRef2<T>,
    survivors: &Survivors,
    scratch: &mut [T],
    paired: bool,
    by: impl FnOnce(&[T], &mut [T], &mut Target<T>),
) -> BlockMoments {
    let (members, width) = u.dim();
    let size = in_panels(standing(members, paired), width);
    let (centred, rest) = aligned(scratch).split_at_mut(size);
    let before = centre(u.view(), survivors, paired, centred);
    let mut target = Target {
        numbers: u.as_slice_mut().expect("row-major"),
        panel: PANEL,
        row: width,
        columns: width,
    };
    by(centred, rest, &mut target);
    before
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayView2;

    use super::*;

    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            ((i * 7919 + j * 104_729 + seed * 31) % 997) as f32 / 500.0 - 1.0
        })
    }

    /// What mixed precision moves members by is what single precision does but for bfloat16's rounding, 2^-8 of each
    /// operand; a failed member's numbers, whatever they are, reach nobody.
    #[test]
    fn mixed_precision_moves_members_alike() {
        let (members, outputs, width) = (43, 21, 300);
        let mut start = numbers(members, width, 1);
        start.row_mut(5).fill(f32::NAN);
        let survivors = Survivors::new((0..members).map(|j| j != 5).collect());
        let failing = |mut factor: Array2<f32>| {
            factor.row_mut(5).fill(0.0);
            factor
        };
        let v = failing(numbers(members, outputs, 2));
        let w = failing(numbers(members, outputs, 3));
        let mut d = v.dot(&w.t());
        d /= survivors.count() as f32;
        let moved = |form: Form, mixed: bool| {
            let pack = |matrix: ArrayView2<f32>| {
                Packed::of(matrix).paired_if(mixed, &BufferPool::default())
            };
            let mut u = start.clone();
            let mut scratch = vec![f32::NAN; update_scratch(form, members, outputs, width)];
            if form == Form::Explicit {
                let d = pack(d.view());
                update_explicit(&mut u, &d, 0.5, &survivors, &mut scratch);
            } else {
                let (v, w) = (pack(v.view()), pack(w.t()));
                update_factored(&mut u, (&v, &w), 0.5, &survivors, &mut scratch);
            }
            u.remove_index(ndarray::Axis(0), 5);
            u
        };
        let single = moved(Form::Explicit, false);
        let largest = single.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        for form in [Form::Explicit, Form::Factored] {
            let mixed = moved(form, true);
            assert_ne!(mixed, moved(form, false), "{form:?}");
            let apart = (&mixed - &single).mapv(f32::abs);
            assert!(apart.iter().all(|x| *x < 0.01 * largest), "{form:?}");
        }
    }
}
