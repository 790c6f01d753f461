//! How a simulator's run stands against the noise, step by step, and what is warned of while it runs.

use super::Record;
use crate::config::{Localise, Rerandomise};
use crate::files::numbers::number;
use crate::run::plan::Plan;
use crate::run::statistics::FAR;

/// A misfit that has not fallen by this share in so many steps stands still.
const FALLEN: f64 = 0.02;
pub(super) const STEPS: usize = 10;
/// Members have drawn together at this share of their first spread.
const TOGETHER: f64 = 1e-3;

/// The steps of a run with a simulator, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The members' misfit in each, in deviations of the noise.
    pub(super) misfits: Vec<f64>,
    first_spread: Option<f64>,
    spread: f64,
    /// Whether all members gave the same outputs in the last one.
    pub(super) alike: bool,
    /// The members that failed in the last one, and all.
    pub(super) failed: (usize, usize),
    warned: bool,
}

/// The fields that are read of a line of metrics.jsonl.
#[derive(serde::Deserialize)]
struct Line {
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
        self.misfits.push(misfit);
        self.first_spread = self.first_spread.or(Some(line.spread));
        (self.spread, self.alike) = (line.spread, line.alike);
        self.failed = (line.failed, line.members);
    }

    /// Adds a step; the one warning of a run that gets nowhere, once it does.
    pub(super) fn see(&mut self, plan: &Plan, record: &Record) -> Option<String> {
        self.add(plan, &record.into());
        let misfit = *self.misfits.last().expect("just added");
        if self.warned {
            return None;
        }
        let text = if self.alike {
            let (what, next) = self.same_outputs();
            format!("{what}: nothing moves{next}")
        } else if misfit > FAR && self.is_together() {
            format!("{}: {}", self.together(misfit), remedy(plan))
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
        || config.method.localise != Localise::None && members > 2
        || config.ensemble.rerandomise != Rerandomise::Never;
    if spans {
        None
    } else if members <= parameters {
        let or = match members {
            2 => "",
            _ => ", or method.localise = \"threshold\"",
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
