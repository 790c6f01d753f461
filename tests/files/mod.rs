//! Writes small data files for the tests that read them, and judges how they are refused.

#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use eki_mpi::error::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

pub mod mat5;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// An IDX file of bytes.
pub fn idx_file(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, shape.len() as u8];
    out.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    out.extend(values);
    out
}

pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// The error is one line, names the file, says `says`, and ends the program with code 2.
pub fn assert_refused<T>(result: Result<T>, path: &Path, says: &str) {
    let error = result.err().expect("refused");
    let text = error.to_string();
    assert!(text.starts_with(&path.display().to_string()), "{text}");
    assert!(text.contains(says), "{text:?} should say {says:?}");
    assert!(!text.contains('\n'), "{text}");
    assert_eq!(error.exit_code(), 2, "{text}");
}
