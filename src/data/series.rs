//! Time series as tables of two columns, date and value, with one header line.

use std::io::{Read, Write as _};
use std::path::Path;

use ndarray::Array2;

use super::{Inputs, Samples, Scaling, Targets};
use crate::error::{Error, Result};
use crate::files::bounded;

/// Returns the values of a series in the order of its lines, in the file's units.
///
/// The first line is a header; dates are ignored; quotes around fields and empty lines at the end are allowed.
///
/// # Errors
/// `Error::Data`, naming the line, when it is not `date,value` with a finite value; and when there is no value at all.
pub fn read(path: &Path) -> Result<Vec<f64>> {
    let (file, stored) = bounded::open(path)?;
    let mut text = Vec::with_capacity(usize::try_from(stored).unwrap_or(0));
    file.take(stored)
        .read_to_end(&mut text)
        .map_err(|e| Error::io(path, "read", e))?;
    parse(path, &text)
}

/// Returns the values in the bytes of a table; `path` only names it in errors.
///
/// # Errors
/// `Error::Data`, naming the line, when it is not `date,value` with a finite value; and when there is no value at all.
pub fn parse(path: &Path, text: &[u8]) -> Result<Vec<f64>> {
    let mut lines = text.trim_ascii_end().split(|&b| b == b'\n');
    let header = lines.next().unwrap_or_default();
    if header.trim_ascii().is_empty() {
        return Err(Error::data(
            path,
            "line 1: a header such as date,value expected, nothing found",
        ));
    }
    if value(header).is_some() {
        return Err(Error::data(
            path,
            format!(
                "line 1: a header such as date,value expected, {} found",
                shown(header)
            ),
        ));
    }
    let values = lines
        .enumerate()
        .map(|(i, line)| {
            value(line).ok_or_else(|| {
                Error::data(
                    path,
                    format!(
                        "line {}: {} found, date,value with a finite value expected",
                        i + 2,
                        shown(line)
                    ),
                )
            })
        })
        .collect::<Result<Vec<f64>>>()?;
    if values.is_empty() {
        return Err(Error::data(
            path,
            "holds no values: line 2 is the first that should",
        ));
    }
    Ok(values)
}

/// Returns the second of two fields, as a finite number.
fn value(line: &[u8]) -> Option<f64> {
    let line = std::str::from_utf8(line).ok()?;
    let (date, value) = line.split_once(',')?;
    let value: f64 = value.trim().trim_matches('"').parse().ok()?;
    (!date.trim_matches(['"', ' ']).is_empty() && value.is_finite()).then_some(value)
}

/// Returns a line as a message quotes it, at most 40 bytes.
fn shown(line: &[u8]) -> String {
    let mut text = Vec::new();
    let line = line.trim_ascii_end();
    // Writing to memory can't fail.
    let _ = write!(text, "{}", line[..line.len().min(40)].escape_ascii());
    let dots = if line.len() > 40 { "..." } else { "" };
    format!("\"{}{dots}\"", String::from_utf8_lossy(&text))
}

/// Maps `values` to 0..=1 by their range. Returns them and the map, whose inverse is y * scale + shift. A constant
/// series becomes zeros.
#[must_use]
pub fn to_unit(values: &[f64]) -> (Vec<f64>, Scaling) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaling = if high > low {
        Scaling {
            shift: low,
            scale: high - low,
        }
    } else {
        Scaling {
            shift: if low.is_finite() { low } else { 0.0 },
            scale: 1.0,
        }
    };
    let scaled = values
        .iter()
        .map(|v| (v - scaling.shift) / scaling.scale)
        .collect();
    (scaled, scaling)
}

/// Returns the samples of one-step-ahead prediction, in order of time: the inputs of sample t are x_t, x_{t-1}, ...,
/// x_{t-window+1} (the first value stands in for those before it), its target is x_{t+1}. A series of N values has N -
/// 1 samples.
///
/// # Panics
/// For fewer than two values, or a window of 0.
#[must_use]
pub fn lagged(values: &[f64], window: usize) -> Samples {
    let n = values.len() - 1;
    assert!(n > 0 && window > 0, "a series to predict, and a window");
    let inputs = Array2::from_shape_fn((n, window), |(t, k)| values[t.saturating_sub(k)]);
    let targets = Array2::from_shape_fn((n, 1), |(t, _)| values[t + 1]);
    Samples {
        inputs: Inputs::Reals(inputs),
        targets: Targets::Values(targets),
    }
}
