//! The verdict on a run with a simulator that has ended, and what to try next.
//!
//! ```text
//! chi-square per observation   mean over members of |W (y - G(u_j))|^2 / K ,  W Gamma W^T = I
//! ```
//!
//! Of a draw u from the posterior, y - G(u) has the law of the noise (averaged over what the prior predicts), whether G is linear or
//! not: its chi-square has the law with K degrees of freedom (Yuan & Johnson, Biometrics 68 (2012) 156), and that averaged over members
//! varies less. A value outside the central 95 % of this law speaks against the model, its prior or the noise.

use serde::{Deserialize, Serialize};

use super::Reporter;
use super::course::{Course, STEPS, remedy, too_few};
use crate::config::MethodKind;
use crate::data::scores::Scores;
use crate::files::numbers::number;
use crate::kernels::chi_square;
use crate::method::sampler::BURN_IN;
use crate::run::plan::Plan;
use crate::run::statistics::{FAR, GAUSS_NEWTON, MembersAre};
use crate::run::stop::AT_NOISE_LEVEL;

/// The misfit, in deviations of the noise, up to which a run has converged.
const NEAR: f64 = 1.5;
/// One of so many members that failed in the last step, or more of them, are spoken of.
const FAILED: usize = 10;
/// The fall of half of chi-square over the last steps below which a fixed point is reached: a factor of e^(1/2) of the likelihood.
const SETTLED: f64 = 0.5;
/// The advice where members are fewer than the directions of parameters.
const DOUBLE: &str = "the members are fewer than the parameters' directions, which makes error bars too small: compare with twice as many";
/// The settings of a run whose members shall be a sample of the posterior.
const FOR_POSTERIOR: &str = "method.kind = \"kalman\", method.h_schedule = \"misfit\", method.perturb = true, run.end_time = 1, \
                             run.stop_at_misfit = 0 and some hundred members";

/// The verdict on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The verdict: what the run reached.
    pub verdict: String,
    /// The advice: what to try next.
    pub advice: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// The reason, as summary.json has it.
    pub reason: &'a str,
    /// The sum of the steps' h.
    pub time: f64,
    /// The observations K that count: all but those left out.
    pub observations: usize,
    /// The scores.
    pub scores: &'a Scores,
}

/// The chi-square per observation of the final members, and the central 95 % of its law where noise alone makes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// The mean over members.
    pub per_observation: f64,
    /// The quantiles 2.5 % and 97.5 % of chi-square with K degrees of freedom, over K.
    pub expected: [f64; 2],
    /// The number K of observations.
    pub observations: usize,
}

impl ChiSquare {
    /// Returns the chi-square of members whose `misfit` is this root mean square in deviations of the noise, over K `observations`.
    #[must_use]
    pub fn new(misfit: f64, observations: usize) -> Self {
        let share = |share| chi_square::quantile(observations, share) / observations as f64;
        Self {
            per_observation: misfit * misfit,
            expected: [0.025, 0.975].map(share),
            observations,
        }
    }

    /// Returns it in words.
    #[must_use]
    pub fn words(&self) -> String {
        let [low, high] = self.expected.map(|x| number(x, 3));
        let own = number(self.per_observation, 4);
        format!("{own} (95 % of noise alone: {low} to {high})")
    }
}

/// Returns a verdict with advice.
fn said(verdict: impl Into<String>, advice: impl Into<String>) -> Verdict {
    let (verdict, advice) = (verdict.into(), advice.into());
    Verdict { verdict, advice }
}

impl Reporter {
    /// Returns, on rank 0, what the members of `plan` are after steps whose h add up to `time`, at this `misfit` in deviations of the noise.
    #[must_use]
    pub fn members_at(&self, plan: &Plan, time: f64, misfit: Option<f64>) -> MembersAre {
        let course = self.voice.as_ref().and_then(|voice| voice.course.as_ref());
        match course {
            Some(course) => course.members_at(plan, time, misfit),
            None => MembersAre::at(plan, time, misfit),
        }
    }

    /// On rank 0 the verdict on a run with a simulator that has this `end`.
    #[must_use]
    pub fn verdict(&self, plan: &Plan, end: Ending) -> Option<Verdict> {
        let course = self.voice.as_ref()?.course.as_ref()?;
        course.verdict(plan, end)
    }
}

impl Course {
    /// Returns the verdict on a run of `plan` with this `end`; none of one without a step.
    pub(super) fn verdict(&self, plan: &Plan, end: Ending) -> Option<Verdict> {
        let members = plan.members(plan.last_epoch());
        let failed = end.scores.members_failed.unwrap_or(0);
        let gave = format!("{failed} of {members} final members gave no outputs");
        if 2 * failed > members {
            let advice =
                "run.log has the reasons they failed for: mend these, or narrow model.prior";
            return Some(said(format!("not judged: {gave}"), advice));
        }
        let known = end.scores.misfit_members.or(end.scores.misfit_best);
        let found = match known {
            Some(misfit) => self.known(plan, end, misfit),
            None => self.unknown(self.newest?),
        };
        let is_far = known.is_none_or(|misfit| misfit > NEAR);
        let few = too_few(plan);
        let is_sample = self.members_at(plan, end.time, known) != MembersAre::Fit;
        let unsure = few.as_ref().filter(|_| is_sample && !is_far);
        let unsure = unsure.map(|_| DOUBLE.to_owned());
        let few = few.filter(|_| is_far);
        let gave = match failed {
            0 => self.failing(),
            _ => Some(gave),
        };
        let mend = gave
            .as_ref()
            .map(|_| "run.log has the reasons for which members failed".to_owned());
        let join = |first: String, more: Vec<Option<String>>| {
            let all: Vec<String> = std::iter::once(first)
                .chain(more.into_iter().flatten())
                .collect();
            all.join("; ")
        };
        Some(said(
            join(found.verdict, vec![few, gave]),
            join(found.advice, vec![unsure, mend]),
        ))
    }

    /// Returns that many members failed in the last step, if they did.
    fn failing(&self) -> Option<String> {
        let (failed, members) = self.failed;
        (FAILED * failed >= members && failed > 0)
            .then(|| format!("{failed} of {members} members failed in the last step"))
    }

    /// Returns the verdict on final members that have not been simulated, and were at `misfit` before the last step.
    fn unknown(&self, misfit: f64) -> Verdict {
        if self.alike {
            return self.nothing_moves(String::new());
        }
        let misfit = number(misfit, 4);
        said(
            format!(
                "not known: the members of final/ have not been simulated; before the last step they were at a misfit of {misfit} \
                 deviations (1 is the noise's own)"
            ),
            "one more of run.steps has them simulated",
        )
    }

    /// Returns the verdict that nothing moves, `at` some misfit.
    fn nothing_moves(&self, at: String) -> Verdict {
        let (what, next) = self.same_outputs();
        let next = next.trim_start_matches([';', ' ']);
        said(format!("nothing moves{at}: {what}"), next)
    }

    /// Returns the verdict on final members at `misfit`.
    fn known(&self, plan: &Plan, end: Ending, misfit: f64) -> Verdict {
        let of = format!("a misfit of {} deviations", number(misfit, 4));
        let tau = plan.config().run.stop_at_misfit;
        let ended_near = end.reason == AT_NOISE_LEVEL;
        let is_in_time = plan.is_over(end.time) || MembersAre::is_in_time(plan, end.time);
        let are = self.members_at(plan, end.time, Some(misfit));
        let converged = || {
            said(
                format!("converged to the noise, at {of} (1 is the noise's own)"),
                format!(
                    "the members are a fit, whose spread is no error bar; for a sample of the posterior set {FOR_POSTERIOR}"
                ),
            )
        };
        if self.alike {
            self.nothing_moves(format!(", at {of} of the noise"))
        } else if ended_near && self.misfits.is_empty() {
            said(
                format!(
                    "the first members lie within the noise already, at {of}: nothing was learned"
                ),
                "is method.noise, a variance, too large?",
            )
        } else if are != MembersAre::Fit {
            posterior(plan, end, are, misfit)
        } else if MembersAre::aim(plan) != MembersAre::Fit && !ended_near && !is_in_time {
            short_of_posterior(plan, end.time)
        } else if MembersAre::aim(plan) != MembersAre::Fit && !self.is_settled(plan) {
            said(
                format!("not converged: {of}, and falling still; the members are no posterior yet"),
                "raise run.steps and go on with --resume",
            )
        } else if misfit <= NEAR {
            converged()
        } else if ended_near {
            said(
                format!(
                    "ended at {of}, as run.stop_at_misfit = {tau} asks for; the noise's own is 1"
                ),
                "lower run.stop_at_misfit towards 1 and go on with --resume, if method.noise is known so well",
            )
        } else if misfit <= FAR {
            let verdict = format!("ended near the noise, at {of} (1 is the noise's own)");
            match self.still_falls() {
                true => said(verdict, "raise run.steps and go on with --resume"),
                false => said(verdict, remedy(plan)),
            }
        } else {
            self.far(plan, is_in_time.then_some(end.observations), misfit)
        }
    }

    /// Returns what the members of `plan` are after steps whose h add up to `time`, at this `misfit`: a fit as long as the steps still lead on.
    pub(super) fn members_at(&self, plan: &Plan, time: f64, misfit: Option<f64>) -> MembersAre {
        match self.is_settled(plan) {
            true => MembersAre::at(plan, time, misfit),
            false => MembersAre::Fit,
        }
    }

    /// Returns false if the steps of `plan` go to a fixed point and have not reached it: where the simulator is far from linear the sum of h does
    /// not tell, but half of chi-square still falls by more than `SETTLED` in the last quarter of the steps.
    fn is_settled(&self, plan: &Plan) -> bool {
        let kind = plan.config().method.kind;
        if !matches!(kind, MethodKind::Gnki | MethodKind::Uki) {
            return true;
        }
        stays(&self.misfits, self.last_quarter(), plan.observed())
    }

    /// Returns the number of steps, or passes, in the last quarter of them.
    fn last_quarter(&self) -> usize {
        (self.misfits.len() / 4).clamp(1, STEPS)
    }

    /// Returns true if the misfit fell in the last quarter of the steps.
    fn still_falls(&self) -> bool {
        self.falls(self.last_quarter())
    }

    /// Returns the verdict on final members whose `misfit` is far from the noise: that over so many observations `at_end_time`, or
    /// before it.
    fn far(&self, plan: &Plan, at_end_time: Option<usize>, misfit: f64) -> Verdict {
        let of = format!("a misfit of {} deviations", number(misfit, 4));
        if self.is_together() {
            said(self.together(misfit), remedy(plan))
        } else if let Some(observations) = at_end_time {
            unexplained(plan, &ChiSquare::new(misfit, observations))
        } else if !misfit.is_finite() || self.still_falls() {
            said(
                format!("not converged: {of}, far from the noise, and falling still"),
                "raise run.steps and go on with --resume",
            )
        } else {
            said(format!("stalled at {of}, far from the noise"), remedy(plan))
        }
    }
}

/// Returns true if in the last `steps` of the `misfits`, in deviations of the noise of so many `observations`, half of chi-square has fallen by no
/// more than `SETTLED`; false where there are no steps before.
fn stays(misfits: &[f64], steps: usize, observations: usize) -> bool {
    let (before, last) = misfits.split_at(misfits.len().saturating_sub(steps));
    let lowest = |misfits: &[f64]| misfits.iter().copied().fold(f64::INFINITY, f64::min);
    let half_square = |misfit: f64| 0.5 * observations as f64 * misfit * misfit;
    half_square(lowest(before)) - half_square(lowest(last)) <= SETTLED
}

/// Returns the verdict on members of the posterior, as they `are` one, with this `misfit`, where a run of `plan` had this `end`.
fn posterior(plan: &Plan, end: Ending, are: MembersAre, misfit: f64) -> Verdict {
    let (are, is_law) = (are.words(), are == MembersAre::SigmaPoints);
    let chi = ChiSquare::new(misfit, end.observations);
    let reached = match plan.config().method.kind {
        MethodKind::Gnki | MethodKind::Uki => "the steps have converged".to_owned(),
        kind if kind.samples() => format!("after a time of {}", number(end.time, 3)),
        _ => "time 1 was reached".to_owned(),
    };
    let [low, high] = chi.expected;
    let square = format!("chi-square per observation {}", chi.words());
    if chi.per_observation > high {
        unexplained(plan, &chi)
    } else if is_law {
        // Points that lie within the law's spread have a smaller misfit than draws of it.
        said(
            format!(
                "{are}: {reached}, at a misfit of {} deviations",
                number(misfit, 4)
            ),
            "final/posterior.csv has draws of this law; where the simulator is far from linear, compare them with those of preset = \"posterior\"",
        )
    } else if chi.per_observation < low {
        said(
            format!("{are}, at a misfit below the noise: {square}"),
            "method.noise is too large, or errors of neighbouring observations are correlated: then the posterior is too wide, or wrong",
        )
    } else {
        said(
            format!("{are}: {reached}, {square}"),
            "compare the seeds 1 and 2: parameters should agree within their error bars",
        )
    }
}

/// Returns the verdict on a run of `plan` that reached the posterior's time and whose members have too large a chi-square.
fn unexplained(plan: &Plan, chi: &ChiSquare) -> Verdict {
    let time = match plan.config().run.end_time {
        0.0 => "the time of the posterior",
        _ => "run.end_time",
    };
    said(
        format!(
            "{time} was reached, but the members do not explain the data: chi-square per observation {}",
            chi.words()
        ),
        "the simulator cannot reach these data, or method.noise is too small: look at the residuals (eki-mpi evaluate RUN); if they \
         look random, take more ensemble.members",
    )
}

/// Returns the verdict on a run whose steps' h add up to `time`, short of the posterior's.
fn short_of_posterior(plan: &Plan, time: f64) -> Verdict {
    let time = number(time, 3);
    let config = plan.config();
    let end = match (config.method.h.list(), config.run.end_time) {
        _ if config.method.kind == MethodKind::Uki => {
            format!("{time}, and more are needed to forget the first covariance")
        }
        _ if config.method.kind == MethodKind::Gnki => {
            format!("{time} of the {GAUSS_NEWTON} at which \"gnki\" has converged")
        }
        (Some(_), _) => format!("{time} of the 1 of method.h"),
        (None, 0.0) => {
            format!("{time}, and {BURN_IN} are needed for members to forget their start")
        }
        (None, end) => format!("{time} of run.end_time = {end}"),
    };
    said(
        format!(
            "stopped short of the posterior: the steps' h add up to {end}; the members lie between prior and posterior"
        ),
        "raise run.steps and go on with --resume",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sampling_range_is_that_of_chi_square_over_its_degrees() {
        // scipy.stats.chi2(12).ppf([0.025, 0.975]) / 12
        let chi = ChiSquare::new(1.2, 12);
        assert!((chi.expected[0] - 0.366_982_375_6).abs() < 1e-9);
        assert!((chi.expected[1] - 1.944_722_013_2).abs() < 1e-9);
        assert_eq!(chi.words(), "1.44 (95 % of noise alone: 0.367 to 1.94)");
    }

    /// Of 12 observations half of chi-square is 6 m^2: from 1.1 to 1.08 it falls by 0.26, from 1.1 to 1.0 by 1.26.
    #[test]
    fn a_fixed_point_is_reached_when_chi_square_stays() {
        assert!(stays(&[9.0, 2.0, 1.1, 1.08], 1, 12));
        assert!(!stays(&[9.0, 2.0, 1.1, 1.0], 1, 12));
        assert!(!stays(&[9.0, 2.0, 1.1, 1.08], 2, 12));
        assert!(!stays(&[9.0], 1, 12) && !stays(&[], 1, 12));
    }
}
