//! Random fields as priors: every number of ranks and threads, resumption, what users are shown, and what is refused.

use eki_mpi::io::run_folder::history::{History, step_folder};

use super::history;
use super::results::{array, members};
use super::start::{Run, alone, end};
use super::stored::{complaint, printed, text};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "a_field_has_the_same_bits_on_any_ranks_and_goes_on",
        same_bits,
    ),
    ("a_field_is_shown_in_its_own_unit_and_by_its_cells", shown),
    (
        "a_field_with_modes_begins_from_members_in_its_own_unit",
        fed_back,
    ),
    ("a_field_has_a_history_on_any_ranks", kept),
    ("what_does_not_work_with_a_field_is_refused_or_said", unfit),
];

/// The cells of the field, and a parameter beside it: as many outputs as both.
const OUTPUTS: usize = 31;

/// A field on 6 x 5 cells, with more words of its law, and an offset.
fn field(more: &str) -> (Case, Run) {
    let case = Case::new("chain");
    let observed: Vec<String> = (0..OUTPUTS)
        .map(|i| format!("{}", 1.5 + 0.5 * (i as f64 / 3.0).sin()))
        .collect();
    std::fs::write(case.file("observed.txt"), observed.join("\n")).expect("a file");
    let run = case.run(&[
        "run.steps=3",
        "method.kind=kalman",
        "method.noise=0.1",
        "ensemble.members=12",
    ]);
    let prior = format!(
        "model.prior=[\"kappa[6,5] matern of log 1.5 3,2 0 0.5{more}\", \"offset normal 0 1\"]"
    );
    (case, run.set(prior))
}

fn same_bits() {
    for (more, splits) in [
        ("", &[(1, 2), (2, 1), (3, 2), (5, 1)][..]),
        (" modes 7", &[(3, 2)]),
    ] {
        let (case, run) = field(more);
        let (whole, _) = case.finish(&run, "whole");
        for &(ranks, threads) in splits {
            let name = format!("{ranks} {threads}");
            let (other, _) = case.finish(&run.on(ranks, threads), &name);
            assert_eq!(digest(&other), digest(&whole), "{more} {name}");
        }
        let (cut, _) = case.finish(&run.clone().set("run.steps=1"), "cut");
        assert_ne!(digest(&cut), digest(&whole));
        let ended = end(run.on(2, 1).command(&cut).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&cut), digest(&whole), "{more}");
    }
}

fn shown() {
    let (case, run) = field("");
    let (out, ended) = case.finish(&run, "run");
    assert!(
        ended
            .stderr
            .contains("field kappa: 6 x 5 cells, white noise on "),
        "{}",
        ended.stderr
    );
    let text = std::fs::read_to_string(out.join("final/parameters.csv")).expect("a table");
    let names: Vec<&str> = text.lines().filter_map(|l| l.split(',').next()).collect();
    assert_eq!(text.lines().count(), 1 + OUTPUTS);
    assert!(names[1].starts_with("\"kappa[1"), "{}", names[1]);
    assert!(text.contains("\n\"kappa[6,5]\",") && text.contains("\noffset,"));
    // The mean field is the members' mean of each cell, in its own unit.
    let own = members(&out);
    let mean = array(&out.join("final/mean.npy"));
    for (cell, mean) in mean.iter().enumerate() {
        let of_members = own.iter().map(|u| u[cell]).sum::<f64>() / own.len() as f64;
        assert!((mean - of_members).abs() < 1e-12, "{cell}");
        assert!(cell == OUTPUTS - 1 || *mean > 0.0);
    }
    let page = case.file("page.html");
    let ended = end(alone().arg("report").arg(&out).arg("--out").arg(&page));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("kappa: mean") && html.contains("kappa: deviation"));
    assert!(!html.contains("kappa[1,1]") && html.contains("offset"));
    let mut command = alone();
    command.arg("check-model").arg(case.file("mine.toml"));
    let sets = run.sets.iter().flat_map(|set| ["--set", set]);
    let ended = end(command.args(sets));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in [
        "kappa (all cells) in 0.60",
        "field kappa: ",
        "31 parameters (",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    let mut command = alone();
    command.arg("plan").arg(case.file("mine.toml"));
    let sets = run.sets.iter().flat_map(|set| ["--set", set]);
    let ended = end(command.args(sets).args(["--ranks", "2"]));
    assert!(ended.stdout.contains("field kappa: "), "{}", ended.stdout);
}

fn fed_back() {
    let (case, run) = field(" modes 7");
    let (out, _) = case.finish(&run, "first");
    let initial = format!(
        "ensemble.initial={}",
        out.join("final/members.csv").display()
    );
    let unmoved = run.clone().set(initial.clone()).set("method.noise=1e30");
    let (again, _) = case.finish(&unmoved.set("run.steps=1"), "again");
    for (u, v) in members(&out).iter().zip(members(&again)) {
        let apart = u.iter().zip(v).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-9);
    }
    let (case, run) = field("");
    let ended = end(&mut run.set(initial).command(&case.file("a/run")));
    let complaint = ended.complaints()[0];
    assert!(
        ended.code == 2 && complaint.contains("cannot hold members of the field kappa"),
        "{complaint}"
    );
    assert!(!case.file("a").exists());
}

fn kept() {
    let (case, run) = field("");
    let more = [
        "output.history=all",
        "checkpoint.every_steps=1",
        "checkpoint.keep=9",
    ];
    let run = more.iter().fold(run, |run, set| run.set(*set));
    let (out, ended) = case.finish(&run, "one");
    assert!(
        ended.stdout.contains("predictive check"),
        "{}",
        ended.stdout
    );
    let whole = history::files(&out);
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &format!("on {ranks}"));
        assert!(history::files(&other) == whole, "{ranks} ranks");
    }
    // A name with a comma is one column.
    let found = History::open(&out).expect("sound").expect("there");
    let table = std::fs::read_to_string(step_folder(&out, 0).join("parameters.csv")).expect("text");
    let heading: Vec<String> = found
        .parameter_names()
        .iter()
        .map(|name| match name.contains(',') {
            true => format!("\"{name}\""),
            false => name.clone(),
        })
        .collect();
    assert_eq!(heading[29..], ["\"kappa[6,5]\"", "offset"]);
    assert_eq!(table.lines().next(), Some(&*heading.join(",")));
    // Cells in their own unit, and what the simulator gave there.
    let (u, z) = (found.parameters(1).unwrap(), found.outputs(1).unwrap());
    for (u, z) in u.rows().into_iter().zip(z.rows()) {
        assert_eq!(z.to_vec(), super::answers::chain(&u.to_vec()));
        assert!(u.iter().take(30).all(|kappa| *kappa > 0.0));
    }
    history::kill(&out, 3);
    history::resume(&run, &out, 2);
    assert!(history::files(&out) == whole);
    for ranks in [1, 3] {
        let told = printed(ranks, &["verify", &text(&out), "--step", "2"]);
        assert!(told.contains("as the run left it"), "{told}");
    }
    for command in ["twin", "replay"] {
        let told = complaint(2, &[command, &text(&out)]);
        assert!(told.contains("has the random field kappa"), "{told}");
    }
}

fn unfit() {
    let (case, run) = field("");
    let sets: Vec<&str> = run.sets.iter().flat_map(|set| ["--set", set]).collect();
    let (file, out) = (text(&case.file("mine.toml")), text(&case.file("out")));
    let told = complaint(2, &[&["twin", &*file, "--out", &out], &sets[..]].concat());
    assert!(told.contains("has the random field kappa"), "{told}");
    assert!(!case.file("out").exists() && case.marks().is_empty());
    // Coordinates have no places.
    let places = text(&case.file("observed.txt"));
    let distances = format!(
        "method.localise={{ distance = 3, parameters = {places:?}, observations = {places:?} }}"
    );
    let ended = end(&mut run.clone().set(distances).command(&case.file("a/run")));
    case.refused(
        &ended,
        &[
            "method.localise = ",
            "coordinates of the random field kappa",
        ],
    );
    // Advice that helps.
    for (set, words) in [
        (
            "method.localise=none",
            "end the entry of the field kappa in model.prior with `modes N`",
        ),
        (
            "method.localise=threshold",
            "method.localise damps nearly all that is learned of the field kappa",
        ),
    ] {
        let (_, ended) = case.finish(&run.clone().set(set).set("run.steps=1"), set);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
