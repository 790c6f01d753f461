//! One round of questions: each member's outputs, kept until every child was found to be in step with its questions.
//!
//! A line that nobody asked for may have been taken for the answer to a later question. Then no answer of that child since its
//! last clean check can be trusted: those members are asked again, of a new child. If it happens again, the simulator breaks
//! the protocol.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::forward::joint_prior::{Fingerprint, fingerprint};

/// The least and the longest wait for lines that nobody asked for at the end of the first round.
const FIRST: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The same wait at the end of later rounds: this share of the round, and the longest.
const LATER: (u32, Duration) = (50, Duration::from_millis(100));

/// The outcome of a round of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Each member has its own outputs, or has failed.
    Good,
    /// Some answers cannot be trusted: all members are to be asked again.
    Again,
    /// Again a line came that nobody asked for: what the simulator did, in words.
    Stray(String),
    /// Members were not waited for, because the run is to stop.
    GivenUp,
}

/// Answers since the last clean check.
#[derive(Debug, Default)]
pub struct Round {
    known: HashMap<Fingerprint, Known>,
    begun: Option<Instant>,
    longest: Duration,
    /// Children started so far.
    children: u64,
    /// Rounds that ended well so far.
    settled: u64,
    /// The message about the first line of this round that nobody asked for.
    stray: Option<String>,
    /// True if such a line came in the round before, which this one repeats.
    repeats: bool,
    given_up: bool,
}

/// The answer to a question.
#[derive(Debug)]
struct Known {
    /// K numbers; none where the member failed.
    outputs: Option<Vec<f64>>,
    /// The child that gave it.
    child: u64,
}

impl Round {
    /// A number for a new child.
    pub fn number(&mut self) -> u64 {
        self.children += 1;
        self.children
    }

    /// The outputs at `u`, where they are known; none within where there are none, or where the member is not to be asked in
    /// what is left of this round.
    pub fn known(&mut self, u: &[f64]) -> Option<Option<Vec<f64>>> {
        self.begun.get_or_insert_with(Instant::now);
        match self.known.get(&fingerprint(u)) {
            Some(known) => Some(known.outputs.clone()),
            None => (self.stray.is_some() || self.given_up).then_some(None),
        }
    }

    /// Keeps the `outputs` at `u` that the child `child` gave after `taken`; none where the member failed.
    pub fn keep(&mut self, u: &[f64], outputs: Option<&[f64]>, (child, taken): (u64, Duration)) {
        self.longest = self.longest.max(taken);
        let outputs = outputs.map(<[f64]>::to_vec);
        self.known.insert(fingerprint(u), Known { outputs, child });
    }

    /// Drops all that the child `child` answered in this round: a line came that nobody asked for, and `what` tells
    /// of it.
    pub fn distrust(&mut self, child: u64, what: &str) {
        self.known.retain(|_, known| known.child != child);
        self.stray.get_or_insert_with(|| what.to_owned());
    }

    /// The run is to stop before all members have been asked.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    /// The time to wait at the end of this round for lines that nobody asked for.
    pub fn patience(&self) -> Duration {
        let Some(begun) = self.begun.filter(|_| !self.known.is_empty()) else {
            return Duration::ZERO;
        };
        if self.settled == 0 {
            return (self.longest * 3 / 2).clamp(FIRST.0, FIRST.1);
        }
        (begun.elapsed() / LATER.0).min(LATER.1)
    }

    /// Ends the round.
    pub fn settle(&mut self) -> Settled {
        self.begun = None;
        if std::mem::take(&mut self.given_up) {
            return Settled::GivenUp;
        }
        if let Some(what) = self.stray.take() {
            if std::mem::replace(&mut self.repeats, true) {
                return Settled::Stray(what);
            }
            return Settled::Again;
        }
        self.known.clear();
        self.repeats = false;
        self.settled += 1;
        Settled::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(round: &mut Round, u: f64, child: u64) {
        round.keep(&[u], Some(&[2.0 * u]), (child, Duration::ZERO));
    }

    #[test]
    fn answers_of_a_child_that_spoke_unasked_are_asked_for_again() {
        let mut round = Round::default();
        kept(&mut round, 1.0, 1);
        kept(&mut round, 2.0, 2);
        assert_eq!(round.known(&[3.0]), None);
        round.distrust(1, "1 2 3");
        // The rest of the round is not asked.
        assert_eq!(
            (round.known(&[1.0]), round.known(&[3.0])),
            (Some(None), Some(None))
        );
        assert_eq!(round.settle(), Settled::Again);
        assert_eq!(round.known(&[1.0]), None);
        assert_eq!(round.known(&[2.0]), Some(Some(vec![4.0])));
        kept(&mut round, 1.0, 3);
        assert_eq!(round.settle(), Settled::Good);
        assert_eq!(round.known(&[2.0]), None);
    }

    #[test]
    fn a_second_round_with_such_a_line_is_the_last() {
        let mut round = Round::default();
        for expected in [Settled::Again, Settled::Stray("x".to_owned())] {
            kept(&mut round, 1.0, 1);
            round.distrust(1, "x");
            assert_eq!(round.settle(), expected);
        }
    }
}
