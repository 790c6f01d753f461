//! The observations y that a simulator should reproduce, K numbers in a file: .npy, or text.

use std::path::Path;

use crate::error::{Error, Result};
use crate::npy;

/// The longest text taken for observations, bytes: beyond it .npy is the format.
const LONGEST: u64 = 1 << 28;

/// The numbers in `path`: an .npy vector by its ending; else text, whose numbers have blanks, commas or line ends
/// between them, and whose lines may end in a comment after #.
///
/// # Errors
/// A file that is missing, holds none, or holds something that is no finite number.
pub fn read(path: &Path) -> Result<Vec<f64>> {
    let numbers = match path.extension() {
        Some(ending) if ending == "npy" => npy::vector(path)?,
        _ => text(path)?,
    };
    if let Some(place) = numbers.iter().position(|x| !x.is_finite()) {
        let (number, place) = (numbers[place], place + 1);
        return Err(Error::data(
            path,
            format!("holds {number} as number {place}"),
        ));
    }
    if numbers.is_empty() {
        return Err(Error::data(path, "holds no numbers"));
    }
    Ok(numbers)
}

fn text(path: &Path) -> Result<Vec<f64>> {
    let unread = |e: std::io::Error| Error::data(path, format!("cannot be read: {e}"));
    if std::fs::metadata(path).map_err(unread)?.len() > LONGEST {
        return Err(Error::data(
            path,
            "is too long for text: store it as an .npy vector",
        ));
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let mut numbers = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let data = line.split('#').next().unwrap_or_default();
        let words = data.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
        for word in words.filter(|word| !word.is_empty()) {
            numbers.push(word.parse().map_err(|_| {
                let word: String = word.chars().take(60).collect();
                let why = format!(
                    "line {}: {word:?} is no number (a comment begins with #)",
                    i + 1
                );
                Error::data(path, why)
            })?);
        }
    }
    Ok(numbers)
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
        let text = b"# month, count\n1, 2.5\n3e-2;4\t5 # the last\r\n\n-6\n";
        assert_eq!(of("y.csv", text), Ok(vec![1.0, 2.5, 0.03, 4.0, 5.0, -6.0]));
    }

    #[test]
    fn what_is_no_vector_of_finite_numbers_is_refused_in_a_line() {
        assert!(
            of("y.csv", b"month,count\n1,2\n")
                .unwrap_err()
                .contains("line 1: \"month\"")
        );
        assert!(
            of("y.txt", b"1 2 nan 4")
                .unwrap_err()
                .contains("NaN as number 3")
        );
        assert!(
            of("y.txt", b"# nothing\n")
                .unwrap_err()
                .contains("no numbers")
        );
        assert!(
            of("y.txt", b"\xff\xfe1")
                .unwrap_err()
                .contains("cannot be read")
        );
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
