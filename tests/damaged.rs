//! Damaged data files: each kind is refused with its reason, and none, however mutated, panics or takes memory it
//! doesn't fill.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use eki_mpi::data::{idx, series, svhn};
use files::{assert_refused, gzip, idx_file, mat5, put};
use flate2::Compression;
use flate2::write::GzEncoder;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;

mod files;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is counted for the whole process, so the tests of this file go one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most bytes in use at once while `read` runs, beyond those in use before.
fn peak(read: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    read();
    MEMORY.peak_usage().saturating_sub(before)
}

/// What unpackers and buffers take whatever they read, and the harness beside them.
const FIXED: usize = 1 << 19;

/// Sixteen times the file and what readers always take.
fn allowed(file: &[u8]) -> usize {
    16 * file.len() + FIXED
}

/// `sound` with some bytes overwritten, then cut or lengthened.
fn mutated(sound: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = sound.len();
    let edits = prop::collection::vec((0..n, any::<u8>()), 0..6);
    // Headers are where a mutation tells most.
    let head = prop::collection::vec((0..n.min(200), any::<u8>()), 0..3);
    let end = prop_oneof![3 => Just(n), 1 => 0..n, 1 => n..n + 40];
    (edits, head, end).prop_map(move |(edits, head, end)| {
        let mut bytes = sound.clone();
        for (at, byte) in edits.into_iter().chain(head) {
            bytes[at] = byte;
        }
        bytes.resize(end, 0x5a);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_mutation_of_idx_panics_or_takes_memory_it_does_not_fill(
        bytes in prop_oneof![
            mutated(idx_file(&[3, 4, 4], &[7; 48])),
            mutated(gzip(&idx_file(&[3, 20, 20], &(0..1200).map(|k| (k * k % 251) as u8).collect::<Vec<_>>()))),
            prop::collection::vec(any::<u8>(), 0..300),
            // A sound head with any sizes.
            (any::<[u32; 3]>()).prop_map(|sizes| idx_file(&sizes, &[1; 100])),
            (any::<[u32; 3]>()).prop_map(|sizes| gzip(&idx_file(&sizes, &[1; 100]))),
        ]
    ) {
        let _alone = alone();
        let taken = peak(|| drop(idx::decode(Path::new("f"), &bytes[..], bytes.len() as u64)));
        prop_assert!(taken <= allowed(&bytes), "{taken} bytes taken for {}", bytes.len());
    }

    #[test]
    fn no_mutation_of_svhn_panics_or_takes_memory_it_does_not_fill(
        bytes in prop_oneof![
            mutated(mat5::file(&[mat5::x(2, mat5::pattern), mat5::y(&[1, 10])])),
            mutated(mat5::file(&[mat5::y(&[3]), mat5::compressed(&mat5::x(1, mat5::pattern))])),
            // Damage inside a compressed element, whose checksum is right.
            mutated(mat5::x(1, mat5::pattern))
                .prop_map(|x| mat5::file(&[mat5::y(&[3]), mat5::compressed(&x)])),
            mutated(mat5::y(&[1, 2, 3, 4, 5, 6]))
                .prop_map(|y| mat5::file(&[mat5::compressed(&y), mat5::x(1, mat5::pattern)])),
        ]
    ) {
        let _alone = alone();
        let taken = peak(|| drop(svhn::decode(Path::new("f"), &bytes[..], bytes.len() as u64)));
        prop_assert!(taken <= allowed(&bytes), "{taken} bytes taken for {}", bytes.len());
    }

    #[test]
    fn no_mutation_of_a_series_panics_or_takes_memory_it_does_not_fill(
        bytes in prop_oneof![
            mutated(b"\"Date\",\"Temp\"\r\n\"1981-01-01\",20.7\r\n\"1981-01-02\",-17.9\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..300),
        ]
    ) {
        let _alone = alone();
        let taken = peak(|| {
            if let Ok(values) = series::parse(Path::new("f"), &bytes) {
                let (unit, _) = series::to_unit(&values);
                assert!(unit.iter().all(|v| v.is_nan() || (0.0..=1.0).contains(v)));
            }
        });
        prop_assert!(taken <= allowed(&bytes), "{taken} bytes taken for {}", bytes.len());
    }
}

/// 48 MiB of zeros after `head`, packed: some 48 KiB.
fn bomb(head: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(head).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..48).for_each(|_| packer.write_all(&zeros).unwrap());
    packer.finish().unwrap()
}

#[test]
fn a_gzip_bomb_takes_no_more_than_its_header_promises() {
    let _alone = alone();
    let promised = 1 << 20;
    let bytes = bomb(&idx_file(&[promised, 1], &[]));
    let taken = peak(|| {
        let read = idx::decode(Path::new("f"), &bytes[..], bytes.len() as u64);
        assert_refused(read, Path::new("f"), "more bytes follow");
    });
    assert!(taken <= 2 * promised as usize + FIXED, "{taken}");
    // What 64 KiB of gzip could unpack to at best, but doesn't.
    let mut state = 1_u32;
    let random: Vec<u8> = (0..65_536)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect();
    let bytes = gzip(&idx_file(&[50_000_000, 1], &random));
    let taken = peak(|| {
        let read = idx::decode(Path::new("f"), &bytes[..], bytes.len() as u64);
        assert_refused(read, Path::new("f"), "of values found, 50000000 expected");
    });
    assert!(
        taken <= allowed(&bytes),
        "{taken} taken for {}",
        bytes.len()
    );
}

#[test]
fn each_kind_of_damaged_idx_is_refused_with_its_reason() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sound = idx_file(&[2, 2], &[1, 2, 3, 4]);
    let mut float = sound.clone();
    float[2] = 0x0d;
    let mut garbled = gzip(&sound);
    let end = garbled.len() - 6; // within the checksum
    garbled[end] ^= 1;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "cut off within the magic number"),
        (
            "magic",
            b"PK\x03\x04....".to_vec(),
            "begins with 0x504b0304",
        ),
        ("float", float, "type 0x0d and rank 2"),
        ("rank", vec![0, 0, 8, 0], "rank 0"),
        ("sizes", sound[..9].to_vec(), "cut off within the sizes"),
        (
            "short",
            sound[..15].to_vec(),
            "promises 4 bytes of values, but the file has room for at most 3",
        ),
        ("long", [&sound[..], &[9]].concat(), "more bytes follow"),
        ("empty", idx_file(&[0, 2], &[]), "is empty"),
        (
            "vast",
            idx_file(&[1 << 20, 1 << 20], &[]),
            "promises 1099511627776 bytes",
        ),
        ("overflow", idx_file(&[u32::MAX; 4], &[]), "promises"),
        (
            "packed vast",
            gzip(&idx_file(&[1 << 20, 1 << 20], &[1])),
            "promises 1099511627776 bytes",
        ),
        (
            "packed short",
            gzip(&sound[..15]),
            "cut off: 3 bytes of values found, 4 expected",
        ),
        (
            "packed long",
            gzip(&[&sound[..], &[9]].concat()),
            "more bytes follow",
        ),
        ("packed cut", gzip(&sound)[..20].to_vec(), "cut off"),
        ("packed garbled", garbled, "unreadable"),
        (
            "packed then more",
            [&gzip(&sound)[..], b"more"].concat(),
            "values",
        ),
    ];
    for (name, bytes, says) in cases {
        let path = put(folder.path(), name, &bytes);
        assert_refused(idx::read(&path), &path, says);
    }
    let missing = folder.path().join("missing");
    assert_refused(idx::read(&missing), &missing, "not found");
    assert_refused(
        idx::read(folder.path()),
        folder.path(),
        "not a regular file",
    );
}

#[test]
fn images_and_labels_must_fit_each_other() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let images = put(
        folder.path(),
        "images",
        &idx_file(&[2, 1, 2], &[1, 2, 3, 4]),
    );
    let good = put(folder.path(), "good", &idx_file(&[2], &[9, 0]));
    let more = put(folder.path(), "more", &idx_file(&[3], &[1, 2, 3]));
    let high = put(folder.path(), "high", &idx_file(&[2], &[1, 10]));
    let (samples, shape) = idx::read_labelled(&images, &good, 10).unwrap();
    assert_eq!(
        (samples.len(), samples.features(), shape),
        (2, 2, vec![1, 2])
    );
    assert_eq!(samples.outputs(), 10);
    assert_refused(
        idx::read_labelled(&images, &more, 10),
        &more,
        "3 labels found, but 2 images",
    );
    assert_refused(
        idx::read_labelled(&images, &high, 10),
        &high,
        "label 10 of sample 1 is not in 0..10",
    );
    assert_refused(idx::read_labelled(&good, &good, 10), &good, "rank 1");
    assert_refused(
        idx::read_labelled(&images, &images, 10),
        &images,
        "labels of rank 1 expected",
    );
}

#[test]
fn a_damaged_series_is_refused_naming_the_line() {
    let _alone = alone();
    let cases: [(&[u8], &str); 8] = [
        (b"", "line 1: a header"),
        (
            b"1981-01-01,20.7\n1981-01-02,3",
            "line 1: a header such as date,value expected, \"1981-01-01,20.7\" found",
        ),
        (b"date,value\n", "holds no values"),
        (b"date,value\na,1\nb,x\n", "line 3: \"b,x\" found"),
        (b"date,value\na,1\n\nb,2\n", "line 3: \"\" found"),
        (b"date,value\na,inf\n", "line 2"),
        (b"date,value\na,?0.2\n", "line 2: \"a,?0.2\" found"),
        (
            b"date,value\na,1\n\xff\xfe,2\n",
            "line 3: \"\\xff\\xfe,2\" found",
        ),
    ];
    for (text, says) in cases {
        assert_refused(
            series::parse(Path::new("s.csv"), text),
            Path::new("s.csv"),
            says,
        );
    }
}

#[test]
fn each_kind_of_damaged_svhn_is_refused_with_its_reason() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (mat5::x(2, mat5::pattern), mat5::y(&[1, 2]));
    let sound = mat5::file(&[mat5::compressed(&x), y.clone()]);
    let mut newer = b"MATLAB 7.3 MAT-file".to_vec();
    newer.resize(200, 0);
    let mut vast = mat5::matrix("X", 9, &[32, 32, 3, 2], 2, &[0; 6144]);
    let size = vast.len() - 6144 - 4;
    vast[size..size + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut flipped = sound.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 0x10;
    let long = [&x[..], &[0; 64]].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "header",
            sound[..100].to_vec(),
            "cut off within the MATLAB header",
        ),
        ("newer", newer, "MATLAB 7.3"),
        ("text", vec![b'a'; 300], "61 61 61 61, 00 01 49 4d expected"),
        (
            "tag",
            sound[..132].to_vec(),
            "cut off within an element's tag",
        ),
        (
            "cut",
            sound[..1000].to_vec(),
            "cut off: an element promises",
        ),
        (
            "vast",
            mat5::file(&[vast, y.clone()]),
            "promises 4294967295 bytes of X",
        ),
        ("flipped", flipped, ""),
        (
            "long",
            mat5::file(&[mat5::compressed(&long), y.clone()]),
            "more bytes follow",
        ),
        (
            "no X",
            mat5::file(std::slice::from_ref(&y)),
            "lacks the variable X",
        ),
        (
            "no y",
            mat5::file(std::slice::from_ref(&x)),
            "lacks the variable y",
        ),
        (
            "counts",
            mat5::file(&[x.clone(), mat5::y(&[1, 2, 3])]),
            "[32, 32, 3, 2] found, [32, 32, 3, 3] expected",
        ),
        (
            "label",
            mat5::file(&[x.clone(), mat5::y(&[1, 11])]),
            "label 11 of sample 1 is not in 1..=10",
        ),
        (
            "zero",
            mat5::file(&[x.clone(), mat5::y(&[0, 1])]),
            "label 0 of sample 0",
        ),
        (
            "shape",
            mat5::file(&[
                mat5::matrix("X", 9, &[3, 32, 32, 2], 2, &[0; 6144]),
                y.clone(),
            ]),
            "[3, 32, 32, 2] found",
        ),
        (
            "short",
            mat5::file(&[
                mat5::matrix("X", 9, &[32, 32, 3, 2], 2, &[0; 3072]),
                y.clone(),
            ]),
            "X holds 3072 bytes",
        ),
        (
            "class",
            mat5::file(&[mat5::matrix("X", 6, &[32, 32, 3, 2], 9, &[0; 49152]), y]),
            "X of class 6",
        ),
    ];
    for (name, bytes, says) in cases {
        let path = put(folder.path(), name, &bytes);
        assert_refused(svhn::read(&path), &path, says);
    }
}
