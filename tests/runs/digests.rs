//! The promise: the digest of the final ensemble is the same for any number of ranks and threads.
//!
//! Each case runs on one rank and one thread, and then on R = 2, 3, 5 ranks, with 1 and 2 threads; some on R = 64,
//! more than there are members, blocks of parameters and cores. All cases of a test share the starts of MPI (`splits`); the
//! program itself is compared in the first of them. Sizes are odd, so that every split is uneven: 43
//! members; 64-23-10 has 1735 parameters, fourteen blocks of 128 columns, the last one of 71.

use crate::splits::hold;
use crate::start::{Run, read_npy, write_npy};
use eki_mpi::forward::elliptic;
use eki_mpi::kernels::eigen::symmetric_eigen;
use ndarray::{Array1, Array2, Axis};

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

const SPLITS: &[(usize, usize)] = &[(1, 2), (2, 1), (3, 2), (5, 1), (5, 2)];
const FEW: &[(usize, usize)] = &[(3, 2), (5, 1)];
const MANY: &[(usize, usize)] = &[(64, 1)];

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
    all_differ(&hold(&[
        (explicit.clone(), SPLITS),
        (factored.clone(), SPLITS),
        (explicit.clone().set("method.momentum=true"), SPLITS),
        (factored.clone().set("method.momentum=true"), SPLITS),
        (of_mean(explicit), SPLITS),
        (factored.clone().set("method.localise=1"), FEW),
        (factored.clone().set("ensemble.inflation=1.02"), FEW),
        (
            of_mean(factored.set("method.momentum_coefficient=0.9")),
            FEW,
        ),
    ]));
}

/// 255 parameters are two blocks of columns: 400 members take the prior's covariance exactly, 43 its mean alone. Of 15 outputs
/// the noise is exact with these, in both forms; 12 members, fewer than outputs, have its mean alone.
#[test]
fn second_order_exact_draws_and_perturbations() {
    let run = Run::new(
        "linear",
        &[
            "ensemble.second_order_exact=true",
            "method.kind=kalman",
            "method.perturb=true",
            "method.h=0.2",
            "run.steps=2",
            "run.stop_at_misfit=0",
        ],
    );
    let many = run.clone().set("ensemble.members=400");
    let few = run.clone().set("ensemble.members=43");
    all_differ(&hold(&[
        (many.clone().set("method.form=explicit"), FEW),
        (many.clone().set("method.form=factored"), FEW),
        (few.clone(), FEW),
        (run.set("ensemble.members=12"), FEW),
        (many.set("ensemble.second_order_exact=false"), FEW),
    ]));
}

#[test]
fn re_randomisation_at_each_epochs_end_or_steps_apart_with_and_without_momentum() {
    let epoch = digits(&["ensemble.rerandomise=epoch", "ensemble.gamma=0.7"]);
    let momentum = epoch.clone().set("method.momentum=true");
    let steps_apart = epoch
        .clone()
        .set("ensemble.rerandomise=step")
        .set("ensemble.rerandomise_every=2");
    all_differ(&hold(&[
        (epoch.clone(), SPLITS),
        (epoch.clone().set("method.form=factored"), FEW),
        (momentum.clone(), SPLITS),
        (momentum.clone().set("method.momentum_restart=false"), FEW),
        (steps_apart.clone().set("method.momentum=true"), FEW),
        (steps_apart.set("method.kind=kalman"), FEW),
        (momentum.set("method.momentum_coefficient=0.9"), FEW),
        (of_mean(epoch.set("method.momentum_restart=false")), FEW),
    ]));
}

#[test]
fn re_randomisation_at_each_step_in_every_form() {
    let step = digits(&["ensemble.rerandomise=step", "ensemble.gamma=0.2"]);
    let heavy = [
        "method.momentum=true",
        "method.momentum_coefficient=0.9",
        "ensemble.gamma_decay=0.5",
    ];
    let mut cases = Vec::new();
    for form in ["mean", "explicit", "factored"] {
        let run = step.clone().set(format!("method.form={form}"));
        let splits: &[_] = if form == "mean" { SPLITS } else { FEW };
        cases.push((run.clone(), splits));
        let run = heavy.iter().fold(run, |run, set| run.set(*set));
        cases.push((run, splits));
    }
    all_differ(&hold(&cases));
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
    all_differ(&hold(&[
        (low.clone(), SPLITS),
        (sums.clone(), SPLITS),
        (all.clone(), SPLITS),
        (all.set("run.precision=double"), FEW),
        (sums.set("method.kind=kalman").set("method.h=10"), FEW),
        (squares.clone(), FEW),
    ]));
}

#[test]
fn least_squares_with_one_and_with_many_variances() {
    let squares = digits(&["method.loss=least-squares", "method.h=0.5"]);
    // K = 330 outputs a step, more than J = 43: the explicit form by choice, the factored by force.
    let explicit = squares.clone().set("method.form=explicit");
    let factored = squares.set("method.form=factored");
    let gamma = "method.noise=[0.5, 1, 2, 1, 1, 3, 1, 0.25, 1, 1]";
    all_differ(&hold(&[
        (explicit.clone(), FEW),
        (factored.clone(), FEW),
        (explicit.set(gamma), FEW),
        (factored.set(gamma), FEW),
    ]));
}

#[test]
fn the_zero_one_loss() {
    let errors = digits(&["method.loss=zero-one"]);
    let explicit = errors.clone().set("method.form=explicit");
    all_differ(&hold(&[
        (explicit.clone(), FEW),
        (errors.clone().set("method.form=factored"), FEW),
        (errors.clone().set("ensemble.rerandomise=step"), FEW),
        (explicit.set("run.precision=double"), FEW),
        (errors.clone().set("ensemble.rerandomise=epoch"), FEW),
    ]));
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
    all_differ(&hold(&[
        (explicit.clone(), FEW),
        (episodes.clone().set("method.form=factored"), FEW),
        (episodes.clone().set("ensemble.rerandomise=step"), FEW),
        (episodes.set("run.precision=double"), FEW),
        (explicit.set("model.activation=heaviside"), FEW),
    ]));
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
    hold(&[
        (run.clone(), SPLITS),
        (run.set("run.precision=double"), FEW),
    ]);
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
    all_differ(&hold(&[
        (kalman.clone().set("method.form=explicit"), SPLITS),
        (kalman.clone().set("method.form=factored"), SPLITS),
        (squares.clone(), SPLITS),
        (by_misfit.clone(), FEW),
        (squares.clone().set("method.perturb=true"), SPLITS),
        (each_step(&kalman), FEW),
        (each_step(&squares), FEW),
        (kalman.clone().set("run.precision=double"), FEW),
        (kalman.set("run.precision=mixed"), FEW),
    ]));
}

/// The posterior mean and covariance of y = A u + noise by the first ensemble's own mean and covariance, whose rows are `start`.
fn posterior(start: &Array2<f64>, noise: f64) -> (Array1<f64>, Array2<f64>) {
    let problem = elliptic::random(1, noise);
    let (mean, covariance) = moments(start);
    let cross = covariance.dot(&problem.matrix.t()); // P x K
    let mut innovation = problem.matrix.dot(&cross);
    innovation.diag_mut().map_inplace(|x| *x += noise);
    // (A C A^T + Gamma)^{-1} by its eigenvectors.
    let (values, vectors) = symmetric_eigen(innovation.view()).expect("finite");
    let inverse = (&vectors / &values).dot(&vectors.t());
    let gain = cross.dot(&inverse);
    let misfit = &problem.observations - &problem.matrix.dot(&mean);
    (
        &mean + &gain.dot(&misfit),
        &covariance - &gain.dot(&cross.t()),
    )
}

/// The mean and the covariance, divisor J, of the rows of `ensemble`, J x P.
fn moments(ensemble: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = ensemble.mean_axis(Axis(0)).expect("members");
    let deviations = ensemble - &mean;
    let covariance = deviations.t().dot(&deviations) / ensemble.nrows() as f64;
    (mean, covariance)
}

/// On a linear problem with fewer parameters than members ETKI ends at the posterior itself, by any steps whose h add up to 1.
#[test]
fn the_ensemble_transform_ends_at_the_exact_posterior() {
    let (members, parameters, noise) = (130, 100, 0.01);
    let start = Array2::from_shape_fn((members, parameters), |(j, i)| {
        // Correlated numbers whose mean is not 0.
        let wave = ((j * 7919 + i * 104_729 + j * i * 31) % 997) as f64 / 500.0 - 0.9;
        wave + 0.3 * ((j * 13 + i / 10) % 17) as f64 / 17.0
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("start.npy");
    let shape = [members as u64, parameters as u64];
    write_npy(&file, &shape, start.as_slice().unwrap());
    let etki = Run::new(
        "linear",
        &[
            "data.name=random",
            "method.kind=etki",
            "output.ensemble=true",
            "run.best=never",
        ],
    );
    let etki = etki
        .set(format!("ensemble.members={members}"))
        .set(format!("ensemble.initial={}", file.display()))
        .set(format!("method.noise={noise}"));
    let by_misfit = etki.clone().set("method.h_schedule=misfit");
    let by_misfit = by_misfit.set("run.end_time=1").set("run.steps=200");
    let (mean, covariance) = posterior(&start, noise);
    let size = |a: &Array2<f64>| a.iter().map(|x| x * x).sum::<f64>().sqrt();
    let runs = [
        etki.clone().set("method.h=1").set("run.steps=1"),
        etki.set("method.h=0.25").set("run.steps=4"),
        by_misfit.set("method.h=1"),
    ];
    for run in &runs {
        let (shape, numbers) = read_npy::<f64>(&run.finish().file("final/ensemble.npy"));
        let members = Array2::from_shape_vec((shape[0] as usize, parameters), numbers).unwrap();
        let found = moments(&members);
        let off_mean = (&found.0 - &mean).mapv(|x| x * x).sum().sqrt();
        let scale = mean.mapv(|x| x * x).sum().sqrt();
        assert!(off_mean < 1e-6 * scale, "{run:?}: mean off by {off_mean}");
        let off = size(&(&found.1 - &covariance));
        assert!(
            off < 1e-6 * size(&covariance),
            "{run:?}: covariance off by {off}"
        );
    }
    // By samples of more outputs than members, and by a loss that is no square.
    let digits = digits(&["method.kind=etki", "method.h=0.1"]);
    let [one, four, by_misfit] = runs;
    all_differ(&hold(&[
        (one, FEW),
        (four, SPLITS),
        (by_misfit, FEW),
        (digits.clone(), FEW),
        (digits.set("method.loss=least-squares"), FEW),
    ]));
}

/// The random linear problem, of 100 parameters and 30 observations: with the prior's part 130 outputs.
fn random(sets: &[&str]) -> Run {
    let small = ["data.name=random", "run.steps=6", "run.best=never"];
    Run::new("linear", &[&small[..], sets].concat())
}

/// The failed members of each step.
fn failures(run: &Run) -> Vec<u64> {
    let failed = |row: &serde_json::Value| row["failed"].as_u64().unwrap();
    run.finish().metrics().iter().map(failed).collect()
}

/// By rows, by samples, and where members fail because they lie far from the others.
#[test]
fn members_that_sample_the_posterior() {
    let aldi = random(&["method.kind=aldi", "ensemble.members=143"]);
    let fails = aldi.clone().set("method.outlier_ratio=1.15");
    let failed = failures(&fails);
    assert!(
        failed.iter().filter(|&&failed| failed > 0).count() > 2,
        "{failed:?}"
    );
    let eks = aldi.clone().set("method.kind=eks").set("method.h=0.5");
    all_differ(&hold(&[
        (aldi.clone(), SPLITS),
        (aldi.clone().set("ensemble.members=103"), FEW),
        (fails, SPLITS),
        (aldi.clone().set("run.precision=single"), FEW),
        (aldi.set("method.step=fixed").set("method.h=0.01"), FEW),
        (eks.clone(), SPLITS),
        (eks.set("ensemble.members=103"), FEW),
    ]));
}

/// The update's products and the network's are of bfloat16.
#[test]
fn momentum_by_recursion_and_with_adaptive_restarts() {
    let run = Run::new(
        "linear",
        &[
            "ensemble.members=43",
            "run.steps=12",
            "method.momentum=true",
        ],
    );
    let adaptive = run.clone().set("method.momentum_adaptive=true");
    let constant = adaptive.clone().set("method.momentum_coefficient=0.9");
    let etki = constant.clone().set("method.kind=etki").set("method.h=0.1");
    all_differ(&hold(&[
        (run.clone(), FEW),
        (run.clone().set("method.momentum_rule=recursive"), FEW),
        (constant, FEW),
        (run.set("method.momentum_coefficient=0.9"), FEW),
        (etki, FEW),
    ]));
}

/// Of pairs and of a simplex: by rows, and by samples of more outputs than points; with points that fail at some steps.
#[test]
fn sigma_points_in_their_two_kinds() {
    let uki = random(&["method.kind=uki"]);
    let fails = uki.clone().set("method.outlier_ratio=1.15");
    let failed = failures(&fails);
    assert!(failed.iter().any(|&failed| failed > 2), "{failed:?}");
    let simplex = uki.clone().set("method.sigma_points=simplex");
    all_differ(&hold(&[
        (uki.clone(), SPLITS),
        (uki.clone().set("run.precision=single"), FEW),
        (
            uki.set("method.regularisation=0.9").set("method.h=0.3"),
            FEW,
        ),
        (fails, SPLITS),
        (simplex.clone(), SPLITS),
        (simplex.set("method.outlier_ratio=1.1"), FEW),
    ]));
}

/// 100 parameters under a penalty, some of them 0 from then on; with a threshold, inflation and members that fail.
#[test]
fn sparse_parameters() {
    let run = random(&[
        "method.kind=sparse",
        "method.h=0.1",
        "method.penalty=300",
        "ensemble.members=43",
        "run.steps=3",
    ]);
    let fails = run.clone().set("method.outlier_ratio=1.15");
    assert!(failures(&fails).iter().any(|&failed| failed > 2));
    all_differ(&hold(&[
        (run.clone(), SPLITS),
        (fails, FEW),
        (run.clone().set("ensemble.inflation=1.1"), FEW),
        (run.set("method.penalty=0").set("method.threshold=0.1"), FEW),
    ]));
}

/// On a linear problem one full Gauss-Newton step is the stochastic Kalman step, and all further ones move nobody; with h = 1/2 half of the
/// way is left after each.
#[test]
fn gauss_newton_steps_end_where_the_kalman_step_does() {
    let run = Run::new(
        "linear",
        &[
            "data.name=random",
            "run.precision=double",
            "ensemble.members=60",
            "method.perturb=true",
            "method.noise=0.01",
            "method.h=1",
            "run.stop_at_misfit=0",
            "run.best=never",
            "output.ensemble=true",
            "run.steps=1",
        ],
    );
    let gnki = run.clone().set("method.kind=gnki");
    let members = |run: &Run| {
        let (shape, numbers) = read_npy::<f64>(&run.finish().file("final/ensemble.npy"));
        Array2::from_shape_vec((shape[0] as usize, shape[1] as usize), numbers).unwrap()
    };
    let size = |a: &Array2<f64>| a.iter().map(|x| x * x).sum::<f64>().sqrt();
    let kalman = members(&run.set("method.kind=kalman"));
    let start = members(&gnki.clone().set("method.h=1e-12"));
    let off = |run: &Run| size(&(&members(run) - &kalman)) / size(&(&start - &kalman));
    assert!(off(&gnki) < 1e-9, "one step: {}", off(&gnki));
    let four = gnki.clone().set("run.steps=4");
    assert!(off(&four) < 1e-9, "four steps: {}", off(&four));
    let half = four.clone().set("method.h=0.5");
    let left = off(&half) - 0.0625;
    assert!(left.abs() < 1e-9, "four half steps: {left}");
    // With members that are left out at each step, replaced, and pulled by their own prior points.
    let failing = half.clone().set("method.outlier_ratio=1.0000001");
    all_differ(&hold(&[
        (half.clone(), SPLITS),
        (half.clone().set("method.perturb=false"), FEW),
        (failing, FEW),
        (half.set("run.precision=single"), FEW),
        (gnki.set("data.name=elliptic").set("run.steps=3"), FEW),
    ]));
}

/// Each kind of inflation, with members that fail at each step; 1735 parameters are fourteen blocks.
#[test]
fn inflation_of_every_kind() {
    let run = digits(&[
        "method.kind=kalman",
        "method.h=0.1",
        "method.outlier_ratio=1.05",
    ]);
    let kinds = [
        "1.05",
        "{ kind = \"scaled\", factor = 1.5 }",
        "{ kind = \"additive\", variance = 0.01 }",
        "{ kind = \"rtps\", weight = 0.5 }",
        "{ kind = \"rtpp\", weight = 0.5 }",
    ];
    let mut cases: Vec<(Run, &[(usize, usize)])> = kinds
        .iter()
        .map(|kind| (run.clone().set(format!("ensemble.inflation={kind}")), FEW))
        .collect();
    let squares = run
        .set("method.loss=least-squares")
        .set("method.momentum=true")
        .set("method.noise=0.01");
    let adaptive = "{ kind = \"adaptive\", target = 0.5, most = 1.2 }";
    cases.push((
        squares
            .clone()
            .set(format!("ensemble.inflation={adaptive}")),
        FEW,
    ));
    cases.push((squares, FEW));
    all_differ(&hold(&cases));
}

/// A list of step sizes has as many steps as numbers; numbers that are all the same are steps of that h.
#[test]
fn a_list_of_step_sizes() {
    let run = Run::new(
        "linear",
        &[
            "ensemble.members=43",
            "method.kind=kalman",
            "method.perturb=true",
            "run.stop_at_misfit=0",
        ],
    );
    let same = run.clone().set("method.h=[0.25, 0.25, 0.25, 0.25]");
    let constant = run.clone().set("method.h=0.25").set("run.steps=4");
    let rising = run.set("method.h=[0.1, 0.2, 0.3, 0.4]");
    let shorter = rising.clone().set("run.steps=3");
    let found = hold(&[
        (rising.clone(), FEW),
        (
            rising.set("method.kind=etki").set("method.perturb=false"),
            FEW,
        ),
        (shorter, FEW),
        (same, FEW),
        (constant, &[]),
    ]);
    all_differ(&found[..4]);
    assert_eq!(found[3], found[4]);
}

#[test]
fn mixed_precision() {
    let mixed = digits(&["run.precision=mixed"]);
    let each_step = mixed.clone().set("ensemble.rerandomise=step");
    all_differ(&hold(&[
        (mixed.clone().set("method.form=explicit"), SPLITS),
        (mixed.clone().set("method.form=factored"), SPLITS),
        (each_step.clone(), FEW),
        (each_step.set("run.precision=single"), FEW),
    ]));
}

#[test]
fn double_precision() {
    let double = digits(&["run.precision=double"]);
    all_differ(&hold(&[
        (double.clone(), FEW),
        (double.clone().set("method.form=factored"), FEW),
        (double.clone().set("ensemble.rerandomise=epoch"), FEW),
        (double.set("ensemble.rerandomise=step"), FEW),
    ]));
}

#[test]
fn an_ensemble_that_grows() {
    let growing = digits(&["run.epochs=3", "ensemble.grow_to=61"]);
    all_differ(&hold(&[
        (growing.clone(), SPLITS),
        (growing.clone().set("method.momentum=true"), FEW),
        (growing.clone().set("ensemble.rerandomise=epoch"), FEW),
        (
            growing
                .clone()
                .set("ensemble.rerandomise=step")
                .set("method.form=explicit"),
            FEW,
        ),
        (
            growing
                .set("ensemble.rerandomise=step")
                .set("ensemble.centre=prior"),
            FEW,
        ),
    ]));
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
    all_differ(&hold(&[
        (linear.clone(), FEW),
        (linear.clone().set("method.form=factored"), FEW),
        (
            linear
                .clone()
                .set("ensemble.rerandomise=step")
                .set("method.form=mean"),
            FEW,
        ),
        (linear.set("run.precision=single"), FEW),
    ]));
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
    let digest = plain.digest();
    assert_eq!(judged.digest(), digest);
    assert_eq!(judged.on(3, 2).digest(), digest);
    assert_eq!(judged.on(3, 2).apart().digest(), digest);
}

/// 64 ranks: more than the members, than the blocks of parameters, than the blocks of outputs.
#[test]
fn on_64_ranks() {
    let grown = [
        "run.epochs=3",
        "ensemble.grow_to=61",
        "ensemble.rerandomise=epoch",
    ];
    hold(&[
        (digits(&["method.momentum=true"]), MANY),
        (
            digits(&["ensemble.rerandomise=step", "method.form=factored"]),
            MANY,
        ),
        (digits(&["ensemble.rerandomise=step"]), MANY),
        (digits(&grown), MANY),
    ]);
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
        let sound = hold(&[(run.clone(), FEW)]).remove(0);
        // Member 20 is evaluated by rank 1 of 3; parameter 1000 is in the second of four blocks.
        let at = 20 * parameters + 1000;
        let mut flipped = numbers.clone();
        flipped[at] = f32::from_bits(flipped[at].to_bits() ^ 1);
        write_npy(&path, &shape, &flipped);
        let faulty = run.on(3, 1).digest();
        assert_ne!(faulty, sound, "{form}");
    }
}
