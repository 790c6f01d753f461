//! What theory says of ensemble Kalman inversion on linear maps, in sentences, each checked.
//!
//! For G(u) = A u and Psi = 1/2 ||y - z||^2_Gamma, small steps follow du_j/dt = -C(u) A^T Gamma^{-1} (A u_j - y), C the
//! ensemble's covariance (Schillings & Stuart, SIAM J. Numer. Anal. 55 (2017) 1264; Kovachki & Stuart 2019). Where
//! C(0) = I and A^T Gamma^{-1} A = diag(a_i), the residual r = u - u* in parameters is
//! r_i(t) = r_i(0) (1 + 2 a_i t)^{-1/2}, t the sum of the steps.

#[path = "../benches/linear/inverse.rs"]
mod inverse;
mod start;

use eki_mpi::ensemble::draw::Draw;
use eki_mpi::ensemble::stages::momentum;
use eki_mpi::ensemble::transform::Form;
use eki_mpi::forward::prior::{Prior, Segment};
use eki_mpi::kernels::rng::{Key, Purpose};
use eki_mpi::method::step_size::StepSize;
use inverse::{Linear, centred, frobenius};
use ndarray::{Array1, Array2, Axis, s};
use start::{Run, read_npy, write_npy};

/// Independent normals, rows x columns.
fn normals(rows: usize, columns: usize, which: u64) -> Array2<f64> {
    let mut numbers = Array2::zeros((rows, columns));
    Key {
        seed: 9,
        purpose: Purpose::Synthetic,
        step: which,
        member: 0,
        block: 0,
    }
    .fill_normal_f64(0, numbers.as_slice_mut().expect("row-major"));
    numbers
}

/// Sylvester's Hadamard matrix: rows and columns are orthogonal, entries 1 and -1; `size` is a power of two.
fn hadamard(size: usize) -> Array2<f64> {
    let sign = |(i, j): (usize, usize)| {
        if (i & j).count_ones() % 2 == 0 {
            1.0
        } else {
            -1.0
        }
    };
    Array2::from_shape_fn((size, size), sign)
}

fn fixed(h: f64) -> StepSize {
    StepSize { h, epsilon: None }
}

/// The a_i of the diagonal problem.
const A: [f64; 5] = [0.3, 1.0, 2.0, 5.0, 0.05];

/// C(0) = I, A^T Gamma^{-1} A = diag(a_i), y = A u* plus a part orthogonal to the range of A; returns it with the
/// ensemble and u*.
fn diagonal_problem() -> (Linear, Array2<f64>, Array1<f64>) {
    let (members, outputs) = (8, 8);
    let variance: Vec<f64> = (0..outputs).map(|k| 0.5 + 0.25 * k as f64).collect();
    let q = hadamard(outputs) / (outputs as f64).sqrt();
    let a = Array2::from_shape_fn((outputs, 5), |(k, i)| {
        variance[k].sqrt() * q[[k, i]] * A[i].sqrt()
    });
    let truth = Array1::from_vec(vec![1.0, -2.0, 0.5, 3.0, -1.0]);
    let orthogonal = Array1::from_shape_fn(outputs, |k| 2.0 * variance[k].sqrt() * q[[k, 6]]);
    let y = a.dot(&truth) + orthogonal;
    // Columns of the Hadamard matrix but the first have mean 0 and covariance I.
    let u = hadamard(members).slice(s![.., 1..6]).to_owned();
    (Linear { a, y, variance }, u, truth)
}

/// The largest distance of the mean's residual from the closed form at t = 1 with steps of h.
fn off_the_closed_form(h: f64) -> f64 {
    let (problem, mut u, truth) = diagonal_problem();
    let mean = |u: &Array2<f64>| u.mean_axis(Axis(0)).expect("members");
    let start = mean(&u) - &truth;
    let steps = (1.0 / h).round() as usize;
    for _ in 0..steps {
        problem.step(&mut u, fixed(h), Form::Explicit);
    }
    let end = mean(&u) - &truth;
    (0..5)
        .map(|i| (end[i] - start[i] * (1.0 + 2.0 * A[i]).powf(-0.5)).abs())
        .fold(0.0, f64::max)
}

#[test]
fn with_small_steps_each_residual_follows_its_closed_form_to_first_order_in_h() {
    let (coarse, fine) = (off_the_closed_form(1e-3), off_the_closed_form(5e-4));
    assert!(fine < 2e-3, "off by {fine}");
    let ratio = coarse / fine;
    assert!(
        (1.9..2.1).contains(&ratio),
        "half the step, {ratio} times the error"
    );
}

#[test]
fn each_members_residual_follows_the_same_law_as_the_means() {
    let (problem, mut u, truth) = diagonal_problem();
    let start = &u - &truth;
    for _ in 0..1000 {
        problem.step(&mut u, fixed(1e-3), Form::Factored);
    }
    for ((j, i), r) in (&u - &truth).indexed_iter() {
        let law = start[[j, i]] * (1.0 + 2.0 * A[i]).powf(-0.5);
        assert!(
            (r - law).abs() < 4e-3,
            "member {j}, coordinate {i}: {r}, {law} by the law"
        );
    }
}

#[test]
fn the_squared_residual_falls_as_one_over_t() {
    let (problem, mut u, truth) = diagonal_problem();
    let rule = StepSize {
        h: 0.02,
        epsilon: Some(1e-3),
    };
    let start = u.mean_axis(Axis(0)).expect("members") - &truth;
    let mut t = 0.0;
    while t < 2e4 {
        t += problem.step(&mut u, rule, Form::Explicit);
    }
    let end = u.mean_axis(Axis(0)).expect("members") - &truth;
    // r_i(t)^2 t -> r_i(0)^2 / (2 a_i), whatever the coordinate.
    for i in 0..5 {
        let limit = start[i].powi(2) / (2.0 * A[i]);
        let found = end[i].powi(2) * t;
        assert!(
            (found / limit - 1.0).abs() < 0.02,
            "coordinate {i}: {found}, {limit} in the limit"
        );
    }
}

#[test]
fn the_residuals_part_orthogonal_to_the_anomalies_stays_and_the_rest_falls() {
    let (members, outputs, parameters) = (4, 9, 20);
    let problem = Linear {
        a: normals(outputs, parameters, 1),
        y: normals(1, outputs, 2).row(0).to_owned(),
        variance: (1..=outputs).map(|k| k as f64 / 4.0).collect(),
    };
    let mut u = normals(members, parameters, 3);
    // In coordinates weighted by Gamma^{-1/2}, an orthonormal basis of the span of the first anomalies.
    let weighted = |z: &Array2<f64>| {
        Array2::from_shape_fn(z.dim(), |(j, k)| z[[j, k]] / problem.variance[k].sqrt())
    };
    let basis = orthonormal(&weighted(&centred(&u).dot(&problem.a.t())));
    let parts = |u: &Array2<f64>| {
        let residual = weighted(&(u.dot(&problem.a.t()) - &problem.y));
        let along = residual.dot(&basis.t()).dot(&basis);
        (residual - &along, along)
    };
    let (orthogonal, along) = parts(&u);
    let rule = StepSize {
        h: 0.5,
        epsilon: Some(1e-6),
    };
    for _ in 0..200 {
        problem.step(&mut u, rule, Form::Explicit);
    }
    let (orthogonal_now, along_now) = parts(&u);
    let moved = frobenius(&(&orthogonal_now - &orthogonal)) / frobenius(&orthogonal);
    assert!(moved < 1e-12, "moved by {moved}");
    assert!(frobenius(&along_now) < 0.1 * frobenius(&along));
}

/// An orthonormal basis of the rows' span (Gram-Schmidt, twice), as rows.
fn orthonormal(rows: &Array2<f64>) -> Array2<f64> {
    let mut basis: Vec<Array1<f64>> = Vec::new();
    for row in rows.rows() {
        let mut rest = row.to_owned();
        for _ in 0..2 {
            for b in &basis {
                rest = &rest - &(b * b.dot(&rest));
            }
        }
        let size = rest.dot(&rest).sqrt();
        if size > 1e-9 * row.dot(&row).sqrt() {
            basis.push(rest / size);
        }
    }
    let views: Vec<_> = basis.iter().map(|b| b.view()).collect();
    ndarray::stack(Axis(0), &views).expect("rows of one length")
}

#[test]
fn rows_of_d_sum_to_zero() {
    let problem = Linear {
        a: normals(30, 12, 4),
        y: normals(1, 30, 5).row(0).to_owned(),
        variance: vec![0.1],
    };
    let d = problem.interaction(&normals(17, 12, 6));
    for row in d.rows() {
        let size: f64 = row.iter().map(|x| x.abs()).sum();
        assert!(row.sum().abs() < 1e-13 * size, "{}", row.sum());
    }
}

/// How far the rows of u lie outside the affine span of `of`, relative to their size.
fn outside(u: &Array2<f64>, of: &Array2<f64>) -> f64 {
    let basis = orthonormal(&centred(of));
    let shifted = u - &of.mean_axis(Axis(0)).expect("members");
    let rest = &shifted - &shifted.dot(&basis.t()).dot(&basis);
    frobenius(&rest) / frobenius(&shifted)
}

#[test]
fn with_more_parameters_than_members_eki_and_meki_stay_in_the_span_of_their_start_to_round_off() {
    let problem = Linear {
        a: normals(15, 100, 7),
        y: normals(1, 15, 8).row(0).to_owned(),
        variance: vec![0.01],
    };
    let start = normals(10, 100, 9);
    let rule = StepSize {
        h: 1.0,
        epsilon: Some(0.5),
    };
    for momentum in [0.0, 0.9] {
        for form in [Form::Explicit, Form::Factored] {
            let (mut u, mut previous) = (start.clone(), start.clone());
            for _ in 0..100 {
                problem.step(&mut u, rule, form);
                momentum::extrapolate(&mut u, &mut previous, momentum);
            }
            let out = outside(&u, &start);
            assert!(out < 1e-12, "{form:?}, momentum {momentum}: {out} outside");
        }
    }
}

#[test]
fn re_randomisation_leaves_the_span() {
    let start = normals(10, 100, 9);
    let prior = Prior::new(vec![Segment {
        count: 100,
        deviation: 1.0,
    }]);
    let draw = Draw {
        seed: 1,
        purpose: Purpose::Rerandomise,
        step: 3,
    };
    let mean = start.mean_axis(Axis(0)).expect("members");
    let mut u = start.clone();
    draw.fill_block(
        0..10,
        0..100,
        mean.as_slice().expect("one row"),
        (&prior, 1.0),
        &mut u,
    );
    // Nine of a hundred directions are in the span: about sqrt(.91) of a draw is outside.
    let out = outside(&u, &start);
    assert!((0.9..1.0).contains(&out), "{out} outside");
}

#[test]
fn the_program_stays_in_the_span_without_re_randomisation_and_leaves_it_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("initial.npy");
    // The random problem has 100 parameters.
    let start = normals(10, 100, 9);
    write_npy(&path, &[10, 100], start.as_slice().expect("row-major"));
    let run = Run::new(
        "linear",
        &[
            "data.name=random",
            "ensemble.members=10",
            "run.steps=20",
            "output.ensemble=true",
        ],
    )
    .set(format!("ensemble.initial={}", path.display()));
    let end = |run: &Run| {
        let (_, numbers) = read_npy::<f64>(&run.on(2, 1).finish().file("final/ensemble.npy"));
        Array2::from_shape_vec((10, 100), numbers).expect("J x P")
    };
    for momentum in ["method.momentum=false", "method.momentum=true"] {
        let out = outside(&end(&run.clone().set(momentum)), &start);
        assert!(out < 1e-12, "{out} outside");
        // One sample: each step is an epoch.
        let out = outside(
            &end(&run.clone().set(momentum).set("ensemble.rerandomise=epoch")),
            &start,
        );
        assert!(out > 0.5, "{out} outside");
    }
}

#[test]
fn the_explicit_and_the_factored_form_agree_to_rounding() {
    for (members, outputs, parameters) in [(7, 3, 40), (40, 60, 9), (25, 25, 25)] {
        let problem = Linear {
            a: normals(outputs, parameters, 10),
            y: normals(1, outputs, 11).row(0).to_owned(),
            variance: vec![0.5],
        };
        let rule = StepSize {
            h: 0.8,
            epsilon: Some(0.5),
        };
        let mut explicit = normals(members, parameters, 12);
        let mut factored = explicit.clone();
        for step in 1..=20 {
            problem.step(&mut explicit, rule, Form::Explicit);
            problem.step(&mut factored, rule, Form::Factored);
            let apart = frobenius(&(&explicit - &factored)) / frobenius(&explicit);
            assert!(
                apart < 1e-14 * f64::from(step) * 10.0,
                "step {step}: {apart} apart"
            );
        }
    }
}

#[test]
fn with_a_re_draw_at_each_step_the_mean_form_agrees_with_the_whole_ensembles_to_rounding() {
    let small = [
        "model.layers=[64, 12, 10]",
        "data.limit=60",
        "data.batch=20",
        "ensemble.members=30",
        "ensemble.rerandomise=step",
        "ensemble.gamma=0.3",
        "run.steps=10",
        "run.best=never",
        "run.precision=double",
    ];
    let heavy = ["method.momentum=true", "method.momentum_coefficient=0.8"];
    // K = 20 < J, and K = 200 > J.
    for loss in ["cross-entropy", "least-squares"] {
        for momentum in [&[][..], &heavy] {
            let run = Run::new("digits", &[&small[..], momentum].concat());
            let run = run.set(format!("method.loss={loss}"));
            let [mean, explicit, factored] = ["mean", "explicit", "factored"].map(|form| {
                let folder = run.clone().set(format!("method.form={form}")).finish();
                let (_, mean) = read_npy::<f64>(&folder.file("final/mean.npy"));
                let norm = folder.metrics()[9]["d_norm"].as_f64().expect("a number");
                (Array1::from_vec(mean), norm)
            });
            for (other, norm) in [explicit, factored] {
                let (apart, size) = (&other - &mean.0, mean.0.dot(&mean.0).sqrt());
                let apart = apart.dot(&apart).sqrt() / size;
                assert!(apart < 1e-11, "{loss}: {apart} apart");
                assert!(
                    (norm / mean.1 - 1.0).abs() < 1e-10,
                    "||D|| {norm}, {}",
                    mean.1
                );
            }
        }
    }
}

#[test]
fn the_adaptive_step_never_widens_the_ensemble_of_a_linear_map_however_the_problem_is_scaled() {
    // h_n ||D||_F < h, and the part of D that moves anomalies is symmetric with eigenvalues in [0, ||D||_F]: for h < 2
    // they contract. A fixed step has no such bound.
    let rule = StepSize {
        h: 1.9,
        epsilon: Some(0.5),
    };
    for scale in [1e-6, 1.0, 1e6] {
        let problem = Linear {
            a: scale * normals(12, 8, 13),
            y: scale * normals(1, 12, 14).row(0).to_owned(),
            variance: vec![1.0],
        };
        let mut u = normals(10, 8, 15);
        for _ in 0..50 {
            let (spread, norm) = (frobenius(&centred(&u)), frobenius(&problem.interaction(&u)));
            let h = problem.step(&mut u, rule, Form::Explicit);
            assert!(h * norm < rule.h && h > 0.0);
            assert!(
                frobenius(&centred(&u)) <= spread * (1.0 + 1e-12),
                "scale {scale}"
            );
        }
        let mut u = normals(10, 8, 15);
        problem.step(&mut u, fixed(1.9), Form::Explicit);
        let widens = frobenius(&centred(&u)) > frobenius(&centred(&normals(10, 8, 15)));
        assert_eq!(widens, scale >= 1.0, "a fixed step at scale {scale}");
    }
}

#[test]
fn on_the_elliptic_problem_the_programs_misfit_falls_as_one_over_t() {
    let metrics = Run::new(
        "linear",
        &["run.steps=3000", "run.best=never", "run.evaluate_every=0"],
    )
    .on(2, 1)
    .finish()
    .metrics();
    let number = |i: usize, key: &str| metrics[i][key].as_f64().expect("a number");
    // Time before each step: the loss is told before the update.
    let mut time = vec![0.0];
    for i in 0..metrics.len() {
        time.push(time[i] + number(i, "step_size"));
    }
    let last = metrics.len() - 1;
    let early = (0..last)
        .find(|&i| time[i] > time[last] / 8.0)
        .expect("a step");
    let slope =
        (number(last, "loss") / number(early, "loss")).ln() / (time[last] / time[early]).ln();
    assert!((slope + 1.0).abs() < 0.1, "the misfit falls as t^{slope}");
}
