//! Scales of charts with round ticks, the grid of both axes, and text escaped for HTML.

use std::fmt::Write as _;

pub use crate::files::numbers::number;

/// A map from values to SVG units, linear or logarithmic.
#[derive(Clone, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Scale {
    /// Returns the map from `from..to` to `start..end`; of the logarithm if `logarithmic`.
    #[must_use]
    pub fn new((from, to): (f64, f64), (start, end): (f64, f64), logarithmic: bool) -> Self {
        let pad = |a: f64, b: f64| if b > a { (a, b) } else { (a - 0.5, b + 0.5) };
        let (from, to) = if logarithmic {
            pad(from.log10(), to.log10())
        } else {
            pad(from, to)
        };
        Self {
            from,
            to,
            start,
            end,
            logarithmic,
        }
    }

    /// Returns the position of `value`.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.log10()
        } else {
            value
        };
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }

    /// Returns about `count` round values within the scale.
    #[must_use]
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (mut from, mut to) = (self.from, self.to);
        if self.logarithmic {
            let within = |x: &f64| x.log10() >= from - 1e-9 && x.log10() <= to + 1e-9;
            let powers = |steps: &[f64]| -> Vec<f64> {
                (from.floor() as i32..=to.ceil() as i32)
                    .flat_map(|power| steps.iter().map(move |s| s * 10_f64.powi(power)))
                    .filter(within)
                    .collect()
            };
            let [one, three, nine] = [
                powers(&[1.0]),
                powers(&[1.0, 2.0, 5.0]),
                powers(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]),
            ];
            let fits = |ticks: &Vec<f64>| ticks.len() >= 3;
            if let Some(some) = [one, three, nine].into_iter().find(fits) {
                let every = some.len().div_ceil(count + 2);
                return some.into_iter().step_by(every).collect();
            }
            // Too narrow for round values on a logarithmic scale.
            (from, to) = (10_f64.powf(from), 10_f64.powf(to));
        }
        let rough = (to - from) / count as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|s| s * power)
            .find(|s| *s >= rough * 0.999)
            .unwrap_or(rough);
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// Escapes text for HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Returns the least and the largest of the values.
pub fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
        (a.min(v), b.max(v))
    })
}

/// The sides of the frame within which curves are drawn, in SVG units.
#[derive(Clone, Copy)]
pub struct Frame {
    pub left: f64,
    pub right: f64,
    pub bottom: f64,
}

/// Draws the rules and the numbers of y, and the ticks of x with their numbers, of so many `digits`.
pub fn grid(frame: Frame, (x, x_ticks): (&Scale, &[f64]), digits: usize, y: &Scale) -> String {
    let Frame {
        left,
        right,
        bottom,
    } = frame;
    let mut svg = String::new();
    for tick in y.ticks(5) {
        let at = y.at(tick);
        let _ = writeln!(
            svg,
            "<path class=\"rule\" d=\"M{left} {at:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 7.0,
            at + 4.0,
            number(tick, 4)
        );
    }
    for &tick in x_ticks {
        let at = x.at(tick);
        let _ = writeln!(
            svg,
            "<path class=\"frame\" d=\"M{at:.1} {bottom}v4\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 17.0,
            number(tick, digits)
        );
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_scale() {
        let linear = Scale::new((0.13, 0.97), (0.0, 1.0), false);
        let ticks: Vec<String> = linear.ticks(5).iter().map(|t| number(*t, 4)).collect();
        assert_eq!(ticks, ["0.2", "0.4", "0.6", "0.8"]);
        let decades = Scale::new((3e-5, 2.0), (0.0, 1.0), true);
        let ticks: Vec<String> = decades.ticks(5).iter().map(|t| number(*t, 4)).collect();
        assert_eq!(ticks, ["0.0001", "0.001", "0.01", "0.1", "1"]);
        let narrow = Scale::new((1.2, 11.0), (0.0, 1.0), true);
        assert_eq!(narrow.ticks(5), [2.0, 5.0, 10.0]);
        let narrower = Scale::new((0.91, 0.99), (0.0, 1.0), true);
        let ticks: Vec<String> = narrower.ticks(5).iter().map(|t| number(*t, 4)).collect();
        assert_eq!(ticks, ["0.92", "0.94", "0.96", "0.98"]);
    }
}
