//! Why a simulator gave no outputs.

use std::fmt;

/// The rule for standard output.
const ANSWERS_ALONE: &str =
    "only answers, one line each and no empty lines, may stand on standard output";

/// Why a member has no outputs.
#[derive(Debug)]
pub enum Failure {
    /// The simulator said so.
    Declared(String),
    /// An output that is missing, NaN or infinite, by its place from 1.
    NotFinite(usize),
    /// An answer that is not what was asked for, in words.
    Garbled(String),
    /// A line that no question asked for.
    Unasked(String),
    /// An answer that is not what was asked for, in words, to a question that a new process answered well: a line that no question
    /// asked for had come before.
    Misplaced(String),
    /// It ended.
    Ended {
        /// How it ended.
        how: String,
        /// True if SIGKILL or SIGTERM ended it, which it cannot have sent itself by mistake.
        killed: bool,
        /// True if it ended after an answer and before it took the next question: no member is to blame.
        between: bool,
        /// The last lines of its standard error.
        words: Vec<String>,
    },
    /// No answer came in the time allowed.
    TimedOut,
    /// The wait was given up because the run is to stop.
    GivenUp,
    /// It could not be started, or its pipes be read.
    Lost(std::io::Error),
}

impl Failure {
    /// Returns true if a run cannot bear it as the failure of one member.
    #[must_use]
    pub fn ends_a_run(&self) -> bool {
        matches!(
            self,
            Self::Unasked(_) | Self::Misplaced(_) | Self::Lost(_) | Self::GivenUp
        )
    }

    /// Returns true if the same child may be asked again.
    pub(super) fn spares_the_child(&self) -> bool {
        matches!(self, Self::Declared(_) | Self::NotFinite(_))
    }

    /// The last lines that the simulator wrote to standard error, where it ended.
    #[must_use]
    pub fn words(&self) -> &[String] {
        match self {
            Self::Ended { words, .. } => words,
            _ => &[],
        }
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
            Self::Unasked(line) => write!(f, "printed {line:?} unasked: {ANSWERS_ALONE}"),
            Self::Misplaced(what) => write!(
                f,
                "answered a line that {what}, where a new process answered well: a line that nobody asked for came before; {ANSWERS_ALONE}"
            ),
            Self::Ended { how, words, .. } => match words.last() {
                None => write!(f, "{how} and wrote nothing to standard error"),
                Some(last) => write!(f, "{how}; its last words: {last}"),
            },
            Self::TimedOut => write!(f, "gave no answer in the time allowed"),
            Self::GivenUp => write!(f, "was still waited for when the run was told to stop"),
            Self::Lost(error) => write!(f, "cannot be started or heard: {error}"),
        }
    }
}
