//! Statistics of a run's final members, parameter by parameter in their own units, and what the members stand for.
//!
//! ```text
//! contraction   1 - var(z) ,  z_j = F^-1(u_j): the standard normal coordinate of the parameter's own prior law, whose prior variance is
//!               1; where the first members are the prior, 1 - var(z) / var(z of these)
//! ends          the share of members whose z lies below -2.326, or above 2.326: in the lowest or highest 1 % of the prior
//! correlation   Pearson's, of the parameters in their own units
//! ```
//!
//! All numbers are sums over members in their order: the same for any number of ranks.

mod contraction;
pub mod normal_law;
pub mod sample;

use std::borrow::Cow;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::config::{MethodKind, Rerandomise, SUM_ROUNDING};
use crate::forward::joint_prior::JointPrior;
use crate::method::sampler::BURN_IN;
use crate::run::plan::Plan;
pub use contraction::PriorSpread;
use contraction::against_prior;
use normal_law::{MembersOf, NormalLaw};
use sample::{deviation, errors, jackknife_groups, quantile, standardised};

/// The shares of the quantiles.
pub const SHARES: [f64; 5] = [0.05, 0.16, 0.5, 0.84, 0.95];
/// The misfit, in deviations of the noise, above which members are far from the noise.
pub const FAR: f64 = 3.0;
/// The largest h, and the least number of members for each parameter, at which the errors of "eks" in variances are a few per cent.
const EKS_STEP: f64 = 0.1;
const EKS_MEMBERS: usize = 20;
/// The standard normal coordinate above which 1 % of the prior lies.
const END: f64 = 2.326_347_874_040_841;
/// The share of members in 1 % of the prior from which a parameter counts as at that end.
const MANY: f64 = 0.1;
/// The least correlation that is named, also in units of its sampling error where there is none, 1/sqrt(J - 1).
const CORRELATED: f64 = 0.5;
const SAMPLING_ERRORS: f64 = 3.0;
/// The largest number of products that correlations may take.
const PRODUCTS: usize = 1 << 30;
/// The largest number of pairs that are named.
const PAIRS: usize = 20;
/// The number of pairs that are held at once while they are looked for.
const HELD: usize = 1 << 16;

/// The sum of the h of Gauss-Newton steps from which on they have converged: on a linear problem (1 - h)^n < e^-3 is left of the way.
pub const GAUSS_NEWTON: f64 = 3.0;

/// What the final members of a run are: a sample of the posterior, its moments, or a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MembersAre {
    /// A sample of the posterior.
    PosteriorSample,
    /// Points with the posterior's mean and covariance, in standard normal coordinates, but no sample of it.
    PosteriorMoments,
    /// Sigma points of a normal law with the posterior's mean and covariance, of which the statistics are.
    SigmaPoints,
    /// A fit: their spread is no error bar, for members contract as they fit, whatever the noise.
    #[default]
    Fit,
}

/// The posterior is at the time 1: where the steps' h add up to it, and nothing else moves the members. Of samplers it is from
/// the time on at which they have forgotten their start.
impl MembersAre {
    /// Returns what the members of `plan` stand for where the time is the posterior's.
    fn in_time(plan: &Plan) -> Self {
        let config = plan.config();
        let (method, ensemble) = (&config.method, &config.ensemble);
        let pure = method.tikhonov == 0.0
            && !method.momentum
            && method.momentum_coefficient == 0.0
            && ensemble.inflation.is_none()
            && ensemble.rerandomise == Rerandomise::Never
            && plan.members(plan.last_epoch()) == ensemble.members;
        match method.kind {
            MethodKind::Kalman if pure && method.perturb => Self::PosteriorSample,
            MethodKind::Etki if pure => Self::PosteriorMoments,
            MethodKind::Gnki if pure && method.perturb => Self::PosteriorSample,
            MethodKind::Aldi => Self::PosteriorSample,
            MethodKind::Uki if method.regularisation == 1.0 => Self::SigmaPoints,
            // Else its own errors, of variances by half of h and by (P + 2)/J, are not small.
            MethodKind::Eks
                if method.h.unit() <= EKS_STEP
                    && plan.parameters * EKS_MEMBERS <= ensemble.members =>
            {
                Self::PosteriorSample
            }
            _ => Self::Fit,
        }
    }

    /// Returns what the members of `plan` are to stand for at its end: a fit, unless `run.end_time` or the sum of a list of step
    /// sizes is 1; of a sampler unless it ends too early.
    #[must_use]
    pub fn aim(plan: &Plan) -> Self {
        let config = plan.config();
        let gauss_newton = matches!(config.method.kind, MethodKind::Gnki | MethodKind::Uki);
        let aims = match config.method.kind.samples() {
            true => config.run.end_time == 0.0 || config.run.end_time >= BURN_IN,
            false => gauss_newton || config.run.end_time == 1.0 || config.method.h.adds_up_to_one(),
        };
        match aims {
            true => Self::in_time(plan),
            false => Self::Fit,
        }
    }

    /// Returns true if the posterior's time is reached at `time`, the sum of the steps' h.
    #[must_use]
    pub fn is_in_time(plan: &Plan, time: f64) -> bool {
        match plan.config().method.kind {
            MethodKind::Gnki => time > GAUSS_NEWTON - SUM_ROUNDING,
            // What is left of the first covariance is (1 - h)^n.
            MethodKind::Uki => {
                let h = plan.step_size.h;
                -(1.0 - h).ln() * time / h >= BURN_IN - SUM_ROUNDING
            }
            kind if kind.samples() => time >= BURN_IN - SUM_ROUNDING,
            _ => (time - 1.0).abs() < SUM_ROUNDING,
        }
    }

    /// Returns what the members of `plan` stand for after steps whose h add up to `time`, where their `misfit` is known in deviations of
    /// the noise: members that are far from the noise are no posterior.
    #[must_use]
    pub fn at(plan: &Plan, time: f64, misfit: Option<f64>) -> Self {
        let is_near = misfit.is_none_or(|misfit| misfit <= FAR);
        match Self::is_in_time(plan, time) && is_near {
            true => Self::in_time(plan),
            false => Self::Fit,
        }
    }

    /// Returns what they are, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PosteriorSample => "a sample of the posterior",
            Self::PosteriorMoments => {
                "points with the mean and covariance of the posterior, no sample of it"
            }
            Self::SigmaPoints => {
                "sigma points of a normal law with the mean and covariance of the posterior"
            }
            Self::Fit => "a fit: their spread is no error bar",
        }
    }

    /// Returns the name of the table of members in the run's folder `final`.
    #[must_use]
    pub fn table_name(self) -> &'static str {
        match self {
            Self::PosteriorSample => "posterior.csv",
            Self::PosteriorMoments | Self::SigmaPoints | Self::Fit => "members.csv",
        }
    }
}

/// What the final members are, and their statistics.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FinalMembers {
    /// What the members are.
    pub are: MembersAre,
    /// The number of members that are counted: all but those with a parameter that is not finite.
    pub counted: usize,
    /// The number of groups of the jackknife, of which the error bars are.
    pub jackknife_groups: usize,
    /// The parameters, in the order of the prior.
    pub parameters: Vec<ParameterStatistics>,
    /// The number of further parameters that are left out here.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_parameters: usize,
    /// Pairs of free parameters whose correlation is above 0.5, and above three times 1/sqrt(J - 1): the largest first. None where they
    /// would take too long to compute.
    pub correlations: Option<Vec<Correlated>>,
    /// The number of further pairs.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_correlations: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Statistics of the members' values of one parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ParameterStatistics {
    /// Its name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The standard error of the mean.
    pub mean_error: Option<f64>,
    /// The standard deviation; None of fewer than two members.
    pub deviation: Option<f64>,
    /// The standard error of the deviation.
    pub deviation_error: Option<f64>,
    /// The quantiles 5, 16, 50, 84 and 95 %; None without members.
    pub quantiles: Option<[f64; 5]>,
    /// The standard errors of these; None of fewer than 100 members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile_errors: Option<[f64; 5]>,
    /// The contraction against the prior; None where the parameter is not free, or members did not begin as draws from `model.prior`.
    pub contraction: Option<f64>,
    /// The shares of members in the lowest and in the highest 1 % of the prior; None where the parameter is not free.
    pub ends: Option<[f64; 2]>,
    /// True if the prior has a bound below, and above.
    pub bounded: [bool; 2],
}

/// Two correlated parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Correlated {
    /// Their names.
    pub between: [String; 2],
    /// The correlation.
    pub correlation: f64,
}

impl ParameterStatistics {
    /// Returns true if many members lie at the lower end, and at the upper end, of the prior.
    #[must_use]
    pub fn at_ends(&self) -> [bool; 2] {
        self.ends.unwrap_or_default().map(|share| share > MANY)
    }

    /// Returns at which end of its prior many members lie, in words; None where at none.
    #[must_use]
    pub fn end_in_words(&self) -> Option<String> {
        let names = [("lower", "lowest"), ("upper", "highest")];
        let ends = self
            .at_ends()
            .into_iter()
            .zip(self.bounded)
            .zip(names)
            .zip(self.ends?);
        let mut at = ends.filter(|(((at, ..), _), _)| *at);
        let (((_, bounded), (side, part)), share) = at.next()?;
        let where_ = match bounded {
            true => format!("at its {side} bound"),
            false => format!("at the {side} end of its prior"),
        };
        let percent = (100.0 * share).round();
        Some(format!(
            "{} lies {where_}: {percent} % of the members are in the {part} 1 % of the prior",
            self.name
        ))
    }
}

impl FinalMembers {
    /// Returns the statistics of `members`, a row of all parameters of `prior` each, where `mean` is their mean, and `of` says what they are.
    #[must_use]
    pub fn new(of: MembersOf, prior: &JointPrior, mean: &[f64], members: ArrayView2<f64>) -> Self {
        let MembersOf {
            are,
            before,
            points,
        } = of;
        if let Some(law) = points.and_then(|points| NormalLaw::of(points, prior, members)) {
            return Self::of_law(of, (prior, &law), mean, members);
        }
        let finite = |j: &usize| members.row(*j).iter().all(|u| u.is_finite());
        let counted: Vec<usize> = (0..members.nrows()).filter(finite).collect();
        let column = |p: usize| -> Vec<f64> { counted.iter().map(|&j| members[[j, p]]).collect() };
        let parameter = |(p, name): (usize, Cow<str>)| {
            let values = column(p);
            let statistics = ParameterStatistics {
                name: name.into_owned(),
                mean: mean[p],
                ..of_values(values.clone())
            };
            against_prior(statistics, (prior, p), &values, before)
        };
        let parameters = prior.names().enumerate().map(parameter).collect();
        let error = 1.0 / (counted.len().max(2) as f64 - 1.0).sqrt();
        let (correlations, pairs) = correlations(prior, (counted.len(), error), column).unzip();
        Self {
            are,
            counted: counted.len(),
            jackknife_groups: jackknife_groups(counted.len()),
            parameters,
            more_parameters: 0,
            more_correlations: pairs.unwrap_or(0).saturating_sub(PAIRS),
            correlations,
        }
    }

    /// Returns the statistics of the `law` that sigma points `members` stand for.
    fn of_law(
        of: MembersOf,
        (prior, law): (&JointPrior, &NormalLaw),
        mean: &[f64],
        members: ArrayView2<f64>,
    ) -> Self {
        let drawn = matches!(of.before, PriorSpread::Laws);
        let parameter = |(p, &mean): (usize, &f64)| law.statistics(p, mean, drawn);
        // Correlations of the law have no sampling error.
        let found = correlations(prior, (members.nrows(), 0.0), |p| law.column(p, members));
        let (correlations, pairs) = found.unzip();
        Self {
            are: of.are,
            counted: members.nrows(),
            jackknife_groups: 0,
            parameters: mean.iter().enumerate().map(parameter).collect(),
            more_parameters: 0,
            more_correlations: pairs.unwrap_or(0).saturating_sub(PAIRS),
            correlations,
        }
    }

    /// Returns the statistics of the parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&ParameterStatistics> {
        self.parameters.iter().find(|of| of.name == name)
    }

    /// Returns these with at most `most` parameters.
    #[must_use]
    pub fn shortened(mut self, most: usize) -> Self {
        self.more_parameters += self.parameters.len().saturating_sub(most);
        self.parameters.truncate(most);
        self
    }
}

/// Returns the statistics that follow from the members' `values` alone.
fn of_values(mut values: Vec<f64>) -> ParameterStatistics {
    let error = errors(&values, SHARES);
    let deviation = deviation(&values);
    values.sort_by(f64::total_cmp);
    ParameterStatistics {
        mean_error: error.mean,
        deviation,
        deviation_error: error.deviation,
        quantile_errors: error.quantiles,
        quantiles: (!values.is_empty()).then(|| SHARES.map(|share| quantile(&values, share))),
        ..ParameterStatistics::default()
    }
}

/// Returns the pairs of free parameters whose correlation is largest, and the number of all that are correlated; None where there are
/// too many to compute.
fn correlations(
    prior: &JointPrior,
    (members, error): (usize, f64),
    column: impl Fn(usize) -> Vec<f64>,
) -> Option<(Vec<Correlated>, usize)> {
    // Cells of fields are correlated by their prior.
    let count = prior.free().count();
    if count.saturating_mul(count).saturating_mul(members) / 2 > PRODUCTS {
        return None;
    }
    let least = CORRELATED.max(SAMPLING_ERRORS * error);
    let standard = |p: usize| Some((p, standardised(&column(p))?));
    let columns: Vec<(usize, Vec<f64>)> = prior.free().filter_map(standard).collect();
    let (mut pairs, mut found) = (Vec::new(), 0);
    for (i, (p, own)) in columns.iter().enumerate() {
        for (q, other) in &columns[i + 1..] {
            let r: f64 = own.iter().zip(other).map(|(a, b)| a * b).sum();
            if r.abs() > least {
                found += 1;
                pairs.push((r.clamp(-1.0, 1.0), *p, *q));
            }
        }
        if pairs.len() > HELD {
            keep_largest(&mut pairs);
        }
    }
    keep_largest(&mut pairs);
    let named = |(correlation, p, q): (f64, usize, usize)| Correlated {
        between: [p, q].map(|p| prior.name(p).into_owned()),
        correlation,
    };
    Some((pairs.into_iter().map(named).collect(), found))
}

/// Keeps the `PAIRS` pairs (correlation, parameter, parameter) whose correlation is largest, the largest first.
fn keep_largest(pairs: &mut Vec<(f64, usize, usize)>) {
    pairs.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    pairs.truncate(PAIRS);
}

#[cfg(test)]
mod tests;
