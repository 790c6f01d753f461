//! Partitions of n items: consecutive, uneven parts for ranks, and blocks of fixed width that are distributed over
//! ranks.

use std::ops::Range;

/// The width of a block of parameter columns. One rank stores and updates a block as a whole, so it is the smallest
/// share of the update. J of its rows stay in a core's cache during the update. Results depend on it.
pub const BLOCK: usize = 128;

/// The number of a member's parameters that are drawn from one key, a multiple of `BLOCK`. Results depend on it.
pub const DRAWN: usize = 512;

const _: () = assert!(DRAWN.is_multiple_of(BLOCK), "a block has one key");

/// The width of a block of the samples' outputs, whose products and noise are computed as a whole. Results depend on
/// it.
pub const OUTPUTS: usize = 512;

/// `items` items in `parts` consecutive parts whose sizes differ by at most one, the larger first; parts may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    items: usize,
    parts: usize,
    unit: usize,
}

impl Partition {
    /// Distributes `items` items over `parts >= 1` parts.
    #[must_use]
    pub fn new(items: usize, parts: usize) -> Self {
        Self::in_units(items, parts, 1)
    }

    /// Distributes `items` items over `parts >= 1` parts in whole units of `unit` consecutive items; the last unit may
    /// be smaller.
    #[must_use]
    pub fn in_units(items: usize, parts: usize, unit: usize) -> Self {
        assert!(
            parts > 0 && unit > 0,
            "a partition needs a part, and a unit something in it"
        );
        Self { items, parts, unit }
    }

    /// Returns the number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Returns the number of parts.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Returns the items of part `part`.
    #[must_use]
    pub fn range(&self, part: usize) -> Range<usize> {
        let units = self.items.div_ceil(self.unit);
        let (size, larger) = (units / self.parts, units % self.parts);
        let start = part * size + part.min(larger);
        let end = start + size + usize::from(part < larger);
        // The last unit may be cut short; empty parts after it begin and end at the end of the items.
        (start * self.unit).min(self.items)..(end * self.unit).min(self.items)
    }

    /// Returns the items of every part, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let this = *self;
        (0..this.parts).map(move |part| this.range(part))
    }

    /// Returns the part that holds `item`.
    #[must_use]
    pub fn owner(&self, item: usize) -> usize {
        let units = self.items.div_ceil(self.unit);
        let (size, larger) = (units / self.parts, units % self.parts);
        let (unit, in_larger) = (item / self.unit, larger * (size + 1));
        if unit < in_larger {
            unit / (size + 1)
        } else {
            larger + (unit - in_larger) / size
        }
    }

    /// Returns the number of parts that hold nothing.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.parts.saturating_sub(self.items.div_ceil(self.unit))
    }
}

/// A number of columns cut into blocks of `width` columns, the last one narrower. The blocks do not depend on ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    columns: usize,
    width: usize,
}

impl Blocks {
    /// Returns the blocks of parameters, `BLOCK` wide.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self::of_width(columns, BLOCK)
    }

    /// Returns blocks of `width >= 1` columns.
    #[must_use]
    pub fn of_width(columns: usize, width: usize) -> Self {
        assert!(width > 0, "a block has columns");
        Self { columns, width }
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the number of blocks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// Returns the columns of the consecutive blocks `blocks`.
    #[must_use]
    pub fn span(&self, blocks: Range<usize>) -> Range<usize> {
        let start = |block: usize| (block * self.width).min(self.columns);
        start(blocks.start)..start(blocks.end)
    }

    /// Returns the blocks that contain the consecutive `columns`.
    #[must_use]
    pub fn around(&self, columns: Range<usize>) -> Range<usize> {
        if columns.is_empty() {
            return 0..0;
        }
        columns.start / self.width..columns.end.div_ceil(self.width)
    }

    /// Returns the columns of block `block`.
    #[must_use]
    pub fn range(&self, block: usize) -> Range<usize> {
        let start = block * self.width;
        start..(start + self.width).min(self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_everything_once_in_order(items in 0_usize..500, parts in 1_usize..80, unit in 1_usize..9) {
            let partition = Partition::in_units(items, parts, unit);
            let all: Vec<usize> = partition.ranges().flatten().collect();
            prop_assert_eq!(all, (0..items).collect::<Vec<_>>());
            for part in 0..parts {
                prop_assert!(partition.range(part).end <= items);
                for item in partition.range(part) {
                    prop_assert_eq!(partition.owner(item), part);
                }
            }
            let sizes: Vec<usize> = partition.ranges().map(|r| r.len()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() < 2 * unit);
            prop_assert_eq!(partition.idle(), sizes.iter().filter(|&&s| s == 0).count());
        }

        #[test]
        fn blocks_cover_every_column_once(columns in 0_usize..5_000) {
            let blocks = Blocks::new(columns);
            let all: Vec<usize> = (0..blocks.count()).flat_map(|b| blocks.range(b)).collect();
            prop_assert_eq!(all, (0..columns).collect::<Vec<_>>());
        }

        #[test]
        fn columns_lie_in_the_blocks_that_hold_one_of_them(columns in 1_usize..2_000, width in 1_usize..600, ends in (0_usize..2_000, 0_usize..2_000)) {
            let blocks = Blocks::of_width(columns, width);
            let asked = ends.0.min(columns)..ends.1.min(columns);
            let holding = |b: &usize| blocks.range(*b).any(|column| asked.contains(&column));
            let wanted: Vec<usize> = (0..blocks.count()).filter(holding).collect();
            prop_assert_eq!(blocks.around(asked.clone()).collect::<Vec<_>>(), wanted);
        }
    }
}
