//! A grid: sixteen samples' pairs of channels at each place of an image, with the border that windows reach into.

use crate::forward::layers::ImageShape;
use crate::forward::stage::Stage;
use crate::kernels::bfloat::windows::{BEYOND, LANES};
use crate::kernels::bfloat::{halves, places};

/// The places of a layer's inputs.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// The image; channels with what stands among them.
    pub shape: ImageShape,
    /// Lines above the image, and places before each line.
    pub before: [usize; 2],
    /// Lines and places beyond the image's, on both sides together.
    pub around: [usize; 2],
    /// True if its pairs are `ordered`, as pools need them.
    pub ordered: bool,
}

impl Grid {
    /// The inputs of `stage`; of the first one where it says so.
    pub fn of(stage: Stage, is_first: bool) -> Self {
        match stage {
            Stage::Convolution { from, kernel, .. } => {
                let (before, around) = ((kernel - 1) / 2, kernel - 1);
                let high = usize::from(!is_first);
                let channels = if is_first {
                    from.channels * kernel
                } else {
                    from.channels
                };
                Self {
                    shape: ImageShape { channels, ..from },
                    before: [high * before, before],
                    around: [high * around, around],
                    ordered: false,
                }
            }
            Stage::Pool { from, .. } => Self {
                ordered: true,
                ..Self::bare(from)
            },
        }
    }

    /// Without a border.
    pub fn bare(shape: ImageShape) -> Self {
        Self {
            shape,
            before: [0; 2],
            around: [0; 2],
            ordered: false,
        }
    }

    /// Rows of a place.
    pub fn pairs(&self) -> usize {
        places(self.shape.channels)
    }

    /// Rows from one line to the next.
    pub fn line(&self) -> usize {
        (self.shape.width + self.around[1]) * self.pairs()
    }

    /// The first row of a place of the image.
    pub fn row(&self, y: usize, x: usize) -> usize {
        (y + self.before[0]) * self.line() + (x + self.before[1]) * self.pairs()
    }

    /// Numbers it takes, with those read beyond its end.
    pub fn numbers(&self) -> usize {
        ((self.shape.height + self.around[0]) * self.line() + BEYOND) * LANES
    }
}

/// Writes samples `first` and on of the features, channel by channel.
pub fn put_features(from: Grid, grid: &[u32], (first, m): (usize, usize), to: &mut [f32]) {
    let ImageShape {
        channels,
        height,
        width,
    } = from.shape;
    let count = LANES.min(m - first);
    for channel in 0..channels {
        for place in 0..height * width {
            let row = from.row(place / width, place % width) + channel / 2;
            let to = &mut to[(channel * height * width + place) * m + first..][..count];
            for (to, &pair) in to.iter_mut().zip(&grid[row * LANES..]) {
                *to = halves(pair)[channel % 2];
            }
        }
    }
}
