//! Products on panels of columns, for matrices that are read once: c_i <- keep c_i + scale sum_k a_ki b_k.
//!
//! A panel holds the same 32 columns of every row, so that all of one product's rows lie next to each other. Sums of
//! twelve rows on two vectors stay in registers: each b is loaded once for twelve rows, each a once for two vectors,
//! and nothing is rearranged, which a general product does with both operands at every call. The order of every sum is
//! that of k, in parts of at most `DEPTH`, whatever the vectors' width.

use ndarray::{Array2, ArrayView2};
use pulp::Simd;

use crate::lanes::Lane;
use crate::real::Real;

/// Columns of a panel: two vectors of 512 bits in single precision.
pub const PANEL: usize = 32;

/// Rows of a product whose sums are formed together.
pub const ROWS: usize = 12;

/// Terms summed in registers before the sum is put down; part of the format.
pub const DEPTH: usize = 1024;

/// Panels that stay in the second cache while all rows of `a` pass by.
pub const TOGETHER: usize = 4;

/// A product on one panel.
#[derive(Debug)]
pub struct PanelProduct<'a, T> {
    /// a_ki stands at k `stride` + i.
    pub a: &'a [T],
    /// Numbers from one k to the next.
    pub stride: usize,
    /// How many i there are.
    pub rows: usize,
    /// One panel, as many k as there are x `PANEL`.
    pub b: &'a [T],
    /// c_i begins at i `out_stride`.
    pub out: &'a mut [T],
    /// Numbers from one row of c to the next.
    pub out_stride: usize,
    /// How many of the panel's columns are written.
    pub columns: usize,
    /// Whether c is added to, or else overwritten whatever it holds.
    pub keep: bool,
    /// What the sum is multiplied by.
    pub scale: T,
}

impl pulp::WithSimd for PanelProduct<'_, f32> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.all(simd, 0.0);
    }
}

impl pulp::WithSimd for PanelProduct<'_, f64> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.all(simd, 0.0);
    }
}

impl<T> PanelProduct<'_, T> {
    /// All rows on all vectors of the panel.
    #[inline(always)]
    fn all<S: Simd>(mut self, simd: S, zero: T)
    where
        T: Lane<S>,
    {
        let lanes = size_of::<T::Vector>() / size_of::<T>();
        // Sixteen registers hold the sums of six rows, thirty-two those of twelve.
        let together = if S::REGISTER_COUNT >= 32 {
            ROWS
        } else {
            ROWS / 2
        };
        let mut first = 0;
        while first < self.rows {
            let rows = together.min(self.rows - first);
            for at in (0..PANEL / lanes).step_by(2) {
                if at * lanes >= self.columns {
                    break;
                }
                match rows {
                    12 => self.tile::<S, 12>(simd, first, at, zero),
                    11 => self.tile::<S, 11>(simd, first, at, zero),
                    10 => self.tile::<S, 10>(simd, first, at, zero),
                    9 => self.tile::<S, 9>(simd, first, at, zero),
                    8 => self.tile::<S, 8>(simd, first, at, zero),
                    7 => self.tile::<S, 7>(simd, first, at, zero),
                    6 => self.tile::<S, 6>(simd, first, at, zero),
                    5 => self.tile::<S, 5>(simd, first, at, zero),
                    4 => self.tile::<S, 4>(simd, first, at, zero),
                    3 => self.tile::<S, 3>(simd, first, at, zero),
                    2 => self.tile::<S, 2>(simd, first, at, zero),
                    _ => self.tile::<S, 1>(simd, first, at, zero),
                }
            }
            first += rows;
        }
    }

    /// `O` rows from number `first` on the panel's two vectors from number `at`.
    #[inline(always)]
    fn tile<S: Simd, const O: usize>(&mut self, simd: S, first: usize, at: usize, zero: T)
    where
        T: Lane<S>,
    {
        let lanes = size_of::<T::Vector>() / size_of::<T>();
        let mut sums = [[T::splat(simd, zero); 2]; O];
        let panel = T::vectors(self.b).chunks_exact(PANEL / lanes);
        for (a, b) in self.a[first..].chunks(self.stride).zip(panel) {
            let a: &[T; O] = a.first_chunk().expect("a row's numbers");
            let b: &[T::Vector; 2] = b[at..].first_chunk().expect("whole panels");
            for (sums, &a) in sums.iter_mut().zip(a) {
                let a = T::splat(simd, a);
                for (sum, &b) in sums.iter_mut().zip(b) {
                    *sum = T::multiply_add(simd, a, b, *sum);
                }
            }
        }
        let scale = T::splat(simd, self.scale);
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(first + row) * self.out_stride..];
            for (n, &sum) in sums.iter().enumerate() {
                let start = (at + n) * lanes;
                if start >= self.columns {
                    break;
                }
                let out = &mut out[start..self.columns.min(start + lanes)];
                let value = |old| {
                    if self.keep {
                        T::multiply_add(simd, scale, sum, old)
                    } else {
                        T::multiply(simd, scale, sum)
                    }
                };
                match T::vectors_mut(out) {
                    [whole] => *whole = value(*whole),
                    _ => {
                        let old = T::load(simd, out);
                        T::store(simd, out, value(old));
                    }
                }
            }
        }
    }
}

/// A matrix M x K as the left operand of products on panels: for every twelve rows their numbers side by side, k by k,
/// zeros for the rows missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed<T> {
    rows: usize,
    inner: usize,
    numbers: Vec<T>,
}

impl<T: Real> Packed<T> {
    /// Zeros, `rows` x `inner`.
    #[must_use]
    pub fn zeros(rows: usize, inner: usize) -> Self {
        Self {
            rows,
            inner,
            numbers: vec![T::zero(); rows.div_ceil(ROWS) * ROWS * inner],
        }
    }

    /// The matrix `a`.
    #[must_use]
    pub fn of(a: ArrayView2<T>) -> Self {
        let mut packed = Self::zeros(a.nrows(), a.ncols());
        for (part, numbers) in packed.parts_mut().enumerate() {
            let rows = a.slice(ndarray::s![
                part * ROWS..a.nrows().min((part + 1) * ROWS),
                ..
            ]);
            pack_part(rows, numbers);
        }
        packed
    }

    /// M.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// K.
    #[must_use]
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Every twelve rows' numbers, K x `ROWS`: what `pack_part` fills.
    pub fn parts_mut(&mut self) -> std::slice::ChunksMut<'_, T> {
        self.numbers.chunks_mut((ROWS * self.inner).max(1))
    }

    /// The matrix, row-major.
    #[must_use]
    pub fn to_array(&self) -> Array2<T> {
        Array2::from_shape_fn((self.rows, self.inner), |(i, k)| {
            self.numbers[(i / ROWS * self.inner + k) * ROWS + i % ROWS]
        })
    }
}

/// Writes at most twelve `rows` of a matrix to their part of a `Packed`.
pub fn pack_part<T: Real>(rows: ArrayView2<T>, part: &mut [T]) {
    for (column, numbers) in rows.columns().into_iter().zip(part.chunks_exact_mut(ROWS)) {
        for (number, &a) in numbers.iter_mut().zip(column) {
            *number = a;
        }
    }
}

/// Where the columns of a product go: column q of row i stands at q / 32 `panel` + i `row` + q mod 32.
#[derive(Debug)]
pub struct Target<'a, T> {
    /// All of its numbers.
    pub numbers: &'a mut [T],
    /// From one panel to the next.
    pub panel: usize,
    /// From one row to the next.
    pub row: usize,
    /// How many columns there are.
    pub columns: usize,
}

/// c <- keep c + scale a b for the panels `b`, each K x `PANEL`, in the order they stand in.
pub fn multiply<T: Real>(a: &Packed<T>, b: &[T], keep: bool, scale: T, out: &mut Target<T>) {
    let inner = a.inner;
    let depth = inner.div_ceil(inner.div_ceil(DEPTH).max(1)).max(1);
    let panels = out.columns.div_ceil(PANEL);
    for group in (0..panels).step_by(TOGETHER) {
        for start in (0..inner).step_by(depth) {
            let end = inner.min(start + depth);
            for part in 0..a.rows.div_ceil(ROWS) {
                let of_a = part * inner * ROWS;
                for p in group..panels.min(group + TOGETHER) {
                    T::panel_product(PanelProduct {
                        a: &a.numbers[of_a + start * ROWS..of_a + end * ROWS],
                        stride: ROWS,
                        rows: ROWS.min(a.rows - part * ROWS),
                        b: &b[(p * inner + start) * PANEL..(p * inner + end) * PANEL],
                        out: &mut out.numbers[p * out.panel + part * ROWS * out.row..],
                        out_stride: out.row,
                        columns: PANEL.min(out.columns - p * PANEL),
                        keep: keep || start > 0,
                        scale,
                    });
                }
            }
        }
    }
}

/// The numbers of `columns` columns and `rows` rows in panels.
#[must_use]
pub fn in_panels(rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(PANEL) * rows
}

/// Writes `from`, K x n, in panels, zeros for the columns missing.
pub fn to_panels<T: Real>(from: ArrayView2<T>, to: &mut [T]) {
    let size = (from.nrows() * PANEL).max(1);
    for (p, panel) in to.chunks_exact_mut(size).enumerate() {
        let columns = p * PANEL..from.ncols().min((p + 1) * PANEL);
        for (row, out) in from.rows().into_iter().zip(panel.chunks_exact_mut(PANEL)) {
            let (there, beyond) = out.split_at_mut(columns.len());
            let row = row.slice(ndarray::s![columns.clone()]);
            match row.to_slice() {
                Some(row) => there.copy_from_slice(row),
                None => there.iter_mut().zip(row).for_each(|(to, &x)| *to = x),
            }
            beyond.fill(T::zero());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<T: Real>(m: usize, n: usize) -> Array2<T> {
        Array2::from_shape_fn((m, n), |(i, j)| T::of(((i * 7 + j * 3) % 11) as f64 - 5.0))
    }

    /// Small whole numbers: every order of summation is exact, so the products must be equal.
    fn check<T: Real>(m: usize, k: usize, n: usize) {
        let (a, b) = (numbers::<T>(m, k), numbers::<T>(k, n));
        let packed = Packed::of(a.view());
        assert_eq!(packed.to_array(), a);
        let mut panels = vec![T::nan(); in_panels(k, n)];
        to_panels(b.view(), &mut panels);
        let plain = a.dot(&b);
        let mut rows = Array2::from_elem((m, n), T::one());
        let two = T::of(2.0);
        let mut target = Target {
            numbers: rows.as_slice_mut().unwrap(),
            panel: PANEL,
            row: n,
            columns: n,
        };
        multiply(&packed, &panels, true, two, &mut target);
        assert_eq!(rows, plain.mapv(|x| two * x + T::one()), "{m} {k} {n}");
        let mut out = vec![T::nan(); in_panels(m, n)];
        let mut target = Target {
            numbers: &mut out,
            panel: m * PANEL,
            row: PANEL,
            columns: n.next_multiple_of(PANEL),
        };
        multiply(&packed, &panels, false, T::one(), &mut target);
        let mut want = vec![T::nan(); in_panels(m, n)];
        to_panels(plain.view(), &mut want);
        assert_eq!(out, want, "{m} {k} {n}");
    }

    #[test]
    fn products_are_the_definitions_at_every_edge() {
        for rows in 1..=25 {
            check::<f32>(rows, 7, 33);
            check::<f64>(rows, 7, 33);
        }
        for (m, k, n) in [
            (1, 1, 1),
            (13, 513, 40),
            (12, 1100, 64),
            (5, 3, 300),
            (24, 600, 31),
        ] {
            check::<f32>(m, k, n);
            check::<f64>(m, k, n);
        }
    }

    /// A weight is read where it stands, a column's numbers apart by the width of the layer.
    #[test]
    fn rows_are_found_by_their_stride() {
        let (weight, x) = (numbers::<f32>(9, 14), numbers::<f32>(9, PANEL));
        let mut out = Array2::from_elem((14, PANEL), f32::NAN);
        f32::panel_product(PanelProduct {
            a: weight.as_slice().unwrap(),
            stride: 14,
            rows: 14,
            b: x.as_slice().unwrap(),
            out: out.as_slice_mut().unwrap(),
            out_stride: PANEL,
            columns: PANEL,
            keep: false,
            scale: 1.0,
        });
        assert_eq!(out, weight.t().dot(&x));
    }
}
