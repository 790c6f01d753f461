//! One method on one problem from one first ensemble, and what momentum saves.

use std::path::Path;

use eki_mpi::prelude::{Calibration, Fit, FnMap, Ranks, Result};

use crate::methods::{Aim, Method};
use crate::problems::{Map, Problem};
use crate::score::{Row, Scores};

/// Runs `problem` with `keys` from the members in the file `initial`.
fn fit(
    ranks: &Ranks,
    problem: &Problem,
    (map, initial): (Map, &Path),
    (aim, keys): (Aim, &[(String, String)]),
) -> Result<Fit> {
    let (p, k) = (problem.parameters, problem.y.len());
    let mut calibration = Calibration::new(FnMap::new(p, k, move |u: &[f64]| map(u)))
        .prior([format!("u[{p}] normal 0 1")])
        .observations(problem.y.clone())
        .noise(1.0)
        .set("run.best", "never")
        .set("output.history", "none");
    // A correlated prior is that of the members; others are N(0, I), of which the members are draws.
    let prior = if problem.correlate.is_some() {
        "sample"
    } else {
        "laws"
    };
    calibration = match aim {
        Aim::Law => calibration.members(2 * p + 1),
        _ => calibration
            .members(problem.members)
            .set("ensemble.initial", initial.display())
            .set("ensemble.prior", prior),
    };
    if let (Aim::ByDistance, Some(places)) = (aim, &problem.places) {
        let (parameters, observations) = (places.parameters.clone(), places.observations.clone());
        calibration = calibration.localise_by_distance(places.radius, parameters, observations);
    }
    for (key, value) in keys {
        calibration = calibration.set(key, value);
    }
    calibration.run(ranks)
}

/// Runs `method` on `problem`.
///
/// # Errors
/// A run that fails.
pub fn row(
    ranks: &Ranks,
    problem: &Problem,
    method: &Method,
    (seed, initial): (u64, &Path),
) -> Result<Row> {
    let mut keys = method.keys();
    keys.push(("seed".to_owned(), seed.to_string()));
    let fit = fit(
        ranks,
        problem,
        (problem.map.clone(), initial),
        (method.aim, &keys),
    )?;
    Ok(Row {
        problem: problem.name.to_owned(),
        method: method.name.to_owned(),
        seed,
        simulations: fit.steps().iter().map(|step| step.members).sum(),
        steps: fit.steps().len(),
        scores: match method.aim {
            Aim::Law => of_law(problem, &fit),
            _ => Scores::of_members(problem, fit.members()),
        },
        update: fit.update_seconds(),
        settings: method.in_words(),
    })
}

/// The scores of the normal law that sigma points stand for.
fn of_law(problem: &Problem, fit: &Fit) -> Scores {
    let found = fit.statistics().parameters;
    let mean: Vec<f64> = found.iter().map(|of| of.mean).collect();
    let deviation: Vec<f64> = found.iter().map(|of| of.deviation.unwrap_or(0.0)).collect();
    Scores::new(problem, (&mean, &deviation))
}

/// The steps of plain `kalman` that accelerators are compared with.
const PLAIN: usize = 60;

/// The accelerators, and the keys that they set.
pub const ACCELERATORS: [(&str, &[(&str, &str)]); 5] = [
    ("n/(n+3)", &[]),
    ("recursive", &[("method.momentum_rule", "recursive")]),
    ("0.9", &[("method.momentum_coefficient", "0.9")]),
    ("n/(n+3), adaptive", &[("method.momentum_adaptive", "true")]),
    (
        "0.9, adaptive",
        &[
            ("method.momentum_coefficient", "0.9"),
            ("method.momentum_adaptive", "true"),
        ],
    ),
];

/// The steps, with each accelerator, after which the members' misfit is at most what it is after `PLAIN` steps without; None where it is
/// not in as many.
///
/// # Errors
/// A run that fails.
pub fn accelerated(
    ranks: &Ranks,
    problem: &Problem,
    (seed, initial): (u64, &Path),
) -> Result<Vec<Option<usize>>> {
    let run = |momentum: bool, more: &[(&str, &str)]| -> Result<Vec<f64>> {
        let steps = (PLAIN + 1).to_string();
        let seed = seed.to_string();
        let base = [
            ("method.kind", "kalman"),
            ("method.h_schedule", "level"),
            ("method.h", "0.02"),
            ("run.stop_at_misfit", "0"),
            ("run.steps", steps.as_str()),
            ("seed", seed.as_str()),
        ];
        let momentum = momentum.then_some(("method.momentum", "true"));
        let keys = base.iter().chain(&momentum).chain(more);
        let keys: Vec<_> = keys
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Ok(fit(
            ranks,
            problem,
            (problem.map.clone(), initial),
            (Aim::Fit, &keys),
        )?
        .misfits()
        .to_vec())
    };
    let plain = run(false, &[])?;
    let target = plain[PLAIN];
    ACCELERATORS
        .iter()
        .map(|(_, more)| Ok(run(true, more)?.iter().position(|misfit| *misfit <= target)))
        .collect()
}
