//! A simulator of several sets of observations: a process of its own for each set, asked one after the other for each member.

use std::process::Command;
use std::time::Instant;

use super::kept::KeptOutputs;
use super::round::Settled;
use super::{Process, Simulator};
use crate::data::observed::ObservedSet;

/// The simulator of one set.
#[derive(Debug)]
pub(super) struct OfSet {
    pub process: Process,
    /// The places of its outputs among the K of all sets.
    places: Vec<usize>,
}

/// The word in `model.command` that stands for a set's name.
const PLACEHOLDER: &str = "{set}";
/// The variable in a simulator's environment that holds the name of its set.
const VARIABLE: &str = "EKI_SET";

impl Simulator {
    /// Returns what starts it, with its set's name in its words and its environment; None without a word.
    pub(super) fn starting(&self) -> Option<Command> {
        let filled = |word: &String| match &self.set {
            Some(set) => word.replace(PLACEHOLDER, set),
            None => word.clone(),
        };
        let (program, arguments) = self.command.split_first()?;
        let mut starting = Command::new(filled(program));
        starting.args(arguments.iter().map(filled));
        if let Some(set) = &self.set {
            starting.env(VARIABLE, set);
        }
        Some(starting)
    }
}

impl Process {
    /// Returns this as a simulator of `sets` of observations; without any, as it is.
    #[must_use]
    pub fn with_sets(mut self, sets: &[ObservedSet]) -> Self {
        let of_set = |set: &ObservedSet| {
            let simulator = Simulator {
                set: Some(set.name.clone()),
                ..self.simulator.clone()
            };
            OfSet {
                process: Self::new(simulator, self.prior.clone(), set.outputs.clone()),
                places: set.places.clone(),
            }
        };
        self.sets = sets.iter().map(of_set).collect();
        self
    }

    /// Returns the simulators that are asked: one for each set of observations, or this one.
    #[must_use]
    pub fn parts(&self) -> Vec<&Self> {
        match self.sets.is_empty() {
            true => vec![self],
            false => self.sets.iter().map(|part| &part.process).collect(),
        }
    }

    /// Asks from now on for the outputs of `sets`, those of others being NaN; None: of all sets.
    pub fn ask_for(&self, sets: Option<&[usize]>) {
        *self.asked.lock().expect("no thread panicked") = sets.map(<[usize]>::to_vec);
    }

    /// Returns the sets that are asked now.
    fn asked_sets(&self) -> Vec<usize> {
        let asked = self.asked.lock().expect("no thread panicked").clone();
        asked.unwrap_or_else(|| (0..self.sets.len()).collect())
    }

    /// The outputs at the parameters `u`, K numbers, NaN for sets that are not asked; none where a set has none.
    pub(super) fn of_sets(&self, u: &[f64]) -> Option<Vec<f64>> {
        let (asked, begun) = (self.asked_sets(), Instant::now());
        if let Some(kept) = self.with_kept(|kept| kept.recall((u, &asked))).flatten() {
            return Some(kept);
        }
        let mut all = vec![f64::NAN; self.outputs.count()];
        for &set in &asked {
            let part = &self.sets[set];
            let outputs = part.process.known_or_asked(u)?;
            let places = part.places.iter().zip(outputs);
            places.for_each(|(&place, z)| all[place] = z);
        }
        self.with_kept(|kept| kept.keep((u, &asked), &all, begun.elapsed()));
        Some(all)
    }

    /// Settles the simulators of all sets, and returns the worst outcome. Those that were not asked end their processes.
    pub(super) fn settle_sets(&self) -> Settled {
        let asked = self.asked_sets();
        let mut worst = Settled::Good;
        for (set, part) in self.sets.iter().enumerate() {
            if !asked.contains(&set) {
                part.process.dismiss();
                continue;
            }
            worst = match (worst, part.process.settle()) {
                (Settled::GivenUp, _) | (_, Settled::GivenUp) => Settled::GivenUp,
                (Settled::Stray(what), _) | (_, Settled::Stray(what)) => Settled::Stray(what),
                (Settled::Again, _) | (_, Settled::Again) => Settled::Again,
                (Settled::Good, Settled::Good) => Settled::Good,
            };
        }
        match worst {
            Settled::Good => self.with_kept(KeptOutputs::settled),
            _ => self.with_kept(KeptOutputs::forget),
        };
        worst
    }
}
