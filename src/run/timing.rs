//! One rank's clock: the phases of its steps, the steps' times, and the bytes it sent in them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::parallel::comm::Comm;

/// A part of a run that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Phase {
    /// Drawing or reading the first members.
    Start,
    /// Members through the forward map.
    Forward,
    /// Putting D together.
    Interaction,
    /// The update, momentum, re-draws, and the exchange as far as it overlaps them.
    Update,
    /// The rest of the exchange: all is computed, and new parameters are still on their way.
    Exchange,
    /// Agreeing with the other ranks: waiting for the slowest.
    Wait,
    /// The test set.
    Evaluate,
    /// Metrics and progress.
    Report,
    /// Saving the state.
    Checkpoint,
}

/// All phases and their names.
pub const PHASES: [(Phase, &str); 9] = [
    (Phase::Start, "start"),
    (Phase::Forward, "forward"),
    (Phase::Interaction, "interaction"),
    (Phase::Update, "update"),
    (Phase::Exchange, "exchange"),
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
    step: Option<(Instant, u64)>,
    steps: Vec<f64>,
    sent: u64,
    phases: [Duration; PHASES.len()],
}

/// Minimum, median, mean and maximum.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The mean.
    pub mean: f64,
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
            sent: 0,
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

    /// Measures an update, and apart from it the part of its exchange through `comm` that no computation hides.
    pub fn measure_update<R>(&mut self, comm: &Comm, work: impl FnOnce() -> R) -> R {
        let before = comm.exposed();
        let result = self.measure(Phase::Update, work);
        let exposed = comm.exposed() - before;
        self.phases[Phase::Update as usize] -= exposed;
        self.phases[Phase::Exchange as usize] += exposed;
        result
    }

    /// A step begins.
    pub fn begin_step(&mut self, comm: &Comm) {
        self.step = Some((Instant::now(), comm.bytes_sent()));
    }

    /// The step has ended.
    pub fn end_step(&mut self, comm: &Comm) {
        if let Some((start, sent)) = self.step.take() {
            self.steps.push(start.elapsed().as_secs_f64());
            self.sent += comm.bytes_sent() - sent;
        }
    }

    /// Returns the seconds of this rank's updates so far: from outputs to the new members, exchange included.
    #[must_use]
    pub fn updates(&self) -> f64 {
        let of = [Phase::Interaction, Phase::Update, Phase::Exchange];
        let spent = of.map(|phase| self.phases[phase as usize].as_secs_f64());
        spent.iter().sum()
    }

    /// Bytes this rank sent in all steps.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Steps timed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.steps.len()
    }

    /// The run goes on after `seconds` in other processes.
    pub fn resume(&mut self, seconds: f64) {
        self.before = seconds;
    }

    /// Seconds since the run began, less any time it lay still between processes.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.before + self.here()
    }

    /// The seconds of earlier processes among these.
    #[must_use]
    pub fn before(&self) -> f64 {
        self.before
    }

    /// Returns the seconds in this process, to which steps, phases and bytes belong.
    #[must_use]
    pub fn here(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds this rank spent in each phase, in the order of `PHASES`.
    #[must_use]
    pub fn phases(&self) -> Vec<f64> {
        self.phases.iter().map(Duration::as_secs_f64).collect()
    }

    /// Returns the steps' seconds: least, median, largest; None before the first.
    #[must_use]
    pub fn steps(&self) -> Option<Spread> {
        let mut sorted = self.steps.clone();
        sorted.sort_by(f64::total_cmp);
        let median = *sorted.get(sorted.len() / 2)?;
        Some(Spread {
            min: sorted[0],
            median,
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            max: *sorted.last()?,
        })
    }
}
