//! Where each layer of a network stands among its parameters and among the draws of a low-rank member, and what needs to
//! know no more than that.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, s};

use super::About;
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::{Real, product};

/// Rows of a weight summed together, at most; part of the format.
const ROWS: usize = 128;

/// One layer among the parameters and among a member's draws: its weight as it stands there, fan_in x fan_out, then its
/// biases. A convolution's kernels stand the other way round, channels x taps: fan_in and fan_out change places.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Rows of the weight.
    pub fan_in: usize,
    /// Its columns.
    pub fan_out: usize,
    /// The number of biases.
    pub biases: usize,
    /// First parameter.
    pub at: usize,
    /// First draw: A (rank x fan_in), then B (rank x fan_out), then the biases.
    pub draw: usize,
    /// The prior's deviation.
    pub deviation: f64,
}

impl Layer {
    pub(crate) fn left(&self, rank: usize) -> Range<usize> {
        self.draw..self.draw + rank * self.fan_in
    }

    pub(crate) fn right(&self, rank: usize) -> Range<usize> {
        let start = self.draw + rank * self.fan_in;
        start..start + rank * self.fan_out
    }

    pub(crate) fn bias(&self, rank: usize) -> Range<usize> {
        let start = self.draw + rank * (self.fan_in + self.fan_out);
        start..start + self.biases
    }

    /// Returns the offsets of its weight and of its biases among the parameters.
    fn parameters(&self) -> (Range<usize>, Range<usize>) {
        let biases = self.at + self.fan_in * self.fan_out;
        (self.at..biases, biases..biases + self.biases)
    }
}

/// Layers of the given shapes (fan_in, fan_out, biases) and deviations, one after the other.
pub(crate) fn in_order(shapes: impl Iterator<Item = ([usize; 3], f64)>, rank: usize) -> Vec<Layer> {
    let (mut at, mut draw) = (0, 0);
    let place = |([fan_in, fan_out, biases], deviation): ([usize; 3], f64)| {
        let layer = Layer {
            fan_in,
            fan_out,
            biases,
            at,
            draw,
            deviation,
        };
        (at, draw) = (layer.parameters().1.end, layer.bias(rank).end);
        layer
    };
    shapes.map(place).collect()
}

/// The numbers that make one member of `layers`.
pub(super) fn draws(layers: &[Layer], rank: usize) -> usize {
    layers.last().map_or(0, |layer| layer.bias(rank).end)
}

/// The parts of the parameters of `layers` that are summed apart: panels of a weight's rows, and the biases (None).
fn part_table(layers: &[Layer]) -> Vec<(Layer, Option<Range<usize>>)> {
    let of_layer = |&layer: &Layer| {
        let panels = (0..layer.fan_in)
            .step_by(ROWS)
            .map(move |start| Some(start..(start + ROWS).min(layer.fan_in)));
        panels.chain([None]).map(move |rows| (layer, rows))
    };
    layers.iter().flat_map(of_layer).collect()
}

/// As `LowRank::parts`.
pub(super) fn parts(layers: &[Layer]) -> Vec<(usize, usize)> {
    let place = |(layer, rows): (Layer, Option<Range<usize>>)| match rows {
        Some(rows) => (
            layer.at + rows.start * layer.fan_out,
            rows.len() * layer.fan_out,
        ),
        None => (layer.parameters().1.start, layer.biases),
    };
    part_table(layers).into_iter().map(place).collect()
}

/// As `LowRank::accumulate`.
pub(super) fn accumulate<T: Real>(
    (layers, part): (&[Layer], usize),
    (draws, rank): (ArrayView2<T>, usize),
    coefficients: &[T],
    quantum: Quantum,
    sums: &mut [f64],
    scratch: &mut Vec<T>,
) {
    let (layer, rows) = part_table(layers).swap_remove(part);
    let n = draws.nrows();
    let scale = T::from_f64(1.0 / (rank as f64).sqrt());
    scratch.clear();
    scratch.resize(sums.len() + n * layer.fan_out, T::zero());
    let (partial, weighted) = scratch.split_at_mut(sums.len());
    let Some(rows) = rows else {
        // The bias: c^T times its draws, in the members' order.
        for (draw, &c) in draws.rows().into_iter().zip(coefficients) {
            let bias = &draw.to_slice().expect("row-major")[layer.bias(rank)];
            partial
                .iter_mut()
                .zip(bias)
                .for_each(|(sum, &xi)| *sum += c * xi);
        }
        sums.iter_mut()
            .zip(&*partial)
            .for_each(|(sum, &term)| *sum += quantum.round(term.as_f64()));
        return;
    };
    for r in 0..rank {
        let right = layer.right(rank).start + r * layer.fan_out;
        for ((row, draw), &c) in weighted
            .chunks_mut(layer.fan_out)
            .zip(draws.rows())
            .zip(coefficients)
        {
            let b = &draw.to_slice().expect("row-major")[right..right + layer.fan_out];
            row.iter_mut().zip(b).for_each(|(w, &b)| *w = c * scale * b);
        }
        let left = layer.left(rank).start + r * layer.fan_in;
        let left = draws.slice(s![.., left + rows.start..left + rows.end]); // n x rows
        let weighted = ArrayView2::from_shape((n, layer.fan_out), &*weighted).expect("room");
        let out =
            ArrayViewMut2::from_shape((rows.len(), layer.fan_out), &mut *partial).expect("room");
        product(
            out,
            if r == 0 { T::zero() } else { T::one() },
            T::one(),
            left.t(),
            weighted,
        );
    }
    sums.iter_mut()
        .zip(&*partial)
        .for_each(|(sum, &term)| *sum += quantum.round(term.as_f64()));
}

/// As `LowRank::member`.
pub(super) fn member<T: Real>(layers: &[Layer], about: &About<T>, draw: &[T], out: &mut [T]) {
    out.copy_from_slice(about.centre);
    let scale = about.spread / (about.rank as f64).sqrt();
    for layer in layers {
        let (weight, biases) = layer.parameters();
        let (left, right) = (
            &draw[layer.left(about.rank)],
            &draw[layer.right(about.rank)],
        );
        let scale = T::from_f64(scale * layer.deviation);
        for (a, b) in left.chunks(layer.fan_in).zip(right.chunks(layer.fan_out)) {
            for (row, &a) in out[weight.clone()].chunks_mut(layer.fan_out).zip(a) {
                row.iter_mut()
                    .zip(b)
                    .for_each(|(w, &b)| *w += scale * a * b);
            }
        }
        let deviation = T::from_f64(about.spread * layer.deviation);
        let biases = out[biases].iter_mut().zip(&draw[layer.bias(about.rank)]);
        biases.for_each(|(w, &xi)| *w += deviation * xi);
    }
}
