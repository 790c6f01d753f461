//! The words of a convolutional network: "conv 16 3" | "pool 4 2" | "dense 10", and the shape of an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The shape of one sample: channels, height and width, flattened in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShape {
    /// Channels.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
}

impl ImageShape {
    /// Numbers of one sample.
    #[must_use]
    pub fn size(self) -> usize {
        self.channels * self.height * self.width
    }
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A convolution with square kernels, 'same' padding and stride 1.
    Convolution {
        /// Channels it gives.
        outputs: usize,
        /// The kernel's side.
        kernel: usize,
    },
    /// The largest of each square window that lies inside.
    Pool {
        /// The window's side.
        window: usize,
        /// Places from one window to the next.
        stride: usize,
    },
    /// A dense layer.
    Dense {
        /// Its units.
        units: usize,
    },
}

/// The layers that are allowed, for messages.
pub const ALLOWED: &str = "\"conv OUT [SIDE]\", \"pool SIDE [STRIDE]\" or \"dense N\", as in [\"conv 16\", \"pool 4 2\", \"dense 10\"]";

/// Sides, strides, channels and units above this are taken for mistakes.
const MOST: usize = 1 << 20;
/// Numbers of the kernels for one channel above this, too.
const MOST_OF_KERNELS: usize = 1 << 30;

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let numbers: Option<Vec<usize>> = words
            .map(|word| word.parse().ok().filter(|n| (1..=MOST).contains(n)))
            .collect();
        match (kind, numbers.as_deref()) {
            ("conv", Some(&[outputs])) => Ok(Self::Convolution { outputs, kernel: 3 }),
            ("conv", Some(&[outputs, kernel])) if outputs * kernel * kernel <= MOST_OF_KERNELS => {
                Ok(Self::Convolution { outputs, kernel })
            }
            ("pool", Some(&[window])) => Ok(Self::Pool {
                window,
                stride: window,
            }),
            ("pool", Some(&[window, stride])) => Ok(Self::Pool { window, stride }),
            ("dense", Some(&[units])) => Ok(Self::Dense { units }),
            _ => Err(format!("hold {ALLOWED}, not {text:?}")),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Convolution { outputs, kernel: 3 } => write!(f, "conv {outputs}"),
            Self::Convolution { outputs, kernel } => write!(f, "conv {outputs} {kernel}"),
            Self::Pool { window, stride } if window == stride => write!(f, "pool {window}"),
            Self::Pool { window, stride } => write!(f, "pool {window} {stride}"),
            Self::Dense { units } => write!(f, "dense {units}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_read_back_as_they_are_written_and_nonsense_is_refused() {
        for text in ["conv 16", "conv 8 5", "pool 2", "pool 4 2", "dense 10"] {
            assert_eq!(text.parse::<Layer>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "conv",
            "conv 0",
            "conv 1 2 3",
            "pool -1",
            "dense 1 1",
            "relu",
            "conv x",
        ] {
            let error = text.parse::<Layer>().expect_err(text);
            assert!(error.contains("conv OUT") && !error.contains('\n'));
        }
    }
}
