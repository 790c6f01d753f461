//! Plots as SVG with both axes named and a legend: bands, lines and points over one another.

use std::fmt::Write as _;

use super::scale::{Frame, Scale, escaped, grid, range};

/// The size of a plot and the margins around its frame, in SVG units.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 42.0;
/// The radius of a point.
const RADIUS: f64 = 2.4;
/// The width of a band at one x alone.
const BAR: f64 = 16.0;

/// Marks in one colour with one entry in the legend.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The words of the legend; empty where the layer above it is its entry too.
    pub label: String,
    /// The number of the colour.
    pub colour: usize,
    /// The marks.
    pub shape: Shape,
}

/// A shape of a plot.
#[derive(Clone, Debug)]
pub enum Shape {
    /// The area between two curves: x, lower and upper y.
    Band(Vec<(f64, f64, f64)>),
    /// A curve.
    Line(Vec<(f64, f64)>),
    /// A dashed curve.
    Dashed(Vec<(f64, f64)>),
    /// A dotted curve.
    Dotted(Vec<(f64, f64)>),
    /// Points, each with what a reader sees who points at it, if that is known.
    Points(Vec<(f64, f64, String)>),
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The title.
    pub title: String,
    /// A description below the title.
    pub note: String,
    /// The names of the axes.
    pub axes: [String; 2],
    /// The range of x; None: that of what is drawn.
    pub across: Option<(f64, f64)>,
    /// Numbers of y that are within the frame, whatever is drawn.
    pub within: Vec<f64>,
    /// True if y may be logarithmic when its range is large enough.
    pub logarithmic: bool,
    /// The series of marks, the lowest first.
    pub layers: Vec<Layer>,
}

impl Shape {
    /// Returns the points (x, y) that must lie within the frame.
    fn corners(&self) -> Vec<(f64, f64)> {
        let corners: Vec<(f64, f64)> = match self {
            Self::Band(band) => band
                .iter()
                .flat_map(|&(x, low, high)| [(x, low), (x, high)])
                .collect(),
            Self::Line(line) | Self::Dashed(line) | Self::Dotted(line) => line.clone(),
            Self::Points(points) => points.iter().map(|&(x, y, _)| (x, y)).collect(),
        };
        let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        corners.into_iter().filter(finite).collect()
    }

    /// Draws it.
    fn draw(&self, x: &Scale, y: &Scale) -> String {
        let place = |px: f64, py: f64| format!("{:.1},{:.1}", x.at(px), y.at(py));
        let joined = |points: Vec<(f64, f64)>| {
            let all: Vec<String> = points.into_iter().map(|(px, py)| place(px, py)).collect();
            all.join(" ")
        };
        let finite = |line: &[(f64, f64)]| -> Vec<(f64, f64)> {
            line.iter()
                .copied()
                .filter(|(x, y)| x.is_finite() && y.is_finite())
                .collect()
        };
        match self {
            Self::Band(band) => {
                let known = || band.iter().filter(|(x, a, b)| (x + a + b).is_finite());
                if known().count() == 1 {
                    let bars = known().map(|&(px, low, high)| {
                        let (left, top) = (x.at(px) - BAR / 2.0, y.at(low.max(high)));
                        let height = (y.at(low.min(high)) - top).max(0.5);
                        format!(
                            "<rect class=\"band\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{BAR}\" height=\"{height:.1}\"/>\n"
                        )
                    });
                    return bars.collect();
                }
                let upper = known().map(|&(x, _, high)| (x, high));
                let lower = known().rev().map(|&(x, low, _)| (x, low));
                let around = joined(upper.chain(lower).collect());
                format!("<polygon class=\"band\" points=\"{around}\"/>\n")
            }
            Self::Line(line) | Self::Dashed(line) => {
                let known = finite(line);
                // A curve of one point has no length: it is a point.
                if let [(px, py)] = known[..] {
                    let is_line = matches!(self, Self::Line(_));
                    let kind = if is_line { "dot" } else { "ring" };
                    let (px, py) = (x.at(px), y.at(py));
                    return format!(
                        "<circle class=\"{kind}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"{RADIUS}\"/>\n"
                    );
                }
                let second = match self {
                    Self::Line(_) => "",
                    _ => " second",
                };
                format!("<polyline class=\"line{second}\" points=\"{}\"/>\n", joined(known))
            }
            Self::Dotted(line) => {
                format!("<polyline class=\"line third\" points=\"{}\"/>\n", joined(finite(line)))
            }
            Self::Points(points) => points.iter().filter(|(x, y, _)| (x + y).is_finite()).fold(
                String::new(),
                |mut svg, (px, py, told)| {
                    let told = match told.is_empty() {
                        true => String::new(),
                        false => format!("<title>{}</title>", escaped(told)),
                    };
                    let _ = writeln!(
                        svg,
                        "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{RADIUS}\">{told}</circle>",
                        x.at(*px),
                        y.at(*py)
                    );
                    svg
                },
            ),
        }
    }

    /// Draws its sign in the legend.
    fn sign(&self) -> &'static str {
        match self {
            Self::Band(_) => "<rect class=\"band\" width=\"18\" height=\"10\" y=\"1\"/>",
            Self::Line(_) => "<path class=\"line\" d=\"M0 6H18\"/>",
            Self::Dotted(_) => "<path class=\"line third\" d=\"M0 6H18\"/>",
            Self::Dashed(_) => "<path class=\"line second\" d=\"M0 6H18\"/>",
            Self::Points(_) => "<circle class=\"dot\" cx=\"9\" cy=\"6\" r=\"3\"/>",
        }
    }
}

impl Plot {
    /// Returns the plot as a card of the page; empty if there is nothing to draw.
    #[must_use]
    pub fn card(&self) -> String {
        let corners: Vec<(f64, f64)> = self
            .layers
            .iter()
            .flat_map(|layer| layer.shape.corners())
            .collect();
        if corners.is_empty() {
            return String::new();
        }
        let note = match self.note.is_empty() {
            true => String::new(),
            false => format!("<p class=\"soft\">{}</p>", escaped(&self.note)),
        };
        format!(
            "<figure class=\"card\"><h3>{}</h3>{note}{}{}</figure>\n",
            escaped(&self.title),
            self.legend(),
            self.svg(&corners)
        )
    }

    /// Returns the legend. A band that lies on another of its colour has the colour of both together.
    fn legend(&self) -> String {
        let below = |i: usize, layer: &Layer| {
            let is_band = |other: &&Layer| {
                matches!(other.shape, Shape::Band(_)) && other.colour == layer.colour
            };
            let bands = matches!(layer.shape, Shape::Band(_));
            if bands {
                self.layers[..i].iter().filter(is_band).count()
            } else {
                0
            }
        };
        let entry = |(i, layer): (usize, &Layer)| {
            format!(
                "<li class=\"c{}\"><svg class=\"sign\" viewBox=\"0 0 18 12\">{}</svg>{}</li>",
                layer.colour % 8,
                layer.shape.sign().repeat(1 + below(i, layer)),
                escaped(&layer.label)
            )
        };
        let all = self.layers.iter().enumerate();
        let entries: String = all
            .filter(|(_, layer)| !layer.label.is_empty())
            .map(entry)
            .collect();
        format!("<ul class=\"legend soft\">{entries}</ul>\n")
    }

    /// Returns the drawing, in which these `corners` must lie.
    fn svg(&self, corners: &[(f64, f64)]) -> String {
        let x_range = self
            .across
            .unwrap_or_else(|| range(corners.iter().map(|p| p.0)));
        let seen = corners
            .iter()
            .filter(|p| (x_range.0..=x_range.1).contains(&p.0));
        let (low, high) = range(seen.map(|p| p.1).chain(self.within.iter().copied()));
        let logarithmic = self.logarithmic && low > 0.0 && high / low > 8.0;
        // At least so much that digits are left between numbers near to one another.
        let room = (0.04 * (high - low)).max(1e-9 * high.abs().max(low.abs()));
        let room = if logarithmic { 0.0 } else { room };
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = Scale::new(x_range, (LEFT, right), false);
        let y = Scale::new((low - room, high + room), (bottom, TOP), logarithmic);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escaped(&self.title)
        );
        let frame = Frame {
            left: LEFT,
            right,
            bottom,
        };
        svg += &grid(frame, (&x, &x.ticks(4)), 4, &y);
        for layer in &self.layers {
            let drawn = layer.shape.draw(&x, &y);
            let _ = write!(svg, "<g class=\"c{}\">{drawn}</g>", layer.colour % 8);
        }
        let [across, up] = &self.axes;
        let _ = writeln!(
            svg,
            "<path class=\"frame\" d=\"M{LEFT} {bottom}H{right}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"4\" y=\"12\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 6.0,
            escaped(across),
            escaped(up)
        );
        svg + "</svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: Shape) -> Plot {
        let label = "of < all".to_owned();
        let layer = Layer {
            label,
            colour: 9,
            shape,
        };
        Plot {
            title: "a & b".to_owned(),
            note: String::new(),
            axes: ["x".to_owned(), "y > 0".to_owned()],
            across: None,
            within: Vec::new(),
            logarithmic: true,
            layers: vec![layer],
        }
    }

    #[test]
    fn what_has_one_point_is_seen() {
        let mark = |shape| of(shape).card();
        assert!(mark(Shape::Line(vec![(1.0, 2.0)])).contains("<circle class=\"dot\""));
        assert!(mark(Shape::Dashed(vec![(1.0, 2.0)])).contains("<circle class=\"ring\""));
        assert!(mark(Shape::Line(vec![(1.0, 2.0), (2.0, 2.0)])).contains("<polyline"));
        assert!(mark(Shape::Band(vec![(1.0, 2.0, 3.0)])).contains("width=\"16\""));
    }

    #[test]
    fn constant_lone_and_unknown_values_can_be_drawn() {
        for shape in [
            Shape::Line(vec![(1.0, 2.0)]),
            Shape::Dashed(vec![(0.0, 1e300), (1.0, 1e300), (2.0, f64::INFINITY)]),
            Shape::Band(vec![(0.0, -0.0, 0.0), (1.0, f64::NAN, 1.0)]),
            Shape::Points(vec![
                (1e-300, 1.0, "<m>".to_owned()),
                (f64::NAN, 1.0, String::new()),
            ]),
        ] {
            let card = of(shape).card();
            assert!(!card.contains("NaN") && !card.contains("inf"), "{card}");
            for part in ["of &lt; all", "a &amp; b", "y &gt; 0", "class=\"c1\""] {
                assert!(card.contains(part), "{part}: {card}");
            }
        }
        assert_eq!(of(Shape::Line(vec![(f64::NAN, 1.0)])).card(), "");
    }
}
