//! A forward map whose outputs are brought from outside, step by step: ask and tell.
//!
//! For simulators that a run cannot start and wait for: jobs of a batch system, programs on other machines, an experiment.
//! Before a step the run looks whether the outputs of all its members have been told; where not, it stops
//! (`StopReason::Asks`) with the parameters it asks for in `open`. Once `tell` has been called for each of these, it goes on
//! from the same state. Outputs are known by the parameters that gave them, so what was told of other parameters, or twice, does
//! no harm. The program does the same by files (`files`), and a loop of your own by `run::calibration::AskTellLoop`.

pub mod files;

use std::collections::HashMap;
use std::sync::{Mutex, RwLock};

use ndarray::{ArrayView2, ArrayViewMut3};

use super::joint_prior::{Fingerprint, JointPrior, fingerprint};
use super::{ForwardMap, MapShape, evaluate_one_by_one};
use crate::error::{Error, Result};
use crate::kernels::real::Real;

/// G(u) as it was told; coordinates N(0, I), mapped to the parameters by their `JointPrior`.
#[derive(Debug)]
pub struct AskTell {
    prior: JointPrior,
    outputs: usize,
    /// Outputs, K numbers, by the fingerprint of the parameters; none: the member failed.
    told: RwLock<HashMap<Fingerprint, Option<Vec<f64>>>>,
    open: Mutex<Vec<Vec<f64>>>,
    /// The sets of observations whose outputs are told now; None: all outputs.
    sets: Mutex<Option<Vec<usize>>>,
}

impl AskTell {
    /// A map of the parameters of `prior` to `outputs` numbers K, of which nothing has been told yet.
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

    /// Tells the outputs, K numbers, at the parameters `u`, all of them in their own units; none where they have none (a member
    /// fails there). Every rank is to be told alike.
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

    /// Of a run that stopped to ask: the parameters whose outputs it needs, all in their own units, in the order of
    /// members; the same on all ranks.
    #[must_use]
    pub fn open(&self) -> Vec<Vec<f64>> {
        self.open.lock().expect("no thread panicked").clone()
    }

    /// From now on the outputs of `sets` of observations are told, others being NaN; None: all. What was told of other sets is
    /// forgotten.
    pub fn ask_for(&self, sets: Option<Vec<usize>>) {
        let mut now = self.sets.lock().expect("no thread panicked");
        if *now != sets {
            self.forget();
            *now = sets;
        }
    }

    /// Whether the outputs at `u` have been told.
    pub(crate) fn knows(&self, u: &[f64]) -> bool {
        let told = self.told.read().expect("no thread panicked");
        told.contains_key(&fingerprint(u))
    }

    /// Nothing has been told.
    pub(crate) fn forget(&self) {
        self.told.write().expect("no thread panicked").clear();
    }

    /// From now on the outputs at `questions` are asked for.
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

    /// NaN where the member failed, or nothing was told.
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
