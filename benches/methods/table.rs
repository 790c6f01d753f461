//! The table of all rows: medians over seeds, and ten lines for the guide.

use crate::score::Row;

/// A method on a problem: medians over seeds.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// In deviations of the posterior; of a problem with minima alone in the prior's.
    pub error: f64,
    pub spread: f64,
    pub coverage: f64,
    pub misfit: f64,
    pub simulations: usize,
}

/// The median; NaN where a number is.
fn median(mut values: Vec<f64>) -> f64 {
    if values.iter().any(|x| x.is_nan()) {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The medians of `method` on `problem`; None without rows.
pub fn cell(rows: &[Row], method: &str, problem: &str) -> Option<Cell> {
    let own: Vec<&Row> = rows
        .iter()
        .filter(|r| r.method == method && r.problem == problem)
        .collect();
    let of = |value: &dyn Fn(&Row) -> f64| median(own.iter().map(|row| value(row)).collect());
    (!own.is_empty()).then(|| Cell {
        error: of(&|r| {
            if r.scores.error.is_nan() {
                r.scores.error_of_prior
            } else {
                r.scores.error
            }
        }),
        spread: of(&|r| r.scores.spread),
        coverage: of(&|r| r.scores.coverage),
        misfit: of(&|r| r.scores.misfit),
        simulations: of(&|r| r.simulations as f64) as usize,
    })
}

/// The table in Markdown: a line for each of `methods`; error / spread / simulations by problem.
pub fn markdown(rows: &[Row], methods: &[&str], problems: &[&str]) -> String {
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        problems.join(" | "),
        "---|".repeat(problems.len())
    );
    for method in methods {
        let cells = problems
            .iter()
            .map(|problem| match cell(rows, method, problem) {
                Some(c) if c.spread.is_nan() => format!("{:.2}; {}", c.error, c.simulations),
                Some(c) => format!(
                    "{:.2}, {:.2}, {:.2}; {:.1}; {}",
                    c.error, c.spread, c.coverage, c.misfit, c.simulations
                ),
                None => "-".to_owned(),
            });
        text += &format!("| {method} | {} |\n", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}
