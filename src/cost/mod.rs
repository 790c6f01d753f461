//! The cost of a run on each rank, by formula, before anything is allocated: flops and bytes sent per step, and memory.
//!
//! J members, P parameters, K outputs, m samples, R ranks of t threads; J_r, P_r and K_r are the shares of one rank, f
//! the flops of one member's forward pass, s the bytes of a number (4 or 8).
//!
//! | | explicit | factored | mean |
//! |---|---|---|---|
//! | flops: forward | J_r f | J_r f | J_r f |
//! | interaction | 2 J^2 K / R | 2 l (n^2 + 256 n) / R | the same, 2 J K |
//! | update | 2 J^2 P_r | 4 J K P_r | 2 J_r P, or 2 J_r f and less by way of the layers' sums |
//! | bytes: agreement | 16 J, and where members carry a state 8 J K | the same | the same |
//! | interaction | s (J_r K + J^2 / R) (R - 1), 8 J; by samples s J_r (K - K_r), 8 J^2 | s J_r K (R - 1), 8 per tile | the same |
//! | update | s P_r J_f, 8 per block | the same | 8 P |
//!
//! n and l are the shorter and the longer of J and K. If K <= J, ||D||_F needs two Gram matrices of side n, of which
//! the tiles on and above the diagonal are computed; else all of V W^T, tile by tile, without storing it. J_f is the
//! number of members of other hosts: ranks of one host read each other's parameters in place. A reduction of n numbers
//! counts as n numbers sent (`Comm::bytes_sent`). Re-randomisation's draws are not counted as flops. The interaction is
//! the method's part, for which each method has its formulas (`Method::cost`); the table gives those of "eki". `whitening` has
//! the cost of whitened draws.
//!
//! Imports every room above it, `run` included. To add a part to the cost: a formula here with its row in the table
//! above, its seconds in `predict`, and, if it needs a rate, a measurement in `calibrate`; the tests compare the
//! formulas with counted bytes and measured memory.

mod beside;
pub mod calibrate;
mod counts;
mod history;
mod localising;
mod memory;
pub mod predict;
mod sample;
mod second_order;
mod whitening;

pub use counts::{Flops, Sent};
pub use memory::{MOST_AS_TEXT, Memory};

use crate::config::MethodKind;
use crate::ensemble::transform::Form;
use crate::forward::ForwardMap;
use crate::forward::evaluator;
use crate::forward::joint_prior::{JointPrior, PriorSizes};
use crate::forward::low_rank::UNIT;
use crate::kernels::real::Real;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::{self, descent};
use crate::parallel::partition::{Blocks, Partition};
use crate::run::layer_blocks::LayerSchedule;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;
use crate::with_precision;
use beside::BesideCost;
use history::HistoryCost;
use localising::LocalisingCost;
use sample::SampleCost;
use second_order::SecondOrderCost;
use whitening::WhiteningCost;

/// The sizes of a step, as far as the formulas depend on them.
#[derive(Clone, Debug)]
pub struct StepShape {
    /// The number J of members, the most of any epoch.
    pub members: usize,
    /// The number of members in the epoch before, if the ensemble grows; else J.
    pub members_before: usize,
    /// The number P of parameters.
    pub parameters: usize,
    /// The number of parameters in which members differ, on average over steps.
    pub(crate) differing: f64,
    /// The number K of outputs that enter D.
    pub outputs: usize,
    /// The number of these that are observed; the others are the prior's.
    observed: usize,
    /// The number m of samples of a batch.
    pub samples: usize,
    /// The form of the update.
    pub form: Form,
    /// The number R of ranks.
    pub ranks: usize,
    /// The number t of threads of each rank.
    pub threads: usize,
    /// The number of consecutive ranks, those of one host, that read each other's parameters in place; 1 = none does.
    near: usize,
    /// The bytes s of a number.
    pub number: usize,
    /// True if products are of bfloat16.
    pub mixed: bool,
    /// The kind of method.
    pub kind: MethodKind,
    /// True if observations are perturbed for each member.
    pub perturbed: bool,
    /// Numbers that inflation, and steps that can be taken back, hold beside the members.
    pub(crate) beside: BesideCost,
    /// The cost of second-order exact draws.
    second_order: SecondOrderCost,
    /// The number of slabs that are kept: u, and v with momentum, or sigma points that were predicted.
    pub(crate) slabs: usize,
    /// True if the centre of the members is kept besides them.
    pub(crate) centres: bool,
    /// First members from a file.
    sample: SampleCost,
    /// True if all members of a stored ensemble are redrawn at each step.
    pub(crate) redrawn: bool,
    /// The number of members that the forward map evaluates together.
    pub(crate) group: usize,
    /// The number of members that ranks evaluate together.
    pub(crate) unit: usize,
    /// The number of standard normal draws of a low-rank member.
    pub(crate) drawn: usize,
    /// For a mean that moves by the layers' sums: the flops of one member, and the number of numbers that a unit yields.
    by_sums: Option<(f64, usize)>,
    /// The cost of whitened draws.
    pub(crate) whitening: WhiteningCost,
    /// The cost of localisation.
    pub(crate) localising: LocalisingCost,
    /// The number of rows of P numbers that the mean form keeps on every rank.
    rows: usize,
    /// The bytes of the data set, and of the covariance of its noise.
    data: [u64; 2],
    /// The flops f of one member on the batch.
    forward: f64,
    /// The number of numbers that the evaluation needs per thread.
    scratch: usize,
    /// The number of a batch's inputs, and of these as the map arranges them.
    inputs: usize,
    /// The number of numbers that a member carries from step to step.
    hidden: usize,
    /// True if a simulator, whose parameters have names, evaluates the members.
    pub simulates: bool,
    /// The sizes of a simulator's prior; with its matrices the file of one.
    prior: PriorSizes,
    /// True if the final ensemble is written.
    writes_members: bool,
    /// The history that is kept.
    history: HistoryCost,
}

impl StepShape {
    /// Returns the sizes of a step of `plan` with the forward map `map` on `ranks` ranks of `threads` threads, at the
    /// largest number of members that the run reaches.
    #[must_use]
    pub fn of<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>, ranks: usize, threads: usize) -> Self {
        let last = plan.steps.saturating_sub(1) / plan.batches.steps_per_epoch();
        Self::at(plan, map, (ranks, threads), last)
    }

    /// Returns the sizes of a step of `plan` at the number of members of `epoch`. Long because it fills a field per line.
    #[must_use]
    pub fn at<T: Real>(
        plan: &Plan,
        map: &dyn ForwardMap<T>,
        (ranks, threads): (usize, usize),
        epoch: u64,
    ) -> Self {
        let (config, members) = (plan.config(), plan.members(epoch));
        let form = plan.form(members);
        let extra = ExtraArrays::of(plan);
        let (m, data) = (plan.batches.width(), plan.data);
        let sample = if data.classes {
            data.features + 1
        } else {
            8 * (data.features + data.outputs)
        };
        let whole = evaluator::room(map, m);
        let turns = LayerSchedule::new(plan, map);
        let tails = || turns.tails();
        // Low-rank members are evaluated in whole units, and their draws are kept for the step.
        let by_sums = by_sums(plan, map);
        let (forward, scratch, unit, drawn) = match (plan.low_rank(), map.low_rank()) {
            (Some(rank), Some(low)) => (
                low.low_rank_flops(m, rank),
                whole
                    + low
                        .low_rank_scratch(UNIT, m, rank)
                        .max(by_sums.map_or(0, |by| by.2)),
                UNIT,
                low.draws(rank),
            ),
            _ => (turns.mean(|map, _| map.flops(m)), whole, 1, 0),
        };
        let forward = plan.descent.map_or(1.0, |_| descent::PASSES) * forward;
        let mut prior = map
            .own_units()
            .map_or_else(PriorSizes::default, JointPrior::sizes);
        let matrix = plan.resolved.prior_matrix.as_ref();
        prior.matrices += matrix.map_or(0, |matrix| matrix.bytes.len());
        Self {
            members,
            members_before: plan.members(epoch.saturating_sub(1)),
            parameters: plan.parameters,
            differing: turns.mean(|_, differing| differing as f64),
            outputs: plan.outputs(),
            observed: plan.observed(),
            samples: m,
            form,
            ranks,
            threads,
            near: 1,
            number: with_precision!(config.run.precision, T => size_of::<T>()),
            mixed: plan.mixed(),
            kind: config.method.kind,
            perturbed: config.method.perturb,
            beside: BesideCost::of(plan),
            second_order: SecondOrderCost::of(plan, form),
            slabs: 1 + usize::from(extra.previous),
            centres: extra.centres && form != Form::Mean,
            sample: SampleCost::of(plan, form),
            redrawn: plan.redraws_each_step() && form != Form::Mean,
            data: [(data.train + data.test) * sample, plan.noise.bytes()].map(|bytes| bytes as u64),
            forward: forward + plan.noise.flops(),
            scratch: scratch + tails().map(|tail| evaluator::room(tail, m)).sum::<usize>(),
            group: if drawn > 0 { unit } else { map.group() },
            unit,
            drawn,
            by_sums: by_sums.map(|(flops, yielded, _)| (flops, yielded)),
            whitening: WhiteningCost::of(plan, map),
            localising: LocalisingCost::of(plan),
            rows: 3
                + usize::from(plan.memory().second > 0.0)
                + usize::from(plan.memory().average > 0.0),
            inputs: inputs_of(map, m) + tails().map(|tail| inputs_of(tail, m)).sum::<usize>(),
            hidden: map.carrying().map_or(0, |map| map.hidden()),
            simulates: config.model.kind.simulates(),
            prior,
            writes_members: config.output.ensemble,
            history: HistoryCost::of(plan, map),
        }
    }

    /// Returns the sizes with every `near` consecutive ranks on one host, where they read each other's parameters in
    /// place.
    #[must_use]
    pub fn with_near(mut self, near: usize) -> Self {
        self.near = near.max(1);
        self
    }

    /// Returns the ranks near `rank`, itself included.
    pub(crate) fn near(&self, rank: usize) -> std::ops::Range<usize> {
        let first = rank / self.near * self.near;
        first..self.ranks.min(first + self.near)
    }

    /// Returns the number of members that no rank near `rank` evaluates.
    pub(crate) fn members_far(&self, rank: usize) -> usize {
        let near: usize = self.near(rank).map(|r| self.members_of(r)).sum();
        self.members - near
    }

    /// Returns the number of parameters that no rank near `rank` updates.
    pub(crate) fn parameters_far(&self, rank: usize) -> usize {
        let near: usize = self.near(rank).map(|r| self.parameters_of(r)).sum();
        self.parameters - near
    }

    /// Returns the sizes that the method's part of a step follows from.
    #[must_use]
    pub fn sizes(&self) -> StepSizes {
        StepSizes {
            members: self.members,
            outputs: self.outputs,
            ranks: self.ranks,
            threads: self.threads,
            number: self.number,
            unit: self.unit,
            of_prior: self.outputs - self.observed,
            perturbed: self.perturbed,
            tapered: self.localising.tapers_outputs,
            gains: self.localising.gains,
        }
    }

    /// Returns the cost of the method's part of a step on `rank`.
    #[must_use]
    pub fn method(&self, rank: usize) -> MethodCost {
        let method = method::of::<f32>(self.kind, self.form);
        self.second_order.with_noise(&*method, &self.sizes(), rank)
    }

    /// Returns the number J_r of members that `rank` evaluates.
    #[must_use]
    pub fn members_of(&self, rank: usize) -> usize {
        self.sizes().members_of(rank)
    }

    /// Returns the number of ranks that evaluate no member.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.sizes().takers().idle()
    }

    /// Returns the number P_r of parameters whose columns `rank` updates.
    #[must_use]
    pub fn parameters_of(&self, rank: usize) -> usize {
        columns(Blocks::new(self.parameters), self.ranks, rank)
    }

    /// Returns the flops of `rank` in one step.
    #[must_use]
    pub fn flops(&self, rank: usize) -> Flops {
        let real = |n: usize| n as f64;
        let (j, k) = (real(self.members), real(self.outputs));
        let (own_j, own_p) = (real(self.members_of(rank)), real(self.parameters_of(rank)));
        let forward = own_j * (self.forward + self.whitening.per_member) + self.whitening.once;
        let update = match self.form {
            Form::Explicit => 2.0 * j * j * own_p,
            Form::Factored => self.localising.update((self.ranks, rank), own_p, (j, k)),
            Form::Mean => {
                let per_member = self
                    .by_sums
                    .map_or(2.0 * self.differing, |(flops, _)| flops);
                own_j * per_member
            }
        };
        Flops {
            forward,
            interaction: self.method(rank).flops,
            update,
        }
    }

    /// Returns the flops of all ranks in one step.
    #[must_use]
    pub fn flops_of_all(&self) -> Flops {
        let add = |a: Flops, b: Flops| Flops {
            forward: a.forward + b.forward,
            interaction: a.interaction + b.interaction,
            update: a.update + b.update,
        };
        (0..self.ranks)
            .map(|r| self.flops(r))
            .fold(Flops::default(), add)
    }

    /// Returns the bytes by which ranks agree on one member: its misfit and squared norm, and for a simulator a
    /// checksum of its outputs.
    fn agreement_bytes(&self) -> usize {
        if self.simulates { 24 } else { 16 }
    }

    /// Returns the bytes that `rank` sends in one step, without those for a growing ensemble.
    #[must_use]
    pub fn sent(&self, rank: usize) -> Sent {
        if self.ranks == 1 {
            return Sent::default();
        }
        let (j, k, s) = (self.members, self.outputs, self.number);
        let predictions = if self.hidden > 0 { 8 * j * k } else { 0 } as u64;
        let exchange = match self.form {
            Form::Mean => 8 * self.parameters,
            _ => {
                let blocks = Blocks::new(self.parameters).count();
                s * self.parameters_of(rank) * self.members_far(rank) + 8 * blocks
            }
        };
        Sent {
            agreement: (self.agreement_bytes() * j) as u64 + predictions,
            interaction: self.method(rank).sent as u64,
            exchange: exchange as u64,
        }
    }
}

/// Returns, if `plan` moves the mean by the layers' sums, the flops of one member, the number of numbers that a unit
/// yields, and the size of the scratch space.
fn by_sums<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>) -> Option<(f64, usize, usize)> {
    let (m, rank) = (plan.batches.width(), plan.low_rank()?);
    let map = map
        .low_rank()?
        .layer_sums()
        .filter(|_| plan.by_layer_sums())?;
    let yielded = map.gives(m).iter().sum();
    Some((map.sums_flops(m, rank), yielded, map.sums_scratch(m, rank)))
}

/// Returns the number of inputs of m samples to `map`, plus the number of these as it arranges them.
fn inputs_of<T: Real>(map: &dyn ForwardMap<T>, m: usize) -> usize {
    m * map.features() + map.arranged(m)
}

/// Returns the number of columns in the blocks of `rank`.
fn columns(blocks: Blocks, ranks: usize, rank: usize) -> usize {
    let own = Partition::new(blocks.count(), ranks).range(rank);
    blocks.span(own).len()
}
