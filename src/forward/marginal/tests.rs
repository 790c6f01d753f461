//! The laws of one parameter: quantiles against scipy's, moments, bounds and coordinates.

use super::*;

fn law(entry: &str) -> Marginal {
    let (law, numbers) = entry.rsplit_once(": ").unwrap();
    let numbers: Vec<f64> = numbers.split(' ').map(|x| x.parse().unwrap()).collect();
    Marginal::new(law, &numbers).unwrap()
}

/// The mean and deviation of the parameter, by the trapezoidal rule over xi.
fn moments(law: &Marginal) -> (f64, f64) {
    let (mut weight, mut sum, mut square) = (0.0, 0.0, 0.0);
    for i in -8_000..=8_000 {
        let xi = f64::from(i) * 1e-3;
        let (w, u) = ((-0.5 * xi * xi).exp(), law.at(xi));
        (weight, sum, square) = (weight + w, sum + w * u, square + w * u * u);
    }
    let mean = sum / weight;
    (mean, (square / weight - mean * mean).sqrt())
}

#[test]
fn each_law_has_the_mean_and_deviation_it_states() {
    let log = (0.3_f64 + 0.125).exp();
    for (entry, mean, deviation) in [
        ("normal: -3 2", -3.0, 2.0),
        ("lognormal: 2.0 0.5", 2.0, 0.5),
        ("lognormal: 0.01 0.02", 0.01, 0.02),
        (
            "lognormal of log: 0.3 0.5",
            log,
            log * (0.25_f64.exp_m1()).sqrt(),
        ),
        ("uniform: -1 5", 2.0, 6.0 / 12_f64.sqrt()),
        ("triangular: 0 1 5", 2.0, (21.0_f64 / 18.0).sqrt()),
        ("bounded: 1 0.5 0 inf", 1.0, 0.5),
        ("bounded: -4 0.5 -inf -3.5", -4.0, 0.5),
        ("bounded: 20 30 10 200", 20.0, 30.0),
    ] {
        let found = moments(&law(entry));
        let near = |found: f64, wanted: f64| (found - wanted).abs() < 1e-3 * wanted.abs();
        assert!(near(found.0, mean), "{entry} {found:?}");
        assert!(near(found.1, deviation), "{entry} {found:?}");
    }
}

/// The quantiles in `tests/reference/quantiles.txt`, which the script beside it took from scipy.
#[test]
fn quantiles_are_those_of_scipy() {
    let text = include_str!("../../../tests/reference/quantiles.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 100, "{}", lines.len());
    for line in lines {
        let [entry, xi, wanted] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let [xi, wanted]: [f64; 2] = [xi, wanted].map(|x| x.parse().unwrap());
        let law = law(entry);
        let found = law.at(xi);
        // Beside a bound at 0 the value is a difference of larger numbers, for scipy as well.
        let size = wanted.abs() + law.at(1.0) - law.at(-1.0);
        assert!((found - wanted).abs() <= 1e-10 * size, "{line} {found:?}");
        // Back: where a law is flat, its values tell less of the coordinate than they have digits.
        let slope = (law.at(xi + 1e-3) - law.at(xi - 1e-3)) / 2e-3;
        let lost = 1e-8 + 1e-14 * size / slope;
        let back = law.coordinate(found).unwrap();
        assert!(lost > 1e-3 || (back - xi).abs() < lost, "{line} {back}");
    }
}

#[test]
fn bounds_hold_at_any_coordinate_and_have_one() {
    for (entry, lower, upper) in [
        ("uniform: 0.1 0.3", 0.1, 0.3),
        ("lognormal: 1 1", 0.0, f64::INFINITY),
        ("loguniform: 1e-7 0.3", 1e-7, 0.3),
        ("truncnormal: 0.1 3 0.1 0.3", 0.1, 0.3),
        ("truncnormal: -29 1 0.1 inf", 0.1, f64::INFINITY),
        ("triangular: 0.1 0.1 0.3", 0.1, 0.3),
        ("triangular: 0.1 0.3 0.3", 0.1, 0.3),
        ("bounded: 11 1 10 inf", 10.0, f64::INFINITY),
        ("bounded: 9 1 -inf 10", f64::NEG_INFINITY, 10.0),
        ("bounded: 0.2 0.09 0.1 0.3", 0.1, 0.3),
    ] {
        let law = law(entry);
        let mut last = f64::NEG_INFINITY;
        for xi in [-1e3, -40.0, -9.0, -1.0, 0.0, 1.0, 8.3, 40.0, 1e3] {
            let u = law.at(xi);
            assert!(
                (lower..=upper).contains(&u) && u >= last,
                "{entry} {xi} {u}"
            );
            let back = law.coordinate(u);
            let lies_at_zero = u == 0.0 || u.is_infinite();
            assert!(
                lies_at_zero || back.is_some_and(f64::is_finite),
                "{entry} {xi} {back:?}"
            );
            last = u;
        }
        assert!(law.at(-1.0) < law.at(1.0), "{entry}");
        let outside = [f64::NAN, f64::INFINITY, lower - 1e-3, upper + 1e-3];
        assert!(
            outside.iter().all(|u| law.coordinate(*u).is_none()),
            "{entry}"
        );
    }
}

#[test]
fn coordinates_are_those_of_the_values() {
    for (entry, xi) in [
        ("normal: -3 2", vec![-7.0, 0.0, 0.3, 30.0]),
        ("lognormal: 2.0 0.5", vec![-7.0, 0.0, 0.3, 30.0]),
        ("lognormal: 1e-9 1e-10", vec![-2.0, 0.5]),
        ("uniform: -1 5", vec![-5.0, -1.0, -1e-9, 0.0, 0.7, 3.0, 5.0]),
        ("uniform: 0 1e-6", vec![-8.9, -3.0, 0.1, 2.0]),
        ("bounded: 1 0.5 0 inf", vec![-7.0, 0.3, 30.0]),
    ] {
        let marginal = law(entry);
        for xi in xi {
            let found = marginal.coordinate(marginal.at(xi)).unwrap();
            assert!((found - xi).abs() < 1e-8, "{entry} {xi} {found}");
        }
    }
    let uniform = law("uniform: -1 5");
    for (bound, xi) in [(-1.0, -9.0), (5.0, 9.0)] {
        let found = uniform.coordinate(bound).unwrap();
        assert_eq!((found, uniform.at(found)), (xi, bound));
    }
    assert_eq!(law("lognormal: 2 1").coordinate(0.0), None);
}
