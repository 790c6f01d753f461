//! The covariance of a dense network's parameters and outputs by way of its layers' sums: `low_rank::PreActivations`.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::Dense;
use super::low_rank::layers;
use super::own::project_first;
use crate::forward::low_rank::{About, Layer, LowRank, PreActivations, UNIT};
use crate::kernels::buffers::aligned;
use crate::kernels::panel::PANEL;
use crate::kernels::real::{Real, product};

impl<T: Real> PreActivations<T> for Dense {
    fn gives(&self, m: usize) -> Vec<usize> {
        let mut pairs = self.pairs();
        let first = pairs.next().map(|(_, fan_out)| fan_out * m);
        first
            .into_iter()
            .chain(pairs.map(|(a, b)| (a + 1) * b))
            .collect()
    }

    fn sums_scratch(&self, m: usize, rank: usize) -> usize {
        let rows: usize = self.pairs().skip(1).map(|(a, _)| a + 1).sum();
        LowRank::<T>::low_rank_scratch(self, UNIT, m, rank) + (rank + 1) * UNIT * (m + rows)
    }

    fn sums_flops(&self, m: usize, rank: usize) -> f64 {
        let mut pairs = self.pairs();
        let first = pairs.next().map_or(0, |(_, fan_out)| (rank + 1) * fan_out);
        let later = pairs.map(|(fan_in, _)| (2 * rank + 1) * fan_in);
        let again = LowRank::<T>::low_rank_flops(self, m, rank);
        again + 2.0 * m as f64 * (first + later.sum::<usize>()) as f64
    }

    fn unit_sums(
        &self,
        about: &About<T>,
        (draws, weights): (ArrayView2<T>, ArrayView2<T>),
        inputs: ArrayView2<T>,
        out: &mut [T],
        scratch: &mut [T],
    ) {
        let (rank, m, n) = (about.rank, inputs.ncols(), draws.nrows());
        let (layers, full) = (layers(self, rank), m.next_multiple_of(PANEL));
        let (first, later) = (layers[0], &layers[1..]);
        let (projected, scratch) = aligned(scratch).split_at_mut(rank * n * full);
        project_first(first, rank, draws, inputs, projected);
        let (of_first, of_later) = out.split_at_mut(first.fan_out * m);
        let (scaled, scratch) = scratch.split_at_mut((rank + 1) * n * m);
        let unit = (draws, weights);
        first_sums(first, unit, projected, (inputs, scaled, of_first), rank);
        let own = |layer: &Layer| (rank + 1) * n * (layer.fan_in + 1);
        let (rows, scratch) = scratch.split_at_mut(later.iter().map(own).sum());
        rows.fill(T::zero());
        for j in (0..n).filter(|_| !later.is_empty()) {
            self.later_rows(about, &layers, unit, projected, (rows, j), scratch);
        }
        let (mut rows, mut out) = (&*rows, of_later);
        for layer in later {
            let (of_layer, rest) = rows.split_at(own(layer));
            let (sums, after) = out.split_at_mut((layer.fan_in + 1) * layer.fan_out);
            outer(*layer, draws, of_layer, sums, rank);
            (rows, out) = (rest, after);
        }
    }

    fn assemble(&self, inputs: ArrayView2<T>, given: &[f64], sums: &mut [f64]) {
        let (d, m) = inputs.dim();
        let first = layers(self, 1)[0];
        let (of_first, of_later) = given.split_at(first.fan_out * m);
        let of_samples = Array2::from_shape_fn((first.fan_out, m), |(o, i)| {
            T::from_f64(of_first[o * m + i])
        });
        let mut weight = Array2::zeros((d, first.fan_out));
        product(
            weight.view_mut(),
            T::zero(),
            T::one(),
            inputs,
            of_samples.t(),
        );
        sums.iter_mut()
            .zip(&weight)
            .for_each(|(sum, &x)| *sum = x.as_f64());
        let biases = &mut sums[d * first.fan_out..];
        for (bias, of_unit) in biases.iter_mut().zip(of_first.chunks(m)) {
            *bias = of_unit.iter().sum();
        }
        biases[first.fan_out..].copy_from_slice(of_later);
    }
}

/// Writes w t_r / (|h|^2 + 1) for each r, then w / (|h|^2 + 1), to the rows of `scaled`, (rank + 1) x m, where sqrt(rank) t
/// is `projected`, one slice for each r, and |h|^2 `squares`.
fn scale_weights<'p, T: Real>(
    weights: &[T],
    (projected, rank): (&dyn Fn(usize) -> &'p [T], usize),
    squares: &[T],
    scaled: &mut [T],
) {
    let m = weights.len();
    let (of_ranks, last) = scaled.split_at_mut(rank * m);
    for ((x, &w), &square) in last.iter_mut().zip(weights).zip(squares) {
        *x = w / (square + T::one());
    }
    let scale = T::from_f64(1.0 / (rank as f64).sqrt());
    for (r, row) in of_ranks.chunks_mut(m).enumerate() {
        let own = row.iter_mut().zip(projected(r)).zip(&*last);
        own.for_each(|((x, &p), &w)| *x = w * scale * p);
    }
}

/// |h|^2 of each sample of h, fan_in x m.
fn squares<'a, T: Real>(rows: impl Iterator<Item = &'a [T]>, squares: &mut [T]) {
    squares.fill(T::zero());
    for row in rows {
        squares
            .iter_mut()
            .zip(row)
            .for_each(|(square, &h)| *square += h * h);
    }
}

/// sum_k w_k n_k / (|x|^2 + 1) on each sample, fan_out x m.
fn first_sums<T: Real>(
    first: Layer,
    (draws, weights): (ArrayView2<T>, ArrayView2<T>),
    projected: &[T],
    (inputs, scaled, out): (ArrayView2<T>, &mut [T], &mut [T]),
    rank: usize,
) {
    let (n, m) = weights.dim();
    let full = m.next_multiple_of(PANEL);
    let mut of_inputs = vec![T::zero(); m];
    let rows = inputs.rows().into_iter();
    squares(
        rows.map(|row| row.to_slice().expect("row-major")),
        &mut of_inputs,
    );
    // Each member's rows lie together, so that one pass makes them; the products take them with a stride.
    for (j, scaled) in scaled.chunks_mut((rank + 1) * m).enumerate() {
        let weights = weights.row(j).to_slice().expect("row-major");
        let own = |r: usize| &projected[(r * n + j) * full..][..m];
        scale_weights(weights, (&own, rank), &of_inputs, scaled);
    }
    let scaled = ArrayView2::from_shape((n * (rank + 1), m), &*scaled).expect("room");
    let mut out = ArrayViewMut2::from_shape((first.fan_out, m), out).expect("room");
    for r in 0..=rank {
        let of_rank = scaled.slice(s![r..; rank + 1, ..]);
        let keep = if r == 0 { T::zero() } else { T::one() };
        product(
            out.view_mut(),
            keep,
            T::one(),
            factor(first, draws, r, rank).t(),
            of_rank,
        );
    }
}

/// B_r of all members for r < rank, else their c: n x fan_out.
fn factor<T>(layer: Layer, draws: ArrayView2<T>, r: usize, rank: usize) -> ArrayView2<T> {
    let from = if r < rank {
        layer.right(rank).start + r * layer.fan_out
    } else {
        layer.bias(rank).start
    };
    draws.slice_move(s![.., from..from + layer.fan_out])
}

/// The sums over members of rows (x) factors: one later layer's parameters, (fan_in + 1) x fan_out.
fn outer<T: Real>(layer: Layer, draws: ArrayView2<T>, rows: &[T], sums: &mut [T], rank: usize) {
    let (n, width) = (draws.nrows(), layer.fan_in + 1);
    let mut sums = ArrayViewMut2::from_shape((width, layer.fan_out), sums).expect("room");
    for (r, rows) in rows.chunks(n * width).enumerate() {
        let rows = ArrayView2::from_shape((n, width), rows).expect("room");
        let keep = if r == 0 { T::zero() } else { T::one() };
        product(
            sums.view_mut(),
            keep,
            T::one(),
            rows.t(),
            factor(layer, draws, r, rank),
        );
    }
}

impl Dense {
    /// For member `j` of a unit of n and each later layer: adds sum_i w_i t_r,i / (|h_i|^2 + 1) (h_i, 1) for each r, and
    /// the same without t, to `rows`, by layer, r and member, panel by panel.
    fn later_rows<T: Real>(
        &self,
        about: &About<T>,
        layers: &[Layer],
        (draws, weights): (ArrayView2<T>, ArrayView2<T>),
        projected: &[T],
        (rows, j): (&mut [T], usize),
        scratch: &mut [T],
    ) {
        let (rank, (n, m)) = (about.rank, weights.dim());
        let weights = weights.row(j).to_slice().expect("row-major");
        if weights.iter().all(|w| *w == T::zero()) {
            return;
        }
        let widest = layers.iter().map(|layer| layer.fan_out + rank).max();
        let room = widest.unwrap_or(0) * PANEL;
        let (here, scratch) = scratch.split_at_mut(room);
        let (there, own_weights) = scratch.split_at_mut(room);
        let draw = draws.row(j).to_slice().expect("row-major");
        self.own_weights(about, layers, draw, own_weights);
        let (units, full) = (layers[0].fan_out, m.next_multiple_of(PANEL));
        let mut scaled = vec![T::zero(); (rank + 1) * PANEL];
        for (p, shared) in about.shared[..units * full]
            .chunks(units * PANEL)
            .enumerate()
        {
            let mut of_panel = [T::zero(); PANEL];
            let samples = &weights[p * PANEL..m.min((p + 1) * PANEL)];
            of_panel[..samples.len()].copy_from_slice(samples);
            let own = |r: usize| &projected[(r * n + j) * full + p * PANEL..][..PANEL];
            let from = (shared, &own as &dyn Fn(usize) -> _);
            let watch = &mut |l: usize, hidden: &[T], projected: &[T]| {
                let mut of_hidden = [T::zero(); PANEL];
                squares(hidden.chunks(PANEL), &mut of_hidden);
                let own = |r: usize| &projected[r * PANEL..(r + 1) * PANEL];
                scale_weights(&of_panel, (&own, rank), &of_hidden, &mut scaled);
                let before = layers[1..l].iter().map(|layer| layer.fan_in + 1);
                let start = (rank + 1) * n * before.sum::<usize>();
                add_rows(layers[l], hidden, &scaled, (&mut rows[start..], j, n));
            };
            let rooms = [&mut *here, &mut *there];
            self.low_rank_panel(layers, rank, from, own_weights, rooms, watch);
        }
    }
}

/// Adds sum_i scaled_ri (h_i, 1) over one panel to the row of member `j` of n, for each r.
fn add_rows<T: Real>(
    layer: Layer,
    hidden: &[T],
    scaled: &[T],
    (rows, j, n): (&mut [T], usize, usize),
) {
    let (width, count) = (layer.fan_in + 1, scaled.len() / PANEL);
    let hidden = ArrayView2::from_shape((layer.fan_in, PANEL), hidden).expect("a panel");
    let view = ArrayView2::from_shape((count, PANEL), scaled).expect("a panel");
    let mut sums = Array2::zeros((count, layer.fan_in));
    product(sums.view_mut(), T::zero(), T::one(), view, hidden.t());
    let places = rows.chunks_mut(width).skip(j).step_by(n);
    for ((place, sums), scaled) in places.zip(sums.rows()).zip(scaled.chunks(PANEL)) {
        place
            .iter_mut()
            .zip(sums)
            .for_each(|(place, &sum)| *place += sum);
        place[layer.fan_in] += scaled.iter().copied().sum::<T>();
    }
}

#[cfg(test)]
#[path = "pre_activations_tests.rs"]
mod tests;
