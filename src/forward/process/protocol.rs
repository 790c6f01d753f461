//! The lines of the protocol: a question, and the numbers of an answer.

use std::fmt::Write as _;

use super::failure::Failure;
use crate::files::numbers::fields;

/// The line that asks for the outputs at `u`: the shortest decimals that read back as the same numbers.
pub(super) fn question(u: &[f64]) -> String {
    // Few numbers take more: a million parameters are held once, as text.
    let mut line = String::with_capacity(24 * u.len());
    for (i, x) in u.iter().enumerate() {
        let blank = if i > 0 { " " } else { "" };
        let _ = write!(line, "{blank}{x:?}");
    }
    line.push('\n');
    line
}

/// The `count` finite numbers of an answer.
///
/// # Errors
/// Why it holds none.
pub fn numbers(line: &str, count: usize) -> Result<Vec<f64>, Failure> {
    if let Some(reason) = line.strip_prefix("failed") {
        return Err(Failure::Declared(
            reason
                .trim_start_matches(':')
                .trim()
                .chars()
                .take(160)
                .collect(),
        ));
    }
    let fields = fields(line, Some(count)).map_err(Failure::Garbled)?;
    if fields.len() != count {
        let found = fields.len();
        let hint = match line.contains(',') && found == 2 * count {
            true => ": write decimal points, not commas",
            false => "",
        };
        return Err(Failure::Garbled(format!(
            "holds {found} numbers, and the observations are {count}{hint}"
        )));
    }
    let finite = |(i, field): (usize, Option<f64>)| {
        let number = field.filter(|x| x.is_finite());
        number.ok_or(Failure::NotFinite(i + 1))
    };
    fields.into_iter().enumerate().map(finite).collect()
}
