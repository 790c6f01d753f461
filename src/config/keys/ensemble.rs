//! Keys of the ensemble: `ensemble.*`.

use serde::{Deserialize, Serialize};

use super::{ENSEMBLES, LONGEST, MOST};
use crate::config::inflation::Inflation;
use crate::config::key::{Key, Resume, section};
use crate::config::kinds::ModelKind;
use crate::config::scope::{EVERYWHERE, Scope};
use crate::config::value::Kind::{
    self, Above, AtLeast, Between, Bool, Choice, Integer, Sizes, Text, Within,
};
use crate::config::value::words;

/// The scope of keys that draw members layer by layer.
const LAYERED: Scope = ENSEMBLES.models(&[ModelKind::Dense, ModelKind::Conv]);

section! {
    /// Settings of the ensemble.
    Ensemble in "ensemble" {
        /// Number of ensemble members J.
        members: usize = "200", Integer(2), ENSEMBLES, Fixed;
        /// Initial ensemble: "prior" draws it, or an .npy file holds it (J x P). For a simulator the file is in the parameters'
        /// own units, and may be a .csv table with named columns, such as a run's final/members.csv.
        initial: String = "'prior'", Text, EVERYWHERE, Fixed;
        /// Prior where ensemble.initial is a file. "sample": these first members, by their mean and covariance, in the space that they
        /// span; the default of a simulator of which all members are kept. "laws": those of model.prior. Redraws, members that join,
        /// additive inflation, the prior's part of the misfit (method.tikhonov, "eks", "aldi") and the contraction in the results go by
        /// it.
        prior: PriorSource = "'laws'", Choice(PriorSource::WORDS), ENSEMBLES, Fixed;
        /// Second-order exact sampling (Pham, Mon. Weather Rev. 129 (2001) 1194): the first members drawn from the prior have exactly
        /// its mean and, where they are 5/4 of the parameters and more, exactly its covariance. With method.perturb the noise on the
        /// observations has mean 0 and, where members suffice for the outputs, exactly its covariance and no correlation with them
        /// (Hoteit et al., Mon. Weather Rev. 143 (2015) 2918). Not in the mean form.
        second_order_exact: bool = "false", Bool, ENSEMBLES, Fixed;
        /// Centre about which the initial ensemble is drawn.
        centre: InitialCentre = "'zero'", Choice(InitialCentre::WORDS), ENSEMBLES, Fixed;
        /// When members are redrawn about their mean: re-randomisation, EKI(R).
        rerandomise: Rerandomise = "'never'", Choice(Rerandomise::WORDS), ENSEMBLES, Fixed;
        /// Epochs or steps from one re-randomisation to the next. More than 1 is an extension of the publication.
        rerandomise_every: u64 = "1", Between(1, LONGEST), ENSEMBLES, Fixed;
        /// Covariance gamma with which members are redrawn, in units of the prior's covariance.
        gamma: f64 = "1.0", AtLeast(0.0), ENSEMBLES, Fixed;
        /// Factor by which ensemble.gamma changes over each epoch.
        gamma_decay: f64 = "1.0", Above(0.0), ENSEMBLES, Fixed;
        /// How members are drawn about the mean. "low-rank" needs the mean form and is an extension of the publication.
        draw: DrawKind = "'full'", Choice(DrawKind::WORDS), LAYERED, Fixed;
        /// Rank of each weight matrix of a draw with ensemble.draw = "low-rank".
        rank: usize = "1", Between(1, MOST), LAYERED, Fixed;
        /// Blocks of a convolutional network's layers that are perturbed in turn, one at each step. A block is named by its first
        /// layer with parameters, counted from 1, and ends before the next larger number of this list. Mean form with full draws
        /// only; an extension of the publication.
        active_layers: Vec<usize> = "[1]", Sizes(1), ENSEMBLES.models(&[ModelKind::Conv]), Fixed;
        /// Whiten draws by the damped second moments of each layer's inputs, so that all directions of the inputs move a layer's
        /// pre-activations alike: the damping, in units of the moments' mean; 0 is off. Mean form with full draws only; an
        /// extension of the publication.
        whiten: f64 = "0.0", AtLeast(0.0), LAYERED, Fixed;
        /// Covariance inflation after each step, which keeps members from contracting before the fit is reached. A number is the factor of
        /// their deviations from their mean. "scaled": that factor to the power of the step's h. "additive": noise with this much of the
        /// prior's covariance. "rtps" and "rtpp": relaxation to the spread, or to the deviations, before the step, with a weight up to 1
        /// (Whitaker & Hamill, Mon. Weather Rev. 140 (2012) 3078; Zhang, Snyder & Sun, Mon. Weather Rev. 132 (2004) 1238). "adaptive": the
        /// factor, at most this, with which the outputs' spread accounts for what their mean misses beyond a target misfit in deviations of
        /// the noise (Wang & Bishop, J. Atmos. Sci. 60 (2003) 1140). Not in the mean form.
        inflation: Inflation = "1.0", Kind::Inflation, ENSEMBLES, Fixed;
        /// Number of members in the last epoch, to which the ensemble grows evenly from epoch to epoch; 0 is no growth.
        grow_to: usize = "0", Integer(0), ENSEMBLES, Fixed;
        /// Decay of the exponential average of the mean over the steps (Polyak averaging), which then is the run's result; 0 is
        /// off. Mean form only; an extension of the publication.
        polyak_decay: f64 = "0.0", Within(0.0, 1.0), ENSEMBLES, Fixed;
    }
}

impl Ensemble {
    /// Returns true if the first members are draws from the prior, about its mean.
    #[must_use]
    pub fn begins_as_drawn(&self) -> bool {
        self.initial == "prior" && self.centre == InitialCentre::Zero
    }

    /// Returns true if the members of every step are drawn anew.
    #[must_use]
    pub fn redrawn_each_step(&self) -> bool {
        self.rerandomise == Rerandomise::Step && self.rerandomise_every == 1
    }
}

words! {
    /// Centres of the initial ensemble.
    InitialCentre {
        /// The prior's mean, 0 for a network.
        Zero = "zero",
        /// One draw of the prior, about which members have the covariance ensemble.gamma.
        Prior = "prior",
    }
}

words! {
    /// The prior behind first members that are read from a file.
    PriorSource {
        /// The laws of the forward map's prior.
        Laws = "laws",
        /// The covariance of the first members.
        Sample = "sample",
    }
}

words! {
    /// When members are redrawn about their mean.
    Rerandomise {
        /// Never.
        Never = "never",
        /// At an epoch's end.
        Epoch = "epoch",
        /// After a step.
        Step = "step",
    }
}

words! {
    /// How members are drawn about the mean.
    DrawKind {
        /// Each weight independently.
        Full = "full",
        /// Each weight matrix as a product of low rank.
        LowRank = "low-rank",
    }
}
