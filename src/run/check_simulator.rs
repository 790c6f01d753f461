//! What a simulator must keep to be a forward map, tried on a few members of the prior before a run relies on it.
//!
//! | asked | expected |
//! |---|---|
//! | a member of the prior, else the prior's centre, xi = 0 | K finite numbers |
//! | a member, then the centre again | the same answer as before, or one that differs by the simulator's own noise |
//! | two members of two processes at the same time | the same answers as before |
//! | a question whose answer was no K numbers, of a new process | no such answer either: a member that fails |
//! | nothing | silence |
//! | a line that is no numbers | anything but silence for ever |
//! | each parameter, or all of a field, moved by one deviation of its prior | outputs that move |
//! | the end of input | its end |
//!
//! ParticleDA.jl's `testing.jl` does the like for models in Julia.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ensemble::draw::Draw;
use crate::error::Error;
use crate::forward::ForwardMap;
use crate::forward::joint_prior::JointPrior;
use crate::forward::process::{Child, Failure, Process, Renewed};
use crate::kernels::rng::Purpose;
use crate::method::loss::Loss;
use crate::run::outlying;

/// The most parameters and fields that are moved one by one.
pub const MOVED: usize = 12;
/// Seconds of a first answer beyond which the program's start is no matter.
const SHORT: f64 = 10.0;
/// The number of times that two processes are asked at once, where answers are quick.
const ROUNDS: usize = 4;
/// The largest difference of answers, in deviations of the noise, that is rounding.
const ROUNDING: f64 = 1e-6;
/// The time that stray lines are waited for.
const STRAY: Duration = Duration::from_millis(200);
/// The least patience with a line that is no numbers, and with an end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A simulator and what it should reproduce.
#[derive(Clone, Copy)]
pub struct Contract<'a> {
    /// The simulator.
    pub process: &'a Process,
    /// The observations y, K numbers.
    pub observations: &'a [f64],
    /// The loss, least squares.
    pub loss: &'a Loss,
    /// The run's seed: members are those it begins with (to single precision's last bits).
    pub seed: u64,
}

/// An answer: outputs, or why there are none, and the seconds it took.
#[derive(Debug)]
pub struct Answer {
    /// K numbers, or the failure.
    pub outputs: std::result::Result<Vec<f64>, Failure>,
    /// Seconds from question to answer.
    pub seconds: f64,
}

/// The result of trying a simulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// All parameters, in their own units.
    pub u: Vec<f64>,
    /// Their outputs, K numbers.
    pub outputs: Vec<f64>,
    /// The seconds of an answer, of a program that runs already.
    pub seconds: f64,
}

/// The simulator's answer to a line that holds no numbers.
#[derive(Debug, PartialEq)]
pub enum Nonsense {
    /// It refuses the line; how, in words.
    Refused(String),
    /// It answers with K finite numbers.
    Answered,
    /// Nothing comes.
    Silence,
}

/// Findings of a check of the simulator.
#[derive(Debug)]
pub struct Findings {
    /// Seconds of the answer at the prior's centre, the program's start included.
    pub centre: Answer,
    /// Seconds of the answers at the members drawn from the prior.
    pub members: Vec<Answer>,
    /// The difference between two answers at the centre, root mean square in deviations of the noise.
    pub repeated: Option<f64>,
    /// The largest difference of two processes' answers at the same time from those of one alone, in the same unit; infinite where outputs
    /// were there alone. None where fewer than two members have outputs.
    pub together: Option<f64>,
    /// The change of the outputs for each of the prior's `moves`, in the same unit; empty where there are too many.
    pub moved: Vec<Option<f64>>,
    /// The simulator's answer to a line that holds no numbers.
    pub nonsense: Nonsense,
    /// True if the simulator ended at the end of its input.
    pub ends: bool,
    /// The number of times that it ended between two questions, and how.
    pub renewed: Renewed,
}

impl Contract<'_> {
    /// Returns the coordinates of member `j` of the initial ensemble.
    fn member(&self, j: usize) -> Vec<f64> {
        let draw = Draw {
            seed: self.seed,
            purpose: Purpose::Initial,
            step: 0,
        };
        draw.point(j, &ForwardMap::<f64>::prior(self.process))
    }

    fn prior(&self) -> &JointPrior {
        self.process.joint_prior()
    }

    fn centre(&self) -> Vec<f64> {
        vec![0.0; self.prior().coordinates()]
    }

    /// Asks once, for a member of the initial ensemble, which the run need not simulate again; where that fails elsewhere.
    ///
    /// # Errors
    /// An answer that ends a run, or no outputs at all: why.
    pub fn probe(&self) -> std::result::Result<Probe, Failure> {
        let mut child = None;
        let mut probe = self.first_answered(&mut child)?;
        if probe.seconds <= SHORT {
            // The program's start was most of it: once more.
            probe.seconds = self.answer_at(&mut child, &probe.u)?.seconds;
        }
        silent(&mut child)?;
        Ok(probe)
    }

    /// Returns the first answer with outputs: of the first member, at the prior's centre, or of the second member.
    fn first_answered(&self, child: &mut Option<Child>) -> std::result::Result<Probe, Failure> {
        let mut first = None;
        for xi in [self.member(0), self.centre(), self.member(1)] {
            let u = self.prior().at(&xi);
            let Answer { outputs, seconds } = self.answer_at(child, &u)?;
            match outputs {
                Ok(outputs) => {
                    return Ok(Probe {
                        u,
                        outputs,
                        seconds,
                    });
                }
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.expect("asked at least once"))
    }

    /// Tries all of it, with `count` members.
    ///
    /// # Errors
    /// A program that cannot be started, prints what nobody asked for or has no outputs at all: no run could go on with it.
    pub fn check(&self, count: usize) -> std::result::Result<Findings, Failure> {
        self.first_answered(&mut None)?;
        let mut child = None;
        let centre = self.answer(&mut child, &self.centre())?;
        let mut members = Vec::new();
        let mut again = None;
        for j in 0..count {
            members.push(self.answer(&mut child, &self.member(j))?);
            if j == 0 {
                // After another question, so that an answer that comes one question late is seen.
                again = Some(self.answer(&mut child, &self.centre())?);
            }
        }
        let distance = |other: &Answer| match (&centre.outputs, &other.outputs) {
            (Ok(a), Ok(b)) => Some(self.distance(a, b)),
            _ => None,
        };
        let repeated = again.as_ref().and_then(distance);
        let together = self.together(&members)?;
        let mut moved = Vec::new();
        let moves = self.prior().moves();
        for p in (0..moves).filter(|_| moves <= MOVED) {
            let u = self.prior().at_centre_but(p);
            moved.push(distance(&self.answer_at(&mut child, &u)?));
        }
        silent(&mut child)?;
        let slowest = members
            .iter()
            .map(|a| a.seconds)
            .fold(centre.seconds, f64::max);
        let patience = PATIENCE + Duration::from_secs_f64(3.0 * slowest);
        let renewed = self.process.renewed();
        let (nonsense, ends) = self.misuse(child, patience).map_err(Failure::Lost)?;
        Ok(Findings {
            centre,
            members,
            repeated,
            together,
            moved,
            nonsense,
            ends,
            renewed,
        })
    }

    /// Asks two processes for a member each at the same time, as ranks and threads do in a run, whose answers `before` were of one alone;
    /// returns `Findings::together`.
    fn together(&self, before: &[Answer]) -> std::result::Result<Option<f64>, Failure> {
        let known = before.iter().enumerate();
        let known = known.filter_map(|(j, a)| Some((j, a.seconds, a.outputs.as_deref().ok()?)));
        let known: Vec<(usize, f64, &[f64])> = known.take(2).collect();
        let [first, second] = known[..] else {
            return Ok(None);
        };
        let rounds = if first.1.max(second.1) > SHORT {
            1
        } else {
            ROUNDS
        };
        let ask = |(j, _, alone): (usize, f64, &[f64])| {
            let mut child = None;
            let mut apart: f64 = 0.0;
            for _ in 0..rounds {
                let answer = self.answer(&mut child, &self.member(j))?;
                let found = answer.outputs.as_deref();
                apart = apart.max(found.map_or(f64::INFINITY, |z| self.distance(z, alone)));
            }
            Ok(apart)
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| ask(second));
            (ask(first), other.join().expect("no panic"))
        });
        Ok(Some(one?.max(other?)))
    }

    /// Returns the answer at the coordinates `xi`, of `child`, which is started where there is none.
    fn answer(
        &self,
        child: &mut Option<Child>,
        xi: &[f64],
    ) -> std::result::Result<Answer, Failure> {
        self.answer_at(child, &self.prior().at(xi))
    }

    /// Returns the answer at the parameters `u` in their own units, as `answer`.
    fn answer_at(
        &self,
        child: &mut Option<Child>,
        u: &[f64],
    ) -> std::result::Result<Answer, Failure> {
        let start = Instant::now();
        let (outputs, spared) = self.process.ask_again(child.take(), u);
        *child = spared;
        match outputs {
            Err(failure) if failure.ends_a_run() => Err(failure),
            outputs => Ok(Answer {
                outputs,
                seconds: start.elapsed().as_secs_f64(),
            }),
        }
    }

    /// Returns what becomes of a line that is no numbers, and whether a fresh child ends at the end of its input.
    fn misuse(
        &self,
        child: Option<Child>,
        patience: Duration,
    ) -> std::io::Result<(Nonsense, bool)> {
        let mut child = child.map_or_else(|| self.process.start(), Ok)?;
        child.dismiss();
        let ends = child.await_end(Instant::now() + patience);
        let mut child = self.process.start()?;
        let answer = self
            .process
            .answer_within(&mut child, "this line is no numbers\n", patience);
        let nonsense = match answer {
            Ok(_) => Nonsense::Answered,
            Err(Failure::TimedOut) => Nonsense::Silence,
            Err(failure) => Nonsense::Refused(failure.to_string()),
        };
        Ok((nonsense, ends))
    }

    /// Returns the root mean square of a - b in the noise's deviations.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        self.loss.deviations_apart(a, b)
    }

    /// Returns how far outputs lie from the observations, in the same unit: about 1 where the fit is as good as the noise lets it.
    #[must_use]
    pub fn misfit(&self, outputs: &[f64]) -> f64 {
        self.distance(outputs, self.observations)
    }

    /// Returns the members, from 0, whose outputs a run with this `outlier_ratio` would not count, since they lie too far from the
    /// observations.
    #[must_use]
    pub fn far(&self, findings: &Findings, outlier_ratio: f64) -> Vec<usize> {
        let misfit = |a: &Answer| a.outputs.as_ref().map_or(f64::NAN, |z| self.misfit(z));
        let misfits: Vec<f64> = findings.members.iter().map(misfit).collect();
        let size = self.misfit(&vec![0.0; self.observations.len()]);
        let limit = outlying::limit(misfits.iter().copied(), size, outlier_ratio);
        let far = (0..misfits.len()).filter(|&j| misfits[j] > limit);
        far.collect()
    }

    /// Returns how many observations lie within the range of what the members give.
    #[must_use]
    pub fn covered(&self, findings: &Findings) -> usize {
        let outputs = findings.outputs();
        let covered = |k: &usize| {
            let y = self.observations[*k];
            outputs.iter().any(|z| z[*k] <= y) && outputs.iter().any(|z| z[*k] >= y)
        };
        (0..self.observations.len()).filter(covered).count()
    }
}

impl Findings {
    /// Returns the members' outputs, of those that have some.
    #[must_use]
    pub fn outputs(&self) -> Vec<&[f64]> {
        let all = self.members.iter().flat_map(|a| &a.outputs);
        all.map(Vec::as_slice).collect()
    }

    /// Returns true if two processes at the same time disturb each other: their answers differ by more than the simulator's own noise.
    #[must_use]
    pub fn clashes(&self) -> bool {
        let least = match self.repeated {
            Some(apart) if apart <= ROUNDING => ROUNDING,
            Some(apart) => (4.0 * apart).max(1.0),
            None => 1.0,
        };
        self.together.is_some_and(|apart| apart > least)
    }

    /// Returns the outputs that are the same in all members, by their places from 0.
    #[must_use]
    pub fn still(&self) -> Vec<usize> {
        let outputs = self.outputs();
        let Some((first, rest)) = outputs.split_first() else {
            return Vec::new();
        };
        (0..first.len())
            .filter(|&k| !rest.is_empty() && rest.iter().all(|z| z[k] == first[k]))
            .collect()
    }
}

/// Waits a moment for a line that nobody asked for.
///
/// # Errors
/// One came.
fn silent(child: &mut Option<Child>) -> std::result::Result<(), Failure> {
    match child.as_mut().and_then(|child| child.unasked(STRAY)) {
        Some(line) => Err(Failure::Unasked(line)),
        None => Ok(()),
    }
}

/// Returns a simulator's failure as the fault of `model.command`, asked for the observations of `set` if there are sets.
#[must_use]
pub fn refused(resolved: &crate::config::Resolved, failure: &Failure, set: Option<&str>) -> Error {
    let hint = match failure {
        Failure::TimedOut => {
            ": does it read its input line by line, and flush its output after each answer?"
        }
        _ => "",
    };
    let before = match failure.words().split_last() {
        Some((_, before)) if !before.is_empty() => {
            format!(" (before that: {})", before.join(" | "))
        }
        _ => String::new(),
    };
    let asked = set.map_or(String::new(), |set| format!(", asked for the set {set:?},"));
    resolved.error(
        "model.command",
        format!("the simulator{asked} {failure}{before}{hint}"),
    )
}
