//! Every configuration key, one row each: the rows declare the structures that hold a run's settings, and what a key is.

mod data;
mod ensemble;
mod method;
mod model;
mod run;

use serde::{Deserialize, Serialize};

pub use data::{Conflict, Data, Scale, TargetKind};
pub use ensemble::{DrawKind, Ensemble, InitialCentre, PriorSource, Rerandomise};
pub use method::{
    Covariance, FormKind, HSchedule, LossKind, Method, MomentumOf, MomentumRule, PointsKind,
    StepKind,
};
pub use model::{Activation, Model, OutputKind, RecurrenceOf};
pub use run::{Best, Checkpoint, OnError, OnHang, Output, Precision, Run};

use super::key::{Key, Resume};
use super::kinds::{MethodKind, ModelKind};
use super::scope::{EVERYWHERE, Scope};
use super::value::Kind;

/// The most of what a data set, a batch or a network may count: beyond it sizes no longer fit the machine's integers.
const MOST: i64 = 100_000_000;
/// The most steps or epochs that a key may count.
const LONGEST: i64 = 1_000_000_000_000_000;

/// The scope of keys of networks.
const NETWORKS: Scope = EVERYWHERE.models(ModelKind::NETWORKS);
/// The scope of keys of the user's simulators, started by the run or not.
const SIMULATORS: Scope = EVERYWHERE.models(ModelKind::SIMULATORS);
/// The scope of keys of maps that are fitted to one set of observations.
const ONE_SET: Scope = EVERYWHERE.models(ModelKind::ONE_SET);
/// The scope of keys of methods with an ensemble.
const ENSEMBLES: Scope = EVERYWHERE.methods(MethodKind::ENSEMBLES);
/// The scope of keys of gradient descent.
const DESCENT: Scope = EVERYWHERE.methods(MethodKind::DESCENT);

/// Every setting of a run, as `config.toml` in the run's folder holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Seed of all random numbers of the run.
    pub seed: u64,
    /// Settings of the forward map G.
    pub model: Model,
    /// Settings of the data.
    pub data: Data,
    /// Settings of the method.
    pub method: Method,
    /// Settings of the ensemble.
    pub ensemble: Ensemble,
    /// Settings of a run's length, precision and evaluation.
    pub run: Run,
    /// Settings of checkpoints.
    pub checkpoint: Checkpoint,
    /// Settings of what is written at the end.
    pub output: Output,
}

/// The row of the one key that stands in no section.
const SEED: &[Key] = &[Key {
    path: "seed",
    kind: Kind::Integer(0),
    default: "1",
    about: "Seed of all random numbers of the run.",
    scope: EVERYWHERE,
    resume: Resume::Fixed,
}];

/// Returns every key, section by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    let sections = [
        SEED,
        Model::KEYS,
        Data::KEYS,
        Method::KEYS,
        Ensemble::KEYS,
        Run::KEYS,
        Checkpoint::KEYS,
        Output::KEYS,
    ];
    sections.into_iter().flatten()
}

/// Returns the key at `path`, if there is one.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    keys().find(|key| key.path == path)
}
