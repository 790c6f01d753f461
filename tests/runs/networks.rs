//! Convolutional and recurrent networks in whole runs: the same bits for any number of ranks and threads, and learning.

use crate::start::{self, Run, alone, output};

const CONV: &[&str] = &[
    "model.kind=conv",
    "model.network=[\"conv 4\", \"pool 2\", \"conv 5\", \"pool 2\", \"dense 10\"]",
];

/// Blocks of layers that take turns; the last one twice.
const TURNS: &[&str] = &[
    "ensemble.rerandomise=step",
    "ensemble.active_layers=[1, 3, 2, 3]",
];

/// The same with draws spread by the moments of each layer's inputs.
const WHITENED: &[&str] = &[TURNS[0], TURNS[1], "ensemble.whiten=0.1"];

const PAIRED: &[&str] = &[CONV[0], CONV[1], "run.precision=mixed"];

const RECURRENT: &[&str] = &[
    "model.kind=recurrent",
    "model.units=[9, 6]",
    "model.activation=tanh",
];

const RECURRENT_PAIRED: &[&str] = &[
    RECURRENT[0],
    RECURRENT[1],
    RECURRENT[2],
    "run.precision=mixed",
];

/// Whole units of 64 members, of which the ranks own some or none.
const LOW_RANK: &[&str] = &[
    "ensemble.rerandomise=step",
    "ensemble.draw=low-rank",
    "ensemble.members=150",
];

#[test]
fn digests_are_equal_for_any_ranks_and_threads() {
    let mut cases = Vec::new();
    for (name, model) in [
        ("conv", CONV),
        ("conv in mixed precision", PAIRED),
        ("recurrent", RECURRENT),
        ("recurrent in mixed precision", RECURRENT_PAIRED),
    ] {
        let of_layers = [LOW_RANK, TURNS, WHITENED].into_iter();
        let of_layers = of_layers.filter(|_| name.starts_with("conv"));
        let redraws = [&["ensemble.rerandomise=epoch"][..], &LOW_RANK[..1]];
        for redraw in redraws.into_iter().chain(of_layers) {
            // 55 samples: one whole chunk and a part of one.
            let mut sets = vec![
                "ensemble.members=15",
                "data.batch=55",
                "data.limit=220",
                "run.epochs=2",
                "run.evaluate_every=1",
            ];
            sets.extend(model.iter().chain(redraw));
            cases.push((Run::new("digits", &sets), &[(2, 1), (3, 2)][..]));
        }
    }
    crate::splits::hold(&cases);
}

// Guessing gives a tenth. Seeds 1 and 2 reached 0.87 and 0.83, and 0.57 and 0.53, when the bounds of these four were set.

#[test]
fn a_convolutional_network_learns_the_digits() {
    learns_the_digits("conv", CONV, 0.7);
}

#[test]
fn a_convolutional_network_learns_the_digits_in_mixed_precision() {
    learns_the_digits("conv in mixed precision", PAIRED, 0.7);
}

#[test]
fn a_recurrent_network_learns_the_digits() {
    learns_the_digits("recurrent", RECURRENT, 0.45);
}

#[test]
fn a_recurrent_network_learns_the_digits_in_mixed_precision() {
    learns_the_digits("recurrent in mixed precision", RECURRENT_PAIRED, 0.45);
}

fn learns_the_digits(name: &str, model: &[&str], least: f64) {
    let sets = [&["ensemble.members=200", "run.epochs=20"], model].concat();
    learns(name, &sets, least);
}

fn learns(name: &str, sets: &[&str], least: f64) {
    let summary = Run::new("digits", sets).finish().summary();
    let accuracy = summary["accuracy_mean"].as_f64().expect("an accuracy");
    assert!(accuracy > least, "{name}: {accuracy}");
}

/// In the mean form with momentum: seeds 1 and 2 reached 0.84 when the bound was set, full draws 0.86 and 0.79.
#[test]
fn low_rank_members_of_a_convolutional_network_learn_the_digits() {
    let form = [
        "method.momentum=true",
        "method.momentum_coefficient=0.9",
        "ensemble.centre=prior",
        "ensemble.gamma=0.02",
        "method.h=0.5",
        "run.epochs=20",
    ];
    learns("low rank", &[CONV, LOW_RANK, &form].concat(), 0.7);
}

#[test]
fn a_network_that_does_not_fit_ends_with_one_line_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = alone();
    command.args(["run", "digits", "--set", "model.kind=conv", "--set"]);
    command.arg("model.network=[\"pool 9\", \"dense 10\"]");
    let output = output(command.arg("--out").arg(&out));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("model.network") && errors.contains("8 x 8"),
        "{errors}"
    );
    assert!(!out.exists());
}

/// Layers before the block whose turn it is, and those after it, stay as they are.
#[test]
fn only_the_layers_whose_turn_it_is_move() {
    // Parameters of the two convolutions and the dense layer.
    let ends: [usize; 4] = [0, 4 * 10, 4 * 10 + 5 * 37, 4 * 10 + 5 * 37 + 21 * 10];
    let mean = |steps: usize| {
        let steps = format!("run.steps={steps}");
        let sets = [
            &[
                "ensemble.members=30",
                "data.batch=55",
                "ensemble.centre=prior",
                &steps,
            ],
            CONV,
            TURNS,
        ];
        let folder = Run::new("digits", &sets.concat()).finish();
        let (shape, mean) = start::read_npy::<f32>(&folder.file("final/mean.npy"));
        assert_eq!(shape, [ends[3] as u64]);
        mean
    };
    let means: Vec<Vec<f32>> = (1..=4).map(mean).collect();
    for (step, pair) in means.windows(2).enumerate() {
        let moved: Vec<bool> = (0..3)
            .map(|layer| {
                pair[0][ends[layer]..ends[layer + 1]] != pair[1][ends[layer]..ends[layer + 1]]
            })
            .collect();
        // TURNS, from its second step on.
        let turn = [2, 1, 2][step];
        assert_eq!(
            moved,
            [turn == 0, turn == 1, turn == 2],
            "step {}",
            step + 2
        );
    }
}
