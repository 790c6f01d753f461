//! An epidemic: contact and recovery rates and the number infected at first, from the cases reported on 66 of 80 days (tests/examples/seir).

use std::sync::Arc;

use super::{Map, Problem, normal_share};
use crate::answer::{grid, lazy, log_likelihood};

const PEOPLE: f64 = 100_000.0;
const OBSERVED: &str = include_str!("../../../tests/examples/seir/observed.csv");

/// The cases that are reported on each of 80 days; none where more are infected in a day than are healthy.
fn cases(contact: f64, recovery: f64, infected: f64) -> Option<Vec<f64>> {
    let (mut s, mut e, mut i) = (PEOPLE - infected, 0.0, infected);
    let days = (0..80).map(|_| {
        let (new, ill) = (contact * s * i / PEOPLE, 0.25 * e);
        if new > s {
            return None;
        }
        (s, e, i) = (s - new, e + new - ill, i + ill - recovery * i);
        Some(0.4 * ill)
    });
    days.collect()
}

/// contact uniform 0.2 to 2.5, recovery uniform 0.05 to 1, infected log-uniform 1 to 1000; about a third of the first members fails.
pub fn seir() -> Problem {
    let rows: Vec<(usize, f64, f64)> = OBSERVED
        .lines()
        .skip(1)
        .enumerate()
        .filter_map(|(day, line)| {
            let fields: Vec<&str> = line.split(',').collect();
            Some((day, fields[1].parse().ok()?, fields[2].parse().ok()?))
        })
        .collect();
    let y: Vec<f64> = rows
        .iter()
        .map(|(_, value, deviation)| value / deviation)
        .collect();
    let map: Map = Arc::new(move |u| {
        let part: Vec<f64> = u.iter().map(|u| normal_share(*u)).collect();
        let found = cases(
            0.2 + 2.3 * part[0],
            0.05 + 0.95 * part[1],
            1000f64.powf(part[2]),
        );
        found.map_or(Vec::new(), |found| {
            rows.iter()
                .map(|(day, _, deviation)| found[*day] / deviation)
                .collect()
        })
    });
    let (of, data) = (map.clone(), y.clone());
    Problem {
        name: "seir",
        parameters: 3,
        members: 200,
        answer: lazy(move || grid(3, 100, |u| log_likelihood(&of, &data, u))),
        map,
        y,
        places: None,
        correlate: None,
    }
}
