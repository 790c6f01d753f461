//! Charts as one SVG file of their own, side by side, that draws alike in browsers and elsewhere: no CSS variables.

use std::fmt::Write as _;

use super::chart::Chart;
use super::scale::escaped;

/// Colours of runs 0 to 7, as on the page in its light form.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#b5508f", "#c48a00", "#3b9fd6", "#7a5c3e", "#6b6f76",
];

const PLAIN: &str = "text{fill:#5c6675;font:12px \"DejaVu Sans\",Verdana,sans-serif} text.title{fill:#1c2430;\
    font-size:15px;font-weight:600} .value{font-weight:600} .frame{stroke:#5c6675} .rule{stroke:#e3e7ec} \
    .line{fill:none;stroke-width:2;stroke-linejoin:round} .second{stroke-dasharray:2 4} .band{opacity:.16} \
    .ring{fill:#fff;stroke-width:1.5}";

/// Room above a chart for its title and note, and around it, in SVG units.
const ABOVE: f64 = 46.0;
const AROUND: f64 = 14.0;

/// The charts, each with its x axis's name, beside each other in one SVG document.
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
