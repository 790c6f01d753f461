//! How a simulator's run stands against the noise, step by step, and what is warned of while it runs.

use super::Record;
use crate::config::{Localise, MethodKind, Rerandomise};
use crate::files::numbers::number;
use crate::forward::joint_prior::field_names;
use crate::run::plan::Plan;
use crate::run::statistics::FAR;

/// A misfit that has not fallen by this share in so many steps stands still.
const FALLEN: f64 = 0.02;
pub(super) const STEPS: usize = 10;
/// Members have drawn together at this share of their first spread.
const TOGETHER: f64 = 1e-3;

/// The steps of a run with a simulator, as far as they are known. Where steps take some sets of observations, whose misfits cannot be
/// compared, what counts are whole passes over all sets.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The members' misfit in each step or pass, in deviations of the noise.
    pub(super) misfits: Vec<f64>,
    /// The present pass: its number, and the misfit of each of its steps and whether all members gave the same outputs in it.
    pass: (u64, Vec<(f64, bool)>),
    /// The misfit in the last step.
    pub(super) newest: Option<f64>,
    first_spread: Option<f64>,
    spread: f64,
    /// True if all members gave the same outputs in the last step or pass.
    pub(super) alike: bool,
    /// The members that failed in the last step, and all.
    pub(super) failed: (usize, usize),
    warned: bool,
}

/// The fields that are read of a line of metrics.jsonl.
#[derive(serde::Deserialize)]
struct Line {
    epoch: u64,
    loss: f64,
    spread: f64,
    #[serde(default)]
    alike: bool,
    #[serde(default)]
    failed: usize,
    #[serde(default)]
    members: usize,
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        Self {
            epoch: record.epoch,
            loss: record.loss,
            spread: record.spread,
            alike: record.alike,
            failed: record.failed,
            members: record.members,
        }
    }
}

impl Course {
    /// Returns the course that the `lines` of metrics.jsonl tell of.
    pub(super) fn of(plan: &Plan, lines: &[u8]) -> Self {
        let mut course = Self::default();
        for line in lines.split(|&byte| byte == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                course.add(plan, &line);
            }
        }
        course
    }

    fn add(&mut self, plan: &Plan, line: &Line) {
        let misfit = plan.in_deviations(line.loss * plan.batches.width() as f64);
        self.newest = Some(misfit);
        self.first_spread = self.first_spread.or(Some(line.spread));
        self.spread = line.spread;
        self.failed = (line.failed, line.members);
        let steps = match plan.takes_all_sets() {
            true => 1,
            false => plan.batches.steps_per_epoch() as usize,
        };
        self.add_step((line.epoch, steps), (misfit, line.alike));
    }

    /// Adds the misfit of a step, and whether all members gave the same outputs, to the pass of this number, which takes so many `steps`.
    fn add_step(&mut self, (pass, steps): (u64, usize), step: (f64, bool)) {
        if self.pass.0 != pass {
            self.pass = (pass, Vec::new());
        }
        let (_, found) = &mut self.pass;
        found.push(step);
        if found.len() == steps {
            self.alike = found.iter().all(|(_, alike)| *alike);
            let misfit = match found[..] {
                [(misfit, _)] => misfit,
                _ => (found.iter().map(|(m, _)| m * m).sum::<f64>() / steps as f64).sqrt(),
            };
            self.misfits.push(misfit);
            found.clear();
        }
    }

    /// Adds a step; the one warning of a run that gets nowhere, once it does.
    pub(super) fn see(&mut self, plan: &Plan, record: &Record) -> Option<String> {
        self.add(plan, &record.into());
        // In the middle of a pass nothing can be compared.
        let misfit = *self.misfits.last().filter(|_| self.pass.1.is_empty())?;
        if self.warned {
            return None;
        }
        let steps = if plan.takes_all_sets() {
            "steps"
        } else {
            "passes over all sets"
        };
        let text = if self.alike {
            let (what, next) = self.same_outputs();
            format!("{what}: nothing moves{next}")
        } else if misfit > FAR && self.is_together() {
            format!("{}: {}", self.together(misfit), remedy(plan))
        } else if misfit > FAR && !self.falls(STEPS) {
            format!(
                "the misfit has stood still for {STEPS} {steps} at {} deviations of the noise: {}",
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
    pub(super) fn falls(&self, steps: usize) -> bool {
        let Some(before) = self.misfits.len().checked_sub(steps).filter(|n| *n > 0) else {
            return true;
        };
        let lowest = |misfits: &[f64]| misfits.iter().copied().fold(f64::INFINITY, f64::min);
        let (before, last) = self.misfits.split_at(before);
        lowest(last) < (1.0 - FALLEN) * lowest(before)
    }

    /// Returns true if the members' spread has collapsed.
    pub(super) fn is_together(&self) -> bool {
        self.first_spread
            .is_some_and(|first| self.spread <= TOGETHER * first)
    }

    /// Returns what is known of members that all give the same outputs, and what to look at.
    pub(super) fn same_outputs(&self) -> (&'static str, &'static str) {
        if self.spread == 0.0 {
            return (
                "all members are the same and give the same outputs",
                " (ensemble.initial must hold members that differ)",
            );
        }
        (
            "all members gave the same outputs, so that no observation can tell the parameters",
            "; does the simulator read them? (eki-mpi check-model shows what each parameter moves)",
        )
    }

    /// Returns that the spread has collapsed at `misfit`.
    pub(super) fn together(&self, misfit: f64) -> String {
        format!(
            "the members' spread has collapsed, from {} to {}, at a misfit of {} deviations, far from the noise",
            number(self.first_spread.unwrap_or(0.0), 3),
            number(self.spread, 3),
            number(misfit, 4),
        )
    }
}

/// Returns advice for a run that ends far from the noise.
pub(super) fn remedy(plan: &Plan) -> String {
    let method = &plan.config().method;
    let step = match method.kind {
        MethodKind::Uki => {
            return "try a smaller method.h, a wider model.prior, or method.kind = \"kalman\", which follows a simulator that is far from \
                    linear; or method.noise is too small for this simulator"
                .to_owned();
        }
        kind if kind.samples() => "a smaller method.h",
        kind if kind.with_gain() => "a smaller method.h, method.h_schedule = \"misfit\"",
        _ => "method.kind = \"kalman\", a larger method.h",
    };
    format!(
        "try {step}, more ensemble.members or a wider model.prior; or method.noise is too small for this simulator"
    )
}

/// Returns why the members of a simulator's run of `plan` cannot move in all directions, or hardly move, if that is so.
#[must_use]
pub fn too_few(plan: &Plan) -> Option<String> {
    let config = plan.config();
    let (members, parameters) = (plan.members(0), plan.parameters);
    // The correlations of two members are 1 or -1: there is nothing to damp.
    let localised = config.method.localise != Localise::None && members > 2;
    let spans = !config.model.kind.simulates() || config.ensemble.rerandomise != Rerandomise::Never;
    let of_noise = field_names(&plan.resolved).find(|(_, has_modes)| !has_modes);
    let by_correlation = matches!(
        config.method.localise,
        Localise::Sec(_) | Localise::Threshold(_) | Localise::Fisher
    );
    if spans {
        None
    } else if localised {
        of_noise.filter(|_| by_correlation).map(|(field, _)| {
            format!(
                "method.localise damps nearly all that is learned of the field {field}, whose coordinates are white noise: end its entry \
                 in model.prior with `modes N`, or localise nothing"
            )
        })
    } else if members <= parameters {
        let or = match (members, of_noise) {
            (2, _) => String::new(),
            (_, None) => ", or method.localise = \"threshold\"".to_owned(),
            (_, Some((field, _))) => {
                format!(
                    ", or few directions: end the entry of the field {field} in model.prior with `modes N`"
                )
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of misfits 9, 3 and 1 in turn: only whole passes are compared.
    #[test]
    fn misfits_of_different_sets_are_not_compared() {
        let mut course = Course::default();
        for step in 0..8_u64 {
            let misfit = [9.0, 3.0, 1.0][step as usize % 3] * 0.9_f64.powi(step as i32 / 3);
            course.add_step((1 + step / 3, 3), (misfit, step % 3 == 2));
        }
        let whole = (91.0_f64 / 3.0).sqrt();
        assert_eq!(course.misfits.len(), 2);
        assert!((course.misfits[0] - whole).abs() < 1e-12);
        assert!((course.misfits[1] - 0.9 * whole).abs() < 1e-12);
        // One set that tells nothing is not all.
        assert!(course.falls(1) && !course.alike);
        // A run that goes on within a pass does not know the pass.
        let mut later = Course::default();
        later.add_step((4, 3), (1.0, false));
        later.add_step((5, 3), (1.0, false));
        assert_eq!(later.misfits, [0.0; 0]);
    }
}
