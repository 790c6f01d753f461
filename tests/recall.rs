//! The tasks of long memory in whole runs: the same bits for any number of ranks and threads; short ones are learned;
//! what does not fit is refused.

mod start;

use start::{Run, end};

fn small(preset: &str, sets: &[&str]) -> Run {
    let small = [
        "ensemble.members=21",
        "model.units=[9]",
        "model.recurrence=0",
        "model.recurrence_of=identity",
        "model.prior_scale=1",
        "data.length=6",
        "data.examples=90",
        "data.batch=30",
        "run.epochs=2",
        "run.evaluate_every=1",
    ];
    Run::new(preset, &[&small[..], sets].concat())
}

#[test]
fn digests_are_equal_for_any_ranks_and_threads() {
    let mut seen = Vec::new();
    for (preset, redraw) in [("adding", "epoch"), ("copying", "step")] {
        let redraw = format!("ensemble.rerandomise={redraw}");
        let run = small(preset, &[&redraw]);
        let one = run.digest();
        assert_eq!(run.on(3, 2).digest(), one, "{run:?}");
        assert!(!seen.contains(&one));
        assert_ne!(run.set("seed=2").digest(), one);
        seen.push(one);
    }
}

/// Without memory the squared error is 1/6 at best: the preset, as it stands but for its length, is a tenth of it after
/// ten epochs of 1000 examples.
#[test]
fn a_sum_over_fifty_steps_is_learned() {
    let run = Run::new("adding", &["data.length=50", "run.epochs=10"]);
    let error = run.finish().summary()["mse_mean"].as_f64().unwrap();
    assert!(error < 0.1 / 6.0, "{error}");
}

/// Without memory the squared error is 7/64 at best: the preset, as it stands but for its length, is a tenth of it after its
/// 500 examples are taken twice.
#[test]
fn ten_symbols_are_given_again_after_ten_steps() {
    let run = Run::new("copying", &["data.length=10", "run.epochs=2"]).on(1, 2);
    let error = run.finish().summary()["mse_mean"].as_f64().unwrap();
    assert!(error < 0.7 / 64.0, "{error}");
}

/// Re-drawn at each epoch, by the adaptive step.
#[test]
fn a_short_sum_is_learned_by_re_randomisation() {
    let run = small(
        "adding",
        &[
            "method.kind=eki",
            "method.noise=1",
            "method.h=1.8",
            "method.epsilon=0.1",
            "ensemble.rerandomise=epoch",
            "ensemble.centre=zero",
            "ensemble.gamma=0.03",
            "ensemble.members=200",
            "data.length=4",
            "data.examples=600",
            "run.epochs=30",
            "run.evaluate_every=30",
        ],
    );
    let error = run.finish().summary()["mse_mean"].as_f64().unwrap();
    assert!(error < 0.5 / 6.0, "{error}");
}

#[test]
fn what_does_not_fit_a_task_is_refused_in_one_line_and_planned_without_drawing() {
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("run");
    let refused = |sets: &[&str], words: &str| {
        let ended = end(&mut small("adding", sets).command(&out));
        let lines = ended.complaints();
        assert_eq!((ended.code, lines.len()), (2, 1), "{}", ended.stderr);
        assert!(lines[0].contains(words), "{lines:?}");
        assert!(!out.exists(), "nothing is written");
    };
    refused(&["data.length=1"], "an integer of at least 2");
    refused(&["data.limit=9"], "data.limit = 9: must be 0");
    refused(&["model.kind=dense"], "must be \"recurrent\"");
    refused(
        &["model.sequence_steps=3"],
        "must be 0 or the task's 6 steps",
    );
    refused(&["data.batch=91"], "at most the 90 training samples");
    let words = [
        "plan",
        "copying",
        "--ranks",
        "3",
        "--set",
        "data.examples=100000000",
    ];
    let planned = end(start::alone().args(words));
    assert_eq!(planned.code, 0, "{}", planned.stderr);
}
