//! The plan of gradient descent, u <- u - rate_n g_n + momentum (u - u_before): one point, no ensemble.

use super::Plan;
use crate::config::Activation;
use crate::config::{Config, MethodKind, ModelKind, Resolved};
use crate::error::Result;
use crate::method::ProblemShape;
use crate::parallel::partition::Partition;

/// The momentum of `method.kind = "momentum-sgd"` where no coefficient is given.
const MOMENTUM: f64 = 0.9;

/// The most samples whose gradient is taken at once.
const PART: usize = 32;

/// Returns true if `config` asks for gradient descent rather than an ensemble.
pub(super) fn is_gradient_descent(config: &Config) -> bool {
    config.method.kind.is_gradient_descent()
}

/// Refuses keys that belong to methods with an ensemble.
pub(super) fn check_keys(problem: &ProblemShape) -> Result<()> {
    problem.refuse_gain_keys()?;
    problem.refuse_mean_keys()?;
    problem.refuse_localisation()
}

impl Plan {
    /// Returns true if one point descends a gradient, instead of an ensemble that needs none.
    #[must_use]
    pub fn is_gradient_descent(&self) -> bool {
        is_gradient_descent(self.config())
    }

    /// Returns the learning rate at `step`: method.rate, times h_decay to the power of the epochs passed.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        self.config().method.rate * self.h_factor(step)
    }

    /// Returns the factor of a gradient of length `norm`: less than 1 where it is longer than method.clip (Pascanu, Mikolov &
    /// Bengio, ICML 2013, arXiv:1211.5063).
    #[must_use]
    pub fn clipped(&self, norm: f64) -> f64 {
        let clip = self.config().method.clip;
        if clip > 0.0 && norm > clip {
            clip / norm
        } else {
            1.0
        }
    }

    /// Returns the heavy ball's momentum, 0 without.
    #[must_use]
    pub fn heavy_ball(&self) -> f64 {
        match (
            self.config().method.kind,
            self.config().method.momentum_coefficient,
        ) {
            (MethodKind::MomentumSgd, 0.0) => MOMENTUM,
            (MethodKind::MomentumSgd, coefficient) => coefficient,
            _ => 0.0,
        }
    }

    /// Returns the parts of a batch whose gradients are taken one by one and summed: even, from the batch's size alone.
    #[must_use]
    pub fn parts(&self) -> Partition {
        parts(self.batches.batch)
    }
}

fn parts(batch: usize) -> Partition {
    Partition::new(batch, batch.div_ceil(PART))
}

/// Checks the settings of gradient descent in a program that was `built` with gradients or without.
pub(super) fn check(resolved: &Resolved, built: bool) -> Result<()> {
    let config = &resolved.config;
    let refuse = |key: &str, why: &str| Err(resolved.error(key, why));
    if !is_gradient_descent(config) {
        return match config.method.clip {
            0.0 => Ok(()),
            _ => refuse("method.clip", "must be 0 but for gradient descent"),
        };
    }
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
    if config.output.ensemble {
        return refuse(
            "output.ensemble",
            "needs method.kind = \"eki\" or \"kalman\": there is one point, final/mean.npy",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(built: bool, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let resolved = Resolved::new("digits", &sets).unwrap();
        let error = check(&resolved, built).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn what_has_no_gradient_is_refused_in_one_line() {
        let sgd = "method.kind=sgd";
        assert!(refused(false, &[sgd]).contains("--features gradients"));
        assert!(check(&Resolved::new("digits", &[]).unwrap(), false).is_ok());
        let line = refused(true, &[sgd, "model.activation=heaviside"]);
        assert!(
            line.starts_with("--set: model.activation = \"heaviside\": has no gradient"),
            "{line}"
        );
        assert!(refused(true, &[sgd, "model.kind=linear"]).contains("needs a network"));
        assert!(refused(true, &["method.clip=1"]).contains("must be 0 but for gradient descent"));
        assert!(refused(true, &[sgd, "method.momentum=true"]).contains("momentum-sgd"));
        assert!(refused(true, &["method.kind=ogd"]).contains("data.batch = 1"));
        assert!(refused(true, &[sgd, "output.ensemble=true"]).contains("mean.npy"));
    }

    #[test]
    fn parts_are_even_and_small() {
        for batch in [1, 31, 32, 33, 64, 600] {
            let parts = parts(batch);
            let lengths: Vec<usize> = parts.ranges().map(|part| part.len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), batch);
            let (least, most) = (lengths.iter().min(), lengths.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1 && *most.unwrap() <= PART);
        }
    }
}
