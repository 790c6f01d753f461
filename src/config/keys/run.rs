//! Keys of a run's length, precision and evaluation, of its checkpoints and its output: `run.*`, `checkpoint.*`, `output.*`.

use serde::{Deserialize, Serialize};

use super::{ENSEMBLES, LONGEST, ONE_SET, SIMULATORS};
use crate::config::duration::Interval;
use crate::config::history::HistorySteps;
use crate::config::key::{Key, Resume, section};
use crate::config::kinds::MethodKind;
use crate::config::scope::{EVERYWHERE, Scope};
use crate::config::value::Kind::{
    AtLeast, Between, Bool, Choice, Duration, History, Integer, Text,
};
use crate::config::value::words;

/// The scope of the time at which steps end.
const TIMED: Scope = EVERYWHERE.methods(&[
    MethodKind::Kalman,
    MethodKind::Etki,
    MethodKind::Eks,
    MethodKind::Aldi,
]);

section! {
    /// Settings of a run's length, precision and evaluation.
    Run in "run" {
        /// Length of the run in epochs, passes over the training data.
        epochs: u64 = "10", Integer(1), EVERYWHERE, MayChange;
        /// Length of the run in steps, in place of run.epochs; 0 counts epochs.
        steps: u64 = "0", Between(0, LONGEST), EVERYWHERE, MayChange;
        /// Stop once the members' misfit is at most this, as a root mean square in standard deviations of the noise (discrepancy
        /// principle; 1 is the noise's own size); 0 is off.
        stop_at_misfit: f64 = "0.0", AtLeast(0.0), ONE_SET, MayChange;
        /// Stop once the sum of the step sizes h reaches this; the last step is shortened to fit. With method.perturb the members
        /// are a sample of the posterior at 1, with "eks" and "aldi", whose steps are not shortened, from 5 on. 0 is off.
        end_time: f64 = "0.0", AtLeast(0.0), TIMED, Fixed;
        /// Floating-point precision of parameters, outputs and the update.
        precision: Precision = "'single'", Choice(Precision::WORDS), EVERYWHERE, Fixed;
        /// Epochs between evaluations on the test set; 0 evaluates at the end alone.
        evaluate_every: u64 = "1", Between(0, LONGEST), EVERYWHERE, MayChange;
        /// When all members are evaluated on the test set to find the best one.
        best: Best = "'end'", Choice(Best::WORDS), ENSEMBLES, MayChange;
        /// Steps between lines of metrics.jsonl.
        report_every: u64 = "1", Between(1, LONGEST), EVERYWHERE, MayChange;
        /// Time without a finished step after which the ranks that hang are reported.
        hang_timeout: Interval = "'30min'", Duration, EVERYWHERE, MayChange;
        /// Action when ranks hang for run.hang_timeout.
        on_hang: OnHang = "'warn'", Choice(OnHang::WORDS), EVERYWHERE, MayChange;
    }
}

impl Run {
    /// Returns true if products are of bfloat16.
    #[must_use]
    pub fn mixed(&self) -> bool {
        self.precision == Precision::Mixed
    }
}

section! {
    /// Settings of checkpoints.
    Checkpoint in "checkpoint" {
        /// Time between checkpoints; one is always written at a stop and at the end.
        every: Interval = "'15min'", Duration, EVERYWHERE, MayChange;
        /// Steps between additional checkpoints; 0 goes by time alone.
        every_steps: u64 = "0", Between(0, LONGEST), EVERYWHERE, MayChange;
        /// Number of checkpoints kept; older ones are there in case the newest is damaged.
        keep: usize = "2", Between(1, 1_000_000), EVERYWHERE, MayChange;
        /// Action when a checkpoint or metrics.jsonl cannot be written.
        on_error: OnError = "'continue'", Choice(OnError::WORDS), EVERYWHERE, MayChange;
        /// Folder on another disk to which the last state is saved if the run's own disk is full; empty is none.
        fallback: String = "''", Text, EVERYWHERE, MayChange;
        /// Time for which the last state waits in memory for room on a full disk; "never" does not wait.
        wait: Interval = "'10min'", Duration, EVERYWHERE, MayChange;
    }
}

section! {
    /// Settings of what is written at the end.
    Output in "output" {
        /// Write the final ensemble (J x P) to final/ensemble.npy.
        ensemble: bool = "false", Bool, ENSEMBLES, MayChange;
        /// Steps whose members and their outputs are kept in steps/: all, every Nth, or the first and the last ("ends", which
        /// "auto" is). The last ensemble is kept once its outputs are known: "ends" and the others ask for them in ask-tell,
        /// "auto" does not.
        history: HistorySteps = "'auto'", History, SIMULATORS, MayChange;
        /// Write the numbers of metrics.jsonl also as an event file, tensorboard/events.out.tfevents, for TensorBoard.
        tensorboard: bool = "false", Bool, EVERYWHERE, MayChange;
    }
}

words! {
    /// Floating-point precisions.
    Precision {
        /// 32 bits.
        Single = "single",
        /// 32 bits, with products of bfloat16 in the update and in networks' layers (for a series in the update alone).
        Mixed = "mixed",
        /// 64 bits.
        Double = "double",
    }
}

words! {
    /// When the best member is looked for on the test set.
    Best {
        /// At each evaluation.
        Evaluation = "evaluation",
        /// At the end.
        End = "end",
        /// Never.
        Never = "never",
    }
}

words! {
    /// Actions when ranks hang.
    OnHang {
        /// Warn, and wait on.
        Warn = "warn",
        /// End the run; --resume goes on from its newest checkpoint.
        Abort = "abort",
    }
}

words! {
    /// Actions when a file of the run cannot be written.
    OnError {
        /// Go on without it.
        Continue = "continue",
        /// Stop the run.
        Stop = "stop",
    }
}
