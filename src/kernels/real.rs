//! The number type of a run, f32 or f64, and the general matrix product.

use std::iter::Sum;

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::kernels::rng::Key;
use crate::kernels::tile::PanelProduct;
use crate::kernels::window::WindowSums;

/// The number type of parameters, outputs and the update: f32 or f64.
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + bytemuck::Pod
    + mpi::traits::Equivalence
    + npyz::AutoSerialize
    + npyz::Deserialize
    + Sum
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + 'static
{
    /// The name in the configuration: "single" or "double".
    const NAME: &'static str;

    /// Returns the nearest value to `x`.
    fn from_f64(x: f64) -> Self;

    /// Returns the value in double precision, exactly.
    fn as_f64(self) -> f64;

    /// Returns the numbers as f32 if that is their type.
    fn single(numbers: &[Self]) -> Option<&[f32]>;

    /// Returns the numbers as mutable f32 if that is their type.
    fn single_mut(numbers: &mut [Self]) -> Option<&mut [f32]>;

    /// Fills `out` with the N(0, 1) draws of `key`, beginning at draw number `first`.
    fn fill_normal(key: &Key, first: usize, out: &mut [Self]);

    /// Replaces each x by e^x.
    fn exp_in_place(values: &mut [Self]);

    /// Replaces each x by tanh x.
    fn tanh_in_place(values: &mut [Self]);

    /// Computes the sums over a window for several units and all samples.
    fn window_sums(sums: WindowSums<Self>);

    /// Computes a product on one panel of columns, on the calling thread alone.
    fn panel_product(product: PanelProduct<Self>);

    /// Computes a product on one panel whose operands hold pairs of bfloat16 (`kernels::bfloat`). Panics in double
    /// precision, which has no pairs.
    fn paired_product(product: PanelProduct<Self>);

    /// Rounds and pairs every two rows of W numbers in place (`kernels::bfloat::pair_rows`). Panics in double
    /// precision.
    fn pair_rows<const W: usize>(numbers: &mut [Self], rows: usize);

    /// Rounds and pairs two numbers (`kernels::bfloat::pair_of`). Panics in double precision.
    fn pair_of(even: Self, odd: Self) -> Self;

    /// Packs a left operand in the order in which products of pairs read it (`kernels::bfloat::pack_left`). Panics in
    /// double precision.
    fn pack_left(numbers: &[Self], width: usize, out: &mut [Self]);
}

impl Real for f32 {
    const NAME: &'static str = "single";

    fn from_f64(x: f64) -> Self {
        x as f32
    }

    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    fn single(numbers: &[Self]) -> Option<&[f32]> {
        Some(numbers)
    }

    fn single_mut(numbers: &mut [Self]) -> Option<&mut [f32]> {
        Some(numbers)
    }

    fn fill_normal(key: &Key, first: usize, out: &mut [Self]) {
        key.fill_normal_f32(first, out);
    }

    fn exp_in_place(values: &mut [Self]) {
        crate::kernels::elementary::exp_in_place(values);
    }

    fn tanh_in_place(values: &mut [Self]) {
        crate::kernels::elementary::tanh_in_place(values);
    }

    fn window_sums(sums: WindowSums<Self>) {
        pulp::Arch::new().dispatch(sums);
    }

    fn panel_product(product: PanelProduct<Self>) {
        pulp::Arch::new().dispatch(product);
    }

    fn paired_product(product: PanelProduct<Self>) {
        crate::kernels::bfloat::panel_product(product);
    }

    fn pair_rows<const W: usize>(numbers: &mut [Self], rows: usize) {
        crate::kernels::bfloat::pair_rows::<W>(numbers, rows);
    }

    #[inline(always)]
    fn pair_of(even: Self, odd: Self) -> Self {
        Self::from_bits(crate::kernels::bfloat::pair_of(even, odd))
    }

    fn pack_left(numbers: &[Self], width: usize, out: &mut [Self]) {
        crate::kernels::bfloat::pack_left(numbers, width, out);
    }
}

impl Real for f64 {
    const NAME: &'static str = "double";

    fn from_f64(x: f64) -> Self {
        x
    }

    fn as_f64(self) -> f64 {
        self
    }

    fn single(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn single_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn fill_normal(key: &Key, first: usize, out: &mut [Self]) {
        key.fill_normal_f64(first, out);
    }

    fn exp_in_place(values: &mut [Self]) {
        crate::kernels::elementary::exp_in_place_f64(values);
    }

    fn tanh_in_place(values: &mut [Self]) {
        crate::kernels::elementary::tanh_in_place_f64(values);
    }

    fn window_sums(sums: WindowSums<Self>) {
        pulp::Arch::new().dispatch(sums);
    }

    fn panel_product(product: PanelProduct<Self>) {
        pulp::Arch::new().dispatch(product);
    }

    fn paired_product(_: PanelProduct<Self>) {
        unreachable!("pairs are made of single precision");
    }

    fn pair_rows<const W: usize>(_: &mut [Self], _: usize) {
        unreachable!("pairs are made of single precision");
    }

    fn pair_of(_: Self, _: Self) -> Self {
        unreachable!("pairs are made of single precision");
    }

    fn pack_left(_: &[Self], _: usize, _: &mut [Self]) {
        unreachable!("pairs are made of single precision");
    }
}

/// Computes `c <- keep c + scale a b` on the calling thread alone.
///
/// The bits depend on the shapes and values only: callers choose the shapes by blocks and members, never by ranks or
/// threads. `keep = 0` overwrites `c`, whatever it holds.
///
/// # Panics
/// If the shapes (m x k, k x n, m x n) do not match.
#[allow(
    unsafe_code,
    reason = "the product's kernel takes raw pointers; no crate offers it by views"
)]
pub fn product<T: Real>(
    mut c: ArrayViewMut2<T>,
    keep: T,
    scale: T,
    a: ArrayView2<T>,
    b: ArrayView2<T>,
) {
    let ((m, k), (kb, n)) = (a.dim(), b.dim());
    assert_eq!(k, kb, "inner sizes of a product");
    assert_eq!(c.dim(), (m, n), "shape of a product");
    let (cs, as_, bs) = (
        c.strides().to_vec(),
        a.strides().to_vec(),
        b.strides().to_vec(),
    );
    // SAFETY: pointers, shapes and strides come from live views of exactly these shapes, compared above; `c` is
    // borrowed mutably, so it overlaps neither operand, and no two elements of a mutable view share a place.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            cs[1],
            cs[0],
            keep != T::zero(),
            a.as_ptr(),
            as_[1],
            as_[0],
            b.as_ptr(),
            bs[1],
            bs[0],
            keep,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Returns sum_i a_i b_i in double precision: sixteen independent partial sums, then their sum. The bits are the same
/// for any width of the vectors.
#[must_use]
pub fn inner<A: Real, B: Real>(a: &[A], b: &[B]) -> f64 {
    pulp::Arch::new().dispatch(Inner { a, b })
}

struct Inner<'a, A, B> {
    a: &'a [A],
    b: &'a [B],
}

impl<A: Real, B: Real> pulp::WithSimd for Inner<'_, A, B> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0; LANES];
        for (a, b) in self.a.chunks(LANES).zip(self.b.chunks(LANES)) {
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += a.as_f64() * b.as_f64();
            }
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn numbered(m: usize, n: usize) -> Array2<f64> {
        Array2::from_shape_fn((m, n), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0)
    }

    #[test]
    fn an_inner_product_is_the_sum_it_stands_for() {
        for count in [0, 1, 15, 16, 17, 100] {
            let number = |i: usize| (i * 7 % 11) as f64 - 5.0;
            let a: Vec<f32> = (0..count).map(|i| number(i) as f32).collect();
            let b: Vec<f64> = (0..count).map(|i| number(i + 3)).collect();
            let plain: f64 = (0..count).map(|i| number(i) * number(i + 3)).sum();
            assert_eq!(inner(&a, &b), plain);
        }
    }

    #[test]
    fn a_product_equals_the_sum_it_stands_for_in_every_orientation() {
        let (a, b) = (numbered(5, 7), numbered(7, 3));
        let plain = a.dot(&b);
        let mut c = Array2::ones((5, 3));
        product(c.view_mut(), 1.0, 2.0, a.view(), b.view());
        assert_eq!(c, 2.0 * &plain + 1.0);
        let (at, bt) = (a.t().to_owned(), b.t().to_owned());
        let mut c = Array2::from_elem((5, 3), f64::NAN);
        product(c.view_mut(), 0.0, 1.0, at.t(), bt.t());
        assert_eq!(c, plain);
    }
}
