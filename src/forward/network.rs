//! What a network is made of, in words: for whoever evaluates it by other means than its forward map.
//!
//! ```text
//! z = W_L^T a(... a(W_1^T h + b_1) ...) + b_L ,  h = body(x)
//! ```

use super::activation::Output;
use super::layers::{ImageShape, Layer};
use crate::config::Activation;

/// A network: what makes features of the inputs, then dense layers. Its parameters stand in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The part before the dense layers.
    pub body: Body,
    /// Widths of the dense layers, the body's features first, outputs last.
    pub dense: Vec<usize>,
    /// The activation of all layers but the last dense one.
    pub activation: Activation,
    /// The activation of the last dense layer.
    pub output: Output,
}

/// The part that makes features of the inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing: the inputs are the features.
    Inputs,
    /// Convolutions and pools on images.
    Images {
        /// The inputs' shape.
        from: ImageShape,
        /// No dense layer among them.
        layers: Vec<Layer>,
    },
    /// Recurrent layers; the last one's state after the last step is the features.
    Sequence {
        /// Steps.
        steps: usize,
        /// Numbers of one step.
        inputs: usize,
        /// Units of each layer.
        units: Vec<usize>,
    },
    /// Recurrent layers whose samples are consecutive steps: each step's state is that sample's features.
    Series {
        /// Numbers of one step.
        inputs: usize,
        /// Units of each layer.
        units: Vec<usize>,
    },
}
