//! What no gradient can train: a network by its 0-1 loss, and a policy by its episodes' return.

mod start;

use start::Run;

/// Guessing gives a tenth.
#[test]
fn the_zero_one_loss_alone_teaches_the_digits() {
    let run = Run::new(
        "digits-zero-one",
        &["ensemble.members=300", "run.epochs=40"],
    );
    let summary = run.on(1, 2).finish().summary();
    let accuracy = summary["accuracy_mean"].as_f64().expect("an accuracy");
    assert!(accuracy > 0.7, "{accuracy}");
}

/// Solved as Gym has it: 475 of 500 steps, the mean over 100 episodes whose starts were not learned from.
#[test]
fn cart_pole_is_solved() {
    let run = Run::new("cart-pole", &["run.best=never"]);
    let steps = |run: &Run| {
        let folder = run.on(1, 2).finish();
        let told = folder.summary()["return_mean"].as_f64();
        let last = folder.metrics().last().expect("steps")["return_mean"].as_f64();
        assert_eq!(told, last, "the last line of metrics and the summary agree");
        told.expect("a return")
    };
    let untrained = run.clone().set("run.steps=1").set("method.h=1e-9");
    assert!(steps(&untrained) < 400.0);
    let solved = steps(&run);
    assert!(solved >= 475.0, "{solved}");
}

/// In as many steps as leave the adaptive step at half of the digits, the Kalman gain has nine tenths.
#[test]
fn the_kalman_gain_learns_in_few_steps() {
    let run = Run::new("digits", &["run.epochs=4", "run.best=never"]);
    let accuracy = |run: &Run| {
        let summary = run.on(1, 2).finish().summary();
        summary["accuracy_mean"].as_f64().expect("an accuracy")
    };
    let (plain, kalman) = (
        accuracy(&run),
        accuracy(&run.set("method.kind=kalman").set("method.h=1")),
    );
    assert!(kalman > 0.87 && kalman > plain + 0.15, "{kalman}, {plain}");
}

/// Here momentum of each member drives them apart without end (with the cross-entropy's gradient at each member's own
/// outputs D is not symmetric); momentum of their mean leaves the deviations to fall as they do without.
#[test]
fn momentum_of_the_mean_alone_leaves_the_members_together() {
    let run = Run::new(
        "digits",
        &[
            "ensemble.rerandomise=never",
            "method.momentum=true",
            "data.batch=100",
            "run.epochs=8",
            "run.best=never",
        ],
    );
    let spreads = |of: &str| {
        let folder = run.clone().set(format!("method.momentum_of={of}"));
        let finished = folder.on(1, 2).finish();
        let metrics = finished.metrics();
        let spread = |line: &serde_json::Value| line["spread"].as_f64().expect("a spread");
        let ends = [&metrics[0], metrics.last().expect("steps")];
        ends.map(spread)
    };
    let [first, last] = spreads("members");
    assert!(last > 1.2 * first, "{first} {last}");
    let [first, last] = spreads("mean");
    assert!(last < 0.9 * first, "{first} {last}");
}

#[test]
fn a_run_that_diverges_says_so_once() {
    let run = Run::new("digits", &["run.steps=60", "run.best=never"]);
    let told = |run: &Run| {
        let log = std::fs::read_to_string(run.on(1, 2).finish().file("run.log"));
        log.expect("a log").matches("the loss has risen").count()
    };
    assert_eq!(told(&run), 0);
    assert_eq!(told(&run.set("method.h=50")), 1);
}
