//! EKI with the Kalman gain: the discrete ensemble Kalman filter's step.
//!
//! ```text
//! S    = W Omega W^T / J                                  J x J; Omega: Psi's curvature at Gbar, 1/Gamma for least squares
//! u    <- u - h D (I + h S)^{-1} (u - ubar)               explicit; D as in `eki`, its gradients grad Psi(Gbar) + Omega W_j
//! V_j  <- (I + h Omega W^T W / J)^{-1} V_j                factored: the same by each row of V
//! ```
//!
//! With least squares this is u_j <- u_j + C^{uw} (C^{ww} + Gamma/h)^{-1} (y - G(u_j)) (Iglesias, Law & Stuart, Inverse Problems
//! 29 (2013) 045001). Localised by a threshold or a matrix the gain is multiplied into W in place of V, so that its entries are there to be left
//! out; by distances the outputs' covariances W^T W are tapered too. With `method.perturb` each y has noise of its own,
//! N(0, Gamma/h). With other losses it is the Gauss-Newton form of the same (`gain`). Once a step: the outputs' products, a factor of
//! the smaller side, K or J, on every rank (of K where distances taper), the rows that ranks share out. Once a block of columns: the
//! update (`ensemble::transform`).

use ndarray::{Array2, Axis, s};
use rayon::ThreadPool;

use crate::config::{HSchedule, Localise, LossKind};
use crate::data::groups::Groups;
use crate::ensemble::draw;
use crate::ensemble::localisation::{Localisation, Reach};
use crate::ensemble::transform::{MemberMove, Transform};
use crate::error::Result;
use crate::kernels::panel::Packed;
use crate::kernels::real::{Real, product};
use crate::kernels::threads::for_each;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::gain::{self, Gain};
use crate::method::outputs::{Outputs, pack, picked};
use crate::method::products::{Products, gram, shared_rows, too_large};
use crate::method::{Method, ProblemShape};
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;

/// EKI with the Kalman gain, by the side of the members or of the outputs.
pub enum Kalman {
    /// By the J x J matrix D (I + h S)^{-1}.
    Explicit,
    /// By V (I + h Omega W^T W / J)^{-1} and W.
    Factored,
}

impl<T: Real> Method<T> for Kalman {
    fn name(&self) -> &'static str {
        "kalman"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        check_gain_keys(problem)?;
        problem.refuse_mean_keys()?;
        match self {
            Self::Explicit => problem.refuse_localisation(),
            Self::Factored => {
                let method = &problem.resolved.config.method;
                // What is localised has no other form, however much work a matrix of the outputs' side is.
                let (outputs, members) =
                    (problem.outputs, problem.resolved.config.ensemble.members);
                if method.localise != Localise::None || outputs <= members {
                    return Ok(());
                }
                let allowed = format!(
                    "must not be \"factored\" with method.kind = \"kalman\" and fewer members than outputs, of which there are {outputs}"
                );
                problem.refuse("method.form", allowed)
            }
        }
    }

    /// ||D||_F is that before the gain.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (comm, pool) = (ranks.comm, ranks.pool);
        let h = outputs.gain.expect("a step with the Kalman gain has its h");
        Ok(match self {
            Self::Explicit => {
                let (d, norm) = outputs.explicit_with_gain(comm, pool, h)?;
                let d = outputs.paired_if_mixed(pool, d);
                (Transform::Members(MemberMove::Matrix(d)), norm)
            }
            Self::Factored => {
                let mut factors = outputs.factors(comm, pool, 0..outputs.members.items());
                outputs.take_exact_noise(comm, pool, &mut factors)?;
                let (v, w) = (&mut factors.gradients, &mut factors.anomalies);
                let norm = outputs.factored_norm(comm, pool, v, w);
                let roots = outputs.expanded(&factors.means, 0).roots();
                let raw = match &outputs.localisation {
                    Some(localisation) if localisation.of_gain() => {
                        let by_correlations = matches!(localisation, Localisation::Correlations(_));
                        let raw = by_correlations.then(|| w.clone());
                        outputs.gain_on_anomalies(ranks, h, w, &roots)?;
                        raw
                    }
                    Some(Localisation::Near(Reach::Groups(groups))) => {
                        *v = outputs.gain_by_groups(ranks, h, (v, w, &roots), groups)?;
                        None
                    }
                    _ => {
                        outputs.gain_on_gradients(ranks, h, v, (w, &roots))?;
                        None
                    }
                };
                (outputs.by_factors(ranks, factors, raw), norm)
            }
        })
    }

    fn factor(&self, matrix: Array2<f64>, pool: &ThreadPool) -> bool {
        Gain::new(matrix, 1.0, pool).is_some()
    }

    /// With n the side that is factored, J or K, to the interaction come n^3/3 flops on every rank, half of a Gram matrix, and
    /// 2 n^2 J / R to solve for the members' rows.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let (j, k) = (sizes.members, sizes.outputs);
        match self {
            Self::Explicit => sizes.of_products((j as f64).powi(3) / 3.0, rank),
            Self::Factored => {
                let base = sizes.of_factors(4 * j * k, rank);
                let (side, long, rows) = match k > j && !sizes.tapered {
                    true => (j, k, k),
                    false => (k, j, j),
                };
                let gram = sizes.gram_flops(side, long, rank);
                let solved = sizes.solved_flops(rows, side, rank);
                let sent = sizes.rows_sent(side, side, rank) + sizes.rows_sent(rows, side, rank);
                MethodCost {
                    flops: base.flops
                        + sizes.gains as f64 * ((side as f64).powi(3) / 3.0 + gram + solved),
                    sent: base.sent + sizes.gains * sent,
                    solving: 8 * (2 * j * k + side * side),
                    side,
                    ..base
                }
            }
        }
    }
}

/// Solves with `gain` for the rows of `x`, J x K, and writes them to `out`, multiplied by `factors`. Called by all ranks.
fn solve_rows<T: Real>(
    ranks: Ranks,
    gain: &Gain,
    mut x: Array2<f64>,
    (factors, out): (&[f64], &mut Array2<T>),
) {
    shared_rows(ranks.comm, ranks.pool, &mut x, |_, rows| {
        gain.apply(rows);
        for row in rows.chunks_mut(factors.len()) {
            row.iter_mut().zip(factors).for_each(|(x, f)| *x *= f);
        }
    });
    out.zip_mut_with(&x, |out, &x| *out = T::from_f64(x));
}

/// Checks the keys of methods with the Kalman gain.
pub(crate) fn check_gain_keys(problem: &ProblemShape) -> Result<()> {
    let config = &problem.resolved.config;
    let method = &config.method;
    let squares = problem.loss == LossKind::LeastSquares;
    if method.h_schedule == HSchedule::Misfit && !squares {
        let needed = "\"misfit\" needs method.loss = \"least-squares\"";
        return problem.refuse("method.h_schedule", needed);
    }
    if method.perturb && (!squares || config.ensemble.redrawn_each_step()) {
        let needed =
            "needs method.loss = \"least-squares\" and members that are not redrawn at each step";
        return problem.refuse("method.perturb", needed);
    }
    Ok(())
}

impl<T: Real> Outputs<'_, T> {
    /// D (I + h S)^{-1}, J x J, and ||D||_F, with D = 1 c^T + S and c = W g / J; where observations are perturbed by E,
    /// (W Omega^{1/2} - E) Omega^{1/2} W^T / J takes the place of S in D.
    pub(crate) fn explicit_with_gain(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        h: f64,
    ) -> Result<(Packed<T>, f64)> {
        let count = self.survivors.count() as f64;
        let Products {
            through: mut c,
            gram,
            residual: mut d,
        } = self.products(comm, pool)?;
        c.iter_mut().for_each(|c| *c /= count);
        let norm = self.norm_by_products(&c, &d);
        d /= count;
        let gain = Gain::new(gram, h / count, pool).ok_or_else(too_large)?;
        shared_rows(comm, pool, &mut d, |_, rows| gain.apply(rows));
        gain.apply(&mut c);
        drop(gain);
        for (j, mut row) in d.rows_mut().into_iter().enumerate() {
            if self.survivors.contains(j) {
                row.iter_mut().zip(&c).for_each(|(d, c)| *d += c);
            }
        }
        Ok((pack(pool, d.mapv(T::from_f64).view(), self.buffers), norm))
    }

    /// Replaces the rows of V, J x K, by (I + h Omega W^T W / J)^{-1} of them, by the smaller side.
    pub(crate) fn gain_on_gradients(
        &self,
        ranks: Ranks,
        h: f64,
        gradients: &mut Array2<T>,
        (anomalies, roots): (&Array2<T>, &[f64]),
    ) -> Result<()> {
        let x = gain::scaled(anomalies.view(), roots);
        let inverse: Vec<f64> = roots.iter().map(|root| 1.0 / root).collect();
        let mut solved = gain::scaled(gradients.view(), &inverse);
        if !self.gain_by_members(&x) {
            let gain = self.outputs_gain(ranks, h, &x)?;
            solve_rows(ranks, &gain, solved, (roots, gradients));
            return Ok(());
        }
        // (I + s X^T X)^{-1} = I - s X^T (I + s X X^T)^{-1} X
        let (gain, scale) = self.members_gain(ranks, h, &x)?;
        let members = x.nrows();
        let mut through = Array2::zeros((members, members));
        shared_rows(ranks.comm, ranks.pool, &mut through, |first, rows| {
            let own = solved.slice(s![first..first + rows.len() / members, ..]);
            let out = draw::matrix(rows, own.nrows(), members);
            product(out, 0.0, 1.0, own, x.t());
            gain.apply(rows);
        });
        shared_rows(ranks.comm, ranks.pool, &mut solved, |first, rows| {
            let count = rows.len() / roots.len();
            let own = through.slice(s![first..first + count, ..]);
            let out = draw::matrix(rows, count, roots.len());
            product(out, 1.0, -scale, own, x.view());
        });
        for (mut row, solved) in gradients.rows_mut().into_iter().zip(solved.rows()) {
            let solved = solved.iter().zip(roots).map(|(x, root)| x * root);
            row.iter_mut()
                .zip(solved)
                .for_each(|(to, x)| *to = T::from_f64(x));
        }
        Ok(())
    }

    /// Replaces the rows of W, J x K, by (I + h W^T W Omega / J)^{-1} of them, by the smaller side.
    fn gain_on_anomalies(
        &self,
        ranks: Ranks,
        h: f64,
        anomalies: &mut Array2<T>,
        roots: &[f64],
    ) -> Result<()> {
        let x = gain::scaled(anomalies.view(), roots);
        if !self.gain_by_members(&x) {
            let gain = self.outputs_gain(ranks, h, &x)?;
            let inverse: Vec<f64> = roots.iter().map(|root| 1.0 / root).collect();
            solve_rows(ranks, &gain, x, (&inverse, anomalies));
            return Ok(());
        }
        // X (I + s X^T X)^{-1} = (I + s X X^T)^{-1} X
        let (gain, _) = self.members_gain(ranks, h, &x)?;
        let mut columns = Array2::zeros((roots.len(), x.nrows()));
        columns.zip_mut_with(&anomalies.t(), |to, &w| *to = w.as_f64());
        shared_rows(ranks.comm, ranks.pool, &mut columns, |_, rows| {
            gain.apply(rows);
        });
        anomalies.zip_mut_with(&columns.t(), |to, &x| *to = T::from_f64(x));
        Ok(())
    }

    /// Returns V with a column for each row of `groups`: of each set of observations those of V, solved with the gain of these
    /// observations alone, by V and W, J x K, and the roots of the curvature.
    fn gain_by_groups(
        &self,
        ranks: Ranks,
        h: f64,
        (gradients, anomalies, roots): (&Array2<T>, &Array2<T>, &[f64]),
        groups: &Groups,
    ) -> Result<Array2<T>> {
        let rows = groups.sets().iter().map(Vec::len).sum();
        let mut all = self.buffers.array(gradients.nrows(), rows);
        let mut rest = all.view_mut();
        for set in groups.sets() {
            let (mut own, after) = rest.split_at(Axis(1), set.len());
            rest = after;
            let of_set = |matrix: &Array2<T>| picked(matrix, set);
            let (mut v, w) = (of_set(gradients), of_set(anomalies));
            let roots: Vec<f64> = set.iter().map(|&k| roots[k]).collect();
            if !set.is_empty() {
                self.gain_on_gradients(ranks, h, &mut v, (&w, &roots))?;
            }
            own.assign(&v);
        }
        Ok(all)
    }

    /// Returns true if the gain is found by the members' side of X, J x K, because that is the smaller; the outputs' alone has entries
    /// that distances can taper.
    fn gain_by_members(&self, x: &Array2<f64>) -> bool {
        let tapered = matches!(
            self.localisation,
            Some(Localisation::Near(Reach::Distances(_)))
        );
        x.ncols() > x.nrows() && !tapered
    }

    /// I + h X X^T / J with X = W Omega^{1/2}, J x K, and h / J.
    fn members_gain(&self, ranks: Ranks, h: f64, x: &Array2<f64>) -> Result<(Gain, f64)> {
        let gram = gram(ranks.comm, ranks.pool, x.view());
        let scale = h / self.survivors.count() as f64;
        let gain = Gain::new(gram, scale, ranks.pool).ok_or_else(too_large)?;
        Ok((gain, scale))
    }

    /// I + h X^T X / J with X = W Omega^{1/2}, J x K, whose entries are tapered by the outputs' distances where these localise.
    fn outputs_gain(&self, ranks: Ranks, h: f64, x: &Array2<f64>) -> Result<Gain> {
        let mut gram = gram(ranks.comm, ranks.pool, x.t());
        if let Some(Localisation::Near(Reach::Distances(distances))) = &self.localisation {
            // The gain reads the lower triangle alone.
            let rows = gram.rows_mut().into_iter().enumerate();
            for_each(ranks.pool, rows, |_, (k, mut row)| {
                let row = &mut row.as_slice_mut().expect("row-major")[..=k];
                let mut tapers = vec![0.0; row.len()];
                distances.tapers_between(k, &mut tapers);
                let row = row.iter_mut().zip(tapers);
                row.for_each(|(product, taper)| *product *= taper);
            });
        }
        let scale = h / self.survivors.count() as f64;
        Gain::new(gram, scale, ranks.pool).ok_or_else(too_large)
    }
}
