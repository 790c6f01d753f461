//! Groups of parameters, each informed by some of the observations alone.
//!
//! Parameters that the same observations inform share a set of observations. Each set has a gain of its own, found from its
//! observations alone: what a parameter learns is what it would learn if there were no others (local analysis).

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which observations inform which parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The set of each parameter, P numbers.
    set_of: Vec<u32>,
    /// The observations of each set, ascending.
    sets: Vec<Vec<usize>>,
    /// The rows: the observations of all sets, one set after the other, each with its set.
    rows: Vec<(u32, usize)>,
}

impl Groups {
    /// Returns the factors of parameters that are informed by the groups of observations `informed_by`, ascending for each, where `group_of` is the group
    /// of each of the K observations.
    #[must_use]
    pub fn new(informed_by: &[Vec<usize>], group_of: &[usize]) -> Self {
        let mut known: HashMap<&[usize], u32> = HashMap::new();
        let mut sets: Vec<Vec<usize>> = Vec::new();
        let mut set_of = Vec::with_capacity(informed_by.len());
        for groups in informed_by {
            let set = *known.entry(groups).or_insert_with(|| {
                let own = (0..group_of.len()).filter(|&k| groups.contains(&group_of[k]));
                sets.push(own.collect());
                sets.len() as u32 - 1
            });
            set_of.push(set);
        }
        let of_set = |(set, own): (usize, &Vec<usize>)| {
            let rows: Vec<(u32, usize)> = own.iter().map(|&k| (set as u32, k)).collect();
            rows
        };
        Self {
            set_of,
            rows: sets.iter().enumerate().flat_map(of_set).collect(),
            sets,
        }
    }

    /// Returns the number P of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.set_of.len()
    }

    /// Returns the observations of each set, ascending.
    #[must_use]
    pub fn sets(&self) -> &[Vec<usize>] {
        &self.sets
    }

    /// Returns the observation that each row is of.
    pub fn observations(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|row| row.1)
    }

    /// Returns the observation that the row `row` is of.
    #[must_use]
    pub fn observation(&self, row: usize) -> usize {
        self.rows[row].1
    }

    /// Returns the rows of the sets that inform any of the `parameters`, in order.
    #[must_use]
    pub fn near(&self, parameters: Range<usize>) -> Vec<usize> {
        let mut sets = self.set_of[parameters].to_vec();
        sets.sort_unstable();
        sets.dedup();
        let first = |set: u32| self.rows.partition_point(|row| row.0 < set);
        sets.into_iter()
            .flat_map(|set| first(set)..first(set + 1))
            .collect()
    }

    /// Writes 1 for each parameter from `first` on that the row `row` informs, else 0, as many as `out` holds.
    #[inline(always)]
    pub fn tapers(&self, row: usize, first: usize, out: &mut [f64]) {
        let set = self.rows[row].0;
        for (to, &own) in out.iter_mut().zip(&self.set_of[first..]) {
            *to = if own == set { 1.0 } else { 0.0 };
        }
    }

    /// Returns the bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.set_of.len() + 24 * self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_one_set_share_its_rows() {
        let informed_by = [vec![0], vec![0, 1], vec![], vec![0]];
        let groups = Groups::new(&informed_by, &[1, 0, 0]);
        assert_eq!(groups.sets(), [vec![1, 2], vec![0, 1, 2], vec![]]);
        assert_eq!(groups.observations().collect::<Vec<_>>(), [1, 2, 0, 1, 2]);
        assert_eq!(groups.near(2..4), [0, 1]);
        assert_eq!(groups.near(1..2), [2, 3, 4]);
        assert!(groups.near(2..3).is_empty());
        let mut out = [0.5; 3];
        groups.tapers(1, 1, &mut out);
        assert_eq!(out, [0.0, 0.0, 1.0]);
    }
}
