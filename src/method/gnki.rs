//! Gauss-Newton ensemble Kalman inversion (GNKI): the iterative ensemble smoother, which keeps the prior's pull in each step.
//!
//! ```text
//! min  1/2 |u - u_j(0)|^2_C0 + 1/2 |y + e_j - G(u)|^2_Gamma           for each member j; C0: the covariance of the first members
//! U = 1 ubar(0) + C A(0) ,  A(0) = U(0) - 1 ubar(0)                   C: J x J, I at first; u_j - u_j(0) = (C - I)_j A(0)
//! O = C - 1 cbar ,  Y = Z - 1 zbar ,  R_j = y + e_j - z_j             deviations of C and of the outputs Z, J x K; residuals
//! X = ((C - I) O^T - R Gamma^-1 Y^T / J) (O O^T + Y Gamma^-1 Y^T / J)^-1
//! u <- u - h X (u - ubar) ,  C <- C - h X (C - 1 cbar)                a Gauss-Newton step of length h
//! ```
//!
//! The gradient and the Gauss-Newton Hessian of member j's cost in its coefficients c_j are J (c_j - e_j) - R_j Gamma^-1 S^T and
//! J I + S Gamma^-1 S^T, S the outputs' slopes in coefficients, Y = O S: the step in C is (c_j - I_j - R_j Gamma^-1 S^T / J) (I + S Gamma^-1
//! S^T / J)^-1, and X times O is that. Nothing is inverted but a symmetric matrix of side J.
//!
//! The method of Evensen, Raanes, Stordal & Hove, Front. Appl. Math. Stat. 5 (2019) 47, and Raanes, Stordal & Evensen, Nonlin. Processes
//! Geophys. 26 (2019) 325, with the divisor J; in parameters it is the IEKF of Chada, Chen & Sanz-Alonso, Found. Data Sci. 3 (2021) 331:
//! u_j <- u_j + h (K (y + e_j - z_j - G_n (u_j(0) - u_j)) + u_j(0) - u_j), with K = C0 G_n^T (G_n C0 G_n^T + Gamma)^-1 and G_n the slope of outputs
//! by members, where members are no more than parameters and one.
//!
//! With `method.perturb` e_j ~ N(0, Gamma), the same at all steps: members are a sample of the posterior where G is linear (randomised
//! maximum likelihood), after one step of h = 1, or as (1 - h)^n vanishes. Without, e_j = 0: each member ends at the mode with its own
//! prior mean, and they lie closer together than the posterior. The h do not add up to a time: more steps converge.
//!
//! Pitfalls: with more members than parameters what no linear map explains of the outputs counts as spread, as in `kalman`, and shortens
//! steps. A full step may make a far from linear simulator worse: `method.accept`, or h of a half. Members that have drawn together to less
//! than a millionth of the prior's spread are beyond single precision.
//!
//! Once a step: the outputs' products, eigenvectors on every rank, rows that ranks share out, and C on every rank (J x J, in checkpoints). Once
//! a block of columns: the update by a J x J matrix (`ensemble::transform`).

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::ThreadPool;

use crate::config::{FormKind, HSchedule, Localise, LossKind, ModelKind, Rerandomise};
use crate::ensemble::draw;
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::{MemberMove, Transform};
use crate::error::Result;
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::{Real, product};
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::outputs::{Outputs, pack};
use crate::method::products::{Products, shared_rows, too_large};
use crate::method::{Method, ProblemShape};
use crate::parallel::ranks::Ranks;

/// The Gauss-Newton step.
pub struct Gnki;

impl<T: Real> Method<T> for Gnki {
    fn name(&self) -> &'static str {
        "gnki"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        problem.refuse_mean_keys()?;
        let config = &problem.resolved.config;
        let (method, ensemble) = (&config.method, &config.ensemble);
        let never = ensemble.rerandomise == Rerandomise::Never;
        let explicit = matches!(method.form, FormKind::Auto | FormKind::Explicit);
        let simulates = config.model.kind.simulates() || config.model.kind == ModelKind::Linear;
        let squares = method.loss == LossKind::LeastSquares;
        let plain = method.h_schedule != HSchedule::Misfit;
        let needs = [
            (
                simulates,
                "model.kind",
                "must be \"process\", \"ask-tell\" or \"linear\"",
            ),
            (squares, "method.loss", "must be \"least-squares\""),
            (
                plain,
                "method.h_schedule",
                "must not be \"misfit\", as steps do not add up,",
            ),
            (
                config.run.end_time == 0.0,
                "run.end_time",
                "must be 0, as steps do not add up,",
            ),
            (
                method.tikhonov == 0.0,
                "method.tikhonov",
                "must be 0, as each step holds the prior,",
            ),
            (!method.momentum, "method.momentum", "must be false"),
            (
                method.localise == Localise::None,
                "method.localise",
                "must be \"none\"",
            ),
            (explicit, "method.form", "must be \"auto\" or \"explicit\""),
            (never, "ensemble.rerandomise", "must be \"never\""),
            (
                ensemble.inflation.is_none(),
                "ensemble.inflation",
                "must be 1",
            ),
            (
                ensemble.grow_to <= ensemble.members,
                "ensemble.grow_to",
                "must be 0",
            ),
        ];
        match needs.iter().find(|(holds, ..)| !holds) {
            Some((_, key, allowed)) => {
                problem.refuse(key, format!("{allowed} with method.kind = \"gnki\""))
            }
            None => Ok(()),
        }
    }

    /// ||D||_F is that of the step without the gain.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (comm, pool) = (ranks.comm, ranks.pool);
        let products = outputs.products(comm, pool)?;
        let count = outputs.survivors.count() as f64;
        let c: Vec<f64> = products.through.iter().map(|c| c / count).collect();
        let norm = outputs.norm_by_products(&c, &products.residual);
        let coefficients = outputs.coefficients.expect("a Gauss-Newton step has C");
        let coefficients = coefficients.mapv(T::as_f64);
        let (left, hessian) = parts(coefficients.view(), products, outputs.survivors);
        let right = Inverse::of(&hessian).ok_or_else(too_large)?;
        let mut x = Array2::zeros(left.dim());
        shared_rows(comm, pool, &mut x, |first, out| {
            let rows = out.len() / left.ncols();
            let own = left.slice(s![first..first + rows, ..]);
            right.multiply(own, draw::matrix(out, rows, left.ncols()));
        });
        let x = pack(pool, x.mapv(T::from_f64).view(), outputs.buffers);
        let x = outputs.paired_if_mixed(pool, x);
        Ok((Transform::Members(MemberMove::Matrix(x)), norm))
    }

    fn factor(&self, matrix: Array2<f64>, _: &ThreadPool) -> bool {
        Inverse::of(&matrix).is_some()
    }

    /// The cost of ETKI, and on every rank O O^T and (C - I) O^T, 4 J^3 flops, and the move of C, 2 J^3.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let j = sizes.members;
        let base = sizes.of_products(15.0 * (j as f64).powi(3), rank);
        MethodCost {
            kept: base.kept + j * j,
            solving: base.solving + 8 * 5 * j * j,
            ..base
        }
    }
}

/// The inverse of a symmetric matrix on the directions in which it is more than rounding: members that took the place of failed ones
/// are sums of others, so that deviations of C have no part in some.
struct Inverse {
    vectors: Array2<f64>,
    scaled: Array2<f64>,
}

/// The share of the largest eigenvalue below which one is rounding.
const NONE: f64 = 1e-12;

impl Inverse {
    /// Returns the inverse of `matrix`, of which the lower triangle is read; None if it is not finite.
    fn of(matrix: &Array2<f64>) -> Option<Self> {
        let (values, vectors) = symmetric_eigen(matrix.view())?;
        let least = NONE * values.last().copied().unwrap_or_default();
        let inverses = values.mapv(|value| if value > least { 1.0 / value } else { 0.0 });
        Some(Self {
            scaled: &vectors * &inverses,
            vectors,
        })
    }

    /// Writes the rows of `left` times this to `out`.
    fn multiply(&self, left: ArrayView2<f64>, out: ArrayViewMut2<f64>) {
        let mut along = Array2::zeros(left.dim());
        product(along.view_mut(), 0.0, 1.0, left, self.scaled.view());
        product(out, 0.0, 1.0, along.view(), self.vectors.t());
    }
}

/// Returns what is multiplied in X, J x J, on the left, and the matrix whose inverse is on the right: its rows and columns are 0 for members
/// that do not count.
fn parts(
    coefficients: ArrayView2<f64>,
    products: Products,
    survivors: &Survivors,
) -> (Array2<f64>, Array2<f64>) {
    let (members, count) = (coefficients.nrows(), survivors.count() as f64);
    let alive = Array1::from_shape_fn(members, |j| f64::from(u8::from(survivors.contains(j))));
    let mean = alive.dot(&coefficients) / count;
    let mut deviations = &coefficients - &mean;
    let mut moved = coefficients.to_owned();
    moved.diag_mut().mapv_inplace(|c| c - 1.0);
    for j in survivors.failed() {
        deviations.row_mut(j).fill(0.0);
        moved.row_mut(j).fill(0.0);
    }
    let Products {
        through,
        gram,
        residual,
    } = products;
    let mut left = moved.dot(&deviations.t());
    left.scaled_add(1.0 / count, &residual);
    let through = Array1::from(through) / count;
    for (j, mut row) in left.axis_iter_mut(Axis(0)).enumerate() {
        row.scaled_add(alive[j], &through);
    }
    let mut hessian = deviations.dot(&deviations.t());
    hessian.scaled_add(1.0 / count, &gram);
    (left, hessian)
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn x_of(
        c: &Array2<f64>,
        z: &Array2<f64>,
        e: &Array2<f64>,
        y: f64,
        alive: Vec<bool>,
    ) -> Array2<f64> {
        let survivors = Survivors::new(alive);
        let count = survivors.count() as f64;
        let own = |j: usize| survivors.contains(j);
        let mean = (0..z.nrows())
            .filter(|&j| own(j))
            .map(|j| z[[j, 0]])
            .sum::<f64>()
            / count;
        let zero = |j: usize, x: f64| if own(j) { x } else { 0.0 };
        let w = Array2::from_shape_fn(z.dim(), |(j, _)| zero(j, z[[j, 0]] - mean));
        let noise = Array2::from_shape_fn(z.dim(), |(j, _)| zero(j, e[[j, 0]]));
        let products = Products {
            through: w.column(0).iter().map(|w| w * (mean - y)).collect(),
            gram: w.dot(&w.t()),
            residual: (&w - &noise).dot(&w.t()),
        };
        let (left, hessian) = parts(c.view(), products, &survivors);
        let mut x = Array2::zeros(left.dim());
        let right = Inverse::of(&hessian).unwrap();
        right.multiply(left.view(), x.view_mut());
        x
    }

    /// Two members of one parameter at 1 and 3 in the prior, now at 2 and 2.5, with outputs 4 and 6.25 (G(u) = u^2, Gamma = 1), y = 5 and
    /// noise of 0.5 and -0.5. By the IEKF: C0 = 1, the slope is 2.25/0.5 = 4.5, K = 4.5/21.25; member 1 moves by
    /// K (5.5 - 4 - 4.5 (1 - 2)) + (1 - 2) = 0.270588, member 2 by K (4.5 - 6.25 - 4.5 (3 - 2.5)) + (3 - 2.5) = -0.347059.
    #[test]
    fn two_members_by_hand() {
        // u = 2 + C (-1, 1)^T, and rows of C add up to 1, as they do in each step.
        let c = arr2(&[[0.5, 0.5], [0.25, 0.75]]);
        let (z, e) = (arr2(&[[4.0], [6.25]]), arr2(&[[0.5], [-0.5]]));
        let x = x_of(&c, &z, &e, 5.0, vec![true, true]);
        let u = [2.0, 2.5];
        let mean = 2.25;
        let step = |j: usize| -(0..2).map(|k| x[[j, k]] * (u[k] - mean)).sum::<f64>();
        assert!((step(0) - 0.270_588_235).abs() < 1e-8, "{}", step(0));
        assert!((step(1) + 0.347_058_824).abs() < 1e-8, "{}", step(1));
        // With a member that failed, whose outputs are of no use, the others move as without it, and it stays.
        let three = Array2::eye(3);
        let z = arr2(&[[4.0], [f64::NAN], [6.25]]);
        let e = arr2(&[[0.5], [9.0], [-0.5]]);
        let x = x_of(&three, &z, &e, 5.0, vec![true, false, true]);
        assert_eq!(
            (x[[0, 1]], x[[1, 0]], x[[1, 1]], x[[1, 2]]),
            (0.0, 0.0, 0.0, 0.0)
        );
        assert!(x.iter().all(|x| x.is_finite()));
    }
}
