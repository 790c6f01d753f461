//! In which order a member's weights are read: put so once a batch, where it has samples enough to repay it.

use crate::kernels::bfloat::packed_left_len;
use crate::kernels::buffers::LINE;
use crate::kernels::panel::{PANEL, PanelProduct, ROWS};
use crate::kernels::real::Real;

/// The order in which a layer's weight, fan_in x units, is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Row-major, as parameters are stored.
    AsTheyAre,
    /// For every twelve units in turn, fan_in x 12: read at their distance, the weights of twelve units cost a cache line or
    /// two for each input.
    ByUnits,
    /// The order of `kernels::bfloat::pack_left`, for mixed precision.
    InPairs,
}

impl Order {
    /// Numbers of a weight.
    pub fn numbers(self, fan_in: usize, units: usize) -> usize {
        match self {
            Self::InPairs => packed_left_len(fan_in, units),
            _ => fan_in * units,
        }
    }

    /// Numbers from where a layer's biases begin to the next layer's weight: where weights are put in order, up to the
    /// next cache line.
    pub fn biases(self, units: usize) -> usize {
        match self {
            Self::InPairs => units.next_multiple_of(LINE),
            _ => units,
        }
    }

    /// Copies a weight of `units` units.
    pub fn put<T: Real>(self, weight: &[T], units: usize, to: &mut [T]) {
        match self {
            Self::AsTheyAre => to.copy_from_slice(weight),
            Self::InPairs => T::pack_left(weight, units, to),
            Self::ByUnits => {
                let parts = to.chunks_mut((weight.len() / units * ROWS).max(1));
                for (first, part) in (0..units).step_by(ROWS).zip(parts) {
                    let rows = weight.chunks_exact(units).map(|row| &row[first..]);
                    if units - first >= ROWS {
                        let (part, _) = part.as_chunks_mut::<ROWS>();
                        let whole = |row: &[T]| *row.first_chunk().expect("twelve units");
                        rows.zip(part).for_each(|(row, to)| *to = whole(row));
                    } else {
                        rows.zip(part.chunks_exact_mut(units - first))
                            .for_each(|(row, to)| to.copy_from_slice(row));
                    }
                }
            }
        }
    }

    /// A layer's sums, units x `PANEL`, on a panel `x`, whose rows are in pairs where weights are.
    pub fn sums<T: Real>(self, (weight, units): (&[T], usize), x: &[T], sums: &mut [T]) {
        let product = if self == Self::InPairs {
            T::paired_product
        } else {
            T::panel_product
        };
        // Units that stand together, and their weights.
        let (together, size) = match self {
            Self::ByUnits => (ROWS, weight.len() / units * ROWS),
            _ => (units, weight.len()),
        };
        let parts = weight.chunks(size.max(1));
        for (a, out) in parts.zip(sums.chunks_mut(together * PANEL)) {
            product(PanelProduct {
                a,
                stride: out.len() / PANEL,
                ahead: 0,
                rows: out.len() / PANEL,
                b: x,
                out,
                out_stride: PANEL,
                columns: PANEL,
                keep: false,
                scale: T::one(),
            });
        }
    }
}
