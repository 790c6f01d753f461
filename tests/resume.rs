//! A run in two parts equals the whole run, 0 ulp, for any ranks and threads before and after, every method, form, model
//! and precision.
//!
//! EKI_LONG=1 tries every method and model with all of {1, 2, 3, 5}^2.

mod durable;

use std::path::Path;

use durable::*;

/// 60 samples in 4 steps an epoch, 3 epochs: 2,410 parameters in 5 blocks.
const SMALL: [&str; 5] = [
    "ensemble.members=24",
    "data.limit=60",
    "data.batch=15",
    "run.epochs=3",
    "ensemble.rerandomise=never",
];

/// Within an epoch, and at its edge.
const CUTS: [u64; 2] = [6, 8];

/// Every method there is, by its settings.
const METHODS: [(&str, &[&str]); 21] = [
    ("explicit", &["method.form=explicit"]),
    ("factored", &["method.form=factored"]),
    ("double", &["run.precision=double", "method.form=explicit"]),
    (
        "mixed",
        &["run.precision=mixed", "ensemble.rerandomise=epoch"],
    ),
    (
        "redrawn",
        &[
            "ensemble.rerandomise=epoch",
            "ensemble.gamma_decay=0.5",
            "method.h_decay=0.9",
        ],
    ),
    ("momentum", &["method.momentum=true"]),
    (
        "momentum, redrawn",
        &["method.momentum=true", "ensemble.rerandomise=epoch"],
    ),
    (
        "momentum carried on",
        &[
            "method.momentum=true",
            "ensemble.rerandomise=epoch",
            "method.momentum_restart=false",
        ],
    ),
    (
        "momentum of the mean",
        &[
            "method.momentum=true",
            "method.momentum_of=mean",
            "ensemble.rerandomise=epoch",
        ],
    ),
    (
        "momentum of the mean carried on",
        &[
            "method.momentum=true",
            "method.momentum_of=mean",
            "method.momentum_coefficient=0.9",
            "method.momentum_restart=false",
            "ensemble.rerandomise=epoch",
        ],
    ),
    (
        "grown",
        &[
            "ensemble.grow_to=40",
            "ensemble.rerandomise=epoch",
            "method.momentum=true",
        ],
    ),
    (
        "grown, not redrawn",
        &["ensemble.grow_to=40", "run.precision=double"],
    ),
    (
        "redrawn at each step, explicit",
        &[
            "ensemble.rerandomise=step",
            "method.form=explicit",
            "method.momentum=true",
            "method.momentum_coefficient=0.9",
        ],
    ),
    (
        "redrawn at each step, grown",
        &[
            "ensemble.rerandomise=step",
            "method.form=factored",
            "ensemble.grow_to=40",
        ],
    ),
    (
        "mean",
        &[
            "ensemble.rerandomise=step",
            "method.momentum=true",
            "method.momentum_coefficient=0.9",
            "ensemble.gamma=0.05",
            "ensemble.centre=prior",
        ],
    ),
    (
        "mean, low-rank",
        &[
            "ensemble.rerandomise=step",
            "ensemble.draw=low-rank",
            "ensemble.members=150",
        ],
    ),
    (
        "mean, by way of the layers' sums",
        &[
            "ensemble.rerandomise=step",
            "ensemble.draw=low-rank",
            "method.covariance=sums",
            "method.momentum=true",
            "method.rms_decay=0.99",
            "ensemble.polyak_decay=0.9",
            "method.h=0.02",
            "method.h_schedule=cosine",
            "data.augment=1",
            "data.affine=0.1",
            "data.elastic=1",
            "data.deformation_epochs=2",
        ],
    ),
    (
        "mean, averaged",
        &["ensemble.rerandomise=step", "ensemble.polyak_decay=0.9"],
    ),
    (
        "0-1 loss, redrawn",
        &["method.loss=zero-one", "ensemble.rerandomise=epoch"],
    ),
    (
        "re-drawn each 5 steps",
        &[
            "ensemble.rerandomise=step",
            "ensemble.rerandomise_every=5",
            "method.momentum=true",
        ],
    ),
    (
        "mean, double",
        &["ensemble.rerandomise=step", "run.precision=double"],
    ),
];

/// The settings of the method so called.
fn method(name: &str) -> &'static [&'static str] {
    let found = METHODS.iter().find(|(known, _)| *known == name);
    found.expect("a method of the list").1
}

/// Every other model, with settings in which its own state differs.
const MODELS: [(&str, &[&str]); 8] = [
    (
        "convolution",
        &[
            "model.kind=conv",
            CONV,
            "method.momentum=true",
            "ensemble.rerandomise=epoch",
        ],
    ),
    (
        "convolution, factored",
        &["model.kind=conv", CONV, "method.form=factored"],
    ),
    (
        "convolution, mean, double",
        &[
            "model.kind=conv",
            CONV,
            "ensemble.rerandomise=step",
            "run.precision=double",
        ],
    ),
    (
        "convolution, layers in turn",
        &[
            "model.kind=conv",
            CONV,
            "ensemble.rerandomise=step",
            "ensemble.active_layers=[1,2,2]",
            "ensemble.whiten=0.2",
            "method.momentum=true",
        ],
    ),
    (
        "recurrent, grown",
        &[
            "model.kind=recurrent",
            "model.units=[9,6]",
            "model.activation=tanh",
            "ensemble.grow_to=40",
            "ensemble.rerandomise=epoch",
        ],
    ),
    (
        "recurrent, mean",
        &[
            "model.kind=recurrent",
            "model.units=[9,6]",
            "model.activation=tanh",
            "ensemble.rerandomise=step",
            "method.momentum=true",
        ],
    ),
    (
        "no gradient, squared errors",
        &["model.activation=heaviside", "method.loss=least-squares"],
    ),
    (
        "low-rank, momentum, grown",
        &[
            "ensemble.rerandomise=step",
            "ensemble.draw=low-rank",
            "method.momentum=true",
            "ensemble.grow_to=40",
            "ensemble.rank=2",
        ],
    ),
];

/// Blanks as TOML's escapes: some launchers split arguments at them.
const CONV: &str =
    r#"model.network=["conv\u00204","pool\u00202","conv\u00205","pool\u00202","dense\u002010"]"#;

/// A folder with a whole run on `ranks` ranks.
fn whole(folder: &Path, ranks: usize, settings: &[&str]) {
    let settings = [&SMALL[..], settings].concat();
    succeed(&mut program(ranks, &settings, folder));
}

/// As `whole`, with a checkpoint every `steps` steps.
fn saved(folder: &Path, ranks: usize, settings: &[&str], steps: u64) {
    let every = format!("checkpoint.every_steps={steps}");
    whole(
        folder,
        ranks,
        &[settings, &["checkpoint.keep=99", every.as_str()]].concat(),
    );
}

/// The run in `from`, cut at step `cut`, goes on in `to` on `ranks` ranks, of one thread or two by turns.
fn goes_on(from: &Path, to: &Path, cut: u64, ranks: usize, settings: &[&str]) {
    copy(from, to);
    for step in checkpoints(to).into_iter().filter(|&step| step > cut) {
        std::fs::remove_dir_all(checkpoint(to, step)).unwrap();
    }
    let settings = [&SMALL[..], settings, &["checkpoint.keep=1", "--resume"]].concat();
    let threads = 1 + (ranks + cut as usize / 2) % 2;
    let text = succeed(&mut threaded((ranks, threads), "digits", &settings, to));
    assert!(
        text.contains(&format!("going on from step {cut} of ")),
        "{text}"
    );
    assert_eq!(checkpoints(to), [12], "one generation is kept");
}

fn same(a: &Path, b: &Path, what: &str) {
    assert_eq!(digest(a), digest(b), "{what}");
    assert_eq!(metrics(a), metrics(b), "{what}");
    let mean = |folder: &Path| std::fs::read(folder.join("final/mean.npy")).unwrap();
    assert!(mean(a) == mean(b), "{what}");
}

/// As `same`, but for the test set's verdict in the log: a run's end is judged before what an epoch's end would bring,
/// and that line stays when the run is lengthened.
fn same_lengthened(a: &Path, b: &Path, what: &str) {
    let unjudged = |folder: &Path| -> Vec<String> {
        let cut = |line: String| {
            let mut line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let fields = line.as_object_mut().unwrap();
            fields.retain(|key, _| !key.ends_with("_mean") && !key.ends_with("_best"));
            line.to_string()
        };
        metrics(folder).into_iter().map(cut).collect()
    };
    assert_eq!(digest(a), digest(b), "{what}");
    assert_eq!(unjudged(a), unjudged(b), "{what}");
}

fn try_pairs(settings: &[&str], name: &str, before: &[usize], after: &[usize], cuts: &[u64]) {
    let room = tempfile::tempdir().unwrap();
    let reference = room.path().join("whole");
    succeed(&mut alone(&[&SMALL[..], settings].concat(), &reference));
    for &r1 in before {
        let first = room.path().join(format!("first-{r1}"));
        saved(&first, r1, settings, 2);
        same(&reference, &first, &format!("{name}: {r1} ranks"));
        for &r2 in after {
            for cut in cuts {
                let second = room.path().join(format!("{r1}-{r2}-{cut}"));
                goes_on(&first, &second, *cut, r2, settings);
                let what = format!("{name}: {r1} ranks to step {cut}, then {r2}");
                same(&reference, &second, &what);
            }
        }
    }
}

#[test]
fn every_method_and_model_goes_on_with_the_same_bits_on_other_ranks() {
    let all = [&METHODS[..], &MODELS].concat();
    side_by_side(&all, |i, (name, settings)| {
        if long() {
            try_pairs(settings, name, &[1, 2, 3, 5], &[1, 2, 3, 5], &CUTS);
        } else {
            let (r1, r2) = [(3, 2), (2, 5), (5, 1), (1, 3)][i % 4];
            try_pairs(settings, name, &[r1], &[r2], &CUTS);
        }
    });
}

#[test]
fn any_ranks_may_follow_any_others() {
    let settings = method("grown");
    try_pairs(settings, "grown", &[1, 2, 3, 5], &[1, 2, 3, 5], &CUTS[..1]);
}

#[test]
fn calibrations_and_episodes_go_on_with_the_same_bits() {
    let aldi = [
        "data.name=random",
        "method.kind=aldi",
        "ensemble.members=110",
        "method.outlier_ratio=1.15",
    ];
    let uki = [
        "data.name=random",
        "method.kind=uki",
        "ensemble.members=201",
        "method.outlier_ratio=1.15",
    ];
    let eks = [&aldi[..], &["method.kind=eks", "method.h=0.5"]].concat();
    let sparse = [
        "data.name=random",
        "method.kind=sparse",
        "method.h=0.1",
        "method.penalty=300",
    ];
    let small: [(&str, &[&str]); 6] = [
        ("linear", &["run.evaluate_every=5"]),
        ("linear", &aldi),
        ("linear", &eks),
        ("linear", &uki),
        ("linear", &sparse),
        ("cart-pole", &["data.limit=30", "data.batch=7"]),
    ];
    for (name, small) in small {
        let room = tempfile::tempdir().unwrap();
        let run = |folder: &Path, ranks: usize, more: &[&str]| {
            let settings = [&["ensemble.members=30"], small, more].concat();
            succeed(&mut preset(ranks, name, &settings, folder));
        };
        let (whole, parts) = (room.path().join("whole"), room.path().join("parts"));
        run(&whole, 2, &["run.steps=20"]);
        run(&parts, 3, &["run.steps=11"]);
        run(&parts, 1, &["run.steps=20", "--resume"]);
        same_lengthened(&whole, &parts, name);
    }
}

#[test]
fn a_finished_run_can_be_lengthened() {
    for name in [
        "redrawn",
        "momentum",
        "momentum, redrawn",
        "momentum of the mean",
        "momentum of the mean carried on",
    ] {
        let settings = method(name);
        let room = tempfile::tempdir().unwrap();
        let (whole, parts) = (room.path().join("whole"), room.path().join("parts"));
        let run = |folder: &Path, ranks, more: &[&str]| {
            let settings = [&SMALL[..], settings, more].concat();
            finish(&mut program(ranks, &settings, folder))
        };
        assert_eq!(run(&whole, 1, &["run.epochs=3"]).0, 0);
        assert_eq!(run(&parts, 3, &["run.epochs=1"]).0, 0);
        assert_eq!(run(&parts, 2, &["run.steps=7", "--resume"]).0, 0);
        assert_eq!(run(&parts, 5, &["run.epochs=3", "--resume"]).0, 0);
        same_lengthened(&whole, &parts, name);
        let before = |folder| json_file(folder, "timing.json")["seconds_before"].as_f64();
        assert_eq!(before(&whole), Some(0.0));
        assert!(before(&parts).is_some_and(|seconds| seconds > 0.0));
        // Once more: nothing is left to do, and the answer is the same.
        assert_eq!(run(&parts, 2, &["run.epochs=3", "--resume"]).0, 0);
        same_lengthened(&whole, &parts, name);
        let (code, text) = run(&parts, 2, &["run.epochs=2", "--resume"]);
        assert!(
            code == 2 && text.contains("step 12 is done already"),
            "{text}"
        );
    }
}

#[test]
fn a_run_whose_end_cannot_be_lengthened_goes_on_from_the_generation_before_or_says_why() {
    let room = tempfile::tempdir().unwrap();
    let run = |name: &str, settings: &[&str], more: &[&str]| {
        let settings = [&SMALL[..], settings, more].concat();
        finish(&mut program(2, &settings, &room.path().join(name)))
    };
    // The mean's velocity lies between two steps: the older generation still knows it.
    let carried = method("momentum carried on");
    assert_eq!(run("a", carried, &["run.epochs=3"]).0, 0);
    let saved = ["run.epochs=1", "checkpoint.every_steps=1"];
    assert_eq!(run("b", carried, &saved).0, 0);
    let (code, text) = run("b", carried, &["run.epochs=3", "--resume"]);
    assert!(
        code == 0
            && text.contains("step 4 is skipped as damaged")
            && text.contains("from step 3 of"),
        "{text}"
    );
    same(&room.path().join("a"), &room.path().join("b"), "carried");
    // An ensemble that grows towards the last epoch would have grown otherwise.
    let grown = method("grown");
    assert_eq!(run("c", grown, &["run.epochs=2"]).0, 0);
    let (code, text) = run("c", grown, &["run.epochs=3", "--resume"]);
    assert!(code == 2 && text.contains("grows towards step 8"), "{text}");
}

#[test]
fn a_damaged_generation_is_passed_over_aloud_and_with_none_left_nothing_is_touched() {
    let room = tempfile::tempdir().unwrap();
    let (reference, cut) = (room.path().join("whole"), room.path().join("cut"));
    saved(&reference, 2, &[], 1);
    copy(&reference, &cut);
    for step in (1..=12).filter(|step| ![5, 7].contains(step)) {
        std::fs::remove_dir_all(checkpoint(&cut, step)).unwrap();
    }
    let part = checkpoint(&cut, 7).join("part-00001-of-00002");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&part, &bytes).unwrap();
    let none = room.path().join("none");
    copy(&cut, &none);
    let settings = [&SMALL[..], &["--resume"]].concat();
    let text = succeed(&mut program(3, &settings, &cut));
    assert!(
        text.contains("step 7 is skipped as damaged: part-00001-of-00002: the checksum of Points"),
        "{text}"
    );
    assert!(text.contains("going on from step 5"), "{text}");
    same(&reference, &cut, "skipped as damaged");
    // The other one loses its end.
    let part = checkpoint(&none, 5).join("part-00000-of-00002");
    let file = std::fs::OpenOptions::new().write(true).open(part).unwrap();
    file.set_len(1_000).unwrap();
    let before = metrics(&none);
    let (code, text) = finish(&mut program(3, &settings, &none));
    assert_eq!(code, 1);
    assert!(
        text.contains("no checkpoint can be used, and nothing was changed: step 7: "),
        "{text}"
    );
    assert!(
        text.contains("step 5: part-00000-of-00002: has 1000 bytes"),
        "{text}"
    );
    assert_eq!(checkpoints(&none), [5, 7]);
    assert_eq!(metrics(&none), before);
}

#[test]
fn a_generation_that_cannot_be_removed_is_told_once_and_the_others_go() {
    let room = tempfile::tempdir().unwrap();
    let stuck = checkpoint(room.path(), 99_999).join("notes");
    saved(room.path(), 1, &[], 1);
    std::fs::create_dir_all(&stuck).unwrap();
    // One that a link leads to is not ours; another is in the way of a generation still to be written.
    let elsewhere = room.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for step in 8..=12 {
        std::fs::remove_dir_all(checkpoint(room.path(), step)).unwrap();
    }
    std::os::unix::fs::symlink(&elsewhere, checkpoint(room.path(), 9)).unwrap();
    std::fs::create_dir_all(checkpoint(room.path(), 10).join("notes")).unwrap();
    let settings = [
        &SMALL[..],
        &["checkpoint.every_steps=1", "checkpoint.keep=2", "--resume"],
    ]
    .concat();
    let text = succeed(&mut program(2, &settings, room.path()));
    assert!(text.contains("going on from step 7"), "{text}");
    assert_eq!(checkpoints(room.path()), [10, 11, 12, 99_999], "{text}");
    for step in ["10", "99999"] {
        let told = format!("could not delete the checkpoint of step {step}: ");
        assert_eq!(text.matches(&told).count(), 1, "{text}");
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn lines_missing_within_the_log_are_told_when_a_run_is_resumed_and_reported() {
    let room = tempfile::tempdir().unwrap();
    whole(room.path(), 1, &[]);
    let log = room.path().join("metrics.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let lines = text.lines().enumerate();
    let kept: String = lines
        .filter(|(i, _)| ![3, 4].contains(i))
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    std::fs::write(&log, kept).unwrap();
    let told = "metrics.jsonl: the lines between step 3 and step 6 are missing";
    let settings = [&SMALL[..], &["--resume"]].concat();
    let text = succeed(&mut program(1, &settings, room.path()));
    assert_eq!(text.matches("are missing").count(), 1, "{text}");
    assert!(text.contains(told), "{text}");
    let text = succeed(start::alone().arg("report").arg(room.path()));
    assert!(text.contains(told), "{text}");
}

#[test]
fn a_changed_configuration_is_refused_with_the_keys_that_differ() {
    let room = tempfile::tempdir().unwrap();
    whole(room.path(), 2, &[]);
    let settings = [
        &SMALL[..],
        &["method.h=1", "seed=3", "output.ensemble=true", "--resume"],
    ]
    .concat();
    let (code, text) = finish(&mut program(2, &settings, room.path()));
    assert_eq!(code, 2);
    assert!(
        text.contains(
            "method.h = 2.0, now 1.0; seed = 1, now 3; these may change: model.timeout, run.epochs"
        ),
        "{text}"
    );
    let (code, text) = finish(&mut program(2, &SMALL, room.path()));
    assert!(code == 2 && text.contains("holds another run"), "{text}");
    // The marks know the configuration, too.
    let other = room.path().join("other");
    let settings = [&SMALL[..], &["method.h=1"]].concat();
    succeed(&mut program(1, &settings, &other));
    std::fs::remove_dir_all(other.join("checkpoints")).unwrap();
    copy(&room.path().join("checkpoints"), &other.join("checkpoints"));
    let settings = [&settings[..], &["--resume"]].concat();
    let (code, text) = finish(&mut program(2, &settings, &other));
    assert!(
        code == 2 && text.contains("method.h = 2.0, now 1.0"),
        "{text}"
    );
}

#[test]
fn a_lost_configuration_is_written_anew_from_the_checkpoints() {
    let room = tempfile::tempdir().unwrap();
    let (reference, cut) = (room.path().join("whole"), room.path().join("cut"));
    saved(&reference, 2, &[], 8);
    let config = std::fs::read(reference.join("config.toml")).unwrap();
    let lines = config.split_inclusive(|&byte| byte == b'\n');
    let line: usize = lines.take(9).map(<[u8]>::len).sum();
    let damaged = [
        None,
        Some(vec![]),
        Some(config[..300].to_vec()),
        Some(config[..line].to_vec()),
        Some(vec![0; config.len()]),
        Some([&config[..], b"\xff = \n"].concat()),
    ];
    let evaluate = || finish(start::alone().arg("evaluate").arg(&cut));
    for (i, damage) in damaged.iter().enumerate() {
        let _ = std::fs::remove_dir_all(&cut);
        copy(&reference, &cut);
        std::fs::remove_dir_all(checkpoint(&cut, 12)).unwrap();
        match damage {
            None => std::fs::remove_file(cut.join("config.toml")).unwrap(),
            Some(text) => std::fs::write(cut.join("config.toml"), text).unwrap(),
        }
        let (code, text) = evaluate();
        assert_eq!((code, text.lines().count()), (2, 1), "{i}: {text}");
        assert!(text.contains("config.toml"), "{i}: {text}");
        let settings = [&SMALL[..], &["checkpoint.keep=99", "--resume"]].concat();
        let other = [&settings[..], &["seed=3"]].concat();
        let (code, text) = finish(&mut alone(&other, &cut));
        assert!(
            code == 2 && text.contains("configuration: seed = 1, now 3;"),
            "{i}: {text}"
        );
        let text = succeed(&mut alone(&settings, &cut));
        assert!(
            text.contains("rewritten, because the checkpoint")
                && text.contains("from step 8 of 12"),
            "{i}: {text}"
        );
        same(&reference, &cut, &format!("{i}"));
        assert_eq!(evaluate().0, 0);
    }
}

#[test]
fn resuming_where_nothing_was_finished_starts_from_the_beginning() {
    let room = tempfile::tempdir().unwrap();
    let (whole_run, again) = (room.path().join("whole"), room.path().join("again"));
    let settings = [&SMALL[..], &["--resume"]].concat();
    let text = succeed(&mut program(2, &settings, &whole_run));
    assert!(text.contains("no checkpoint to resume"), "{text}");
    copy(&whole_run, &again);
    // As if killed while the first one was being written.
    std::fs::remove_file(checkpoint(&again, 12).join("mark")).unwrap();
    let text = succeed(&mut program(3, &settings, &again));
    assert!(
        text.contains("was never finished") && text.contains("from the beginning"),
        "{text}"
    );
    same(&whole_run, &again, "again");
}
