//! The context of a run's steps: what all of them share.

use std::sync::{Arc, Mutex};

use ndarray::Array2;

use super::history::Recorder;
use super::waits::{self, Round, Waits};
use crate::config::{self, Best, MethodKind, Rerandomise};
use crate::data::Batch;
use crate::data::baseline::Baselines;
use crate::ensemble::draw::Draw;
use crate::ensemble::localisation::Localisation;
use crate::ensemble::sigma_points::Prediction;
use crate::ensemble::stages::additive::Additive;
use crate::ensemble::stages::inflation::Inflation;
use crate::ensemble::stages::redraw::Redrawing;
use crate::ensemble::stages::relaxation::Relaxation;
use crate::ensemble::stages::replacement::Replacement;
use crate::ensemble::stages::sparse::Sparse;
use crate::ensemble::stages::{Stage, momentum};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::whitening;
use crate::error::Result;
use crate::forward::evaluator::Evaluator;
use crate::forward::joint_prior::JointPrior;
use crate::forward::prior::Prior;
use crate::forward::problem::Problem;
use crate::kernels::buffers::BufferPool;
use crate::kernels::real::Real;
use crate::kernels::rng::Purpose;
use crate::method::outputs::Outputs;
use crate::method::sparse::scales;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;
use crate::run::layer_blocks::{LayerBlock, LayerSchedule};
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;
use crate::run::stop::StopReason;

/// The context that all steps of a run share.
pub struct StepContext<'a, T> {
    /// The ranks and their threads.
    pub ranks: Ranks<'a>,
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The forward map and the data.
    pub problem: &'a Problem<T>,
    /// The forward map on this rank's threads.
    pub evaluator: Evaluator<'a, T>,
    /// The forward map from the first layer of each block on, where members differ in one block of layers at a time.
    pub(super) blocks: Vec<LayerBlock<'a, T>>,
    /// The forward map's prior.
    pub prior: Prior,
    /// The baselines that a forecast of a series must beat.
    pub baselines: Option<Baselines>,
    /// The samples, d x m, by whose layers' inputs draws are whitened, and the damping; None without whitening.
    pub(super) whitened_by: Option<(Array2<T>, f64)>,
    /// The localisation, if any.
    localisation: Option<Localisation>,
    /// Buffers that a step leaves for the next.
    pub buffers: BufferPool<T>,
    /// The stages that each block of members goes through after the transform, in order.
    pub(super) stages: Vec<Box<dyn Stage<T>>>,
    /// The recorder of members and outputs, if they are kept.
    pub(super) history: Option<Recorder>,
    /// The step that members were judged after, and their outputs on this rank, J/R x K: the next step need not ask for them.
    judged: Mutex<Option<(u64, Array2<T>)>>,
    /// Reasons to stop while simulators are waited for.
    pub(super) waits: Option<Arc<Mutex<Waits>>>,
}

impl<'a, T: Real> StepContext<'a, T> {
    /// Makes the context of a run of `plan`, with room for its batches. Called by all ranks.
    ///
    /// # Errors
    /// As `Plan::read_localisation`.
    pub fn new(
        ranks: Ranks<'a>,
        plan: &'a Plan,
        problem: &'a Problem<T>,
        turns: &'a LayerSchedule<T>,
    ) -> Result<Self> {
        let evaluator = Evaluator::new(problem.map.as_ref(), ranks.pool, plan.batches.width());
        let series = problem.map.carrying().map(|_| &problem.dataset.train);
        Ok(Self {
            ranks,
            plan,
            problem,
            evaluator,
            blocks: turns.blocks(ranks.pool),
            prior: problem.map.prior(),
            baselines: series.and_then(Baselines::of),
            whitened_by: plan.whitens().map(|damping| {
                let train = &problem.dataset.train;
                let rows: Vec<usize> = (0..train.len().min(whitening::SAMPLES)).collect();
                let samples = Batch::gather(train, &rows, problem.scaling).inputs;
                (samples, damping)
            }),
            localisation: plan.read_localisation(ranks)?,
            buffers: BufferPool::default(),
            stages: stages(plan, problem.map.own_units()),
            history: None,
            judged: Mutex::default(),
            waits: None,
        })
    }

    /// Returns what this rank brings to the method at `step`, where `factor` of h is to be taken: its `selected` outputs, J/R x K,
    /// of a batch of `samples`, and their `targets`, K numbers.
    pub(super) fn outputs<'s>(
        &'s self,
        (selected, targets): (&'s Array2<T>, &'s [T]),
        (members, survivors): (Partition, &'s Survivors),
        (step, factor, samples): (u64, f64, usize),
        coefficients: Option<&'s Array2<T>>,
    ) -> Outputs<'s, T>
    where
        'a: 's,
    {
        let plan = self.plan;
        let config = plan.config();
        let gauss_newton = config.method.kind == MethodKind::Gnki;
        Outputs {
            selected,
            targets,
            loss: &plan.loss_in_d,
            survivors,
            members,
            samples: plan.by_layer_sums().then_some(samples),
            gain: plan.gain(factor),
            noise: config.method.perturb.then_some(Draw {
                seed: config.seed,
                purpose: Purpose::Perturb,
                // The cost that a Gauss-Newton step lowers is the same at all steps.
                step: if gauss_newton { 0 } else { step },
            }),
            second_order: config.ensemble.second_order_exact && !gauss_newton,
            coefficients,
            sampler: plan.sampler(step, factor),
            points: plan.sigma_points(),
            localisation: self.localisation.clone(),
            mixed: plan.mixed(),
            buffers: &self.buffers,
        }
    }

    /// Returns true if outputs are kept as they come, J/R x K.
    pub(super) fn keeps_outputs(&self) -> bool {
        let best = self.plan.config().run.best;
        let judges = best == Best::Evaluation && self.problem.map.own_units().is_some();
        self.history.is_some() || judges
    }

    /// The members after `step` steps have these `outputs` on this rank.
    pub(super) fn know_outputs(&self, step: u64, outputs: Array2<T>) {
        *self.judged.lock().expect("no thread panicked") = Some((step, outputs));
    }

    /// Returns the outputs of the members after `step` steps, if they are known.
    pub(super) fn known_outputs(&self, step: u64) -> Option<Array2<f64>> {
        let mut judged = self.judged.lock().expect("no thread panicked");
        let known = judged.take().filter(|(of, _)| *of == step);
        known.map(|(_, outputs)| outputs.mapv(|z| z.as_f64()))
    }

    /// Returns true if an ask/tell run also asks for the outputs of its last ensemble.
    pub(super) fn asks_for_last_outputs(&self) -> bool {
        self.history.as_ref().is_some_and(Recorder::is_asked_for)
    }

    /// Settles the members' simulations, if there are simulators. Called by all ranks.
    ///
    /// # Errors
    /// As `waits::settle`.
    pub(super) fn settle(&self) -> Result<Round> {
        waits::settle(self.ranks, self.problem, self.waits.as_deref())
    }

    /// Returns why all ranks gave up a step's simulations, if they did.
    pub(super) fn given_up(&self) -> Option<StopReason> {
        let waits = self.waits.as_ref()?;
        waits.lock().expect("no thread panicked").agreed()
    }
}

/// Returns the sparse step of `plan`, of parameters with this `prior`, if they have units of their own.
fn sparse(plan: &Plan, prior: Option<&JointPrior>) -> Sparse {
    let method = &plan.config().method;
    let scales = prior.and_then(scales);
    Sparse {
        penalty: method.penalty,
        threshold: method.threshold,
        scales: scales.unwrap_or_else(|| vec![1.0; plan.parameters]),
    }
}

/// Returns the stages of an update in the order of the paper, of those that `plan` asks for.
fn stages<T: Real>(plan: &Plan, prior: Option<&JointPrior>) -> Vec<Box<dyn Stage<T>>> {
    let (ensemble, kept) = (&plan.ensemble, ExtraArrays::of(plan));
    let mut stages: Vec<Box<dyn Stage<T>>> = Vec::new();
    let mut factor: Option<Box<dyn Stage<T>>> = None;
    if plan.config().method.kind == MethodKind::Sparse {
        stages.push(Box::new(sparse(plan, prior)));
    }
    // What a step that takes some sets has of what counts once for all of them.
    let share = match plan.takes_all_sets() {
        true => 1.0,
        false => plan.batches.share(),
    };
    match ensemble.inflation {
        config::Inflation::Factor(1.0) => {}
        config::Inflation::Factor(by) => {
            factor = Some(Box::new(Inflation::Constant(by.powf(share))));
        }
        config::Inflation::Scaled(by) => {
            factor = Some(Box::new(Inflation::Scaled(by.powf(share))));
        }
        config::Inflation::Adaptive { .. } => factor = Some(Box::new(Inflation::Found)),
        config::Inflation::Additive(variance) => stages.push(Box::new(Additive(share * variance))),
        config::Inflation::Spread(weight) => stages.push(Box::new(Relaxation::Spread(weight))),
        config::Inflation::Perturbations(weight) => {
            stages.push(Box::new(Relaxation::Perturbations(weight)));
        }
    }
    stages.push(Box::new(Replacement));
    stages.extend(factor);
    if plan.sigma_points().is_some() {
        let alpha = plan.config().method.regularisation;
        stages.push(Box::new(Prediction { alpha }));
    } else if kept.centres {
        stages.push(Box::new(momentum::OfMean));
    } else if kept.previous {
        stages.push(Box::new(momentum::OfMembers));
    }
    if ensemble.rerandomise != Rerandomise::Never {
        stages.push(Box::new(Redrawing));
    }
    stages
}
