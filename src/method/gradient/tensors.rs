//! A network as tensors that can be differentiated: z = [h, 1] [W; b], samples first; the parameters' order is that of
//! the forward maps.

use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Result, Tensor, Var};

use crate::config::Activation;
use crate::forward::layers::{ImageShape, Layer};
use crate::forward::network::{Body, Network};
use crate::kernels::real::Real;

/// `values` as a tensor of shape `dims`.
pub fn tensor<T: Real>(values: &[T], dims: &[usize]) -> Result<Tensor> {
    if size_of::<T>() == size_of::<f32>() {
        Tensor::from_slice(bytemuck::cast_slice::<T, f32>(values), dims, &Device::Cpu)
    } else {
        Tensor::from_slice(bytemuck::cast_slice::<T, f64>(values), dims, &Device::Cpu)
    }
}

/// Returns the values of a tensor of `T`, row-major.
pub fn numbers<T: Real>(tensor: &Tensor) -> Result<Vec<T>> {
    let flat = tensor.flatten_all()?;
    Ok(match flat.dtype() {
        DType::F32 => bytemuck::cast_slice(&flat.to_vec1::<f32>()?).to_vec(),
        _ => bytemuck::cast_slice(&flat.to_vec1::<f64>()?).to_vec(),
    })
}

/// A point's parameters as the tensors they make up, in their order.
pub struct Parameters(Vec<Var>);

impl Parameters {
    /// Returns tensors of the parameters `point` of `network`.
    pub fn new<T: Real>(network: &Network, point: &[T]) -> Result<Self> {
        let mut rest = point;
        let mut take = |dims: &[usize]| {
            let (own, after) = rest.split_at(dims.iter().product());
            rest = after;
            Var::from_tensor(&tensor(own, dims)?)
        };
        let vars: Result<Vec<Var>> = shapes(network).iter().map(|dims| take(dims)).collect();
        assert!(rest.is_empty(), "parameters beyond the network's");
        vars.map(Self)
    }

    /// Returns the gradient by these parameters, flattened.
    pub fn gradient<T: Real>(&self, gradients: &GradStore) -> Result<Vec<T>> {
        let mut flat = Vec::new();
        for var in &self.0 {
            match gradients.get(var) {
                Some(gradient) => flat.extend(numbers::<T>(gradient)?),
                None => flat.resize(flat.len() + var.elem_count(), T::zero()),
            }
        }
        Ok(flat)
    }
}

/// Returns the shapes of a network's parameters: kernels and their biases, or weights with the bias as their last row.
fn shapes(network: &Network) -> Vec<Vec<usize>> {
    let mut shapes = Vec::new();
    match &network.body {
        Body::Inputs => {}
        Body::Images { from, layers } => {
            let mut channels = from.channels;
            for layer in layers {
                if let Layer::Convolution { outputs, kernel } = *layer {
                    shapes.push(vec![outputs, channels, kernel, kernel]);
                    shapes.push(vec![1, outputs, 1, 1]);
                    channels = outputs;
                }
            }
        }
        Body::Sequence { inputs, units, .. } | Body::Series { inputs, units } => {
            let mut below = *inputs;
            for &units in units {
                shapes.push(vec![below + units + 1, units]);
                below = units;
            }
        }
    }
    let dense = network.dense.windows(2);
    shapes.extend(dense.map(|pair| vec![pair[0] + 1, pair[1]]));
    shapes
}

/// Returns the sums of the last layer, m x c, on `inputs`, m x d; `hidden`, 1 x H, is what a series is entered with.
pub fn sums(
    network: &Network,
    parameters: &Parameters,
    inputs: &Tensor,
    hidden: &Tensor,
) -> Result<Tensor> {
    let mut vars = parameters.0.iter().map(Var::as_tensor);
    let ones = inputs.narrow(1, 0, 1)?.ones_like()?;
    let mut h = match &network.body {
        Body::Inputs => inputs.clone(),
        Body::Images { from, layers } => {
            images(*from, layers, network.activation, &mut vars, inputs)?
        }
        Body::Sequence {
            steps,
            inputs: width,
            units,
        } => {
            let cells: Vec<_> = vars.by_ref().take(units.len()).collect();
            let mut states = Vec::new();
            for &units in units {
                states.push(ones.zeros_like()?.repeat((1, units))?);
            }
            for t in 0..*steps {
                let x = inputs.narrow(1, t * width, *width)?;
                step(network.activation, &cells, &mut states, x)?;
            }
            states.pop().expect("a layer")
        }
        Body::Series { units, .. } => {
            let cells: Vec<_> = vars.by_ref().take(units.len()).collect();
            let (mut states, mut first) = (Vec::new(), 0);
            for &units in units {
                states.push(hidden.narrow(1, first, units)?);
                first += units;
            }
            let mut reached = Vec::new();
            for t in 0..inputs.dim(0)? {
                let x = inputs.narrow(0, t, 1)?;
                reached.push(step(network.activation, &cells, &mut states, x)?);
            }
            Tensor::cat(&reached, 0)?
        }
    };
    let last = network.dense.len() - 2;
    for (l, weights) in vars.enumerate() {
        h = Tensor::cat(&[&h, &ones], 1)?.matmul(weights)?;
        if l < last {
            h = activate(network.activation, &h)?;
        }
    }
    Ok(h)
}

/// One step of all layers, each a cell [x, h, 1] [W; U; b], with `x` below the first; the last one's new state.
fn step(
    activation: Activation,
    cells: &[&Tensor],
    states: &mut [Tensor],
    x: Tensor,
) -> Result<Tensor> {
    let one = x.narrow(1, 0, 1)?.ones_like()?;
    let mut below = x;
    for (state, cell) in states.iter_mut().zip(cells) {
        let sums = Tensor::cat(&[&below, &*state, &one], 1)?.matmul(cell)?;
        *state = activate(activation, &sums)?;
        below = state.clone();
    }
    Ok(below)
}

/// Convolutions and pools, one sample's result a row.
fn images<'a>(
    from: ImageShape,
    layers: &[Layer],
    activation: Activation,
    vars: &mut impl Iterator<Item = &'a Tensor>,
    inputs: &Tensor,
) -> Result<Tensor> {
    let mut h = inputs.reshape(((), from.channels, from.height, from.width))?;
    for layer in layers {
        h = match *layer {
            Layer::Convolution { kernel, .. } => {
                let (before, after) = ((kernel - 1) / 2, kernel / 2);
                let (kernels, bias) = (vars.next(), vars.next());
                let (kernels, bias) = (kernels.expect("kernels"), bias.expect("biases"));
                let padded = h.pad_with_zeros(2, before, after)?;
                let padded = padded.pad_with_zeros(3, before, after)?;
                let sums = padded.conv2d(kernels, 0, 1, 1, 1)?;
                activate(activation, &sums.broadcast_add(bias)?)?
            }
            Layer::Pool { window, stride } => pool(&h, window, stride)?,
            Layer::Dense { .. } => unreachable!("dense layers stand apart"),
        };
    }
    h.flatten_from(1)
}

fn activate(activation: Activation, z: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Relu => z.relu(),
        Activation::Tanh => z.tanh(),
        Activation::Heaviside => {
            let zero = z.zeros_like()?;
            z.gt(&zero)?.to_dtype(z.dtype())
        }
    }
}

/// Returns the largest of each window: taken from its place, to which alone its gradient goes back. (The tensors' own pooling
/// has no gradient where windows overlap.)
fn pool(h: &Tensor, window: usize, stride: usize) -> Result<Tensor> {
    let (m, channels, height, width) = h.dims4()?;
    let (down, across) = (
        (height - window) / stride + 1,
        (width - window) / stride + 1,
    );
    let flat = h.reshape((m * channels, height * width))?;
    let sizes = ((height, width), (down, across), (window, stride));
    let places = match h.dtype() {
        DType::F32 => places(&numbers::<f32>(&flat)?, sizes),
        _ => places(&numbers::<f64>(&flat)?, sizes),
    };
    let places = Tensor::from_vec(places, (m * channels, down * across), h.device())?;
    flat.gather(&places, D::Minus1)?
        .reshape((m, channels, down, across))
}

/// Returns where in its image the largest of each window stands, the first of several; a NaN counts as largest.
fn places<T: Real>(
    values: &[T],
    ((height, width), (down, across), (window, stride)): (
        (usize, usize),
        (usize, usize),
        (usize, usize),
    ),
) -> Vec<u32> {
    let mut places = Vec::with_capacity(values.len() / (height * width) * down * across);
    for image in values.chunks_exact(height * width) {
        for y in 0..down {
            for x in 0..across {
                let first = y * stride * width + x * stride;
                let mut best = first;
                for at in (0..window).flat_map(|i| {
                    let row = first + i * width;
                    row..row + window
                }) {
                    if image[at] > image[best] || image[at].is_nan() {
                        best = at;
                    }
                }
                places.push(best as u32);
            }
        }
    }
    places
}
