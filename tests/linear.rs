//! What the linear study shows, checked: each method follows its closed form, and the Kalman step tends to EKI.

#[path = "../benches/linear/flow.rs"]
mod flow;
#[path = "../benches/linear/inverse.rs"]
mod inverse;
#[path = "../benches/linear/methods.rs"]
mod methods;
#[path = "../benches/linear/study.rs"]
mod study;

use flow::{Weighted, eigen};
use inverse::frobenius;
use methods::Method;
use ndarray::Array2;
use study::{NOISE, Point, Which, ensemble, limit, trace};

fn problem(which: Which) -> Weighted {
    Weighted::new(&which.problem(), NOISE)
}

/// The largest relative distance of the squared residual from its closed form, where the orthogonal part is nothing.
fn off(points: &[Point]) -> f64 {
    let each = points.iter().map(|p| {
        let (along, error) = p.theory.expect("a closed form");
        (p.along / along - 1.0)
            .abs()
            .max((p.error / error - 1.0).abs())
    });
    each.fold(0.0, f64::max)
}

#[test]
fn the_eigenvectors_of_a_symmetric_matrix_are_orthonormal_and_make_it_up() {
    let half = ensemble(9, 12);
    let a = half.t().dot(&half);
    let (values, vectors) = eigen(a.clone());
    let again = (&vectors * &values).dot(&vectors.t());
    assert!(frobenius(&(again - &a)) < 1e-13 * frobenius(&a));
    assert!(frobenius(&(vectors.t().dot(&vectors) - Array2::<f64>::eye(12))) < 1e-13);
    // Nine rows leave three eigenvalues of 0.
    assert_eq!(values.iter().filter(|l| l.abs() < 1e-12).count(), 3);
}

#[test]
fn each_method_follows_its_closed_form_on_both_problems() {
    for which in [Which::Elliptic, Which::Random] {
        let problem = problem(which);
        let u = ensemble(60, problem.truth.len());
        for (method, bound) in [
            (Method::Eki, 0.15),
            (Method::Kalman, 0.15),
            (Method::NaturalGradient, 0.05),
        ] {
            let off = off(&trace(method, &problem, &u, 400));
            assert!(off < bound, "{which:?}, {method:?}: {off}");
        }
    }
}

#[test]
fn perturbed_observations_follow_kalmans_and_bucys_flow_with_many_members() {
    let problem = problem(Which::Random);
    let points = trace(
        Method::KalmanPerturbed,
        &problem,
        &ensemble(1000, problem.truth.len()),
        60,
    );
    let off = off(&points);
    assert!(off < 0.25, "{off}");
}

#[test]
fn with_few_members_no_method_of_the_ensemble_moves_the_orthogonal_part() {
    let problem = problem(Which::Random);
    let u = ensemble(10, problem.truth.len());
    for method in [
        Method::Eki,
        Method::Meki,
        Method::Kalman,
        Method::KalmanPerturbed,
    ] {
        let points = trace(method, &problem, &u, 200);
        let (first, last) = (points[0], points[points.len() - 1]);
        assert!(
            first.orthogonal > 1.0 && last.along < 0.5 * first.along,
            "{method:?}: {last:?}"
        );
        let moved = (last.orthogonal / first.orthogonal - 1.0).abs();
        assert!(moved < 1e-9, "{method:?} moved it by {moved}");
    }
    // The natural gradient knows A, and leaves nothing.
    let points = trace(Method::NaturalGradient, &problem, &u, 1000);
    assert!(points[points.len() - 1].orthogonal < 1e-6 * points[0].orthogonal);
}

#[test]
fn the_kalman_step_tends_to_eki_to_first_order_in_h() {
    for which in [Which::Elliptic, Which::Random] {
        let problem = problem(which);
        let apart = limit(&problem, &ensemble(40, problem.truth.len()), &[16, 32]);
        let ratio = apart[0].1 / apart[1].1;
        assert!(
            (1.9..2.1).contains(&ratio),
            "{which:?}: half the step, {ratio} times the distance"
        );
    }
}
