//! Arrays in .npy files: compared with the expected shape and type, read whole or a few rows at a time.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::files::bounded;
use crate::kernels::real::Real;

/// A reader of the rows of an .npy file of `rows x columns` numbers whose header has been checked.
pub struct Rows<T: Real> {
    path: PathBuf,
    rows: usize,
    columns: usize,
    next: usize,
    numbers: npyz::NpyReader<T, BufReader<File>>,
}

impl<T: Real> Rows<T> {
    /// Opens `path`, which must hold rows of `columns` numbers: `rows` of them, or any number of rows if None. A single
    /// row may be stored as a vector.
    ///
    /// # Errors
    /// `Error::Data` for a file that is missing, not an .npy file, of another shape, order or type, or too short for
    /// its header.
    pub fn open(path: &Path, rows: Option<usize>, columns: usize) -> Result<Self> {
        let (npy, stored) = opened(path)?;
        let rows = matching_rows(npy.shape(), rows, columns).map_err(|e| Error::data(path, e))?;
        if npy.order() != npyz::Order::C {
            return Err(Error::data(
                path,
                "is in Fortran order: save it row-major, as numpy.ascontiguousarray gives",
            ));
        }
        let dtype = npy.dtype().descr();
        let (mark, want) = if T::NAME == "single" {
            ("f4", "float32")
        } else {
            ("f8", "float64")
        };
        let wrong = || {
            let precision = T::NAME;
            Error::data(
                path,
                format!("has dtype {dtype}, but run.precision = \"{precision}\" needs {want}"),
            )
        };
        if !dtype.contains(mark) {
            return Err(wrong());
        }
        // Nothing is allocated on the strength of a header alone.
        if u128::from(stored) < rows as u128 * columns as u128 * size_of::<T>() as u128 {
            return Err(Error::data(
                path,
                format!("is cut short: {stored} bytes cannot hold {rows} x {columns} numbers"),
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            rows,
            columns,
            next: 0,
            numbers: npy.data::<T>().map_err(|_| wrong())?,
        })
    }

    /// Returns the number of rows in the file.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Skips the next `count` rows, as far as there are so many.
    ///
    /// # Errors
    /// `Error::Data` for a file that cannot be read.
    pub fn skip(&mut self, count: usize) -> Result<()> {
        self.next = (self.next + count).min(self.rows);
        let place = self.next as u64 * self.columns as u64;
        self.numbers
            .seek_to(place)
            .map_err(|e| Error::data(&self.path, format!("cannot be read: {e}")))
    }

    /// Reads the next rows, at most `count` of them, row-major; an empty vector after the last.
    ///
    /// # Errors
    /// `Error::Data` for a file that cannot be read, or a number that is not finite.
    pub fn read(&mut self, count: usize) -> Result<Vec<T>> {
        let first = self.next;
        let numbers = self.read_any(count)?;
        let wrong = numbers.iter().position(|number| !number.is_finite());
        wrong.map_or(Ok(()), |place| {
            let (row, column) = (first + place / self.columns, place % self.columns);
            let number = numbers[place];
            let why = format!("holds {number} at member {row}, parameter {column}");
            Err(Error::data(&self.path, why))
        })?;
        Ok(numbers)
    }

    /// Hands the columns `own` of the rows `wanted` of all `columns` to `each`.
    fn columns(
        mut self,
        columns: usize,
        (wanted, own): (impl Iterator<Item = usize>, Range<usize>),
        mut each: impl FnMut(usize, &[f64]) -> Result<()>,
    ) -> Result<()> {
        let mut row = Vec::with_capacity(own.len());
        for k in wanted {
            let place = k as u64 * columns as u64 + own.start as u64;
            let unread =
                |e: std::io::Error| Error::data(&self.path, format!("cannot be read: {e}"));
            self.numbers.seek_to(place).map_err(unread)?;
            row.clear();
            for number in self.numbers.by_ref().take(own.len()) {
                row.push(number.map_err(unread)?.as_f64());
            }
            if let Some(p) = row.iter().position(|x| !x.is_finite()) {
                let (k, number, p) = (k + 1, row[p], own.start + p + 1);
                let why = format!("holds {number} in row {k}, column {p}");
                return Err(Error::data(&self.path, why));
            }
            each(k, &row)?;
        }
        Ok(())
    }

    /// Reads as `read` does, but allows numbers that are not finite.
    ///
    /// # Errors
    /// `Error::Data` for a file that cannot be read.
    pub fn read_any(&mut self, count: usize) -> Result<Vec<T>> {
        let count = count.min(self.rows - self.next);
        let mut numbers = Vec::with_capacity(count * self.columns);
        for number in self.numbers.by_ref().take(count * self.columns) {
            numbers.push(number.map_err(|e| {
                let what = match e.kind() {
                    std::io::ErrorKind::UnexpectedEof => "is cut short".to_owned(),
                    _ => format!("cannot be read: {e}"),
                };
                Error::data(&self.path, what)
            })?);
        }
        self.next += count;
        Ok(numbers)
    }
}

/// Returns the shape of the array in the .npy file `path`.
///
/// # Errors
/// `Error::Data` for a file that is missing or not an .npy file.
pub fn shape(path: &Path) -> Result<Vec<u64>> {
    Ok(opened(path)?.0.shape().to_vec())
}

/// Reads of an .npy file of `rows` x `columns` finite numbers, float32 or float64, row-major, the columns `own` of the rows `wanted`,
/// and hands each row with its number to `each`.
///
/// # Errors
/// `Error::Data` for a file of another shape, order or type, one that cannot be read, or a number that is not finite; those of `each`.
pub fn read_columns(
    path: &Path,
    (rows, columns): (usize, usize),
    (wanted, own): (impl Iterator<Item = usize>, Range<usize>),
    each: impl FnMut(usize, &[f64]) -> Result<()>,
) -> Result<()> {
    let single = opened(path)?.0.dtype().descr().contains("f4");
    match single {
        true => Rows::<f32>::open(path, Some(rows), columns)?.columns(columns, (wanted, own), each),
        false => {
            Rows::<f64>::open(path, Some(rows), columns)?.columns(columns, (wanted, own), each)
        }
    }
}

/// Returns the header of an .npy file of `rows` x `columns` numbers of type float64, row-major, which follow it at once.
#[must_use]
pub fn header(rows: usize, columns: usize) -> Vec<u8> {
    let text =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Magic, version and length take 10 bytes; the numbers begin at a multiple of 64.
    let whole = (10 + text.len() + 1).next_multiple_of(64);
    let length = u16::try_from(whole - 10).expect("two numbers are short");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.bytes());
    bytes.resize(whole - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Opens the .npy file `path` and reads its header; returns it with its length in bytes.
pub(super) fn opened(path: &Path) -> Result<(npyz::NpyFile<BufReader<File>>, u64)> {
    let unread = |e: std::io::Error| Error::data(path, format!("cannot be read: {e}"));
    let (mut file, stored) = bounded::regular(path).map_err(unread)?;
    header_fits(&mut file, stored)
        .map_err(|e| Error::data(path, format!("not an .npy file: {e}")))?;
    let npy = npyz::NpyFile::new(BufReader::new(file))
        .map_err(|e| Error::data(path, format!("not an .npy file: {e}")))?;
    Ok((npy, stored))
}

/// Reads the `rows` x `columns` finite numbers of an .npy file, float32 or float64, row-major.
///
/// # Errors
/// `Error::Data` for a file of another shape, order or type, one that cannot be read, or a number that is not finite.
pub fn read_either(path: &Path, rows: usize, columns: usize) -> Result<Vec<f64>> {
    let single = opened(path)?.0.dtype().descr().contains("f4");
    if single {
        let numbers = read::<f32>(path, rows, columns)?;
        return Ok(numbers.into_iter().map(f64::from).collect());
    }
    read::<f64>(path, rows, columns)
}

/// The matrix in the `bytes` of an .npy file, float32 or float64.
///
/// # Errors
/// What is wrong with it, in words that follow "it".
pub fn matrix(bytes: &[u8]) -> std::result::Result<Array2<f64>, String> {
    let stored = bytes.len() as u64;
    let mut source = Cursor::new(bytes);
    let not_one = |e: std::io::Error| format!("is no .npy file: {e}");
    header_fits(&mut source, stored).map_err(not_one)?;
    let npy = npyz::NpyFile::new(source).map_err(not_one)?;
    let (shape, descr, order) = (npy.shape().to_vec(), npy.dtype().descr(), npy.order());
    let &[rows, columns] = &shape[..] else {
        return Err(format!("has shape {shape:?}, but must be a matrix"));
    };
    let single = descr.contains("f4");
    let size = if single { 4 } else { 8 };
    if u128::from(rows) * u128::from(columns) * size > u128::from(stored) {
        return Err(format!(
            "is cut short: {stored} bytes cannot hold {rows} x {columns} numbers"
        ));
    }
    let wrong = |_| format!("has dtype {descr}, but float64 or float32 is needed");
    let numbers: Vec<f64> = if single {
        let numbers: Vec<f32> = npy.into_vec().map_err(wrong)?;
        numbers.into_iter().map(f64::from).collect()
    } else {
        npy.into_vec().map_err(wrong)?
    };
    let (rows, columns) = (rows as usize, columns as usize);
    let matrix = match order {
        npyz::Order::C => Array2::from_shape_vec((rows, columns), numbers),
        npyz::Order::Fortran => {
            Array2::from_shape_vec((columns, rows), numbers).map(Array2::reversed_axes)
        }
    };
    matrix.map_err(|e| format!("cannot be read: {e}"))
}

/// Reads the numbers of an .npy file that holds a vector, float32 or float64, in one dimension or with a second one of
/// length 1.
///
/// # Errors
/// `Error::Data` for a file that is missing, not an .npy file, not a vector, of another type, or too short for its
/// header.
pub fn vector(path: &Path) -> Result<Vec<f64>> {
    let (npy, stored) = opened(path)?;
    let shape = npy.shape().to_vec();
    let count = match shape[..] {
        [count] | [1, count] | [count, 1] => count,
        _ => {
            return Err(Error::data(
                path,
                format!("has shape {shape:?}, but must be a vector"),
            ));
        }
    };
    let dtype = npy.dtype().descr();
    let single = dtype.contains("f4");
    let wrong = || {
        Error::data(
            path,
            format!("has dtype {dtype}, but float64 or float32 is needed"),
        )
    };
    let size = if single { 4 } else { 8 };
    if u128::from(stored) < u128::from(count) * size {
        let why = format!("is cut short: {stored} bytes cannot hold {count} numbers");
        return Err(Error::data(path, why));
    }
    let unread = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::data(path, "is cut short"),
        _ => Error::data(path, format!("cannot be read: {e}")),
    };
    if single {
        let numbers = npy.data::<f32>().map_err(|_| wrong())?;
        numbers
            .map(|x| x.map(f64::from))
            .collect::<std::io::Result<_>>()
            .map_err(unread)
    } else {
        let numbers = npy.data::<f64>().map_err(|_| wrong())?;
        numbers.collect::<std::io::Result<_>>().map_err(unread)
    }
}

/// Refuses a header longer than the file, for which the reader would allocate up to 4 GiB. Leaves `file` at its start.
fn header_fits(file: &mut (impl Read + Seek), stored: u64) -> std::io::Result<()> {
    let mut head = [0; 12];
    let found = file.by_ref().take(12).read(&mut head)?;
    let length = match head[6] {
        _ if found < 12 => u64::MAX,
        1 => 10 + u64::from(u16::from_le_bytes([head[8], head[9]])),
        _ => 12 + u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]])),
    };
    if length > stored {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    file.seek(SeekFrom::Start(0)).map(drop)
}

/// Returns the number of rows of an array of `shape` if it has `rows` (or any number of) rows of `columns` numbers.
fn matching_rows(
    shape: &[u64],
    rows: Option<usize>,
    columns: usize,
) -> std::result::Result<usize, String> {
    let found = match shape {
        [n, width] if *width == columns as u64 => Some(*n as usize),
        [width] if *width == columns as u64 => Some(1),
        _ => None,
    };
    found
        .filter(|found| rows.is_none_or(|rows| rows == *found))
        .ok_or_else(|| {
            let wanted = match rows {
                Some(1) => format!("one set of parameters is 1 x {columns}"),
                Some(rows) => format!("J x P is {rows} x {columns}"),
                None => format!("J x P is J x {columns}"),
            };
            format!("has shape {shape:?}, but {wanted}")
        })
}

/// Reads the `rows` x `columns` finite numbers of an .npy file of type `T`, row-major.
///
/// # Errors
/// `Error::Data` for a file of another shape, order or type, one that cannot be read, or a number that is not finite.
pub fn read<T: Real>(path: &Path, rows: usize, columns: usize) -> Result<Vec<T>> {
    Rows::open(path, Some(rows), columns)?.read(rows)
}
