//! Predicts the seconds of a step on any number of ranks, from the cost's formulas and this machine's rates.
//!
//! The threads of a rank take whole items (groups of members, blocks of columns, panels, tiles), so n items of s
//! seconds on t threads take ceil(n/t) s; serial work counts in full. The slowest rank counts. With latency a,
//! bandwidth b and overhead o of a message:
//!
//! ```text
//! reduction of n bytes      2 ceil(log2 R) a + 2 n / b
//! gathering of n bytes      ceil(log2 R) a + n / b              and two copies of what arrives
//! exchange of parameters    max(0, messages o + n / b - update) + a + the last block's bytes / b; 0 within a host
//! ```
//!
//! Evaluations, checkpoints, redraws at an epoch's end and growth are left out: this is the median step.

use serde::Serialize;

use crate::cost::StepShape;
use crate::cost::calibrate::{Network, Rates};
use crate::ensemble::transform::Form;
use crate::method::gain::SOLVED;
use crate::method::norm::norm_tiles;
use crate::method::outputs::ROWS_PER_TASK;
use crate::parallel::partition::{BLOCK, Blocks, DRAWN, OUTPUTS, Partition};

/// The predicted seconds of one step, by parts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Prediction {
    /// The members' forward map.
    pub forward: f64,
    /// The agreement on failed members.
    pub agreement: f64,
    /// The computation of D or its factors, with the exchange of outputs.
    pub interaction: f64,
    /// The move of the members.
    pub update: f64,
    /// The part of the parameters' exchange that the update does not hide.
    pub exchange: f64,
    /// The whole step.
    pub step_seconds: f64,
}

/// Predicts a step of `shape` if the threads of every rank have these `rates`, with `network` between the ranks.
#[must_use]
pub fn predict(shape: &StepShape, rates: &Rates, network: &Network) -> Prediction {
    let model = Model {
        shape,
        rates,
        network,
    };
    let slowest = |of: &dyn Fn(usize) -> f64| (0..shape.ranks).map(of).fold(0.0, f64::max);
    let update = slowest(&|rank| model.update(rank));
    let parts = Prediction {
        forward: slowest(&|rank| model.forward(rank)),
        agreement: slowest(&|rank| model.agreement(rank)),
        interaction: slowest(&|rank| model.interaction(rank)),
        update,
        exchange: slowest(&|rank| model.exchange(rank, update)),
        step_seconds: 0.0,
    };
    let sum = parts.forward + parts.agreement + parts.interaction + parts.update + parts.exchange;
    Prediction {
        step_seconds: sum,
        ..parts
    }
}

/// The inputs of a prediction.
struct Model<'a> {
    shape: &'a StepShape,
    rates: &'a Rates,
    network: &'a Network,
}

impl Model<'_> {
    /// Returns the rounds in which the threads of a rank do `items` whole items.
    fn rounds(&self, items: usize) -> f64 {
        items.div_ceil(self.shape.threads) as f64
    }

    /// Returns the blocks of parameters and their distribution over ranks.
    fn blocks(&self) -> (Blocks, Partition) {
        let blocks = Blocks::new(self.shape.parameters);
        (blocks, Partition::new(blocks.count(), self.shape.ranks))
    }

    /// Returns true if there is more than one rank.
    fn several(&self) -> bool {
        self.shape.ranks > 1
    }

    /// Returns the seconds of ceil(log2 R) consecutive messages.
    fn hops(&self) -> f64 {
        (self.shape.ranks as f64).log2().ceil() * self.network.latency
    }

    /// Returns the seconds that `bytes` take to leave a rank.
    fn wire(&self, bytes: usize) -> f64 {
        bytes as f64 / self.network.bandwidth
    }

    /// Returns the seconds of an allreduce of `bytes`.
    fn reduction(&self, bytes: usize) -> f64 {
        if self.several() {
            2.0 * (self.hops() + self.wire(bytes))
        } else {
            0.0
        }
    }

    /// Returns the seconds of the forward map on `rank`, draws included.
    fn forward(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        let own = s.members_of(rank);
        if own == 0 {
            return r.shared;
        }
        let drawn = if s.form == Form::Mean && s.drawn == 0 {
            s.differing
        } else {
            s.drawn as f64
        };
        let draws = self.rounds(own) * drawn * r.draw;
        // The first and the last group of a rank may be shared with its neighbours; then both evaluate the whole group.
        let start = Partition::in_units(s.members, s.ranks, s.unit)
            .range(rank)
            .start;
        let groups = (start + own).div_ceil(s.group) - start / s.group;
        let spread = self.rounds(own) * s.whitening.per_member + s.whitening.once;
        r.shared + draws + spread / r.product + self.rounds(groups) * r.group
    }

    /// Returns the seconds of the agreement on failed members.
    fn agreement(&self, rank: usize) -> f64 {
        let s = self.shape;
        let squares = (s.members_of(rank) * s.outputs) as f64 * self.rates.square;
        squares + self.reduction(s.agreement_bytes() * s.members)
    }

    /// Returns the seconds of the interaction on `rank`.
    fn interaction(&self, rank: usize) -> f64 {
        self.without_gain(rank) + self.gain(rank)
    }

    /// Returns the seconds of the Kalman gain: rows that ranks share and gather, and a factorisation on each rank.
    fn gain(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates.gain);
        let (sizes, side) = (s.sizes(), s.method(rank).side);
        if side == 0 {
            return 0.0;
        }
        let shared = |rows: usize, each: f64| {
            let own = sizes.solved_of(rows, rank);
            let gathered = if self.several() {
                self.hops() + self.wire(8 * side * (rows - own))
            } else {
                0.0
            };
            self.rounds(own.div_ceil(SOLVED)) * each + gathered
        };
        let one = r.factor
            + match s.form {
                Form::Explicit => {
                    // On average half of a row of the Gram matrix is computed, and all of a row of another product.
                    let gram = match (sizes.by_rows(), s.perturbed) {
                        (false, _) => 0.0,
                        (true, false) => shared(side, r.gram),
                        (true, true) => shared(side, r.gram) + shared(side, 2.0 * r.gram),
                    };
                    gram + shared(side, r.solved)
                }
                Form::Factored => {
                    let other = if side == s.outputs {
                        s.members
                    } else {
                        s.outputs
                    };
                    shared(side, r.gram) + shared(other, r.solved)
                }
                Form::Mean => shared(side, r.gram),
            };
        sizes.gains as f64 * one
    }

    /// Returns the seconds of the interaction on `rank` without the Kalman gain.
    fn without_gain(&self, rank: usize) -> f64 {
        match self.shape.form {
            Form::Explicit if self.shape.sizes().by_rows() => {
                self.factors(rank)
                    + if self.shape.kind.solves() {
                        0.0
                    } else {
                        self.rows(rank)
                    }
            }
            Form::Explicit => self.explicit(rank),
            Form::Factored => self.factors(rank) + self.norm(rank),
            Form::Mean => {
                // The mean of the gradients, and c, by one thread.
                let outputs = (self.shape.members * self.shape.outputs) as f64;
                self.factors(rank) + self.norm(rank) + 2.0 * outputs * self.rates.mean
            }
        }
    }

    /// Returns the seconds to gather a matrix of `numbers` numbers, of which `own` are already here.
    fn gathering(&self, numbers: usize, own: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        if self.several() {
            let copies = 2.0 * (s.number * numbers) as f64 / r.copy;
            self.hops() + self.wire(s.number * (numbers - own)) + copies
        } else {
            0.0
        }
    }

    /// Returns the seconds to compute V and W on every rank.
    fn factors(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        let (j, k) = (s.members, s.outputs);
        let outputs = (j * k) as f64;
        let passes = outputs * (r.mean + (r.gradient - r.mean).max(0.0) / s.threads as f64);
        let copy = (s.number * j * k) as f64 / r.copy;
        self.gathering(j * k, s.members_of(rank) * k) + copy + passes
    }

    /// Returns the seconds of ||D|| by tiles.
    fn norm(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        let tiles = norm_tiles(s.members, s.outputs).len();
        let own = Partition::new(tiles, s.ranks).range(rank).len();
        self.rounds(own) * r.tile + self.reduction(8 * tiles)
    }

    /// Returns the seconds of the rows of D: W^T in panels, the products, and gathering D.
    fn rows(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        let (j, own) = (s.members, s.sizes().rows_of(rank));
        let panels =
            self.rounds(own.div_ceil(ROWS_PER_TASK)) * r.panel * own.min(ROWS_PER_TASK) as f64;
        let arranged = (s.number * j * s.outputs) as f64 / (r.copy * s.threads as f64);
        arranged
            + panels / ROWS_PER_TASK as f64
            + self.gathering(j * j, own * j)
            + self.reduction(8 * j)
    }

    /// Returns the seconds of D by samples: the exchange of samples, and panels of rows summed over ranks in waves.
    fn explicit(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        let (j, own_j) = (s.members, s.members_of(rank));
        let own_k = s.sizes().outputs_of(rank);
        let sent = s.number * own_j * (s.outputs - own_k);
        let slabs = s.number * (j * own_k + own_j * s.outputs);
        let exchange = if self.several() {
            let ranks = s.ranks as f64;
            self.network.latency + ranks * self.network.overhead + self.wire(sent)
        } else {
            0.0
        };
        let blocks = own_k.div_ceil(OUTPUTS);
        let gradients = self.rounds(blocks) * (j * own_k.min(OUTPUTS)) as f64 * r.gradient;
        let waves = j.div_ceil(4 * s.threads * ROWS_PER_TASK) as f64;
        let width = own_k as f64 / OUTPUTS as f64;
        let panels = self.rounds(j.div_ceil(ROWS_PER_TASK)) * width * r.panel;
        let square = (j * j) as f64;
        let reductions = if self.several() {
            waves * 2.0 * self.hops() + 2.0 * self.wire(8 * j * j) + 2.0 * square * 8.0 / r.copy
        } else {
            0.0
        };
        // The sums of a wave are zeroed, read, and turned into a panel of D by one thread.
        let panel_bytes = square * (8 + s.number) as f64;
        exchange + (slabs as f64 + panel_bytes) / r.copy + gradients + panels + reductions
    }

    /// Returns the seconds of the update on `rank`.
    fn update(&self, rank: usize) -> f64 {
        let (s, r) = (self.shape, self.rates);
        if s.form == Form::Mean {
            let own = s.members_of(rank);
            let work = if s.drawn > 0 {
                own.div_ceil(s.unit) as f64 * r.unit_sum / s.threads as f64
            } else {
                let (blocks, drawn) = (s.parameters.div_ceil(DRAWN), DRAWN.min(s.parameters));
                self.rounds(blocks) * (own * drawn) as f64 * r.summed_draw
            };
            return work + self.reduction(8 * s.parameters);
        }
        let width = BLOCK.min(s.parameters);
        // After the update of a block, momentum reads and writes it and that of the other slab; momentum of the mean
        // reads it twice and writes it; a redraw draws it anew.
        let of_mean = s.centres && !s.redrawn;
        let passes = 4 * (s.slabs - 1) + if of_mean { 3 } else { 0 };
        let passes = passes * s.number * s.members * width;
        let redrawn = if s.redrawn { s.members * width } else { 0 };
        let block = r.block + passes as f64 / r.copy + redrawn as f64 * r.draw;
        let (blocks, owners) = self.blocks();
        let own = owners.range(rank);
        let widths = own.map(|b| blocks.range(b).len() as f64 / width as f64);
        finish(s.threads, widths) * block
    }

    /// Returns the seconds of the exchange of parameters that an update of `update` seconds does not hide.
    fn exchange(&self, rank: usize, update: f64) -> f64 {
        let s = self.shape;
        if !self.several() || s.form == Form::Mean {
            return 0.0;
        }
        let (blocks, owners) = self.blocks();
        let (own, all) = (owners.range(rank).len(), blocks.count());
        let far = s.ranks - s.near(rank).len();
        if far == 0 {
            // Two barriers.
            return 2.0 * self.hops() + self.reduction(8 * all);
        }
        let receives = if s.members_of(rank) > 0 {
            s.parameters_far(rank).div_ceil(BLOCK)
        } else {
            0
        };
        let messages = own * far.min(s.members) + receives;
        let bytes = s.number * s.parameters_of(rank) * s.members_far(rank);
        let arriving = s.number * s.members_of(rank) * s.parameters_far(rank);
        let travel = messages as f64 * self.network.overhead + self.wire(bytes.max(arriving));
        let last = s.number * s.members * BLOCK.min(s.parameters);
        (travel - update).max(0.0)
            + self.network.latency
            + self.wire(last)
            + self.reduction(8 * all)
    }
}

/// Returns the time at which the last of `items` is done, if the thread that is free first takes the next item.
fn finish(threads: usize, items: impl Iterator<Item = f64>) -> f64 {
    let mut busy = vec![0.0_f64; threads];
    for item in items {
        let free = busy.iter_mut().min_by(|a, b| a.total_cmp(b));
        *free.expect("a thread") += item;
    }
    busy.into_iter().fold(0.0, f64::max)
}

/// Returns the numbers of ranks of a curve: 1, 2, 4, ..., and `most` itself.
#[must_use]
pub fn rank_counts(most: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |r| Some(2 * r))
        .take_while(|r| *r < most)
        .collect();
    counts.push(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_double_up_to_the_most() {
        assert_eq!(rank_counts(1), [1]);
        assert_eq!(rank_counts(8), [1, 2, 4, 8]);
        assert_eq!(rank_counts(6), [1, 2, 4, 6]);
    }

    #[test]
    fn threads_take_whole_items_in_turn() {
        assert_eq!(finish(2, [1.0; 5].into_iter()), 3.0);
        assert_eq!(finish(2, [1.0, 1.0, 1.0, 0.25].into_iter()), 2.0);
        assert_eq!(finish(8, [1.0, 0.5].into_iter()), 1.0);
        assert_eq!(finish(3, std::iter::empty()), 0.0);
    }
}
