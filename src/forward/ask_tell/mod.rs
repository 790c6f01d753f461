//! A forward map whose outputs the user gives, step by step: ask and tell.
//!
//! For simulators that a run cannot start and wait for: jobs of a batch system, programs on other machines, an experiment.
//! Before a step the run checks whether the outputs of all its members are known; if not, it stops
//! (`StopReason::Asks`) with the parameters it asks for in `open`. Once `tell` has been called for each of these, it goes on
//! from the same state. Outputs are found by the parameters that gave them, so answers for other parameters, or given twice, do
//! no harm. The program does the same by files (`files`), and Rust code by `run::calibration::AskTellLoop`.

pub mod files;

use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

use ndarray::{ArrayView2, ArrayViewMut3};

use super::joint_prior::{Fingerprint, JointPrior, fingerprint};
use super::{ForwardMap, MapShape, evaluate_one_by_one};
use crate::error::{Error, Result};
use crate::kernels::real::Real;

/// A forward map that looks up given outputs; coordinates N(0, I), mapped to the parameters by their `JointPrior`.
#[derive(Debug)]
pub struct AskTell {
    prior: JointPrior,
    outputs: usize,
    /// Outputs, K numbers, by the fingerprint of the parameters; none: the member failed.
    told: RwLock<HashMap<Fingerprint, Option<Vec<f64>>>>,
    open: Mutex<Vec<Vec<f64>>>,
    /// The sets of observations whose outputs are asked for now; None: all outputs.
    sets: Mutex<Option<Vec<usize>>>,
}

impl AskTell {
    /// Returns a map of the parameters of `prior` to `outputs` numbers K, without any answers yet.
    #[must_use]
    pub fn new(prior: JointPrior, outputs: usize) -> Self {
        Self {
            prior,
            outputs,
            told: RwLock::default(),
            open: Mutex::default(),
            sets: Mutex::default(),
        }
    }

    /// The parameters' names and prior.
    #[must_use]
    pub fn joint_prior(&self) -> &JointPrior {
        &self.prior
    }

    /// Stores the `outputs`, K numbers, at the parameters `u`, all of them in their own units; None if the member failed. To be called
    /// alike on every rank.
    ///
    /// # Errors
    /// Another number of parameters than the priors, or of outputs than the observations.
    pub fn tell(&self, u: &[f64], outputs: Option<Vec<f64>>) -> Result<()> {
        let told = outputs.as_ref().map_or(self.outputs, Vec::len);
        for (what, found, needed) in [
            ("parameters", u.len(), self.prior.parameters()),
            ("outputs", told, self.outputs),
        ] {
            if found != needed {
                let why = format!("{found} {what} were told, and there must be {needed}");
                return Err(Error::Usage(why));
            }
        }
        let mut all = self.told.write().expect("no thread panicked");
        all.insert(fingerprint(u), outputs);
        Ok(())
    }

    /// Returns, for a run that stopped to ask, the parameters whose outputs it needs, all in their own units, in the order of
    /// members; the same on all ranks.
    #[must_use]
    pub fn open(&self) -> Vec<Vec<f64>> {
        self.open.lock().expect("no thread panicked").clone()
    }

    /// Asks from now on for the outputs of `sets` of observations, the others being NaN; None: of all. Answers for other sets are
    /// dropped.
    pub fn ask_for(&self, sets: Option<Vec<usize>>) {
        let mut now = self.sets.lock().expect("no thread panicked");
        if *now != sets {
            self.forget();
            *now = sets;
        }
    }

    /// Returns true if the outputs at `u` are known.
    pub(crate) fn knows(&self, u: &[f64]) -> bool {
        let told = self.told.read().expect("no thread panicked");
        told.contains_key(&fingerprint(u))
    }

    /// Drops all answers.
    pub(crate) fn forget(&self) {
        self.told.write().expect("no thread panicked").clear();
    }

    /// Asks from now on for the outputs at `questions`.
    pub(crate) fn ask(&self, questions: Vec<Vec<f64>>) {
        *self.open.lock().expect("no thread panicked") = questions;
    }
}

impl<T: Real> ForwardMap<T> for AskTell {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.prior.coordinates(),
            features: 0,
            outputs: self.outputs,
        }
    }

    fn ask_tell(&self) -> Option<&AskTell> {
        Some(self)
    }

    fn own_units(&self) -> Option<&JointPrior> {
        Some(&self.prior)
    }

    /// Writes NaN where the member failed or has no answer.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        let told = self.told.read().expect("no thread panicked");
        evaluate_one_by_one(members, outputs, |xi| {
            let known = told.get(&fingerprint(&self.prior.at(xi)));
            known.cloned().flatten()
        });
    }
}
