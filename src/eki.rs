//! Ensemble Kalman inversion: the update of one block of columns, in each of its forms, as functions of arrays.
//!
//! With gradients V and anomalies W (both J x K; row j of V is grad Psi at member j's own outputs, row k of W is
//! G(u_k) - Gbar):
//!
//! ```text
//! D = V W^T / J                     J x J, rows sum to zero
//! u <- u - h_n D (u - ubar)         explicit: 2 J^2 P flops
//! u <- u - h_n/J V (W^T (u - ubar)) factored: 4 J K P flops
//! ubar <- ubar - h_n c^T u          mean alone, c = W vbar / J: 2 J P flops
//! ```
//!
//! In mixed precision (`Packed::paired`) what is multiplied is rounded to bfloat16; u, ubar and all sums are not.
//!
//! Kovachki & Stuart, Inverse Problems 35 (2019) 095005. A failed member's rows of V and W are zero: it neither moves
//! nor moves others, and J counts the survivors.

mod centre;
mod cholesky;
pub mod gain;
mod localised;
mod norm;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, Zip};

pub use centre::{Centred, column_means};
use centre::{centre, standing};
pub use localised::Localised;
pub use norm::{TILE, norm_tile, norm_tiles};

use crate::loss::Loss;
use crate::panel::{PANEL, Packed, Target, in_panels, multiply};
use crate::real::{Real, inner};
use crate::spare::{LOST, aligned};

/// Which of the equal forms of the update a run uses; fixed by (J, K) and the method, never by ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By the J x J matrix D.
    Explicit,
    /// By the two J x K factors of D.
    Factored,
    /// Of the mean alone, members being redrawn about it at each step.
    Mean,
}

/// h and epsilon of the step size h_n = h / (||D||_F + epsilon), or h_n = h.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSize {
    /// The step length h > 0.
    pub h: f64,
    /// Keeps h_n finite when D vanishes; None for a fixed step h_n = h.
    pub epsilon: Option<f64>,
}

impl StepSize {
    /// h_n for a D of Frobenius norm `d_norm`, with h scaled by `factor`.
    #[must_use]
    pub fn at(&self, d_norm: f64, factor: f64) -> f64 {
        match self.epsilon {
            Some(epsilon) => self.h * factor / (d_norm + epsilon),
            None => self.h * factor,
        }
    }
}

/// The members that did not fail in this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    alive: Vec<bool>,
    count: usize,
}

impl Survivors {
    /// From one flag a member.
    #[must_use]
    pub fn new(alive: Vec<bool>) -> Self {
        let count = alive.iter().filter(|&&a| a).count();
        Self { alive, count }
    }

    /// How many survived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether all did.
    #[must_use]
    pub fn all(&self) -> bool {
        self.count == self.alive.len()
    }

    /// Whether `member` did.
    #[must_use]
    pub fn contains(&self, member: usize) -> bool {
        self.alive[member]
    }

    /// The members that failed, ascending.
    pub fn failed(&self) -> impl Iterator<Item = usize> + '_ {
        self.alive
            .iter()
            .enumerate()
            .filter(|(_, alive)| !**alive)
            .map(|(j, _)| j)
    }
}

/// Turns the selected outputs, J x w, into the anomalies W, in place, and returns their means, w numbers; `before` is given
/// each survivor's number and outputs while they are whole.
pub fn anomalies<T: Real>(
    mut outputs: ArrayViewMut2<T>,
    survivors: &Survivors,
    mut before: impl FnMut(usize, &[T]),
) -> Vec<T> {
    let means: Vec<T> = column_means(outputs.view(), survivors)
        .into_iter()
        .map(T::of)
        .collect();
    for (j, mut z) in outputs.rows_mut().into_iter().enumerate() {
        if !survivors.contains(j) {
            z.fill(T::zero());
            continue;
        }
        let z = z.as_slice_mut().expect("row-major");
        before(j, z);
        for (z, &mean) in z.iter_mut().zip(&means) {
            *z -= mean;
        }
    }
    means
}

/// The same for samples `first..first + w`, and writes the gradients V. `y` holds the targets of these w columns.
pub fn anomalies_and_gradients<T: Real>(
    outputs: ArrayViewMut2<T>,
    mut gradients: ArrayViewMut2<T>,
    y: &[T],
    first: usize,
    loss: &Loss,
    survivors: &Survivors,
) {
    for failed in survivors.failed() {
        gradients.row_mut(failed).fill(T::zero());
    }
    anomalies(outputs, survivors, |j, z| {
        let mut g = gradients.row_mut(j);
        loss.gradient(z, y, first, g.as_slice_mut().expect("row-major"));
    });
}

/// The largest Euclidean norm of the rows of `a`: |(V W^T)_jk| <= largest_row(V) largest_row(W).
#[must_use]
pub fn largest_row<T: Real>(a: ArrayView2<T>) -> f64 {
    a.rows()
        .into_iter()
        .map(|row| row.iter().map(|x| x.wide() * x.wide()).sum::<f64>().sqrt())
        .fold(0.0, f64::max)
}

/// The scratch numbers an update of a block of `width` columns needs, in any precision.
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
) -> Centred {
    moved(u, survivors, scratch, d.is_paired(), |centred, _, u| {
        multiply(d, centred, true, T::of(-h), u);
    })
}

/// Factored form: u <- u - h/J V (W^T (u - ubar)) for one block u, J x w, with V, J x K, and W^T, K x J, which are no pairs
/// where W^T (u - ubar) is to be `localised`.
pub fn update_factored<T: Real>(
    u: &mut ArrayRef2<T>,
    (gradients, anomalies): (&Packed<T>, &Packed<T>),
    localised: Option<&Localised>,
    h: f64,
    survivors: &Survivors,
    scratch: &mut [T],
) -> Centred {
    let (outputs, scale) = (anomalies.rows(), T::of(-h / survivors.count() as f64));
    let paired = anomalies.is_paired();
    moved(u, survivors, scratch, paired, |centred, inner, u| {
        let columns = u.columns.next_multiple_of(PANEL);
        let inner = &mut inner[..outputs * columns]; // K x w
        let mut target = Target {
            numbers: &mut *inner,
            panel: outputs * PANEL,
            row: PANEL,
            columns,
        };
        multiply(anomalies, centred, false, T::one(), &mut target);
        if let Some(localised) = localised {
            localised.correct(centred, inner);
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
) -> Centred {
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

/// The mean's coefficients c = W vbar / J, J numbers: (1/J) sum_j (D u)_j = sum_k c_k (u_k - ubar).
#[must_use]
pub fn mean_coefficients<T: Real>(
    mean_gradient: &[f64],
    anomalies: ArrayView2<T>,
    survivors: &Survivors,
) -> Vec<f64> {
    let count = survivors.count() as f64;
    anomalies
        .rows()
        .into_iter()
        .map(|row| {
            let row = row.to_slice().expect("row-major");
            inner(row, mean_gradient) / count
        })
        .collect()
}

/// The mean's coefficients sample by sample, w_ki = sum over the outputs of sample i of W_k vbar / J, for the members with
/// the anomalies W, n x K: n x m; `survivors` members in all. Row k sums to c_k.
#[must_use]
pub fn sample_coefficients<T: Real>(
    anomalies: ArrayView2<T>,
    mean_gradient: &[f64],
    survivors: usize,
    samples: usize,
) -> Array2<T> {
    let each = mean_gradient.len() / samples;
    let scaled: Vec<T> = mean_gradient
        .iter()
        .map(|v| T::of(v / survivors as f64))
        .collect();
    let mut weights = Array2::zeros((anomalies.nrows(), samples));
    for (mut row, of_member) in weights.rows_mut().into_iter().zip(anomalies.rows()) {
        let of_member = of_member.to_slice().expect("row-major");
        let of_samples = of_member.chunks(each).zip(scaled.chunks(each));
        for (w, (of_sample, v)) in row.iter_mut().zip(of_samples) {
            *w = of_sample.iter().zip(v).map(|(&w, &v)| w * v).sum();
        }
    }
    weights
}

/// Nesterov's momentum on one block, in place: on entry `u` holds u_{n+1} and `previous` u_n; on return `u` holds
/// v_{n+1} = u_{n+1} + coefficient (u_{n+1} - u_n) and `previous` u_{n+1}.
pub fn extrapolate<T: Real>(u: &mut ArrayRef2<T>, previous: &mut ArrayRef2<T>, coefficient: f64) {
    let coefficient = T::of(coefficient);
    Zip::from(u).and(previous).for_each(|u, previous| {
        let next = *u;
        *u = next + coefficient * (next - *previous);
        *previous = next;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spare::Spare;

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
            let pack =
                |matrix: ArrayView2<f32>| Packed::of(matrix).paired_if(mixed, &Spare::default());
            let mut u = start.clone();
            let mut scratch = vec![f32::NAN; update_scratch(form, members, outputs, width)];
            if form == Form::Explicit {
                let d = pack(d.view());
                update_explicit(&mut u, &d, 0.5, &survivors, &mut scratch);
            } else {
                let (v, w) = (pack(v.view()), pack(w.t()));
                update_factored(&mut u, (&v, &w), None, 0.5, &survivors, &mut scratch);
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
