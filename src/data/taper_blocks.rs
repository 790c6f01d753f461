//! The columns of a matrix of factors that a rank owns, block by block: of each block the rows alone that are not all zero.

use std::ops::Range;

use crate::parallel::partition::Blocks;

/// The factors of the columns of one rank.
#[derive(Debug)]
pub struct TaperBlocks {
    blocks: Blocks,
    /// The blocks of the rank.
    own: Range<usize>,
    tapers: Vec<TaperBlock>,
}

/// The factors of one block of columns.
#[derive(Debug, Default)]
struct TaperBlock {
    /// The rows that are not all zero, ascending.
    near: Vec<usize>,
    /// Their factors, K' x w.
    factors: Vec<f32>,
}

impl TaperBlocks {
    /// Returns the tapers of the blocks `own` of `blocks`, without rows yet.
    #[must_use]
    pub fn new(blocks: Blocks, own: Range<usize>) -> Self {
        let tapers = own.clone().map(|_| TaperBlock::default()).collect();
        Self {
            blocks,
            own,
            tapers,
        }
    }

    /// Adds the row `k`, the factors of all own columns.
    pub fn push(&mut self, k: usize, factors: &[f64]) {
        let mut rest = factors;
        for (b, block) in self.own.clone().zip(&mut self.tapers) {
            let (factors, after) = rest.split_at(self.blocks.range(b).len());
            rest = after;
            if factors.iter().any(|factor| *factor != 0.0) {
                block.near.push(k);
                block.factors.extend(factors.iter().map(|x| *x as f32));
            }
        }
    }

    /// Returns the rows of the block `columns` that are not all zero, ascending.
    #[must_use]
    pub fn near(&self, columns: Range<usize>) -> Vec<usize> {
        self.block(columns.start).1.near.clone()
    }

    /// Writes the factors of the row at `place` among those near, for the columns from `first` on, as many as `out` holds.
    #[inline(always)]
    pub fn tapers(&self, place: usize, first: usize, out: &mut [f64]) {
        let (columns, block) = self.block(first);
        let from = &block.factors[place * columns.len() + first - columns.start..];
        for (to, factor) in out.iter_mut().zip(from) {
            *to = f64::from(*factor);
        }
    }

    /// Returns the columns of the block that holds `column`, and the block.
    fn block(&self, column: usize) -> (Range<usize>, &TaperBlock) {
        let b = column / self.blocks.range(0).len();
        (self.blocks.range(b), &self.tapers[b - self.own.start])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_zeros_are_left_out_block_by_block() {
        let blocks = Blocks::of_width(8, 3);
        let mut tapers = TaperBlocks::new(blocks, 1..3);
        tapers.push(0, &[0.0, 0.0, 0.0, 0.0, 0.5]);
        tapers.push(1, &[0.25, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!((tapers.near(3..6), tapers.near(6..8)), (vec![1], vec![0]));
        let mut out = [9.0; 2];
        tapers.tapers(0, 4, &mut out);
        assert_eq!(out, [0.0, 1.0]);
        tapers.tapers(0, 6, &mut out);
        assert_eq!(out, [0.0, 0.5]);
    }
}
