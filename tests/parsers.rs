//! Whatever a configuration or an .npy file holds, reading it gives an answer, in memory bounded by the file's size.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use eki_mpi::config::{PRESETS, Resolved};
use eki_mpi::io::npy::Rows;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;

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

/// A file of this test's own with `bytes` in it.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("eki-parsers-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("written");
    path
}

/// `sound` with some bytes overwritten, a piece of it doubled, then cut or lengthened.
fn mutated(sound: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = sound.len();
    let edits = prop::collection::vec((0..n, any::<u8>()), 0..6);
    let doubled = (0..n, 0..40_usize);
    let end = prop_oneof![3 => Just(usize::MAX), 1 => 0..n];
    (edits, doubled, end).prop_map(move |(edits, (start, length), end)| {
        let mut bytes = sound.clone();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        let piece = bytes[start..(start + length).min(n)].to_vec();
        bytes.splice(start..start, piece);
        bytes.truncate(end);
        bytes
    })
}

/// A preset's text with values, keys and bytes changed.
fn configuration() -> impl Strategy<Value = Vec<u8>> {
    let text = |i: usize| PRESETS[i % PRESETS.len()].text.to_owned();
    let values = prop::sample::select(vec![
        "-1",
        "0",
        "1e999",
        "nan",
        "\"x\"",
        "[]",
        "[[1]]",
        "{}",
        "9223372036854775807",
        "1979-05-27",
        "true",
        "'''",
    ]);
    let numbers = regex_free_numbers();
    prop_oneof![
        (0..9_usize).prop_flat_map(move |i| mutated(text(i).into_bytes())),
        (0..9_usize, 0..20_usize, values).prop_map(move |(i, line, value)| {
            let lines = text(i);
            let lines: Vec<String> = lines
                .lines()
                .filter(|l| !l.starts_with('#'))
                .map(str::to_owned)
                .collect();
            let line = line % lines.len();
            let change = |(k, l): (usize, &String)| match l.split_once('=') {
                Some((key, _)) if k == line => format!("{key}= {value}"),
                _ => l.clone(),
            };
            lines
                .iter()
                .enumerate()
                .map(change)
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes()
        }),
        numbers,
        prop::collection::vec(any::<u8>(), 0..300),
        (1..3_000_usize).prop_map(|depth| format!("a = {}", "[".repeat(depth)).into_bytes()),
    ]
}

fn regex_free_numbers() -> impl Strategy<Value = Vec<u8>> {
    (any::<i64>(), any::<f64>(), any::<u64>()).prop_map(|(i, f, u)| {
        format!("seed = {i}\n[ensemble]\nmembers = {u}\n[method]\nh = {f:?}\n[checkpoint]\nevery = \"{u}d\"\n").into_bytes()
    })
}

/// An .npy file of 3 x 5 numbers.
fn npy(double: bool) -> Vec<u8> {
    use npyz::WriterBuilder as _;
    let mut bytes = Vec::new();
    macro_rules! write {
        ($number:ty) => {{
            let options = npyz::WriteOptions::<$number>::new()
                .default_dtype()
                .shape(&[3, 5]);
            let mut writer = options.writer(&mut bytes).begin_nd().expect("a header");
            writer
                .extend((0..15).map(|i| i as $number))
                .expect("numbers");
            writer.finish().expect("an end");
        }};
    }
    if double {
        write!(f64)
    } else {
        write!(f32)
    }
    bytes
}

/// A head that promises `shape`, in a version with a header of `length` bytes.
fn promising(shape: &str, version: u8, length: u32) -> Vec<u8> {
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((length as u16).to_le_bytes()),
        _ => bytes.extend(length.to_le_bytes()),
    }
    bytes.extend(head.bytes());
    bytes
}

/// What readers take whatever they read.
const FIXED: usize = 1 << 20;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn no_configuration_panics_or_takes_memory_it_does_not_fill(bytes in configuration()) {
        let _alone = alone();
        let path = file("a.toml", &bytes);
        let taken = peak(|| {
            if let Err(error) = Resolved::new(path.to_str().expect("text"), &[]) {
                let line = error.to_string();
                assert!(!line.contains('\n') && error.exit_code() == 2, "{line}");
            }
        });
        let _ = std::fs::remove_file(path);
        prop_assert!(taken <= 300 * bytes.len() + FIXED, "{taken} bytes taken for {}", bytes.len());
    }

}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_set_panics(text in "\\PC{0,40}", value in any::<f64>()) {
        let _ = Resolved::new("digits", std::slice::from_ref(&text));
        for key in eki_mpi::config::keys() {
            let _ = Resolved::new("digits", &[format!("{}={text}", key.path)]);
            let _ = Resolved::new("digits", &[format!("{}={value}", key.path)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn no_npy_file_panics_or_takes_memory_it_does_not_fill(
        bytes in prop_oneof![
            mutated(npy(false)),
            mutated(npy(true)),
            prop::collection::vec(any::<u8>(), 0..300),
            (any::<u64>(), any::<u64>(), 0..5_u8, any::<u32>())
                .prop_map(|(a, b, version, length)| promising(&format!("({a}, {b})"), version, length)),
        ],
        any_rows in any::<bool>(),
    ) {
        let _alone = alone();
        let path = file("a.npy", &bytes);
        let rows = (!any_rows).then_some(3);
        let taken = peak(|| {
            read::<f32>(&path, rows);
            read::<f64>(&path, rows);
        });
        let _ = std::fs::remove_file(path);
        prop_assert!(taken <= 16 * bytes.len() + FIXED, "{taken} bytes taken for {}", bytes.len());
    }
}

fn read<T: eki_mpi::kernels::real::Real>(path: &Path, rows: Option<usize>) {
    if let Ok(mut file) = Rows::<T>::open(path, rows, 5) {
        while let Ok(numbers) = file.read(2) {
            if numbers.is_empty() {
                break;
            }
            assert!(numbers.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn an_npy_header_of_four_gigabytes_is_refused() {
    let _alone = alone();
    let path = file("b.npy", &promising("(3, 5)", 2, u32::MAX));
    let taken = peak(|| {
        let refused = Rows::<f32>::open(&path, Some(3), 5).err().expect("refused");
        assert!(
            refused.to_string().contains("not an .npy file"),
            "{refused}"
        );
    });
    assert!(taken < FIXED, "{taken} bytes");
    // An honest header that promises more numbers than there are.
    let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 5), }\n".len();
    let path = file("b.npy", &promising("(1099511627776, 5)", 1, head as u32));
    assert!(Rows::<f32>::open(&path, None, 5).is_err());
}
