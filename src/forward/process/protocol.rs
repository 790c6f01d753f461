//! The lines of the protocol: a question, and the numbers of an answer.

use std::fmt::Write as _;

use super::failure::Failure;
use crate::data::observed::ObservedOutputs;
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

/// The numbers of an answer that are observed: finite, or NaN where as few are missing as a member may lack.
///
/// # Errors
/// Why it holds none.
pub fn numbers(line: &str, outputs: &ObservedOutputs) -> Result<Vec<f64>, Failure> {
    let count = outputs.total();
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
    let mut left = outputs.missing();
    let finite = |place: usize| match fields[place].filter(|x| !x.is_nan()) {
        Some(number) if number.is_finite() => Ok(number),
        None if left > 0 => {
            left -= 1;
            Ok(f64::NAN)
        }
        _ => Err(Failure::NotFinite(place + 1)),
    };
    outputs.places().map(finite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_observed_may_be_anything() {
        let observed = ObservedOutputs::new(4, vec![0, 3]);
        assert_eq!(numbers("1, nan,, 4", &observed).unwrap(), [1.0, 4.0]);
        let lost = numbers("1 2 3 inf", &observed).unwrap_err();
        assert!(matches!(lost, Failure::NotFinite(4)), "{lost}");
        let some = ObservedOutputs::from(4).with_missing(0.3);
        let found = numbers("1, nan, 3, 4", &some).unwrap();
        assert!(found[1].is_nan() && found[2..] == [3.0, 4.0]);
        for lost in ["nan, 2, nan, 4", "1, 2, inf, 4"] {
            assert!(matches!(numbers(lost, &some), Err(Failure::NotFinite(3))));
        }
        assert!(matches!(
            numbers("1 4", &observed),
            Err(Failure::Garbled(_))
        ));
    }
}
