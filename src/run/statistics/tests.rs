use ndarray::Array2;

use super::*;

fn prior(entries: &[&str]) -> JointPrior {
    let entries: Vec<String> = entries.iter().map(|e| (*e).to_owned()).collect();
    JointPrior::new(&entries).unwrap()
}

fn of(entries: &[&str], rows: &[&[f64]]) -> FinalMembers {
    let members = Array2::from_shape_fn((rows.len(), rows[0].len()), |(j, p)| rows[j][p]);
    let finite = |p: usize| {
        rows.iter()
            .map(|u| u[p])
            .filter(|u| u.is_finite())
            .collect::<Vec<_>>()
    };
    let mean: Vec<f64> = (0..rows[0].len())
        .map(|p| sample::mean(&finite(p)))
        .collect();
    FinalMembers::new(
        MembersOf {
            are: MembersAre::Fit,
            before: PriorSpread::Laws,
            points: None,
        },
        &prior(entries),
        &mean,
        members.view(),
    )
}

/// Against a sample that is the prior the contraction is by its own variance: 4 there, 1 here.
#[test]
fn contraction_is_against_the_sample_where_that_is_the_prior() {
    let prior = prior(&["a normal 5 2"]);
    let (first, last) = (
        ndarray::array![[1.0], [3.0], [5.0]],
        ndarray::array![[1.0], [2.0], [3.0]],
    );
    let of = |before| {
        let of = MembersOf {
            are: MembersAre::Fit,
            before,
            points: None,
        };
        let found = FinalMembers::new(of, &prior, &[2.0], last.view());
        found.parameters[0].contraction
    };
    assert!((of(PriorSpread::Sample(first.view())).unwrap() - 0.75).abs() < 1e-14);
    assert!((of(PriorSpread::Laws).unwrap() - 0.75).abs() < 1e-14);
    let wide = ndarray::array![[0.0], [5.0], [10.0]];
    assert!((of(PriorSpread::Sample(wide.view())).unwrap() - 0.96).abs() < 1e-14);
    assert_eq!(of(PriorSpread::Unknown), None);
}

/// Three members of a normal prior N(1, 2^2), a fixed parameter, one tied to the first, and one that follows it: by hand.
#[test]
fn statistics_of_three_members_worked_by_hand() {
    let entries = ["a normal 1 2", "c fixed 7", "t tied a 2", "b uniform 0 10"];
    let rows: [&[f64]; 3] = [
        &[0.0, 7.0, 0.0, 3.0],
        &[1.0, 7.0, 2.0, 4.0],
        &[2.0, 7.0, 4.0, 5.0],
    ];
    let found = of(&entries, &rows);
    let [a, c, t, b] = &found.parameters[..] else {
        panic!()
    };
    assert_eq!((a.mean, a.deviation), (1.0, Some(1.0)));
    assert_eq!(a.quantiles, Some([0.1, 0.32, 1.0, 1.68, 1.9]));
    // Of the coordinates -0.5, 0 and 0.5 the variance is 1/4.
    assert!((a.contraction.unwrap() - 0.75).abs() < 1e-15);
    assert_eq!((a.ends, a.bounded), (Some([0.0; 2]), [false; 2]));
    assert!((a.mean_error.unwrap() - 1.0 / 3.0_f64.sqrt()).abs() < 1e-15);
    // Without one member the deviations are sqrt(1/2), sqrt(2) and sqrt(1/2).
    let by_hand =
        (2.0 / 3.0 * (2.0 * (1.0_f64 / 3.0).powi(2) + (2.0_f64 / 3.0).powi(2)) / 2.0).sqrt();
    assert!((a.deviation_error.unwrap() - by_hand).abs() < 1e-15);
    assert_eq!(
        (c.deviation, c.contraction, c.ends),
        (Some(0.0), None, None)
    );
    assert_eq!((t.mean, t.deviation, t.contraction), (2.0, Some(2.0), None));
    assert_eq!(b.bounded, [true; 2]);
    // With three members no correlation is beyond its sampling error, however large.
    assert_eq!(found.correlations, Some(Vec::new()));
}

#[test]
fn few_members_have_what_they_have() {
    let one = of(&["a normal 0 1"], &[&[0.5]]);
    let a = &one.parameters[0];
    assert_eq!(
        (a.deviation, a.mean_error, a.contraction),
        (None, None, None)
    );
    assert_eq!(a.quantiles, Some([0.5; 5]));
    let two = of(&["a normal 0 1"], &[&[0.5], &[1.5]]);
    let a = &two.parameters[0];
    assert_eq!((a.mean_error, a.deviation_error), (Some(0.5), None));
    let none = of(&["a normal 0 1"], &[&[f64::INFINITY], &[f64::NAN]]);
    let a = &none.parameters[0];
    assert_eq!((none.counted, a.quantiles, a.ends), (0, None, None));
    assert_eq!((a.deviation, a.mean_error), (None, None));
}

#[test]
fn members_at_a_bound_are_found_at_that_end_alone() {
    let rows: Vec<Vec<f64>> = (0..20)
        .map(|j| {
            vec![
                if j < 3 {
                    9.95
                } else {
                    4.0 + 0.1 * f64::from(j)
                },
                0.0,
            ]
        })
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let found = of(&["k uniform 0 10", "x normal 0 1"], &rows);
    assert_eq!(found.parameters[0].ends, Some([0.0, 0.15]));
    assert_eq!(found.parameters[0].at_ends(), [false, true]);
    let told = found.parameters[0].end_in_words().unwrap();
    assert_eq!(
        told,
        "k lies at its upper bound: 15 % of the members are in the highest 1 % of the prior"
    );
    assert_eq!(found.parameters[1].end_in_words(), None);
}

/// Correlations are NumPy's corrcoef: here of the numbers 0 to 39 with a sawtooth on them, by its definition.
#[test]
fn the_largest_correlations_come_first_and_further_ones_are_counted() {
    let saw = |j: usize, slope: f64| slope * j as f64 + [0.0, 9.0, -9.0, 4.0][j % 4];
    let rows: Vec<Vec<f64>> = (0..40)
        .map(|j| vec![saw(j, 1.0), saw(j + 1, -1.0), ((j * 7919) % 40) as f64])
        .collect();
    let slices: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let found = of(&["a normal 0 9", "b normal 0 9", "c normal 0 9"], &slices);
    let pairs = found.correlations.unwrap();
    assert_eq!(pairs[0].between, ["a", "b"].map(str::to_owned));
    let column = |p: usize| rows.iter().map(|u| u[p]).collect::<Vec<f64>>();
    let about = |v: &[f64]| v.iter().map(|x| x - sample::mean(v)).collect::<Vec<f64>>();
    let (a, b) = (about(&column(0)), about(&column(1)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let r = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
    assert!((pairs[0].correlation - r).abs() < 1e-14 && r < -0.5);
    let many: Vec<Vec<f64>> = (0..40)
        .map(|j| (0..9).map(|p| saw(j, 1.0) * f64::from(p + 1)).collect())
        .collect();
    let slices: Vec<&[f64]> = many.iter().map(Vec::as_slice).collect();
    let found = of(&["k[9] normal 0 9"], &slices);
    assert_eq!(
        (found.correlations.unwrap().len(), found.more_correlations),
        (20, 16)
    );
}

#[test]
fn what_is_left_out_is_counted() {
    let found = of(&["k[9] normal 0 9"], &[&[0.0; 9], &[1.0; 9]]).shortened(4);
    assert_eq!((found.parameters.len(), found.more_parameters), (4, 5));
}
