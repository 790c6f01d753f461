//! The table as a picture: a cell for each method and problem, coloured by its error.

use std::fmt::Write as _;

use eki_mpi::report::page::scale::escaped;

use crate::score::Row;
use crate::table::{Cell, cell};

const WIDTH: f64 = 104.0;
const HEIGHT: f64 = 40.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 74.0;

/// White where the mean is within a tenth of a deviation, dark orange from ten deviations on.
fn colour(error: f64) -> String {
    let share = ((error.max(1e-9).log10() + 1.0) / 2.0).clamp(0.0, 1.0);
    let mix = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    format!(
        "#{:02x}{:02x}{:02x}",
        mix(255.0, 213.0),
        mix(255.0, 94.0),
        mix(255.0, 0.0)
    )
}

/// The picture of `methods` x `problems`.
pub fn svg(rows: &[Row], methods: &[&str], problems: &[&str]) -> String {
    let (width, height) = (
        LEFT + problems.len() as f64 * WIDTH + 10.0,
        TOP + methods.len() as f64 * HEIGHT + 10.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"8\" y=\"20\">Colour and first number: error of the \
         mean in posterior deviations (two-minima: in prior deviations). Second line: spread over the exact one, and simulations. \
         Medians of three seeds.</text>\n"
    );
    for (i, problem) in problems.iter().enumerate() {
        let x = LEFT + (i as f64 + 0.5) * WIDTH;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\">{problem}</text>",
            TOP - 12.0
        );
    }
    for (j, method) in methods.iter().enumerate() {
        let y = TOP + j as f64 * HEIGHT;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 24.0,
            escaped(method)
        );
        for (i, problem) in problems.iter().enumerate() {
            let x = LEFT + i as f64 * WIDTH;
            let found = cell(rows, method, problem);
            let fill = found
                .as_ref()
                .map_or("#f4f4f4".to_owned(), |c| colour(c.error));
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" stroke=\"#ddd\"/>",
                WIDTH - 2.0,
                HEIGHT - 2.0
            );
            if let Some(Cell {
                error,
                spread,
                simulations,
                ..
            }) = found
            {
                let spread = if spread.is_nan() {
                    String::new()
                } else {
                    format!("{spread:.2} · ")
                };
                let _ = writeln!(
                    svg,
                    "<text x=\"{0}\" y=\"{1}\" text-anchor=\"middle\">{error:.2}</text><text x=\"{0}\" y=\"{2}\" text-anchor=\"middle\" \
                     font-size=\"10\">{spread}{simulations}</text>",
                    x + WIDTH / 2.0 - 1.0,
                    y + 16.0,
                    y + 31.0
                );
            }
        }
    }
    svg + "</svg>\n"
}
