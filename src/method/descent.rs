//! Gradient descent: one point goes down the loss's gradient, the baseline beside the ensemble.
//!
//! ```text
//! g_n  = (1/m) grad_u sum_i Psi(G(u, x_i), y_i)            over the batch; one longer than method.clip is cut to that length
//! u    <- v - rate_n g_n ,  v <- u + momentum (u - u_before)
//! ```
//!
//! Robbins & Monro, Ann. Math. Stat. 22 (1951) 400; the heavy ball: Polyak, USSR Comput. Math. Math. Phys. 4 (1964) 1; clipping:
//! Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063.
//!
//! It is no `Method`: it moves a point by a gradient (`gradient`), not members by their outputs, and has a step of its own,
//! `run::descent`. A plan holds a `Descent` where its method is this one, and an ensemble of one point.
//!
//! Once a step: the batch is cut into parts by its size alone; ranks and threads take whole parts, and the parts' gradients are
//! summed exactly, so that their order does not matter.

use crate::config::{
    self, Activation, DrawKind, InitialCentre, MethodKind, ModelKind, Rerandomise,
};
use crate::error::Result;
use crate::method::ProblemShape;
use crate::parallel::partition::Partition;

/// The momentum of `method.kind = "momentum-sgd"` where no coefficient is given.
const MOMENTUM: f64 = 0.9;

/// The most samples whose gradient is taken at once.
const PART: usize = 32;

/// The flops of a gradient in those of the forward map: the forward pass, and a backward pass of twice its flops.
pub const PASSES: f64 = 3.0;

/// Gradient descent as a run takes it.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// The learning rate, before the schedule of h.
    pub rate: f64,
    /// The heavy ball's momentum, 0 without.
    pub momentum: f64,
    clip: f64,
}

impl Descent {
    /// Returns the descent that `method` asks for; None where it asks for an ensemble.
    #[must_use]
    pub fn of(method: &config::Method) -> Option<Self> {
        let momentum = match (method.kind, method.momentum_coefficient) {
            (MethodKind::MomentumSgd, 0.0) => MOMENTUM,
            (MethodKind::MomentumSgd, coefficient) => coefficient,
            _ => 0.0,
        };
        method.kind.is_gradient_descent().then_some(Self {
            rate: method.rate,
            momentum,
            clip: method.clip,
        })
    }

    /// Returns the settings of an ensemble that is one point, which nothing draws anew; the rest as `given`.
    #[must_use]
    pub fn one_point(given: &config::Ensemble) -> config::Ensemble {
        config::Ensemble {
            members: 1,
            grow_to: 0,
            centre: InitialCentre::Prior,
            gamma: 0.0,
            gamma_decay: 1.0,
            rerandomise: Rerandomise::Never,
            draw: DrawKind::Full,
            whiten: 0.0,
            ..given.clone()
        }
    }

    /// Refuses keys, data or sizes that gradient descent cannot work with.
    ///
    /// # Errors
    /// One line naming the key, its value, where it was set and what is allowed.
    pub fn check(&self, problem: &ProblemShape) -> Result<()> {
        check(problem, cfg!(feature = "gradients"))
    }

    /// Returns the factor of a gradient of length `norm`: less than 1 where it is longer than method.clip.
    #[must_use]
    pub fn clipped(&self, norm: f64) -> f64 {
        if self.clip > 0.0 && norm > self.clip {
            self.clip / norm
        } else {
            1.0
        }
    }

    /// Returns the parts of a batch of `samples` whose gradients are taken one by one and summed: even, from its size alone.
    #[must_use]
    pub fn parts(samples: usize) -> Partition {
        Partition::new(samples, samples.div_ceil(PART))
    }
}

/// Refuses what a descent cannot work with, in a program that was `built` with gradients or without.
fn check(problem: &ProblemShape, built: bool) -> Result<()> {
    let config = &problem.resolved.config;
    let refuse = |key: &str, why: &str| problem.refuse(key, why);
    if !built {
        return refuse(
            "method.kind",
            "needs gradients, which this program was built without: build it with FEATURES=gradients ./launch/build \
             (cargo build --release --features gradients)",
        );
    }
    if config.model.kind.simulates() || config.model.kind == ModelKind::Linear {
        return refuse(
            "method.kind",
            "needs a network: model.kind dense, conv or recurrent",
        );
    }
    if config.model.activation == Activation::Heaviside {
        return refuse(
            "model.activation",
            "has no gradient: relu and tanh have one, and \"eki\" and \"kalman\" need none",
        );
    }
    if config.method.momentum {
        return refuse(
            "method.momentum",
            "belongs to method.kind = \"eki\" or \"kalman\": momentum-sgd has its own",
        );
    }
    if config.method.kind == MethodKind::Ogd && (config.data.batch != 1 || config.data.shuffle) {
        return refuse(
            "method.kind",
            "takes observations one at a time in their order: data.batch = 1, data.shuffle = false",
        );
    }
    if !config.ensemble.inflation.is_none() {
        return refuse("ensemble.inflation", "must be 1: there are no members");
    }
    if config.run.mixed() {
        return refuse(
            "run.precision",
            "must be \"single\" or \"double\": gradients are taken in these",
        );
    }
    if config.output.ensemble {
        return refuse(
            "output.ensemble",
            "needs method.kind = \"eki\" or \"kalman\": there is one point, final/mean.npy",
        );
    }
    problem.refuse_gain_keys()?;
    problem.refuse_mean_keys()?;
    problem.refuse_localisation()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resolved;

    fn refused_by(check: impl Fn(&ProblemShape) -> Result<()>, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let problem = ProblemShape {
            parameters: 1,
            resolved: &Resolved::new("digits", &sets).unwrap(),
            outputs: 10,
            loss: crate::config::LossKind::CrossEntropy,
        };
        let error = check(&problem).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    fn refused(built: bool, sets: &[&str]) -> String {
        refused_by(|problem| check(problem, built), sets)
    }

    #[test]
    fn what_has_no_gradient_is_refused_in_one_line() {
        let sgd = "method.kind=sgd";
        assert!(refused(false, &[sgd]).contains("--features gradients"));
        let line = refused(true, &[sgd, "model.activation=heaviside"]);
        assert!(
            line.starts_with("--set: model.activation = \"heaviside\": has no gradient"),
            "{line}"
        );
        assert!(refused(true, &[sgd, "model.kind=linear"]).contains("needs a network"));
        assert!(refused(true, &[sgd, "method.momentum=true"]).contains("momentum-sgd"));
        let clip = refused_by(|problem| problem.refuse_descent_keys(), &["method.clip=1"]);
        assert!(clip.contains("must be 0 but for gradient descent"));
        assert!(refused(true, &["method.kind=ogd"]).contains("data.batch = 1"));
        assert!(refused(true, &[sgd, "output.ensemble=true"]).contains("mean.npy"));
        assert!(refused(true, &[sgd, "ensemble.inflation=2"]).contains("no members"));
        assert!(refused(true, &[sgd, "run.precision=mixed"]).contains("\"double\""));
    }

    #[test]
    fn parts_are_even_and_small() {
        for batch in [1, 31, 32, 33, 64, 600] {
            let parts = Descent::parts(batch);
            let lengths: Vec<usize> = parts.ranges().map(|part| part.len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), batch);
            let (least, most) = (lengths.iter().min(), lengths.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1 && *most.unwrap() <= PART);
        }
    }
}
