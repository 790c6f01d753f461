//! What the units of a network's layer sum over: the layer before, or its windows.

use ndarray::{Array2, ArrayView2};

use super::stage::Stage;
use crate::real::Real;

/// The most columns that are taken of all samples and a convolution's places; part of the format.
pub const COLUMNS: usize = 4096;

/// What the units of a layer sum over.
#[derive(Clone, Debug)]
pub struct LayerInputs<T> {
    /// n x at most `COLUMNS`: inputs, the bias's 1 left out.
    pub columns: Array2<T>,
    /// The layer's units.
    pub units: usize,
    /// Whether its weights are units x n row-major, else n x units; biases follow them.
    pub units_first: bool,
}

/// What a convolution's units sum over on `inputs`, d x m: windows, taps x at most `COLUMNS`, those of all samples and places
/// or evenly chosen ones of them; outside the image 0.
pub(super) fn windows<T: Real>(stage: Stage, inputs: ArrayView2<T>) -> Option<LayerInputs<T>> {
    let Stage::Convolution {
        from,
        outputs,
        kernel,
    } = stage
    else {
        return None;
    };
    let m = inputs.ncols();
    let windows = from.height * from.width * m;
    // Odd, so that it meets all samples and places.
    let apart = match windows.div_ceil(COLUMNS) {
        1 => 1,
        apart => apart | 1,
    };
    let before = (kernel - 1) / 2;
    let columns = Array2::from_shape_fn(
        (from.channels * kernel * kernel, windows.div_ceil(apart)),
        |(tap, column)| {
            let (place, sample) = (column * apart / m, column * apart % m);
            let y = place / from.width + tap / kernel % kernel;
            let x = place % from.width + tap % kernel;
            let inside = (before..before + from.height).contains(&y)
                && (before..before + from.width).contains(&x);
            if !inside {
                return T::zero();
            }
            let channel = tap / (kernel * kernel);
            inputs[[
                (channel * from.height + y - before) * from.width + x - before,
                sample,
            ]]
        },
    );
    Some(LayerInputs {
        columns,
        units: outputs,
        units_first: true,
    })
}
