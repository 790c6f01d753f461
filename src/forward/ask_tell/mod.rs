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

use super::marginal::{Fingerprint, Marginal, fingerprint, parameters_at};
use super::{ForwardMap, MapShape, evaluate_one_by_one};
use crate::error::{Error, Result};
use crate::kernels::real::Real;

/// G(u) as it was told; coordinates N(0, I), mapped to the parameters by their `Marginal`s.
#[derive(Debug)]
pub struct AskTell {
    marginals: Vec<Marginal>,
    outputs: usize,
    /// Outputs, K numbers, by the fingerprint of the parameters; none: the member failed.
    told: RwLock<HashMap<Fingerprint, Option<Vec<f64>>>>,
    open: Mutex<Vec<Vec<f64>>>,
}

impl AskTell {
    /// A map of the parameters `marginals` to `outputs` numbers K, of which nothing has been told yet.
    #[must_use]
    pub fn new(marginals: Vec<Marginal>, outputs: usize) -> Self {
        Self {
            marginals,
            outputs,
            told: RwLock::default(),
            open: Mutex::default(),
        }
    }

    /// The parameters' names and priors, in order.
    #[must_use]
    pub fn marginals(&self) -> &[Marginal] {
        &self.marginals
    }

    /// Tells the outputs, K numbers, at the parameters `u`, P numbers in their own units; none where they have none (a member
    /// fails there). Every rank is to be told alike.
    ///
    /// # Errors
    /// Another number of parameters than the priors, or of outputs than the observations.
    pub fn tell(&self, u: &[f64], outputs: Option<Vec<f64>>) -> Result<()> {
        let told = outputs.as_ref().map_or(self.outputs, Vec::len);
        for (what, found, needed) in [
            ("parameters", u.len(), self.marginals.len()),
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

    /// Of a run that stopped to ask: the parameters whose outputs it needs, P numbers each in their own units, in the order of
    /// members; the same on all ranks.
    #[must_use]
    pub fn open(&self) -> Vec<Vec<f64>> {
        self.open.lock().expect("no thread panicked").clone()
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
            parameters: self.marginals.len(),
            features: 0,
            outputs: self.outputs,
        }
    }

    fn ask_tell(&self) -> Option<&AskTell> {
        Some(self)
    }

    fn own_units(&self) -> Option<&[Marginal]> {
        Some(&self.marginals)
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
            let known = told.get(&fingerprint(&parameters_at(&self.marginals, xi)));
            known.cloned().flatten()
        });
    }
}
