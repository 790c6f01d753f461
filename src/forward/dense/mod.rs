//! Dense networks: h_0 = x, h_l = a(W_l^T h_{l-1} + b_l), the last layer with its own output map.
//!
//! Units are rows and samples columns throughout, so a narrow layer still fills the vectors. A panel of samples goes
//! through all layers before the next, so that what passes between layers, and bias, activation and softmax, never
//! leave the first caches; the inputs are put in panels once for all members. Where the first layer is narrow, several
//! members take turns on a panel, since all share it.
//!
//! A member's weights are put in the order in which they are read, once a batch, where it has samples enough to repay it.
//! In mixed precision weights and what they multiply are rounded to bfloat16 (`bfloat`): the weights as they are put in
//! order, the inputs once for all members, what passes between layers panel by panel. Sums, biases and activations stay in
//! single precision.

mod low_rank;
mod order;
mod own;
mod pre_activations;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis};

use order::Order;

use super::activation::{Output, OwnSums};
use super::inputs::LayerInputs;
use super::network::{Body, Network};
use super::{ForwardMap, MapShape};
use crate::config::Activation;
use crate::forward::prior::{Prior, Segment};
use crate::kernels::bfloat::places;
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::panel::{PANEL, ROWS, in_panels, to_panels};
use crate::kernels::real::{Real, product};

/// A dense network; parameters layer by layer, the weight fan_in x fan_out row-major, then the bias.
#[derive(Clone, Debug)]
pub struct Dense {
    layers: Vec<usize>,
    activation: Activation,
    output: Output,
    /// The prior's deviation in each layer, in units of Glorot's.
    scales: Vec<f64>,
    /// True if products are rounded to bfloat16.
    mixed: bool,
}

/// Panels of samples that repay putting weights in order.
const REPAID: usize = 4;

/// Below this many units in the first layer, members are grouped until their units come to twice as many.
const NARROW: usize = 64;

impl Dense {
    /// Widths of `layers`, inputs first, outputs last: at least two, none 0.
    #[must_use]
    pub fn new(layers: Vec<usize>, activation: Activation, output: Output) -> Self {
        assert!(
            layers.len() >= 2 && layers.iter().all(|&n| n > 0),
            "a network needs inputs and outputs"
        );
        Self {
            scales: vec![1.0; layers.len() - 1],
            layers,
            activation,
            output,
            mixed: false,
        }
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            mixed: true,
            ..self
        }
    }

    /// The same with `scales` times Glorot's deviation in the prior, one for each layer.
    #[must_use]
    pub fn with_scales(self, scales: Vec<f64>) -> Self {
        assert_eq!(scales.len(), self.scales.len(), "one for each layer");
        Self { scales, ..self }
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Units of the last layer.
    pub(super) fn width(&self) -> usize {
        *self.layers.last().expect("at least two layers")
    }

    /// The map from the last layer's sums to outputs.
    pub(super) fn output_map(&self) -> Output {
        self.output
    }

    /// The network of these layers on the features of `body`.
    pub(super) fn network_on(&self, body: Body) -> Network {
        Network {
            body,
            dense: self.layers.clone(),
            activation: self.activation,
            output: self.output,
        }
    }

    /// Glorot normal, N(0, 2/(fan_in + fan_out)) but for the scales, for weights and biases alike: a bias without spread never
    /// moves.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.pairs()
            .zip(&self.scales)
            .map(|((a, b), scale)| Segment {
                count: (a + 1) * b,
                deviation: scale * (2.0 / (a + b) as f64).sqrt(),
            })
    }

    /// Members that share a panel of inputs while it is in the cache.
    fn grouped(&self) -> usize {
        let width = self.layers[1];
        if width < NARROW {
            (2 * NARROW).div_ceil(width)
        } else {
            1
        }
    }

    /// The widest layer after the inputs.
    fn widest(&self) -> usize {
        self.layers[1..].iter().copied().max().expect("outputs")
    }

    /// One member on one panel of samples, `x`, d x `PANEL`: its outputs, c x `PANEL`, in one of the rooms. Its weights
    /// stand in `order`; in pairs, `x` does, too.
    fn on_panel<'r, T: Real>(
        &self,
        (member, order): (&[T], Order),
        x: &[T],
        [mut here, mut there]: [&'r mut [T]; 2],
    ) -> &'r [T] {
        let (mut at, last) = (0, self.layers.len() - 2);
        for (l, (fan_in, fan_out)) in self.pairs().enumerate() {
            let (terms, size) = (self.terms(fan_in), order.numbers(fan_in, fan_out));
            let (weight, bias) = member[at..].split_at(size);
            let bias = &bias[..fan_out];
            let sums = &mut there[..fan_out * PANEL];
            let below = if l == 0 { x } else { &here[..terms * PANEL] };
            order.sums((weight, fan_out), below, sums);
            self.finish(l == last, sums, bias);
            if self.mixed && l < last {
                T::pair_rows::<PANEL>(sums, fan_out);
            }
            std::mem::swap(&mut here, &mut there);
            at += size + order.biases(fan_out);
        }
        here
    }

    /// Rows of what a layer of `fan_in` inputs reads.
    fn terms(&self, fan_in: usize) -> usize {
        if self.mixed { places(fan_in) } else { fan_in }
    }

    /// Returns the order in which weights are read on `m` samples.
    fn order(&self, m: usize) -> Order {
        if self.mixed {
            Order::InPairs
        } else if m.div_ceil(PANEL) >= REPAID && self.widest() > ROWS {
            Order::ByUnits
        } else {
            Order::AsTheyAre
        }
    }

    /// Numbers of a member whose weights stand in `order`.
    fn read(&self, order: Order) -> usize {
        let layers = self.pairs();
        layers
            .map(|(a, b)| order.numbers(a, b) + order.biases(b))
            .sum()
    }

    /// Copies `member`'s numbers to `to`, weights in `order`.
    fn put_in<T: Real>(&self, order: Order, mut member: &[T], mut to: &mut [T]) {
        for (fan_in, fan_out) in self.pairs() {
            let (weight, rest) = member.split_at(fan_in * fan_out);
            let (bias, rest) = rest.split_at(fan_out);
            let (ordered, after) = to.split_at_mut(order.numbers(fan_in, fan_out));
            order.put(weight, fan_out, ordered);
            let (to_bias, after) = after.split_at_mut(order.biases(fan_out));
            to_bias[..fan_out].copy_from_slice(bias);
            (member, to) = (rest, after);
        }
    }

    /// Bias and activation of a hidden layer's sums `own` on a panel.
    fn activate<T: Real>(&self, own: OwnSums<T>, bias: &[T], out: &mut [T]) {
        self.activation.apply_own(own, bias, out);
    }

    /// Bias and activation of one layer's sums on a panel, or after the last layer the output map.
    fn finish<T: Real>(&self, last: bool, sums: &mut [T], bias: &[T]) {
        if last {
            self.output.apply(sums, bias);
        } else {
            self.activation.apply_panel(sums, bias);
        }
    }
}

/// Copies one panel of outputs, c x `PANEL`, to its columns of `out`, c x m.
fn put_panel<T: Real>(panel: &[T], p: usize, mut out: ArrayViewMut2<T>) {
    let columns = p * PANEL..out.ncols().min((p + 1) * PANEL);
    for (row, mut out) in panel.chunks_exact(PANEL).zip(out.rows_mut()) {
        let out = out.as_slice_mut().expect("samples are consecutive");
        out[columns.clone()].copy_from_slice(&row[..columns.len()]);
    }
}

/// The weight fan_in x fan_out at the start of `parameters`.
fn weight<T>(parameters: &[T], fan_in: usize, fan_out: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((fan_in, fan_out), &parameters[..fan_in * fan_out]).expect("parameters")
}

impl<T: Real> ForwardMap<T> for Dense {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.pairs().map(|(a, b)| (a + 1) * b).sum(),
            features: self.layers[0],
            outputs: self.width(),
        }
    }

    fn prior(&self) -> Prior {
        Prior::new(self.segments().collect())
    }

    fn group(&self) -> usize {
        self.grouped()
    }

    fn low_rank(&self) -> Option<&dyn crate::forward::low_rank::LowRank<T>> {
        Some(self)
    }

    fn layer_inputs(
        &self,
        layer: usize,
        mut point: &[T],
        inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        let units = *self.layers.get(layer + 1)?;
        let mut columns = inputs.to_owned();
        for (fan_in, fan_out) in self.pairs().take(layer) {
            let (weight, rest) = (weight(point, fan_in, fan_out), &point[fan_in * fan_out..]);
            let mut sums = Array2::zeros((fan_out, columns.ncols()));
            product(
                sums.view_mut(),
                T::zero(),
                T::one(),
                weight.t(),
                columns.view(),
            );
            for (mut sums, &bias) in sums.rows_mut().into_iter().zip(rest) {
                let sums = sums.as_slice_mut().expect("row-major");
                self.activation.apply(sums, bias);
            }
            (columns, point) = (sums, &rest[fan_out..]);
        }
        Some(LayerInputs {
            columns,
            units,
            units_first: false,
        })
    }

    fn network(&self) -> Option<Network> {
        Some(self.network_on(Body::Inputs))
    }

    fn flops(&self, m: usize) -> f64 {
        self.pairs()
            .map(|(a, b)| 2.0 * m as f64 * a as f64 * b as f64)
            .sum()
    }

    fn scratch(&self, m: usize) -> usize {
        let weights = match self.order(m) {
            Order::AsTheyAre => 0,
            order => self.grouped() * self.read(order),
        };
        in_panels(self.layers[0], m) + 3 * LOST + 2 * self.widest() * PANEL + weights
    }

    fn arranged(&self, m: usize) -> usize {
        in_panels(self.layers[0], m)
    }

    fn arrange(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        to_panels(inputs, arranged);
        if self.mixed {
            T::pair_rows::<PANEL>(arranged, self.layers[0]);
        }
    }

    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        super::arrange_and_evaluate(self, members, inputs, outputs, scratch);
    }

    fn evaluate_arranged(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        arranged: &[T],
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let (here, rest) = aligned(scratch).split_at_mut(self.widest() * PANEL);
        let (there, rest) = rest.split_at_mut(self.widest() * PANEL);
        let (mut read, order) = (members, self.order(inputs.ncols()));
        if order != Order::AsTheyAre {
            let size = self.read(order);
            let ordered = &mut aligned(rest)[..members.nrows() * size];
            let rows = members.rows().into_iter();
            for (member, to) in rows.zip(ordered.chunks_exact_mut(size)) {
                self.put_in(order, member.to_slice().expect("row-major"), to);
            }
            read = ArrayView2::from_shape((members.nrows(), size), ordered).expect("room");
        }
        let panels = arranged.chunks_exact(self.terms(self.layers[0]) * PANEL);
        for (p, x) in panels.take(inputs.ncols().div_ceil(PANEL)).enumerate() {
            let each = read.rows().into_iter();
            for (member, out) in each.zip(outputs.axis_iter_mut(Axis(0))) {
                let member = member.to_slice().expect("row-major");
                let rooms = [&mut *here, &mut *there];
                put_panel(self.on_panel((member, order), x, rooms), p, out);
            }
        }
    }
}

#[cfg(test)]
mod tests;
