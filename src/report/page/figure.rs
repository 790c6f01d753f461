//! Charts side by side in one SVG file of its own, which looks the same in browsers and elsewhere: no CSS variables.

use std::fmt::Write as _;

use super::chart::Chart;
use super::scale::escaped;

/// The colours of runs 0 to 7, as on the page in its light theme.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#b5508f", "#c48a00", "#3b9fd6", "#7a5c3e", "#6b6f76",
];

/// The style of everything but the colours.
const PLAIN: &str = "text{fill:#5c6675;font:12px \"DejaVu Sans\",Verdana,sans-serif} text.title{fill:#1c2430;\
    font-size:15px;font-weight:600} .value{font-weight:600} .frame{stroke:#5c6675} .rule{stroke:#e3e7ec} \
    .line{fill:none;stroke-width:2;stroke-linejoin:round} .second{stroke-dasharray:2 4} .band{opacity:.16} \
    .ring{fill:#fff;stroke-width:1.5}";

/// The height above a chart for its title and note, in SVG units.
const ABOVE: f64 = 46.0;
/// The margin around a chart, in SVG units.
const AROUND: f64 = 14.0;

/// Returns one SVG document with the charts side by side, each with the name of its x axis.
#[must_use]
pub fn figure(charts: &[(Chart, &str)]) -> String {
    let sizes: Vec<(f64, f64)> = charts.iter().map(|(chart, _)| chart.size()).collect();
    let width = sizes.iter().map(|(w, _)| w + AROUND).sum::<f64>() + AROUND;
    let height = sizes.iter().map(|(_, h)| *h).fold(0.0, f64::max) + ABOVE + AROUND;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{PLAIN}"
    );
    for (run, colour) in COLOURS.iter().enumerate() {
        let _ = write!(
            svg,
            " .c{run} .line,.c{run} .ring{{stroke:{colour}}} .c{run} .dot,.c{run} .band,text.c{run}{{fill:{colour}}}"
        );
    }
    svg += "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
    let mut left = AROUND;
    for ((chart, x_name), (width, height)) in charts.iter().zip(sizes) {
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"{left}\" y=\"22\">{}</text><text x=\"{left}\" y=\"39\">{}</text>\n\
             <svg x=\"{left}\" y=\"{ABOVE}\" width=\"{width}\" height=\"{height}\">{}</svg>",
            escaped(&chart.title),
            escaped(&chart.note),
            chart.svg(x_name)
        );
        left += width + AROUND;
    }
    svg + "</svg>\n"
}
