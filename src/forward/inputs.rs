//! What the units of a network's layer sum over: the layer before, or its windows.

use ndarray::{Array2, ArrayView2};

use super::stage::Stage;
use crate::kernels::real::Real;

/// The most columns that are taken of all samples and a convolution's places; part of the format.
pub const COLUMNS: usize = 4096;

/// The inputs that the units of a layer sum over.
#[derive(Clone, Debug)]
pub struct LayerInputs<T> {
    /// n x at most `COLUMNS`: inputs, the bias's 1 left out.
    pub columns: Array2<T>,
    /// The layer's units.
    pub units: usize,
    /// True if its weights are units x n row-major, else n x units; biases follow them.
    pub units_first: bool,
}

/// Returns the inputs that a convolution's units sum over on `inputs`, d x m: windows, taps x at most `COLUMNS`, those of all samples and places
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
    // The place and the sample of each column.
    let chosen = (0..windows.div_ceil(apart)).map(|column| {
        let (place, sample) = (column * apart / m, column * apart % m);
        (place / from.width, place % from.width, sample)
    });
    let chosen: Vec<(usize, usize, usize)> = chosen.collect();
    let taps = from.channels * kernel * kernel;
    let mut columns = Array2::zeros((taps, chosen.len()));
    for (tap, mut row) in columns.rows_mut().into_iter().enumerate() {
        let (channel, i, j) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
        for (to, &(y, x, sample)) in row.iter_mut().zip(&chosen) {
            let inside = (before..before + from.height).contains(&(y + i))
                && (before..before + from.width).contains(&(x + j));
            if inside {
                let line = channel * from.height + y + i - before;
                *to = inputs[[line * from.width + x + j - before, sample]];
            }
        }
    }
    Some(LayerInputs {
        columns,
        units: outputs,
        units_first: true,
    })
}
