//! What a run costs each rank, by formula, before anything is allocated: flops and bytes sent at a step, memory.
//!
//! J members, P parameters, K outputs, m samples, R ranks of t threads; J_r, P_r and K_r are a rank's own shares, f
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
//! n and l are the shorter and the longer of J and K: where K <= J, ||D||_F needs two Gram matrices of side n, of which
//! the tiles on and above the diagonal are computed; else all of V W^T, tile by tile, which nobody keeps. J_f are the
//! members of other hosts: ranks of one host read each other's parameters where they lie. A reduction
//! of n numbers counts as n sent (`Comm::bytes_sent`). What re-randomisation draws is not counted as flops. The Kalman
//! gain's part: `gain`; that of draws spread by the moments of layers' inputs: `whitening`.

pub mod calibrate;
mod gain;
mod interaction;
mod memory;
pub mod predict;
mod whitening;

use serde::Serialize;

pub use memory::{MOST_AS_TEXT, Memory};

use crate::ensemble::transform::Form;
use crate::forward::ForwardMap;
use crate::forward::evaluator;
use crate::forward::low_rank::UNIT;
use crate::kernels::real::Real;
use crate::parallel::partition::{Blocks, Partition};
use crate::run::layer_blocks::LayerSchedule;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;
use crate::with_precision;
use whitening::Spreading;

/// All that the formulas need.
#[derive(Clone, Debug)]
pub struct StepShape {
    /// Members J, the most of any epoch.
    pub members: usize,
    /// Members of the epoch before, where the ensemble grows; else J.
    pub members_before: usize,
    /// Parameters P.
    pub parameters: usize,
    /// Of these, those in which members differ, on average over steps: all, or a block of layers' whose turn it is.
    pub(crate) differing: f64,
    /// Outputs K that enter D.
    pub outputs: usize,
    /// Samples m of a batch.
    pub samples: usize,
    /// Form of the update.
    pub form: Form,
    /// Ranks R.
    pub ranks: usize,
    /// Threads t of each.
    pub threads: usize,
    /// Consecutive ranks that read each other's parameters where they lie, those of one host; 1: none does.
    near: usize,
    /// Bytes s of a number.
    pub number: usize,
    /// Whether products are of bfloat16.
    pub mixed: bool,
    /// Whether D is multiplied by the Kalman gain.
    pub gain: bool,
    /// Whether each member has noise of its own on the observations.
    pub perturbed: bool,
    /// Slabs that are kept: u, and with momentum v.
    pub(crate) slabs: usize,
    /// Whether what members are about is kept beside them.
    pub(crate) centres: bool,
    /// Whether all members that are kept are redrawn at each step.
    pub(crate) redrawn: bool,
    /// Members that a forward map takes together.
    pub(crate) group: usize,
    /// Members that ranks take together.
    pub(crate) unit: usize,
    /// Standard normal numbers of a low-rank member.
    pub(crate) drawn: usize,
    /// Where the mean moves by way of the layers' sums: flops of one member, and numbers that a unit gives.
    by_sums: Option<(f64, usize)>,
    /// Draws spread by the moments of layers' inputs.
    pub(crate) spreading: Spreading,
    /// Rows of P numbers that the mean form keeps on every rank.
    rows: usize,
    /// Bytes of the data set.
    data: u64,
    /// Flops f of one member on the batch.
    forward: f64,
    /// Numbers one thread's evaluation needs.
    room: usize,
    /// Numbers of a batch's inputs, and of these as the map arranges them.
    inputs: usize,
    /// Numbers that a member carries from step to step.
    hidden: usize,
    /// Whether members are answered by a simulator, whose parameters have names.
    pub simulates: bool,
    /// Whether the final ensemble is written.
    writes_members: bool,
}

/// Floating-point operations of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flops {
    /// Members through the forward map.
    pub forward: f64,
    /// Putting D or its norm together.
    pub interaction: f64,
    /// Moving the members, or their mean.
    pub update: f64,
}

/// Bytes one rank sends at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// Which members failed.
    pub agreement: u64,
    /// Outputs, and D or its norm.
    pub interaction: u64,
    /// New parameters to their members' owners.
    pub exchange: u64,
}

impl Flops {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.forward + self.interaction + self.update
    }
}

impl Sent {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.agreement + self.interaction + self.exchange
    }
}

impl StepShape {
    /// Of `plan` with the forward map `map` on `ranks` ranks of `threads` threads, at the most members it reaches.
    #[must_use]
    pub fn of<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>, ranks: usize, threads: usize) -> Self {
        let last = plan.steps.saturating_sub(1) / plan.batches.steps_per_epoch();
        Self::at(plan, map, (ranks, threads), last)
    }

    /// As `of`, at the members of `epoch`.
    #[must_use]
    pub fn at<T: Real>(
        plan: &Plan,
        map: &dyn ForwardMap<T>,
        (ranks, threads): (usize, usize),
        epoch: u64,
    ) -> Self {
        let config = plan.config();
        let members = plan.members(epoch);
        let form = plan.form(members);
        let beside = ExtraArrays::of(plan);
        let (m, data) = (plan.batches.batch, plan.data);
        let sample = if data.classes {
            data.features + 1
        } else {
            8 * (data.features + data.outputs)
        };
        let whole = evaluator::room(map, m);
        let turns = LayerSchedule::new(plan, map);
        let tails = || turns.tails();
        // Low-rank members come in whole units, and their numbers are kept for the step.
        let by_sums = by_sums(plan, map);
        let (forward, room, unit, drawn) = match (plan.low_rank(), map.low_rank()) {
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
        // A gradient takes a forward pass and twice as much on the way back.
        let forward = if plan.is_gradient_descent() {
            3.0 * forward
        } else {
            forward
        };
        Self {
            members,
            members_before: plan.members(epoch.saturating_sub(1)),
            parameters: plan.parameters,
            differing: turns.mean(|_, differing| differing as f64),
            outputs: plan.outputs(),
            samples: m,
            form,
            ranks,
            threads,
            near: 1,
            number: with_precision!(config.run.precision, T => size_of::<T>()),
            mixed: plan.mixed(),
            gain: plan.gain(1.0).is_some(),
            perturbed: plan.config().method.perturb,
            slabs: 1 + usize::from(beside.previous),
            centres: beside.centres && form != Form::Mean,
            redrawn: plan.redraws_each_step() && form != Form::Mean,
            data: ((data.train + data.test) as f64 * sample as f64) as u64,
            forward,
            room: room + tails().map(|tail| evaluator::room(tail, m)).sum::<usize>(),
            group: if drawn > 0 { unit } else { map.group() },
            unit,
            drawn,
            by_sums: by_sums.map(|(flops, given, _)| (flops, given)),
            spreading: Spreading::of(plan, map),
            rows: 3
                + usize::from(plan.memory().second > 0.0)
                + usize::from(plan.memory().average > 0.0),
            inputs: inputs_of(map, m) + tails().map(|tail| inputs_of(tail, m)).sum::<usize>(),
            hidden: map.carrying().map_or(0, |map| map.hidden()),
            simulates: config.model.kind.simulates(),
            writes_members: config.output.ensemble,
        }
    }

    /// The same where every `near` consecutive ranks are on one host and read each other's parameters.
    #[must_use]
    pub fn with_near(mut self, near: usize) -> Self {
        self.near = near.max(1);
        self
    }

    /// The ranks near `rank`, itself among them.
    pub(crate) fn near(&self, rank: usize) -> std::ops::Range<usize> {
        let first = rank / self.near * self.near;
        first..self.ranks.min(first + self.near)
    }

    /// The members that no rank near `rank` evaluates.
    pub(crate) fn members_far(&self, rank: usize) -> usize {
        let near: usize = self.near(rank).map(|r| self.members_of(r)).sum();
        self.members - near
    }

    /// The parameters that no rank near `rank` updates.
    pub(crate) fn parameters_far(&self, rank: usize) -> usize {
        let near: usize = self.near(rank).map(|r| self.parameters_of(r)).sum();
        self.parameters - near
    }

    /// The members J_r that `rank` evaluates.
    #[must_use]
    pub fn members_of(&self, rank: usize) -> usize {
        self.takers().range(rank).len()
    }

    /// Ranks that evaluate no member.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.takers().idle()
    }

    /// Members over ranks, in the units that ranks take together.
    fn takers(&self) -> Partition {
        Partition::in_units(self.members, self.ranks, self.unit)
    }

    /// The parameters P_r whose columns `rank` updates.
    #[must_use]
    pub fn parameters_of(&self, rank: usize) -> usize {
        columns(Blocks::new(self.parameters), self.ranks, rank)
    }

    /// Flops of `rank` at one step.
    #[must_use]
    pub fn flops(&self, rank: usize) -> Flops {
        let real = |n: usize| n as f64;
        let (j, k) = (real(self.members), real(self.outputs));
        let (own_j, own_p) = (real(self.members_of(rank)), real(self.parameters_of(rank)));
        let forward = own_j * (self.forward + self.spreading.of_member) + self.spreading.once;
        let update = match self.form {
            Form::Explicit => 2.0 * j * j * own_p,
            Form::Factored => 4.0 * j * k * own_p,
            Form::Mean => {
                let of_member = self
                    .by_sums
                    .map_or(2.0 * self.differing, |(flops, _)| flops);
                own_j * of_member
            }
        };
        Flops {
            forward,
            interaction: self.interaction_flops(rank) + self.gain_flops(rank),
            update,
        }
    }

    /// Flops of all ranks at one step.
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

    /// Bytes by which all ranks agree on one member: its misfit and squared norm, and of a simulator its outputs' checksum.
    fn facts(&self) -> usize {
        if self.simulates { 24 } else { 16 }
    }

    /// Bytes that `rank` sends at one step, but for the growth of an ensemble.
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
            agreement: (self.facts() * j) as u64 + predictions,
            interaction: (self.interaction_sent(rank) + self.gain_sent(rank)) as u64,
            exchange: exchange as u64,
        }
    }
}

/// Where `plan` moves the mean by way of the layers' sums: flops of one member, numbers a unit gives, scratch.
fn by_sums<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>) -> Option<(f64, usize, usize)> {
    let (m, rank) = (plan.batches.batch, plan.low_rank()?);
    let map = map
        .low_rank()?
        .layer_sums()
        .filter(|_| plan.by_layer_sums())?;
    let given = map.gives(m).iter().sum();
    Some((map.sums_flops(m, rank), given, map.sums_scratch(m, rank)))
}

/// Numbers of m samples' inputs to `map`, and of these as it arranges them.
fn inputs_of<T: Real>(map: &dyn ForwardMap<T>, m: usize) -> usize {
    m * map.features() + map.arranged(m)
}

/// The columns of `rank`'s whole `blocks`.
fn columns(blocks: Blocks, ranks: usize, rank: usize) -> usize {
    let own = Partition::new(blocks.count(), ranks).range(rank);
    blocks.span(own).len()
}
