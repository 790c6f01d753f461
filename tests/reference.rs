//! Ten steps of every method against an independent implementation in NumPy, `reference/eki_reference.py`.
//!
//! The numbers beside that script were made by `python3 tests/reference/eki_reference.py`; no Python is needed here.
//! Methods without random draws are compared in double precision, to 1e-10 of the largest number; those with draws in
//! single precision, whose draws the script makes a second time in double, to 2e-5 (each case runs the same generic
//! code in either precision).

mod start;

use std::path::{Path, PathBuf};

use eki_mpi::data::{Inputs, Targets, digits};
use serde_json::Value;
use start::{Folder, Run, read_npy, write_npy};

/// Parameters of the network 64-8-10: five blocks of 128, drawn from two keys.
const PARAMETERS: usize = 65 * 8 + 9 * 10;

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference")
        .join(name)
}

/// The initial ensemble: splitmix64 of each number's place, uniform on +-0.4.
fn hashed_ensemble(members: usize) -> Vec<f64> {
    let hashed = |place: u64| {
        let z = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / 2_f64.powi(53);
        0.8 * (unit - 0.5)
    };
    (1..=(members * PARAMETERS) as u64).map(hashed).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// The largest difference over the largest number.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let largest = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
    let apart = largest(&mut found.iter().zip(wanted).map(|(a, b)| {
        assert!(a.is_finite(), "{a}");
        (a - b).abs()
    }));
    apart / largest(&mut wanted.iter().map(|x| x.abs()))
}

/// A finished array in double precision, as it is or made so.
fn array(folder: &Folder, name: &str, single: bool) -> (Vec<u64>, Vec<f64>) {
    let path = folder.file(name);
    if single {
        let (shape, numbers) = read_npy::<f32>(&path);
        (shape, numbers.into_iter().map(f64::from).collect())
    } else {
        read_npy(&path)
    }
}

/// Runs the case `name` on `ranks` ranks and compares all that the script wrote.
fn compare(name: &str, ranks: usize) {
    let text = std::fs::read_to_string(beside("numbers.json")).expect("numbers.json");
    let numbers: Value = serde_json::from_str(&text).expect("JSON");
    let case = &numbers[name];
    let single = case["precision"] == "single";
    let tolerance = if single { 2e-5 } else { 1e-10 };
    let mut run = Run::new("digits", &["output.ensemble=true", "run.best=never"]).on(ranks, 1);
    for set in case["sets"].as_array().expect("settings") {
        run = run.set(set.as_str().expect("text"));
    }
    let folder = tempfile::tempdir().unwrap();
    if case["initial"] == "file" {
        let path = folder.path().join("initial.npy");
        let rows = if case["form"] == "mean" {
            1
        } else {
            case["members"].as_u64().expect("J")
        };
        let initial = hashed_ensemble(rows as usize);
        let shape = [rows, PARAMETERS as u64];
        if single {
            let initial: Vec<f32> = initial.iter().map(|&x| x as f32).collect();
            write_npy(&path, &shape, &initial);
        } else {
            write_npy(&path, &shape, &initial);
        }
        run = run.set(format!("ensemble.initial={}", path.display()));
    }
    let finished = run.finish();

    let steps = finished.metrics();
    let wanted = case["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), wanted.len());
    for (step, wanted) in steps.iter().zip(wanted) {
        for (key, wanted) in ["loss", "d_norm", "step_size", "spread"]
            .iter()
            .zip(floats(wanted))
        {
            let found = step[key].as_f64().expect("a number");
            let off = (found - wanted).abs() / wanted.abs();
            assert!(
                off < tolerance,
                "{name} step {}: {key} {found}, {wanted} in NumPy",
                step["step"]
            );
        }
    }
    let (shape, ensemble) = array(&finished, "final/ensemble.npy", single);
    let (wanted_shape, wanted) = read_npy::<f64>(&beside(&format!("{name}.npy")));
    assert_eq!(shape, [wanted_shape[0], PARAMETERS as u64]);
    let twelfth: Vec<f64> = ensemble
        .chunks(PARAMETERS)
        .flat_map(|row| row.iter().step_by(12).copied())
        .collect();
    let off = distance(&twelfth, &wanted);
    assert!(off < tolerance, "{name}: the ensemble is {off} off");
    let (_, mean) = array(&finished, "final/mean.npy", single);
    let twelfth: Vec<f64> = mean.iter().step_by(12).copied().collect();
    let off = distance(&twelfth, &floats(&case["mean"]));
    assert!(off < tolerance, "{name}: the mean is {off} off");
}

/// digits.npy, which the script reads, holds the program's first training samples: 64 pixels and the class.
/// (`EKI_WRITE_REFERENCE=1` writes it.)
#[test]
fn the_script_reads_our_first_samples() {
    let train = digits::load().expect("embedded data").train;
    let (Inputs::Bytes(pixels), Targets::Classes { labels, .. }) = (&train.inputs, &train.targets)
    else {
        panic!("bytes and classes")
    };
    let rows: Vec<u8> = (0..18)
        .flat_map(|i| pixels.row(i).to_vec().into_iter().chain([labels[i]]))
        .collect();
    if std::env::var_os("EKI_WRITE_REFERENCE").is_some() {
        write_npy(&beside("digits.npy"), &[18, 65], &rows);
    }
    assert_eq!(read_npy::<u8>(&beside("digits.npy")), (vec![18, 65], rows));
}

macro_rules! cases {
    ($($test:ident: $($name:literal),*;)*) => {
        $(
            #[test]
            fn $test() {
                for name in [$($name),*] {
                    compare(name, 1);
                }
            }
        )*

        /// A case that is made and never compared proves nothing.
        #[test]
        fn every_case_of_the_script_is_compared() {
            let text = std::fs::read_to_string(beside("numbers.json")).expect("numbers.json");
            let made: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
            let mut compared = vec![$($($name),*),*];
            compared.sort_unstable();
            let mut made: Vec<&str> = made.keys().map(String::as_str).collect();
            made.sort_unstable();
            assert_eq!(compared, made);
        }
    };
}

cases! {
    eki: "eki-explicit", "eki-factored", "drawn";
    meki: "meki-explicit", "meki-factored";
    least_squares_with_gamma: "squares-explicit", "squares-factored";
    a_constant_coefficient_and_decaying_h: "heavy-heaviside";
    a_fixed_step_on_a_network_without_softmax: "fixed-identity";
    eki_re_randomised_at_each_epochs_end: "epoch-explicit", "epoch-factored";
    meki_re_randomised_at_each_epochs_end: "epoch-meki", "epoch-meki-carried";
    momentum_of_the_mean_alone: "of-mean-explicit", "of-mean-factored", "of-mean-epoch", "of-mean-epoch-carried",
        "of-mean-grow", "of-mean-grow-epoch";
    ensembles_that_grow: "grow", "grow-meki", "grow-epoch-meki";
    re_randomised_at_each_step_in_the_mean_form: "step-mean", "step-mean-heavy", "step-mean-squares", "step-mean-grow";
    draws_spread_by_the_moments_of_inputs: "step-mean-whitened", "kalman-mean-whitened";
    re_randomised_steps_or_epochs_apart: "apart-steps", "apart-steps-meki", "apart-steps-grow", "apart-epochs";
    the_kalman_gain: "kalman-explicit", "kalman-factored", "kalman-squares", "kalman-meki", "kalman-epoch",
        "kalman-misfit", "kalman-perturbed", "kalman-perturbed-factored";
    the_kalman_gain_in_the_mean_form: "kalman-mean", "kalman-mean-squares", "kalman-mean-misfit";
    deviations_inflated: "inflated", "inflated-meki", "inflated-of-mean";
    correlations_shrunk: "localised", "localised-meki", "kalman-localised";
    re_randomised_at_each_step_with_members_kept: "step-explicit", "step-factored", "step-explicit-grow";
}

/// The numbers are right on many ranks, too (the digests say they are the same).
#[test]
fn on_three_ranks() {
    compare("meki-explicit", 3);
    compare("epoch-meki", 3);
    compare("of-mean-epoch-carried", 3);
    compare("kalman-squares", 3);
    compare("kalman-mean", 3);
}
