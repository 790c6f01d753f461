//! The reliability diagram: how often the ensemble is right at each level of confidence.

use std::fmt::Write as _;

use super::scale::{Scale, escaped, number};
use super::tables::{details, table};
use crate::report::uncertainty::Uncertainty;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 14.0;
/// The bottom and top of the diagram's frame.
const FRAME: (f64, f64) = (216.0, 10.0);
/// The bottom and top of the histogram below it.
const COUNTS: (f64, f64) = (280.0, 232.0);

/// Returns the diagram and its numbers, as a card of the page.
#[must_use]
pub fn card(name: &str, u: &Uncertainty) -> String {
    format!(
        "<figure class=\"card\"><h3>{}</h3><p class=\"soft\">the {} members' mean prediction: accuracy {:.4}, \
         confidence {:.4}, expected calibration error {:.4}; bars: the share that is right, marks: the mean confidence</p>\
         {}{}</figure>\n",
        escaped(name),
        u.members,
        u.accuracy,
        u.confidence,
        u.calibration_error,
        svg(u),
        data(u)
    )
}

/// Returns the table behind the diagram.
fn data(u: &Uncertainty) -> String {
    let bins = u.reliability.iter().filter(|bin| bin.samples > 0);
    let rows = bins.map(|bin| {
        vec![
            format!("{:.3} .. {:.3}", bin.from, bin.to),
            bin.samples.to_string(),
            number(bin.confidence, 4),
            number(bin.accuracy, 4),
        ]
    });
    let head = ["confidence", "samples", "mean confidence", "share right"];
    details("Data of this chart", &table(&head, rows))
}

/// Draws the diagram.
fn svg(u: &Uncertainty) -> String {
    let right = WIDTH - RIGHT;
    let x = Scale::new((0.0, 1.0), (LEFT, right), false);
    let y = Scale::new((0.0, 1.0), FRAME, false);
    let most = u
        .reliability
        .iter()
        .map(|bin| bin.samples)
        .max()
        .unwrap_or(1);
    let counts = Scale::new((0.0, most as f64), COUNTS, false);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"reliability\">\n");
    for tick in y.ticks(5) {
        let (at, left) = (y.at(tick), LEFT - 7.0);
        let _ = writeln!(
            svg,
            "<path class=\"rule\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            at + 4.0,
            number(tick, 3)
        );
    }
    for bin in u.reliability.iter().filter(|bin| bin.samples > 0) {
        let (from, width) = (x.at(bin.from) + 1.0, x.at(bin.to) - x.at(bin.from) - 2.0);
        let bar = |svg: &mut String, (top, bottom): (f64, f64), style: &str| {
            let height = (bottom - top).max(0.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" style=\"{style}\"/>"
            );
        };
        let _ = writeln!(
            svg,
            "<g><title>confidence {:.3}: right {:.3}, {} samples</title>",
            bin.confidence, bin.accuracy, bin.samples
        );
        let right = (y.at(bin.accuracy), y.at(0.0));
        bar(&mut svg, right, "fill:var(--right);opacity:.85");
        let mark = y.at(bin.confidence);
        bar(&mut svg, (mark - 1.5, mark + 1.5), "fill:var(--gap)");
        bar(
            &mut svg,
            (counts.at(bin.samples as f64), counts.at(0.0)),
            "fill:var(--soft);opacity:.55",
        );
        svg += "</g>\n";
    }
    svg + &labels(&x, &y, &counts, most)
}

/// Draws the diagonal of perfect calibration, the axes, and the names.
fn labels(x: &Scale, y: &Scale, counts: &Scale, most: usize) -> String {
    let right = WIDTH - RIGHT;
    let (zero, floor) = (counts.at(0.0), y.at(0.0));
    let mut svg = format!(
        "<path class=\"frame\" fill=\"none\" stroke-dasharray=\"4 4\" d=\"M{:.1} {floor:.1}L{:.1} {:.1}\"/>\
         <path class=\"frame\" d=\"M{LEFT} {floor:.1}H{right}M{LEFT} {zero:.1}H{right}\"/>\
         <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{most}</text>\n",
        x.at(0.0),
        x.at(1.0),
        y.at(1.0),
        LEFT - 7.0,
        counts.at(most as f64) + 9.0
    );
    for tick in x.ticks(5) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x.at(tick),
            zero + 16.0,
            number(tick, 3)
        );
    }
    let (left, top) = (LEFT + 10.0, COUNTS.1 + 9.0);
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{top}\">samples</text>");
    let middle = (LEFT + right) / 2.0;
    svg + &format!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">confidence</text></svg>",
        HEIGHT - 5.0
    )
}
