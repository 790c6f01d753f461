//! Where the time goes: phases of the step, step times, and what they come to over ranks.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A part of a run that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Phase {
    /// Members through the forward map.
    Forward,
    /// Putting D together.
    Interaction,
    /// The update, momentum, re-draws, and the exchange that overlaps them.
    Update,
    /// Agreeing with the other ranks: waiting for the slowest.
    Wait,
    /// The test set.
    Evaluate,
    /// Metrics and progress.
    Report,
    /// Saving the state.
    Checkpoint,
}

/// All phases with their names.
pub const PHASES: [(Phase, &str); 7] = [
    (Phase::Forward, "forward"),
    (Phase::Interaction, "interaction"),
    (Phase::Update, "update"),
    (Phase::Wait, "wait"),
    (Phase::Evaluate, "evaluate"),
    (Phase::Report, "report"),
    (Phase::Checkpoint, "checkpoint"),
];

/// One rank's clock.
#[derive(Debug)]
pub struct Timing {
    start: Instant,
    before: f64,
    step: Option<Instant>,
    steps: Vec<f64>,
    phases: [Duration; PHASES.len()],
}

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            before: 0.0,
            step: None,
            steps: Vec::new(),
            phases: Default::default(),
        }
    }
}

impl Timing {
    /// Runs `work`, adding its time to `phase`.
    pub fn measure<R>(&mut self, phase: Phase, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        self.phases[phase as usize] += start.elapsed();
        result
    }

    /// A step begins.
    pub fn begin_step(&mut self) {
        self.step = Some(Instant::now());
    }

    /// The step has ended.
    pub fn end_step(&mut self) {
        if let Some(start) = self.step.take() {
            self.steps.push(start.elapsed().as_secs_f64());
        }
    }

    /// The run goes on after `seconds` in other processes.
    pub fn resume(&mut self, seconds: f64) {
        self.before = seconds;
    }

    /// Seconds since the run began, less any time it lay still between processes.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Seconds this rank spent in each phase, in the order of `PHASES`.
    #[must_use]
    pub fn phases(&self) -> Vec<f64> {
        self.phases.iter().map(Duration::as_secs_f64).collect()
    }

    /// The steps' seconds: least, median, largest; None before the first.
    #[must_use]
    pub fn steps(&self) -> Option<Spread> {
        let mut sorted = self.steps.clone();
        sorted.sort_by(f64::total_cmp);
        let median = *sorted.get(sorted.len() / 2)?;
        Some(Spread {
            min: sorted[0],
            median,
            max: *sorted.last()?,
        })
    }
}
