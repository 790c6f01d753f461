//! A simulator of one's own as the forward map: a program in any language, started by each thread of each rank, kept
//! alive, and asked over its standard input.
//!
//! A question is one line: P numbers, one for each of `model.prior` in its order and unit, with all their digits,
//! separated by blanks. The answer is one line: K numbers, one for each observation, separated by blanks or commas (as
//! `numbers` reads them), or `failed` with a reason. Nothing else may stand on standard output; standard error is free. At the end of its input the
//! program ends. Output must be flushed after each answer, or both sides wait for ever. In Python
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
//! for line in sys.stdin:                          # one member a line
//!     try:
//!         print(*simulate(*map(float, line.split())), flush=True)
//!     except (ArithmeticError, ValueError) as reason:
//!         print("failed:", reason, flush=True)    # it is left out and redrawn
//! ```
//!
//! A member fails whose answer is `failed`, is no K numbers, holds NaN, NA, infinities or an empty field, does not come (the program ended,
//! or took longer than `model.timeout`, never by default): it is left out of the step and redrawn from the others. After
//! all but the first and third the program is started anew. One that was ended from outside (SIGKILL, SIGTERM) is asked
//! once more, since the member is not to blame. Each rank tells each reason once, with the last line of standard error;
//! the run's log counts them.
//!
//! Every child is a process of its own: name scratch files by its process id. Its environment is eki-mpi's but for the
//! variables of MPI launchers (OMPI_*, PMIX_*, PMI_* ...), so that it may use MPI itself. Children end with their rank;
//! a shell script should end in `exec program`, or what it started may outlive a rank that is killed.
//!
//! A run repeats to the bit as far as the simulator does. A time-out, or noise of its own, depends on more than that.

mod child;
mod marginal;

use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ndarray::{ArrayView2, ArrayViewMut3};

pub use child::Child;
pub(crate) use marginal::standard;
pub use marginal::{Marginal, marginals, parameters_at};

use super::ForwardMap;
use crate::numbers::fields;
use crate::prior::Prior;
use crate::real::Real;

/// Reasons for failures told by one rank; of the rest the run's log has the number.
const TOLD: usize = 10;
/// How long children that are dismissed may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a member has no outputs.
#[derive(Debug)]
pub enum Failure {
    /// The simulator said so.
    Declared(String),
    /// An output that is missing, NaN or infinite, by its place from 1.
    NotFinite(usize),
    /// An answer that is not what was asked for, in words.
    Garbled(String),
    /// A line that came before the question.
    Unasked(String),
    /// It ended.
    Ended {
        /// How.
        how: String,
        /// Whether by SIGKILL or SIGTERM, which it cannot have sent itself by mistake.
        killed: bool,
        /// The last line of its standard error.
        words: String,
    },
    /// No answer came in the time allowed.
    TimedOut,
    /// It could not be started, or its pipes be read.
    Lost(std::io::Error),
}

impl Failure {
    /// Whether the simulator broke the protocol: no parameters excuse that.
    #[must_use]
    pub fn breaks_protocol(&self) -> bool {
        matches!(self, Self::Garbled(_) | Self::Unasked(_) | Self::Lost(_))
    }

    /// Whether the same child may be asked again.
    fn spares_the_child(&self) -> bool {
        matches!(self, Self::Declared(_) | Self::NotFinite(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(reason) if reason.is_empty() => write!(f, "answered \"failed\""),
            Self::Declared(reason) => write!(f, "answered \"failed: {reason}\""),
            Self::NotFinite(place) => {
                write!(
                    f,
                    "answered with an output {place} that is not finite or missing"
                )
            }
            Self::Garbled(what) => write!(f, "answered a line that {what}"),
            Self::Unasked(line) => write!(
                f,
                "printed {line:?} unasked: only answers, one line each, may stand on standard output"
            ),
            Self::Ended { how, words, .. } if words.is_empty() => {
                write!(f, "{how} and wrote nothing to standard error")
            }
            Self::Ended { how, words, .. } => write!(f, "{how}; its last words: {words}"),
            Self::TimedOut => write!(f, "gave no answer in the time allowed"),
            Self::Lost(error) => write!(f, "cannot be started or heard: {error}"),
        }
    }
}

/// G(u) by a program that is asked; coordinates N(0, I), mapped to the parameters by their `Marginal`s.
#[derive(Debug)]
pub struct Process {
    command: Vec<String>,
    marginals: Vec<Marginal>,
    outputs: usize,
    timeout: Option<Duration>,
    /// Children that wait for a question: as many as threads have ever asked at once.
    idle: Mutex<Vec<Child>>,
    /// The reasons for failures that were told.
    told: Mutex<Vec<String>>,
}

impl Process {
    /// The program `command`, its words, asked with the parameters `marginals` for `outputs` numbers K, each within
    /// `timeout`. Nothing is started yet.
    #[must_use]
    pub fn new(
        command: Vec<String>,
        marginals: Vec<Marginal>,
        outputs: usize,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            command,
            marginals,
            outputs,
            timeout,
            idle: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The parameters' names and priors, in order.
    #[must_use]
    pub fn marginals(&self) -> &[Marginal] {
        &self.marginals
    }

    /// Starts one child.
    ///
    /// # Errors
    /// A program that is not there or may not be run.
    pub fn start(&self) -> std::io::Result<Child> {
        // The longest number text holds is under 400 characters; they are rarely over 25.
        Child::start(&self.command, 4096 + 64 * self.outputs)
    }

    /// The outputs at the parameters `u`, P numbers in their own units, and the child that answered, where it may be
    /// asked again.
    ///
    /// The result holds why there are none.
    pub fn ask(&self, child: Child, u: &[f64]) -> (Result<Vec<f64>, Failure>, Option<Child>) {
        let mut child = child;
        let deadline = self.timeout.and_then(|t| Instant::now().checked_add(t));
        let answer = child.ask(&question(u), deadline);
        let answer = answer.and_then(|line| self.outputs_in(&line));
        let spared = answer.as_ref().err().is_none_or(Failure::spares_the_child);
        (answer, spared.then_some(child))
    }

    /// The outputs that the line `answer` holds.
    ///
    /// # Errors
    /// Why it holds none.
    pub fn outputs_in(&self, answer: &str) -> Result<Vec<f64>, Failure> {
        numbers(answer, self.outputs)
    }

    /// As `ask`, of a child that waits, or a new one; a child ended from outside is followed by another.
    ///
    /// # Errors
    /// As `ask`.
    pub fn outputs_at(&self, u: &[f64]) -> Result<Vec<f64>, Failure> {
        let mut again = true;
        loop {
            let waiting = self.idle.lock().expect("no thread panicked").pop();
            let child = waiting
                .map_or_else(|| self.start(), Ok)
                .map_err(Failure::Lost)?;
            let (answer, child) = self.ask(child, u);
            if let Some(child) = child {
                self.idle.lock().expect("no thread panicked").push(child);
            }
            match answer {
                Err(Failure::Ended { killed: true, .. }) if again => again = false,
                answer => return answer,
            }
        }
    }

    /// Tells why a member failed, each reason once: on rank 0 in the log, on others on standard error.
    fn tell(&self, failure: &Failure) {
        let mut told = self.told.lock().expect("no thread panicked");
        let text = format!("a member failed: the simulator {failure}");
        if told.len() == TOLD || told.contains(&text) {
            return;
        }
        if tracing::dispatcher::has_been_set() {
            tracing::info!("{text} (more like it are only counted)");
        } else {
            crate::failure::say(&format!("{}: {text}", crate::failure::place()));
        }
        told.push(text);
    }
}

impl Drop for Process {
    /// Children are dismissed and may end in peace; those that don't are ended.
    fn drop(&mut self) {
        let mut idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(|e| e.into_inner()));
        idle.iter_mut().for_each(Child::dismiss);
        let deadline = Instant::now() + FAREWELL;
        idle.iter_mut().for_each(|child| {
            child.await_end(deadline);
        });
    }
}

/// The line that asks for the outputs at `u`: the shortest decimals that read back as the same numbers.
fn question(u: &[f64]) -> String {
    // Few numbers take more: a million parameters are held once, as text.
    let mut line = String::with_capacity(24 * u.len());
    for (i, x) in u.iter().enumerate() {
        let blank = if i > 0 { " " } else { "" };
        let _ = write!(line, "{blank}{x:?}");
    }
    line.push('\n');
    line
}

/// The `count` finite numbers of an answer.
///
/// # Errors
/// Why it holds none.
pub fn numbers(line: &str, count: usize) -> Result<Vec<f64>, Failure> {
    if let Some(reason) = line.strip_prefix("failed") {
        return Err(Failure::Declared(
            reason
                .trim_start_matches(':')
                .trim()
                .chars()
                .take(160)
                .collect(),
        ));
    }
    let fields = fields(line, Some(count)).map_err(Failure::Garbled)?;
    if fields.len() != count {
        let found = fields.len();
        let hint = match line.contains(',') && found == 2 * count {
            true => ": write decimal points, not commas",
            false => "",
        };
        return Err(Failure::Garbled(format!(
            "holds {found} numbers, and the observations are {count}{hint}"
        )));
    }
    let finite = |(i, field): (usize, Option<f64>)| {
        let number = field.filter(|x| x.is_finite());
        number.ok_or(Failure::NotFinite(i + 1))
    };
    fields.into_iter().enumerate().map(finite).collect()
}

impl<T: Real> ForwardMap<T> for Process {
    fn parameters(&self) -> usize {
        self.marginals.len()
    }

    fn own_units(&self) -> Option<&[Marginal]> {
        Some(&self.marginals)
    }

    fn features(&self) -> usize {
        0
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    /// N(0, I): of the coordinates.
    fn prior(&self) -> Prior {
        standard(self.marginals.len())
    }

    /// Nobody knows.
    fn flops(&self, _m: usize) -> f64 {
        0.0
    }

    fn scratch(&self, _m: usize) -> usize {
        0
    }

    /// # Panics
    /// The program can no longer be started: that is the host's failure, not the member's.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        for (member, mut out) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
            let xi = member.to_slice().expect("row-major");
            match self.outputs_at(&parameters_at(&self.marginals, xi)) {
                Ok(numbers) => {
                    for (mut row, z) in out.rows_mut().into_iter().zip(numbers) {
                        row.fill(T::of(z));
                    }
                }
                Err(Failure::Lost(error)) => panic!("{}: {error}", self.command[0]),
                Err(failure) => {
                    self.tell(&failure);
                    out.fill(T::nan());
                }
            }
        }
    }
}
