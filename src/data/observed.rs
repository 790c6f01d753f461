//! Which of a simulator's outputs are observed, and what a table of observations says of them: names, groups, noise and weights.

use std::ops::Range;

use crate::data::scores::GroupMisfit;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The outputs of a simulator that are observed; the others are ignored, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedOutputs {
    /// The outputs that the simulator gives.
    total: usize,
    /// The places of those that are observed, ascending; None: all are.
    places: Option<Vec<usize>>,
    /// The most of those observed that a member may lack.
    missing: usize,
}

impl From<usize> for ObservedOutputs {
    /// All of `total` outputs.
    fn from(total: usize) -> Self {
        Self {
            total,
            places: None,
            missing: 0,
        }
    }
}

impl ObservedOutputs {
    /// Returns the selection of those of `total` outputs whose `places` are given, in ascending order.
    #[must_use]
    pub fn new(total: usize, places: Vec<usize>) -> Self {
        let places = (places.len() < total).then_some(places);
        Self {
            total,
            places,
            missing: 0,
        }
    }

    /// Returns those of several parts, one after the other.
    #[must_use]
    pub fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let (mut total, mut places, mut missing) = (0, Vec::new(), 0);
        for part in parts {
            places.extend(part.places().map(|place| total + place));
            total += part.total;
            missing += part.missing;
        }
        let all = Self::new(total, places);
        Self { missing, ..all }
    }

    /// Returns these, of which a member may lack the `share`, less than 1.
    #[must_use]
    pub fn with_missing(self, share: f64) -> Self {
        let missing = (share * self.count() as f64) as usize;
        Self { missing, ..self }
    }

    /// Returns the most of those observed that a member may lack: they are NaN among its outputs.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Returns the number of outputs that the simulator gives.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the number K of those that are observed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.as_ref().map_or(self.total, Vec::len)
    }

    /// Returns the places of those that are observed.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        let all: Range<usize> = match self.places {
            None => 0..self.total,
            Some(_) => 0..0,
        };
        all.chain(self.places.iter().flatten().copied())
    }

    /// Returns those of all `outputs` that are observed.
    #[must_use]
    pub fn select<T: Copy>(&self, outputs: Vec<T>) -> Vec<T> {
        match &self.places {
            None => outputs,
            Some(places) => places.iter().map(|&place| outputs[place]).collect(),
        }
    }
}

/// A set of observations, for which the simulator is asked by its name: an experiment, a season, a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedSet {
    /// Its name.
    pub name: String,
    /// The outputs that the simulator gives for it, in the table's order, of which some are observed.
    pub outputs: ObservedOutputs,
    /// The places of those observed among the K of all sets.
    pub places: Vec<usize>,
}

/// The columns of a table of observations, beside the values. Of each column a number for each output that is observed, or none where
/// there is no such column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservationTable {
    /// The outputs that are observed.
    pub outputs: ObservedOutputs,
    /// Their names.
    pub names: Vec<String>,
    /// The groups' names, in the order in which they first appear.
    pub groups: Vec<String>,
    /// The group of each, by its place in `groups`.
    pub group_of: Vec<usize>,
    /// The variance of each one's error.
    pub variances: Vec<f64>,
    /// The weight of each, which multiplies the reciprocal of its error's deviation.
    pub weights: Vec<f64>,
    /// The sets, in the order in which they first appear; none where there is no such column.
    pub sets: Vec<ObservedSet>,
}

impl From<usize> for ObservationTable {
    /// Returns the description of `count` plain numbers, without a table.
    fn from(count: usize) -> Self {
        Self {
            outputs: count.into(),
            names: Vec::new(),
            groups: Vec::new(),
            group_of: Vec::new(),
            variances: Vec::new(),
            weights: Vec::new(),
            sets: Vec::new(),
        }
    }
}

impl ObservationTable {
    /// Returns this, of whose outputs, and those of each set, a member may lack the `share`.
    #[must_use]
    pub fn with_missing(self, share: f64) -> Self {
        let of_set = |set: ObservedSet| ObservedSet {
            outputs: set.outputs.with_missing(share),
            ..set
        };
        Self {
            outputs: self.outputs.with_missing(share),
            sets: self.sets.into_iter().map(of_set).collect(),
            ..self
        }
    }

    /// Returns the number of sets, where there are some.
    #[must_use]
    pub fn set_count(&self) -> Option<usize> {
        Some(self.sets.len()).filter(|&count| count > 0)
    }

    /// Returns the names of `sets`, numbers below those of all.
    #[must_use]
    pub fn set_names(&self, sets: &[usize]) -> Vec<&str> {
        let names = sets.iter().map(|&set| self.sets[set].name.as_str());
        names.collect()
    }

    /// Returns the places of the observations in each group, and after them in each set, by name; those without any are left out.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, Vec<usize>)> {
        let all = || 0..self.group_of.len();
        let of = |g: usize| all().filter(|&place| self.group_of[place] == g).collect();
        let groups = self.groups.iter().enumerate();
        let groups = groups.map(|(g, name)| (name.clone(), of(g)));
        let sets = self.sets.iter();
        let sets = sets.map(|set| (set.name.clone(), set.places.clone()));
        groups
            .chain(sets)
            .filter(|(_, places): &(String, Vec<usize>)| !places.is_empty())
            .collect()
    }

    /// Returns the places of the observations that are in none of `sets`, numbers below those of all.
    pub fn places_of_others(&self, sets: &[usize]) -> impl Iterator<Item = usize> {
        let others = self.sets.iter().enumerate();
        let others = others.filter(|(set, _)| !sets.contains(set));
        others.flat_map(|(_, set)| set.places.iter().copied())
    }

    /// Returns the digest of a run's data with what the table adds to the values; `data` itself where all outputs are observed and
    /// no noise, weight or set is given.
    #[must_use]
    pub fn digest(&self, data: [u8; 32]) -> [u8; 32] {
        let numbers = [&self.variances, &self.weights];
        let plain = self.outputs.places.is_none() && self.sets.is_empty();
        if plain && numbers.iter().all(|list| list.is_empty()) {
            return data;
        }
        let mut hash = Sha256::new();
        hash.update(data);
        hash.update((self.outputs.total as u64).to_le_bytes());
        for place in self.outputs.places() {
            hash.update((place as u64).to_le_bytes());
        }
        for list in numbers {
            hash.update((list.len() as u64).to_le_bytes());
            list.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        for set in &self.sets {
            hash.update((set.name.len() as u64).to_le_bytes());
            hash.update(&set.name);
            hash.update((set.places.len() as u64).to_le_bytes());
            let places = set.places.iter();
            places.for_each(|&place| hash.update((place as u64).to_le_bytes()));
        }
        hash.finalize().into()
    }

    /// Returns this table of those of its observations alone whose `places`, ascending, are given, without sets.
    #[must_use]
    pub fn select(&self, places: &[usize]) -> Self {
        let of_all: Vec<usize> = self.outputs.places().collect();
        let kept = places.iter().map(|&place| of_all[place]).collect();
        /// Selects those of a column's cells, if there is such a column.
        fn cells<V: Clone>(column: &[V], places: &[usize]) -> Vec<V> {
            let cells = places.iter().filter_map(|&place| column.get(place));
            cells.cloned().collect()
        }
        Self {
            outputs: ObservedOutputs::new(self.outputs.total, kept),
            names: cells(&self.names, places),
            groups: self.groups.clone(),
            group_of: cells(&self.group_of, places),
            variances: cells(&self.variances, places),
            weights: cells(&self.weights, places),
            sets: Vec::new(),
        }
    }

    /// Returns what messages call the observation at `place`, from 0: its name, else its number.
    #[must_use]
    pub fn name(&self, place: usize) -> String {
        match self.names.get(place) {
            Some(name) => name.clone(),
            None => format!("number {}", place + 1),
        }
    }

    /// Returns the heading of the column of outputs at `place`, from 0: the observation's name, else y and its number from 1.
    #[must_use]
    pub fn label(&self, place: usize) -> String {
        let name = self.names.get(place).cloned();
        name.unwrap_or_else(|| format!("y{}", place + 1))
    }

    /// Returns `name` with the group that the observation belongs to, where it has one.
    #[must_use]
    pub fn name_and_group(&self, place: usize) -> String {
        let name = self.name(place);
        match self.group_of.get(place) {
            Some(&group) => format!("{name} (group {})", self.groups[group]),
            None => name,
        }
    }

    /// Returns the places of the observations whose names and groups are among `names`.
    #[must_use]
    pub fn places_named(&self, names: &[String]) -> Vec<usize> {
        let all = 0..self.outputs.count() * usize::from(!names.is_empty());
        all.filter(|&place| names.contains(&self.name_and_group(place)))
            .collect()
    }

    /// Returns the misfit of each group, by all observations' `residuals` in deviations of the noise, without those at the places
    /// `left_out`.
    #[must_use]
    pub fn group_misfits(&self, residuals: &[f64], left_out: &[usize]) -> Vec<GroupMisfit> {
        let mut sums = vec![(0, 0.0); self.groups.len()];
        let all = self.group_of.iter().zip(residuals).enumerate();
        for (_, (&group, residual)) in all.filter(|(place, _)| !left_out.contains(place)) {
            sums[group].0 += 1;
            sums[group].1 += residual * residual;
        }
        let misfit = |(name, (observations, square)): (&String, (usize, f64))| GroupMisfit {
            group: name.clone(),
            observations,
            misfit: Some((square / observations as f64).sqrt()).filter(|m| m.is_finite()),
        };
        self.groups.iter().zip(sums).map(misfit).collect()
    }

    /// Returns the factor of each observation's deviation, 1 / weight; none where no weights are given.
    #[must_use]
    pub fn scales(&self) -> Vec<f64> {
        self.weights.iter().map(|weight| 1.0 / weight).collect()
    }
}
