//! The ensemble Kalman sampler (EKS) and affine invariant Langevin dynamics (ALDI): members that become a sample of the posterior.
//!
//! ```text
//! du_j = -D_j (u - ubar) dt + (P + 1)/J (u_j - ubar) dt + sqrt(2 C) dB_j      the second term in ALDI alone
//!
//! D    = 1 c^T + S ,  S = X X^T / J ,  c = X g / J         J x J; X, g (`products`): of the outputs and of the prior's part, which are
//!                                                          the parameters in its deviations; so D_j (u - ubar) = C grad Phi(u_j), C the
//!                                                          ensemble's covariance and Phi the misfit with the prior
//! N    = sqrt(2 / (h J)) Xi ,  Xi_jk ~ N(0, 1)             h N (u - ubar) has the covariance 2 h C: no root of C is taken
//!
//! ALDI   u <- u - h [(D - N) (I + h/2 S)^{-1} - (P + 1)/J I] (u - ubar)        trapezoidal rule, linear in S
//! EKS    u <- u - h [D (I + h S_0)^{-1} - N] (u - ubar)                        implicit in the prior's part S_0 of S alone
//! ```
//!
//! Garbuno-Inigo, Hoffmann, Li & Stuart, SIAM J. Appl. Dyn. Syst. 19 (2020) 412, equation 4.1 (EKS): the step in J x J form follows from
//! (I + h C C_0^{-1})^{-1} A^T = A^T (I + h S_0)^{-1}, A = u - ubar. Nuesken & Reich, arXiv:1908.10890, and Garbuno-Inigo, Nuesken & Reich,
//! SIAM J. Appl. Dyn. Syst. 19 (2020) 1633 (ALDI): the divergence of C, (P + 1)/J (u_j - ubar), makes the posterior invariant for a
//! finite number of members. It is multiplied by h like all of the drift. J counts the survivors.
//!
//! Pitfalls. Without that term variances are too small by the share (P + 2)/J. EKS's explicit step makes them too large by half of h
//! times the data's share of S and more: h well below 1 needs many steps. With the trapezoidal rule there is no such error where G is
//! linear, as u - u* is multiplied by (1 - h a/2)/(1 + h a/2) in each direction and given the variance 2 h c/(1 + h a/2)^2, of which 1/a is
//! what stays. No gradient is taken: where G is not linear over the members' spread, both sample another law than the posterior. Members
//! need J >= P + 2, or they stay within the span of the first; and as much time as it takes to forget these, `BURN_IN`.
//!
//! Once a step: the outputs' products, one factor on every rank, the draws Xi that ranks share out. Once a block of columns: the update
//! by a J x J matrix (`ensemble::transform`).

use ndarray::Array2;
use rayon::ThreadPool;

use crate::config::{HSchedule, MethodKind};
use crate::ensemble::transform::{MemberMove, Transform};
use crate::error::Result;
use crate::kernels::real::Real;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::gain::Gain;
use crate::method::loss::Loss;
use crate::method::outputs::{Outputs, pack};
use crate::method::products::{Products, shared_rows, too_large};
use crate::method::step_size::SamplerStep;
use crate::method::{Method, ProblemShape};
use crate::parallel::ranks::Ranks;

/// The sum of the steps' h from which members have forgotten their start: the mean nears the posterior's as exp(-t), in the posterior's
/// own deviations, and the covariance as exp(-2t), whatever the problem's scales.
pub const BURN_IN: f64 = 5.0;

/// One of the two samplers.
pub enum Sampler {
    /// The ensemble Kalman sampler as it was published.
    Eks,
    /// Affine invariant Langevin dynamics.
    Aldi,
}

impl<T: Real> Method<T> for Sampler {
    fn name(&self) -> &'static str {
        match self {
            Self::Eks => MethodKind::Eks.word(),
            Self::Aldi => MethodKind::Aldi.word(),
        }
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        let config = &problem.resolved.config;
        let (method, ensemble) = (&config.method, &config.ensemble);
        problem.refuse_mean_keys()?;
        problem.check_posterior_keys()?;
        let name = method.kind.word();
        let refuse = |key: &str, allowed: &str| {
            problem.refuse(key, format!("{allowed} with method.kind = \"{name}\""))
        };
        if method.h.list().is_some() {
            return refuse("method.h", "must be one number");
        }
        if method.h_schedule == HSchedule::Misfit {
            return refuse("method.h_schedule", "must be \"level\" or \"cosine\"");
        }
        let least = problem.parameters + 2;
        if ensemble.members < least {
            let allowed = format!(
                "must be at least {least}, two more than the {} parameters,",
                problem.parameters
            );
            return refuse("ensemble.members", &allowed);
        }
        Ok(())
    }

    /// ||D||_F is that of the drift, without noise.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (comm, pool) = (ranks.comm, ranks.pool);
        let step = outputs.sampler.expect("a sampler's step has its draws");
        let count = outputs.survivors.count() as f64;
        let Products {
            through: mut c,
            mut gram,
            residual: mut x,
        } = outputs.products(comm, pool)?;
        c.iter_mut().for_each(|c| *c /= count);
        let norm = outputs.norm_by_products(&c, &x);
        let h = step.size.at(norm, step.factor);
        x /= count;
        let implicit = match self {
            Self::Eks => {
                gram = outputs
                    .of_prior(&step, |prior| prior.products(comm, pool))?
                    .gram;
                h / count
            }
            Self::Aldi => h / (2.0 * count),
        };
        let gain = Gain::new(gram, implicit, pool).ok_or_else(too_large)?;
        let noise = (2.0 / (h * count)).sqrt();
        let correction = (step.parameters + 1) as f64 / count;
        let members = outputs.members.items();
        shared_rows(comm, pool, &mut x, |first, rows| {
            let own = |rows: &mut [f64], work: &mut dyn FnMut(usize, &mut [f64])| {
                let rows = (first..).zip(rows.chunks_mut(members));
                rows.for_each(|(j, row)| work(j, row));
            };
            let mut drawn = vec![0.0_f32; members];
            let mut take_noise = |j: usize, row: &mut [f64]| {
                step.draw.key(j, 0).fill_normal_f32(0, &mut drawn);
                let draws = row.iter_mut().zip(&drawn);
                draws.for_each(|(x, &xi)| *x -= noise * f64::from(xi));
            };
            own(rows, &mut |_, row| {
                row.iter_mut().zip(&c).for_each(|(x, c)| *x += c);
            });
            match self {
                Self::Eks => {
                    gain.apply(rows);
                    own(rows, &mut take_noise);
                }
                Self::Aldi => {
                    own(rows, &mut take_noise);
                    gain.apply(rows);
                    own(rows, &mut |j, row| row[j] -= correction);
                }
            }
        });
        for j in outputs.survivors.failed() {
            x.row_mut(j).fill(0.0);
        }
        let x = pack(pool, x.mapv(T::from_f64).view(), outputs.buffers);
        let x = outputs.paired_if_mixed(pool, x);
        Ok((Transform::Members(MemberMove::Matrix(x)), norm))
    }

    fn factor(&self, matrix: Array2<f64>, pool: &ThreadPool) -> bool {
        Gain::new(matrix, 1.0, pool).is_some()
    }

    /// The cost of the Kalman gain in explicit form, the draws not counted; EKS's prior has products of its own.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let all = sizes.of_products((sizes.members as f64).powi(3) / 3.0, rank);
        match self {
            Self::Aldi => all,
            Self::Eks => {
                let prior = StepSizes {
                    outputs: sizes.of_prior,
                    ..*sizes
                };
                let solved = prior.solved_flops(sizes.members, sizes.members, rank);
                let prior = prior.of_products(-solved, rank);
                MethodCost {
                    flops: all.flops + prior.flops,
                    sent: all.sent + prior.sent
                        - sizes.rows_sent(sizes.members, sizes.members, rank),
                    passing: all.passing.max(prior.passing),
                    solving: all
                        .solving
                        .max(prior.solving + 8 * sizes.members * sizes.members),
                    ..all
                }
            }
        }
    }
}

impl<T: Real> Outputs<'_, T> {
    /// Returns what `work` makes of the prior's part of these outputs alone: the last P of them.
    fn of_prior<V>(&self, step: &SamplerStep, work: impl FnOnce(&Outputs<T>) -> V) -> V {
        let observed = self.targets.len() - step.parameters;
        let selected = self.selected.slice(ndarray::s![.., observed..]).to_owned();
        let loss = Loss::LeastSquares {
            variance: vec![1.0],
        };
        work(&Outputs {
            selected: &selected,
            targets: &self.targets[observed..],
            loss: &loss,
            localisation: None,
            ..*self
        })
    }
}
