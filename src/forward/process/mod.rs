//! A user's simulator as the forward map: a program in any language, started by each thread of each rank, kept
//! alive, and asked over its standard input.
//!
//! A question is one line: a number for each parameter of `model.prior`, also fixed and tied ones, in its order and unit, with all their digits,
//! separated by blanks. The answer is one line: K numbers, one for each observation, separated by blanks or commas (as
//! `numbers` reads them), or `failed` with a reason. Nothing else may stand on standard output, not even an empty line; standard error is free. Output
//! must be flushed after each answer, or both sides wait for ever. At the end of its input the program ends.
//!
//! With `model.numbered = true` each question begins with a number, counted from 1 for each process that is started, and the
//! answer, also `failed`, begins with the same number: no line can be taken for the answer to another question. In Python
//! (`tests/simulator/logistic.py`, with its configuration beside it):
//!
//! ```python
//! import sys
//!
//! def simulate(growth, capacity):
//!     x, outputs = 0.1, []
//!     for month in range(12):
//!         for _ in range(100):
//!             x += 0.01 * growth * x * (1 - x / capacity)
//!         outputs.append(x)
//!     return outputs
//!
//! for line in sys.stdin:                          # one member a line: its number, its parameters
//!     number, *u = line.split()
//!     try:
//!         print(number, *simulate(*map(float, u)), flush=True)
//!     except (ArithmeticError, TypeError, ValueError) as reason:
//!         print(number, "failed:", reason, flush=True)    # it is left out and redrawn
//! ```
//!
//! | what the program does | what happens |
//! |---|---|
//! | it answers `failed`, or with NaN, NA, infinities or an empty field | the member is left out of the step and redrawn from the others |
//! | its answer is an empty line or not K numbers, it crashes, or it takes longer than `model.timeout` (never by default) | the same, and the program is started anew |
//! | it ends between two questions, as one that answers once and ends | it is started anew and asked the question again: no member is lost |
//! | it is ended from outside (SIGKILL, SIGTERM) | it is started anew and asked once more: the member is not to blame |
//! | it prints a line that nobody asked for, or gives no numbers where a new process does | what it answered in this step is asked again of a new process; if that happens again the run ends with the reason, for answers may belong to other members |
//!
//! Where the table of observations has a column `set`, each process is for one set, and answers with the outputs of that set alone, in the
//! table's order: `{set}` in a word of `model.command` becomes the set's name, which is EKI_SET in the environment, too. A member of a
//! step is asked of one process for each set that the step takes (`sets`). Processes of sets that a step does not take are ended.
//!
//! Lines that nobody asked for are looked for before each question, and for a moment when the simulator is first tried, by
//! `check-model`, and at the end of each step. One that comes later still may be taken for an answer: only numbers rule that out.
//!
//! Each rank tells each reason for a failure once; the run's log counts them and holds the last lines of standard error.
//!
//! It is started in the folder where eki-mpi is, but by `evaluate --run-command` in the one where the run was started. A word of
//! `model.command` with a slash or a dot that names no file there, but one beside the configuration file, becomes that file's
//! path; a program's name without a slash is looked for in PATH.
//!
//! Every child is a process of its own: name scratch files by its process id. Its environment is eki-mpi's but for the
//! variables of MPI launchers (OMPI_*, PMIX_*, PMI_* ...) and of a Slurm step (SLURM_STEP_ID, SLURM_PROCID ...), so that it may
//! use MPI itself. What it started ends with it, also where it crashed and in sessions of their own: its process group, and
//! on Linux all that has its `EKI_SIMULATOR` in its environment. Children end with their rank; what they started may outlive
//! a rank that is killed, and so may a program behind a shell script that does not end in `exec program`.
//!
//! A signal to stop is obeyed at once: the step's simulations are given up, and the run is saved as the last step left it. What
//! had been answered by then, or when a run was killed, is not asked again (`kept`).
//!
//! A run repeats to the bit as far as the simulator does. A time-out, or noise of its own, depends on more than that.

mod asking;
mod child;
mod failure;
mod halt;
pub mod kept;
mod leftovers;
mod map;
mod messages;
mod protocol;
mod round;
mod sets;
mod starter;
mod variables;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::data::observed::ObservedOutputs;
use crate::forward::joint_prior::JointPrior;
pub use asking::Renewed;
pub use child::Child;
pub use failure::Failure;
pub use halt::Halt;
use kept::KeptOutputs;
pub use protocol::numbers;
use round::Round;
pub use round::Settled;
use sets::OfSet;
use starter::Starter;

/// The largest number of different reasons for failures that one rank logs; the rest are only counted.
const TOLD: usize = 10;
/// The time that dismissed processes may take to end.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between two looks at lines that nobody asked for.
const PAUSE: Duration = Duration::from_millis(5);

/// The command of a simulator and the protocol of its questions.
#[derive(Clone, Debug)]
pub struct Simulator {
    /// The words that start it.
    pub command: Vec<String>,
    /// The folder it is started in, where that is not this program's.
    pub folder: Option<PathBuf>,
    /// The longest time for one answer.
    pub timeout: Option<Duration>,
    /// True if each question begins with a number that its answer repeats.
    pub numbered: bool,
    /// The set of observations that it is for, where there are sets: `{set}` in the words that start it, and EKI_SET in its
    /// environment.
    pub set: Option<String>,
}

/// G(u) by a program that is asked; coordinates N(0, I), mapped to the parameters by their `JointPrior`.
#[derive(Debug)]
pub struct Process {
    simulator: Simulator,
    prior: Arc<JointPrior>,
    outputs: ObservedOutputs,
    starter: Starter,
    /// One for each set of observations, where there are sets: these are asked in its place.
    sets: Vec<OfSet>,
    /// The sets that are asked now; None: all.
    asked: Mutex<Option<Vec<usize>>>,
    /// The number of members simulated at once; 0: one per thread.
    at_once: AtomicUsize,
    halt: OnceLock<Halt>,
    /// Children that wait for a question: as many as threads have ever asked at once.
    idle: Mutex<Vec<Numbered>>,
    /// Answers since the processes were last found to be in step with their questions.
    round: Mutex<Round>,
    /// Parameters at which the simulator was tried before the run, and their outputs.
    tried: OnceLock<(Vec<f64>, Vec<f64>)>,
    /// Outputs that a run that is killed leaves to the next.
    kept: Mutex<Option<KeptOutputs>>,
    /// The reasons for failures that were logged.
    told: Mutex<Vec<String>>,
    renewed: Mutex<Renewed>,
}

/// A child and its number among all that were started.
#[derive(Debug)]
struct Numbered {
    child: Child,
    number: u64,
}

impl Process {
    /// The program `simulator`, asked with the parameters of `prior` for numbers of which the `outputs` are observed, K. Nothing is
    /// started yet.
    #[must_use]
    pub fn new(
        simulator: Simulator,
        prior: impl Into<Arc<JointPrior>>,
        outputs: impl Into<ObservedOutputs>,
    ) -> Self {
        let (prior, outputs) = (prior.into(), outputs.into());
        // The longest number text holds is under 400 characters; they are rarely over 25.
        let starter = Starter::new(simulator.clone(), 4096 + 64 * outputs.total());
        Self {
            simulator,
            prior,
            outputs,
            starter,
            sets: Vec::new(),
            asked: Mutex::default(),
            at_once: AtomicUsize::new(0),
            halt: OnceLock::new(),
            idle: Mutex::default(),
            round: Mutex::default(),
            tried: OnceLock::new(),
            kept: Mutex::default(),
            told: Mutex::default(),
            renewed: Mutex::default(),
        }
    }

    /// The parameters' names and prior.
    #[must_use]
    pub fn joint_prior(&self) -> &JointPrior {
        &self.prior
    }

    /// Sets the number of members simulated at once to `count`, however many threads compute.
    pub fn simulate_at_once(&self, count: usize) {
        self.at_once.store(count, Ordering::Relaxed);
    }

    /// Returns the number of members simulated at once, if it was set.
    #[must_use]
    pub fn at_once(&self) -> Option<usize> {
        Some(self.at_once.load(Ordering::Relaxed)).filter(|&count| count > 0)
    }

    /// Gives up waits, from now on, when `halt` says so. Only the first call counts.
    pub fn heed(&self, halt: Halt) {
        for part in &self.sets {
            part.process.heed(halt.clone());
        }
        let _ = self.halt.set(halt);
    }

    /// Returns the command, the protocol, and the outputs that are observed.
    #[must_use]
    pub fn asked_for(&self) -> (&Simulator, &ObservedOutputs) {
        (&self.simulator, &self.outputs)
    }

    /// The `outputs` at the parameters `u` are known: they are not simulated again. Only the first call counts.
    pub fn know(&self, u: Vec<f64>, outputs: Vec<f64>) {
        let _ = self.tried.set((u, outputs));
    }

    /// The outputs at the parameters `u`, to the bit, if the simulator was tried there.
    fn tried_at(&self, u: &[f64]) -> Option<Vec<f64>> {
        let same = |at: &[f64]| at.iter().zip(u).all(|(at, u)| at.to_bits() == u.to_bits());
        let tried = self.tried.get();
        let tried = tried.filter(|(at, _)| at.len() == u.len() && same(at));
        tried.map(|(_, outputs)| outputs.clone())
    }

    /// Keeps outputs, from now on, in `kept`; those in it are not simulated again.
    pub fn keep_outputs(&self, kept: Option<KeptOutputs>) {
        *self.kept.lock().expect("no thread panicked") = kept;
    }

    /// Calls `change` with what keeps outputs, where they are kept.
    pub fn with_kept<R>(&self, change: impl FnOnce(&mut KeptOutputs) -> R) -> Option<R> {
        self.kept
            .lock()
            .expect("no thread panicked")
            .as_mut()
            .map(change)
    }

    /// Returns the outputs at `u`, asked of a process that waits or of a new one, as `ask_again` does.
    ///
    /// # Errors
    /// As `ask`.
    pub fn outputs_at(&self, u: &[f64]) -> Result<Vec<f64>, Failure> {
        let waiting = self.idle.lock().expect("no thread panicked").pop();
        let asked = Instant::now();
        let (waiting, number) = waiting.map(|w| (w.child, w.number)).unzip();
        let (answer, child) = self.ask_again(waiting, u);
        let mut round = self.round.lock().expect("no thread panicked");
        // A child that took another's place has its number: what one answered is trusted no longer than the other.
        let number = number.unwrap_or_else(|| round.number());
        match &answer {
            Err(failure @ (Failure::Unasked(_) | Failure::Misplaced(_))) => {
                self.distrust(&mut round, number, failure);
            }
            Err(Failure::GivenUp) => round.give_up(),
            Err(Failure::Lost(_)) => {}
            answer => {
                let outputs = answer.as_ref().ok().map(Vec::as_slice);
                round.keep(u, outputs, (number, asked.elapsed()));
            }
        }
        drop(round);
        if let Ok(outputs) = &answer {
            self.with_kept(|kept| kept.keep((u, &[]), outputs, asked.elapsed()));
        }
        if let Some(child) = child {
            let mut idle = self.idle.lock().expect("no thread panicked");
            idle.push(Numbered { child, number });
        }
        answer
    }

    /// Drops all that the child `child` answered in this `round`, and what is kept: a line came that nobody asked for, as
    /// `failure` says.
    fn distrust(&self, round: &mut Round, child: u64, failure: &Failure) {
        round.distrust(child, &failure.to_string());
        self.with_kept(KeptOutputs::forget);
    }

    /// Looks whether the children are in step with their questions: a line that nobody asked for tells that a child's answers
    /// may belong to other members. Called when all members have been asked; where it returns `Again`, all are to be asked
    /// again, and those whose answers can be trusted are answered at once.
    pub fn settle(&self) -> Settled {
        if !self.sets.is_empty() {
            return self.settle_sets();
        }
        let Renewed { count, how } = self.renewed();
        if count > 0 {
            let text = format!(
                "the simulator {how} between two questions: it is started anew for the next, each time"
            );
            self.tell_once(text, "", &[]);
        }
        let mut round = self.round.lock().expect("no thread panicked");
        let mut idle = self.idle.lock().expect("no thread panicked");
        let patience = match self.simulator.numbered {
            true => Duration::ZERO,
            false => round.patience(),
        };
        let end = Instant::now() + patience;
        loop {
            idle.retain_mut(|Numbered { child, number }| {
                let stray = child.stray().map(Failure::Unasked);
                if let Some(failure) = &stray {
                    self.distrust(&mut round, *number, failure);
                }
                stray.is_none()
            });
            if Instant::now() >= end {
                self.with_kept(KeptOutputs::settled);
                return round.settle();
            }
            std::thread::sleep(PAUSE.min(patience));
        }
    }

    fn tell_or_panic(&self, failure: &Failure) {
        match failure {
            Failure::Lost(error) => panic!("{}: {error}", self.simulator.command[0]),
            Failure::GivenUp | Failure::Unasked(_) | Failure::Misplaced(_) => {}
            failure => self.tell(failure),
        }
    }

    /// Tells why a member failed, each reason once.
    fn tell(&self, failure: &Failure) {
        let set = self.simulator.set.as_ref();
        let set = set.map_or(String::new(), |set| format!(", asked for the set {set:?},"));
        let text = format!("a member failed: the simulator{set} {failure}");
        self.tell_once(text, " (more like it are only counted)", failure.words());
    }

    /// Reports `text`, followed by `rest` in a log, and the lines `words` of standard error: on rank 0 in the log, on others on
    /// standard error. Does nothing if the text was reported before, or `TOLD` others were.
    fn tell_once(&self, text: String, rest: &str, words: &[String]) {
        let mut told = self.told.lock().expect("no thread panicked");
        if told.len() == TOLD || told.contains(&text) {
            return;
        }
        let words = words.iter();
        if tracing::dispatcher::has_been_set() {
            tracing::info!("{text}{rest}");
            words.for_each(|line| tracing::debug!("the simulator's standard error: {line}"));
        } else {
            messages::say_here(&text);
            words.for_each(|line| messages::say_here(&format!("its standard error: {line}")));
        }
        told.push(text);
    }
}

impl Process {
    /// Children that wait for a question are dismissed and may end in peace; those that don't are ended.
    fn dismiss(&self) {
        let mut idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(|e| e.into_inner()));
        idle.iter_mut().for_each(|idle| idle.child.dismiss());
        let deadline = Instant::now() + FAREWELL;
        idle.iter_mut().for_each(|idle| {
            idle.child.await_end(deadline);
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.dismiss();
        self.starter.leftovers().end();
    }
}
