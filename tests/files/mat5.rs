//! Writes small MATLAB level 5 files, as SVHN is published, for the tests that read them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// An element: type, size, data, padding to 8 bytes.
pub fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// An element of at most four bytes, in MATLAB's short form.
pub fn small(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend((data.len() as u16).to_le_bytes());
    out.extend(data);
    out.resize(8, 0);
    out
}

/// A matrix element of the given class, with values stored as `kind`.
pub fn matrix(name: &str, class: u8, sizes: &[i32], kind: u32, values: &[u8]) -> Vec<u8> {
    let mut content = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
    let sizes: Vec<u8> = sizes.iter().flat_map(|s| s.to_le_bytes()).collect();
    content.extend(element(5, &sizes));
    content.extend(small(1, name.as_bytes()));
    content.extend(if values.len() <= 4 && kind == 2 {
        small(2, values)
    } else {
        element(kind, values)
    });
    element(14, &content)
}

/// A compressed element around another; it isn't padded.
pub fn compressed(inner: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    packer.write_all(inner).unwrap();
    let packed = packer.finish().unwrap();
    let mut out = 15_u32.to_le_bytes().to_vec();
    out.extend((packed.len() as u32).to_le_bytes());
    out.extend(packed);
    out
}

/// A file of these elements.
pub fn file(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"MATLAB 5.0 MAT-file, written by a test".to_vec();
    out.resize(124, b' ');
    out.extend([0, 1, b'I', b'M']);
    out.extend(elements.concat());
    out
}

/// X in MATLAB's order, where the pixel at (row, column, channel) of image i is `pixel(i, channel, row, column)`.
pub fn x(n: usize, pixel: impl Fn(usize, usize, usize, usize) -> u8) -> Vec<u8> {
    let mut values = Vec::with_capacity(n * 3072);
    for i in 0..n {
        for channel in 0..3 {
            for column in 0..32 {
                for row in 0..32 {
                    values.push(pixel(i, channel, row, column));
                }
            }
        }
    }
    matrix("X", 9, &[32, 32, 3, n as i32], 2, &values)
}

/// y as SVHN has it: doubles stored as bytes, N x 1.
pub fn y(labels: &[u8]) -> Vec<u8> {
    matrix("y", 6, &[labels.len() as i32, 1], 2, labels)
}

/// Bytes that differ in every coordinate, so that no two orders look alike.
pub fn pattern(i: usize, channel: usize, row: usize, column: usize) -> u8 {
    ((i * 101 + channel * 67 + row * 7 + column * 3) % 256) as u8
}
