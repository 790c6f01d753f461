//! Line charts as SVG: scales with round ticks, lines of several runs, and their last values beside their ends.

use std::fmt::Write as _;

/// Size of a chart, and the margins around its frame, in SVG units.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 54.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// Points drawn of one line, at most: longer curves are averaged in as many pieces.
const POINTS: usize = 220;

/// One curve.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whose it is: chooses the colour.
    pub run: usize,
    /// What it is, for a reader who points at it.
    pub label: String,
    /// (x, y), x ascending, y finite.
    pub points: Vec<(f64, f64)>,
    /// Drawn as the second of its run: dashed.
    pub second: bool,
    /// Whether each point is marked.
    pub marked: bool,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its title.
    pub title: &'static str,
    /// What is drawn, in a line below the title.
    pub note: String,
    /// Its curves.
    pub lines: Vec<Line>,
    /// Whether y may be drawn in logarithms, where it spans enough.
    pub logarithmic: bool,
}

/// From values to SVG units.
#[derive(Clone, Debug)]
pub struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
}

impl Scale {
    /// `from..to` over `start..end`; the logarithm's, where `logarithmic`.
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

    /// The place of `value`.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.log10()
        } else {
            value
        };
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }

    /// Round values within the scale, about `count` of them.
    #[must_use]
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (from, to) = (self.from, self.to);
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
            let some = [one, three].into_iter().find(fits).unwrap_or(nine);
            let every = some.len().div_ceil(count + 2);
            return some.into_iter().step_by(every).collect();
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

/// A number as short as it can be said with `digits` significant digits.
#[must_use]
pub fn number(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let size = x.abs().log10().floor() as i32;
    if !(-4..6).contains(&size) {
        let text = format!("{x:.*e}", digits.saturating_sub(1));
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        return format!("{mantissa}e{power}");
    }
    let decimals = (digits as i32 - 1 - size).max(0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Text as it may stand in HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A curve cut into pieces: (x, mean, least, most) of each.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64, f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    points
        .chunks(size)
        .map(|piece| {
            let n = piece.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| piece.iter().map(of).sum::<f64>() / n;
            let (least, most) = range(piece.iter().map(|p| p.1));
            (mean(|p| p.0), mean(|p| p.1), least, most)
        })
        .collect()
}

/// The least and the largest of some values.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
        (a.min(v), b.max(v))
    })
}

impl Chart {
    /// The chart as a card of the page; nothing where there is nothing to draw.
    #[must_use]
    pub fn card(&self, x_name: &str) -> String {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return String::new();
        }
        format!(
            "<figure class=\"card\"><h3>{}</h3><p class=\"soft\">{}</p>{}</figure>\n",
            self.title,
            self.note,
            self.svg(x_name)
        )
    }

    fn svg(&self, x_name: &str) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x_from, x_to) = range(points().map(|p| p.0));
        let (low, high) = range(points().map(|p| p.1));
        let logarithmic = self.logarithmic && low > 0.0 && high / low > 8.0;
        let room = if logarithmic {
            0.0
        } else {
            0.04 * (high - low)
        };
        let x = Scale::new((x_from.min(0.0), x_to), (LEFT, WIDTH - RIGHT), false);
        let y = Scale::new(
            (low - room, high + room),
            (HEIGHT - BOTTOM, TOP),
            logarithmic,
        );
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(self.title)
        );
        svg += &axes(&x, &y, x_name);
        for line in &self.lines {
            svg += &line.draw(&x, &y);
        }
        svg += &self.last_values(&y);
        svg + "</svg>"
    }

    /// The last value of each curve, at its end, pushed apart where they would overlap.
    fn last_values(&self, y: &Scale) -> String {
        let mut ends: Vec<(f64, f64, usize)> = self
            .lines
            .iter()
            .filter(|line| !line.second)
            .filter_map(|line| Some((thinned(&line.points).last()?.1, line.run)))
            .map(|(value, run)| (y.at(value) + 4.0, value, run))
            .collect();
        if ends.len() > 8 {
            return String::new();
        }
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        for i in 1..ends.len() {
            ends[i].0 = ends[i].0.max(ends[i - 1].0 + 13.0);
        }
        // The last may have been pushed out of the frame: all move up as far as needed.
        let mut bound = HEIGHT - BOTTOM + 4.0;
        for end in ends.iter_mut().rev() {
            end.0 = end.0.min(bound);
            bound = end.0 - 13.0;
        }
        ends.iter()
            .fold(String::new(), |mut svg, (place, value, run)| {
                let _ = writeln!(
                    svg,
                    "<text class=\"value c{}\" x=\"{}\" y=\"{place:.1}\">{}</text>",
                    run % 8,
                    WIDTH - RIGHT + 7.0,
                    number(*value, 4)
                );
                svg
            })
    }
}

impl Line {
    /// The curve, with the range of what was averaged behind it.
    fn draw(&self, x: &Scale, y: &Scale) -> String {
        let pieces = thinned(&self.points);
        let place = |px: f64, py: f64| format!("{:.1},{:.1}", x.at(px), y.at(py));
        let joined = |points: Vec<String>| points.join(" ");
        let mut svg = format!(
            "<g class=\"c{}\"><title>{}</title>\n",
            self.run % 8,
            escaped(&self.label)
        );
        if self.points.len() > POINTS {
            let upper = pieces.iter().map(|p| place(p.0, p.3));
            let lower = pieces.iter().rev().map(|p| place(p.0, p.2));
            let around = joined(upper.chain(lower).collect());
            let _ = writeln!(svg, "<polygon class=\"band\" points=\"{around}\"/>");
        }
        let second = if self.second { " second" } else { "" };
        let along = joined(pieces.iter().map(|p| place(p.0, p.1)).collect());
        let _ = writeln!(svg, "<polyline class=\"line{second}\" points=\"{along}\"/>");
        let lone = pieces.len() == 1;
        if lone || self.marked && self.points.len() <= 60 {
            let kind = if self.second { "ring" } else { "dot" };
            for &(px, py, ..) in &pieces {
                let _ = writeln!(
                    svg,
                    "<circle class=\"{kind}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\"><title>{}: {} at {}</title></circle>",
                    x.at(px),
                    y.at(py),
                    escaped(&self.label),
                    number(py, 5),
                    number(px, 4)
                );
            }
        }
        svg + "</g>\n"
    }
}

/// Rules, ticks and the frame's two sides.
fn axes(x: &Scale, y: &Scale, x_name: &str) -> String {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut svg = String::new();
    for tick in y.ticks(5) {
        let at = y.at(tick);
        let _ = writeln!(
            svg,
            "<path class=\"rule\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 7.0,
            at + 4.0,
            number(tick, 4)
        );
    }
    for tick in x.ticks(5) {
        let at = x.at(tick);
        let _ = writeln!(
            svg,
            "<path class=\"frame\" d=\"M{at:.1} {bottom}v4\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 17.0,
            number(tick, 5)
        );
    }
    let _ = writeln!(
        svg,
        "<path class=\"frame\" d=\"M{LEFT} {bottom}H{right}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 5.0,
        escaped(x_name)
    );
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
    }

    #[test]
    fn numbers_are_short() {
        let told: Vec<String> = [0.0, 0.9252, 1e-7, 12345.6, 2.5e9, 100.0, -0.5]
            .iter()
            .map(|x| number(*x, 4))
            .collect();
        assert_eq!(
            told,
            ["0", "0.9252", "1e-7", "12346", "2.5e9", "100", "-0.5"]
        );
    }

    #[test]
    fn a_long_curve_is_averaged_and_keeps_its_range() {
        let points: Vec<(f64, f64)> = (0..1000)
            .map(|i| (f64::from(i), f64::from(i % 2)))
            .collect();
        let pieces = thinned(&points);
        assert!(pieces.len() <= POINTS);
        assert!(
            pieces
                .iter()
                .all(|p| p.2 == 0.0 && p.3 == 1.0 && (0.3..0.7).contains(&p.1))
        );
    }

    #[test]
    fn a_constant_or_a_single_point_can_be_drawn() {
        for points in [vec![(1.0, 2.0)], vec![(0.0, 2.0), (1.0, 2.0)]] {
            let chart = Chart {
                title: "t",
                note: String::new(),
                lines: vec![Line {
                    run: 0,
                    label: "a<b".to_owned(),
                    points,
                    second: false,
                    marked: false,
                }],
                logarithmic: true,
            };
            let svg = chart.card("epochs");
            assert!(
                svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }
}
