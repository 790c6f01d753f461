//! Arrays in .npy files that users bring: of any rank, of real or whole numbers or bytes, in either order and byte order.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar, TypeStr};

use crate::error::{Error, Result};
use crate::io::npy::opened;

/// The types that are read, for messages.
const ALLOWED: &str = "float32, float64, integers, uint8 or bool";

/// The numbers of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Numbers of type uint8.
    Bytes(ArrayD<u8>),
    /// Numbers of any other integer type, or bool.
    Integers(ArrayD<i64>),
    /// Numbers of type float32 or float64.
    Reals(ArrayD<f64>),
}

/// Returns the shape of the array in `path`, of which no more than its header is read.
///
/// # Errors
/// `Error::Data` for a file that is missing, not an .npy file, of a type that is not read, or too short for its header.
pub fn shape(path: &Path) -> Result<Vec<usize>> {
    checked(path).map(|(_, shape, _)| shape)
}

/// Reads the array in `path`.
///
/// # Errors
/// As `shape`, or a number that is not finite.
pub fn read(path: &Path) -> Result<Numbers> {
    let (npy, shape, kind) = checked(path)?;
    let own = |n: i64| n;
    Ok(match (kind.type_char(), kind.size_field()) {
        (TypeChar::Uint, 1) => Numbers::Bytes(array(path, npy, &shape, |byte: u8| byte)?),
        (TypeChar::Bool, _) => Numbers::Integers(array(path, npy, &shape, |b: bool| i64::from(b))?),
        (TypeChar::Int, 1) => Numbers::Integers(array(path, npy, &shape, |n: i8| i64::from(n))?),
        (TypeChar::Int, 2) => Numbers::Integers(array(path, npy, &shape, |n: i16| i64::from(n))?),
        (TypeChar::Int, 4) => Numbers::Integers(array(path, npy, &shape, |n: i32| i64::from(n))?),
        (TypeChar::Int, _) => Numbers::Integers(array(path, npy, &shape, own)?),
        (TypeChar::Uint, 2) => Numbers::Integers(array(path, npy, &shape, |n: u16| i64::from(n))?),
        (TypeChar::Uint, 4) => Numbers::Integers(array(path, npy, &shape, |n: u32| i64::from(n))?),
        (TypeChar::Uint, _) => {
            let to_signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            Numbers::Integers(array(path, npy, &shape, to_signed)?)
        }
        (_, 4) => Numbers::Reals(finite(
            path,
            array(path, npy, &shape, |x: f32| f64::from(x))?,
        )?),
        _ => Numbers::Reals(finite(path, array(path, npy, &shape, |x: f64| x)?)?),
    })
}

/// Opens `path` and checks its header: returns the file, the array's shape and its type.
fn checked(path: &Path) -> Result<(NpyFile<BufReader<File>>, Vec<usize>, TypeStr)> {
    let (npy, stored) = opened(path)?;
    let refused = |found: &str| {
        let why = format!("has dtype {found}, but {ALLOWED} is needed");
        Error::data(path, why)
    };
    let DType::Plain(kind) = npy.dtype() else {
        return Err(refused(&npy.dtype().descr()));
    };
    let size = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Bool, _) => 1,
        (TypeChar::Int | TypeChar::Uint, size) => size,
        (TypeChar::Float, size @ (4 | 8)) => size,
        _ => return Err(refused(&kind.to_string())),
    };
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    let count = shape.iter().map(|&n| n as u128).product::<u128>();
    if count == 0 || shape.is_empty() {
        return Err(Error::data(
            path,
            format!("is empty: its shape is {shape:?}"),
        ));
    }
    // Nothing is allocated on the strength of a header alone.
    if count > u128::from(stored) / u128::from(size) {
        let why = format!("is cut short: {stored} bytes cannot hold an array of shape {shape:?}");
        return Err(Error::data(path, why));
    }
    Ok((npy, shape, kind))
}

/// Reads the numbers of `npy`, each turned into another by `turn`, as an array in row-major order.
fn array<S: Deserialize, N: Clone>(
    path: &Path,
    npy: NpyFile<BufReader<File>>,
    shape: &[usize],
    turn: impl Fn(S) -> N,
) -> Result<ArrayD<N>> {
    let order = npy.order();
    let unread = |e: &dyn std::fmt::Display| Error::data(path, format!("cannot be read: {e}"));
    let numbers = npy.data::<S>().map_err(|e| unread(&e))?;
    let numbers: Vec<N> = numbers
        .map(|number| number.map(&turn))
        .collect::<std::io::Result<_>>()
        .map_err(|e| unread(&e))?;
    let array = match order {
        Order::C => ArrayD::from_shape_vec(IxDyn(shape), numbers),
        Order::Fortran => ArrayD::from_shape_vec(IxDyn(shape).f(), numbers),
    };
    let array = array.map_err(|e| unread(&e))?;
    Ok(array.as_standard_layout().into_owned())
}

/// Refuses an array with a number that is not finite.
fn finite(path: &Path, array: ArrayD<f64>) -> Result<ArrayD<f64>> {
    let Some(place) = array.iter().position(|x| !x.is_finite()) else {
        return Ok(array);
    };
    let (number, mut index, mut rest) =
        (array.iter().nth(place).expect("found"), Vec::new(), place);
    for &size in array.shape().iter().rev() {
        index.insert(0, rest % size);
        rest /= size;
    }
    Err(Error::data(path, format!("holds {number} at {index:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder as _;

    /// Writes `numbers` of `shape` in `order` to a file and reads it back.
    fn back<T: npyz::AutoSerialize + Copy>(
        order: Order,
        shape: &[u64],
        numbers: &[T],
    ) -> std::result::Result<Numbers, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(numbers.iter().copied()).unwrap();
        writer.finish().unwrap();
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn arrays_of_either_order_and_all_types_are_read_row_by_row() {
        let wanted = ndarray::arr2(&[[1, 2, 3], [4, 5, 6]]).into_dyn();
        let (rows, columns) = ([1, 2, 3, 4, 5, 6], [1, 4, 2, 5, 3, 6]);
        for (order, numbers) in [(Order::C, rows), (Order::Fortran, columns)] {
            let shape = &[2, 3];
            let integers = Ok(Numbers::Integers(wanted.mapv(i64::from)));
            assert_eq!(back(order, shape, &numbers), integers);
            assert_eq!(back(order, shape, &numbers.map(|n| n as i8)), integers);
            assert_eq!(back(order, shape, &numbers.map(|n| n as u16)), integers);
            let reals = Ok(Numbers::Reals(wanted.mapv(f64::from)));
            assert_eq!(back(order, shape, &numbers.map(|n| n as f32)), reals);
            assert_eq!(back(order, shape, &numbers.map(f64::from)), reals);
            let bytes = Ok(Numbers::Bytes(wanted.mapv(|n| n as u8)));
            assert_eq!(back(order, shape, &numbers.map(|n| n as u8)), bytes);
        }
        let flags = ndarray::arr1(&[1_i64, 0]).into_dyn();
        assert_eq!(
            back(Order::C, &[2], &[true, false]),
            Ok(Numbers::Integers(flags))
        );
    }

    #[test]
    fn what_is_no_array_of_finite_numbers_is_refused_in_a_line() {
        let nan = back(Order::Fortran, &[2, 2], &[1.0, 2.0, f64::NAN, 4.0]).unwrap_err();
        assert!(nan.ends_with("x.npy: holds NaN at [0, 1]"), "{nan}");
        let empty = back::<f64>(Order::C, &[0, 2], &[]).unwrap_err();
        assert!(empty.contains("is empty: its shape is [0, 2]"), "{empty}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for (kind, words) in [
            ("<c16", "has dtype <c16, but float32"),
            ("<f2", "has dtype <f2"),
            ("<U3", "has dtype <U3"),
            ("<f8", "is cut short"),
        ] {
            let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (900,), }}");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16 + 1).to_le_bytes());
            bytes.extend(text.bytes().chain([b'\n']));
            std::fs::write(&path, bytes).unwrap();
            let line = shape(&path).unwrap_err().to_string();
            assert!(line.contains(words), "{kind}: {line}");
        }
    }
}
