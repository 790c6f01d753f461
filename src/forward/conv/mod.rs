//! Convolutional networks: z_oyx = b_o + sum_cij w_ocij h_c(y+i)(x+j), pooling by the largest, dense layers last.
//!
//! Padding is 'same' (zeros, which no sum spends time on: windows are clipped) and the stride 1; pooling takes only
//! windows that lie inside. A chunk of samples goes through all layers before the next. Each place's sums are taken
//! directly from the rows of samples around it, without copying windows: at these sizes a general product would
//! spend as long on rearranging its operands as on multiplying.
//!
//! In mixed precision (`paired`) products are of bfloat16.

mod body;
mod grid;
mod paired;

use ndarray::{Array2, ArrayView2, ArrayViewMut3, Axis, s};

use super::activation::Output;
use super::dense::Dense;
use super::inputs::{LayerInputs, windows};
use super::layers::{ImageShape, Layer};
use super::low_rank::LowRank;
use super::network::{self, Network};
use super::stage::Stage;
use super::{ForwardMap, LayerSuffix, MapShape};
use crate::config::Activation;
use crate::forward::prior::{Prior, Segment};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::real::Real;
use body::Body;

/// A convolutional network. Parameters layer by layer: kernels, out x in x height x width, then biases; the dense
/// layers as in `Dense`.
#[derive(Clone, Debug)]
pub struct Convolutional {
    body: Body,
    head: Dense,
    /// Outputs of the last dense layer.
    outputs: usize,
}

impl Convolutional {
    /// The network of `layers` on inputs of shape `input`, the last layer dense.
    ///
    /// # Errors
    /// What is wrong with `layers`, in words that follow "must".
    pub fn new(
        input: ImageShape,
        layers: &[Layer],
        activation: Activation,
        output: Output,
    ) -> Result<Self, String> {
        let (mut stages, mut widths, mut from) = (Vec::new(), Vec::new(), input);
        for &layer in layers {
            let stage = match layer {
                Layer::Dense { units } => {
                    widths.push(units);
                    continue;
                }
                Layer::Convolution { outputs, kernel } => Stage::Convolution {
                    from,
                    outputs,
                    kernel,
                },
                Layer::Pool { window, stride } => Stage::Pool {
                    from,
                    window,
                    stride,
                },
            };
            if !widths.is_empty() {
                return Err(format!("not have \"{layer}\" after a dense layer"));
            }
            if let Layer::Pool { window, .. } = layer
                && window > from.height.min(from.width)
            {
                let (height, width) = (from.height, from.width);
                return Err(format!(
                    "pool at most what is left, {height} x {width}, not \"{layer}\""
                ));
            }
            from = stage.to();
            stages.push(stage);
        }
        let last = *widths.last().ok_or("end with \"dense N\"")?;
        widths.insert(0, from.size());
        Ok(Self {
            body: Body {
                input,
                stages,
                activation,
                paired: None,
            },
            head: Dense::new(widths, activation, output),
            outputs: last,
        })
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            body: self.body.in_mixed_precision(),
            head: self.head.in_mixed_precision(),
            ..self
        }
    }

    /// (Channels out, taps, the prior's deviation) of each convolution.
    pub(super) fn kernels(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        self.body.stages.iter().filter_map(|stage| match *stage {
            Stage::Convolution {
                from,
                outputs,
                kernel,
            } => Some((
                outputs,
                stage.size().0,
                (2.0 / ((from.channels + outputs) * kernel * kernel) as f64).sqrt(),
            )),
            Stage::Pool { .. } => None,
        })
    }

    /// The dense layers.
    pub(super) fn head(&self) -> &Dense {
        &self.head
    }

    /// The layers before convolution `layer`, from 0, and the network from there on; or before the dense ones, where
    /// `layer` is the count of convolutions.
    fn cut(&self, layer: usize) -> Option<(Body, Self)> {
        let stages = &self.body.stages;
        let places = (0..stages.len()).filter(|&at| stages[at].parameters() > 0);
        let at = places.chain([stages.len()]).nth(layer)?;
        let (before, body) = self.body.cut(at);
        let after = Self {
            body,
            head: self.head.clone(),
            outputs: self.outputs,
        };
        Some((before, after))
    }
}

impl<T: Real> ForwardMap<T> for Convolutional {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.body.parameters() + ForwardMap::<T>::parameters(&self.head),
            features: self.body.input.size(),
            outputs: self.outputs,
        }
    }

    /// Glorot normal, N(0, 2/(fan_in + fan_out)) with fans counted over the kernel, for weights and biases alike.
    fn prior(&self) -> Prior {
        let body = self.kernels().map(|(channels, taps, deviation)| Segment {
            count: channels * (taps + 1),
            deviation,
        });
        Prior::new(body.chain(self.head.segments()).collect())
    }

    fn low_rank(&self) -> Option<&dyn LowRank<T>> {
        Some(self)
    }

    fn tail(&self, layer: usize) -> Option<LayerSuffix<T>> {
        let (before, map) = self.cut(layer.checked_sub(1)?)?;
        let own = before.parameters();
        Some(LayerSuffix {
            map: Box::new(map),
            before: Box::new(move |point, inputs, reached| {
                before.reach_once(&point[..own], inputs, reached);
            }),
        })
    }

    fn layer_inputs(
        &self,
        layer: usize,
        point: &[T],
        inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        let (before, after) = self.cut(layer.min(self.kernels().count()))?;
        let own = before.parameters();
        let mut reached = Array2::zeros((before.output().size(), inputs.ncols()));
        let there = reached.as_slice_mut().expect("row-major");
        before.reach_once(&point[..own], inputs.as_standard_layout().view(), there);
        match after.body.stages.first() {
            Some(stage) => windows(*stage, reached.view()),
            None => {
                let dense = layer - self.kernels().count();
                after
                    .head
                    .layer_inputs(dense, &point[own..], reached.view())
            }
        }
    }

    fn network(&self) -> Option<Network> {
        Some(self.head.network_on(network::Body::Images {
            from: self.body.input,
            layers: self.body.stages.iter().map(|stage| stage.layer()).collect(),
        }))
    }

    fn flops(&self, m: usize) -> f64 {
        self.body.flops(m) + ForwardMap::<T>::flops(&self.head, m)
    }

    fn scratch(&self, m: usize) -> usize {
        let head = self.body.output().size() * m + ForwardMap::<T>::scratch(&self.head, m);
        2 * LOST + ForwardMap::<T>::arranged(self, m) + self.body.rooms() + head
    }

    fn arranged(&self, m: usize) -> usize {
        self.body.arranged(m)
    }

    fn arrange(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        self.body.arrange(inputs, arranged);
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
        let (m, features) = (inputs.ncols(), self.body.output().size());
        let (rooms, rest) = aligned(scratch).split_at_mut(self.body.rooms());
        let (reached, rest) = rest.split_at_mut(features * m);
        let each = members.rows().into_iter();
        for (member, out) in each.zip(outputs.axis_chunks_iter_mut(Axis(0), 1)) {
            let of_member = member.to_slice().expect("row-major");
            self.body
                .reach(of_member, (inputs, arranged), reached, rooms);
            let reached = ArrayView2::from_shape((features, m), &*reached).expect("room");
            let head = member.slice(s![self.body.parameters()..]);
            self.head
                .evaluate(head.insert_axis(Axis(0)), reached, out, rest);
        }
    }
}

#[cfg(test)]
mod tests;
