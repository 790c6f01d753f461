//! Blocks of a network's layers that take turns: members of a step differ in one block alone, so what the layers before it
//! give is the same for all of them, and is taken once.

use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::ThreadPool;

use crate::forward::evaluator::Evaluator;
use crate::forward::{ForwardMap, LayerPrefix, LayerSuffix};
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::kernels::window::CHUNK;
use crate::run::plan::Plan;

/// The parts of a forward map that steps evaluate in turn: all of it, or its layers from one on.
pub struct LayerSchedule<'a, T> {
    whole: &'a dyn ForwardMap<T>,
    tails: Vec<(usize, LayerSuffix<T>)>,
    plan: &'a Plan,
}

impl<'a, T: Real> LayerSchedule<'a, T> {
    /// Makes the schedule of `plan` with the forward map `whole`.
    #[must_use]
    pub fn new(plan: &'a Plan, whole: &'a dyn ForwardMap<T>) -> Self {
        let mut firsts = plan.ensemble.active_layers.clone();
        firsts.sort_unstable();
        firsts.dedup();
        let later = firsts.into_iter().filter(|&first| first > 1);
        let tail = |first| whole.tail(first).map(|tail| (first - 1, tail));
        Self {
            whole,
            tails: later.filter_map(tail).collect(),
            plan,
        }
    }

    /// Returns the whole map.
    #[must_use]
    pub fn whole(&self) -> &'a dyn ForwardMap<T> {
        self.whole
    }

    /// Returns the mean over steps of what `of` tells of the map and the parameters in which members differ.
    pub fn mean(&self, of: impl Fn(&dyn ForwardMap<T>, usize) -> f64) -> f64 {
        let prior = self.whole.prior();
        let mut firsts = self.plan.ensemble.active_layers.clone();
        firsts.sort_unstable();
        // A block's turns all tell the same, which may take a while to measure.
        let told = firsts.chunk_by(PartialEq::eq).map(|turns| {
            let layers = self.plan.block(turns[0]);
            let tail = self.tails.iter().find(|(first, _)| *first == layers.start);
            let map = tail.map_or(self.whole, |(_, tail)| tail.map.as_ref());
            turns.len() as f64 * of(map, prior.within(layers).len())
        });
        told.sum::<f64>() / firsts.len() as f64
    }

    /// Returns the layers from one on, where steps have such.
    pub fn tails(&self) -> impl Iterator<Item = &dyn ForwardMap<T>> {
        self.tails.iter().map(|(_, tail)| tail.map.as_ref())
    }

    /// Returns the evaluators of these blocks, on the threads of `pool`.
    #[must_use]
    pub fn blocks(&'a self, pool: &'a ThreadPool) -> Vec<LayerBlock<'a, T>> {
        let samples = self.plan.batches.width();
        let blocks = self.tails.iter().map(|(first, tail)| LayerBlock {
            first: *first,
            before: tail.before.as_ref(),
            pool,
            evaluator: Evaluator::new(tail.map.as_ref(), pool, samples),
        });
        blocks.collect()
    }
}

/// A network's layers from one on, on a rank's threads.
pub struct LayerBlock<'a, T> {
    /// The first of them, from 0.
    pub first: usize,
    /// The layers before.
    before: &'a LayerPrefix<T>,
    pool: &'a ThreadPool,
    /// The evaluator of these layers.
    pub evaluator: Evaluator<'a, T>,
}

impl<T: Real> LayerBlock<'_, T> {
    /// Returns the features that the layers before make of `inputs`, d x m, at `point`, P numbers: their features x m.
    #[must_use]
    pub fn inputs(&self, point: &[T], inputs: ArrayView2<T>) -> Array2<T> {
        let features = self.evaluator.map().features();
        let mut reached = Array2::zeros((features, inputs.ncols()));
        let chunks = inputs
            .axis_chunks_iter(Axis(1), CHUNK)
            .zip(reached.axis_chunks_iter_mut(Axis(1), CHUNK));
        let rooms: Vec<Mutex<Vec<T>>> = (0..self.pool.current_num_threads())
            .map(|_| Mutex::default())
            .collect();
        for_each(self.pool, chunks, |thread, (inputs, mut reached)| {
            let mut room = rooms[thread].lock().expect("one thread each");
            room.resize(features * inputs.ncols(), T::zero());
            (self.before)(point, inputs.as_standard_layout().view(), &mut room);
            let own = ArrayView2::from_shape(reached.raw_dim(), &room).expect("room");
            reached.assign(&own);
        });
        reached
    }
}
