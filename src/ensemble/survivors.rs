//! The members that count in a step.

/// The members that did not fail in this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    alive: Vec<bool>,
    count: usize,
}

impl Survivors {
    /// Takes one flag a member: true where it survived.
    #[must_use]
    pub fn new(alive: Vec<bool>) -> Self {
        let count = alive.iter().filter(|&&a| a).count();
        Self { alive, count }
    }

    /// Returns the number of members that survived.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns true if all members survived.
    #[must_use]
    pub fn all(&self) -> bool {
        self.count == self.alive.len()
    }

    /// Returns true if `member` survived.
    #[must_use]
    pub fn contains(&self, member: usize) -> bool {
        self.alive[member]
    }

    /// Returns the members that failed, ascending.
    pub fn failed(&self) -> impl Iterator<Item = usize> + '_ {
        self.alive
            .iter()
            .enumerate()
            .filter(|(_, alive)| !**alive)
            .map(|(j, _)| j)
    }
}
