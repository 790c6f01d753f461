//! Priors in the parameters' own units: every law through a whole run, in a list or a file, and what is refused.

use std::path::Path;

use super::results::{array, members};
use super::start::{alone, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    ("a_table_of_priors_is_the_list_it_stands_for", listed),
    (
        "tied_and_fixed_parameters_need_no_column_of_first_members",
        fed_back,
    ),
    ("free_parameters_alone_are_moved_by_check_model", checked),
    ("priors_that_cannot_be_are_refused_in_one_line", refused),
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
            "other,capacity\n",
            own.iter().map(|u| format!("7,{:?}\n", u[1])).collect(),
        ),
    ];
    for (name, head, rows) in tables {
        let path = case.file(name).with_extension("csv");
        std::fs::write(&path, head.to_owned() + &rows).expect("a file");
        assert_eq!(begun(&path, name), by_array, "{name}");
    }
    let path = case.file("wrong.csv");
    std::fs::write(&path, "growth,capacity\n0.5,2\n0.5,3\n").expect("a file");
    let set = format!("ensemble.initial={}", path.display());
    let run = case.run(&[LIST, "ensemble.members=2"]).set(set);
    let ended = end(&mut run.command(&case.file("a/run")));
    let complaint = ended.complaints()[0];
    assert_eq!(ended.code, 2, "{complaint}");
    assert!(
        complaint.contains("row 2, growth = 0.5") && complaint.contains("0.25 times capacity"),
        "{complaint}"
    );
    assert!(!case.file("a").exists());
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
        lines[0].contains("capacity in 2.") && ended.stdout.contains("2 parameters"),
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
        let complaints = ended.complaints();
        assert_eq!(
            (ended.code, complaints.len()),
            (2, 1),
            "{set}: {}",
            ended.stderr
        );
        for word in words {
            assert!(complaints[0].contains(word), "{word:?}: {}", complaints[0]);
        }
        assert!(!case.file("a").exists(), "{set}");
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
