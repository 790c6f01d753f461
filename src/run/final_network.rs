//! final/model.safetensors: the network at the final mean as named tensors, whose shapes and order of numbers are those of PyTorch's
//! modules, with its layers and the form of its samples.

use std::borrow::Cow;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View, serialize};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Activation;
use crate::data::form::SampleForm;
use crate::error::{Error, Result};
use crate::files::{Files, bounded};
use crate::forward::activation::Output;
use crate::forward::layers::Layer;
use crate::forward::network::{Body, Network};
use crate::kernels::real::Real;

/// The file's name in the run's folder `final`.
pub const MODEL: &str = "model.safetensors";

/// The key of the description in the file's metadata. There is one key alone, so that equal networks give equal files.
const DESCRIPTION: &str = "eki-mpi";

/// The version of the description.
const VERSION: u32 = 1;

/// What the file says of a network beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The version of this description.
    pub version: u32,
    /// The layers in order, each as [name, PyTorch's module, its arguments by position...].
    pub layers: Vec<Vec<Value>>,
    /// The form of samples: what inputs must be like, and what outputs stand for.
    pub form: SampleForm,
}

/// An array of a network's parameters.
struct Tensor<T> {
    name: String,
    shape: Vec<usize>,
    numbers: Vec<T>,
}

impl<T: Real> View for Tensor<T> {
    fn dtype(&self) -> Dtype {
        match size_of::<T>() {
            4 => Dtype::F32,
            _ => Dtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes: Vec<u8> = match self.dtype() {
            Dtype::F32 => {
                let single = self.numbers.iter().map(|x| x.as_f64() as f32);
                single.flat_map(f32::to_le_bytes).collect()
            }
            _ => {
                let double = self.numbers.iter().map(|x| x.as_f64());
                double.flat_map(f64::to_le_bytes).collect()
            }
        };
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.numbers.len() * size_of::<T>()
    }
}

/// Writes `network` at `parameters`, P numbers, and the `form` of its samples to the folder `folder`.
///
/// # Errors
/// A file that cannot be written.
pub fn save<T: Real>(
    (network, parameters): (&Network, &[T]),
    form: &SampleForm,
    (files, folder): (&Files, &Path),
) -> Result<()> {
    let path = folder.join(MODEL);
    let mut named = Named::new(parameters);
    named.network(network);
    let description = Description {
        version: VERSION,
        layers: named.layers,
        form: form.clone(),
    };
    let text = serde_json::to_string(&description).expect("plain data encodes");
    let metadata = [(DESCRIPTION.to_owned(), text)].into_iter().collect();
    let tensors = named.tensors.into_iter().map(|t| (t.name.clone(), t));
    let bytes = serialize(tensors, Some(metadata))
        .map_err(|e| Error::Run(format!("{}: {e}", path.display())))?;
    files.write_whole(&path, &bytes)
}

/// Reads the description of the network in the folder `folder` of a run; None if the run has left none, as earlier versions of this
/// program.
///
/// # Errors
/// A damaged file, or one of a later version.
pub fn description(folder: &Path) -> Result<Option<Description>> {
    let path = folder.join("final").join(MODEL);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = bounded::whole(&path, u64::MAX)?;
    let (_, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|e| Error::data(&path, e.to_string()))?;
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|all| all.get(DESCRIPTION));
    let lacks = || {
        Error::data(
            &path,
            "lacks the description of the network in its metadata",
        )
    };
    let text = text.ok_or_else(lacks)?;
    let known: Description =
        serde_json::from_str(text).map_err(|e| Error::data(&path, e.to_string()))?;
    match known.version {
        VERSION => Ok(Some(known)),
        later => Err(Error::data(
            &path,
            format!("is of version {later}, and this program reads version {VERSION}"),
        )),
    }
}

/// The layers and tensors of a network, in the order of its parameters.
struct Named<'a, T> {
    rest: &'a [T],
    layers: Vec<Vec<Value>>,
    tensors: Vec<Tensor<T>>,
    activations: usize,
}

impl<'a, T: Real> Named<'a, T> {
    fn new(parameters: &'a [T]) -> Self {
        Self {
            rest: parameters,
            layers: Vec::new(),
            tensors: Vec::new(),
            activations: 0,
        }
    }

    /// Adds the layers of `network`.
    fn network(&mut self, network: &Network) {
        match &network.body {
            Body::Inputs => {}
            Body::Images { from, layers } => {
                let sizes = [from.channels, from.height, from.width];
                self.layer(json!(["image", "Unflatten", 1, sizes]));
                let (mut channels, mut pools, mut convolutions) = (from.channels, 0, 0);
                for layer in layers {
                    match *layer {
                        Layer::Convolution { outputs, kernel } => {
                            convolutions += 1;
                            self.convolution(convolutions, (channels, outputs, kernel));
                            self.activation(network.activation);
                            channels = outputs;
                        }
                        Layer::Pool { window, stride } => {
                            pools += 1;
                            self.layer(json!([
                                format!("pool{pools}"),
                                "MaxPool2d",
                                window,
                                stride
                            ]));
                        }
                        Layer::Dense { .. } => unreachable!("the body has no dense layer"),
                    }
                }
                self.layer(json!(["flat", "Flatten"]));
            }
            Body::Sequence {
                steps,
                inputs,
                units,
            } => {
                self.layer(json!(["steps", "Unflatten", 1, [steps, inputs]]));
                self.recurrent((*inputs, units), network.activation);
            }
            Body::Series { inputs, units } => {
                self.recurrent((*inputs, units), network.activation);
            }
        }
        let pairs = network.dense.windows(2);
        let count = pairs.len();
        for (i, pair) in pairs.enumerate() {
            self.dense(i + 1, (pair[0], pair[1]));
            if i + 1 < count {
                self.activation(network.activation);
            }
        }
        if network.output == Output::Softmax {
            self.layer(json!(["probabilities", "Softmax", -1]));
        }
        assert!(self.rest.is_empty(), "all parameters are in a tensor");
    }

    /// Adds one layer, an array.
    fn layer(&mut self, layer: Value) {
        let Value::Array(layer) = layer else {
            unreachable!("a layer is an array")
        };
        self.layers.push(layer);
    }

    fn activation(&mut self, activation: Activation) {
        self.activations += 1;
        let module = match activation {
            Activation::Relu => "ReLU",
            Activation::Tanh => "Tanh",
            Activation::Heaviside => "Heaviside",
        };
        self.layer(json!([format!("activation{}", self.activations), module]));
    }

    /// Adds the next parameters as a tensor of `shape`.
    fn tensor(&mut self, name: String, shape: Vec<usize>) {
        let (own, rest) = self.rest.split_at(shape.iter().product());
        self.rest = rest;
        self.put(name, shape, own.to_vec());
    }

    /// Adds the next `rows` x `columns` parameters as a tensor of `columns` x `rows`.
    fn transposed(&mut self, name: String, (rows, columns): (usize, usize)) {
        let (own, rest) = self.rest.split_at(rows * columns);
        self.rest = rest;
        let numbers = (0..columns).flat_map(|j| (0..rows).map(move |i| own[i * columns + j]));
        self.put(name, vec![columns, rows], numbers.collect());
    }

    fn put(&mut self, name: String, shape: Vec<usize>, numbers: Vec<T>) {
        self.tensors.push(Tensor {
            name,
            shape,
            numbers,
        });
    }

    fn dense(&mut self, i: usize, (inputs, units): (usize, usize)) {
        self.layer(json!([format!("dense{i}"), "Linear", inputs, units]));
        self.transposed(format!("dense{i}.weight"), (inputs, units));
        self.tensor(format!("dense{i}.bias"), vec![units]);
    }

    fn convolution(&mut self, i: usize, (channels, outputs, side): (usize, usize, usize)) {
        let name = format!("conv{i}");
        self.layer(json!([name, "Conv2d", channels, outputs, side, 1, "same"]));
        self.tensor(
            format!("{name}.weight"),
            vec![outputs, channels, side, side],
        );
        self.tensor(format!("{name}.bias"), vec![outputs]);
    }

    /// Adds recurrent layers. PyTorch has a second bias, which is 0 here.
    fn recurrent(&mut self, (inputs, units): (usize, &[usize]), activation: Activation) {
        let word = match activation {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Heaviside => "heaviside",
        };
        let from = std::iter::once(inputs).chain(units.iter().copied());
        for (i, (a, &b)) in from.zip(units).enumerate() {
            let name = format!("recurrent{}", i + 1);
            self.layer(json!([name, "RNN", a, b, 1, word, true, true]));
            self.transposed(format!("{name}.weight_ih_l0"), (a, b));
            self.transposed(format!("{name}.weight_hh_l0"), (b, b));
            self.tensor(format!("{name}.bias_ih_l0"), vec![b]);
            let zeros = vec![T::zero(); b];
            self.put(format!("{name}.bias_hh_l0"), vec![b], zeros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::layers::ImageShape;

    fn named(network: &Network, parameters: usize) -> (Vec<String>, Vec<Tensor<f32>>) {
        let numbers: Vec<f32> = (0..parameters).map(|i| i as f32).collect();
        let mut named = Named::new(&numbers);
        named.network(network);
        let layers = named.layers.iter().map(|layer| json!(layer).to_string());
        (layers.collect(), named.tensors)
    }

    #[test]
    fn layers_and_tensors_are_those_of_pytorchs_modules() {
        let network = Network {
            body: Body::Images {
                from: ImageShape {
                    channels: 2,
                    height: 4,
                    width: 4,
                },
                layers: vec![
                    Layer::Convolution {
                        outputs: 3,
                        kernel: 3,
                    },
                    Layer::Pool {
                        window: 2,
                        stride: 2,
                    },
                ],
            },
            dense: vec![12, 2],
            activation: Activation::Relu,
            output: Output::Softmax,
        };
        let (layers, tensors) = named(&network, 54 + 3 + 24 + 2);
        let wanted = [
            r#"["image","Unflatten",1,[2,4,4]]"#,
            r#"["conv1","Conv2d",2,3,3,1,"same"]"#,
            r#"["activation1","ReLU"]"#,
            r#"["pool1","MaxPool2d",2,2]"#,
            r#"["flat","Flatten"]"#,
            r#"["dense1","Linear",12,2]"#,
            r#"["probabilities","Softmax",-1]"#,
        ];
        assert_eq!(layers, wanted);
        assert_eq!(tensors[0].shape, [3, 2, 3, 3]);
        // y = W^T x with W of 12 x 2 becomes y = A x with A of 2 x 12.
        let (weight, bias) = (&tensors[2], &tensors[3]);
        assert_eq!(
            (&*weight.name, &*weight.shape),
            ("dense1.weight", &[2, 12][..])
        );
        assert_eq!(weight.numbers[..2], [57.0, 59.0]);
        assert_eq!(weight.numbers[12], 58.0);
        assert_eq!(bias.numbers, [81.0, 82.0]);
    }

    #[test]
    fn recurrent_layers_have_a_module_each_and_a_second_bias_of_zeros() {
        let network = Network {
            body: Body::Series {
                inputs: 1,
                units: vec![2, 3],
            },
            dense: vec![3, 1],
            activation: Activation::Tanh,
            output: Output::Identity,
        };
        let (layers, tensors) = named(&network, (2 + 4 + 2) + (6 + 9 + 3) + 4);
        let wanted = [
            r#"["recurrent1","RNN",1,2,1,"tanh",true,true]"#,
            r#"["recurrent2","RNN",2,3,1,"tanh",true,true]"#,
            r#"["dense1","Linear",3,1]"#,
        ];
        assert_eq!(layers, wanted);
        // U^T h: the hidden weights 2..6 are transposed, too.
        assert_eq!(tensors[1].numbers, [2.0, 4.0, 3.0, 5.0]);
        assert_eq!(tensors[3].numbers, [0.0, 0.0]);
        assert_eq!(tensors[4].shape, [3, 2]);
    }
}
