//! The arrays that a full ensemble keeps beside its members.

use super::Plan;
use crate::config::{Config, Inflation, MethodKind, MomentumOf, PriorSource, Rerandomise};
use crate::ensemble::transform::Form;
use crate::error::Result;

/// The arrays that a full ensemble keeps beside its members.
#[derive(Clone, Copy, Debug)]
pub struct ExtraArrays {
    /// u, J x P, where momentum moves each member on to v, or a prediction sigma points.
    pub previous: bool,
    /// The centre of the members' draws, and their mean before momentum moved it on to that: two rows of P numbers. Where members
    /// are redrawn at each step, or momentum is of the mean alone.
    pub centres: bool,
    /// The number J_0 of first members that are kept where they are the prior of draws and of the misfit, (J_0 + 1) x P with
    /// their mean.
    pub sample: Option<usize>,
}

impl ExtraArrays {
    /// Returns the arrays of runs of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let method = &plan.config().method;
        let of_mean = method.momentum && method.momentum_of == MomentumOf::Mean;
        let centres = of_mean || plan.redraws_each_step();
        Self {
            previous: method.momentum && !centres || method.kind == MethodKind::Uki,
            centres,
            sample: plan.uses_sample().map(|_| plan.config().ensemble.members),
        }
    }
}

impl Plan {
    /// Returns true if the first members are read from a file.
    #[must_use]
    pub fn begins_from_file(&self) -> bool {
        self.config().ensemble.initial != "prior"
    }

    /// Returns true if the first members, read from a file, are themselves the prior: theirs is the prior's covariance.
    #[must_use]
    pub fn sample_is_prior(&self) -> bool {
        let is_sample = self.config().ensemble.prior == PriorSource::Sample;
        is_sample && self.begins_from_file() && self.form(self.members(0)) != Form::Mean
    }

    /// Returns the key by which the first members' covariance is used after the start, where they are the prior.
    #[must_use]
    pub fn uses_sample(&self) -> Option<&'static str> {
        self.sample_is_prior()
            .then(|| key_with_prior(self.config()))
            .flatten()
    }

    /// Returns true if the first members are the prior, and that is a part of the misfit: their covariance must have an inverse.
    #[must_use]
    pub fn whitens_by_sample(&self) -> bool {
        self.sample_is_prior() && self.config().method.prior_weight() > 0.0
    }

    /// Refuses a prior of the first members' where there is none, or where it has no meaning.
    pub(super) fn check_sample(&self) -> Result<()> {
        let config = self.config();
        let key = "ensemble.prior";
        if config.ensemble.prior == PriorSource::Sample && !self.sample_is_prior() {
            let needed = "\"sample\" needs a file of members in ensemble.initial, of which all are kept (not method.form = \"mean\")";
            return Err(self.resolved.error(key, needed));
        }
        let least = self.parameters + 1;
        if self.whitens_by_sample() && config.ensemble.members < least {
            let what = match config.method.kind.holds_prior() {
                true => "method.kind",
                false => "method.tikhonov",
            };
            let needed = format!(
                "must be at least {least}, one more than parameters, where the first members are the prior (ensemble.prior = \"sample\") \
                 and {what} needs the inverse of their covariance; method.perturb holds the prior without it"
            );
            return Err(self.resolved.error("ensemble.members", needed));
        }
        Ok(())
    }
}

/// Returns the first key by which the prior's covariance is used after the start.
#[must_use]
pub fn key_with_prior(config: &Config) -> Option<&'static str> {
    let (method, ensemble) = (&config.method, &config.ensemble);
    let uses = [
        (
            "ensemble.rerandomise",
            ensemble.rerandomise != Rerandomise::Never,
        ),
        ("ensemble.grow_to", ensemble.grow_to > ensemble.members),
        (
            "ensemble.inflation",
            matches!(ensemble.inflation, Inflation::Additive(_)),
        ),
        ("method.tikhonov", method.tikhonov > 0.0),
        ("method.kind", method.kind.holds_prior()),
    ];
    let used = uses.into_iter().find(|(_, used)| *used);
    used.map(|(key, _)| key)
}
