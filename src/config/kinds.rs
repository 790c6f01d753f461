//! Kinds of forward map, method and data: the words of `model.kind` and `method.kind`, and the groups to which keys apply.

use serde::{Deserialize, Serialize};

use super::value::words;

words! {
    /// Kinds of forward map.
    ModelKind {
        /// Fully connected network.
        Dense = "dense",
        /// Convolutional network.
        Conv = "conv",
        /// Recurrent network.
        Recurrent = "recurrent",
        /// Linear map: a random one, or the solution of an elliptic equation.
        Linear = "linear",
        /// Episodes of a cart that balances a pole, under a policy that is a dense network.
        CartPole = "cart-pole",
        /// Simulator that the run starts and asks over its standard input and output.
        Process = "process",
        /// Outputs that you compute elsewhere and bring to the run step by step (ask/tell).
        AskTell = "ask-tell",
    }
}

impl ModelKind {
    /// Networks.
    pub(super) const NETWORKS: &'static [Self] =
        &[Self::Dense, Self::Conv, Self::Recurrent, Self::CartPole];
    /// The user's simulators, started by the run or not.
    pub(super) const SIMULATORS: &'static [Self] = &[Self::Process, Self::AskTell];
    /// Maps that are fitted to one set of observations.
    pub(super) const ONE_SET: &'static [Self] = &[Self::Linear, Self::Process, Self::AskTell];

    /// Returns true if the forward map is fitted to one set of observations.
    #[must_use]
    pub fn has_one_set(self) -> bool {
        Self::ONE_SET.contains(&self)
    }

    /// Returns true if the forward map is the user's simulator, for one set of observations.
    #[must_use]
    pub fn simulates(self) -> bool {
        Self::SIMULATORS.contains(&self)
    }
}

words! {
    /// Methods.
    MethodKind {
        /// Ensemble Kalman inversion (Kovachki & Stuart, Inverse Problems 35 (2019) 095005).
        Eki = "eki",
        /// Ensemble Kalman inversion with the Kalman gain: the step of the discrete filter with noise method.noise / h.
        Kalman = "kalman",
        /// Ensemble transform Kalman inversion: the deterministic square root of that step, which shrinks members to the posterior's
        /// covariance without noise (Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022) 125006).
        Etki = "etki",
        /// Gauss-Newton ensemble Kalman inversion, the iterative ensemble smoother: each step keeps the prior's pull, and with
        /// method.perturb members become a sample of the posterior (Evensen, Raanes, Stordal & Hove, Front. Appl. Math. Stat. 5 (2019) 47;
        /// Chada, Chen & Sanz-Alonso, Found. Data Sci. 3 (2021) 331).
        Gnki = "gnki",
        /// Ensemble Kalman sampler: Langevin diffusions that share their covariance, whose members become a sample of the posterior in the
        /// limit of many members and small steps (Garbuno-Inigo, Hoffmann, Li & Stuart, SIAM J. Appl. Dyn. Syst. 19 (2020) 412).
        Eks = "eks",
        /// Affine invariant Langevin dynamics: the same with the correction for a finite number of members (Garbuno-Inigo, Nuesken &
        /// Reich, SIAM J. Appl. Dyn. Syst. 19 (2020) 1633), in steps by the trapezoidal rule.
        Aldi = "aldi",
        /// Unscented Kalman inversion: sigma points, as many as parameters ask for, end at the mean and covariance of the posterior (Huang,
        /// Schneider & Stuart, J. Comput. Phys. 463 (2022) 111262; Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022) 125006).
        Uki = "uki",
        /// Sparse ensemble Kalman inversion: the Kalman step under an l1 penalty, or with small parameters set to 0 (Schneider, Stuart & Wu,
        /// J. Comput. Phys. 470 (2022) 111559).
        Sparse = "sparse",
        /// Stochastic gradient descent from one draw of the prior; needs a program built with --features gradients.
        Sgd = "sgd",
        /// Stochastic gradient descent with momentum; needs --features gradients.
        MomentumSgd = "momentum-sgd",
        /// Online gradient descent, one sample at a time in order; needs --features gradients.
        Ogd = "ogd",
    }
}

impl MethodKind {
    /// Methods with an ensemble.
    pub(super) const ENSEMBLES: &'static [Self] = &[
        Self::Eki,
        Self::Kalman,
        Self::Etki,
        Self::Gnki,
        Self::Eks,
        Self::Aldi,
        Self::Uki,
        Self::Sparse,
    ];
    /// Methods whose step size is h / (||D||_F + epsilon).
    pub(super) const ADAPTIVE: &'static [Self] = &[Self::Eki, Self::Eks, Self::Aldi];
    /// Gradient descent.
    pub(super) const DESCENT: &'static [Self] = &[Self::Sgd, Self::MomentumSgd, Self::Ogd];

    /// Returns true if the transform has a Kalman gain, of which h is a part: h_n = h then.
    #[must_use]
    pub fn with_gain(self) -> bool {
        matches!(
            self,
            Self::Kalman | Self::Etki | Self::Gnki | Self::Uki | Self::Sparse
        )
    }

    /// Returns true if its step solves with a matrix of the members' products.
    #[must_use]
    pub fn solves(self) -> bool {
        self.with_gain() || self.samples()
    }

    /// Returns true if members walk about for ever, and become a sample of the posterior once they forget their start.
    #[must_use]
    pub fn samples(self) -> bool {
        matches!(self, Self::Eks | Self::Aldi)
    }

    /// Returns true if the prior is a part of the misfit whatever `method.tikhonov` says.
    #[must_use]
    pub fn holds_prior(self) -> bool {
        self.samples() || self == Self::Uki
    }

    /// Returns its name in reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Eki => "EKI",
            Self::Kalman => "EKI with the Kalman gain",
            Self::Etki => "ETKI",
            Self::Gnki => "GNKI",
            Self::Eks => "EKS",
            Self::Aldi => "ALDI",
            Self::Uki => "UKI",
            Self::Sparse => "sparse EKI",
            Self::Sgd => "SGD",
            Self::MomentumSgd => "momentum SGD",
            Self::Ogd => "OGD",
        }
    }

    /// Returns true if one point goes down the loss's gradient, and there is no ensemble.
    #[must_use]
    pub fn is_gradient_descent(self) -> bool {
        Self::DESCENT.contains(&self)
    }
}

/// Kinds of data that have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// Labelled images.
    Images,
    /// Samples in the user's own files.
    Files,
    /// A series in time.
    Series,
    /// A generated task of long memory.
    Task,
    /// Observations or a generated problem.
    Other,
}

/// The name of the data that data.train names.
pub const OWN_FILES: &str = "files";
/// The name of the data that data.series names.
pub const OWN_SERIES: &str = "series";

/// Data sets by name, and what each holds. Of one that is not listed all keys apply.
const DATA: &[(&str, DataKind)] = &[
    ("digits", DataKind::Images),
    ("mnist", DataKind::Images),
    ("mnist-32", DataKind::Images),
    ("fashion-mnist", DataKind::Images),
    ("svhn", DataKind::Images),
    (OWN_FILES, DataKind::Files),
    (OWN_SERIES, DataKind::Series),
    ("melbourne", DataKind::Series),
    ("sunspots", DataKind::Series),
    ("adding", DataKind::Task),
    ("copying", DataKind::Task),
    ("elliptic", DataKind::Other),
    ("random", DataKind::Other),
    ("cart-pole", DataKind::Other),
    ("observations", DataKind::Other),
];

impl DataKind {
    /// Returns what the data called `name` holds, if it is listed.
    pub(super) fn of(name: &str) -> Option<Self> {
        let found = DATA.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }

    /// Returns the words for this kind of data.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Files => "your own samples",
            Self::Series => "series",
            Self::Task => "tasks of long memory",
            Self::Other => "observations",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalogue::{Format, SOURCES};

    #[test]
    fn the_kinds_of_data_are_the_catalogues() {
        for source in &SOURCES {
            let kind = match source.format {
                Format::Series => DataKind::Series,
                _ => DataKind::Images,
            };
            assert_eq!(DataKind::of(source.name), Some(kind), "{}", source.name);
        }
    }
}
