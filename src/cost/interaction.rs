//! The cost of computing D or its norm, in the terms of `cost`; that of the Kalman gain is in `gain`.

use super::{StepShape, columns};
use crate::ensemble::transform::Form;
use crate::kernels::panel::ROWS;
use crate::method::norm::{TILE, norm_tiles};
use crate::method::outputs::by_rows;
use crate::parallel::partition::{Blocks, OUTPUTS, Partition};

impl StepShape {
    /// Returns the number K_r of outputs whose part of D `rank` computes in the explicit form by samples.
    #[must_use]
    pub fn outputs_of(&self, rank: usize) -> usize {
        columns(Blocks::of_width(self.outputs, OUTPUTS), self.ranks, rank)
    }

    /// Returns true if ranks share the rows of an explicit D, rather than its samples.
    pub(crate) fn by_rows(&self) -> bool {
        self.form == Form::Explicit && by_rows(self.members, self.outputs)
    }

    /// Returns the number of rows of an explicit D that `rank` computes, by rows.
    pub(crate) fn rows_of(&self, rank: usize) -> usize {
        Partition::in_units(self.members, self.ranks, ROWS)
            .range(rank)
            .len()
    }

    /// Returns the flops of `rank` before the gain.
    pub(super) fn interaction_flops(&self, rank: usize) -> f64 {
        let (j, k) = (self.members as f64, self.outputs as f64);
        match self.form {
            Form::Explicit => match (self.by_rows(), self.gain) {
                (true, true) => 0.0,
                (true, false) => 2.0 * j * k * self.rows_of(rank) as f64,
                (false, _) => 2.0 * j * j * self.outputs_of(rank) as f64,
            },
            Form::Factored => self.gram_flops(rank),
            Form::Mean => self.gram_flops(rank) + 2.0 * j * k,
        }
    }

    /// Returns the flops of `rank`'s tiles of ||D||_F^2: of two Gram matrices if K <= J, else of V W^T itself.
    fn gram_flops(&self, rank: usize) -> f64 {
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
        own.iter()
            .map(|&(a, b)| products * 2.0 * side(a) * side(b) * long as f64)
            .sum()
    }

    /// Returns the bytes that `rank` sends to others before the gain.
    pub(super) fn interaction_sent(&self, rank: usize) -> usize {
        let (j, k, s) = (self.members, self.outputs, self.number);
        let own_j = self.members_of(rank);
        let gathered = s * own_j * k * (self.ranks - 1);
        match self.form {
            Form::Explicit if self.by_rows() && self.gain => gathered,
            Form::Explicit if self.by_rows() => {
                let rows = self.rows_of(rank).next_multiple_of(ROWS);
                gathered + s * rows * j * (self.ranks - 1) + 8 * j
            }
            Form::Explicit => s * own_j * (k - self.outputs_of(rank)) + 8 + 8 * j * j,
            Form::Factored | Form::Mean => gathered + 8 * norm_tiles(j, k).len(),
        }
    }
}
