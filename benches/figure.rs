//! Figures of the studies: panels of curves as one SVG, in the page's scales.
#![allow(dead_code, reason = "each study uses a part")]

use std::fmt::Write as _;

use eki_mpi::report::page::scale::{Scale, escaped, number, range};

/// Size of a panel, and the margins around its frame, in SVG units.
const WIDTH: f64 = 388.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
/// The legend's height.
const LEGEND: f64 = 34.0;

/// Colours that differ also in grey, and to most colour-blind readers (Okabe & Ito); then two more, for figures of many curves.
pub const COLOURS: [&str; 9] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#222222", "#56b4e9", "#8c564b",
    "#888888",
];

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Measured.
    Line,
    /// Theory, above what was measured.
    Dashes,
    /// Measured at a few places.
    Marks,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What the legend calls it; curves of one name appear there once.
    pub name: String,
    /// Into `COLOURS`.
    pub colour: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// (x, y), x ascending.
    pub points: Vec<(f64, f64)>,
}

/// One chart; both axes in logarithms where they are `logarithmic`.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// What x and y are, and whether they are drawn in logarithms.
    pub axes: [(&'static str, bool); 2],
    /// Its curves.
    pub curves: Vec<Curve>,
}

/// The panels, at most so many `across`, under a legend.
pub fn svg(panels: &[Panel], across: usize) -> String {
    let across = across.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(across);
    let (width, height) = (across as f64 * WIDTH, LEGEND + rows as f64 * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    svg += &legend(panels);
    for (i, panel) in panels.iter().enumerate() {
        let (x, y) = (
            (i % across) as f64 * WIDTH,
            LEGEND + (i / across) as f64 * HEIGHT,
        );
        let _ = writeln!(svg, "<g transform=\"translate({x},{y})\">");
        svg += &panel.draw();
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn legend(panels: &[Panel]) -> String {
    let mut svg = String::new();
    let (mut told, mut x) = (Vec::new(), 16.0);
    for curve in panels.iter().flat_map(|panel| &panel.curves) {
        if told.contains(&&curve.name) {
            continue;
        }
        told.push(&curve.name);
        let _ = write!(
            svg,
            "<g transform=\"translate({x},18)\">{}",
            curve.path(&[(0.0, 0.0), (26.0, 0.0)])
        );
        let _ = writeln!(
            svg,
            "<text x=\"32\" y=\"4\">{}</text></g>",
            escaped(&curve.name)
        );
        x += 56.0 + 6.2 * curve.name.chars().count() as f64;
    }
    svg
}

impl Curve {
    /// The curve through places in SVG units.
    fn path(&self, places: &[(f64, f64)]) -> String {
        let colour = COLOURS[self.colour % COLOURS.len()];
        let mut along = String::new();
        for (x, y) in places {
            let _ = write!(along, "{x:.1},{y:.1} ");
        }
        let dashes = if self.stroke == Stroke::Dashes {
            "stroke-dasharray=\"5 4\" stroke-width=\"1.4\""
        } else {
            "stroke-width=\"1.8\""
        };
        let mut svg = format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" {dashes} points=\"{}\"/>",
            along.trim_end()
        );
        if self.stroke == Stroke::Marks {
            for (x, y) in places {
                let _ = write!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
        }
        svg
    }
}

impl Panel {
    fn draw(&self) -> String {
        let [(x_name, x_logarithmic), (y_name, y_logarithmic)] = self.axes;
        let shown = |p: &&(f64, f64)| {
            p.0.is_finite()
                && p.1.is_finite()
                && (!x_logarithmic || p.0 > 0.0)
                && (!y_logarithmic || p.1 > 0.0)
        };
        let points = || {
            self.curves
                .iter()
                .flat_map(|curve| &curve.points)
                .filter(shown)
        };
        let scale = |of: fn(&(f64, f64)) -> f64, over, logarithmic| {
            Scale::new(range(points().map(of)), over, logarithmic)
        };
        let x = scale(|p| p.0, (LEFT, WIDTH - RIGHT), x_logarithmic);
        let y = scale(|p| p.1, (HEIGHT - BOTTOM, TOP), y_logarithmic);
        let mut svg = format!(
            "<text x=\"{LEFT}\" y=\"18\" font-weight=\"bold\">{}</text>\n{}",
            escaped(&self.title),
            axes((&x, x_name), (&y, y_name))
        );
        for curve in &self.curves {
            // No more places than can be told apart.
            let mut places: Vec<(f64, f64)> = Vec::new();
            for point in curve.points.iter().filter(shown) {
                let place = (x.at(point.0), y.at(point.1));
                let near =
                    |last: &(f64, f64)| (place.0 - last.0).abs() + (place.1 - last.1).abs() < 1.0;
                if !places.last().is_some_and(near) {
                    places.push(place);
                }
            }
            svg += &curve.path(&places);
            svg.push('\n');
        }
        svg
    }
}

fn axes((x, x_name): (&Scale, &str), (y, y_name): (&Scale, &str)) -> String {
    let (bottom, right, centre) = (
        HEIGHT - BOTTOM,
        WIDTH - RIGHT,
        (TOP + HEIGHT - BOTTOM) / 2.0,
    );
    let mut svg = String::new();
    for tick in y.ticks(5) {
        let (at, text) = (y.at(tick), number(tick, 3));
        let _ = writeln!(
            svg,
            "<path stroke=\"#e4e4e4\" d=\"M{LEFT} {at:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 5.0,
            at + 4.0
        );
    }
    for tick in x.ticks(5) {
        let (at, text) = (x.at(tick), number(tick, 3));
        let _ = writeln!(
            svg,
            "<path stroke=\"#222\" d=\"M{at:.1} {bottom}v4\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            bottom + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<path fill=\"none\" stroke=\"#222\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(13,{centre}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 10.0,
        escaped(x_name),
        escaped(y_name)
    );
    svg
}
