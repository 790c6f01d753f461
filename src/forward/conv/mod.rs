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
mod low_rank;
mod paired;

use ndarray::{Array2, ArrayView2};

use super::activation::Output;
use super::dense::Dense;
use super::headed::{Body, Headed};
use super::inputs::{LayerInputs, windows};
use super::layers::{ImageShape, Layer};
use super::network;
use super::stage::Stage;
use super::{ForwardMap, LayerSuffix};
use crate::config::Activation;
use crate::forward::low_rank::LowRank;
use crate::forward::prior::Segment;
use crate::kernels::real::Real;
use body::Convolutions;
use paired::PairedLayers;

/// A convolutional network. Parameters layer by layer: kernels, out x in x height x width, then biases; the dense
/// layers as in `Dense`.
pub type Convolutional = Headed<Convolutions>;

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
        if widths.is_empty() {
            return Err("end with \"dense N\"".to_owned());
        }
        widths.insert(0, from.size());
        Ok(Self {
            body: Convolutions {
                input,
                stages,
                activation,
                paired: None,
            },
            head: Dense::new(widths, activation, output),
        })
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            body: self.body.in_mixed_precision(),
            head: self.head.in_mixed_precision(),
        }
    }

    /// The layers before convolution `layer`, from 0, and the network from there on; or before the dense ones, where
    /// `layer` is the count of convolutions.
    fn cut(&self, layer: usize) -> Option<(Convolutions, Self)> {
        let stages = &self.body.stages;
        let places = (0..stages.len()).filter(|&at| stages[at].parameters() > 0);
        let at = places.chain([stages.len()]).nth(layer)?;
        let (before, body) = self.body.cut(at);
        let after = Self {
            body,
            head: self.head.clone(),
        };
        Some((before, after))
    }
}

impl Body for Convolutions {
    type Paired<'a> = PairedLayers<'a>;

    fn inputs(&self) -> usize {
        self.input.size()
    }

    fn parameters(&self) -> usize {
        self.stages.iter().map(|stage| stage.parameters()).sum()
    }

    fn features(&self) -> usize {
        self.output().size()
    }

    /// Glorot normal, N(0, 2/(fan_in + fan_out)) with fans counted over the kernel, for weights and biases alike.
    fn segments(&self) -> Vec<Segment> {
        let segment = |(channels, taps, deviation)| Segment {
            count: channels * (taps + 1),
            deviation,
        };
        self.kernels().map(segment).collect()
    }

    fn described(&self) -> network::Body {
        network::Body::Images {
            from: self.input,
            layers: self.stages.iter().map(|stage| stage.layer()).collect(),
        }
    }

    fn flops(&self, m: usize) -> f64 {
        let products: usize = self.stages.iter().map(|stage| stage.products()).sum();
        2.0 * m as f64 * products as f64
    }

    fn paired(&self) -> Option<PairedLayers<'_>> {
        let (paired, activation) = (self.paired.as_ref()?, self.activation);
        Some(PairedLayers { paired, activation })
    }

    fn chunk_rooms(&self) -> usize {
        self.chunk_rooms()
    }

    fn all_chunks<T: Real>(
        &self,
        member: &[T],
        inputs: ArrayView2<T>,
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        self.all_chunks(member, inputs, reached, rooms);
    }

    fn low_rank<T: Real>(net: &Convolutional) -> Option<&dyn LowRank<T>> {
        Some(net)
    }

    fn tail<T: Real>(net: &Convolutional, layer: usize) -> Option<LayerSuffix<T>> {
        let (before, map) = net.cut(layer.checked_sub(1)?)?;
        let own = before.parameters();
        Some(LayerSuffix {
            map: Box::new(map),
            before: Box::new(move |point, inputs, reached| {
                before.reach_once(&point[..own], inputs, reached);
            }),
        })
    }

    fn layer_inputs<T: Real>(
        net: &Convolutional,
        layer: usize,
        point: &[T],
        inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        let kernels = net.body.kernels().count();
        let (before, after) = net.cut(layer.min(kernels))?;
        let own = before.parameters();
        let mut reached = Array2::zeros((before.features(), inputs.ncols()));
        let there = reached.as_slice_mut().expect("row-major");
        before.reach_once(&point[..own], inputs.as_standard_layout().view(), there);
        match after.body.stages.first() {
            Some(stage) => windows(*stage, reached.view()),
            None => {
                let (dense, point) = (layer - kernels, &point[own..]);
                after.head.layer_inputs(dense, point, reached.view())
            }
        }
    }
}

#[cfg(test)]
mod tests;
