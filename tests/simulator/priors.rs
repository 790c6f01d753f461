//! Priors in the parameters' own units: every law through a whole run, in a list or a file, and what is refused.

use std::path::Path;

use super::answers::observed;
use super::results::{array, members};
use super::start::{Run, alone, end, write_npy};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    ("a_table_of_priors_is_the_list_it_stands_for", listed),
    (
        "tied_and_fixed_parameters_need_no_column_of_first_members",
        fed_back,
    ),
    (
        "members_drawn_later_have_the_covariance_of_a_sample_that_is_the_prior",
        sampled,
    ),
    (
        "a_sample_as_the_prior_leads_to_the_posterior_by_its_covariance",
        held,
    ),
    ("free_parameters_alone_are_moved_by_check_model", checked),
    ("priors_that_cannot_be_are_refused_in_one_line", refused),
    ("correlated_priors_lead_to_the_exact_posterior", correlated),
    (
        "a_correlated_prior_has_the_same_bits_on_any_ranks_and_is_kept",
        same_bits,
    ),
    (
        "matrices_that_do_not_fit_the_prior_are_refused_in_one_line",
        wrong_matrices,
    ),
];

/// A bounded capacity, and a growth tied to it.
const TABLE: &str = "name,law,lower,upper,mean,deviation,other,factor\n\
                     growth,tied,,,,,capacity,1/4\n\
                     capacity,bounded,0.5,10,3,1,,\n";
const LIST: &str = "model.prior=[\"growth tied capacity 1/4\", \"capacity bounded 3 1 0.5 10\"]";

fn listed() {
    let case = Case::new("plain");
    let table = case.file("prior.csv");
    std::fs::write(&table, TABLE).expect("a file");
    let with = |set: &str| case.run(&["run.steps=3", set]);
    let by_table = format!("model.prior={:?}", table.display().to_string());
    let (first, _) = case.finish(&with(&by_table), "table");
    for ranks in [1, 2, 3, 5] {
        let name = format!("list {ranks}");
        let (list, _) = case.finish(&with(LIST).on(ranks, 1), &name);
        assert_eq!(digest(&list), digest(&first), "{ranks}");
    }
    // The run's configuration holds the prior itself.
    let text = std::fs::read_to_string(first.join("config.toml")).expect("config.toml");
    assert!(
        text.contains("\"growth tied capacity 1/4\", \"capacity bounded 3 1 0.5 10\""),
        "{text}"
    );
    let table_of = |text: &str| std::fs::write(&table, text).expect("a file");
    let go_on = |steps: &str| {
        let run = case.run(&[steps, &by_table]).on(2, 1);
        end(run.command(&first).arg("--resume"))
    };
    table_of(&TABLE.replace(",3,1,", ",3,2,"));
    let ended = go_on("run.steps=5");
    let complaint = ended.complaints()[0];
    assert!(
        ended.code == 2 && complaint.contains("model.prior = "),
        "{complaint}"
    );
    table_of(TABLE);
    assert_eq!(go_on("run.steps=5").code, 0);
    let (whole, _) = case.finish(&case.run(&["run.steps=5", LIST]), "whole");
    assert_eq!(digest(&whole), digest(&first));
    for u in members(&first) {
        assert!(
            (u[0] - 0.25 * u[1]).abs() < 1e-15 && (0.5..=10.0).contains(&u[1]),
            "{u:?}"
        );
    }
    let mean = array(&first.join("final/mean.npy"));
    assert!((mean[0] - 0.25 * mean[1]).abs() < 1e-12, "{mean:?}");
    // The page draws the prior of each, a tied one's by that it is tied to.
    let page = case.file("page.html");
    let ended = end(alone().arg("report").arg(&first).arg("--out").arg(&page));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("growth") && !html.contains("No prior is shown"));
}

fn fed_back() {
    let case = Case::new("plain");
    let (out, _) = case.finish(
        &case.run(&["run.steps=3", LIST, "ensemble.members=6"]),
        "first",
    );
    let own = members(&out);
    let begun = |path: &Path, name: &str| {
        let set = format!("ensemble.initial={}", path.display());
        let run = case
            .run(&["run.steps=1", LIST, "ensemble.members=6"])
            .set(set);
        digest(&case.finish(&run, name).0)
    };
    let by_array = begun(&out.join("final/ensemble.npy"), "array");
    let tables = [
        (
            "all",
            "capacity,growth\n",
            own.iter()
                .map(|u| format!("{:?},{:?}\n", u[1], u[0]))
                .collect::<String>(),
        ),
        (
            "free",
            "capacity\n",
            own.iter().map(|u| format!("{:?}\n", u[1])).collect(),
        ),
    ];
    for (name, head, rows) in tables {
        let path = case.file(name).with_extension("csv");
        std::fs::write(&path, head.to_owned() + &rows).expect("a file");
        assert_eq!(begun(&path, name), by_array, "{name}");
    }
    let path = case.file("wrong.csv");
    for (text, words) in [
        (
            "growth,capacity\n0.5,2\n0.5,3\n",
            &["row 2, growth = 0.5", "0.25 times capacity"][..],
        ),
        (
            "other,capacity\n7,2\n7,3\n",
            &["has a column \"other\", which is no parameter"],
        ),
        ("growth\n0.5\n0.5\n", &["has 0 columns named \"capacity\""]),
        (
            "capacity,capacity\n2,2\n3,3\n",
            &["has 2 columns named \"capacity\""],
        ),
    ] {
        std::fs::write(&path, text).expect("a file");
        let set = format!("ensemble.initial={}", path.display());
        let run = case.run(&[LIST, "ensemble.members=2"]).set(set);
        let ended = end(&mut run.command(&case.file("a/run")));
        let complaint = ended.complaints()[0];
        assert_eq!(ended.code, 2, "{complaint}");
        for word in words {
            assert!(complaint.contains(word), "{complaint}");
        }
        assert!(!case.file("a").exists());
    }
}

/// First members on a line, slope = 2 level, are the prior: redrawn and joining members stay on it, on any number of ranks and where the
/// run is resumed; by the laws they leave it.
fn sampled() {
    let case = Case::new("line");
    let first = [-0.6, 0.1, 0.5, 0.9, 1.3, 0.2, -0.3, 0.8];
    let rows: String = first.iter().map(|u| format!("{u},{}\n", 2.0 * u)).collect();
    let path = case.file("first.csv");
    std::fs::write(&path, "level,slope\n".to_owned() + &rows).expect("a file");
    let initial = format!("ensemble.initial={}", path.display());
    let fixed = [
        "model.prior=[\"level normal 0 1\", \"slope normal 0 1\"]",
        "ensemble.members=8",
        "ensemble.grow_to=11",
        "ensemble.rerandomise=step",
        "ensemble.rerandomise_every=2",
        "ensemble.gamma=0.3",
        "method.kind=kalman",
        "method.h_schedule=level",
        "run.stop_at_misfit=0",
        "run.steps=5",
        "checkpoint.every_steps=1",
        &initial,
    ];
    let run = case.run(&fixed);
    let (out, ended) = case.finish(&run, "one");
    let words = "goes by the covariance of the 8 first members";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let off = |out: &Path| {
        let apart = members(out).into_iter().map(|u| (u[1] - 2.0 * u[0]).abs());
        apart.fold(0.0, f64::max)
    };
    assert_eq!(members(&out).len(), 11);
    assert!(off(&out) < 1e-9, "{}", off(&out));
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &format!("on{ranks}"));
        assert_eq!(digest(&other), digest(&out), "{ranks}");
    }
    // Cut where a redraw is due, or after one, and resumed on other ranks.
    let alone = run.clone().set("ensemble.grow_to=0");
    let (whole, _) = case.finish(&alone, "whole");
    for steps in [2, 3] {
        let name = format!("cut {steps}");
        let (cut, _) = case.finish(
            &alone.clone().on(2, 1).set(format!("run.steps={steps}")),
            &name,
        );
        let ended = end(alone.clone().on(3, 1).command(&cut).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&cut), digest(&whole), "{steps}");
    }
    let (laws, _) = case.finish(&run.clone().set("ensemble.prior=laws"), "laws");
    assert!(off(&laws) > 1e-3);
    let plain = run.clone().set("ensemble.rerandomise=never");
    let additive = plain.set("ensemble.inflation={ kind = \"additive\", variance = 0.1 }");
    let (added, _) = case.finish(&additive, "additive");
    assert!(off(&added) < 1e-9, "{}", off(&added));
    assert_eq!(
        digest(&case.finish(&additive.clone().on(5, 1), "additive 5").0),
        digest(&added)
    );
    let refuse = |sets: &[&str], words: &[&str]| {
        let run = sets.iter().fold(run.clone(), |run, set| run.set(*set));
        case.refused(&end(&mut run.command(&case.file("a/run"))), words);
    };
    refuse(
        &["method.tikhonov=1"],
        &["first.csv", "covariance of these members has no inverse"],
    );
    refuse(
        &["method.tikhonov=1", "ensemble.members=2"],
        &["ensemble.members", "must be at least 3", "method.tikhonov"],
    );
    refuse(
        &["ensemble.prior=sample", "ensemble.rerandomise_every=1"],
        &["ensemble.prior", "\"sample\" needs"],
    );
}

/// First members with a correlation that the laws of the prior lack lead to the posterior by their own covariance: by the prior's part of
/// the misfit, by the sampler with it, and as the laws do not.
fn held() {
    let (case, run) = correlated_line("line");
    let exact = posterior();
    let points = exact_points(&case);
    let text = std::fs::read_to_string(&points).expect("a table");
    let (head, rows) = text.split_once('\n').expect("lines");
    let many = case.file("many.csv");
    std::fs::write(&many, format!("{head}\n{}", rows.repeat(50))).expect("a file");
    let run = run
        .set("model.prior_correlation=\"\"")
        .set("model.prior=[\"level normal 0 20\", \"slope normal 0 20\"]")
        .set("run.stop_at_misfit=0");
    let from = |path: &Path, count: usize, sets: &[&str]| {
        let run = run
            .clone()
            .set(format!("ensemble.initial={}", path.display()))
            .set(format!("ensemble.members={count}"));
        sets.iter().fold(run, |run, set| run.set(*set))
    };
    let to_mode = [
        "method.kind=kalman",
        "method.tikhonov=1",
        "run.steps=40",
        "method.h=100",
    ];
    let off = |out: &Path| {
        let mean = array(&out.join("final/mean.npy"));
        let off = (0..2).map(|i| (mean[i] - exact.0[i]).abs() / exact.1[i].sqrt());
        off.fold(0.0, f64::max)
    };
    let mode = from(&points, 4, &to_mode);
    let (out, _) = case.finish(&mode, "mode");
    assert!(off(&out) < 5e-3, "{}", off(&out));
    for ranks in [2, 3, 5] {
        let (other, _) = case.finish(&mode.clone().on(ranks, 1), &format!("mode {ranks}"));
        assert_eq!(digest(&other), digest(&out), "{ranks}");
    }
    let (cut, _) = case.finish(&mode.clone().on(2, 1).set("run.steps=3"), "cut");
    let ended = end(mode.clone().on(3, 1).command(&cut).arg("--resume"));
    assert_eq!((ended.code, digest(&cut)), (0, digest(&out)));
    let (laws, _) = case.finish(&mode.set("ensemble.prior=laws"), "laws");
    assert!(off(&laws) > 0.1, "{}", off(&laws));
    // 200 members: a mean is off by 1/14 of a deviation, a variance by a tenth; four times that.
    let aldi = [
        "method.kind=aldi",
        "method.h=0.1",
        "method.h_schedule=level",
        "run.steps=80",
    ];
    let (out, _) = case.finish(&from(&many, 200, &aldi), "aldi");
    let found = members(&out);
    assert!(moments_apart(&found) < 0.4, "{}", moments_apart(&found));
    let text = std::fs::read_to_string(out.join("final/parameters.csv")).expect("a table");
    let heading: Vec<&str> = text.lines().next().expect("a line").split(',').collect();
    let place = heading.iter().position(|name| *name == "contraction");
    let fields: Vec<&str> = text.lines().nth(1).expect("a line").split(',').collect();
    let contraction: f64 = fields[place.expect("a column")].parse().expect("a number");
    let wanted = 1.0 - exact.1[0] / covariance()[0];
    assert!(
        (contraction - wanted).abs() < 0.4 * (1.0 - wanted),
        "{contraction} {wanted}"
    );
}

fn checked() {
    let case = Case::new("plain");
    let mut command = alone();
    command.arg("check-model").arg(case.file("mine.toml"));
    let ended = end(command.args(["--set", LIST]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|l| l.contains("outputs move by"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", ended.stdout);
    assert!(
        lines[0].contains("capacity in 2.") && ended.stdout.contains("2 parameters (1 free), "),
        "{}",
        lines[0]
    );
}

fn refused() {
    let case = Case::new("plain");
    let table = case.file("prior.csv");
    let refuse = |set: &str, words: &[&str]| {
        let run = case.run(&[set]);
        let ended = end(&mut run.command(&case.file("a/run")));
        case.refused(&ended, words);
    };
    for (prior, words) in [
        ("a fixed 1\", \"b tied a 2", "must leave a parameter free"),
        ("a gamma 1 2", "not \"gamma\""),
        ("a bounded 0.5 1 1 inf", "a mean between the bounds"),
        ("a bounded 0.5 0.6 0 1", "a deviation of less than 0.496"),
        (
            "a tied b 1\", \"b tied a 1",
            "not tie parameters in a circle",
        ),
        ("a tied c 1\", \"b normal 0 1", "not to \"c\""),
    ] {
        let prior = format!("model.prior=[\"{prior}\"]");
        refuse(&prior, &["--set: model.prior = [", words]);
    }
    let by_table = format!("model.prior={:?}", table.display().to_string());
    refuse(&by_table, &["prior.csv"]);
    std::fs::write(&table, TABLE.replace("bounded", "bound")).expect("a file");
    refuse(
        &by_table,
        &[
            "prior.csv: ",
            "line 3: capacity: the law \"bound\" must be one of",
        ],
    );
    std::fs::write(&table, TABLE.replace("0.5,10,3", "3.5,10,3")).expect("a file");
    refuse(&by_table, &["model.prior = ", "a mean between the bounds"]);
}

/// A line's prior means and deviations, their correlation, and the variance of the noise on it.
const MEANS: [f64; 2] = [1.0, 0.0];
const DEVIATIONS: [f64; 2] = [0.5, 0.3];
const CORRELATION: f64 = -0.9;
const NOISE: f64 = 4.0;

/// A line whose level and slope are correlated by the matrix in `correlation.csv`, by one step to the posterior; its simulator is of
/// `kind`.
pub fn correlated_line(kind: &str) -> (Case, Run) {
    let case = Case::new(kind);
    let path = case.file("correlation.csv");
    std::fs::write(&path, "name,slope,level\nlevel,-0.9,1\nslope,1,-0.9\n").expect("a file");
    let run = case.run(&[
        "model.prior=[\"level normal 1 0.5\", \"slope normal 0 0.3\"]",
        "method.kind=etki",
        "method.noise=4",
        "method.h=1",
        "run.steps=1",
    ]);
    let run = run.set(format!(
        "model.prior_correlation={:?}",
        path.display().to_string()
    ));
    (case, run)
}

/// The prior's covariance, as its two variances and the entry beside them.
fn covariance() -> [f64; 3] {
    let [a, b] = DEVIATIONS;
    [a * a, b * b, CORRELATION * a * b]
}

/// The inverse of a 2 x 2 matrix given as in `covariance`.
fn inverse([a, b, c]: [f64; 3]) -> [f64; 3] {
    let by = a * b - c * c;
    [b / by, a / by, -c / by]
}

/// The exact posterior's mean and covariance.
fn posterior() -> ([f64; 2], [f64; 3]) {
    let prior = inverse(covariance());
    let mut precision = prior;
    let [m, n] = MEANS;
    let mut weighted = [prior[0] * m + prior[2] * n, prior[2] * m + prior[1] * n];
    for (month, y) in observed().into_iter().enumerate() {
        let x = month as f64;
        for (sum, term) in precision.iter_mut().zip([1.0, x * x, x]) {
            *sum += term / NOISE;
        }
        weighted[0] += y / NOISE;
        weighted[1] += x * y / NOISE;
    }
    let c = inverse(precision);
    let mean = [
        c[0] * weighted[0] + c[2] * weighted[1],
        c[2] * weighted[0] + c[1] * weighted[1],
    ];
    (mean, c)
}

/// The mean and covariance, of divisor J, of members.
fn moments(members: &[Vec<f64>]) -> ([f64; 2], [f64; 3]) {
    let share = 1.0 / members.len() as f64;
    let about = |f: &dyn Fn(&[f64]) -> f64| members.iter().map(|u| share * f(u)).sum::<f64>();
    let [m, n] = [0, 1].map(|i| about(&|u| u[i]));
    let c =
        [(0, 0), (1, 1), (0, 1)].map(|(i, j)| about(&|u| (u[i] - [m, n][i]) * (u[j] - [m, n][j])));
    ([m, n], c)
}

/// How far a mean and covariance lie from others, in deviations and variances of those.
fn apart(found: ([f64; 2], [f64; 3]), wanted: ([f64; 2], [f64; 3])) -> f64 {
    let (mean, [a, b, c]) = wanted;
    let size = [a, b, (a * b).sqrt()];
    let means = (0..2).map(|i| (found.0[i] - mean[i]).abs() / size[i].sqrt());
    let entries = (0..3).map(|i| (found.1[i] - [a, b, c][i]).abs() / size[i]);
    means.chain(entries).fold(0.0, f64::max)
}

/// Four points whose mean and covariance are the prior's: ubar +- sqrt(2) L e_i, L the Cholesky factor of the covariance.
fn points() -> Vec<[f64; 2]> {
    let [variance, _, beside] = covariance();
    let first = variance.sqrt();
    let factor = [
        [first, beside / first],
        [
            0.0,
            DEVIATIONS[1] * (1.0 - CORRELATION * CORRELATION).sqrt(),
        ],
    ];
    let points = factor.iter().flat_map(|l| {
        [1.0, -1.0].map(|sign| [0, 1].map(|i| MEANS[i] + sign * 2_f64.sqrt() * l[i]))
    });
    points.collect()
}

/// Writes `points` to a table of first members.
pub fn exact_points(case: &Case) -> std::path::PathBuf {
    let points = points();
    let path = case.file("points.csv");
    let rows: String = points
        .iter()
        .map(|u| format!("{:?},{:?}\n", u[1], u[0]))
        .collect();
    std::fs::write(&path, format!("slope,level\n{rows}")).expect("a file");
    path
}

/// How far the mean and covariance of `members` lie from those of the exact posterior.
pub fn moments_apart(members: &[Vec<f64>]) -> f64 {
    apart(moments(members), posterior())
}

/// Members whose mean and covariance are the prior's own lead to the posterior exactly; drawn ones within their sampling error.
fn correlated() {
    let (case, run) = correlated_line("line");
    let exact = posterior();
    let path = exact_points(&case);
    let points = points();
    let from = |run: Run| {
        run.set(format!("ensemble.initial={}", path.display()))
            .set("ensemble.members=4")
    };
    let (out, _) = case.finish(&from(run.clone()), "exact");
    let off = apart(moments(&members(&out)), exact);
    assert!(off < 1e-6, "{off}");
    // Unmoved, by a noise that drowns the observations, they are what the file holds.
    let (out, _) = case.finish(&from(run.clone()).set("method.noise=1e30"), "unmoved");
    for (u, point) in members(&out).iter().zip(&points) {
        assert!(
            u.iter().zip(point).all(|(a, b)| (a - b).abs() < 1e-12),
            "{u:?} {point:?}"
        );
    }
    let drawn = run.clone().set("ensemble.members=800");
    let (out, _) = case.finish(&drawn.on(2, 1), "drawn");
    let off = apart(moments(&members(&out)), exact);
    // Of 800 members a variance is off by 0.05 of itself; four times that.
    assert!(off < 0.2, "{off}");
    // With the prior's weight in the misfit members draw together at the posterior's mode, which here is its mean.
    let to_mode = run
        .set("method.kind=kalman")
        .set("method.tikhonov=1")
        .set("run.steps=40")
        .set("method.h=100");
    let (out, _) = case.finish(&to_mode.set("ensemble.members=40"), "mode");
    let mean = array(&out.join("final/mean.npy"));
    for i in 0..2 {
        assert!(
            (mean[i] - exact.0[i]).abs() < 5e-3 * exact.1[i].sqrt(),
            "{mean:?} {exact:?}"
        );
    }
}

fn same_bits() {
    let (case, run) = correlated_line("line");
    let run = run.set("run.steps=3").set("method.h=0.3");
    let (whole, _) = case.finish(&run, "1");
    for ranks in [2, 3, 5] {
        let (other, _) = case.finish(&run.on(ranks, 1), &ranks.to_string());
        assert_eq!(digest(&other), digest(&whole), "{ranks}");
    }
    // The same matrix as an array, or as a covariance.
    let path = case.file("r.npy");
    write_npy(&path, &[2, 2], &[1.0, CORRELATION, CORRELATION, 1.0]);
    let by_array = run.clone().set(format!(
        "model.prior_correlation={:?}",
        path.display().to_string()
    ));
    assert_eq!(digest(&case.finish(&by_array, "array").0), digest(&whole));
    // A run goes on by its own folder, with the copy there.
    let (out, _) = case.finish(&run.clone().set("run.steps=1"), "cut");
    let table = case.file("correlation.csv");
    let text = std::fs::read_to_string(&table).expect("a table");
    assert_eq!(
        std::fs::read_to_string(out.join("prior_matrix.csv")).expect("a copy"),
        text
    );
    std::fs::write(&table, text.replace("-0.9", "-0.8")).expect("a file");
    let ended = end(run.command(&out).arg("--resume"));
    assert!(
        ended.code == 2 && ended.complaints()[0].contains("prior's matrix"),
        "{}",
        ended.stderr
    );
    std::fs::write(&table, text).expect("a file");
    let ended = end(run.on(2, 1).command(&out).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(digest(&out), digest(&whole));
    std::fs::remove_file(&table).expect("a file");
    let page = case.file("page.html");
    let ended = end(alone().arg("report").arg(&out).arg("--out").arg(&page));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

fn wrong_matrices() {
    let (case, run) = correlated_line("line");
    let path = case.file("correlation.csv");
    let refuse = |run: &Run, words: &[&str]| {
        let ended = end(&mut run.command(&case.file("a/run")));
        case.refused(&ended, words);
    };
    refuse(
        &run.clone().set("model.prior_correlation=\"none.csv\""),
        &["none.csv"],
    );
    refuse(
        &run.clone().set("model.prior_covariance=\"c.csv\""),
        &["model.prior_covariance = ", "must be \"\" where"],
    );
    for (text, words) in [
        (
            "level,slope\n1,0.5\n0.4,1\n",
            "be symmetric: it has 0.4 and 0.5 for slope and level",
        ),
        ("level,slope\n1,1\n1,1\n", "be positive definite: slope"),
        ("level,slop\n1,0\n0,1\n", "not \"slop\""),
        ("level,slope\n1,0\n", "not 1 rows"),
    ] {
        std::fs::write(&path, text).expect("a file");
        refuse(&run, &["model.prior_correlation = ", words]);
    }
    let array = case.file("r.npy");
    write_npy(
        &array,
        &[3, 3],
        &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    );
    let by_array = run.set(format!(
        "model.prior_correlation={:?}",
        array.display().to_string()
    ));
    refuse(&by_array, &["2 x 2", "not of 3 x 3"]);
}
