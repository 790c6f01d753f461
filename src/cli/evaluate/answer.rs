//! The answer of a simulator's run as text.

use eki_mpi::files::numbers::number;
use eki_mpi::report::assess::Answer;
use eki_mpi::report::check::Check;
use eki_mpi::report::predictive::ObservationCheck;
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::text_table;

/// The largest number of parameters, groups and observations in a table.
const SHOWN: usize = 100;
const GROUPS: usize = 50;
const WORST: usize = 20;

/// Returns what a simulator's members are, and a table of its parameters.
pub fn table(answer: &Answer) -> String {
    let found = &answer.members;
    let mut text = format!(
        "the {} final members are {}\n",
        found.counted,
        found.are.words()
    );
    let heading = [
        "parameter",
        "mean",
        "±",
        "deviation",
        "±",
        "5 %",
        "16 %",
        "50 %",
        "84 %",
        "95 %",
        "contraction",
    ];
    let rows = found.parameters.iter().take(SHOWN).map(|of| {
        let shown = |x: Option<f64>, digits| x.map_or("-".to_owned(), |x| number(x, digits));
        let quantiles = of.quantiles.map_or([None; 5], |all| all.map(Some));
        let [a, b, c, d, e] = quantiles.map(|x| shown(x, 5));
        [
            of.name.clone(),
            shown(Some(of.mean), 5),
            shown(of.mean_error, 2),
            shown(of.deviation, 3),
            shown(of.deviation_error, 2),
            a,
            b,
            c,
            d,
            e,
            shown(of.contraction, 3),
        ]
    });
    let rows = std::iter::once(heading.map(str::to_owned)).chain(rows);
    let mut columns = [Right; 11];
    columns[0] = Left;
    text += &text_table(columns, rows);
    text += &rest(
        found.parameters.len(),
        SHOWN,
        "parameters in final/parameters.csv",
    );
    for (what, which) in &answer.notes {
        text += &format!("{what}: {which}\n");
    }
    text + &answer.predictive.as_ref().map_or(String::new(), predictive)
}

/// Returns the predictive check: a table of groups, and of the observations that lie worst.
fn predictive(check: &Check) -> String {
    let mut text = format!(
        "predictive check: {}\n{}largest residuals\n{}",
        check.last.words(),
        groups(check),
        observations(&check.last.worst())
    );
    let left_out: Vec<&ObservationCheck> = check.last.left_out().collect();
    if !left_out.is_empty() {
        text += "left out of the run (data.conflict = \"drop\"), and of all above\n";
        text += &observations(&left_out);
    }
    text
}

/// Returns `x` with so many significant digits; a dash where it is not known.
fn cell(x: f64, digits: usize) -> String {
    match x.is_nan() {
        true => "-".to_owned(),
        false => number(x, digits),
    }
}

/// Returns the table of groups.
fn groups(check: &Check) -> String {
    let of_sets = check.last.observations.iter().any(|of| of.set.is_some());
    let heading = [
        if of_sets { "group or set" } else { "group" },
        "observations",
        "misfit at first",
        "at last",
        "mean z",
        "rms z",
        "in 50 %",
        "in 90 %",
        "CRPS/σ",
    ];
    let first = |name: &str| {
        let mut groups = check.first.iter().flat_map(|first| &first.groups);
        groups
            .find(|group| group.group == name)
            .map_or(f64::NAN, |group| group.misfit)
    };
    let all = &check.last.groups;
    let rows = all.iter().take(GROUPS).map(|of| {
        let numbers = [
            first(&of.group),
            of.misfit,
            of.residual_mean,
            of.residual_rms,
            of.covered_50,
            of.covered_90,
            of.crps,
        ];
        let [a, b, c, d, e, f, g] = numbers.map(|x| cell(x, 3));
        [
            of.group.clone(),
            of.observations.to_string(),
            a,
            b,
            c,
            d,
            e,
            f,
            g,
        ]
    });
    let mut columns = [Right; 9];
    columns[0] = Left;
    text_table(
        columns,
        std::iter::once(heading.map(str::to_owned)).chain(rows),
    ) + &rest(all.len(), GROUPS, "groups")
}

/// Returns the table of the first of the observations `checked`.
fn observations(checked: &[&ObservationCheck]) -> String {
    let heading = [
        "observation",
        "observed",
        "noise",
        "mean output",
        "deviation",
        "z",
        "probability",
    ];
    let rows = checked.iter().take(WORST).map(|of| {
        let numbers = [
            (of.observed, 5),
            (of.noise, 3),
            (of.mean, 5),
            (of.spread, 3),
            (of.residual, 3),
            (of.probability, 3),
        ];
        let [a, b, c, d, e, f] = numbers.map(|(x, digits)| cell(x, digits));
        [of.name.clone(), a, b, c, d, e, f]
    });
    let mut columns = [Right; 7];
    columns[0] = Left;
    text_table(
        columns,
        std::iter::once(heading.map(str::to_owned)).chain(rows),
    ) + &rest(checked.len(), WORST, "observations in final/predictive.csv")
}

/// Returns a line on those of `count` that are beyond the `shown`; empty without any.
fn rest(count: usize, shown: usize, what: &str) -> String {
    match count.saturating_sub(shown) {
        0 => String::new(),
        rest => format!("  and {rest} more {what}\n"),
    }
}
