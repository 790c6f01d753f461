//! What a method's part of a step costs each rank, by formula: the sizes it follows from, and what methods have in common.
//!
//! J members, K outputs, R ranks of t threads; s the bytes of a number. Each method has its own formulas in its own file.

use crate::kernels::panel::ROWS;
use crate::method::gain::SOLVED;
use crate::method::norm::{TILE, norm_tiles};
use crate::method::outputs::{ROWS_PER_TASK, by_rows};
use crate::parallel::partition::{Blocks, OUTPUTS, Partition};

/// The sizes that a method's cost follows from.
#[derive(Clone, Copy, Debug)]
pub struct StepSizes {
    /// Members J.
    pub members: usize,
    /// Outputs K that enter D.
    pub outputs: usize,
    /// Ranks R.
    pub ranks: usize,
    /// Threads t of each.
    pub threads: usize,
    /// Bytes s of a number.
    pub number: usize,
    /// Members that ranks take together.
    pub unit: usize,
    /// Outputs of the prior's part, the last of K.
    pub of_prior: usize,
    /// True if observations are perturbed for each member.
    pub perturbed: bool,
    /// True if the outputs' covariances among themselves are tapered.
    pub tapered: bool,
    /// Gains of the factored form, one for each set of observations that informs other parameters.
    pub gains: usize,
}

/// The cost of a method's part of a step on one rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct MethodCost {
    /// Flops of putting the transform together.
    pub flops: f64,
    /// Bytes sent to other ranks for that; a reduction of n numbers counts as n sent.
    pub sent: usize,
    /// Numbers of the transform as the update reads it, and of what it is made from, which are kept from step to step.
    pub kept: usize,
    /// Bytes of what comes and goes while D or its factors are put together.
    pub passing: usize,
    /// Bytes of what comes and goes while a matrix is factored and solved with.
    pub solving: usize,
    /// The side of that matrix; 0: there is none.
    pub side: usize,
}

impl StepSizes {
    /// Returns the members J_r that `rank` evaluates.
    #[must_use]
    pub fn members_of(&self, rank: usize) -> usize {
        self.takers().range(rank).len()
    }

    /// Members over ranks, in the units that ranks take together.
    #[must_use]
    pub fn takers(&self) -> Partition {
        Partition::in_units(self.members, self.ranks, self.unit)
    }

    /// Returns the outputs K_r whose part of D `rank` computes by samples.
    #[must_use]
    pub fn outputs_of(&self, rank: usize) -> usize {
        let blocks = Blocks::of_width(self.outputs, OUTPUTS);
        let own = Partition::new(blocks.count(), self.ranks).range(rank);
        blocks.span(own).len()
    }

    /// Returns true if ranks share out the rows of an explicit D, not its samples.
    #[must_use]
    pub fn by_rows(&self) -> bool {
        by_rows(self.members, self.outputs)
    }

    /// Returns the rows of an explicit D that `rank` makes, by rows.
    #[must_use]
    pub fn rows_of(&self, rank: usize) -> usize {
        Partition::in_units(self.members, self.ranks, ROWS)
            .range(rank)
            .len()
    }

    /// Rows of `rows` that `rank` multiplies or solves for.
    #[must_use]
    pub fn solved_of(&self, rows: usize, rank: usize) -> usize {
        Partition::in_units(rows, self.ranks, SOLVED)
            .range(rank)
            .len()
    }

    /// Flops of `rows` rows of `rank`'s share of a lower triangle of X X^T, X with rows of `long` numbers.
    pub(crate) fn gram_flops(&self, rows: usize, long: usize, rank: usize) -> f64 {
        (self.solved_of(rows, rank) * rows) as f64 * long as f64
    }

    /// Flops of `rank`'s share of solving for `rows` rows with a factor of `side`.
    pub(crate) fn solved_flops(&self, rows: usize, side: usize, rank: usize) -> f64 {
        2.0 * (side as f64).powi(2) * self.solved_of(rows, rank) as f64
    }

    /// Bytes that `rank` sends so that all have all members' outputs.
    pub(crate) fn outputs_sent(&self, rank: usize) -> usize {
        self.number * self.members_of(rank) * self.outputs * (self.ranks - 1)
    }

    /// Bytes that `rank` sends so that all have `rows` rows of `side` doubles, of which it made its share.
    pub(crate) fn rows_sent(&self, rows: usize, side: usize, rank: usize) -> usize {
        8 * side * self.solved_of(rows, rank) * (self.ranks - 1)
    }

    /// Bytes that ranks hold while they gather `numbers`: a buffer, and as much again inside MPI.
    pub(crate) fn gathering(&self, numbers: usize) -> usize {
        match self.ranks {
            1 => 0,
            _ => 2 * self.number * numbers.min(1 << 20),
        }
    }

    /// Returns the cost of V and W on every rank and of ||D||_F by its tiles, of which `kept` numbers are kept.
    ///
    /// Where K <= J the norm needs two Gram matrices of side K, of which the tiles on and above the diagonal are computed; else
    /// all of V W^T, tile by tile, which nobody keeps.
    pub(crate) fn of_factors(&self, kept: usize, rank: usize) -> MethodCost {
        let (short, long) = (
            self.members.min(self.outputs),
            self.members.max(self.outputs),
        );
        let tiles = norm_tiles(self.members, self.outputs);
        let side = |tile: usize| TILE.min(short - tile * TILE) as f64;
        let products = if self.outputs > self.members {
            1.0
        } else {
            2.0
        };
        let own = &tiles[Partition::new(tiles.len(), self.ranks).range(rank)];
        let flops = own
            .iter()
            .map(|&(a, b)| products * 2.0 * side(a) * side(b) * long as f64);
        MethodCost {
            flops: flops.sum(),
            sent: self.outputs_sent(rank) + 8 * tiles.len(),
            kept,
            passing: 2 * self.number * self.threads * TILE * TILE,
            ..MethodCost::default()
        }
    }

    /// Returns the cost of an explicit D by sample slabs J x K/R, whose parts are summed over ranks.
    pub(crate) fn of_samples(&self, rank: usize) -> MethodCost {
        let (j, k, s, t) = (self.members, self.outputs, self.number, self.threads);
        let (own_j, own_k) = (self.members_of(rank), self.outputs_of(rank));
        let several = self.ranks > 1;
        let packed = if several { s * own_j * (k - own_k) } else { 0 };
        let wave = (4 * t * ROWS_PER_TASK).min(j.next_multiple_of(ROWS_PER_TASK)) * j;
        // A reduction's own copy of its chunk, and as much again inside MPI, which has to receive the others'.
        let reduced = if several {
            2 * 8 * wave.min(1 << 20)
        } else {
            0
        };
        let sums = 8 * wave + s * t * ROWS_PER_TASK * j + reduced;
        MethodCost {
            flops: 2.0 * (j * j) as f64 * own_k as f64,
            sent: s * own_j * (k - own_k) + 8 + 8 * j * j,
            kept: j * j,
            passing: s * j * own_k + packed.max(s * j * own_k + sums),
            ..MethodCost::default()
        }
    }

    /// Returns the cost of X g, X X^T and what takes D's place on every rank (`method::products`), of the rows that are then solved for,
    /// and of `factor` flops of the J x J matrix's factor on every rank.
    pub(crate) fn of_products(&self, factor: f64, rank: usize) -> MethodCost {
        let (j, k, s) = (self.members, self.outputs, self.number);
        let times = 1 + usize::from(self.perturbed);
        let solved = self.solved_flops(j, j, rank) + factor;
        let perturbed = |own: usize| match self.perturbed {
            true => 2.0 * j as f64 * own as f64,
            false => 0.0,
        };
        if self.by_rows() {
            let gram = self.gram_flops(j, k, rank);
            return MethodCost {
                flops: gram + solved + perturbed(self.solved_of(j, rank) * k),
                sent: self.outputs_sent(rank) + (1 + times) * self.rows_sent(j, j, rank),
                kept: j * j + j * k,
                passing: self.gathering(j * j.max(k)),
                // X, X X^T and what takes D's place; then the last two, and D as the update reads it.
                solving: 8 * (j * k + 2 * j * j),
                side: j,
            };
        }
        let own_k = self.outputs_of(rank);
        let scaled = 8 * j * own_k;
        let wave = (4 * self.threads * ROWS_PER_TASK).min(j.next_multiple_of(ROWS_PER_TASK)) * j;
        // With noise on the observations once more, beside the first.
        let panels = 8 * (wave + self.threads * ROWS_PER_TASK * j);
        let summed = times * (scaled + 8 * j * j) + panels;
        let base = self.of_samples(rank);
        // One bound more, W g, and the rows that are solved for.
        let reduced = 8 + 8 * j + (times - 1) * (8 + 8 * j * j);
        MethodCost {
            flops: base.flops + solved + perturbed(j * own_k),
            sent: base.sent + reduced + self.rows_sent(j, j, rank),
            solving: (scaled + s * j * own_k).max(summed).max(2 * 8 * j * j),
            side: j,
            ..base
        }
    }
}
