//! Sparse ensemble Kalman inversion: the Kalman step of each member under an l1 penalty, for parameters most of which are 0.
//!
//! ```text
//! u_j <- argmin 1/2 |u - u_j|^2_C + h (1/2 |y - G(u_j) - G' (u - u_j)|^2_Gamma + lambda |u|_1)      C, G' by the ensemble
//! u_ji <- 0 where |u_ji| < threshold
//! ```
//!
//! Schneider, Stuart & Wu, J. Comput. Phys. 470 (2022) 111559. The Kalman step is `kalman`'s, by the J x J matrix; the penalty and the threshold are a
//! stage of each block of columns (`ensemble::stages::sparse`, which has the formulas and how they are solved). All P parameters are one
//! block, so that the penalised step is exact: P is at most 128.
//!
//! Pitfalls. A parameter that is 0 in all members has no spread, and stays 0: h lambda that is large from the start removes parameters for
//! good. Members contract as they fit, and what is left of the way to the lasso's minimum falls as their spread does, as t^{-1/2}: take long
//! steps. Inflation keeps members apart, of which each minimises for itself, so that their mean is no minimum. The penalty biases the
//! parameters that stay towards 0: fit these alone, without it, for their values. Priors are normal with mean 0, as 0 is what a parameter is
//! drawn to.
//!
//! Once a step: the Kalman step's products and solves, on every rank. Once a block of columns: the update by a J x J matrix, and the penalty
//! by one thread.

use ndarray::Array2;
use rayon::ThreadPool;

use crate::config::{FormKind, Localise, LossKind, Rerandomise};
use crate::ensemble::transform::Transform;
use crate::error::Result;
use crate::forward::joint_prior::JointPrior;
use crate::kernels::real::Real;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::kalman::Kalman;
use crate::method::outputs::Outputs;
use crate::method::{Method, ProblemShape};
use crate::parallel::partition::BLOCK;
use crate::parallel::ranks::Ranks;

/// The sparse step.
pub struct Sparse;

/// Returns the deviations by which coordinates become the parameters of `prior`, P numbers; None where one is no normal law with mean 0
/// at a coordinate of its own.
#[must_use]
pub fn scales(prior: &JointPrior) -> Option<Vec<f64>> {
    let count = prior.coordinates();
    if prior.free().count() != count {
        return None;
    }
    // Correlated parameters, or laws that are not normal, are not multiples of their own coordinates.
    let at = |p: usize, x: f64| {
        let mut xi = vec![0.0; count];
        xi[p] = x;
        prior.at(&xi)
    };
    let scale = |(p, number): (usize, usize)| {
        let (one, far) = (at(p, 1.0), at(p, 4.0));
        let alone = prior
            .free()
            .all(|other| other == number || one[other] == at(p, 0.0)[other]);
        let scale = one[number];
        let is_multiple = (far[number] - 4.0 * scale).abs() <= 1e-9 * scale.abs();
        (alone && is_multiple && at(p, 0.0)[number] == 0.0).then_some(scale)
    };
    prior.free().enumerate().map(scale).collect()
}

impl<T: Real> Method<T> for Sparse {
    fn name(&self) -> &'static str {
        "sparse"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        let config = &problem.resolved.config;
        let (method, ensemble) = (&config.method, &config.ensemble);
        problem.refuse_mean_keys()?;
        if !config.model.kind.has_one_set() {
            return problem.refuse(
                "method.kind",
                "\"sparse\" needs one set of observations: model.kind = \"process\", \"ask-tell\" or \"linear\"",
            );
        }
        if problem.parameters > BLOCK {
            let allowed = format!(
                "\"sparse\" takes at most {BLOCK} parameters, and there are {}",
                problem.parameters
            );
            return problem.refuse("method.kind", allowed);
        }
        let prior = JointPrior::of(problem.resolved)?;
        if prior.is_some_and(|prior| scales(&prior).is_none()) {
            return problem.refuse(
                "model.prior",
                "must be normal laws with mean 0, not correlated, as in \"a normal 0 1\", with method.kind = \"sparse\"",
            );
        }
        let allowed = [
            (
                "method.penalty",
                method.penalty > 0.0 || method.threshold > 0.0,
                "or method.threshold must be greater than 0",
            ),
            (
                "method.loss",
                method.loss == LossKind::LeastSquares,
                "must be \"least-squares\"",
            ),
            (
                "method.form",
                matches!(method.form, FormKind::Auto | FormKind::Explicit),
                "must be \"auto\" or \"explicit\"",
            ),
            (
                "method.localise",
                method.localise == Localise::None,
                "must be \"none\"",
            ),
            ("method.perturb", !method.perturb, "must be false"),
            ("method.momentum", !method.momentum, "must be false"),
            (
                "ensemble.rerandomise",
                ensemble.rerandomise == Rerandomise::Never,
                "must be \"never\"",
            ),
            (
                "ensemble.grow_to",
                ensemble.grow_to <= ensemble.members,
                "must be 0",
            ),
            ("run.end_time", config.run.end_time == 0.0, "must be 0"),
        ];
        match allowed.into_iter().find(|(_, is_allowed, _)| !is_allowed) {
            Some((key, _, words)) => {
                problem.refuse(key, format!("{words} with method.kind = \"sparse\""))
            }
            None => Ok(()),
        }
    }

    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        Kalman::Explicit.transform(outputs, ranks)
    }

    fn factor(&self, matrix: Array2<f64>, pool: &ThreadPool) -> bool {
        Method::<T>::factor(&Kalman::Explicit, matrix, pool)
    }

    /// The cost of the Kalman step; the penalty's few sweeps over at most 128 parameters are left out.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        Method::<T>::cost(&Kalman::Explicit, sizes, rank)
    }
}
