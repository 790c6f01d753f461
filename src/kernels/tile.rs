//! The product on one panel of columns: c_i <- keep c_i + scale sum_k a_ki b_k.
//!
//! A panel holds the same 32 columns of every row, so that all rows of a product are next to each other. The sums of
//! twelve rows on two vectors stay in registers: each b is loaded once for twelve rows, each a once for two vectors,
//! and nothing is rearranged. Every sum runs over k in order, whatever the width of the vectors.

use pulp::Simd;

use crate::kernels::simd::{SimdFloat, fetch_beyond};

/// The number of columns of a panel: two vectors of 512 bits in single precision.
pub const PANEL: usize = 32;

/// The number of rows of a product whose sums are computed together.
pub const ROWS: usize = 12;

/// The operands of a product on one panel.
#[derive(Debug)]
pub struct PanelProduct<'a, T> {
    /// The left operand: a_ki is number k `stride` + i.
    pub a: &'a [T],
    /// The distance from one k to the next in `a`.
    pub stride: usize,
    /// The distance from `a` to the numbers that the next product will read, which are prefetched; 0 = no prefetching.
    pub ahead: usize,
    /// The number of rows i.
    pub rows: usize,
    /// The right operand: one panel, K x `PANEL`.
    pub b: &'a [T],
    /// The result: c_i begins at i `out_stride`.
    pub out: &'a mut [T],
    /// The distance from one row of c to the next.
    pub out_stride: usize,
    /// The number of columns of the panel that are written.
    pub columns: usize,
    /// If true, adds to c; if false, overwrites c, whatever it holds.
    pub keep: bool,
    /// The factor of the sum.
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

impl PanelProduct<'_, f32> {
    /// Writes the sums of row `row`.
    #[inline(always)]
    pub(crate) fn put(&mut self, row: usize, sums: &[f32; PANEL]) {
        let (scale, start) = (self.scale, row * self.out_stride);
        let out = &mut self.out[start..start + self.columns];
        let both = out.iter_mut().zip(sums);
        if self.keep {
            both.for_each(|(out, &sum)| *out = scale.mul_add(sum, *out));
        } else {
            both.for_each(|(out, &sum)| *out = scale * sum);
        }
    }
}

impl<T> PanelProduct<'_, T> {
    /// Computes all rows on all vectors of the panel.
    #[inline(always)]
    fn all<S: Simd>(mut self, simd: S, zero: T)
    where
        T: SimdFloat<S>,
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

    /// Computes `O` rows, beginning at row `first`, on the panel's two vectors beginning at vector `at`.
    #[inline(always)]
    fn tile<S: Simd, const O: usize>(&mut self, simd: S, first: usize, at: usize, zero: T)
    where
        T: SimdFloat<S>,
    {
        let (lanes, ahead) = (size_of::<T::Vector>() / size_of::<T>(), self.ahead);
        let mut sums = [[T::splat(simd, zero); 2]; O];
        // Chunks of one length, so that the bounds are checked once before the loop.
        let rows = self.a.chunks_exact(self.stride);
        let panel = T::vectors(self.b).chunks_exact(PANEL / lanes);
        for (a, b) in rows.zip(panel) {
            let a: &[T; O] = a[first..].first_chunk().expect("a row's numbers");
            if ahead > 0 {
                fetch_beyond(&a[0], ahead);
            }
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
