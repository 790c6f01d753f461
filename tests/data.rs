//! The readers of data sets: what sound files give, and the full sets where they are.

use std::fs;
use std::path::{Path, PathBuf};

use eki_mpi::data::catalogue::{self, data_dir, find, load, load_series};
use eki_mpi::data::{Inputs, Samples, Targets, checksum, digits, idx, series, svhn};

use files::{assert_refused, gzip, idx_file, mat5, put};

mod files;

fn labels(samples: &Samples) -> &[u8] {
    match &samples.targets {
        Targets::Classes { labels, .. } => labels,
        Targets::Values(_) => panic!("classes expected"),
    }
}

fn pixels(samples: &Samples) -> &ndarray::Array2<u8> {
    match &samples.inputs {
        Inputs::Bytes(bytes) => bytes,
        Inputs::Reals(_) => panic!("bytes expected"),
    }
}

fn counts(samples: &Samples) -> Vec<usize> {
    let mut counts = vec![0; 10];
    labels(samples)
        .iter()
        .for_each(|&l| counts[usize::from(l)] += 1);
    counts
}

#[test]
fn idx_is_read_packed_or_not_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = idx_file(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let a = put(folder.path(), "plain.gz", &plain);
    let b = put(folder.path(), "packed", &gzip(&plain));
    let read = idx::read(&a).unwrap();
    assert_eq!(read.shape, [2, 2, 3]);
    assert_eq!(read.values[11], 12);
    assert_eq!(read, idx::read(&b).unwrap());
}

#[test]
fn the_digits_are_whole_and_their_split_is_fixed() {
    let data = digits::load().unwrap();
    assert_eq!((data.train.len(), data.test.len()), (1437, 360));
    assert_eq!((data.train.features(), data.train.outputs()), (64, 10));
    let all: Vec<usize> = counts(&data.train)
        .iter()
        .zip(counts(&data.test))
        .map(|(a, b)| a + b)
        .collect();
    assert_eq!(all, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(pixels(&data.train).iter().max(), Some(&16));
    // The split is part of every reported score: these bits must never change.
    let mut bytes = pixels(&data.train).iter().copied().collect::<Vec<u8>>();
    bytes.extend(labels(&data.train));
    assert_eq!(checksum::sha256(&bytes[..]).unwrap(), DIGITS_TRAIN);
    let loaded = load("digits", Path::new("/nowhere")).unwrap();
    assert_eq!(loaded.dataset, data);
    assert_eq!((loaded.shape, loaded.largest), ((1, 8, 8), digits::LARGEST));
}

const DIGITS_TRAIN: &str = "2ffcbc4e982b21a8a22e3f678d63080fbcd6b8ff32487813f71380d2860336b5";

/// A cut-down MNIST in its own layout: three training images whose pixel p of image i is (i + p) mod 251, one test image.
fn small_mnist(folder: &Path) {
    let images = |n: usize| -> Vec<u8> {
        let values: Vec<u8> = (0..n * 784)
            .map(|k| ((k / 784 + k % 784) % 251) as u8)
            .collect();
        idx_file(&[n as u32, 28, 28], &values)
    };
    put(
        folder,
        "mnist/train-images-idx3-ubyte.gz",
        &gzip(&images(3)),
    );
    put(
        folder,
        "mnist/train-labels-idx1-ubyte",
        &idx_file(&[3], &[5, 0, 4]),
    );
    put(folder, "mnist/t10k-images-idx3-ubyte", &images(1));
    put(
        folder,
        "mnist/t10k-labels-idx1-ubyte.gz",
        &gzip(&idx_file(&[1], &[7])),
    );
}

#[test]
fn a_set_is_loaded_from_its_folder_under_packed_or_plain_names() {
    let folder = tempfile::tempdir().unwrap();
    small_mnist(folder.path());
    let grey = load("mnist", folder.path()).unwrap();
    assert_eq!(grey.shape, (1, 28, 28));
    assert_eq!((grey.dataset.train.len(), grey.dataset.test.len()), (3, 1));
    assert!(grey.description.contains("3 training and 1 test samples"));
    let colour = load("mnist-32", folder.path()).unwrap();
    assert_eq!(colour.shape, (3, 32, 32));
    let (from, to) = (pixels(&grey.dataset.train), pixels(&colour.dataset.train));
    assert_eq!(to.dim(), (3, 3072));
    for ((i, k), &pixel) in to.indexed_iter() {
        let (row, column) = (k % 1024 / 32, k % 32);
        let inside = (2..30).contains(&row) && (2..30).contains(&column);
        let expected = if inside {
            from[[i, (row - 2) * 28 + column - 2]]
        } else {
            0
        };
        assert_eq!(pixel, expected, "image {i}, value {k}");
    }
}

#[test]
fn a_missing_file_is_named_with_the_command_that_brings_it() {
    let folder = tempfile::tempdir().unwrap();
    small_mnist(folder.path());
    let path = folder.path().join("mnist/t10k-images-idx3-ubyte");
    fs::remove_file(&path).unwrap();
    let named = folder.path().join("mnist/t10k-images-idx3-ubyte.gz");
    let command = format!(
        "`eki-mpi data fetch mnist --data-dir {}`",
        folder.path().display()
    );
    assert_refused(load("mnist", folder.path()), &named, &command);
    let wrong = put(
        folder.path(),
        "mnist/t10k-images-idx3-ubyte",
        &idx_file(&[1, 2, 2], &[1, 2, 3, 4]),
    );
    assert_refused(
        load("mnist", folder.path()),
        &wrong,
        "[2, 2] found, [28, 28] expected",
    );
    let spaced = find("svhn").unwrap().fetch_command(Path::new("/a b/it's"));
    assert_eq!(spaced, r"eki-mpi data fetch svhn --data-dir '/a b/it'\''s'");
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let text = find("fashion-mnits").unwrap_err().to_string();
    assert!(
        text.contains("did you mean fashion-mnist?") && text.contains("sunspots"),
        "{text}"
    );
    let text = load("sunspots", Path::new(".")).unwrap_err().to_string();
    assert!(
        text.contains("sunspots") && text.contains("series"),
        "{text}"
    );
    let text = load_series("mnist", Path::new("."))
        .unwrap_err()
        .to_string();
    assert!(text.contains("melbourne, sunspots"), "{text}");
}

#[test]
fn a_series_is_read_with_or_without_quotes() {
    let path = Path::new("s.csv");
    let plain = series::parse(path, b"date,value\n1981-01-01,20.7\n1981-01-02,-17.9\n\n").unwrap();
    assert_eq!(plain, [20.7, -17.9]);
    let quoted = series::parse(
        path,
        b"\"Date\",\"Temp\"\r\n\"1981-01-01\",20.7\r\n\"1981-01-02\",\"-17.9\"",
    )
    .unwrap();
    assert_eq!(plain, quoted);
    let (unit, scaling) = series::to_unit(&[3.0, 1.0, 2.0]);
    assert_eq!(unit, [1.0, 0.0, 0.5]);
    assert_eq!((scaling.shift, scaling.scale), (1.0, 2.0));
    assert_eq!(series::to_unit(&[4.0, 4.0]).0, [0.0, 0.0]);
}

#[test]
fn svhn_comes_out_by_channel_row_and_column_with_ten_as_zero() {
    let folder = tempfile::tempdir().unwrap();
    let labels_given = [10, 1, 9, 10, 2, 3];
    let other = mat5::matrix("meta", 9, &[1, 5], 2, &[1, 2, 3, 4, 5]);
    let doubles: Vec<u8> = labels_given
        .iter()
        .flat_map(|&l| f64::from(l).to_le_bytes())
        .collect();
    let plain_y = mat5::matrix("y", 6, &[6, 1], 9, &doubles);
    let uint8_y = mat5::matrix("y", 9, &[6, 1], 2, &labels_given);
    let variants = [
        mat5::file(&[
            mat5::compressed(&mat5::x(6, mat5::pattern)),
            mat5::compressed(&mat5::y(&labels_given)),
        ]),
        mat5::file(&[plain_y, other.clone(), mat5::x(6, mat5::pattern)]),
        mat5::file(&[
            mat5::compressed(&other),
            mat5::compressed(&uint8_y),
            mat5::compressed(&mat5::x(6, mat5::pattern)),
        ]),
    ];
    for bytes in variants {
        let path = put(folder.path(), "x.mat", &bytes);
        let samples = svhn::read(&path).unwrap();
        assert_eq!(labels(&samples), [0, 1, 9, 0, 2, 3]);
        for ((i, k), &pixel) in pixels(&samples).indexed_iter() {
            assert_eq!(pixel, mat5::pattern(i, k / 1024, k % 1024 / 32, k % 32));
        }
    }
    let one = mat5::file(&[
        mat5::matrix("X", 9, &[32, 32, 3], 2, &[7; 3072]),
        mat5::matrix("y", 6, &[1, 1], 2, &[4]),
    ]);
    let samples = svhn::read(&put(folder.path(), "one.mat", &one)).unwrap();
    assert_eq!((samples.len(), labels(&samples)), (1, &[4][..]));
    put(folder.path(), "svhn/train_32x32.mat", &one);
    put(folder.path(), "svhn/test_32x32.mat", &one);
    let loaded = load("svhn", folder.path()).unwrap();
    assert_eq!((loaded.dataset.test.len(), loaded.shape), (1, (3, 32, 32)));
}

/// The data folder of the environment, if it holds the set; else says why the test does nothing.
fn full_set(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("EKI_DATA_DIR").map(|_| data_dir(None));
    let source = find(name).unwrap();
    let there = folder.filter(|f| {
        source
            .files
            .iter()
            .all(|file| source.locate(file, f).is_some())
    });
    if there.is_none() {
        eprintln!("skipped: EKI_DATA_DIR is not set or does not hold {name}");
    }
    there
}

fn mean_pixel(samples: &Samples) -> f64 {
    let pixels = pixels(samples);
    pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64
}

#[test]
fn the_full_mnist_is_as_published() {
    let Some(folder) = full_set("mnist") else {
        return;
    };
    let data = load("mnist", &folder).unwrap().dataset;
    assert_eq!(
        counts(&data.train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(
        counts(&data.test),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    assert_eq!(labels(&data.train)[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(labels(&data.test)[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    assert!((mean_pixel(&data.train) - 33.318_421).abs() < 1e-6);
    assert!((mean_pixel(&data.test) - 33.791_224).abs() < 1e-6);
}

#[test]
fn the_full_fashion_mnist_is_as_published() {
    let Some(folder) = full_set("fashion-mnist") else {
        return;
    };
    let data = load("fashion-mnist", &folder).unwrap().dataset;
    assert_eq!(counts(&data.train), [6000; 10]);
    assert_eq!(counts(&data.test), [1000; 10]);
}

#[test]
fn the_full_svhn_is_as_published() {
    let Some(folder) = full_set("svhn") else {
        return;
    };
    let data = load("svhn", &folder).unwrap().dataset;
    assert_eq!((data.train.len(), data.test.len()), (73_257, 26_032));
}

#[test]
fn the_series_are_as_published() {
    if let Some(folder) = full_set("melbourne") {
        let values = load_series("melbourne", &folder).unwrap();
        assert_eq!(values.len(), 3650);
        assert_eq!(values[..6], [20.7, 17.9, 18.8, 14.6, 15.8, 15.8]);
        assert!((values.iter().sum::<f64>() / 3650.0 - 11.1778).abs() < 1e-4);
    }
    if let Some(folder) = full_set("sunspots") {
        let values = load_series("sunspots", &folder).unwrap();
        assert_eq!(values.len(), 2820);
        assert_eq!(values[2817..], [55.8, 33.3, 33.4]);
        assert_eq!(
            values.iter().copied().fold(0.0, f64::max),
            find("sunspots").unwrap().largest
        );
    }
}

#[test]
fn every_file_of_the_environments_folder_has_a_known_checksum() {
    for source in &catalogue::SOURCES {
        if let Some(folder) = full_set(source.name) {
            for file in source.files {
                checksum::verify(&source.locate(file, &folder).unwrap(), file).unwrap();
            }
        }
    }
}
