//! The library's face: its examples, the builder's results beside the program's, and the errors of wrong settings.

mod durable;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use durable::{finish, ranks_of, start};
use eki_mpi::forward::activation::Output;
use eki_mpi::forward::ask_tell::AskTell;
use eki_mpi::forward::dense::Dense;
use eki_mpi::forward::elliptic::elliptic;
use eki_mpi::forward::joint_prior::JointPrior;
use eki_mpi::forward::linear::Linear;
use eki_mpi::prelude::*;
use ndarray::{Array1, Array2};

/// The examples and the most lines each may have, without blank lines and comments.
const EXAMPLES: [(&str, usize); 3] = [("decay", 12), ("curve", 25), ("ask_tell", 20)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of an example without what opens it: its comment, and what this project's lints ask for.
fn text_of(name: &str) -> String {
    let path = root().join(format!("tests/examples/{name}.rs"));
    let text = std::fs::read_to_string(path).expect("an example");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[test]
fn examples_are_short() {
    for (name, most) in EXAMPLES {
        let text = text_of(name);
        let counts = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().filter(counts).count();
        assert!(lines <= most, "{name}: {lines} lines, at most {most}");
    }
}

#[test]
fn the_guides_example_is_the_file_that_is_compiled() {
    let chapter = root().join("src/guide/library.md");
    let chapter = std::fs::read_to_string(chapter).expect("library.md");
    let blocks = chapter.split("```rust,no_run\n").skip(1);
    let blocks: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].trim(), text_of("decay"));
}

/// The folder of the examples, built as this test was.
fn examples() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let this = std::env::current_exe().expect("a test has a path");
        let profile = this.ancestors().nth(2).expect("target, profile, deps");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--examples"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        if cfg!(feature = "gradients") {
            build.args(["--features", "gradients"]);
        }
        let target = profile.parent().expect("the target folder");
        build.current_dir(root()).env("CARGO_TARGET_DIR", target);
        assert!(build.status().expect("cargo").success());
        profile.join("examples")
    })
}

/// The numbers that the example `name` prints on each of `ranks` ranks, its lines in the order of the alphabet.
fn printed(name: &str, ranks: usize) -> Vec<f64> {
    let ended = start::end(&mut start::on_ranks(ranks, &examples().join(name)));
    assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let mut numbers = Vec::new();
    for same in lines.chunks(ranks) {
        assert_eq!(same, vec![same[0]; ranks], "{name}");
        let words = same[0].split(|c: char| c.is_whitespace() || "[],".contains(c));
        numbers.extend(words.flat_map(str::parse::<f64>));
    }
    numbers
}

#[test]
fn examples_find_the_truth_on_one_rank_and_on_two() {
    for (name, truth, error) in [
        ("decay", &[2.0, 0.7][..], 0.02),
        // base, height, rate
        ("curve", &[0.5, 2.0, 0.8], 0.03),
        ("ask_tell", &[2.0, 0.7], 0.02),
    ] {
        let alone = printed(name, 1);
        assert_eq!(alone.len(), truth.len(), "{name}: {alone:?}");
        for (found, truth) in alone.iter().zip(truth) {
            assert!((found - truth).abs() <= error, "{name}: {alone:?}");
        }
        assert_eq!(printed(name, 2), alone, "{name}");
    }
}

/// Settings of the elliptic problem, of the program and of the library alike.
const ELLIPTIC: [(&str, &str); 4] = [
    ("seed", "7"),
    ("ensemble.members", "40"),
    ("run.steps", "20"),
    ("run.stop_at_misfit", "0"),
];

fn decay() -> impl ForwardMap<f64> {
    FnMap::new(2, 5, |u| (0..5).map(|t| u[0] * u[1].powi(t)).collect())
}

const PRIOR: [&str; 2] = ["amount lognormal 1 1", "kept uniform 0 1"];
const OBSERVED: [f64; 5] = [2.0, 1.4, 0.98, 0.69, 0.48];

/// On one of the ranks: calibrations through the library. MPI can be started once in a process.
#[test]
#[ignore = "started under mpirun by the tests below"]
fn rank() {
    let mpi = Mpi::start().expect("MPI");
    let ranks = mpi.ranks();
    let say = |name: &str, digest: &str| {
        if mpi.is_first() {
            eprintln!("{name} {digest}");
        }
    };
    wrong_settings_are_refused(&ranks);
    methods_do_what_their_names_say(&ranks);
    say("kept", &results_hold_what_was_found(&ranks));
    say("correlated", &correlated_noise(&ranks));
    say("places", &places_localise(&ranks));

    let problem = elliptic(7, 1e-4);
    let mut linear = Calibration::new(Linear::new(problem.matrix))
        .prior(["u[255] normal 0 1"])
        .observations(problem.observations.to_vec())
        .noise(1e-4)
        .method(Method::Eki);
    for (key, value) in ELLIPTIC {
        linear = linear.set(key, value);
    }
    let fit = linear.run(&ranks).expect("a fit");
    say("linear", fit.digest());

    // Each law of a prior, bounds kept, by a map that notices what it is given.
    let bounded = FnMap::new(3, 2, |u| {
        let kept = u[1] > 0.0 && (2.0..=3.0).contains(&u[2]);
        if kept {
            vec![u[0] * u[1], u[2]]
        } else {
            vec![f64::NAN; 2]
        }
    });
    let fit = Calibration::new(bounded)
        .prior(["a normal -1 2", "b lognormal 1 0.5", "c uniform 2 3"])
        .observations([4.0, 2.95])
        .noise_of_each(vec![0.01, 0.0001])
        .method(Method::Kalman)
        .members(30)
        .run(&ranks)
        .expect("a fit");
    assert_eq!(fit.names(), ["a", "b", "c"]);
    assert_eq!(
        (fit.reason(), fit.members().dim()),
        ("noise level", (30, 3))
    );
    assert!(fit.steps().iter().all(|step| step.failed == 0));
    for u in fit.members().rows() {
        assert!(u[1] > 0.0 && (2.0..=3.0).contains(&u[2]), "{u}");
    }
    let mean = fit.members().mean_axis(ndarray::Axis(0)).expect("members");
    assert!(
        (&mean - fit.mean()).iter().all(|off| off.abs() < 1e-12),
        "{mean} {}",
        fit.mean()
    );
    let misfits = fit.misfits();
    assert!(misfits[0] > 10.0 && misfits.len() == fit.steps().len());
    assert!(fit.scores().misfit_members.expect("judged at the end") <= 1.0);
    assert_eq!(fit.state().step as usize, fit.steps().len());
    say("laws", fit.digest());

    // A network of the library with a constrained prior: two inputs, one output, five samples.
    let network = || {
        Dense::new(
            vec![2, 1],
            eki_mpi::config::Activation::Tanh,
            Output::Identity,
        )
    };
    let inputs = Array2::from_shape_fn((2, 5), |(i, j)| (i + j) as f64 / 5.0);
    let line = |x: &Array2<f64>| {
        Array1::from_iter(
            x.columns()
                .into_iter()
                .map(|x| 2.0 * x[0] + 0.5 * x[1] + 0.25),
        )
    };
    let fit = Calibration::new(network())
        .prior(["weight[2] uniform 0 3", "bias normal 0 1"])
        .inputs(inputs.clone())
        .observations(line(&inputs).to_vec())
        .noise(1e-4)
        .method(Method::Kalman)
        .run(&ranks)
        .expect("a fit");
    assert!(fit.members().iter().all(|u| (-9.0..=3.0).contains(u)));
    let of_samples = |u: &Array1<f64>| inputs.t().dot(&u.slice(ndarray::s![..2])) + u[2];
    let off = of_samples(fit.mean()) - line(&inputs);
    assert!(off.iter().all(|off| off.abs() < 0.02), "{off}");
    say("network", fit.digest());

    // Ask and tell ends in the bits of the map, whoever computes it.
    let by_map = Calibration::new(decay())
        .prior(PRIOR)
        .observations(OBSERVED)
        .noise(1e-4);
    let by_map = by_map.run(&ranks).expect("a fit");
    let steps = Calibration::ask_tell()
        .prior(PRIOR)
        .observations(OBSERVED)
        .noise(1e-4);
    let mut steps = steps.start(&ranks).expect("members");
    while let Some(members) = steps.ask().expect("a step") {
        let wrong = steps.tell(Array2::zeros((members.nrows(), 4)).view());
        assert!(
            wrong
                .unwrap_err()
                .to_string()
                .contains("of 4 outputs, and 64 rows of 5")
        );
        let of = |(j, t): (usize, usize)| members[[j, 0]] * members[[j, 1]].powi(t as i32);
        steps
            .tell(Array2::from_shape_fn((members.nrows(), 5), of).view())
            .expect("the shape asked for");
    }
    let asked = steps.finish().expect("ended");
    assert_eq!(asked.digest(), by_map.digest());
    assert_eq!(asked.mean(), by_map.mean());
    say("decay", by_map.digest());
}

/// Each method of the builder, on a line through three observations, whose posterior is known: N(mean, covariance) of
/// y = A u + noise with u ~ N(0, I).
fn methods_do_what_their_names_say(ranks: &Ranks) {
    let (y, noise) = ([1.0, 1.6, 1.9], 0.04);
    let line = || {
        FnMap::new(2, 3, |u| {
            (0..3).map(|x| u[0] + u[1] * f64::from(x)).collect()
        })
    };
    let fit = |method: Method, members: usize| {
        let calibration = Calibration::new(line()).prior(["line[2] normal 0 1"]);
        let calibration = calibration.observations(y).noise(noise).members(members);
        calibration.method(method).run(ranks).expect("a fit")
    };
    // (I + A^T A / noise) in two dimensions, and its inverse.
    let (a, b, d) = (1.0 + 3.0 / noise, 3.0 / noise, 1.0 + 5.0 / noise);
    let det = a * d - b * b;
    let covariance = ndarray::array![[d, -b], [-b, a]] / det;
    let right = [y[0] + y[1] + y[2], y[1] + 2.0 * y[2]].map(|sum| sum / noise);
    let mean = covariance.dot(&Array1::from(right.to_vec()));
    let deviations = covariance.diag().mapv(f64::sqrt);
    // How far the mean is in posterior deviations, and the covariance relative to the posterior's largest.
    let off = |fit: &Fit| {
        let centred = fit.members() - fit.mean();
        let found = centred.t().dot(&centred) / centred.nrows() as f64;
        let most = |all: Array1<f64>| all.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let far = most((fit.mean() - &mean) / &deviations);
        let wide = (found - &covariance) / covariance[[0, 0]];
        (far, most(Array1::from_iter(wide)))
    };
    let mut digests = std::collections::BTreeSet::new();
    for (method, reason) in [
        (Method::Eki, "noise level"),
        (Method::EkiWithMomentum, "noise level"),
        (Method::Kalman, "noise level"),
        (Method::KalmanByMisfit, "noise level"),
        (Method::Etki, "noise level"),
    ] {
        let fit = fit(method, 32);
        assert_eq!(fit.reason(), reason, "{method:?}");
        assert!(
            fit.scores().misfit_members.expect("judged") <= 1.0,
            "{method:?}"
        );
        digests.insert(fit.digest().to_owned());
    }
    for (method, members, reason, far, wide) in [
        (Method::Posterior, 400, "end time", 0.2, 0.2),
        (Method::PosteriorByEtki, 100, "end time", 0.05, 0.02),
        (Method::PosteriorByAldi, 400, "end time", 0.25, 0.25),
        (Method::PosteriorMode, 32, "steps used up", 0.2, 1.01),
    ] {
        let fit = fit(method, members);
        let found = off(&fit);
        assert_eq!(fit.reason(), reason, "{method:?}");
        assert!(found.0 < far && found.1 < wide, "{method:?}: {found:?}");
        digests.insert(fit.digest().to_owned());
    }
    assert_eq!(digests.len(), 9, "each method is another");
}

/// The statistics of the members, their outputs, and every step's where that is asked for; by a map and by ask and tell.
fn results_hold_what_was_found(ranks: &Ranks) -> String {
    let outputs = |u: &[f64]| -> Vec<f64> { (0..3).map(|x| u[0] + u[1] * f64::from(x)).collect() };
    fn told<M>(calibration: Calibration<M>, history: &str) -> Calibration<M> {
        calibration
            .prior(["level normal 0 1", "slope normal 0 1", "bound fixed 3"])
            .observations([1.0, 1.6, 1.9])
            .noise(0.04)
            .method(Method::Posterior)
            .members(40)
            .set("output.history", history)
    }
    let fit = |history: &str| {
        let map = FnMap::new(3, 3, move |u| outputs(u));
        told(Calibration::new(map), history)
            .run(ranks)
            .expect("a fit")
    };
    let gives = |members: &Array2<f64>, found: &Array2<f64>| {
        assert_eq!(members.nrows(), found.nrows());
        for (u, z) in members.rows().into_iter().zip(found.rows()) {
            assert_eq!(outputs(&u.to_vec()), z.to_vec());
        }
    };
    let whole = fit("all");
    let found = whole.statistics();
    assert_eq!(
        (found.are, found.counted),
        (MembersAre::PosteriorSample, 40)
    );
    assert_eq!(found.jackknife_groups, 20);
    for (p, name) in ["level", "slope"].into_iter().enumerate() {
        let of = found.parameter(name).expect("a parameter");
        let (mean, values) = (whole.mean()[p], whole.members().column(p).to_owned());
        let square: f64 = values.iter().map(|u| (u - mean).powi(2)).sum();
        let deviation = (square / 39.0).sqrt();
        assert_eq!(of.mean, mean);
        assert!((of.deviation.expect("known") / deviation - 1.0).abs() < 1e-9);
        // A standard normal prior.
        let contraction = of.contraction.expect("known");
        assert!((contraction - (1.0 - deviation * deviation)).abs() < 1e-9);
        let [low, _, middle, _, high] = of.quantiles.expect("known");
        assert!(low < middle && middle < high && of.mean_error.is_some());
    }
    assert!(found.parameter("bound").expect("there").deviation == Some(0.0));
    let pair = &found.correlations.as_ref().expect("few parameters")[0];
    assert!(
        pair.between == ["level", "slope"] && pair.correlation < -0.5,
        "{pair:?}"
    );
    gives(whole.members(), whole.outputs().expect("simulated"));
    let steps: Vec<u64> = whole.history().iter().map(|kept| kept.step).collect();
    assert_eq!(steps, (0..=whole.state().step).collect::<Vec<_>>());
    whole
        .history()
        .iter()
        .for_each(|kept| gives(&kept.members, &kept.outputs));
    assert_eq!(
        whole.history().last().expect("some").members,
        whole.members()
    );
    // By default the ends alone; or none.
    let (ends, none) = (fit("auto"), fit("none"));
    let kept: Vec<u64> = ends.history().iter().map(|kept| kept.step).collect();
    assert_eq!(kept, [0, whole.state().step]);
    assert_eq!(ends.outputs(), whole.outputs());
    assert!(none.history().is_empty() && none.outputs().is_none());
    // By ask and tell the last ensemble is asked for where that is set.
    for (history, is_known) in [("auto", false), ("ends", true)] {
        let mut steps = told(Calibration::ask_tell(), history)
            .start(ranks)
            .expect("members");
        while let Some(members) = steps.ask().expect("a step") {
            let rows: Vec<f64> = members
                .rows()
                .into_iter()
                .flat_map(|u| outputs(&u.to_vec()))
                .collect();
            let rows = Array2::from_shape_vec((members.nrows(), 3), rows).expect("whole rows");
            steps.tell(rows.view()).expect("the shape asked for");
        }
        let asked = steps.finish().expect("ended");
        assert_eq!(asked.digest(), whole.digest());
        assert_eq!(asked.outputs(), whole.outputs().filter(|_| is_known));
        assert_eq!(asked.scores().misfit_members.is_some(), is_known);
        gives(&asked.history()[0].members, &asked.history()[0].outputs);
    }
    whole.digest().to_owned()
}

/// Observations and parameters of a linear map.
const LINEAR: (usize, usize) = (8, 3);

/// The linear map's matrix, K x P.
fn matrix() -> Array2<f64> {
    Array2::from_shape_fn(LINEAR, |(k, p)| (0.3 + 0.7 * (k * k + 5 * p) as f64).sin())
}

/// The inverse of a positive definite matrix, by Gauss and Jordan.
fn inverse(a: &Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    let mut rows = ndarray::concatenate![ndarray::Axis(1), *a, Array2::<f64>::eye(n)];
    for i in 0..n {
        let pivot = rows.row(i).mapv(|x| x / rows[[i, i]]);
        for j in 0..n {
            let by = if i == j {
                rows[[i, i]] - 1.0
            } else {
                rows[[j, i]]
            };
            rows.row_mut(j).scaled_add(-by, &pivot);
        }
        rows.row_mut(i).assign(&pivot);
    }
    rows.slice(ndarray::s![.., n..]).to_owned()
}

/// With correlated noise one step of the transform takes the members' mean and covariance to the Kalman filter's, whichever way
/// the covariance is given, and that of diagonal noise is the variances'.
fn correlated_noise(ranks: &Ranks) -> String {
    let (k, p) = LINEAR;
    let u = Array2::from_shape_fn((k, 2), |(k, c)| (1.1 * (k + 3 * c) as f64).cos());
    let variances: Vec<f64> = (0..k).map(|k| 0.1 + 0.05 * k as f64).collect();
    let diagonal = Array2::from_diag(&Array1::from(variances.clone()));
    let y = matrix().dot(&Array1::from(vec![0.5, -1.0, 2.0]));
    let fit = |calibration: Calibration<eki_mpi::run::calibration::FromOutside>| {
        let calibration = calibration
            .prior(["u[3] normal 0 1"])
            .observations(y.to_vec());
        let calibration = calibration.method(Method::Etki).members(30);
        let calibration = calibration.set("run.steps", 1).set("run.stop_at_misfit", 0);
        let mut steps = calibration.start(ranks).expect("members");
        let first = steps.ask().expect("members").expect("the first step");
        steps
            .tell(first.dot(&matrix().t()).view())
            .expect("the shape asked for");
        assert!(steps.ask().expect("a step").is_none());
        (first, steps.finish().expect("ended"))
    };
    // Mean and covariance of members, by 1 / J.
    let moments = |members: &Array2<f64>| {
        let mean = members.mean_axis(ndarray::Axis(0)).expect("members");
        let about = members - &mean;
        let covariance = about.t().dot(&about) / members.nrows() as f64;
        (mean, covariance)
    };
    let meets = |(first, fit): (Array2<f64>, Fit), gamma: &Array2<f64>| {
        let ((m, c), (mean, covariance)) = (moments(&first), moments(fit.members()));
        let g = matrix();
        let posterior = inverse(&(inverse(&c) + g.t().dot(&inverse(gamma)).dot(&g)));
        let gain = posterior.dot(&g.t()).dot(&inverse(gamma));
        let expected = &m + &gain.dot(&(&y - &g.dot(&m)));
        for i in 0..p {
            let deviation = posterior[[i, i]].sqrt();
            assert!(
                (mean[i] - expected[i]).abs() < 1e-6 * deviation,
                "{mean} {expected}"
            );
            for j in 0..p {
                let apart = (covariance[[i, j]] - posterior[[i, j]]).abs();
                assert!(
                    apart < 1e-6 * deviation * deviation,
                    "{covariance} {posterior}"
                );
            }
        }
        fit
    };
    let gamma = &diagonal + &u.dot(&u.t());
    let empty = Calibration::ask_tell;
    let full = meets(fit(empty().noise_covariance(gamma.clone())), &gamma);
    let low = meets(fit(empty().noise_factors(variances.clone(), u)), &gamma);
    let plain = meets(fit(empty().noise_of_each(variances)), &diagonal);
    let diagonal = meets(fit(empty().noise_covariance(diagonal.clone())), &diagonal);
    for (a, b) in [(&full, &low), (&plain, &diagonal)] {
        let apart = a.members() - b.members();
        assert!(apart.iter().all(|x| x.abs() < 1e-9), "{apart}");
        let [a, b] = [a, b].map(|fit| fit.misfits()[0]);
        assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    }
    full.digest().to_owned() + low.digest()
}

/// Everything of a wrong shape or value is an error that says what is wrong, on all ranks.
/// Three parameters at 0, 1 and 10, of which the first is observed: with a radius of 4 the third learns nothing, and the second less
/// than without localisation. Of 60 members correlations of 0.1 are chance.
fn places_localise(ranks: &Ranks) -> String {
    let column = |x: &[f64]| Array2::from_shape_vec((x.len(), 1), x.to_vec()).expect("a column");
    let sound = || {
        Calibration::new(FnMap::new(3, 1, |u| vec![u[0] + 0.5 * u[1]]))
            .prior(["u[3] normal 0 1"])
            .observations([2.0])
            .noise(0.01)
            .method(Method::Kalman)
            .members(60)
            .set("run.steps", 1)
    };
    let moved = |radius: f64, place: f64| {
        let fit = sound()
            .localise_by_distance(radius, column(&[0.0, 1.0, place]), column(&[0.0]))
            .run(ranks)
            .expect("a fit");
        let before = &fit.history()[0].members - fit.members();
        let most = |p: usize| {
            before
                .column(p)
                .iter()
                .fold(0.0, |a: f64, x| a.max(x.abs()))
        };
        ([most(0), most(1), most(2)], fit.digest().to_owned())
    };
    let ([near, nearby, far], digest) = moved(4.0, 10.0);
    assert!(near > 0.5 && nearby > 0.1, "{near} {nearby}");
    assert_eq!(far, 0.0);
    let ([.., chance], _) = moved(1e6, 10.0);
    assert!(chance > 0.01, "{chance}");
    let refused = |radius, parameters: &[f64], key: (&str, &str), words: &str| {
        let fit = sound().set(key.0, key.1);
        let fit = fit.localise_by_distance(radius, column(parameters), column(&[0.0]));
        let error = fit.run(ranks).err().expect("an error");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), 2, "{error}");
    };
    let (plain, places) = (("seed", "1"), [0.0, 1.0, 10.0]);
    refused(
        4.0,
        &places[1..],
        plain,
        "parameters has 2 rows, and there are 3",
    );
    refused(0.0, &places, plain, "the radius is 0");
    refused(4.0, &[0.0, f64::NAN, 1.0], plain, "not finite");
    refused(
        4.0,
        &places,
        ("method.localise", "sec"),
        "they localise already",
    );
    refused(
        4.0,
        &places,
        ("method.tikhonov", "1"),
        "method.tikhonov = 0",
    );
    refused(4.0, &places, ("method.kind", "etki"), "method.localise");
    digest
}

fn wrong_settings_are_refused(ranks: &Ranks) {
    let sound = || {
        Calibration::new(decay())
            .prior(PRIOR)
            .observations(OBSERVED)
            .noise(1e-4)
    };
    let refused = |fit: Result<Fit>, words: &str| {
        let error = fit.err().unwrap_or_else(|| panic!("{words}: not refused"));
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), 2, "{error}");
    };
    let none: [&str; 0] = [];
    refused(
        sound().prior(none).run(ranks),
        "an entry for each parameter",
    );
    refused(
        sound().prior(["amount gamma 1 1"]).run(ranks),
        "not \"gamma\"",
    );
    refused(
        sound().prior(["a normal 0 1"]).run(ranks),
        "the prior has 1 parameters, and the forward map takes 2",
    );
    refused(
        sound().observations([]).run(ranks),
        "a number for each output",
    );
    refused(
        sound().observations([1.0; 4]).run(ranks),
        "has 4 numbers, and the forward map gives 5 outputs",
    );
    refused(
        sound()
            .observations([1.0, 2.0, f64::NAN, 4.0, 5.0])
            .run(ranks),
        "number 3 is NaN",
    );
    refused(sound().noise_of_each([]).run(ranks), "must be given");
    refused(
        sound().noise_of_each([1.0; 3]).run(ranks),
        "3 variances, and there are 5 observations",
    );
    refused(sound().noise(0.0).run(ranks), "variance 1 is 0");
    refused(sound().noise(f64::INFINITY).run(ranks), "variance 1 is inf");
    refused(
        sound().noise_covariance(Array2::eye(4)).run(ranks),
        "Calibration::noise_covariance: is of 4 outputs, and there are 5 observations",
    );
    refused(
        sound().noise_covariance(Array2::ones((5, 5))).run(ranks),
        "not positive definite",
    );
    refused(
        sound()
            .noise_factors([0.0], Array2::ones((5, 1)))
            .run(ranks),
        "noise_factors: holds 0 as variance of observation 1",
    );
    refused(
        sound().members(1).run(ranks),
        "Calibration: ensemble.members = 1: must be an integer of at least 2",
    );
    refused(
        sound().set("method.h", -1).run(ranks),
        "Calibration: method.h = -1: must be",
    );
    refused(
        sound().set("method.kind", "sgd").run(ranks),
        "Calibration: method.kind",
    );
    refused(
        sound().set("data.batch", 2).run(ranks),
        "data.batch: only keys of method and ensemble",
    );
    refused(
        sound().inputs(Array2::zeros((3, 4))).run(ranks),
        "3 inputs, and the forward map takes 0",
    );
    let short = FnMap::new(2, 5, |u: &[f64]| vec![u[0]; 4]);
    let short = Calibration::new(short)
        .prior(PRIOR)
        .observations(OBSERVED)
        .noise(1e-4);
    refused(
        short.run(ranks),
        "gives 4 outputs at the prior's centre, and 5 were said",
    );
    let all = JointPrior::new(&PRIOR.map(str::to_owned)).expect("a prior");
    refused(
        Calibration::new(AskTell::new(all, 5))
            .prior(PRIOR)
            .run(ranks),
        "a prior of its own",
    );
    let unasked = Calibration::ask_tell().prior(PRIOR).observations(OBSERVED);
    assert!(
        unasked
            .start(ranks)
            .err()
            .expect("refused")
            .to_string()
            .contains("noise")
    );
}

/// The lines that `rank` prints on `ranks` ranks.
fn digests(ranks: usize) -> Vec<String> {
    let (code, text) = finish(&mut ranks_of("rank", ranks));
    assert_eq!(code, 0, "{text}");
    let names = [
        "correlated ",
        "kept ",
        "linear ",
        "laws ",
        "network ",
        "places ",
        "decay ",
    ];
    let lines = text
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    assert_eq!(lines.len(), names.len(), "{text}");
    lines
}

#[test]
fn the_builder_gives_the_programs_bits_on_any_number_of_ranks() {
    let sets = ELLIPTIC.map(|(key, value)| format!("{key}={value}"));
    let sets: Vec<&str> = sets
        .iter()
        .map(String::as_str)
        .chain(["method.noise=1e-4"])
        .collect();
    let program = start::Run::new("linear", &sets).digest();
    let alone = digests(1);
    assert!(alone.contains(&format!("linear {program}")));
    assert_eq!(digests(2), alone);
}
