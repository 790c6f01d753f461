//! Methods whose members are the posterior's, against posteriors that are known: by their closed form, or by quadrature.

use eki_mpi::prelude::*;
use ndarray::{Array1, Array2, Axis, concatenate};

/// MPI can be started once in a process, so that all cases are one test.
#[test]
fn members_meet_posteriors_that_are_known() {
    let mpi = Mpi::with_threads(1).expect("MPI");
    let ranks = mpi.ranks();
    samplers_sample_a_normal_posterior(&ranks);
    aldi_follows_a_banana(&ranks);
    sigma_points_follow_the_closed_form(&ranks);
    sparse_members_minimise_the_lasso(&ranks);
}

/// Mean and covariance, divisor J - 1, of the rows of `sample`.
fn moments(sample: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = sample.mean_axis(Axis(0)).expect("rows");
    let about = sample - &mean;
    let covariance = about.t().dot(&about) / (sample.nrows() as f64 - 1.0);
    (mean, covariance)
}

/// The posterior of y = A u + noise with the variance 1 and u ~ N(0, I), in coordinates in which its covariance is diagonal: with
/// orthogonal columns of A, of the squared lengths a_i, it is N((A^T y)_i / (1 + a_i), 1 / (1 + a_i)).
fn linear() -> (Array2<f64>, [f64; 4], [(f64, f64); 3]) {
    let a = ndarray::array![
        [3.0, 0.5, 0.2],
        [3.0, -0.5, 0.2],
        [3.0, 0.5, -0.2],
        [3.0, -0.5, -0.2]
    ];
    let y = [4.0, 2.0, 5.0, 1.5];
    let posterior = [0, 1, 2].map(|i| {
        let column = a.column(i);
        let precision = 1.0 + column.dot(&column);
        (
            column.dot(&Array1::from(y.to_vec())) / precision,
            1.0 / precision,
        )
    });
    (a, y, posterior)
}

/// The final members of runs with `seeds` seeds, one below the other, in units of the posterior's deviations from its mean.
fn pooled(ranks: &Ranks, settings: &[(&str, &str)], seeds: u64) -> Array2<f64> {
    let (a, y, posterior) = linear();
    let runs: Vec<Array2<f64>> = (1..=seeds)
        .map(|seed| {
            let a = a.clone();
            let map = FnMap::new(3, 4, move |u| a.dot(&Array1::from(u.to_vec())).to_vec());
            let calibration = Calibration::new(map).prior(["u[3] normal 0 1"]);
            let calibration = calibration.observations(y).noise(1.0).set("seed", seed);
            let set = |all: Calibration<_>, (key, value): &(&str, &str)| all.set(key, value);
            let fit = settings.iter().fold(calibration, set).run(ranks);
            let mut members = fit.expect("members").members().clone();
            for (mut column, (mean, variance)) in members.columns_mut().into_iter().zip(posterior) {
                column.mapv_inplace(|u| (u - mean) / variance.sqrt());
            }
            members
        })
        .collect();
    let views: Vec<_> = runs.iter().map(|run| run.view()).collect();
    concatenate(Axis(0), &views).expect("rows of one length")
}

/// Members of ALDI are independent draws from a normal posterior, whatever the step; few members widen it by a share of about h P / J.
/// Those of EKS, whose step is explicit and without the correction for a finite number of members, are too narrow by about (P + 2) / J.
fn samplers_sample_a_normal_posterior(ranks: &Ranks) {
    // The largest errors of the mean, in deviations, and of the covariance, and the least and largest variance.
    let of = |kind: &str, members: &str, h: &str, seeds: u64| {
        let settings = [
            ("method.kind", kind),
            ("ensemble.members", members),
            ("method.h", h),
            ("run.end_time", "6"),
            ("run.steps", "1000"),
        ];
        let (mean, covariance) = moments(&pooled(ranks, &settings, seeds));
        let most = |numbers: Vec<f64>| numbers.into_iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let off = most((&covariance - &Array2::<f64>::eye(3)).into_iter().collect());
        let widest = most(covariance.diag().to_vec());
        (most(mean.to_vec()), off, widest)
    };
    let found = of("aldi", "100", "1", 10);
    assert!(found.0 < 0.12 && found.1 < 0.15, "{found:?}");
    let found = of("aldi", "12", "0.5", 20);
    assert!(found.0 < 0.25 && found.1 < 0.35, "{found:?}");
    let found = of("eks", "60", "0.2", 6);
    assert!(found.0 < 0.25 && found.1 < 0.3, "{found:?}");
    let found = of("eks", "12", "0.2", 10);
    assert!(found.2 < 0.9, "{found:?}");
}

/// y = (u_1, u_2 + b u_1^2) with noise: a banana, whose moments quadrature on a grid gives. No gradient is taken, so that it is near, not
/// exact.
fn aldi_follows_a_banana(ranks: &Ranks) {
    let (b, y, noise) = (0.5, [0.5, 1.0], [0.5, 0.1]);
    let density = |u: [f64; 2]| {
        let z = [u[0], u[1] + b * u[0] * u[0]];
        let misfit: f64 = (0..2).map(|i| (z[i] - y[i]).powi(2) / noise[i]).sum();
        (-0.5 * (misfit + u[0] * u[0] + u[1] * u[1])).exp()
    };
    let grid = || (-600..=600).map(|i| f64::from(i) * 0.01);
    let mut sums = [0.0; 6];
    for u in grid().flat_map(|x| grid().map(move |y| [x, y])) {
        let p = density(u);
        let terms = [1.0, u[0], u[1], u[0] * u[0], u[0] * u[1], u[1] * u[1]];
        sums.iter_mut()
            .zip(terms)
            .for_each(|(sum, x)| *sum += p * x);
    }
    let [x, y2, xx, xy, yy] = [1, 2, 3, 4, 5].map(|i| sums[i] / sums[0]);
    let exact = [x, y2, xx - x * x, xy - x * y2, yy - y2 * y2];
    let runs: Vec<Array2<f64>> = (1..=10)
        .map(|seed| {
            let map = FnMap::new(2, 2, move |u| vec![u[0], u[1] + b * u[0] * u[0]]);
            let fit = Calibration::new(map)
                .prior(["u[2] normal 0 1"])
                .observations(y)
                .noise_of_each(noise)
                .members(100)
                .set("method.kind", "aldi")
                .set("method.h", 1)
                .set("seed", seed)
                .set("run.end_time", 6)
                .set("run.steps", 1000)
                .run(ranks);
            fit.expect("members").members().clone()
        })
        .collect();
    let views: Vec<_> = runs.iter().map(|run| run.view()).collect();
    let (mean, c) = moments(&concatenate(Axis(0), &views).expect("rows of one length"));
    let found = [mean[0], mean[1], c[[0, 0]], c[[0, 1]], c[[1, 1]]];
    // The mean within a tenth of a deviation. Along the banana the ensemble's slope stands for the map's, and the variance is 15 % too
    // small.
    for i in 0..2 {
        let deviation = exact[2 + 2 * i].sqrt();
        assert!(
            (found[i] - exact[i]).abs() < 0.12 * deviation,
            "{found:?} {exact:?}"
        );
    }
    for i in [2, 3, 4] {
        let size = (exact[2] * exact[4]).sqrt();
        assert!(
            (found[i] - exact[i]).abs() < 0.3 * size,
            "{found:?} {exact:?}"
        );
    }
}

/// After n steps of h the precision of a linear problem is (1 - (1 - h)^n) H + (1 - h)^n C_0^{-1}, H the posterior's, and the mean's error
/// C_n (1 - h)^n C_0^{-1} times the first: for pairs and a simplex, and where a point, the centre or a pair of points fails in the first step.
fn sigma_points_follow_the_closed_form(ranks: &Ranks) {
    let (a, y, posterior) = linear();
    let fit = |kind: &str, h: f64, steps: i32, fails: fn(&[f64]) -> bool| {
        let a = a.clone();
        let map = FnMap::new(3, 4, move |u| match fails(u) {
            true => vec![f64::NAN; 4],
            false => a.dot(&Array1::from(u.to_vec())).to_vec(),
        });
        let calibration = Calibration::new(map).prior(["u[3] normal 0 1"]);
        let calibration = calibration.observations(y).noise(1.0);
        let set = calibration.set("method.kind", "uki").set("method.h", h);
        let set = set.set("method.sigma_points", kind).set("run.steps", steps);
        set.run(ranks).expect("points")
    };
    let check = |fit: &Fit, kind: &str, h: f64, steps: i32| {
        let points = fit.members();
        let count = if kind == "pairs" { 7 } else { 5 };
        assert_eq!(points.dim(), (count, 3));
        let centre = points.row(0);
        let about = points - &centre;
        let weight = if kind == "pairs" {
            1.0 / 6.0
        } else {
            3.0 / 16.0
        };
        let covariance = about.t().dot(&about) * weight;
        let left = (1.0 - h).powi(steps);
        for i in 0..3 {
            let (mean, variance) = posterior[i];
            let exact = 1.0 / ((1.0 - left) / variance + left);
            let at = mean - exact * left * mean;
            let found = (centre[i], covariance[[i, i]]);
            assert!(
                (found.0 - at).abs() < 1e-9,
                "{kind} {h} {steps}: {found:?} {at}"
            );
            assert!(
                (found.1 - exact).abs() < 1e-9,
                "{kind} {h} {steps}: {found:?} {exact}"
            );
            for j in 0..i {
                assert!(covariance[[i, j]].abs() < 1e-9, "{covariance}");
            }
        }
    };
    for (kind, h, steps) in [
        ("pairs", 0.5, 1),
        ("pairs", 0.5, 12),
        ("pairs", 0.2, 5),
        ("simplex", 0.5, 1),
        ("simplex", 0.3, 9),
    ] {
        let found = fit(kind, h, steps, |_| false);
        check(&found, kind, h, steps);
        let converged = f64::from(steps) * (1.0 - h).ln() < -5.0;
        let are = found.statistics();
        assert_eq!(
            are.are == MembersAre::SigmaPoints,
            converged,
            "{kind} {h} {steps}"
        );
        // The statistics are of the law: the third parameter is hardly observed.
        if converged {
            let deviation = are.parameters[2].deviation.expect("a deviation");
            let off = deviation - posterior[2].1.sqrt();
            assert!(off.abs() < 0.01, "{off}");
        }
    }
    // A point that fails is told by the others: in the first step the one far out on the third axis, or the centre.
    let far: fn(&[f64]) -> bool = |u| u[2] < -2.3;
    let middle: fn(&[f64]) -> bool = |u| u.iter().all(|u| u.abs() < 1e-9);
    for (kind, fails) in [("pairs", far), ("simplex", far), ("pairs", middle)] {
        let found = fit(kind, 0.5, 3, fails);
        assert!(found.steps()[0].failed == 1, "{kind}");
        check(&found, kind, 0.5, 3);
    }
    // A pair that fails is drawn in until one of it does not.
    let found = fit("pairs", 0.5, 25, |u| u[2].abs() > 1.8);
    assert_eq!(found.steps()[0].failed, 2);
    assert!(found.steps()[1].failed == 0);
}

/// The members' mean after one long step, or many shorter ones, minimises 1/2 |y - A u|^2 + lambda |u|_1: by soft thresholding where columns of A
/// are orthogonal, else by its conditions: A^T (A u - y) is -lambda sign(u) where u is not 0, and within lambda where it is.
fn sparse_members_minimise_the_lasso(ranks: &Ranks) {
    let fit = |a: &Array2<f64>, y: &[f64], entry: &str, sets: &[(&str, &str)]| {
        let (map, (outputs, parameters)) = (a.clone(), a.dim());
        let map = FnMap::new(parameters, outputs, move |u| {
            map.dot(&Array1::from(u.to_vec())).to_vec()
        });
        let calibration = Calibration::new(map).prior([entry]);
        let calibration = calibration.observations(y.to_vec()).noise(1.0).members(40);
        let calibration = calibration
            .set("method.kind", "sparse")
            .set("method.h_schedule", "level")
            .set("run.stop_at_misfit", 0)
            .set("ensemble.second_order_exact", true);
        let set = |all: Calibration<_>, (key, value): &(&str, &str)| all.set(key, value);
        let fit = sets.iter().fold(calibration, set).run(ranks);
        fit.expect("members").mean().clone()
    };
    let (a, y, _) = linear();
    let penalty = 0.3;
    let long = [
        ("method.penalty", "0.3"),
        ("method.h", "1e7"),
        ("run.steps", "1"),
    ];
    // In units of 5 the same parameters: the penalty is of the parameters, not of their coordinates.
    for entry in ["u[3] normal 0 1", "u[3] normal 0 5"] {
        let found = fit(&a, &y, entry, &long);
        for i in 0..3 {
            let column = a.column(i);
            let (size, slope) = (column.dot(&column), column.dot(&Array1::from(y.to_vec())));
            let exact = slope.signum() * (slope.abs() - penalty).max(0.0) / size;
            assert!(
                (found[i] - exact).abs() < 1e-5,
                "{entry}: {found} {i} {exact}"
            );
        }
        assert_eq!(found[2], 0.0);
    }
    let a = Array2::from_shape_fn((6, 4), |(i, j)| {
        ((i * 7 + j * 11 + i * j * 5) % 13) as f64 / 6.0 - 1.0
    });
    let y = [1.0, -0.5, 2.0, 0.3, -1.2, 0.8];
    let many = [
        ("method.penalty", "1"),
        ("method.h", "30"),
        ("run.steps", "30"),
    ];
    let long = [
        ("method.penalty", "1"),
        ("method.h", "1e7"),
        ("run.steps", "1"),
    ];
    for (sets, tolerance) in [(&long[..], 1e-4), (&many[..], 0.02)] {
        let found = fit(&a, &y, "u[4] normal 0 1", sets);
        let gradient = a.t().dot(&(a.dot(&found) - Array1::from(y.to_vec())));
        let zeros = found.iter().filter(|u| **u == 0.0).count();
        assert!((1..4).contains(&zeros), "{found}");
        for (u, g) in found.iter().zip(&gradient) {
            match *u == 0.0 {
                true => assert!(g.abs() < 1.0 + tolerance, "{found} {gradient}"),
                false => assert!((g + u.signum()).abs() < tolerance, "{found} {gradient}"),
            }
        }
    }
    // Parameters below the threshold are 0, those above as without it.
    let sets = [
        ("method.threshold", "0.2"),
        ("method.h", "1e7"),
        ("run.steps", "1"),
    ];
    let (a, y, _) = linear();
    let found = fit(&a, &y, "u[3] normal 0 1", &sets);
    assert!((found[0] - 12.5 * 3.0 / 36.0).abs() < 1e-5, "{found}");
}
