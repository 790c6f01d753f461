//! Line charts as SVG: the curves of several runs, labelled with their last values.

use std::fmt::Write as _;

use super::scale::{Frame, Scale, escaped, grid, number, range};
use super::tables::{details, table};

/// The size of a chart and the margins around its frame, in SVG units.
const FRAME: f64 = 296.0;
const NAMED_FRAME: f64 = 320.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 54.0;
const NAMED_RIGHT: f64 = 130.0;
/// The width of a character of an end label.
const CHARACTER: f64 = 7.6;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// The largest number of points drawn for one line; longer curves are averaged in that many pieces.
const POINTS: usize = 220;

/// The largest number of points of one curve in the table behind a chart.
const ROWS: usize = 25;

/// A curve in a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// The number of its run, which chooses the colour.
    pub run: usize,
    /// The label shown when a reader points at it.
    pub label: String,
    /// The points (x, y), with x ascending and y finite.
    pub points: Vec<(f64, f64)>,
    /// True for the second curve of its run, drawn dashed.
    pub second: bool,
    /// True if each point is marked.
    pub marked: bool,
}

/// The scale of x.
#[derive(Clone, Debug)]
pub enum Along {
    /// Linear, from 0 or less.
    Even,
    /// Logarithmic, for x > 0, with ticks at these values.
    Logarithmic(Vec<f64>),
}

/// A chart of several curves.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// A description of what is drawn, below the title.
    pub note: String,
    /// The curves.
    pub lines: Vec<Line>,
    /// True if y may be logarithmic when its range is large enough.
    pub logarithmic: bool,
    /// The scale of x.
    pub along: Along,
    /// True if curves end in their labels instead of their last values.
    pub named: bool,
}

/// Cuts a curve into pieces; returns (mean x, mean, lowest and highest y) of each.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64, f64, f64)> {
    // Pieces of equal length up to one point: a short last piece would be noisier than the others.
    let (count, pieces) = (points.len(), points.len().min(POINTS));
    (0..pieces)
        .map(|i| &points[i * count / pieces..(i + 1) * count / pieces])
        .map(|piece| {
            let n = piece.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| piece.iter().map(of).sum::<f64>() / n;
            let (least, most) = range(piece.iter().map(|p| p.1));
            (mean(|p| p.0), mean(|p| p.1), least, most)
        })
        .collect()
}

impl Chart {
    /// Returns the chart as a card of the page; empty if there is nothing to draw.
    #[must_use]
    pub fn card(&self, x_name: &str) -> String {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return String::new();
        }
        format!(
            "<figure class=\"card\"><h3>{}</h3><p class=\"soft\">{}</p>{}{}</figure>\n",
            escaped(&self.title),
            self.note,
            self.svg(x_name),
            self.data(x_name)
        )
    }

    /// Returns the table behind the chart: points of each curve, at even distances and with the last.
    fn data(&self, x_name: &str) -> String {
        let rows = self.lines.iter().flat_map(|line| {
            let (last, every) = (
                line.points.len().saturating_sub(1),
                line.points.len().div_ceil(ROWS).max(1),
            );
            let chosen = line.points.iter().enumerate();
            let chosen = chosen.filter(move |(i, _)| (last - i).is_multiple_of(every));
            chosen.map(|(_, (x, y))| vec![escaped(&line.label), number(*x, 4), number(*y, 5)])
        });
        details(
            "Data of this chart",
            &table(&["curve", x_name, "value"], rows),
        )
    }

    /// Returns the width and height in SVG units; labels at the ends of the curves fit beside the frame, however long
    /// they are.
    pub(super) fn size(&self) -> (f64, f64) {
        let labels = self.lines.iter().filter_map(|line| self.label(line));
        let longest = labels.map(|label| label.chars().count()).max();
        let least = if self.named { NAMED_RIGHT } else { RIGHT };
        let beside = least.max(10.0 + CHARACTER * longest.unwrap_or(0) as f64);
        (self.right() + beside, HEIGHT)
    }

    /// Returns the right edge of the frame.
    fn right(&self) -> f64 {
        LEFT + if self.named { NAMED_FRAME } else { FRAME }
    }

    /// Returns the text at the end of `line`: its label, or its last value.
    fn label(&self, line: &Line) -> Option<String> {
        let value = line.points.last().filter(|_| !line.second)?.1;
        // Accuracies have four digits everywhere.
        let digits = if (0.1..1.0).contains(&value) { 4 } else { 3 };
        Some(if self.named {
            line.label.clone()
        } else {
            number(value, digits)
        })
    }

    /// Returns the drawing without the card around it.
    pub(super) fn svg(&self, x_name: &str) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x_from, x_to) = range(points().map(|p| p.0));
        let (low, high) = range(points().map(|p| p.1));
        let logarithmic = self.logarithmic && low > 0.0 && high / low > 8.0;
        let room = if logarithmic {
            0.0
        } else if high > low {
            0.04 * (high - low)
        } else {
            // Around a lone value as much that its digits can be read.
            0.1 * high.abs()
        };
        let ((width, height), right) = (self.size(), self.right());
        let (x, x_ticks) = match &self.along {
            Along::Even => {
                let x = Scale::new((x_from.min(0.0), x_to), (LEFT, right), false);
                let ticks = x.ticks(5);
                (x, ticks)
            }
            Along::Logarithmic(ticks) => {
                let x = Scale::new((x_from, x_to), (LEFT, right), true);
                (x, ticks.clone())
            }
        };
        let y = Scale::new(
            (low - room, high + room),
            (HEIGHT - BOTTOM, TOP),
            logarithmic,
        );
        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.title)
        );
        svg += &axes((&x, &x_ticks), &y, right, x_name);
        for line in &self.lines {
            svg += &line.draw(&x, &y);
        }
        svg += &self.last_values(&y);
        svg + "</svg>"
    }

    /// Draws the last value of each curve at its end, with those that would overlap moved apart.
    fn last_values(&self, y: &Scale) -> String {
        let mut ends: Vec<(f64, String, &Line)> = self
            .lines
            .iter()
            .filter_map(|line| {
                let end = thinned(&line.points).last()?.1;
                Some((y.at(end) + 4.0, self.label(line)?, line))
            })
            .collect();
        if ends.len() > 8 {
            return String::new();
        }
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        for i in 1..ends.len() {
            ends[i].0 = ends[i].0.max(ends[i - 1].0 + 13.0);
        }
        // If the last one was pushed out of the frame, all move up as far as needed.
        let mut bound = HEIGHT - BOTTOM + 4.0;
        for end in ends.iter_mut().rev() {
            end.0 = end.0.min(bound);
            bound = end.0 - 13.0;
        }
        ends.iter()
            .fold(String::new(), |mut svg, (place, label, line)| {
                let text = escaped(label);
                let _ = writeln!(
                    svg,
                    "<text class=\"value c{}\" x=\"{}\" y=\"{place:.1}\">{text}</text>",
                    line.run % 8,
                    self.right() + 7.0
                );
                svg
            })
    }
}

impl Line {
    /// Draws the curve, on top of the range of the averaged points.
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

/// Draws the rules, the ticks and the two axes.
fn axes((x, x_ticks): (&Scale, &[f64]), y: &Scale, right: f64, x_name: &str) -> String {
    let bottom = HEIGHT - BOTTOM;
    let frame = Frame {
        left: LEFT,
        right,
        bottom,
    };
    let mut svg = grid(frame, (x, x_ticks), 5, y);
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
    fn pieces_are_of_one_length_so_that_the_curve_ends_as_it_went() {
        // With 441 points in pieces of three, the last point would be alone.
        let points: Vec<(f64, f64)> = (0..441).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let pieces = thinned(&points);
        let last = pieces.last().unwrap();
        assert!((0.3..0.7).contains(&last.1), "{last:?}");
        assert_eq!(thinned(&points[..3]).len(), 3);
    }

    #[test]
    fn labels_at_the_ends_find_room() {
        for value in [3.85e-3, -1.234e-17, 0.9871, 12.0] {
            let line = Line {
                run: 0,
                label: String::new(),
                points: vec![(0.0, 1.0), (1.0, value)],
                second: false,
                marked: false,
            };
            let chart = Chart {
                title: String::new(),
                note: String::new(),
                lines: vec![line],
                logarithmic: false,
                along: Along::Even,
                named: false,
            };
            let label = chart.label(&chart.lines[0]).unwrap();
            let room = chart.size().0 - chart.right() - 7.0;
            assert!(room >= 7.3 * label.len() as f64, "{label} {room}");
            assert!(chart.svg("x").contains(&label));
        }
    }

    #[test]
    fn a_constant_or_a_single_point_can_be_drawn() {
        for points in [vec![(1.0, 2.0)], vec![(0.0, 2.0), (1.0, 2.0)]] {
            let chart = Chart {
                title: "t".to_owned(),
                note: String::new(),
                lines: vec![Line {
                    run: 0,
                    label: "a<b".to_owned(),
                    points,
                    second: false,
                    marked: false,
                }],
                logarithmic: true,
                along: Along::Even,
                named: false,
            };
            let svg = chart.card("epochs");
            assert!(
                svg.contains("a&lt;b") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }
}
