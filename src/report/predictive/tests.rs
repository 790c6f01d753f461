//! Predictive checks worked by hand.

use ndarray::{Array2, array};

use super::*;

fn two_groups() -> Observations {
    Observations {
        names: ["a", "b,c", "d"].map(str::to_owned).to_vec(),
        values: vec![1.0, 2.0, 10.0],
        deviations: vec![1.0, 0.5, 2.0],
        groups: ["near", "far"].map(str::to_owned).to_vec(),
        group_of: vec![0, 0, 1],
        ..Observations::default()
    }
}

/// Members at y - 1, y and y + 1 of each of two observations, and far below the third: by hand.
#[test]
fn groups_are_checked_apart_and_together() {
    let outputs = array![
        [0.0, 1.0, 1.0],
        [1.0, 2.0, 2.0],
        [2.0, 3.0, 3.0],
        [f64::NAN; 3]
    ];
    let check = Predictive::new(&two_groups(), 4, outputs.view());
    assert_eq!((check.members, check.groups.len()), (3, 3));
    let [all, near, far] = &check.groups[..] else {
        panic!()
    };
    // Squares 1, 0, 1 of the first, 4, 0, 4 of the second, and (9^2 + 8^2 + 7^2)/4 of the third.
    assert!((near.misfit - (10.0_f64 / 6.0).sqrt()).abs() < 1e-15);
    assert!((far.misfit - (194.0_f64 / 12.0).sqrt()).abs() < 1e-15);
    assert!((all.misfit - ((10.0 + 48.5) / 9.0_f64).sqrt()).abs() < 1e-15);
    assert_eq!(
        (near.residual_mean, near.covered_50, near.covered_90),
        (0.0, 1.0, 1.0)
    );
    assert_eq!(
        (far.covered_50, far.covered_90, far.observations),
        (0.0, 0.0, 1)
    );
    // (10 - 2) / sqrt(4 + 1)
    assert!((far.residual_rms - 8.0 / 5.0_f64.sqrt()).abs() < 1e-15);
    assert_eq!(check.worst()[0].name, "d");
    let bands = check.observations[0].bands.unwrap();
    assert!(
        bands.windows(2).all(|pair| pair[0] < pair[1]) && (bands[0] + bands[3] - 2.0).abs() < 1e-9
    );
    let table = check.csv();
    assert!(table.contains("\n\"b,c\",near,2.0,0.5,2.0,1.0,"), "{table}");
}

/// Two sets, of which the outputs of one are known: the misfits of the others, and of all, are not.
#[test]
fn misfits_of_some_sets_are_theirs_alone() {
    let observed = Observations {
        sets: vec![("s".to_owned(), vec![0, 2]), ("t".to_owned(), vec![1])],
        ..two_groups()
    };
    let outputs = array![[2.0, f64::NAN, 6.0], [0.0, f64::NAN, 8.0]];
    let known = ["s".to_owned()];
    let found = misfits(&observed, outputs.view(), Some(&known[..]));
    // 1, 1 of the first, and 4 / 2, 2 / 2 of the third.
    let far = 2.5_f64.sqrt();
    assert!(
        found[0].is_nan() && found[1].is_nan() && found[4].is_nan(),
        "{found:?}"
    );
    assert_eq!((found[2], found[3]), (far, (7.0_f64 / 4.0).sqrt()));
}

/// The third, left out, counts nowhere and is listed apart.
#[test]
fn observations_left_out_are_listed_apart() {
    let observed = Observations {
        left_out: vec![2],
        ..two_groups()
    };
    let check = Predictive::new(
        &observed,
        4,
        array![[0.0, 1.0, 1.0], [2.0, 3.0, 3.0]].view(),
    );
    assert_eq!(
        (check.groups[0].observations, check.groups[2].observations),
        (2, 0)
    );
    assert_eq!(check.groups[0].misfit, 2.5_f64.sqrt());
    assert_eq!((check.worst().len(), check.left_out().count()), (2, 1));
    assert!(
        check.words().ends_with("1 more were left out of the run"),
        "{}",
        check.words()
    );
    assert!(check.csv().trim_end().ends_with(",1"), "{}", check.csv());
    let short = check.shortened(3);
    assert_eq!(short.observations[2].name, "d");
}

#[test]
fn members_without_outputs_leave_nothing_known() {
    let check = Predictive::new(&two_groups(), 0, Array2::from_elem((2, 3), f64::NAN).view());
    assert_eq!(check.members, 0);
    assert!(
        check
            .groups
            .iter()
            .all(|g| g.misfit.is_nan() && g.covered_90.is_nan() && g.crps.is_nan())
    );
    assert!(check.csv().lines().nth(1).unwrap().ends_with(",,,,,,,,,,0"));
}

#[test]
fn of_thousands_the_worst_are_kept_and_the_others_counted() {
    let count = 5000;
    let observed = Observations {
        names: (0..count).map(|k| k.to_string()).collect(),
        values: (0..count).map(f64::from).collect(),
        deviations: vec![1.0; count as usize],
        ..Observations::default()
    };
    let check = Predictive::new(&observed, 1, Array2::zeros((2, count as usize)).view());
    let short = check.shortened(10);
    assert_eq!(
        (short.observations.len(), short.more_observations),
        (10, 4990)
    );
    assert_eq!(
        (short.observations[0].name.as_str(), short.groups.len()),
        ("4999", 1)
    );
}
