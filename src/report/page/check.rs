//! The predictive check of one run: observed and predicted, residuals, misfits of groups by step.

use std::collections::HashSet;

use super::plot::{Layer, Plot, Shape};
use super::scale::{escaped, number};
use super::tables::table;
use crate::report::check::{Check, TABLE};
use crate::report::predictive::{ALL, GroupCheck, ObservationCheck, Predictive};

/// The largest number of groups that are drawn, and listed.
const GROUPS: usize = 6;
const LISTED: usize = 50;
/// The largest number of observations in a plot, and in the table.
const DRAWN: usize = 200;
const WORST: usize = 20;
/// The colours of the final members, of observations and of the first ensemble.
const MEMBERS: usize = 0;
const OBSERVED: usize = 1;
const FIRST: usize = 7;

/// Returns the section on the predictive check.
pub fn section(check: &Check) -> String {
    let last = &check.last;
    let groups = groups_drawn(last);
    let mut cards: String = groups
        .iter()
        .map(|group| predicted(check, group).card())
        .collect();
    cards += &residuals(last, &groups).card();
    cards += &misfits(check, &groups).card();
    format!(
        "<h2>Observed and predicted</h2>\n<p class=\"soft\">The outputs of the {} final members that have any, against the observations; \
         nothing was simulated for it. Bands are of outputs with the noise added: of a posterior sample about 50 and 90 % of the \
         observations lie within. z: residual of the mean output over the deviation of noise and members together. CRPS: continuous \
         ranked probability score of the outputs without noise, over the noise's deviation; the fair one (Ferro 2014).</p>\n\
         {}<div class=\"grid few\" style=\"margin-top:14px\">\n{cards}</div>\n{}{}",
        last.members,
        group_table(
            check,
            if check.has_sets() {
                "group or set"
            } else {
                "group"
            }
        ),
        worst(last),
        left_out(last)
    )
}

/// Returns the names of the sets, else the groups, that are drawn: those of the largest misfits, or all observations together where there
/// are neither.
fn groups_drawn(last: &Predictive) -> Vec<&str> {
    let sets: HashSet<&str> = last
        .observations
        .iter()
        .filter_map(|check| check.set.as_deref())
        .collect();
    let is_drawn = |group: &&GroupCheck| match sets.is_empty() {
        true => group.group != ALL,
        false => sets.contains(group.group.as_str()),
    };
    let mut groups: Vec<&GroupCheck> = last.groups.iter().filter(is_drawn).collect();
    if groups.is_empty() {
        return vec![ALL];
    }
    groups.sort_by(|a, b| b.misfit.total_cmp(&a.misfit));
    groups
        .iter()
        .take(GROUPS)
        .map(|group| group.group.as_str())
        .collect()
}

/// Returns the table of groups and sets, which `heading` names.
fn group_table(check: &Check, heading: &str) -> String {
    let first = |name: &str| {
        let groups = check.first.iter().flat_map(|first| &first.groups);
        groups
            .filter(|group| group.group == name)
            .map(|group| group.misfit)
            .next()
    };
    let percent = |x: f64| {
        if x.is_nan() {
            "-".to_owned()
        } else {
            format!("{:.0} %", 100.0 * x)
        }
    };
    let shown = |x: f64| {
        if x.is_nan() {
            "-".to_owned()
        } else {
            number(x, 3)
        }
    };
    let row = |group: &GroupCheck| {
        vec![
            escaped(&group.group),
            group.observations.to_string(),
            first(&group.group).map_or("-".to_owned(), shown),
            shown(group.misfit),
            shown(group.residual_mean),
            shown(group.residual_rms),
            percent(group.covered_50),
            percent(group.covered_90),
            shown(group.crps),
        ]
    };
    let head = [
        heading,
        "observations",
        "misfit, first members",
        "final members",
        "mean of z",
        "root mean square of z",
        "within 50 %",
        "within 90 %",
        "CRPS / σ",
    ];
    let groups = &check.last.groups;
    let more = groups.len().saturating_sub(LISTED);
    let more = if more > 0 {
        format!("<p class=\"soft\">and {more} more groups</p>\n")
    } else {
        String::new()
    };
    table(&head, groups.iter().take(LISTED).map(row)) + &more
}

/// Returns the observations of `group` with their numbers from 1, and how many of them are drawn: evenly spread over all.
fn of_group<'a>(of: &'a Predictive, group: &str) -> (Vec<(f64, &'a ObservationCheck)>, usize) {
    let numbered = of
        .observations
        .iter()
        .enumerate()
        .map(|(k, check)| ((k + 1) as f64, check));
    let own = |(_, check): &(f64, &ObservationCheck)| {
        let parts = [&check.group, &check.set];
        !check.left_out && (group == ALL || parts.iter().any(|part| part.as_deref() == Some(group)))
    };
    let all: Vec<(f64, &ObservationCheck)> = numbered.filter(own).collect();
    let (count, every) = (all.len(), all.len().div_ceil(DRAWN).max(1));
    (all.into_iter().step_by(every).collect(), count)
}

/// Returns the plot of the observations of `group` and the members' outputs.
fn predicted(check: &Check, group: &str) -> Plot {
    let (drawn, count) = of_group(&check.last, group);
    let layer = |label: &str, colour, shape| Layer {
        label: label.to_owned(),
        colour,
        shape,
    };
    let band = |from: usize, to: usize| {
        let points = drawn
            .iter()
            .filter_map(|(k, c)| c.bands.map(|q| (*k, q[from], q[to])));
        Shape::Band(points.collect())
    };
    let means =
        |checks: &[(f64, &ObservationCheck)]| checks.iter().map(|(k, c)| (*k, c.mean)).collect();
    let points = drawn.iter().map(|(k, c)| {
        let told = format!(
            "{}: observed {}, mean output {}, z {}",
            c.name,
            number(c.observed, 5),
            number(c.mean, 5),
            number(c.residual, 3)
        );
        (*k, c.observed, told)
    });
    let mut layers = Vec::new();
    if let Some(first) = &check.first {
        let before = of_group(first, group).0;
        layers.push(layer(
            "mean output of the first members",
            FIRST,
            Shape::Dashed(means(&before)),
        ));
    }
    layers.extend([
        layer("final members with noise, 90 %", MEMBERS, band(0, 3)),
        layer("50 %", MEMBERS, band(1, 2)),
        layer("their mean output", MEMBERS, Shape::Line(means(&drawn))),
        layer("observed", OBSERVED, Shape::Points(points.collect())),
    ]);
    let title = match group {
        ALL => "All observations".to_owned(),
        name => {
            let is_set = |check: &ObservationCheck| check.set.as_deref() == Some(name);
            match check.last.observations.iter().any(is_set) {
                true => format!("Set {name}"),
                false => format!("Group {name}"),
            }
        }
    };
    let note = match count - drawn.len() {
        0 => String::new(),
        _ => format!("{} of {count} observations, evenly chosen", drawn.len()),
    };
    Plot {
        title,
        note,
        axes: ["number of the observation", "value"].map(str::to_owned),
        across: None,
        within: Vec::new(),
        logarithmic: false,
        layers,
    }
}

/// Returns the plot of the standardised residuals, in a colour for each of the `groups`.
fn residuals(last: &Predictive, groups: &[&str]) -> Plot {
    let count = last.observations.len();
    let of = |(i, group): (usize, &&str)| {
        let (drawn, _) = of_group(last, group);
        let points = drawn.iter().map(|(k, c)| {
            (
                *k,
                c.residual,
                format!("{}: z {}", c.name, number(c.residual, 3)),
            )
        });
        Layer {
            label: if *group == ALL {
                "observation".to_owned()
            } else {
                (*group).to_owned()
            },
            colour: i,
            shape: Shape::Points(points.collect()),
        }
    };
    let across = (1.0, count.max(2) as f64);
    let rules = [-2.0, 2.0].map(|z| Layer {
        label: if z > 0.0 {
            "2 deviations".to_owned()
        } else {
            String::new()
        },
        colour: FIRST,
        shape: Shape::Dashed(vec![(across.0, z), (across.1, z)]),
    });
    let mut layers = rules.to_vec();
    layers.extend(groups.iter().enumerate().map(of));
    Plot {
        title: "Standardised residuals".to_owned(),
        note: "95 % lie between -2 and 2 where noise and members explain them".to_owned(),
        axes: ["number of the observation", "z"].map(str::to_owned),
        across: Some(across),
        within: vec![-2.5, 2.5],
        logarithmic: false,
        layers,
    }
}

/// Returns the plot of the misfits of all observations together and of the `groups` by step.
fn misfits(check: &Check, groups: &[&str]) -> Plot {
    let names = check.last.groups.iter().map(|group| group.group.as_str());
    let drawn = names
        .enumerate()
        .filter(|(_, name)| *name == ALL || groups.contains(name));
    let line = |(place, name): (usize, &str)| {
        let points = check
            .misfits_by_step
            .iter()
            .map(|(step, all)| (*step as f64, all[place]));
        Layer {
            label: name.to_owned(),
            colour: groups
                .iter()
                .position(|group| *group == name)
                .unwrap_or(FIRST),
            shape: Shape::Line(points.collect()),
        }
    };
    Plot {
        title: "Misfit by step".to_owned(),
        note: "of the members, in deviations of the noise; 1 is the noise's own".to_owned(),
        axes: ["steps", "misfit"].map(str::to_owned),
        across: None,
        within: vec![1.0],
        logarithmic: true,
        layers: drawn.map(line).collect(),
    }
}

/// Returns the table of the observations with the largest residuals.
fn worst(last: &Predictive) -> String {
    let all = last.worst();
    let more = match all.len().saturating_sub(WORST) {
        0 => String::new(),
        more => {
            format!("<p class=\"soft\">The worst {WORST} of all; {more} more in {TABLE}.</p>\n")
        }
    };
    format!(
        "<h2>Largest residuals</h2>\n{}{more}",
        observations(all.into_iter().take(WORST))
    )
}

/// Returns the table of the observations that the run left out; empty without any.
fn left_out(last: &Predictive) -> String {
    match last.left_out().next() {
        None => String::new(),
        Some(_) => format!(
            "<h2>Left out</h2>\n<p class=\"soft\">No member of the first ensemble came near these observations, and the run left them out \
             (data.conflict): they count in nothing above.</p>\n{}",
            observations(last.left_out().take(LISTED))
        ),
    }
}

/// Returns the table of `checked` observations.
fn observations<'a>(checked: impl Iterator<Item = &'a ObservationCheck>) -> String {
    let rows = checked.map(|c| {
        vec![
            escaped(&c.name),
            escaped(c.group.as_deref().unwrap_or("-")),
            number(c.observed, 5),
            number(c.noise, 3),
            number(c.mean, 5),
            number(c.spread, 3),
            number(c.residual, 3),
            number(c.probability, 3),
        ]
    });
    let head = [
        "observation",
        "group",
        "observed",
        "noise σ",
        "mean output",
        "members' deviation",
        "z",
        "probability below",
    ];
    table(&head, rows)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::report::predictive::Observations;

    #[test]
    fn thousands_of_observations_and_groups_stay_small_and_are_counted() {
        let (count, groups) = (5000, 300);
        let observed = Observations {
            names: (0..count).map(|k| format!("y{k}")).collect(),
            values: (0..count).map(|k| k as f64).collect(),
            deviations: vec![2.0; count],
            groups: (0..groups).map(|g| format!("<g{g}>")).collect(),
            group_of: (0..count).map(|k| k % groups).collect(),
            ..Observations::default()
        };
        let outputs = Array2::from_shape_fn((3, count), |(j, k)| (k + j) as f64);
        let last = Predictive::new(&observed, 2, outputs.view());
        let check = Check {
            first: Some(last.clone()),
            misfits_by_step: vec![(0, vec![2.0; groups + 1]), (2, vec![1.0; groups + 1])],
            last,
        };
        let html = section(&check);
        assert!(html.len() < 300_000, "{}", html.len());
        for words in [
            "and 251 more groups",
            "4980 more in final/predictive.csv",
            "&lt;g5&gt;",
        ] {
            assert!(html.contains(words), "{words}");
        }
        assert!(!html.contains("NaN"));
        // No name of a group is taken for an element, as SVG's own <g class=...> is.
        assert!((0..groups).all(|g| !html.contains(&format!("<g{g}>"))));
    }
}
