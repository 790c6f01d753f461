//! One method a file: from all members' outputs to how the ensemble moves.
//!
//! `eki` is the publication's step, `kalman` the same with the Kalman gain, `etki` its deterministic square root, `gnki` a Gauss-Newton
//! step that keeps the prior's pull, `sampler` has members walk about in the posterior, `uki` moves sigma points, `sparse` draws parameters to 0, `mean` moves the mean alone. Beside them stands
//! what serves them: the outputs that ranks bring together, anomalies, D as a matrix, products,
//! the gain, the norm, the loss, the step size and what they cost. A method knows no clock, no file and no log; it may import
//! `ensemble` and every room above it.
//!
//! To add a method: its file here, a line below and its arms in `of` and `only_form`, and its word in `config/kinds.rs`. Gradient
//! descent (`descent`) moves one point by a gradient, not members by their outputs: it is no `Method`.

pub mod anomalies;
pub mod cost;
pub mod descent;
pub mod eki;
pub(crate) mod etki;
pub mod gain;
pub(crate) mod gnki;
#[cfg(feature = "gradients")]
pub mod gradient;
pub(crate) mod interaction_matrix;
pub(crate) mod kalman;
pub mod loss;
pub mod mean;
pub mod norm;
pub mod outputs;
pub(crate) mod perturbations;
pub(crate) mod products;
pub mod sampler;
pub(crate) mod sparse;
pub mod step_size;
pub(crate) mod uki;

use ndarray::Array2;
use rayon::ThreadPool;

use crate::config::{
    Covariance, DrawKind, FormKind, HSchedule, Localise, LossKind, MethodKind, Rerandomise,
    Resolved,
};
use crate::ensemble::transform::{Form, Transform};
use crate::error::Result;
use crate::kernels::real::Real;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::outputs::Outputs;
use crate::parallel::ranks::Ranks;

/// The keys that the mean form needs, as messages name them.
pub(crate) const EACH_STEP: &str =
    "ensemble.rerandomise = \"step\" and ensemble.rerandomise_every = 1";

/// A method: from all members' outputs to how the ensemble moves in one step.
pub trait Method<T: Real>: Send + Sync {
    /// Returns its name in configurations and reports.
    fn name(&self) -> &'static str;

    /// Refuses keys, data or sizes that it cannot work with.
    ///
    /// # Errors
    /// One line naming the key, its value, where it was set and what is allowed.
    fn check(&self, problem: &ProblemShape) -> Result<()>;

    /// Returns the move of one step and ||D||_F, the same bits on all ranks for any number of ranks and threads. Called by all
    /// ranks.
    ///
    /// # Errors
    /// On all ranks alike: outputs too large to be solved with.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)>;

    /// Returns the cost of `transform` on `rank`.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost;

    /// Factors `matrix`, symmetric and positive definite, as `transform` does on every rank, so that a forecast can time it;
    /// returns false where the method factors none.
    fn factor(&self, _matrix: Array2<f64>, _pool: &ThreadPool) -> bool {
        false
    }
}

/// Returns the method that `kind` and the form of its update name.
///
/// What gradient descent, which is no `Method`, costs beside its gradient is the mean's.
#[must_use]
pub fn of<T: Real>(kind: MethodKind, form: Form) -> Box<dyn Method<T>> {
    let with_gain = kind.with_gain();
    match (kind, form) {
        (MethodKind::Etki, _) => Box::new(etki::Etki),
        (MethodKind::Gnki, _) => Box::new(gnki::Gnki),
        (MethodKind::Eks, _) => Box::new(sampler::Sampler::Eks),
        (MethodKind::Aldi, _) => Box::new(sampler::Sampler::Aldi),
        (MethodKind::Uki, _) => Box::new(uki::Uki),
        (MethodKind::Sparse, _) => Box::new(sparse::Sparse),
        (_, Form::Mean) => Box::new(mean::Mean { with_gain }),
        (MethodKind::Kalman, Form::Explicit) => Box::new(kalman::Kalman::Explicit),
        (MethodKind::Kalman, Form::Factored) => Box::new(kalman::Kalman::Factored),
        (_, Form::Explicit) => Box::new(eki::Eki::Explicit),
        (_, Form::Factored) => Box::new(eki::Eki::Factored),
    }
}

/// Returns the form of a kind's update where it has but one.
#[must_use]
pub fn only_form(kind: MethodKind) -> Option<Form> {
    match kind {
        MethodKind::Eki | MethodKind::Kalman => None,
        MethodKind::Etki
        | MethodKind::Gnki
        | MethodKind::Eks
        | MethodKind::Aldi
        | MethodKind::Uki
        | MethodKind::Sparse => Some(Form::Explicit),
        // A single point is its own mean.
        MethodKind::Sgd | MethodKind::MomentumSgd | MethodKind::Ogd => Some(Form::Mean),
    }
}

/// The problem that a method is to work with.
pub struct ProblemShape<'a> {
    /// The configuration and where its keys were set.
    pub resolved: &'a Resolved,
    /// Outputs K of a batch that are observed.
    pub outputs: usize,
    /// Parameters P.
    pub parameters: usize,
    /// The loss of its targets.
    pub loss: LossKind,
}

impl ProblemShape<'_> {
    /// Refuses the value of `key`, of which `allowed` says what is allowed, or needed for it.
    pub(crate) fn refuse(&self, key: &str, allowed: impl Into<String>) -> Result<()> {
        Err(self.resolved.error(key, allowed))
    }

    /// Refuses keys of methods with the Kalman gain, for a method without it.
    pub(crate) fn refuse_gain_keys(&self) -> Result<()> {
        let config = &self.resolved.config;
        if config.method.h_schedule == HSchedule::Misfit {
            return self.refuse(
                "method.h_schedule",
                "\"misfit\" needs method.kind = \"kalman\" or \"etki\" and method.loss = \"least-squares\"",
            );
        }
        if config.method.perturb {
            return self.refuse(
                "method.perturb",
                "needs method.kind = \"kalman\", method.loss = \"least-squares\" and members that are not redrawn at each step",
            );
        }
        if config.run.end_time > 0.0 {
            return self.refuse(
                "run.end_time",
                "needs method.kind = \"kalman\", \"etki\", \"eks\" or \"aldi\"",
            );
        }
        Ok(())
    }

    /// Checks the keys of methods that hold the prior themselves and whose result is the posterior's whatever the time: nothing else may
    /// move their members.
    pub(crate) fn check_posterior_keys(&self) -> Result<()> {
        let config = &self.resolved.config;
        let (method, ensemble) = (&config.method, &config.ensemble);
        let name = method.kind.word();
        if !config.model.kind.has_one_set() {
            let needed = format!(
                "\"{name}\" needs one set of observations: model.kind = \"process\", \"ask-tell\" or \"linear\""
            );
            return self.refuse("method.kind", needed);
        }
        let squares = method.loss == LossKind::LeastSquares;
        let form = matches!(method.form, FormKind::Auto | FormKind::Explicit);
        let never = ensemble.rerandomise == Rerandomise::Never;
        let allowed = [
            ("method.loss", squares, "must be \"least-squares\""),
            ("method.form", form, "must be \"auto\" or \"explicit\""),
            (
                "method.tikhonov",
                method.tikhonov == 0.0,
                "must be 0, as the prior is a part of it",
            ),
            ("method.perturb", !method.perturb, "must be false"),
            ("method.accept", !method.accept, "must be false"),
            ("method.momentum", !method.momentum, "must be false"),
            (
                "method.localise",
                method.localise == Localise::None,
                "must be \"none\"",
            ),
            (
                "ensemble.inflation",
                ensemble.inflation.is_none(),
                "must be 1",
            ),
            ("ensemble.rerandomise", never, "must be \"never\""),
            (
                "ensemble.grow_to",
                ensemble.grow_to <= ensemble.members,
                "must be 0",
            ),
            (
                "run.stop_at_misfit",
                config.run.stop_at_misfit == 0.0,
                "must be 0, as it samples on where the misfit is the noise's",
            ),
        ];
        match allowed.into_iter().find(|(_, is_allowed, _)| !is_allowed) {
            Some((key, _, words)) => {
                self.refuse(key, format!("{words}, with method.kind = \"{name}\""))
            }
            None => Ok(()),
        }
    }

    /// Refuses keys of gradient descent, for methods with an ensemble.
    pub(crate) fn refuse_descent_keys(&self) -> Result<()> {
        match self.resolved.config.method.clip {
            0.0 => Ok(()),
            _ => self.refuse("method.clip", "must be 0 but for gradient descent"),
        }
    }

    /// Refuses keys of the mean form, for a method that moves all members.
    pub(crate) fn refuse_mean_keys(&self) -> Result<()> {
        let (method, ensemble) = (&self.resolved.config.method, &self.resolved.config.ensemble);
        let mean = matches!(method.form, FormKind::Auto | FormKind::Mean);
        if ensemble.draw == DrawKind::LowRank && !(mean && ensemble.redrawn_each_step()) {
            let needed = format!("\"low-rank\" needs the mean form: {EACH_STEP}");
            return self.refuse("ensemble.draw", needed);
        }
        let needs = format!("needs the mean form of \"eki\" or \"kalman\": {EACH_STEP}");
        if method.rms_decay > 0.0 {
            return self.refuse("method.rms_decay", needs);
        }
        if ensemble.polyak_decay > 0.0 {
            return self.refuse("ensemble.polyak_decay", needs);
        }
        if ensemble.active_layers != [1] {
            return self.refuse_layers();
        }
        if ensemble.whiten > 0.0 {
            return self.refuse_whitening();
        }
        if method.covariance == Covariance::Sums {
            return self.refuse_sums();
        }
        Ok(())
    }

    /// Refuses blocks of layers that take turns.
    pub(crate) fn refuse_layers(&self) -> Result<()> {
        let needed = format!(
            "must be [1] but for model.kind = \"conv\", full draws and the mean form: {EACH_STEP}"
        );
        self.refuse("ensemble.active_layers", needed)
    }

    /// Refuses whitened draws.
    pub(crate) fn refuse_whitening(&self) -> Result<()> {
        let needed = format!(
            "must be 0 but for a dense or convolutional network, full draws and the mean form: {EACH_STEP}"
        );
        self.refuse("ensemble.whiten", needed)
    }

    /// Refuses covariances with the layers' pre-activations.
    pub(crate) fn refuse_sums(&self) -> Result<()> {
        let needed = "\"sums\" needs ensemble.draw = \"low-rank\" and model.kind = \"dense\"";
        self.refuse("method.covariance", needed)
    }

    /// Refuses localisation, for a method or a form that cannot correct covariances one by one.
    pub(crate) fn refuse_localisation(&self) -> Result<()> {
        if self.resolved.config.method.localise == Localise::None {
            return Ok(());
        }
        self.refuse(
            "method.localise",
            "needs the factored form of \"eki\" or \"kalman\", not in mixed precision",
        )
    }
}
