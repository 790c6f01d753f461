//! Unscented Kalman inversion (UKI): the mean and covariance of the posterior by sigma points that are placed anew at each step.
//!
//! ```text
//! mhat = r + alpha (m - r) ,  Chat = C / (1 - h)        prediction: the artificial covariances are Sigma_omega = (1/(1 - h) - alpha^2) C
//! u_0 = mhat ,  u_j = mhat + S v_j ,  S S^T = Chat      and Sigma_nu = Gamma / h; v_j: `ensemble::sigma_points`
//! E  = w sum_j v_j (z_j - z_0)^T Gamma^{-1/2}           P x K: how outputs answer to each direction of S; z_0 stands for the mean output
//! d  = -h (I + h E E^T)^{-1} E Gamma^{-1/2} (z_0 - y)   P numbers
//! m  = mhat + S d ,  C = S (I + h E E^T)^{-1} S^T       the Kalman analysis; its root S (I + h E E^T)^{-1/2} places the next points
//! ```
//!
//! Huang, Schneider & Stuart, J. Comput. Phys. 463 (2022) 111262, whose Sigma_omega = (2 - alpha^2) C and Sigma_nu = 2 Gamma are h = 1/2;
//! any h in (0, 1): Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022) 125006. As there, the prior enters as observations of the
//! parameters themselves: the z_j have their deviations from the prior's mean below the outputs. For a linear G = A u the precision then
//! follows C_n^{-1} = (1 - (1 - h)^n) H + (1 - h)^n C_0^{-1}, H = A^T Gamma^{-1} A + C_prior^{-1} (in one step C^{-1} = (1 - h) C^{-1} + h H), and
//! the mean's error shrinks by C_{n+1} (1 - h) C_n^{-1}: both end at the posterior's, whatever h is.
//!
//! A point that fails is left out of the fit of E, which is one of least squares by the points that are left: exact for a linear G as long as they
//! span all directions. A direction that none is left of keeps no more than half its spread until one gives outputs (a rule of this program).
//! Without the centre z_0 is the mean output of complete pairs, or corners.
//!
//! Pitfalls. Where G is not linear over two deviations of Chat (1.4 times the posterior's, by h = 1/2) the result is the law of a
//! smoothed G, and with several modes one of them, or a wide law over all. alpha < 1 pulls the mean to the prior's once more: a fit, no posterior.
//! Steps cost J = 2P + 1 simulations; P + 2 on a simplex, whose odd moments are worse.
//!
//! Once a step: the outputs' products, J x J, of which ranks share out the rows, and the eigenvectors of E E^T on every rank. Once a block of
//! columns: the update by a J x J matrix (`ensemble::transform`), and the prediction.

use ndarray::{Array1, Array2, ArrayView2, s};
use rayon::ThreadPool;

use crate::config::{HSchedule, MethodKind};
use crate::ensemble::draw;
use crate::ensemble::sigma_points::SigmaPoints;
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

/// The unscented Kalman step.
pub struct Uki;

/// The share of the largest eigenvalue below which no point that gave outputs tells of a direction.
const NONE: f64 = 1e-9;

impl<T: Real> Method<T> for Uki {
    fn name(&self) -> &'static str {
        MethodKind::Uki.word()
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        let config = &problem.resolved.config;
        let (method, ensemble) = (&config.method, &config.ensemble);
        problem.refuse_mean_keys()?;
        problem.check_posterior_keys()?;
        let points = SigmaPoints::of(method, problem.parameters);
        let points = points.expect("the method's members").count();
        let members = format!(
            "must be {points}, the sigma points of {} parameters (left out it is set so),",
            problem.parameters
        );
        let allowed = [
            (
                "method.h",
                method.h.list().is_none() && method.h.unit() < 1.0,
                "must be one number below 1, as in 0.5,",
            ),
            ("method.h_decay", method.h_decay == 1.0, "must be 1"),
            (
                "method.h_schedule",
                method.h_schedule == HSchedule::Level,
                "must be \"level\"",
            ),
            (
                "method.regularisation",
                method.regularisation <= 1.0,
                "must be at most 1",
            ),
            ("run.end_time", config.run.end_time == 0.0, "must be 0"),
            ("ensemble.members", ensemble.members == points, &members),
            (
                "ensemble.initial",
                ensemble.begins_as_drawn(),
                "must be \"prior\", with ensemble.centre = \"zero\",",
            ),
            (
                "ensemble.second_order_exact",
                !ensemble.second_order_exact,
                "must be false, as sigma points have the prior's moments,",
            ),
        ];
        match allowed.into_iter().find(|(_, is_allowed, _)| !is_allowed) {
            Some((key, _, words)) => {
                problem.refuse(key, format!("{words} with method.kind = \"uki\""))
            }
            None => Ok(()),
        }
    }

    /// ||D||_F is that of the step without the gain, of points as of members.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (comm, pool) = (ranks.comm, ranks.pool);
        let h = outputs.gain.expect("a step with the Kalman gain has its h");
        let points = outputs.points.expect("a step of sigma points has them");
        let count = outputs.survivors.count() as f64;
        let Products {
            through,
            residual: gram,
            ..
        } = outputs.products(comm, pool)?;
        let c: Vec<f64> = through.iter().map(|c| c / count).collect();
        let norm = outputs.norm_by_products(&c, &gram);
        let fit = Fit::new(points, outputs.survivors).ok_or_else(too_large)?;
        // E X^T = B X X^T, P x J, and E E^T; E (z_0 - y) = B (X g + X X^T b).
        let (rows, members) = fit.slopes.dim();
        let mut along = Array2::zeros((rows, members));
        shared_rows(comm, pool, &mut along, |first, out| {
            let own = fit.rows(first, out.len() / members);
            product(
                draw::matrix(out, own.nrows(), members),
                0.0,
                1.0,
                own,
                gram.view(),
            );
        });
        drop(gram);
        let mut hessian = Array2::zeros((rows, rows));
        shared_rows(comm, pool, &mut hessian, |first, out| {
            let own = along.slice(s![first..first + out.len() / rows, ..]);
            product(
                draw::matrix(out, own.nrows(), rows),
                0.0,
                1.0,
                own,
                fit.slopes.t(),
            );
        });
        let residual = fit.slopes.dot(&Array1::from(through)) + along.dot(&fit.centre);
        drop(along);
        let step =
            Analysis::new(fit.with_unknown(hessian, h), &residual, h).ok_or_else(too_large)?;
        let v = points.coordinates();
        // S^T = w V^T U; of the points' new places the part that follows from S, N = T w V^T.
        let mut spread = Array2::zeros((rows, members));
        shared_rows(comm, pool, &mut spread, |first, out| {
            let own = step.root.slice(s![first..first + out.len() / members, ..]);
            product(
                draw::matrix(out, own.nrows(), members),
                0.0,
                points.weight(),
                own,
                v.t(),
            );
        });
        let centre = v.dot(&step.mean) * points.weight();
        let mut x = Array2::zeros((members, members));
        shared_rows(comm, pool, &mut x, |first, out| {
            let own = v.slice(s![first..first + out.len() / members, ..]);
            let mut out = draw::matrix(out, own.nrows(), members);
            product(out.view_mut(), 0.0, -1.0 / h, own, spread.view());
            for (i, mut row) in out.rows_mut().into_iter().enumerate() {
                row.scaled_add(-1.0 / h, &centre);
                row[0] -= 1.0 / h;
                row[first + i] += 1.0 / h;
            }
        });
        let x = pack(pool, x.mapv(T::from_f64).view(), outputs.buffers);
        let x = outputs.paired_if_mixed(pool, x);
        Ok((Transform::Members(MemberMove::Matrix(x)), norm))
    }

    fn factor(&self, matrix: Array2<f64>, _: &ThreadPool) -> bool {
        symmetric_eigen(matrix.view()).is_some()
    }

    /// As for ETKI, with the eigenvectors of a matrix of side P and the products of rows that ranks share out.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let (j, p) = (sizes.members, sizes.of_prior);
        let (members, parameters) = (j as f64, p as f64);
        let solved = sizes.solved_flops(j, j, rank);
        // Eigenvectors, the two roots, and E (z_0 - y), on every rank.
        let whole =
            9.0 * parameters.powi(3) + 2.0 * parameters.powi(3) + 4.0 * parameters * members;
        let base = sizes.of_products(whole - solved, rank);
        let shared = |rows: usize, long: f64, side: f64| {
            2.0 * sizes.solved_of(rows, rank) as f64 * long * side
        };
        let rows = shared(p, members, members)
            + shared(p, members, parameters)
            + shared(p, parameters, members)
            + shared(j, parameters, members);
        MethodCost {
            flops: base.flops + rows,
            sent: base.sent + 2 * sizes.rows_sent(p, j, rank) + sizes.rows_sent(p, p, rank),
            solving: base.solving.max(8 * (2 * j * j + 4 * j * p + 4 * p * p)),
            side: p,
            ..base
        }
    }
}

/// The fit of outputs by the points that gave them: z_0 = b^T Z and E^T = B Z.
struct Fit {
    /// b, J numbers that add up to 1.
    centre: Array1<f64>,
    /// B, P x J, rows of which add up to 0.
    slopes: Array2<f64>,
    /// The directions that no point tells of, as the columns of an orthonormal matrix; P x 0 where there are none.
    unknown: Array2<f64>,
}

impl Fit {
    /// Returns the fit by the survivors among `points`; None if it cannot be made.
    fn new(points: SigmaPoints, survivors: &Survivors) -> Option<Self> {
        let (members, parameters) = (points.count(), points.parameters());
        let mut v = points.coordinates();
        for j in survivors.failed() {
            v.row_mut(j).fill(0.0);
        }
        let weighted = v.t().to_owned() * points.weight();
        let centre = centre(points, survivors);
        let (mut slopes, mut unknown) = (weighted, Array2::zeros((parameters, 0)));
        if !survivors.all() {
            let (values, vectors) = symmetric_eigen(slopes.dot(&v).view())?;
            let known = |value: f64| value > NONE;
            let inverses = values.mapv(|value| if known(value) { 1.0 / value } else { 0.0 });
            let inverse = (&vectors * &inverses).dot(&vectors.t());
            slopes = inverse.dot(&slopes);
            let none = values.iter().take_while(|value| !known(**value)).count();
            unknown = vectors.slice(s![.., ..none]).to_owned();
        }
        // Slopes are of outputs less z_0.
        for mut row in slopes.rows_mut() {
            let sum = row.sum();
            row.scaled_add(-sum, &centre);
        }
        debug_assert_eq!(slopes.dim(), (parameters, members));
        Some(Self {
            centre,
            slopes,
            unknown,
        })
    }

    /// Returns `count` rows of B from `first` on.
    fn rows(&self, first: usize, count: usize) -> ArrayView2<'_, f64> {
        self.slopes.slice(s![first..first + count, ..])
    }

    /// Returns E E^T, `known` in all directions that points tell of, with what halves the spread of the others in a step of `h` and the
    /// prediction after it.
    fn with_unknown(&self, mut known: Array2<f64>, h: f64) -> Array2<f64> {
        let halving = (4.0 / (1.0 - h) - 1.0) / h;
        for direction in self.unknown.columns() {
            for (mut row, x) in known.rows_mut().into_iter().zip(direction) {
                row.scaled_add(halving * x, &direction);
            }
        }
        known
    }
}

/// Returns b: the centre alone, or without it the complete pairs, or all corners, or in the end all that are left.
fn centre(points: SigmaPoints, survivors: &Survivors) -> Array1<f64> {
    let alone = |j: usize| survivors.contains(j);
    let parameters = points.parameters();
    let is_paired = |j: usize| match points {
        SigmaPoints::Pairs(_) if j <= parameters => alone(j) && alone(j + parameters),
        SigmaPoints::Pairs(_) => alone(j) && alone(j - parameters),
        SigmaPoints::Simplex(_) => (1..points.count()).all(alone),
    };
    let mut own: Vec<usize> = if alone(0) {
        vec![0]
    } else {
        (1..points.count()).filter(|&j| is_paired(j)).collect()
    };
    if own.is_empty() {
        own = (1..points.count()).filter(|&j| alone(j)).collect();
    }
    let mut centre = Array1::zeros(points.count());
    own.iter().for_each(|&j| centre[j] = 1.0 / own.len() as f64);
    centre
}

/// The analysis in the coordinates of S: d, and the symmetric root of (I + h E E^T)^{-1}.
struct Analysis {
    mean: Array1<f64>,
    root: Array2<f64>,
}

impl Analysis {
    /// Returns the analysis by E E^T and E Gamma^{-1/2} (z_0 - y); None where they are not finite.
    fn new(hessian: Array2<f64>, residual: &Array1<f64>, h: f64) -> Option<Self> {
        let (values, vectors) = symmetric_eigen(hessian.view())?;
        let precisions = values.mapv(|value| 1.0 + h * value.max(0.0));
        let mean = vectors.dot(&(vectors.t().dot(residual) / &precisions)) * -h;
        let root = (&vectors * &precisions.mapv(|x| x.sqrt().recip())).dot(&vectors.t());
        mean.iter()
            .all(|x| x.is_finite())
            .then_some(Self { mean, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P = 1: points at 0, 1 and -1 deviations, outputs 2, 5, -1 (slope 3 by each of them) and y = 6, h = 1/2: with I + 9/2, d = 1/2 3 4 / 5.5
    /// and the variance 1 / 5.5. A point that fails changes nothing where outputs are linear, nor does the centre.
    #[test]
    fn one_parameter_by_hand() {
        let points = SigmaPoints::Pairs(1);
        let z = [2.0, 5.0, -1.0];
        for failed in [None, Some(0), Some(1), Some(2)] {
            let survivors = Survivors::new((0..3).map(|j| Some(j) != failed).collect());
            let fit = Fit::new(points, &survivors).unwrap();
            let mut z = Array1::from(z.to_vec());
            if let Some(j) = failed {
                // What a failed point gave reaches nobody.
                z[j] = 1e9;
                assert_eq!((fit.centre[j], fit.slopes[[0, j]]), (0.0, 0.0));
            }
            let (centre, slope) = (fit.centre.dot(&z), fit.slopes.dot(&z)[0]);
            assert!((centre - 2.0).abs() < 1e-12 && (slope - 3.0).abs() < 1e-12);
            let hessian = fit.with_unknown(Array2::from_elem((1, 1), slope * slope), 0.5);
            let residual = Array1::from(vec![slope * (centre - 6.0)]);
            let step = Analysis::new(hessian, &residual, 0.5).unwrap();
            assert!((step.mean[0] - 6.0 / 5.5).abs() < 1e-12, "{}", step.mean);
            assert!((step.root[[0, 0]].powi(2) - 1.0 / 5.5).abs() < 1e-12);
        }
    }

    /// A direction of which both points failed has half of its spread after the next prediction. On a simplex the other corners make up for one that
    /// failed, but not for two.
    #[test]
    fn directions_that_no_point_tells_of_shrink_by_half() {
        let without = |points: SigmaPoints, failed: &[usize]| {
            let alive = (0..points.count()).map(|j| !failed.contains(&j));
            Fit::new(points, &Survivors::new(alive.collect())).unwrap()
        };
        let h = 0.3;
        let fit = without(SigmaPoints::Pairs(3), &[2, 5]);
        assert!(fit.slopes.row(1).iter().all(|b| *b == 0.0));
        let hessian = fit.with_unknown(Array2::zeros((3, 3)), h);
        let step = Analysis::new(hessian, &Array1::zeros(3), h).unwrap();
        let spread = step.root.diag().mapv(|x| x / (1.0 - h).sqrt());
        assert!((spread[1] - 0.5).abs() < 1e-9, "{spread}");
        assert!((spread[0] - (1.0 - h).sqrt().recip()).abs() < 1e-9);
        let simplex = SigmaPoints::Simplex(4);
        assert_eq!(without(simplex, &[3]).unknown.ncols(), 0);
        assert_eq!(without(simplex, &[3, 4]).unknown.ncols(), 1);
        // Outputs that are linear in the point have their slopes back.
        let slopes = Array1::from(vec![1.0, -2.0, 0.5, 3.0]);
        let z = simplex.coordinates().dot(&slopes) + 7.0;
        let found = without(simplex, &[3]).slopes.dot(&z);
        let off = (&found - &slopes).mapv(f64::abs);
        assert!(off.iter().all(|x| *x < 1e-9), "{found}");
    }
}
