//! Forward maps G: what an ensemble member's parameters do to a batch of inputs.

pub mod activation;
pub mod ask_tell;
pub mod build;
pub mod cart_pole;
pub(crate) mod chunk;
pub mod conv;
pub mod dense;
pub mod elliptic;
pub mod evaluator;
pub mod inputs;
pub mod layers;
pub mod linear;
pub mod load;
pub mod low_rank;
pub mod network;
pub mod online;
pub mod prior;
pub mod problem;
pub mod process;
pub mod recurrent;
pub(crate) mod sources;
mod stage;
#[cfg(test)]
mod testing;

use inputs::LayerInputs;
use ndarray::{ArrayView2, ArrayViewMut3};

use crate::forward::prior::Prior;
use crate::kernels::buffers::aligned;
use crate::kernels::real::Real;

/// A forward map G(u, x): parameters u in R^P and inputs x, d numbers for each of m samples, to c outputs for each.
///
/// Inputs are d x m and outputs c x m: samples run fastest, so that even a narrow layer fills the lanes of a vector.
///
/// Members are evaluated in groups of a size the map fixes (from its own shape alone, never from ranks or threads),
/// so that small products of several members can be one larger product. A group's results must not depend on what
/// the other rows hold: ranks fill rows they do not own with zeros.
pub trait ForwardMap<T: Real>: Send + Sync {
    /// The number of parameters P.
    fn parameters(&self) -> usize;

    /// The input dimension d of one sample.
    fn features(&self) -> usize;

    /// The outputs c of one sample.
    fn outputs(&self) -> usize;

    /// The prior the initial ensemble and every re-randomisation are drawn from.
    fn prior(&self) -> Prior;

    /// How many members one call of `evaluate` takes.
    fn group(&self) -> usize {
        1
    }

    /// The same map, where it knows low-rank members.
    fn low_rank(&self) -> Option<&dyn low_rank::LowRank<T>> {
        None
    }

    /// The same map, where its outputs are brought from outside: a step must not begin before they are there.
    fn ask_tell(&self) -> Option<&ask_tell::AskTell> {
        None
    }

    /// The parameters' names and priors where they have units of their own: what a user gives and gets is in these, and the
    /// ensemble's coordinates are mapped to them.
    fn own_units(&self) -> Option<&[process::Marginal]> {
        None
    }

    /// The same map, where it asks programs that simulate: `settle` is to be called when all members have been asked.
    fn simulator(&self) -> Option<&process::Process> {
        None
    }

    /// What it is made of, where it is a network.
    fn network(&self) -> Option<network::Network> {
        None
    }

    /// The layers with parameters from `layer`, from 1, on, where it is a network that can be cut there.
    fn tail(&self, _layer: usize) -> Option<LayerSuffix<T>> {
        None
    }

    /// What the units of `layer`, of those with parameters, from 0, sum over at `point`, P numbers, on `inputs`, d x m;
    /// where it is a network that tells.
    fn layer_inputs(
        &self,
        _layer: usize,
        _point: &[T],
        _inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        None
    }

    /// Where an output is an episode's return over the highest there is: that highest return. Runs are then judged by
    /// the mean return.
    fn highest_return(&self) -> Option<f64> {
        None
    }

    /// The same map, where its members carry a hidden state from one batch to the next.
    fn carrying(&self) -> Option<&dyn online::Carrying<T>> {
        None
    }

    /// Floating-point operations of one member on `m` samples.
    fn flops(&self, m: usize) -> f64;

    /// Scratch numbers `evaluate` needs for a group on `m` samples; each thread allocates them once a run.
    fn scratch(&self, m: usize) -> usize;

    /// Numbers that `arrange` writes for `m` samples; 0 where inputs are read as they stand.
    fn arranged(&self, _m: usize) -> usize {
        0
    }

    /// Puts the inputs of a batch, d x m, in the order `evaluate_arranged` reads them: once for all members.
    fn arrange(&self, _inputs: ArrayView2<T>, _arranged: &mut [T]) {}

    /// As `evaluate`, after `arrange` has been given `inputs`; the bits must be the same.
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

/// Why a map in mixed precision meets single precision alone.
const SINGLE: &str = "mixed precision is single's";

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
