//! Observations y for a simulator, K numbers in a file: .npy, or text as `files::numbers` reads it.
//!
//! Text is read line by line, with any number of values on each. Comments begin with #. A file is refused, with line
//! and field, if a value is missing, NaN or infinite, if a line holds names, or if it can be read in two ways: if every
//! line is like `1,5`, which may be two numbers or one with a decimal comma, or if the first column numbers the lines,
//! as an index or the times of the observations would.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::{self, bounded, numbers};
use crate::io::npy;

/// The longest text that is read for observations, in bytes; longer ones must be .npy files.
pub(super) const LONGEST: u64 = 1 << 28;

/// Reads the numbers in `path`: an .npy vector if its name ends so, else text.
///
/// # Errors
/// `Error::Data` for a file that is missing, of another kind, or empty, or that holds something other than finite
/// numbers.
pub fn read(path: &Path) -> Result<Vec<f64>> {
    if !files::ends_in(path, "npy") {
        return in_text(&bounded::text(path, LONGEST)?).map_err(|why| Error::data(path, why));
    }
    let numbers = npy::vector(path)?;
    if let Some(place) = numbers.iter().position(|x| !x.is_finite()) {
        let (number, place) = (numbers[place], place + 1);
        let why = format!("holds {number} as number {place}");
        return Err(Error::data(path, why));
    }
    if numbers.is_empty() {
        return Err(Error::data(path, "holds no numbers"));
    }
    Ok(numbers)
}

/// Returns the finite numbers of `text`, or what is wrong with it.
fn in_text(text: &str) -> std::result::Result<Vec<f64>, String> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let (mut has_commas, mut decimal_commas) = (false, true);
    for (place, line) in numbers::lines(text) {
        let hint = match rows.is_empty() {
            true => {
                ": if it is a header or comment, begin it with #, or name the columns name and value"
            }
            false => " (a comment begins with #)",
        };
        let fields = numbers::fields(line, None).map_err(|why| {
            let hint = if why.contains("not a number") {
                hint
            } else {
                ""
            };
            format!("line {place} {why}{hint}")
        })?;
        let finite = |(i, field): (usize, Option<f64>)| match field {
            Some(x) if x.is_finite() => Ok(x),
            Some(x) => Err(format!("line {place} holds {x} as number {}", i + 1)),
            None => Err(format!("line {place} has nothing in field {}", i + 1)),
        };
        let is_like_one = is_like_decimal_comma(line.trim());
        has_commas |= is_like_one;
        // A spreadsheet writes 3 for 3,0.
        decimal_commas &= is_like_one || fields.len() == 1 && !line.contains('.');
        rows.push(
            fields
                .into_iter()
                .enumerate()
                .map(finite)
                .collect::<std::result::Result<_, _>>()?,
        );
    }
    if rows.is_empty() {
        return Err("holds no numbers".to_owned());
    }
    let firsts: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    if rows.iter().all(|row| row.len() > 1) && numbers::number_rows(&firsts) {
        let why = "has a first column that counts its lines: remove it if it is an index or times, which are not observations";
        return Err(why.to_owned());
    }
    if has_commas && decimal_commas {
        let why = "holds lines like 1,5, which may be two numbers or one with a decimal comma: write 1.5, or 1 5";
        return Err(why.to_owned());
    }
    Ok(rows.concat())
}

/// Returns true if `line` may be one number with a decimal comma, or with commas between thousands, as well as two
/// numbers.
fn is_like_decimal_comma(line: &str) -> bool {
    let Some((whole, rest)) = line.split_once(',') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fraction = rest.split(['e', 'E', '.']).next().unwrap_or_default();
    let point = !rest.contains('.') || fraction.len() == 3;
    digits(whole.trim_start_matches(['+', '-'])) && digits(fraction) && point
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, bytes: &[u8]) -> std::result::Result<Vec<f64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|e| {
            assert_eq!(e.exit_code(), 2);
            let line = e.to_string();
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
            line
        })
    }

    #[test]
    fn text_is_read_however_its_numbers_are_separated() {
        let text = b"# month, count\n1, 2.5\n3e-2;4 # the last\r\n\n-6\n";
        assert_eq!(of("y.csv", text), Ok(vec![1.0, 2.5, 0.03, 4.0, -6.0]));
        for text in [
            "\u{feff}1\r2.5D0\r-3",
            "\"1\";2.5;-3\r\n",
            "1\t2.5\n-3",
            "# \u{b0}C\n1\n2.5\n-3",
        ] {
            assert_eq!(
                of("y.txt", text.as_bytes()),
                Ok(vec![1.0, 2.5, -3.0]),
                "{text:?}"
            );
        }
        assert_eq!(of("y.txt", b"# 20 \xb0C\n1"), Ok(vec![1.0]));
    }

    #[test]
    fn what_is_no_vector_of_finite_numbers_is_refused_in_a_line() {
        for (text, words) in [
            (
                "month,count\n1,2\n",
                "line 1 holds \"month\", which is not a number (field 1): if it is a header",
            ),
            ("1 2\n1,2 3\n", "line 2 holds \"2 3\" between separators"),
            ("1,5;2,5\n", "line 1 holds commas and semicolons"),
            ("1,5\n2,25\n", "decimal comma"),
            ("0,278\n0,508\n3\n", "decimal comma"),
            ("-1,234.5\n2,345.0e3\n", "decimal comma"),
            ("1,2,3\n4,,6\n", "line 2 has nothing in field 2"),
            ("1,2,3\n4,5,\n", "line 2 has nothing in field 3"),
            ("1\t2\t3\n4\t\t6\n", "line 2 has nothing in field 2"),
            ("1\n2\nNA\n", "line 3 holds NaN as number 1"),
            ("1 2 -1.#INF 4", "line 1 holds -inf as number 3"),
            ("1e400", "line 1 holds inf"),
            (
                "0,2.5\n1,3.5\n2,4.5\n",
                "a first column that counts its lines",
            ),
            ("1.5\n2.5\n3.", ""),
        ] {
            match of("y.csv", text.as_bytes()) {
                Ok(numbers) => assert_eq!((numbers, words), (vec![1.5, 2.5, 3.0], "")),
                Err(line) => assert!(
                    line.contains(words) && !words.is_empty(),
                    "{text:?}: {line}"
                ),
            }
        }
        assert!(
            of("y.txt", b"# nothing\n")
                .unwrap_err()
                .contains("no numbers")
        );
        for bytes in [&b"\xff\xfe1\0"[..], b"\xfe\xff\x001", b"1\0\n\0"] {
            assert!(
                of("y.txt", bytes)
                    .unwrap_err()
                    .contains("cannot be read: it is not UTF-8 text but UTF-16")
            );
        }
        assert!(
            of("y.npy", b"1 2 3")
                .unwrap_err()
                .contains("not an .npy file")
        );
        let missing = read(Path::new("nowhere/y.txt")).unwrap_err().to_string();
        assert!(
            missing.starts_with("nowhere/y.txt: cannot be read"),
            "{missing}"
        );
        let device = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(device.contains("not a regular file"), "{device}");
    }

    #[test]
    fn npy_vectors_of_both_widths_and_any_orientation() {
        use npyz::WriterBuilder as _;
        fn stored<T: npyz::AutoSerialize + Copy>(shape: &[u64], numbers: &[T]) -> Vec<u8> {
            let mut bytes = Vec::new();
            let options = npyz::WriteOptions::new().default_dtype().shape(shape);
            let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
            writer.extend(numbers.iter().copied()).unwrap();
            writer.finish().unwrap();
            bytes
        }
        let wide = [0.1_f64, -2.0, 3e300];
        for shape in [&[3][..], &[1, 3], &[3, 1]] {
            assert_eq!(of("y.npy", &stored(shape, &wide)), Ok(wide.to_vec()));
        }
        assert_eq!(
            of("y.npy", &stored(&[2], &[0.5_f32, 2.0])),
            Ok(vec![0.5, 2.0])
        );
        assert!(
            of("y.npy", &stored(&[2, 2], &[1.0_f64; 4]))
                .unwrap_err()
                .contains("[2, 2]")
        );
        assert!(
            of("y.npy", &stored(&[2], &[1_i64, 2]))
                .unwrap_err()
                .contains("<i8")
        );
        let whole = stored(&[3], &wide);
        assert!(
            of("y.npy", &whole[..whole.len() - 1])
                .unwrap_err()
                .contains("cut short")
        );
    }
}
