//! Forward maps G: what the parameters of an ensemble member do to a batch of inputs.
//!
//! The room holds the trait [`ForwardMap`], one map a file or folder, the priors (`prior`, `joint_prior`, `marginal`, `random_field`), the evaluator that takes
//! members through a map on the threads of a rank, and `build` and `load`, which make map and data from a configuration. It may
//! import `data`, `io`, `config`, `parallel`, `kernels`, `files` and `error`, and knows no ensemble, method or run.
//!
//! To use a map of your own in a program, pass an [`FnMap`] or a type that implements [`ForwardMap`] to
//! [`Calibration`](crate::run::calibration::Calibration): nothing here changes.
//!
//! To add a map to the command line:
//!
//! 1. `forward/NAME.rs`: a type that implements [`ForwardMap`], and how it is made from a configuration;
//! 2. here: its line in the list of modules, and its arm in [`of`];
//! 3. `config/kinds.rs`: its word of `model.kind`; and in `config/keys/model.rs` its keys, if it has keys of its own;
//! 4. `config/presets/NAME.toml`: a preset.

pub mod activation;
pub mod ask_tell;
pub mod build;
pub mod cart_pole;
pub(crate) mod chunk;
pub mod conv;
pub mod dense;
pub mod elliptic;
pub mod evaluator;
pub mod fn_map;
pub(crate) mod headed;
pub mod inputs;
pub mod joint_prior;
pub mod layers;
pub mod linear;
pub mod load;
mod localise;
pub mod low_rank;
pub mod marginal;
pub mod network;
mod noise;
mod observed;
pub mod online;
pub mod own_data;
pub mod prior;
pub mod problem;
pub mod process;
pub mod random_field;
pub mod recurrent;
pub(crate) mod sources;
mod stage;
#[cfg(test)]
mod testing;
pub mod with_prior;

pub use fn_map::FnMap;
use inputs::LayerInputs;
use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut3, Axis};

use crate::config::{ModelKind, Resolved};
use crate::data::catalogue;
use crate::data::observed::ObservationTable;
use crate::data::recall::Task;
use crate::data::shape::DataShape;
use crate::error;
use crate::forward::ask_tell::AskTell;
use crate::forward::joint_prior::JointPrior;
use crate::forward::linear::Linear;
use crate::forward::online::Online;
use crate::forward::prior::Prior;
use crate::kernels::buffers::aligned;
use crate::kernels::real::Real;

/// Returns the forward map of `resolved` for data of `shape`: an arm for each kind of model. `operator` is the matrix of a linear
/// problem, which is drawn with its data, and `observed` says which of a simulator's outputs count.
///
/// # Errors
/// One line naming the key whose value does not fit the data or the kind of model.
pub fn of<T: Real>(
    resolved: &Resolved,
    shape: DataShape,
    (operator, observed): (Option<&Array2<f64>>, &ObservationTable),
) -> error::Result<Box<dyn ForwardMap<T>>> {
    let (model, data, outputs) = (&resolved.config.model, &resolved.config.data, shape.outputs);
    if model.kind != ModelKind::Process {
        build::refuse_command(resolved)?;
    }
    if !model.kind.simulates() && model.kind != ModelKind::Linear {
        build::check_network_keys(resolved)?;
    }
    Ok(match model.kind {
        ModelKind::Conv => Box::new(build::convolutional(resolved, shape)?),
        ModelKind::Recurrent if catalogue::is_series(&data.name) => {
            Box::new(Online::new(build::one_step(resolved, shape)?))
        }
        ModelKind::Recurrent => match Task::find(&data.name, data.length) {
            Some(task) => Box::new(build::recalling(resolved, shape, task)?),
            None => Box::new(build::recurrent(resolved, shape)?),
        },
        ModelKind::CartPole => Box::new(build::cart_pole(resolved, shape)?),
        ModelKind::Dense => Box::new(build::dense(resolved, shape)?),
        ModelKind::Linear => match operator {
            Some(operator) => Box::new(Linear::new(operator.clone())),
            None => return Err(resolved.error("data.name", "must be elliptic or random")),
        },
        ModelKind::Process => Box::new(build::simulator(resolved, observed)?),
        ModelKind::AskTell => Box::new(AskTell::new(JointPrior::of_simulator(resolved)?, outputs)),
    })
}

/// The sizes of a forward map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// The number of parameters P.
    pub parameters: usize,
    /// The inputs d of one sample; 0 for a map of parameters alone.
    pub features: usize,
    /// The outputs c of one sample.
    pub outputs: usize,
}

/// A forward map G(u, x): parameters u in R^P and inputs x, d numbers for each of m samples, to c outputs for each.
///
/// Two methods are compulsory, `shape` and `evaluate`; the others have defaults. A function of parameters alone needs no type
/// of its own: see [`FnMap`].
///
/// Inputs are d x m and outputs c x m: samples run fastest, so that even a narrow layer fills the lanes of a vector.
///
/// Members are evaluated in groups of a size the map fixes (from its own shape alone, never from ranks or threads),
/// so that small products of several members can be one larger product. A group's results must not depend on what
/// the other rows hold: ranks fill rows they do not own with zeros.
pub trait ForwardMap<T: Real>: Send + Sync {
    /// The numbers of parameters, inputs and outputs.
    fn shape(&self) -> MapShape;

    /// Writes the outputs, group x c x m, of `members`, group x P, on `inputs`, d x m.
    ///
    /// `scratch` holds at least `self.scratch(m)` numbers of any value. A member whose evaluation fails is to be
    /// filled with NaN.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    );

    /// The number of parameters P.
    fn parameters(&self) -> usize {
        self.shape().parameters
    }

    /// The input dimension d of one sample.
    fn features(&self) -> usize {
        self.shape().features
    }

    /// The outputs c of one sample.
    fn outputs(&self) -> usize {
        self.shape().outputs
    }

    /// The prior from which the initial ensemble and every re-randomisation are drawn: N(0, I) unless the map has another.
    fn prior(&self) -> Prior {
        Prior::standard(self.parameters())
    }

    /// The number of members that one call of `evaluate` takes.
    fn group(&self) -> usize {
        1
    }

    /// Scratch numbers that `evaluate` needs for a group on `m` samples; each thread allocates them once a run.
    fn scratch(&self, _m: usize) -> usize {
        0
    }

    /// Floating-point operations of one member on `m` samples; 0 where they are not known.
    fn flops(&self, _m: usize) -> f64 {
        0.0
    }

    /// Evaluates the map at the parameters `u`, P numbers, and checks what `shape` promises but no type can. Called by rank 0
    /// before a calibration begins.
    ///
    /// # Errors
    /// What is wrong, in words that follow "the forward map".
    fn try_member(&self, _u: &[T]) -> Result<(), String> {
        Ok(())
    }

    /// The numbers that `arrange` writes for `m` samples; 0 where inputs are read as they stand.
    fn arranged(&self, _m: usize) -> usize {
        0
    }

    /// Puts the inputs of a batch, d x m, in the order in which `evaluate_arranged` reads them: once for all members.
    fn arrange(&self, _inputs: ArrayView2<T>, _arranged: &mut [T]) {}

    /// Writes the same outputs as `evaluate`, to the bit, after `arrange` has been given `inputs`.
    fn evaluate_arranged(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        _arranged: &[T],
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        self.evaluate(members, inputs, outputs, scratch);
    }

    /// The prior of parameters that have units of their own: users give and get values in these units, and the ensemble moves in
    /// standard normal coordinates that are mapped to them.
    fn own_units(&self) -> Option<&joint_prior::JointPrior> {
        None
    }

    /// The outputs, c x 1, at the parameters `u` in their own units, N numbers that the prior admits; None of a map without such
    /// units, and where no coordinates lead there.
    fn outputs_in_own_units(&self, u: &[f64]) -> Option<Array2<T>> {
        let prior = self.own_units()?;
        if prior.field_without_modes().is_some() {
            return None;
        }
        let xi = prior.coordinates_of(u).ok()?.into_iter();
        let xi: Vec<T> = xi.map(T::from_f64).collect();
        Some(evaluate_alone(self, &xi, Array2::zeros((0, 1)).view()))
    }

    /// This map as one whose outputs come from outside (ask/tell): a step must not begin before they have come.
    fn ask_tell(&self) -> Option<&ask_tell::AskTell> {
        None
    }

    /// This map as one that runs a simulator program: `settle` is to be called when all members have been asked.
    fn simulator(&self) -> Option<&process::Process> {
        None
    }

    /// This map as one that can evaluate low-rank members.
    fn low_rank(&self) -> Option<&dyn low_rank::LowRank<T>> {
        None
    }

    /// The layers of a network; None for any other map.
    fn network(&self) -> Option<network::Network> {
        None
    }

    /// The layers with parameters from `layer`, counted from 1, on, of a network that can be cut there.
    fn tail(&self, _layer: usize) -> Option<LayerSuffix<T>> {
        None
    }

    /// The inputs that the units of a network's `layer`, counted from 0 among those with parameters, sum over at `point`, P
    /// numbers, on `inputs`, d x m; None for maps that do not know them.
    fn layer_inputs(
        &self,
        _layer: usize,
        _point: &[T],
        _inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        None
    }

    /// The highest return of an episode, of a map whose output is an episode's return divided by it: runs are then judged by
    /// the mean return.
    fn highest_return(&self) -> Option<f64> {
        None
    }

    /// This map as one whose members carry a hidden state from one batch to the next.
    fn carrying(&self) -> Option<&dyn online::Carrying<T>> {
        None
    }
}

/// The last layers of a network as a map of their own, whose inputs are what the layers before give.
pub struct LayerSuffix<T> {
    /// Its parameters are the network's last ones.
    pub map: Box<dyn ForwardMap<T>>,
    /// Writes what the layers before make of inputs, d x m, at a point of the whole network, P numbers: the map's inputs.
    pub before: Box<LayerPrefix<T>>,
}

/// From a point, P numbers, and inputs, d x m, to what layers make of them, features x m.
pub type LayerPrefix<T> = dyn Fn(&[T], ArrayView2<T>, &mut [T]) + Send + Sync;

/// `evaluate` of a map that arranges its inputs: they are arranged in the first of `scratch`.
fn arrange_and_evaluate<T: Real>(
    map: &impl ForwardMap<T>,
    members: ArrayView2<T>,
    inputs: ArrayView2<T>,
    outputs: ArrayViewMut3<T>,
    scratch: &mut [T],
) {
    let size = map.arranged(inputs.ncols());
    let (arranged, rest) = aligned(scratch).split_at_mut(size);
    map.arrange(inputs, arranged);
    map.evaluate_arranged(members, inputs, arranged, outputs, rest);
}

/// The outputs, c x m, of `map` at one `point`, P numbers, on `inputs`, d x m.
fn evaluate_alone<T: Real>(
    map: &(impl ForwardMap<T> + ?Sized),
    point: &[T],
    inputs: ArrayView2<T>,
) -> Array2<T> {
    let (group, samples) = (map.group(), inputs.ncols());
    // The other members of the group are of no matter.
    let mut members = Array2::zeros((group, point.len()));
    let first = members.row_mut(0).into_iter().zip(point);
    first.for_each(|(x, u)| *x = *u);
    let mut outputs = Array3::zeros((group, map.outputs(), samples));
    let mut scratch = vec![T::zero(); map.scratch(samples)];
    map.evaluate(members.view(), inputs, outputs.view_mut(), &mut scratch);
    outputs.index_axis_move(Axis(0), 0)
}

/// `evaluate` of a map that finds the K outputs of one member after the other, in double precision: `outputs_of` is given a
/// member's parameters; where it returns None the member has failed.
fn evaluate_one_by_one<T: Real>(
    members: ArrayView2<T>,
    mut outputs: ArrayViewMut3<T>,
    mut outputs_of: impl FnMut(&[T]) -> Option<Vec<f64>>,
) {
    for (member, mut out) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
        let found = outputs_of(member.to_slice().expect("row-major"));
        for (k, mut row) in out.rows_mut().into_iter().enumerate() {
            let number = found.as_ref().map(|found| T::from_f64(found[k]));
            row.fill(number.unwrap_or(T::nan()));
        }
    }
}
