//! Low-rank members of a dense network: all share the first layer's product with the mean.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::own::{AddOwn, project_first};
use super::{Dense, put_panel, weight};
use crate::forward::ForwardMap;
use crate::forward::activation::OwnSums;
use crate::forward::low_rank::{About, Layer, LowRank, PreActivations, in_order};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::panel::{PANEL, PanelProduct, in_panels, to_panels};
use crate::kernels::real::{Real, product};

/// The layers of `net`, each with its place.
pub(super) fn layers(net: &Dense, rank: usize) -> Vec<Layer> {
    in_order(net.layer_shapes(), rank)
}

impl<T: Real> LowRank<T> for Dense {
    fn layer_sums(&self) -> Option<&dyn PreActivations<T>> {
        Some(self)
    }

    fn layers(&self, rank: usize) -> Vec<Layer> {
        layers(self, rank)
    }

    fn shared(&self, m: usize) -> usize {
        let units = layers(self, 1)[0].fan_out;
        in_panels(units, m) + units * m
    }

    fn share(&self, centre: &[T], inputs: ArrayView2<T>, shared: &mut [T]) {
        let (first, m) = (layers(self, 1)[0], inputs.ncols());
        let weight = weight(centre, first.fan_in, first.fan_out);
        let (panels, sums) = shared.split_at_mut(in_panels(first.fan_out, m));
        let mut sums = ArrayViewMut2::from_shape((first.fan_out, m), sums).expect("room");
        product(sums.view_mut(), T::zero(), T::one(), weight.t(), inputs);
        to_panels(sums.view(), panels);
    }

    fn low_rank_scratch(&self, members: usize, m: usize, rank: usize) -> usize {
        let widest = self.pairs().map(|(_, b)| b + rank).max().unwrap_or(0);
        let later = self.pairs().skip(1);
        let weights: usize = later.map(|(a, b)| a * (b + rank)).sum();
        let own: usize = self.pairs().map(|(_, b)| (rank + 1) * b).sum();
        let outputs = ForwardMap::<T>::outputs(self) * m;
        LOST + rank * in_panels(members, m) + 2 * widest * PANEL + weights + own + outputs
    }

    fn low_rank_flops(&self, m: usize, rank: usize) -> f64 {
        let layers = self.pairs().enumerate();
        let of_sample = layers.map(|(l, (a, b))| (if l == 0 { 0 } else { a * b }) + rank * (a + b));
        2.0 * m as f64 * of_sample.sum::<usize>() as f64
    }

    fn evaluate_low_rank(
        &self,
        about: &About<T>,
        draws: ArrayView2<T>,
        inputs: ArrayView2<T>,
        scratch: &mut [T],
        take: &mut dyn FnMut(usize, ArrayView2<T>),
    ) {
        let (rank, m, n) = (about.rank, inputs.ncols(), draws.nrows());
        let layers = layers(self, rank);
        let (first, full) = (layers[0], m.next_multiple_of(PANEL));
        let (projected, rest) = aligned(scratch).split_at_mut(rank * n * full);
        project_first(first, rank, draws, inputs, projected);
        let widest = layers.iter().map(|layer| layer.fan_out + rank).max();
        let room = widest.unwrap_or(0) * PANEL;
        let (here, rest) = rest.split_at_mut(room);
        let (there, rest) = rest.split_at_mut(room);
        let c = layers[layers.len() - 1].fan_out;
        let (outputs, weights) = rest.split_at_mut(c * m);
        for (j, draw) in draws.rows().into_iter().enumerate() {
            let draw = draw.to_slice().expect("row-major");
            self.own_weights(about, &layers, draw, weights);
            let shared = about.shared[..in_panels(first.fan_out, m)].chunks(first.fan_out * PANEL);
            for (p, shared) in shared.enumerate() {
                let own = |r: usize| &projected[(r * n + j) * full + p * PANEL..][..PANEL];
                let rooms = [&mut *here, &mut *there];
                let from = (shared, &own as &dyn Fn(usize) -> _);
                let unseen = &mut |_: usize, _: &[T], _: &[T]| ();
                let panel = self.low_rank_panel(&layers, rank, from, weights, rooms, unseen);
                let out = ArrayViewMut2::from_shape((c, m), &mut *outputs).expect("room");
                put_panel(panel, p, out);
            }
            take(j, ArrayView2::from_shape((c, m), &*outputs).expect("room"));
        }
    }
}

/// Is shown a layer's number, its inputs on a panel, and their products with A.
pub(super) type Watch<'a, T> = &'a mut dyn FnMut(usize, &[T], &[T]);

impl Dense {
    /// The shapes (fan_in, fan_out, biases) and the prior's deviations of its layers.
    pub(in crate::forward) fn layer_shapes(&self) -> impl Iterator<Item = ([usize; 3], f64)> + '_ {
        let deviations = self.segments().map(|segment| segment.deviation);
        self.pairs().map(|(a, b)| [a, b, b]).zip(deviations)
    }

    /// Writes what is a member's own, layer by layer: (Wbar | A), fan_in x (fan_out + rank), but for the first layer;
    /// s B / sqrt(rank), rank x fan_out; the bias.
    pub(super) fn own_weights<T: Real>(
        &self,
        about: &About<T>,
        layers: &[Layer],
        draw: &[T],
        mut out: &mut [T],
    ) {
        let rank = about.rank;
        for (l, layer) in layers.iter().enumerate() {
            let width = layer.fan_out + rank;
            let weights = if l == 0 { 0 } else { layer.fan_in * width };
            let (weights, rest) = out.split_at_mut(weights);
            let (right, rest) = rest.split_at_mut(rank * layer.fan_out);
            let (bias, rest) = rest.split_at_mut(layer.fan_out);
            let left = &draw[layer.left(rank)];
            for (i, row) in weights.chunks_mut(width).enumerate() {
                let from = layer.at + i * layer.fan_out;
                let (mean, own) = row.split_at_mut(layer.fan_out);
                mean.copy_from_slice(&about.centre[from..from + layer.fan_out]);
                for (r, own) in own.iter_mut().enumerate() {
                    *own = left[r * layer.fan_in + i];
                }
            }
            let scale = T::from_f64(about.spread * layer.deviation / (rank as f64).sqrt());
            for (own, &b) in right.iter_mut().zip(&draw[layer.right(rank)]) {
                *own = scale * b;
            }
            let deviation = T::from_f64(about.spread * layer.deviation);
            let mean = &about.centre[layer.at + layer.fan_in * layer.fan_out..];
            let draws = mean.iter().zip(&draw[layer.bias(rank)]);
            for (bias, (&mean, &xi)) in bias.iter_mut().zip(draws) {
                *bias = mean + deviation * xi;
            }
            out = rest;
        }
    }

    /// One member on one panel: `shared` holds the first layer's shared sums there, `own` gives the r-th product of
    /// its inputs with A, `weights` are as `own_weights` puts them; `watch` is shown every later layer l, its inputs,
    /// fan_in x `PANEL`, and their products with A, rank x `PANEL`. Returns the outputs, c x `PANEL`.
    pub(super) fn low_rank_panel<'r, 'p, T: Real>(
        &self,
        layers: &[Layer],
        rank: usize,
        (shared, own): (&[T], &dyn Fn(usize) -> &'p [T]),
        mut weights: &[T],
        [mut here, mut there]: [&'r mut [T]; 2],
        watch: Watch<'_, T>,
    ) -> &'r [T] {
        let arch = pulp::Arch::new();
        for (l, layer) in layers.iter().enumerate() {
            let (units, width) = (layer.fan_out, layer.fan_out + rank);
            if l > 0 {
                let (both, rest) = weights.split_at(layer.fan_in * width);
                weights = rest;
                T::panel_product(PanelProduct {
                    a: both,
                    stride: width,
                    ahead: 0,
                    rows: width,
                    b: &here[..layer.fan_in * PANEL],
                    out: &mut there[..width * PANEL],
                    out_stride: PANEL,
                    columns: PANEL,
                    keep: false,
                    scale: T::one(),
                });
                watch(
                    l,
                    &here[..layer.fan_in * PANEL],
                    &there[units * PANEL..width * PANEL],
                );
            }
            let (right, rest) = weights.split_at(rank * units);
            let (bias, rest) = rest.split_at(units);
            weights = rest;
            let (sums, projected) = there.split_at_mut(units * PANEL);
            let last = l + 1 == layers.len();
            for (r, right) in right.chunks(units).enumerate() {
                let later = |r: usize| &projected[r * PANEL..(r + 1) * PANEL];
                let own = OwnSums {
                    base: (l == 0 && r == 0).then_some(shared),
                    right,
                    projected: if l == 0 { own(r) } else { later(r) },
                };
                if r + 1 == rank && !last {
                    self.activate(own, bias, sums);
                } else {
                    let out = &mut *sums;
                    arch.dispatch(AddOwn { own, out });
                }
            }
            if last {
                self.finish(last, sums, bias);
            }
            std::mem::swap(&mut here, &mut there);
        }
        &here[..layers[layers.len() - 1].fan_out * PANEL]
    }
}
