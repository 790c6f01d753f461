//! Matrices in panels of columns, and products of matrices that are read in place: c <- keep c + scale a b.
//!
//! A general product rearranges both operands at every call. Here an operand that is used many times is packed once:
//! the left one in groups of twelve rows (`Packed`), the right one in panels of columns. Sums run over k in order, in
//! parts of at most `DEPTH` terms.
//!
//! Written here because the gemm crate, which does all other products, has no interface for an operand already in order.

use ndarray::{Array2, ArrayView2};

use crate::kernels::bfloat::{packed_left_height, packed_left_len, places};
use crate::kernels::buffers::{Aligned, BufferPool};
use crate::kernels::real::Real;
pub use crate::kernels::tile::{PANEL, PanelProduct, ROWS};

/// The largest number of terms summed in registers before the sum is stored. Rounding, and so every result, depends on
/// it.
pub const DEPTH: usize = 1024;

/// The number of elements of panels that stay in the second-level cache while all rows of `a` pass; no result depends
/// on it.
const STAY: usize = 160 << 10;

/// The number of elements of panels that stay in the second-level cache on processors with a matrix unit, which have
/// twice the cache; no result depends on it.
const STAY_BESIDE_TILES: usize = 240 << 10;

/// A matrix M x K, packed as the left operand of products on panels: for every twelve rows their numbers side by side,
/// k by k, with any values for missing rows. Its columns may be paired (`bfloat`), in the order that suits the
/// processor; then the rows of the right operand must be paired, too.
#[derive(Debug)]
pub struct Packed<T> {
    rows: usize,
    inner: usize,
    paired: bool,
    numbers: Aligned<T>,
}

impl<T: Real> Packed<T> {
    /// Returns a packed `rows` x `inner` matrix of any values, to be filled part by part; takes its memory from
    /// `buffers`.
    #[must_use]
    pub fn unfilled(rows: usize, inner: usize, buffers: &BufferPool<T>) -> Self {
        Self {
            rows,
            inner,
            paired: false,
            numbers: buffers.aligned(rows.div_ceil(ROWS) * ROWS * inner),
        }
    }

    /// Gives the memory of the matrix to `buffers`.
    pub fn recycle(self, buffers: &BufferPool<T>) {
        buffers.put(self.numbers.into_buffer());
    }

    /// Packs the matrix `a`.
    #[must_use]
    pub fn of(a: ArrayView2<T>) -> Self {
        Self::within(a, &BufferPool::default())
    }

    /// Packs the matrix `a` in memory from `buffers`.
    #[must_use]
    pub fn within(a: ArrayView2<T>, buffers: &BufferPool<T>) -> Self {
        let mut packed = Self::unfilled(a.nrows(), a.ncols(), buffers);
        for (part, numbers) in packed.parts_mut().enumerate() {
            let rows = a.slice(ndarray::s![
                part * ROWS..a.nrows().min((part + 1) * ROWS),
                ..
            ]);
            pack_part(rows, numbers);
        }
        packed
    }

    /// Packs the rows `which` of the matrix `a` in memory from `buffers`.
    #[must_use]
    pub fn of_rows(a: ArrayView2<T>, which: &[usize], buffers: &BufferPool<T>) -> Self {
        let mut packed = Self::unfilled(which.len(), a.ncols(), buffers);
        for (rows, numbers) in which.chunks(ROWS).zip(packed.parts_mut()) {
            for (place, &row) in rows.iter().enumerate() {
                let to = numbers[place..].iter_mut().step_by(ROWS);
                to.zip(a.row(row)).for_each(|(to, &x)| *to = x);
            }
        }
        packed
    }

    /// Returns the columns `which` of the matrix, packed in memory from `buffers`. The matrix must not be paired.
    #[must_use]
    pub fn columns(&self, which: &[usize], buffers: &BufferPool<T>) -> Self {
        let mut packed = Self::unfilled(self.rows, which.len(), buffers);
        let parts = self.numbers.chunks((ROWS * self.inner).max(1));
        for (numbers, part) in packed.parts_mut().zip(parts) {
            for (to, &column) in numbers.chunks_exact_mut(ROWS).zip(which) {
                to.copy_from_slice(&part[column * ROWS..][..ROWS]);
            }
        }
        packed
    }

    /// Rounds the matrix to bfloat16 and pairs its columns. Takes memory from `buffers` and gives the old one back.
    #[must_use]
    pub fn paired(self, buffers: &BufferPool<T>) -> Self {
        let mut paired = self.unfilled_pairs(buffers);
        for (part, numbers) in paired.parts_mut().enumerate() {
            self.pair_part(part, numbers);
        }
        self.recycle(buffers);
        paired
    }

    /// Returns the matrix paired if `mixed` (products of bfloat16), else unchanged.
    #[must_use]
    pub fn paired_if(self, mixed: bool, buffers: &BufferPool<T>) -> Self {
        if mixed { self.paired(buffers) } else { self }
    }

    /// Returns a paired matrix of the same size and any values, to be filled part by part; takes its memory from
    /// `buffers`.
    #[must_use]
    pub fn unfilled_pairs(&self, buffers: &BufferPool<T>) -> Self {
        let (rows, inner, height) = (self.rows, self.inner, packed_left_height());
        Self {
            rows,
            inner,
            paired: true,
            numbers: buffers.aligned(rows.div_ceil(height) * packed_left_len(inner, height)),
        }
    }

    /// Writes part `part` of this matrix, rounded and paired, to `numbers`. This matrix must not be paired.
    pub fn pair_part(&self, part: usize, numbers: &mut [T]) {
        let height = packed_left_height();
        let mut columns = vec![T::zero(); self.inner * height]; // K x height, zeros where there is no row
        let rows = (part * height..self.rows).take(height);
        for (row, i) in rows.enumerate() {
            let places = columns[row..].iter_mut().step_by(height);
            places.zip(self.row(i)).for_each(|(to, x)| *to = x);
        }
        T::pack_left(&columns, height, numbers);
    }

    /// Returns the numbers of row `i`. The matrix must not be paired.
    fn row(&self, i: usize) -> impl Iterator<Item = T> {
        let first = i / ROWS * ROWS * self.inner + i % ROWS;
        self.numbers[first..]
            .iter()
            .step_by(ROWS)
            .take(self.inner)
            .copied()
    }

    /// Returns true if the columns are paired.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.paired
    }

    /// Returns the number of rows, M.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns, K.
    #[must_use]
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Returns all packed numbers: those of every twelve rows follow each other.
    pub fn numbers_mut(&mut self) -> &mut [T] {
        &mut self.numbers
    }

    /// Returns the parts, one for every twelve rows: K x `ROWS` numbers that `pack_part` fills. The parts of a paired
    /// matrix are filled by `pair_part`.
    pub fn parts_mut(&mut self) -> std::slice::ChunksMut<'_, T> {
        let size = if self.paired {
            packed_left_len(self.inner, packed_left_height())
        } else {
            ROWS * self.inner
        };
        self.numbers.chunks_mut(size.max(1))
    }

    /// Returns the matrix, row-major. It must not be paired.
    #[must_use]
    pub fn to_array(&self) -> Array2<T> {
        let numbers = (0..self.rows).flat_map(|i| self.row(i)).collect();
        Array2::from_shape_vec((self.rows, self.inner), numbers).expect("as many numbers")
    }
}

/// Writes at most twelve rows of a matrix to their part of a `Packed`.
pub fn pack_part<T: Real>(rows: ArrayView2<T>, part: &mut [T]) {
    for (column, numbers) in rows.columns().into_iter().zip(part.chunks_exact_mut(ROWS)) {
        for (number, &a) in numbers.iter_mut().zip(column) {
            *number = a;
        }
    }
}

/// The output of a product: column q of row i is number q / 32 `panel` + i `row` + q mod 32.
#[derive(Debug)]
pub struct Target<'a, T> {
    /// The output's memory.
    pub numbers: &'a mut [T],
    /// The distance from one panel to the next.
    pub panel: usize,
    /// The distance from one row to the next.
    pub row: usize,
    /// The number of columns.
    pub columns: usize,
}

/// Computes c <- keep c + scale a b for the panels `b`, each K x `PANEL`. If `a` is paired, the rows of `b` must be,
/// too.
pub fn multiply<T: Real>(a: &Packed<T>, b: &[T], keep: bool, scale: T, out: &mut Target<T>) {
    // The number of rows of `b`, the number of rows of `a` in a part, and the size of a part.
    let (inner, height, size, on_panel): (_, _, _, fn(PanelProduct<T>)) = if a.paired {
        let (height, inner) = (packed_left_height(), places(a.inner));
        let size = packed_left_len(a.inner, height);
        (inner, height, size, T::paired_product)
    } else {
        (a.inner, ROWS, ROWS * a.inner, T::panel_product)
    };
    // A part in tiles is read as a whole.
    let in_tiles = height > ROWS;
    let parts = if in_tiles { 1 } else { inner.div_ceil(DEPTH) };
    let depth = inner.div_ceil(parts.max(1)).max(1);
    let panels = out.columns.div_ceil(PANEL);
    let stay = if in_tiles { STAY_BESIDE_TILES } else { STAY };
    let together = (stay / (depth * PANEL)).max(1);
    for group in (0..panels).step_by(together) {
        for start in (0..inner).step_by(depth) {
            let end = inner.min(start + depth);
            for part in 0..a.rows.div_ceil(height) {
                let of_a = &a.numbers[part * size..][..size];
                for p in group..panels.min(group + together) {
                    on_panel(PanelProduct {
                        a: if in_tiles {
                            of_a
                        } else {
                            &of_a[start * ROWS..end * ROWS]
                        },
                        stride: height,
                        // The left operand is read once for each group of panels. Without prefetching it, the first
                        // panel of a part waits for memory.
                        ahead: if a.paired { 0 } else { size },
                        rows: height.min(a.rows - part * height),
                        b: &b[(p * inner + start) * PANEL..(p * inner + end) * PANEL],
                        out: &mut out.numbers[p * out.panel + part * height * out.row..],
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

/// Returns the size of a `rows` x `columns` matrix in panels.
#[must_use]
pub fn in_panels(rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(PANEL) * rows
}

/// Writes `from`, K x n, in panels, with zeros for missing columns.
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
    use pulp::Simd;

    fn numbers<T: Real>(m: usize, n: usize) -> Array2<T> {
        Array2::from_shape_fn((m, n), |(i, j)| {
            T::from_f64(((i * 7 + j * 3) % 11) as f64 - 5.0)
        })
    }

    fn check<T: Real>(m: usize, k: usize, n: usize) {
        let (a, b) = (numbers::<T>(m, k), numbers::<T>(k, n));
        let packed = Packed::of(a.view());
        assert_eq!(packed.to_array(), a);
        let (some, buffers) = ([0, k - 1], BufferPool::default());
        let columns = packed.columns(&some, &buffers).to_array();
        assert_eq!(columns, a.select(ndarray::Axis(1), &some));
        let rows = Packed::of_rows(a.view(), &[m - 1, m / 2], &buffers).to_array();
        assert_eq!(rows, a.select(ndarray::Axis(0), &[m - 1, m / 2]));
        let mut panels = vec![T::nan(); in_panels(k, n)];
        to_panels(b.view(), &mut panels);
        check_product(&packed, &panels, &a, &b);
    }

    fn check_mixed(m: usize, k: usize, n: usize) {
        let (a, b) = (numbers::<f32>(m, k), numbers::<f32>(k, n));
        let mut panels = vec![f32::NAN; in_panels(k, n)];
        to_panels(b.view(), &mut panels);
        f32::pair_rows::<PANEL>(&mut panels, k);
        let packed = Packed::of(a.view()).paired(&BufferPool::default());
        check_product(&packed, &panels, &a, &b);
    }

    /// Small integers: every order of summation is exact, and so is bfloat16, so the products must be equal.
    fn check_product<T: Real>(packed: &Packed<T>, panels: &[T], a: &Array2<T>, b: &Array2<T>) {
        let ((m, k), n) = (a.dim(), b.ncols());
        let plain = a.dot(b);
        let mut rows = Array2::from_elem((m, n), T::one());
        let two = T::from_f64(2.0);
        let mut target = Target {
            numbers: rows.as_slice_mut().unwrap(),
            panel: PANEL,
            row: n,
            columns: n,
        };
        multiply(packed, panels, true, two, &mut target);
        assert_eq!(rows, plain.mapv(|x| two * x + T::one()), "{m} {k} {n}");
        let mut out = vec![T::nan(); in_panels(m, n)];
        let mut target = Target {
            numbers: &mut out,
            panel: m * PANEL,
            row: PANEL,
            columns: n.next_multiple_of(PANEL),
        };
        multiply(packed, panels, false, T::one(), &mut target);
        let mut want = vec![T::nan(); in_panels(m, n)];
        to_panels(plain.view(), &mut want);
        assert_eq!(out, want, "{m} {k} {n}");
    }

    #[test]
    fn products_are_the_definitions_at_every_edge() {
        for rows in 1..=25 {
            check::<f32>(rows, 7, 33);
            check::<f64>(rows, 7, 33);
            check_mixed(rows, 7, 33);
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
            check_mixed(m, k, n);
        }
    }

    /// Every step uses the same memory: a leak would fill the memory in a long run.
    #[test]
    fn pairs_leave_no_room_behind() {
        let (buffers, a) = (BufferPool::default(), numbers::<f32>(40, 70));
        let step = || {
            let mut packed = Packed::unfilled(40, 70, &buffers);
            for (part, to) in packed.parts_mut().enumerate() {
                let rows = part * ROWS..40.min((part + 1) * ROWS);
                pack_part(a.slice(ndarray::s![rows, ..]), to);
            }
            packed.paired(&buffers).recycle(&buffers);
            buffers.held()
        };
        let first = step();
        assert_eq!([step(), step()], [first, first]);
    }

    /// A weight is read in place: the numbers of a column are as far apart as the layer is wide.
    #[test]
    fn rows_are_found_by_their_stride() {
        let (weight, x) = (numbers::<f32>(9, 14), numbers::<f32>(9, PANEL));
        let mut out = Array2::from_elem((14, PANEL), f32::NAN);
        f32::panel_product(PanelProduct {
            a: weight.as_slice().unwrap(),
            stride: 14,
            ahead: 0,
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

    /// A processor with only AVX2 runs other instructions, chosen at run time, and finds the same bits.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn narrower_vectors_give_the_same_bits() {
        let Some(narrow) = pulp::x86::V3::try_new() else {
            return;
        };
        let number = |i: usize| ((i * 7919 + 31) % 1999) as f32 / 1000.0 - 1.0;
        let (rows, depth) = (25, 301);
        let a: Vec<f32> = (0..depth * rows).map(number).collect();
        let b: Vec<f32> = (0..depth * PANEL).map(|i| number(i + 5)).collect();
        let run = |by: &dyn Fn(PanelProduct<f32>)| {
            let mut out = vec![0.25; rows * PANEL];
            by(PanelProduct {
                a: &a,
                stride: rows,
                ahead: 12,
                rows,
                b: &b,
                out: &mut out,
                out_stride: PANEL,
                columns: PANEL - 3,
                keep: true,
                scale: 0.7,
            });
            out
        };
        assert_eq!(
            run(&|product| Simd::vectorize(narrow, product)),
            run(&f32::panel_product)
        );
    }
}
