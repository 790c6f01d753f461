//! How a simulator's run stands against the noise: what is warned of while it runs, and the verdict at its end.

use super::Record;
use crate::config::Rerandomise;
use crate::data::scores::Scores;
use crate::files::numbers::number;
use crate::run::plan::Plan;
use crate::run::stop::AT_NOISE_LEVEL;

/// Misfits, in deviations of the noise, up to which a run has converged, and from which it is far from the noise.
const NEAR: f64 = 1.5;
const FAR: f64 = 3.0;
/// A misfit that has not fallen by this share in so many steps stands still.
const FALLEN: f64 = 0.02;
const STEPS: usize = 10;
/// Members have drawn together at this share of their first spread.
const TOGETHER: f64 = 1e-3;

/// The steps of a run with a simulator, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The members' misfit in each, in deviations of the noise.
    misfits: Vec<f64>,
    first_spread: Option<f64>,
    spread: f64,
    /// Whether all members gave the same outputs in the last one.
    alike: bool,
    warned: bool,
}

/// The fields that are read of a line of metrics.jsonl.
#[derive(serde::Deserialize)]
struct Line {
    loss: f64,
    spread: f64,
    #[serde(default)]
    alike: bool,
}

impl Course {
    /// Returns the course that the `lines` of metrics.jsonl tell of.
    pub(super) fn of(plan: &Plan, lines: &[u8]) -> Self {
        let mut course = Self::default();
        for line in lines.split(|&byte| byte == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                course.add(plan, line.loss, line.spread, line.alike);
            }
        }
        course
    }

    fn add(&mut self, plan: &Plan, loss: f64, spread: f64, alike: bool) {
        let misfit = plan.in_deviations(loss * plan.batches.batch as f64);
        self.misfits.push(misfit);
        self.first_spread = self.first_spread.or(Some(spread));
        (self.spread, self.alike) = (spread, alike);
    }

    /// Adds a step; the one warning of a run that gets nowhere, once it does.
    pub(super) fn see(&mut self, plan: &Plan, record: &Record) -> Option<String> {
        self.add(plan, record.loss, record.spread, record.alike);
        let misfit = *self.misfits.last().expect("just added");
        if self.warned {
            return None;
        }
        let text = if self.alike {
            self.same_outputs()
        } else if misfit > FAR && self.is_together() {
            self.together(plan, misfit)
        } else if misfit > FAR && !self.falls(STEPS) {
            format!(
                "the misfit has stood still for {STEPS} steps at {} deviations of the noise: {}",
                number(misfit, 4),
                remedy(plan)
            )
        } else {
            return None;
        };
        self.warned = true;
        Some(format!("step {}: {text}", record.step))
    }

    /// Returns true if the misfit was lower in the last `steps` steps than before, or there are no more than these.
    fn falls(&self, steps: usize) -> bool {
        let Some(before) = self.misfits.len().checked_sub(steps).filter(|n| *n > 0) else {
            return true;
        };
        let lowest = |misfits: &[f64]| misfits.iter().copied().fold(f64::INFINITY, f64::min);
        let (before, last) = self.misfits.split_at(before);
        lowest(last) < (1.0 - FALLEN) * lowest(before)
    }

    fn is_together(&self) -> bool {
        self.first_spread
            .is_some_and(|first| self.spread <= TOGETHER * first)
    }

    fn same_outputs(&self) -> String {
        if self.spread == 0.0 {
            return "all members are the same and give the same outputs: nothing moves (ensemble.initial must \
                    hold members that differ)"
                .to_owned();
        }
        "all members gave the same outputs, so that no observation can tell the parameters: nothing moves; does the \
         simulator read them? (eki-mpi check-model shows what each parameter moves)"
            .to_owned()
    }

    fn together(&self, plan: &Plan, misfit: f64) -> String {
        format!(
            "the members' spread has collapsed, from {} to {}, at a misfit of {} deviations, far from the noise: {}",
            number(self.first_spread.unwrap_or(0.0), 3),
            number(self.spread, 3),
            number(misfit, 4),
            remedy(plan)
        )
    }

    /// Returns the verdict on a run that ended for `reason` with `scores`; none of one without a step.
    pub(super) fn verdict(&self, plan: &Plan, reason: &str, scores: &Scores) -> Option<String> {
        let members = plan.members(plan.last_epoch());
        let failed = scores.members_failed.unwrap_or(0);
        let gave = format!("{failed} of {members} final members gave no outputs");
        if 2 * failed > members {
            return Some(format!(
                "not judged: {gave} (run.log has the reasons); mend these, or narrow model.prior"
            ));
        }
        let known = scores.misfit_members.or(scores.misfit_best);
        let text = match known {
            Some(misfit) => self.known(plan, reason, misfit),
            None => self.unknown(*self.misfits.last()?),
        };
        let few = too_few(plan).filter(|_| known.is_none_or(|misfit| misfit > NEAR));
        let gave = Some(gave).filter(|_| failed > 0);
        let all: Vec<String> = std::iter::once(text).chain(few).chain(gave).collect();
        Some(all.join("; "))
    }

    /// Returns the verdict on final members that have not been simulated, and were at `misfit` before the last step.
    fn unknown(&self, misfit: f64) -> String {
        if self.alike {
            return format!("nothing moves: {}", self.same_outputs());
        }
        format!(
            "not known: the members of final/ have not been simulated; before the last step they were at a misfit of {} \
             deviations (1 is the noise's own). One more of run.steps has them simulated",
            number(misfit, 4)
        )
    }

    /// Returns the verdict on final members at `misfit`.
    fn known(&self, plan: &Plan, reason: &str, misfit: f64) -> String {
        let of = format!("a misfit of {} deviations", number(misfit, 4));
        let ended_near = reason == AT_NOISE_LEVEL;
        if self.alike {
            format!(
                "nothing moves, at {of} of the noise: {}",
                self.same_outputs()
            )
        } else if ended_near && self.misfits.is_empty() {
            format!(
                "the first members lie within the noise already, at {of}: nothing was learned; is method.noise, a variance, too \
                 large?"
            )
        } else if misfit <= NEAR {
            format!("converged to the noise, at {of} (1 is the noise's own)")
        } else if ended_near {
            let tau = plan.config().run.stop_at_misfit;
            format!("ended at {of}, as run.stop_at_misfit = {tau} asks for; the noise's own is 1")
        } else if misfit <= FAR {
            format!("ended near the noise, at {of} (1 is the noise's own)")
        } else if self.is_together() {
            self.together(plan, misfit)
        } else if !misfit.is_finite() || self.falls((self.misfits.len() / 4).clamp(1, STEPS)) {
            format!("not converged: {of}, far from the noise, and falling still: raise run.steps")
        } else {
            format!("stalled at {of}, far from the noise: {}", remedy(plan))
        }
    }
}

/// Returns advice for a run that ends far from the noise.
fn remedy(plan: &Plan) -> String {
    let method = &plan.config().method;
    let step = match method.kind.with_gain() {
        true => "a smaller method.h, method.h_schedule = \"misfit\"",
        false => "method.kind = \"kalman\", a larger method.h",
    };
    format!(
        "try {step}, more ensemble.members or a wider model.prior; or method.noise is too small for this simulator"
    )
}

/// Returns why the members of a simulator's run of `plan` cannot move in all directions, if they cannot.
#[must_use]
pub fn too_few(plan: &Plan) -> Option<String> {
    let config = plan.config();
    let (members, parameters) = (plan.members(0), plan.parameters);
    let spans = !config.model.kind.simulates()
        // The correlations of two members are 1 or -1: there is nothing to damp.
        || config.method.localisation_exponent > 0 && members > 2
        || config.ensemble.rerandomise != Rerandomise::Never;
    if spans {
        None
    } else if members <= parameters {
        let or = match members {
            2 => "",
            _ => ", or method.localisation_exponent = 1",
        };
        Some(format!(
            "ensemble.members = {members} span {} of the {parameters} parameters' directions, and the run never leaves these: \
             take more members{or}",
            members - 1
        ))
    } else {
        (members == 2).then(|| {
            "ensemble.members = 2 tell how outputs depend on the parameter from one difference only: take more members"
                .to_owned()
        })
    }
}
