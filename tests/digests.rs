//! The promise: the digest of the final ensemble is the same for any number of ranks and threads.
//!
//! Each case runs on one rank and one thread, and then on R = 2, 3, 5 ranks, with 1 and 2 threads; some on R = 64,
//! more than there are members, blocks of parameters and cores. Sizes are odd, so that every split is uneven: 43
//! members; 64-23-10 has 1735 parameters, fourteen blocks of 128 columns, the last one of 71.

mod start;

use start::{Run, write_npy};

/// The digits, small: two epochs of three batches of 33 samples.
fn digits(sets: &[&str]) -> Run {
    let small = [
        "model.layers=[64, 23, 10]",
        "data.limit=100",
        "data.batch=33",
        "ensemble.members=43",
        "ensemble.rerandomise=never",
        "run.epochs=2",
        "run.evaluate_every=0",
        "run.best=never",
    ];
    Run::new("digits", &[&small[..], sets].concat())
}

/// All splits end in the digest of one rank and one thread, which is returned.
fn holds(run: &Run, splits: &[(usize, usize)]) -> String {
    let one = run.on(1, 1).digest();
    assert_eq!(one.len(), 64, "SHA-256 in hexadecimal: {one}");
    for &(ranks, threads) in splits {
        let run = run.on(ranks, threads);
        assert_eq!(run.digest(), one, "{run:?}");
        // Here ranks share one host's memory; on several hosts they do not.
        if (2..64).contains(&ranks) {
            let apart = run.apart();
            assert_eq!(apart.digest(), one, "{apart:?}");
        }
    }
    one
}

const SPLITS: [(usize, usize); 5] = [(1, 2), (2, 1), (3, 2), (5, 1), (5, 2)];
const FEW: [(usize, usize); 2] = [(3, 2), (5, 1)];
const MANY: [(usize, usize); 1] = [(64, 1)];

/// The digests of cases that differ in the method differ: a digest that never changed would prove nothing.
fn all_differ(digests: &[String]) {
    for (i, a) in digests.iter().enumerate() {
        assert!(!digests[..i].contains(a), "cases {digests:?}");
    }
}

/// With momentum of the mean alone.
fn of_mean(run: Run) -> Run {
    run.set("method.momentum=true")
        .set("method.momentum_of=mean")
}

#[test]
fn eki_and_meki_in_both_forms() {
    let explicit = digits(&["method.form=explicit"]);
    let factored = digits(&["method.form=factored"]);
    let digests = [
        holds(&explicit, &SPLITS),
        holds(&factored, &SPLITS),
        holds(&explicit.clone().set("method.momentum=true"), &SPLITS),
        holds(&factored.clone().set("method.momentum=true"), &SPLITS),
        holds(&of_mean(explicit), &SPLITS),
        holds(
            &factored.clone().set("method.localisation_exponent=1"),
            &FEW,
        ),
        holds(&factored.clone().set("ensemble.inflation=1.02"), &FEW),
        holds(
            &of_mean(factored.set("method.momentum_coefficient=0.9")),
            &FEW,
        ),
    ];
    all_differ(&digests);
}

#[test]
fn re_randomisation_at_each_epochs_end_or_steps_apart_with_and_without_momentum() {
    let epoch = digits(&["ensemble.rerandomise=epoch", "ensemble.gamma=0.7"]);
    let momentum = epoch.clone().set("method.momentum=true");
    let steps_apart = epoch
        .clone()
        .set("ensemble.rerandomise=step")
        .set("ensemble.rerandomise_every=2");
    let digests = [
        holds(&epoch, &SPLITS),
        holds(&epoch.clone().set("method.form=factored"), &FEW),
        holds(&momentum, &SPLITS),
        holds(&momentum.clone().set("method.momentum_restart=false"), &FEW),
        holds(&steps_apart.clone().set("method.momentum=true"), &FEW),
        holds(&steps_apart.set("method.kind=kalman"), &FEW),
        holds(&momentum.set("method.momentum_coefficient=0.9"), &FEW),
        holds(&of_mean(epoch.set("method.momentum_restart=false")), &FEW),
    ];
    all_differ(&digests);
}

#[test]
fn re_randomisation_at_each_step_in_every_form() {
    let step = digits(&["ensemble.rerandomise=step", "ensemble.gamma=0.2"]);
    let heavy = [
        "method.momentum=true",
        "method.momentum_coefficient=0.9",
        "ensemble.gamma_decay=0.5",
    ];
    let mut digests = Vec::new();
    for form in ["mean", "explicit", "factored"] {
        let run = step.clone().set(format!("method.form={form}"));
        let splits: &[_] = if form == "mean" { &SPLITS } else { &FEW };
        digests.push(holds(&run, splits));
        let run = heavy.iter().fold(run, |run, set| run.set(*set));
        digests.push(holds(&run, splits));
    }
    all_differ(&digests);
}

/// 150 members are three units of 64; ranks own whole units, so of five ranks two have none.
#[test]
fn low_rank_draws_and_what_builds_on_them() {
    let low = digits(&[
        "ensemble.rerandomise=step",
        "ensemble.draw=low-rank",
        "ensemble.members=150",
        "ensemble.gamma=0.05",
        "method.momentum=true",
    ]);
    let sums = low.clone().set("method.covariance=sums");
    let all = sums
        .clone()
        .set("method.rms_decay=0.99")
        .set("ensemble.polyak_decay=0.9")
        .set("method.h=0.02")
        .set("method.h_schedule=cosine")
        .set("data.augment=1")
        .set("data.affine=0.1")
        .set("data.elastic=1");
    let squares = sums
        .clone()
        .set("method.loss=least-squares")
        .set("ensemble.rank=2")
        .set("model.layers=[64, 23, 9, 10]");
    let digests = [
        holds(&low, &SPLITS),
        holds(&sums, &SPLITS),
        holds(&all, &SPLITS),
        holds(&all.set("run.precision=double"), &FEW),
        holds(&sums.set("method.kind=kalman").set("method.h=10"), &FEW),
        holds(&squares, &FEW),
    ];
    all_differ(&digests);
}

#[test]
fn least_squares_with_one_and_with_many_variances() {
    let squares = digits(&["method.loss=least-squares", "method.h=0.5"]);
    // K = 330 outputs a step, more than J = 43: the explicit form by choice, the factored by force.
    let explicit = squares.clone().set("method.form=explicit");
    let factored = squares.set("method.form=factored");
    let gamma = "method.noise=[0.5, 1, 2, 1, 1, 3, 1, 0.25, 1, 1]";
    let digests = [
        holds(&explicit, &FEW),
        holds(&factored, &FEW),
        holds(&explicit.set(gamma), &FEW),
        holds(&factored.set(gamma), &FEW),
    ];
    all_differ(&digests);
}

#[test]
fn the_zero_one_loss() {
    let errors = digits(&["method.loss=zero-one"]);
    let explicit = errors.clone().set("method.form=explicit");
    let digests = [
        holds(&explicit, &FEW),
        holds(&errors.clone().set("method.form=factored"), &FEW),
        holds(&errors.clone().set("ensemble.rerandomise=step"), &FEW),
        holds(&explicit.set("run.precision=double"), &FEW),
        holds(&errors.clone().set("ensemble.rerandomise=epoch"), &FEW),
    ];
    all_differ(&digests);
    // The network's outputs enter by their order alone: without softmax the members are the same.
    let order = errors.clone().set("model.output=identity");
    assert_eq!(order.digest(), errors.digest());
}

#[test]
fn cart_pole() {
    let episodes = Run::new(
        "cart-pole",
        &[
            "ensemble.members=37",
            "data.batch=7",
            "data.limit=30",
            "run.epochs=2",
        ],
    );
    let explicit = episodes.clone().set("method.form=explicit");
    let digests = [
        holds(&explicit, &FEW),
        holds(&episodes.clone().set("method.form=factored"), &FEW),
        holds(&episodes.clone().set("ensemble.rerandomise=step"), &FEW),
        holds(&episodes.set("run.precision=double"), &FEW),
        holds(&explicit.set("model.activation=heaviside"), &FEW),
    ];
    all_differ(&digests);
}

/// K = 990 outputs are two blocks of samples' outputs, so that D is a sum of partial products; K > J.
#[test]
fn d_summed_from_several_blocks_of_samples() {
    let run = digits(&[
        "data.batch=99",
        "run.epochs=4",
        "method.loss=least-squares",
        "method.form=explicit",
        "method.h=0.5",
    ]);
    holds(&run, &SPLITS);
    holds(&run.set("run.precision=double"), &FEW);
}

/// Its matrices have a side of several groups of rows: 150 members; or 33 outputs, all of them in one group.
#[test]
fn the_kalman_gain_in_every_form() {
    let kalman = digits(&[
        "method.kind=kalman",
        "method.h=1",
        "ensemble.members=150",
        "run.epochs=1",
    ]);
    let squares = [
        "method.loss=least-squares",
        "method.noise=[0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3]",
    ];
    let squares = squares
        .iter()
        .fold(kalman.clone(), |run, set| run.set(*set));
    let by_misfit = squares.clone().set("method.h_schedule=misfit");
    let by_misfit = by_misfit.set("method.noise=[0.001]");
    let each_step = |run: &Run| {
        let run = run.clone().set("ensemble.rerandomise=step");
        run.set("ensemble.gamma=0.1")
    };
    let digests = [
        holds(&kalman.clone().set("method.form=explicit"), &SPLITS),
        holds(&kalman.clone().set("method.form=factored"), &SPLITS),
        holds(&squares, &SPLITS),
        holds(&by_misfit, &FEW),
        holds(&squares.clone().set("method.perturb=true"), &SPLITS),
        holds(&each_step(&kalman), &FEW),
        holds(&each_step(&squares), &FEW),
        holds(&kalman.clone().set("run.precision=double"), &FEW),
        holds(&kalman.set("run.precision=mixed"), &FEW),
    ];
    all_differ(&digests);
}

/// The update's products and the network's are of bfloat16.
#[test]
fn mixed_precision() {
    let mixed = digits(&["run.precision=mixed"]);
    let each_step = mixed.clone().set("ensemble.rerandomise=step");
    let digests = [
        holds(&mixed.clone().set("method.form=explicit"), &SPLITS),
        holds(&mixed.clone().set("method.form=factored"), &SPLITS),
        holds(&each_step, &FEW),
        holds(&each_step.set("run.precision=single"), &FEW),
    ];
    all_differ(&digests);
}

#[test]
fn double_precision() {
    let double = digits(&["run.precision=double"]);
    let digests = [
        holds(&double, &FEW),
        holds(&double.clone().set("method.form=factored"), &FEW),
        holds(&double.clone().set("ensemble.rerandomise=epoch"), &FEW),
        holds(&double.set("ensemble.rerandomise=step"), &FEW),
    ];
    all_differ(&digests);
}

#[test]
fn an_ensemble_that_grows() {
    let growing = digits(&["run.epochs=3", "ensemble.grow_to=61"]);
    let digests = [
        holds(&growing, &SPLITS),
        holds(&growing.clone().set("method.momentum=true"), &FEW),
        holds(&growing.clone().set("ensemble.rerandomise=epoch"), &FEW),
        holds(
            &growing
                .clone()
                .set("ensemble.rerandomise=step")
                .set("method.form=explicit"),
            &FEW,
        ),
        holds(
            &growing
                .set("ensemble.rerandomise=step")
                .set("ensemble.centre=prior"),
            &FEW,
        ),
    ];
    all_differ(&digests);
}

#[test]
fn the_linear_model() {
    let linear = Run::new(
        "linear",
        &[
            "ensemble.members=37",
            "run.steps=9",
            "run.best=never",
            "method.form=explicit",
        ],
    );
    let digests = [
        holds(&linear, &FEW),
        holds(&linear.clone().set("method.form=factored"), &FEW),
        holds(
            &linear
                .clone()
                .set("ensemble.rerandomise=step")
                .set("method.form=mean"),
            &FEW,
        ),
        holds(&linear.set("run.precision=single"), &FEW),
    ];
    all_differ(&digests);
}

/// Judging the members carries u to their owners and v back: it must leave no trace in the result.
#[test]
fn what_is_only_judged_or_written_changes_nothing() {
    let plain = digits(&["method.momentum=true"]);
    let judged = plain
        .clone()
        .set("run.evaluate_every=1")
        .set("run.best=evaluation")
        .set("run.report_every=2")
        .set("output.ensemble=true");
    let digest = holds(&judged, &[(3, 2)]);
    assert_eq!(plain.digest(), digest);
}

/// 64 ranks: more than the members, than the blocks of parameters, than the blocks of outputs.
#[test]
fn on_64_ranks() {
    holds(&digits(&["method.momentum=true"]), &MANY);
    holds(
        &digits(&["ensemble.rerandomise=step", "method.form=factored"]),
        &MANY,
    );
    holds(&digits(&["ensemble.rerandomise=step"]), &MANY);
    holds(
        &digits(&[
            "run.epochs=3",
            "ensemble.grow_to=61",
            "ensemble.rerandomise=epoch",
        ]),
        &MANY,
    );
}

/// The digest sees everything: the lowest bit of one number of one member, flipped in the initial ensemble as one
/// rank's faulty draw would flip it, ends in another digest, in every form; and without the flip, in the same.
#[test]
fn one_flipped_bit_in_one_members_draw_is_seen() {
    let (members, parameters) = (43_usize, 1735_usize);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("initial.npy");
    let mut numbers: Vec<f32> = vec![0.0; members * parameters];
    eki_mpi::kernels::rng::Key {
        seed: 5,
        purpose: eki_mpi::kernels::rng::Purpose::Initial,
        step: 0,
        member: 0,
        block: 0,
    }
    .fill_normal_f32(0, &mut numbers);
    numbers.iter_mut().for_each(|x| *x *= 0.2);
    let shape = [members as u64, parameters as u64];
    for form in ["explicit", "factored"] {
        write_npy(&path, &shape, &numbers);
        let run = digits(&["run.epochs=1"])
            .set(format!("method.form={form}"))
            .set(format!("ensemble.initial={}", path.display()));
        let sound = holds(&run, &FEW);
        // Member 20 is evaluated by rank 1 of 3; parameter 1000 is in the second of four blocks.
        let at = 20 * parameters + 1000;
        let mut flipped = numbers.clone();
        flipped[at] = f32::from_bits(flipped[at].to_bits() ^ 1);
        write_npy(&path, &shape, &flipped);
        let faulty = run.on(3, 1).digest();
        assert_ne!(faulty, sound, "{form}");
    }
}
