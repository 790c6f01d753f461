//! Whole runs with a simulator: what they find, and that nothing but the simulator's own numbers enters.

use std::path::Path;
use std::time::{Duration, Instant};

use super::answers::{logistic, observed};
use super::{Case, TRUTH, Test, digest, failures};

pub const TESTS: &[Test] = &[
    (
        "a_run_that_began_with_earlier_defaults_keeps_them",
        earlier_defaults,
    ),
    (
        "known_parameters_are_recovered_alike_on_any_ranks",
        recovered,
    ),
    ("members_that_fail_are_left_out_alike_on_any_ranks", failing),
    (
        "members_that_take_too_long_fail_and_their_child_goes",
        hanging,
    ),
    ("a_killed_child_leaves_no_trace_in_the_result", killed),
    (
        "a_run_is_over_at_the_noise_level_alike_on_any_ranks_and_resumed",
        at_noise_level,
    ),
    (
        "by_misfit_the_kalman_gain_ends_nearer_to_least_squares",
        by_misfit,
    ),
    (
        "with_observations_perturbed_members_are_a_sample_of_the_posterior",
        posterior,
    ),
    (
        "with_the_priors_weight_members_end_at_the_posteriors_mode",
        regularised,
    ),
    (
        "few_members_find_many_parameters_where_covariances_are_localised",
        localised,
    ),
    ("a_run_in_two_parts_is_the_whole_run", resumed),
    ("children_do_not_see_their_launcher", launcher),
    (
        "answers_in_other_dress_and_floods_of_warnings_are_taken",
        dressed,
    ),
    (
        "children_end_with_a_run_that_ends_and_with_one_that_is_killed",
        ends,
    ),
    (
        "the_mean_form_and_single_precision_take_simulators_too",
        other_forms,
    ),
];

/// summary.json's reason and number of steps.
pub fn ending(folder: &Path) -> (String, u64) {
    let text = std::fs::read(folder.join("summary.json")).expect("summary.json");
    let summary: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let reason = summary["reason"].as_str().expect("text").to_owned();
    (reason, summary["steps"].as_u64().expect("a number"))
}

fn at_noise_level() {
    let case = Case::new("plain");
    let level = ["run.stop_at_misfit=1", "run.steps=60"];
    let run = case.run(&level);
    let (one, ended) = case.finish(&run, "1");
    let (reason, steps) = ending(&one);
    assert!(
        reason == "noise level" && (4..60).contains(&steps),
        "{reason} {steps}"
    );
    assert!(
        ended.stdout.contains("at the noise level"),
        "{}",
        ended.stdout
    );
    // The truth lies where the observations leave it: twice least squares' deviations, and among the members.
    let mean = found(&one);
    assert!(
        (mean[0] - TRUTH[0]).abs() < 0.06 && (mean[1] - TRUTH[1]).abs() < 0.1,
        "{mean:?}"
    );
    let (three, _) = case.finish(&run.on(3, 1), "3");
    assert_eq!(
        (digest(&one), ending(&one)),
        (digest(&three), ending(&three))
    );
    // Cut before, and resumed; and resumed once more, when it is over.
    let (cut, _) = case.finish(&case.run(&["run.steps=3"]), "cut");
    for ranks in [2, 1] {
        let mut command = run.on(ranks, 1).command(&cut);
        let ended = super::start::end(command.arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!((digest(&one), ending(&one)), (digest(&cut), ending(&cut)));
    }
    // Without the rule it goes on, as if it had never known it.
    let on = case.run(&[]).set(format!("run.steps={}", steps + 3));
    let ended = super::start::end(on.command(&cut).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (whole, _) = case.finish(&on, "whole");
    assert_eq!(
        (digest(&whole), ("steps used up".to_owned(), steps + 3)),
        (digest(&cut), ending(&cut))
    );
}

/// Means of final/parameters.csv.
pub fn found(folder: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("final/parameters.csv")).expect("a table");
    assert!(text.starts_with("name,mean,low,high,best,"), "{text}");
    let mean = |line: &str| {
        line.split(',')
            .nth(1)
            .expect("a column")
            .parse()
            .expect("a number")
    };
    text.lines().skip(1).map(mean).collect()
}

/// Growth and capacity with the least squared error, by Gauss and Newton's iteration from the truth.
fn least_squares() -> [f64; 2] {
    let [mut growth, mut capacity] = TRUTH;
    for _ in 0..20 {
        let at = |g: f64, c: f64| logistic(growth + g, capacity + c);
        let (here, step) = (at(0.0, 0.0), 1e-6);
        let slope = |moved: Vec<f64>| -> Vec<f64> {
            let pairs = moved.iter().zip(&here);
            pairs.map(|(moved, here)| (moved - here) / step).collect()
        };
        let (by_growth, by_capacity) = (slope(at(step, 0.0)), slope(at(0.0, step)));
        let residual: Vec<f64> = observed().iter().zip(&here).map(|(y, z)| y - z).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (a, b, d) = (
            dot(&by_growth, &by_growth),
            dot(&by_growth, &by_capacity),
            dot(&by_capacity, &by_capacity),
        );
        let (e, f) = (dot(&by_growth, &residual), dot(&by_capacity, &residual));
        growth += (d * e - b * f) / (a * d - b * b);
        capacity += (a * f - b * e) / (a * d - b * b);
    }
    [growth, capacity]
}

/// One classical step from a wide prior throws the members about; steps that the misfit allows do not, for few more of them.
fn by_misfit() {
    let case = Case::new("plain");
    let fit = least_squares();
    let run = case.run(&[
        "method.kind=kalman",
        "method.h=1",
        "ensemble.members=64",
        "run.stop_at_misfit=1",
    ]);
    // The mean over seeds of the squared errors, and of the steps taken.
    let by = |shape: &str| {
        let (mut error, mut steps) = (0.0, 0);
        for seed in 1..=5 {
            let run = run.clone().set(format!("seed={seed}"));
            let (folder, _) = case.finish(
                &run.set(format!("method.h_schedule={shape}")),
                &format!("{shape} {seed}"),
            );
            assert_eq!(ending(&folder).0, "noise level");
            let off = found(&folder).into_iter().zip(fit);
            error += off.map(|(x, fit)| (x - fit).powi(2)).sum::<f64>() / 5.0;
            steps += ending(&folder).1;
        }
        (error, steps as f64 / 5.0)
    };
    let ((error, steps), (classical, fewest)) = (by("misfit"), by("level"));
    assert!(error < 0.25 * classical, "{error} {classical}");
    assert!(steps < 3.0 * fewest, "{steps} {fewest}");
    let on_three = run.set("seed=1").set("method.h_schedule=misfit").on(3, 1);
    let (three, _) = case.finish(&on_three, "three");
    assert_eq!(digest(&case.file("misfit 1")), digest(&three));
}

/// A configuration that says nothing of the step is by the Kalman gain and by misfit now, and was by "eki": a run that began so
/// goes on so.
fn earlier_defaults() {
    let case = Case::new("plain");
    let path = case.file("mine.toml");
    let said = std::fs::read_to_string(&path).expect("a file");
    let silent = said.replace("kind = \"eki\"\nh_schedule = \"level\"\n", "");
    assert_ne!(said, silent);
    let (straight, _) = case.finish(&case.run(&["run.steps=4"]), "straight");
    let (begun, _) = case.finish(&case.run(&["run.steps=2"]), "begun");
    std::fs::write(&path, &silent).expect("a file");
    let run = case.run(&["run.steps=4"]).on(2, 1);
    let ended = super::start::end(run.command(&begun).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let words = "keeps them: method.kind = \"eki\", method.h_schedule = \"level\"";
    assert_eq!(ended.stderr.matches(words).count(), 1, "{}", ended.stderr);
    assert_eq!(digest(&begun), digest(&straight));
    // A new run takes today's; what is asked for now is another configuration.
    let (new, _) = case.finish(&run, "new");
    let config = std::fs::read_to_string(new.join("config.toml")).expect("a file");
    assert!(config.contains("kind = \"kalman\"") && config.contains("h_schedule = \"misfit\""));
    let other = case.run(&["run.steps=6", "method.kind=kalman"]);
    let ended = super::start::end(other.command(&begun).arg("--resume"));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

/// A line's prior means and deviations, and the variance of the noise on it.
const LINE: ([f64; 2], [f64; 2], f64) = ([1.0, 0.0], [0.5, 0.3], 0.25);

/// `LINE` by the Kalman gain, to be changed.
fn line_run(case: &Case) -> super::start::Run {
    let prior = "model.prior=[\"level normal 1 0.5\", \"slope normal 0 0.3\"]";
    case.run(&[prior, "method.kind=kalman", "method.noise=0.25"])
}

/// The posterior of a line's level and slope with normal priors and noise: means, deviations, correlation.
fn line_posterior(means: [f64; 2], deviations: [f64; 2], noise: f64) -> ([f64; 2], [f64; 2], f64) {
    let mut precision = [[0.0; 2]; 2];
    let mut weighted = [0.0; 2];
    for i in 0..2 {
        precision[i][i] = 1.0 / (deviations[i] * deviations[i]);
        weighted[i] = precision[i][i] * means[i];
    }
    for (month, y) in observed().into_iter().enumerate() {
        let row = [1.0, month as f64];
        for i in 0..2 {
            weighted[i] += row[i] * y / noise;
            (0..2).for_each(|j| precision[i][j] += row[i] * row[j] / noise);
        }
    }
    let [[a, b], [_, d]] = precision;
    let by = a * d - b * b;
    let mean = [
        (d * weighted[0] - b * weighted[1]) / by,
        (a * weighted[1] - b * weighted[0]) / by,
    ];
    (
        mean,
        [(d / by).sqrt(), (a / by).sqrt()],
        -b / (a * d).sqrt(),
    )
}

/// Of a line with normal priors and noise members are a sample of the posterior.
fn posterior() {
    let (mean, deviation, correlation) = line_posterior(LINE.0, LINE.1, LINE.2);
    let case = Case::new("line");
    let run = line_run(&case).set("ensemble.members=2000");
    // The members' means and deviations, in the posterior's deviations, and their correlation.
    let with = |sets: &[&str]| {
        let set = |run: super::start::Run, set: &&str| run.set(*set);
        sets.iter().fold(run.clone().on(2, 1), set)
    };
    let sampled = |run: &super::start::Run, name: &str| {
        let (folder, _) = case.finish(run, name);
        let members = super::results::members(&folder);
        let count = members.len() as f64;
        let about = |f: &dyn Fn(&[f64]) -> f64| members.iter().map(|u| f(u)).sum::<f64>() / count;
        let centre = [0, 1].map(|i| about(&|u| u[i]));
        let covariance = |i: usize, j: usize| about(&|u| (u[i] - centre[i]) * (u[j] - centre[j]));
        let spread = [0, 1].map(|i| covariance(i, i).sqrt());
        (
            [0, 1].map(|i| (centre[i] - mean[i]) / deviation[i]),
            [0, 1].map(|i| spread[i] / deviation[i]),
            covariance(0, 1) / spread[0] / spread[1],
        )
    };
    // By four steps of a quarter, or by as many as the misfit asks for until they add up to 1.
    let quarters = with(&["method.h=0.25", "run.steps=4", "method.perturb=true"]);
    let by_misfit = with(&[
        "method.h=1",
        "method.h_schedule=misfit",
        "run.end_time=1",
        "run.steps=60",
        "method.perturb=true",
    ]);
    // Of draws that are second-order exact all moments of a linear problem are, but for rounding.
    for (name, form) in [("exact", "factored"), ("exact rows", "explicit")] {
        let exact = by_misfit.clone().set("ensemble.second_order_exact=true");
        let (off, spread, correlated) = sampled(&exact.set(format!("method.form={form}")), name);
        assert!(off.iter().all(|x| x.abs() < 1e-6), "{off:?}");
        assert!(spread.iter().all(|x| (x - 1.0).abs() < 1e-6), "{spread:?}");
        assert!((correlated - correlation).abs() < 1e-6, "{correlated}");
    }
    for (name, run) in [("quarters", &quarters), ("by misfit", &by_misfit)] {
        // Of 2000 members a mean is off by 0.022 deviations, a deviation by 0.016 of itself; four times that.
        let (off, spread, correlated) = sampled(run, name);
        assert!(off.iter().all(|x| x.abs() < 0.09), "{name} {off:?}");
        let near = |x: &f64| (x - 1.0).abs() < 0.065;
        assert!(spread.iter().all(near), "{name} {spread:?}");
        assert!(
            (correlated - correlation).abs() < 0.05,
            "{name} {correlated} {correlation}"
        );
    }
    let (_, spread, _) = sampled(&quarters.set("method.perturb=false"), "not");
    assert!(spread.iter().all(|x| *x < 0.8), "{spread:?}");

    let whole = case.file("by misfit");
    let (reason, steps) = ending(&whole);
    assert!(
        reason == "end time" && (3..60).contains(&steps),
        "{reason} {steps}"
    );
    // Cut before its end, which it says, and resumed on other ranks; and resumed once more, when it is over.
    let cut = by_misfit.clone().set("run.steps=2");
    let (cut, ended) = case.finish(&cut, "cut");
    assert!(
        ended.stderr.contains("of run.end_time = 1") && ending(&cut).0 == "steps used up",
        "{}",
        ended.stderr
    );
    for ranks in [3, 1] {
        let mut command = by_misfit.on(ranks, 1).command(&cut);
        let ended = super::start::end(command.arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(
            (digest(&whole), ending(&whole)),
            (digest(&cut), ending(&cut))
        );
    }
}

/// With the prior's weight members draw together at the posterior's mode, which of a line with normal priors is its mean;
/// without, at the least squared error.
fn regularised() {
    let (mode, deviation, _) = line_posterior(LINE.0, LINE.1, LINE.2);
    let case = Case::new("line");
    let run = line_run(&case).set("method.h=100").set("run.steps=20");
    let off = |run: &super::start::Run, name: &str| {
        let (folder, _) = case.finish(run, name);
        let ends = found(&folder).into_iter().zip(mode).zip(deviation);
        ends.map(|((u, mode), deviation)| ((u - mode) / deviation).abs())
            .fold(0.0, f64::max)
    };
    let regular = run.clone().set("method.tikhonov=1");
    let (free, one) = (off(&run, "free"), off(&regular, "one"));
    assert!(free > 0.1, "{free}");
    assert!(one < 0.005, "{one}");
    for (form, ranks) in [("factored", 1), ("explicit", 3)] {
        let other = regular.clone().set(format!("method.form={form}"));
        let other = off(&other.on(ranks, 1), form);
        assert!(other < 0.005, "{form} {other}");
    }
    // Plain steps have the same end, more slowly.
    let plain = regular.set("method.kind=eki").set("method.h=1");
    let plain = plain.set("run.steps=400");
    let plain = off(&plain, "plain");
    assert!(plain < 0.05, "{plain}");
}

/// Sixty parameters by twenty members, which span nineteen directions: without localisation the misfit stays in the
/// thousands (4163 to 7332 with 20 and 30 members when this was written, of some 30 at the noise level).
fn localised() {
    let case = Case::new("chain");
    let truth: Vec<f64> = (0..60).map(|i| (0.7 * f64::from(i)).sin()).collect();
    let observed: Vec<String> = super::answers::chain(&truth)
        .iter()
        .zip([1.0, -1.0, -1.0].iter().cycle())
        .map(|(y, sign)| (y + sign * 0.05).to_string())
        .collect();
    std::fs::write(case.file("observed.txt"), observed.join("\n")).expect("a file");
    let run = case.run(&[
        "model.prior=[\"u[60] normal 0 1\"]",
        "method.kind=kalman",
        "method.h_schedule=misfit",
        "ensemble.members=20",
        "run.steps=20",
        "run.stop_at_misfit=1",
    ]);
    let off = |folder: &Path| {
        let squares = found(folder).into_iter().zip(&truth);
        let sum: f64 = squares.map(|(u, truth)| (u - truth).powi(2)).sum();
        (sum / 60.0).sqrt()
    };
    let (plain, _) = case.finish(&run, "plain");
    assert!(
        off(&plain) > 0.3 && ending(&plain).0 == "steps used up",
        "{}",
        off(&plain)
    );
    let run = run.set("method.localise=1");
    let (one, _) = case.finish(&run, "one");
    assert!(
        off(&one) < 0.1 && ending(&one).0 == "noise level",
        "{}",
        off(&one)
    );
    let (three, _) = case.finish(&run.on(3, 1), "three");
    assert_eq!(digest(&one), digest(&three));
}

fn recovered() {
    let case = Case::new("plain");
    let run = case.run(&["run.steps=25", "ensemble.members=32"]);
    let (one, ended) = case.finish(&run, "1");
    let mean = found(&one);
    // Least squares' own deviations at the truth are 0.013 and 0.025.
    assert!((mean[0] - TRUTH[0]).abs() < 0.04, "{mean:?}");
    assert!((mean[1] - TRUTH[1]).abs() < 0.08, "{mean:?}");
    assert!(ended.stdout.contains("  growth "), "{}", ended.stdout);
    for (ranks, threads) in [(1, 2), (2, 1), (3, 1)] {
        let (other, _) = case.finish(&run.on(ranks, threads), &format!("{ranks} {threads}"));
        assert_eq!(digest(&one), digest(&other), "{ranks} x {threads}");
        assert_eq!(mean, found(&other));
    }
    // The members' table, in the parameters' own units and within their bounds.
    let text = super::results::members_table(&one);
    assert!(
        text.starts_with("growth,capacity\n") && text.lines().count() == 33,
        "{text}"
    );
    let judged = super::start::end(super::start::alone().arg("evaluate").arg(&one));
    assert!(
        judged.stdout.contains("misfit at the mean"),
        "{}",
        judged.stderr
    );
}

fn failing() {
    let case = Case::new("failing");
    let run = case.run(&["ensemble.members=40", "run.steps=6"]);
    let (one, ended) = case.finish(&run, "1");
    let counts = failures(&one);
    assert!(counts.iter().sum::<u64>() > 20, "{counts:?}");
    for words in [
        "failed: an unlucky member",
        "an output 4 that is not finite",
        "holds 2 numbers",
        "was ended by SIGABRT",
    ] {
        assert!(
            ended.stderr.contains(words),
            "no {words:?} in {}",
            ended.stderr
        );
    }
    let log = std::fs::read_to_string(one.join("run.log")).expect("a log");
    let words = "ended with exit code 3; its last words: simulator: out of cheese";
    assert!(log.contains(words), "{log}");
    let (three, ended) = case.finish(&run.on(3, 1), "3");
    assert_eq!((digest(&one), counts), (digest(&three), failures(&three)));
    assert!(
        ended.stderr.contains("eki-mpi: rank 1 on host "),
        "{}",
        ended.stderr
    );
}

fn hanging() {
    let case = Case::new("hanging");
    let run = case.run(&["model.timeout=400ms", "run.steps=1", "run.best=never"]);
    let (out, ended) = case.finish(&run, "1");
    assert!(failures(&out)[0] > 0);
    assert!(
        ended.stderr.contains("no answer in the time allowed"),
        "{}",
        ended.stderr
    );
    all_gone(&case.marks());
}

fn killed() {
    let (plain, killed) = (Case::new("plain"), Case::new("killed"));
    let (a, _) = plain.finish(&plain.run(&[]), "1");
    let (b, _) = killed.finish(&killed.run(&[]), "1");
    let (c, _) = killed.finish(&killed.run(&[]).on(2, 1), "2");
    assert!(killed.marks().len() > 20, "{:?}", killed.marks());
    assert_eq!((digest(&a), digest(&a)), (digest(&b), digest(&c)));
    assert_eq!(failures(&b), [0; 12]);
}

fn resumed() {
    let case = Case::new("failing");
    let (whole, _) = case.finish(&case.run(&[]), "whole");
    for (first, second) in [(1, 3), (2, 1)] {
        let name = format!("{first} then {second}");
        let (out, _) = case.finish(&case.run(&["run.steps=5"]).on(first, 1), &name);
        let mut command = case.run(&[]).on(second, 1).command(&out);
        let ended = super::start::end(command.arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("going on from step 5"),
            "{}",
            ended.stderr
        );
        assert_eq!(digest(&whole), digest(&out), "{name}");
    }
    // Other observations under the same name are another run: refused, and taken up again once the old ones are back.
    let (out, _) = case.finish(&case.run(&["run.steps=5"]), "other data");
    let observed = std::fs::read_to_string(case.file("observed.txt")).unwrap();
    let go_on = || super::start::end(case.run(&[]).command(&out).arg("--resume"));
    std::fs::write(case.file("observed.txt"), observed.replacen('0', "1", 1)).unwrap();
    let ended = go_on();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.complaints()[0].contains("on other data"), "{ended:?}");
    std::fs::write(case.file("observed.txt"), observed).unwrap();
    let ended = go_on();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(digest(&whole), digest(&out));
}

fn launcher() {
    let case = Case::new("launcher");
    let (out, _) = case.finish(&case.run(&["run.steps=2"]).on(2, 1), "2");
    assert_eq!(failures(&out), [0, 0]);
    // As in a step of a Slurm job.
    let out = case.file("step");
    let mut command = case.run(&["run.steps=2"]).command(&out);
    command.env("SLURM_STEP_ID", "0").env("SLURM_LOCALID", "0");
    assert_eq!(super::start::end(&mut command).code, 0);
    assert_eq!(failures(&out), [0, 0]);
}

fn dressed() {
    let plain = Case::new("plain");
    let (a, _) = plain.finish(&plain.run(&["run.steps=3"]), "1");
    for kind in ["fortran", "flood"] {
        let case = Case::new(kind);
        let (b, _) = case.finish(&case.run(&["run.steps=3"]), "1");
        assert_eq!(digest(&a), digest(&b), "{kind}");
    }
}

/// Whether process `id` runs.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // After the name in brackets comes the state; Z waits to be forgotten.
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z")
}

/// Waits until all of `processes` are gone.
pub fn all_gone(processes: &[String]) {
    assert!(!processes.is_empty());
    let start = Instant::now();
    while let Some(id) = processes.iter().find(|id| runs(id)) {
        assert!(start.elapsed() < Duration::from_secs(20), "{id} still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ends() {
    // One that does not end at the end of its input.
    let case = Case::new("stubborn");
    case.finish(&case.run(&["run.steps=1"]), "1");
    all_gone(&case.marks());
    // Ranks that are killed in the midst of it, by a signal they cannot hear.
    let case = Case::new("slow");
    let run = case
        .run(&["run.steps=100000", "run.evaluate_every=0"])
        .on(2, 2);
    let mut command = run.command(&case.file("out"));
    let mut launcher = command
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("mpirun");
    let start = Instant::now();
    let steps =
        || std::fs::metadata(case.file("out/metrics.jsonl")).is_ok_and(|file| file.len() > 0);
    // Metrics are buffered: the children's marks tell, too. Two threads of two ranks, after one probe and one start.
    while !steps() && case.marks().len() < 5 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{:?}",
            case.marks()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let ranks = super::start::rank_processes(launcher.id());
    assert_eq!(ranks.len(), 2, "{ranks:?}");
    for rank in &ranks {
        let _ = std::process::Command::new("kill")
            .args(["-KILL", &rank.to_string()])
            .status();
    }
    let _ = launcher.wait();
    all_gone(&case.marks());
}

fn other_forms() {
    let case = Case::new("plain");
    let sets = [
        &["ensemble.rerandomise=step", "ensemble.gamma=0.05"][..],
        &["run.precision=single", "method.momentum=true"],
    ];
    for (i, sets) in sets.iter().enumerate() {
        let run = case.run(sets);
        let (one, _) = case.finish(&run, &format!("{i} on 1"));
        let (two, _) = case.finish(&run.on(2, 1), &format!("{i} on 2"));
        assert_eq!(digest(&one), digest(&two), "{sets:?}");
        assert_eq!(found(&one), found(&two));
    }
}
