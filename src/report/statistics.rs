//! Results over several runs: mean and deviation, and lines of CSV.

use std::fmt::Write as _;

/// Returns the mean, and of several numbers the deviation of a sample: the root of the sum of squares over n - 1.
#[must_use]
pub fn mean_and_deviation(numbers: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    match numbers.len() {
        0 => None,
        1 => Some((mean, None)),
        _ => Some((mean, Some((squares / (n - 1.0)).sqrt()))),
    }
}

/// Returns a line of CSV (RFC 4180).
#[must_use]
pub fn csv_line(cells: &[String]) -> String {
    let mut line = String::new();
    for (i, cell) in cells.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = match cell.contains([',', '"', '\n', '\r']) {
            true => write!(line, "{comma}\"{}\"", cell.replace('"', "\"\"")),
            false => write!(line, "{comma}{cell}"),
        };
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_deviations_are_those_of_a_sample() {
        assert_eq!(mean_and_deviation(&[]), None);
        assert_eq!(mean_and_deviation(&[3.0]), Some((3.0, None)));
        // By hand: deviations -1, 0, 1; squares 2, over 2.
        assert_eq!(mean_and_deviation(&[1.0, 2.0, 3.0]), Some((2.0, Some(1.0))));
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let cells = ["a", "b,c", "d\"e"].map(str::to_owned);
        assert_eq!(csv_line(&cells), "a,\"b,c\",\"d\"\"e\"\n");
    }
}
