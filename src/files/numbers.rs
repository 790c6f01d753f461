//! Numbers in text, as users and simulators write them and as the program prints them: one reader and one notation.
//!
//! Numbers on a line are separated by commas, semicolons, tabs or blanks; blanks beside a comma or semicolon are
//! ignored. Also read are numbers in double quotes, the exponents of Fortran (`1.5D+03`, and `6.69-139` for 6.69e-139),
//! and `nan`, `NA`, `inf`, `1.#INF` and similar words as numbers that are not finite. Ambiguous lines are refused:
//!
//! | line | why |
//! |---|---|
//! | `1,5;2,5` and `1,5 2,5` | decimal commas, or several kinds of separators |
//! | `1 234,5` | blanks within a number |
//! | `2.5x`, `month`, `0x1F`, `1e` | not a number |
//!
//! An empty field, as in `1,,3`, keeps its place: it counts as missing, and later fields do not move up.
//!
//! Written here because readers of CSV take one separator that is known beforehand, and neither Fortran's exponents nor the words
//! for missing numbers.

/// The powers of ten that `number` writes without an exponent.
const PLAIN: std::ops::Range<i32> = -4..6;
/// The largest number of characters of a wrong word that a message quotes.
const QUOTED: usize = 60;

/// Returns the fields of `line` in order: a number (NaN and infinity included), or None where a field is empty. `count`
/// is the number of fields that are expected; then one separator after the last is allowed.
///
/// # Errors
/// What is wrong with the line, as text that follows its name: "holds ...".
pub fn fields(line: &str, count: Option<usize>) -> Result<Vec<Option<f64>>, String> {
    let line = line
        .trim_start_matches('\u{feff}')
        .trim_matches([' ', '\r', '\n']);
    let words = words(line)?;
    let numbers = words
        .iter()
        .enumerate()
        .map(|(i, word)| field(word).map_err(|()| not_a_number(word, i + 1)));
    let mut numbers: Vec<Option<f64>> = numbers.collect::<Result<_, _>>()?;
    if count.is_some_and(|count| numbers.len() == count + 1) && numbers.last() == Some(&None) {
        numbers.pop();
    }
    Ok(numbers)
}

/// Splits `line` at its separators.
fn words<'a>(line: &'a str) -> Result<Vec<&'a str>, String> {
    let advice = "write decimal points, not commas, and one kind of separator between numbers";
    let separator = match (line.contains(','), line.contains(';')) {
        (true, true) => return Err(format!("holds commas and semicolons: {advice}")),
        (true, false) => ',',
        (false, true) => ';',
        // Two tabs with nothing between, or one before the first number, leave a field empty.
        (false, false) if line.contains('\t') => {
            let split_blanks = |field: &'a str| match field.trim() {
                "" => vec![""],
                field => field.split_whitespace().collect(),
            };
            return Ok(line.split('\t').flat_map(split_blanks).collect());
        }
        (false, false) => return Ok(line.split_whitespace().collect()),
    };
    let words: Vec<&str> = line.split(separator).map(str::trim).collect();
    match words.iter().find(|word| word.contains(char::is_whitespace)) {
        Some(word) if !word.starts_with('"') => Err(format!(
            "holds {:?} between separators: {advice}",
            shortened(word)
        )),
        _ => Ok(words),
    }
}

/// Returns the number that `word` spells, or None if it is empty.
fn field(word: &str) -> Result<Option<f64>, ()> {
    let quoted = word.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
    let word = quoted.unwrap_or(word).trim();
    if word.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = word.parse() {
        return Ok(Some(number));
    }
    let lower = word.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-']);
    let starts = ["nan(", "1.#qnan", "1.#snan", "1.#ind", "***"];
    if ["na", "n/a", "null", "none", "missing"].contains(&unsigned)
        || starts.iter().any(|start| unsigned.starts_with(start))
    {
        return Ok(Some(f64::NAN));
    }
    if unsigned.starts_with("1.#inf") {
        let infinity = f64::INFINITY;
        return Ok(Some(if lower.starts_with('-') {
            -infinity
        } else {
            infinity
        }));
    }
    fortran(&lower).ok_or(()).map(Some)
}

/// Reads a number with an exponent that only Fortran writes: after d or q, or of three digits after a bare sign.
fn fortran(word: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
    let exact = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((mantissa, exponent)) = word.split_once(['d', 'q']) {
        let sound = digits(mantissa) && exact(exponent.trim_start_matches(['+', '-']));
        return format!("{mantissa}e{exponent}")
            .parse()
            .ok()
            .filter(|_| sound);
    }
    let sign = word.rfind(['+', '-']).filter(|at| *at > 0)?;
    let (mantissa, exponent) = word.split_at(sign);
    let sound = mantissa.contains('.') && digits(mantissa) && exponent.len() == 4;
    (sound && exact(&exponent[1..]) && !mantissa.contains('e'))
        .then(|| format!("{mantissa}e{exponent}").parse().ok())?
}

/// Returns the message that `word`, field number `place` of its line, is not a number.
fn not_a_number(word: &str, place: usize) -> String {
    format!(
        "holds {:?}, which is not a number (field {place})",
        shortened(word)
    )
}

/// Returns the start of `word`, as much as a message quotes.
fn shortened(word: &str) -> String {
    word.chars().take(QUOTED).collect()
}

/// Returns the lines of `text` that are not empty, each with its number from 1, without comments. A comment begins with
/// # at a line's start or after a blank or separator. Lines may end as on Unix, Windows or old Macintosh systems.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let ends = move |c: char| c == '\n' || c == '\r';
    let mut rest = Some(text);
    let pieces = std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(ends) else {
            rest = None;
            return Some(text);
        };
        let after = if text[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = Some(&text[end + after..]);
        Some(&text[..end])
    });
    let lines = pieces
        .enumerate()
        .map(|(i, line)| (i + 1, without_comment(line)));
    lines.filter(|(_, line)| !line.trim().trim_start_matches('\u{feff}').is_empty())
}

/// Returns `line` up to its comment.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| {
        let before = line[..*at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || [',', ';', '\u{feff}'].contains(&c))
    };
    let comment = line.match_indices('#').find(begins);
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Returns true if `firsts`, the first fields of a table's rows, only number the rows from 0 or 1.
#[must_use]
pub fn number_rows(firsts: &[f64]) -> bool {
    let counts = |from: usize| {
        let mut pairs = firsts.iter().zip(from..);
        pairs.all(|(x, i)| *x == i as f64)
    };
    firsts.len() > 2 && (counts(0) || counts(1))
}

/// Formats `x` for people: `digits` significant digits, without trailing zeros, and with an exponent below 1e-4 and
/// from 1e6 on.
#[must_use]
pub fn number(x: f64, digits: usize) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let digits = digits.max(1);
    // The exponent after rounding: 9.9996 becomes 10.00.
    let text = format!("{x:.*e}", digits - 1);
    let Some((mantissa, power)) = text.split_once('e') else {
        return text; // NaN, or infinite
    };
    let size: i32 = power.parse().unwrap_or_default();
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !PLAIN.contains(&size) {
        return format!("{}e{power}", without_zeros(mantissa));
    }
    let decimals = usize::try_from(digits as i32 - 1 - size).unwrap_or(0);
    without_zeros(&format!("{x:.decimals$}"))
}

/// Returns `bytes` in hexadecimal, two lower-case digits each, as digests are written.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<f64> {
        let fields = fields(line, None).expect(line);
        fields.into_iter().map(|x| x.expect("a number")).collect()
    }

    fn refused(line: &str) -> String {
        fields(line, None).expect_err(line)
    }

    #[test]
    fn numbers_are_read_however_they_are_separated_and_written() {
        for line in [
            "1 2.5 -3e2",
            " 1, 2.5 , -3E+2\r",
            "1;2.5;-3e2",
            "1\t2.5\t-300.",
            "\u{feff}1\t 2.5 -300",
        ] {
            assert_eq!(read(line), [1.0, 2.5, -300.0], "{line:?}");
        }
        assert_eq!(read("\"1.5\",\"2\""), [1.5, 2.0]);
        assert_eq!(read("1.5D+03 -2d-1 1.0Q+00"), [1500.0, -0.2, 1.0]);
        assert_eq!(
            read("6.69-139 -.5+100 1.25-003"),
            [6.69e-139, -0.5e100, 1.25e-3]
        );
        assert!(read("").is_empty());
        for word in [
            "nan", "NA", "-NaN", "n/a", "1.#IND", "-1.#QNAN", "nan(ind)", "null", "****",
        ] {
            assert!(read(word)[0].is_nan(), "{word}");
        }
        assert_eq!(
            read("inf -Infinity 1.#INF -1.#INF00"),
            [1.0, -1.0, 1.0, -1.0].map(|s| s * f64::INFINITY)
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for line in ["1,5;2,5", "1,5 2,5", "1,5\t2,5", "1 234,5", "1;2 3"] {
            assert!(
                refused(line).contains("decimal points, not commas"),
                "{line}"
            );
        }
        for line in [
            "1.2e",
            "2.5x",
            "month",
            "0x1F",
            "2020-01-01",
            "1.5-2",
            "12-003",
            "1d",
            "d5",
            "1.2.3",
            "--1",
            "1_000",
        ] {
            assert!(
                refused(line).contains("which is not a number (field 1)"),
                "{line}"
            );
        }
        assert!(refused("\"1,5\",\"2,5\"").contains("not a number"));
    }

    #[test]
    fn empty_fields_keep_their_places() {
        let [one, three] = [Some(1.0), Some(3.0)];
        assert_eq!(fields("1,,3", Some(3)), Ok(vec![one, None, three]));
        assert_eq!(fields("1\t\t3", Some(3)), Ok(vec![one, None, three]));
        assert_eq!(fields("\t1\t3", Some(3)), Ok(vec![None, one, three]));
        assert_eq!(fields("1; ;3;", Some(3)), Ok(vec![one, None, three]));
        assert_eq!(fields("1,3,", Some(2)), Ok(vec![one, three]));
        assert_eq!(fields("1,3,", Some(3)), Ok(vec![one, three, None]));
        assert_eq!(fields("1,3,", None), Ok(vec![one, three, None]));
    }

    #[test]
    fn lines_end_in_any_way_and_comments_are_left_out() {
        let found: Vec<_> = lines("# a\r1 # b\r\n\n2,# c\n1.#INF#\n3").collect();
        assert_eq!(found, [(2, "1 "), (4, "2,"), (5, "1.#INF#"), (6, "3")]);
    }

    #[test]
    fn numbers_are_shown_in_significant_digits() {
        for (x, shown) in [
            (0.0, "0"),
            (0.9252, "0.9252"),
            (3.194_93e-16, "3.195e-16"),
            (1e-7, "1e-7"),
            (101_325.4, "101325"),
            (1_013_250.0, "1.013e6"),
            (2.5e9, "2.5e9"),
            (1e300, "1e300"),
            (100.0, "100"),
            (-0.5, "-0.5"),
            (9.9999, "10"),
            (999_999.9, "1e6"),
            (0.000_099_999, "0.0001"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(x, 4), shown);
        }
    }

    #[test]
    fn a_column_that_counts_rows_is_known() {
        assert!(number_rows(&[0.0, 1.0, 2.0]) && number_rows(&[1.0, 2.0, 3.0]));
        assert!(!number_rows(&[1.0, 2.0]) && !number_rows(&[1.0, 3.0, 2.0]));
    }
}
