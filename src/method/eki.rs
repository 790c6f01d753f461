//! Ensemble Kalman inversion.
//!
//! ```text
//! D_jk = (1/J) < G(u_k) - Gbar , grad Psi(G(u_j), y) >     D = V W^T / J, J x J, rows sum to zero
//! h_n  = h / (||D||_F + epsilon)                           or h_n = h (`step_size`)
//! u    <- u - h_n D (u - ubar)                             EKI
//! u    <- v - h_n D(v) (v - vbar),  v <- u + n/(n+3) (u - u_before)     MEKI: `ensemble::stages::momentum`
//! ```
//!
//! Kovachki & Stuart, Inverse Problems 35 (2019) 095005. Row j of V is the loss's gradient at member j's own outputs, row k
//! of W is G(u_k) - Gbar. Once a step: V and W from the outputs of all ranks, D or its factors, and ||D||_F. Once a block of
//! columns: the update (`ensemble::transform`).

use ndarray::{Array2, ArrayView2};

use crate::ensemble::localisation::{Correlations, Localisation, Near, Reach};
use crate::ensemble::transform::{MemberMove, Transform};
use crate::error::Result;
use crate::kernels::panel::{ROWS, in_panels};
use crate::kernels::real::Real;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::outputs::{Factors, Outputs, ROWS_PER_TASK, by_rows, pack, picked};
use crate::method::{Method, ProblemShape};
use crate::parallel::ranks::Ranks;

/// EKI by the step's forward gradient, in the form that (J, K) makes the cheaper.
pub enum Eki {
    /// By the J x J matrix D: 2 J^2 P flops a step.
    Explicit,
    /// By its factors V and W: 4 J K P flops a step.
    Factored,
}

impl<T: Real> Method<T> for Eki {
    fn name(&self) -> &'static str {
        "eki"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        problem.refuse_gain_keys()?;
        problem.refuse_mean_keys()?;
        match self {
            Self::Explicit => problem.refuse_localisation(),
            Self::Factored => Ok(()),
        }
    }

    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (members, k) = (outputs.members.items(), outputs.targets.len());
        Ok(match self {
            Self::Explicit => {
                let (d, norm) = if by_rows(members, k) {
                    outputs.explicit_by_rows(ranks.comm, ranks.pool)
                } else {
                    outputs.explicit_by_samples(ranks.comm, ranks.pool)
                };
                (
                    Transform::Members(MemberMove::Matrix(outputs.paired_if_mixed(ranks.pool, d))),
                    norm,
                )
            }
            Self::Factored => {
                let mut factors = outputs.factors(ranks.comm, ranks.pool, 0..members);
                let (v, w) = (&mut factors.gradients, &factors.anomalies);
                let norm = outputs.factored_norm(ranks.comm, ranks.pool, v, w);
                if let Some(Localisation::Near(Reach::Groups(groups))) = &outputs.localisation {
                    *v = picked(v, &groups.observations().collect::<Vec<_>>());
                }
                (outputs.by_factors(ranks, factors, None), norm)
            }
        })
    }

    /// Explicit: 2 J^2 K / R flops, by rows of D or by samples. Factored: V, W and the norm's tiles.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let (j, k) = (sizes.members, sizes.outputs);
        match self {
            Self::Explicit if sizes.by_rows() => {
                let own = sizes.rows_of(rank);
                let made = sizes.threads * ROWS_PER_TASK.min(own) * (j + k);
                let rows = own.next_multiple_of(ROWS);
                MethodCost {
                    flops: 2.0 * j as f64 * k as f64 * own as f64,
                    sent: sizes.outputs_sent(rank)
                        + sizes.number * rows * j * (sizes.ranks - 1)
                        + 8 * j,
                    kept: j * j + j * k + own * k + in_panels(k, j) + made,
                    passing: sizes.gathering(j * j.max(k)),
                    ..MethodCost::default()
                }
            }
            Self::Explicit => sizes.of_samples(rank),
            Self::Factored => sizes.of_factors(4 * j * k, rank),
        }
    }
}

impl<T: Real> Outputs<'_, T> {
    /// Returns the update by V and W, `factors`, whose room is kept for later steps. Where localisation goes by correlations, these are
    /// with W, or with `raw`, J x K, where the gain was multiplied into W.
    pub(crate) fn by_factors(
        &self,
        ranks: Ranks,
        factors: Factors<T>,
        raw: Option<Array2<T>>,
    ) -> Transform<T> {
        let Factors {
            gradients,
            anomalies,
            ..
        } = factors;
        let packed = |matrix: ArrayView2<T>| {
            self.paired_if_mixed(ranks.pool, pack(ranks.pool, matrix, self.buffers))
        };
        let factor = match &self.localisation {
            None => None,
            Some(Localisation::Correlations(factor)) => Some(*factor),
            Some(Localisation::Near(reach)) => {
                let near = Near::new(
                    reach.clone(),
                    pack(ranks.pool, gradients.view(), self.buffers),
                    anomalies.view(),
                    self.mixed,
                    self.buffers,
                );
                self.buffers.put_array(gradients);
                self.buffers.put_array(anomalies);
                return Transform::Members(MemberMove::Near(near));
            }
        };
        let correlations = factor.map(|factor| {
            let of_outputs = raw.as_ref().unwrap_or(&anomalies).view();
            let beside = raw.as_ref().map(|raw| packed(raw.t()));
            Correlations::new(of_outputs, factor, self.survivors.count(), beside)
        });
        let (v, w) = (packed(gradients.view()), packed(anomalies.t()));
        self.buffers.put_array(gradients);
        self.buffers.put_array(anomalies);
        Transform::Members(MemberMove::Factors {
            gradients: v,
            anomalies: w,
            correlations,
        })
    }
}
