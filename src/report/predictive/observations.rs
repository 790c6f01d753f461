//! The observations of a run as a predictive check takes them: values, noise, groups, sets, and which the run left out.

use super::ALL;
use crate::data::noise::Noise;
use crate::data::observed::ObservationTable;

/// The observations of a run, K each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// The names.
    pub names: Vec<String>,
    /// The values.
    pub values: Vec<f64>,
    /// The deviations of the noise.
    pub deviations: Vec<f64>,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// The group of each; none without groups.
    pub group_of: Vec<usize>,
    /// The sets, by name, and the places of their observations.
    pub sets: Vec<(String, Vec<usize>)>,
    /// The places of the observations that the run left out (`data.conflict`), ascending.
    pub left_out: Vec<usize>,
}

impl Observations {
    /// Returns the observed `values` with their `noise`, what a `table` says of them, and the names of those `left_out`, with their
    /// groups, as summary.json has them.
    #[must_use]
    pub fn new(
        values: &[f64],
        noise: &Noise,
        table: &ObservationTable,
        left_out: &[String],
    ) -> Self {
        let deviations = noise.variances(values.len());
        let sets = table.sets.iter();
        Self {
            sets: sets
                .map(|set| (set.name.clone(), set.places.clone()))
                .collect(),
            left_out: table.places_named(left_out),
            names: (0..values.len()).map(|k| table.name(k)).collect(),
            values: values.to_vec(),
            deviations: deviations.into_iter().map(f64::sqrt).collect(),
            groups: table.groups.clone(),
            group_of: table.group_of.clone(),
        }
    }

    /// Returns the name of the group of observation `k`, if it has one.
    pub(super) fn group(&self, k: usize) -> Option<&String> {
        self.group_of.get(k).map(|&g| &self.groups[g])
    }

    /// Returns the name of the set of observation `k`, if it has one.
    pub(super) fn set(&self, k: usize) -> Option<&String> {
        let mut sets = self.sets.iter();
        let set = sets.find(|(_, places)| places.binary_search(&k).is_ok());
        set.map(|(name, _)| name)
    }

    /// Returns the places of all observations together, of each group and then of each set, by name; without those left out.
    pub(super) fn parts(&self) -> Vec<(&str, Vec<usize>)> {
        let counts = |k: &usize| self.left_out.binary_search(k).is_err();
        let all: Vec<usize> = (0..self.values.len()).filter(counts).collect();
        let mut groups = vec![Vec::new(); self.groups.len()];
        let grouped = all
            .iter()
            .filter_map(|&k| Some((k, *self.group_of.get(k)?)));
        grouped.for_each(|(k, g)| groups[g].push(k));
        let groups = self.groups.iter().map(String::as_str).zip(groups);
        let sets = self.sets.iter();
        let sets = sets.map(|(name, places)| {
            let own = places.iter().copied().filter(counts);
            (name.as_str(), own.collect())
        });
        std::iter::once((ALL, all.clone()))
            .chain(groups)
            .chain(sets)
            .collect()
    }
}
