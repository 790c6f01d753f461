//! Keys of the method: `method.*`.

use serde::{Deserialize, Serialize};

use super::{DESCENT, ENSEMBLES, NETWORKS, ONE_SET};
use crate::config::h_value::HValue;
use crate::config::key::{Key, Resume, section};
use crate::config::kinds::{MethodKind, ModelKind};
use crate::config::localise::Localise;
use crate::config::noise::NoiseSource;
use crate::config::scope::{EVERYWHERE, Scope};
use crate::config::value::Kind::{self, Above, AtLeast, Bool, Choice, Noise, Within};
use crate::config::value::words;

/// The scope of keys of the publication's step size.
const ADAPTIVE: Scope = EVERYWHERE.methods(MethodKind::ADAPTIVE);
/// The scope of keys of sigma points.
const POINTS: Scope = EVERYWHERE.methods(&[MethodKind::Uki]);
/// The scope of keys of sparse parameters.
const SPARSE: Scope = EVERYWHERE.methods(&[MethodKind::Sparse]);
/// The scope of keys of methods that take no account of the prior by themselves.
const NO_PRIOR: Scope = ONE_SET.methods(&[
    MethodKind::Eki,
    MethodKind::Kalman,
    MethodKind::Etki,
    MethodKind::Gnki,
]);

section! {
    /// Settings of the method that lowers the loss.
    Method in "method" {
        /// Method that lowers the loss.
        kind: MethodKind = "'eki'", Choice(MethodKind::WORDS), EVERYWHERE, Fixed;
        /// Loss Psi(G(u), y) that is minimised.
        loss: LossKind = "'cross-entropy'", Choice(LossKind::WORDS), EVERYWHERE, Fixed;
        /// Covariance Gamma of the observations' noise in the least-squares loss, in squared units of the outputs; a simulator needs
        /// it, here or in the table of data.observations. Independent noise: one variance for all outputs, a list of one for each, or a file of these. Correlated noise, of a
        /// simulator's observations alone: the file of a full covariance, K x K; a diagonal and the file of U, K x r, of the
        /// covariance diagonal + U U^T; or the file of control runs, N x K, from which such a covariance is estimated: by the leading
        /// modes of their correlations that stand out from sampling noise, by modes = N of them, by as many as hold a share of the
        /// variance, or by all, shrunk towards independent noise (shrinkage = 0: the sample's covariance itself). Files are .npy or
        /// text.
        noise: NoiseSource = "[1.0]", Noise, EVERYWHERE, Fixed;
        /// Number delta added to probabilities z in the gradient of the cross-entropy, -y / (z + delta).
        delta: f64 = "0.005", Above(0.0), NETWORKS, Fixed;
        /// Extrapolate the ensemble by Nesterov's momentum before each step (MEKI).
        momentum: bool = "false", Bool, ENSEMBLES, Fixed;
        /// Constant momentum coefficient; 0 takes Nesterov's by method.momentum_rule, and 0.9 in "momentum-sgd".
        momentum_coefficient: f64 = "0.0", Within(0.0, 1.0),
            EVERYWHERE.methods(&[
                MethodKind::Eki,
                MethodKind::Kalman,
                MethodKind::Etki,
                MethodKind::MomentumSgd,
            ]), Fixed;
        /// Coefficients of Nesterov's momentum, where no constant is given.
        momentum_rule: MomentumRule = "'first-order'", Choice(MomentumRule::WORDS), ENSEMBLES, Fixed;
        /// Restart momentum after a step whose members' mean misfit is larger than the one before (adaptive restart by function values:
        /// O'Donoghue & Candes, Found. Comput. Math. 15 (2015) 715). Needs all observations in each step.
        momentum_adaptive: bool = "false", Bool, ONE_SET.methods(ENSEMBLES.methods), Fixed;
        /// Quantity that momentum extrapolates. "mean" is an extension of the publication.
        momentum_of: MomentumOf = "'members'", Choice(MomentumOf::WORDS), ENSEMBLES, Fixed;
        /// Restart momentum at each re-randomisation, other than one at every step; otherwise the mean keeps its momentum. Members
        /// that join always restart it.
        momentum_restart: bool = "true", Bool, ENSEMBLES, Fixed;
        /// Rule for the step size h_n.
        step: StepKind = "'adaptive'", Choice(StepKind::WORDS), ADAPTIVE, Fixed;
        /// Learning rate of gradient descent: the factor of the batch's mean gradient.
        rate: f64 = "0.1", Above(0.0), DESCENT, Fixed;
        /// Gradient clipping: longest gradient of gradient descent; a longer one is shortened to it, as recurrent networks need.
        /// 0 is off.
        clip: f64 = "0.0", AtLeast(0.0), DESCENT, Fixed;
        /// Step size h; or with "kalman" and "etki" a list, one for each step, or for each pass over sets of observations. The run's
        /// length then follows from the list. With "uki" it is below 1, and 0.5 where it is not given. With method.perturb, or "etki", a list that adds up to 1 ends at the posterior: its h
        /// are the 1/alpha of ES-MDA (Emerick & Reynolds, Comput. Geosci. 55 (2013) 3).
        h: HValue = "2.0", Kind::HValue, ENSEMBLES, Fixed;
        /// Factor by which the step size h, or the learning rate, changes over each epoch.
        h_decay: f64 = "1.0", Above(0.0), EVERYWHERE, Fixed;
        /// Schedule of the step size h, or of the learning rate, over the run, in addition to method.h_decay.
        h_schedule: HSchedule = "'level'", Choice(HSchedule::WORDS), EVERYWHERE, Fixed;
        /// Perturb the observations for each member at each step with noise of variance Gamma / h, as in the stochastic ensemble
        /// Kalman filter. N steps of h = 1/N then end at a sample of the posterior. Least squares only. With "gnki" the noise has the
        /// variance Gamma, and is the same at all steps.
        perturb: bool = "false", Bool, EVERYWHERE.methods(&[MethodKind::Kalman, MethodKind::Gnki]), Fixed;
        /// Weight of the prior in the misfit that members minimise: Phi + weight / 2 times the squared distance from the prior's
        /// mean in its standard deviations (Tikhonov EKI: Chada, Stuart & Tong, SIAM J. Numer. Anal. 58 (2020) 1263). 1 leads to
        /// the posterior's mode; 0 fits the observations alone.
        tikhonov: f64 = "0.0", AtLeast(0.0), NO_PRIOR, Fixed;
        /// Take back a step after which the members' mean misfit is over 5 % larger than before, and try it with half of h from the same
        /// outputs; an accepted step doubles h again, up to what it was. Members that are taken back count as a step. Needs all observations
        /// in each step, and members that are not redrawn, joined by others or moved on by momentum.
        accept: bool = "false", Bool, NO_PRIOR, Fixed;
        /// Sigma points that members are, whose number sets ensemble.members.
        sigma_points: PointsKind = "'pairs'", Choice(PointsKind::WORDS), POINTS, Fixed;
        /// Regularisation alpha, at most 1: before each step the mean moves to the prior's by the share 1 - alpha. 1 leads to the posterior.
        regularisation: f64 = "1.0", Above(0.0), POINTS, Fixed;
        /// Penalty lambda of the parameters' l1 norm, in their own units: members minimise the misfit and lambda times that norm.
        penalty: f64 = "0.0", AtLeast(0.0), SPARSE, Fixed;
        /// Size, in its own unit, below which a parameter is set to 0 after each step.
        threshold: f64 = "0.0", AtLeast(0.0), SPARSE, Fixed;
        /// Number epsilon in the adaptive step size h / (||D||_F + epsilon).
        epsilon: f64 = "0.5", Above(0.0), ADAPTIVE, Fixed;
        /// Form in which the update is computed; all give the same step up to rounding, but "mean" moves the mean alone.
        form: FormKind = "'auto'", Choice(FormKind::WORDS), ENSEMBLES, Fixed;
        /// Outlier ratio beyond which a member has failed: its outputs' distance from the observations over the largest of the
        /// members' median distance, the observations' own norm and the noise. For networks, and losses other than least squares,
        /// the norm of its outputs over the members' median norm.
        outlier_ratio: f64 = "1e9", Above(1.0), ENSEMBLES, Fixed;
        /// Covariance of the outputs from which a dense network's weights move. "sums" needs low-rank draws and is an extension of
        /// the publication.
        covariance: Covariance = "'parameters'", Choice(Covariance::WORDS),
            ENSEMBLES.models(&[ModelKind::Dense]), Fixed;
        /// Localisation, which damps correlations that are mostly sampling noise at this J. "sec", or { sec = a }, is sampling error
        /// correction (Lee 2021, arXiv:2105.11341): each correlation r of a parameter with an output is multiplied by |r|^a, a = 1.
        /// "threshold", or { threshold = t }, takes what the gain says of correlations below t / sqrt(J) as 0, t = 3 (Luo, Bhakta &
        /// Naevdal, SPE J. 23 (2018) 396). "fisher" multiplies each correlation by r^2 / (r^2 + d^2), d its sampling error by Fisher's
        /// transformation (the criterion of Flowerdew, Tellus A 67 (2015) 25257). { distance = R, parameters = FILE, observations =
        /// FILE } tapers covariances by distance to 0 at R (Gaspari & Cohn, Q. J. R. Meteorol. Soc. 125 (1999) 723), with the
        /// coordinates of both in files, one line each. { groups = FILE } has a parameter learn from the groups of observations that a
        /// line of the file names, alone. { taper = FILE } multiplies the gain by a matrix of factors, K x P, in an .npy file.
        /// Factored form only, which "auto" then takes.
        localise: Localise = "'none'", Kind::Localise, ENSEMBLES, Fixed;
        /// Decay of the second moments by which the mean's step is scaled parameter by parameter, as in RMSProp; 0 is off. Mean
        /// form only; an extension of the publication.
        rms_decay: f64 = "0.0", Within(0.0, 1.0), ENSEMBLES, Fixed;
    }
}

impl Method {
    /// Returns the weight of the prior in the misfit: 1 for methods whose result is the posterior's whatever the time.
    #[must_use]
    pub fn prior_weight(&self) -> f64 {
        match self.kind.holds_prior() {
            true => 1.0,
            false => self.tikhonov,
        }
    }
}

words! {
    /// Sigma points of P parameters.
    PointsKind {
        /// 2P + 1: the centre, and two for each parameter.
        Pairs = "pairs",
        /// P + 2: the centre, and the corners of a simplex; half of the simulations, and less exact where the simulator is not linear.
        Simplex = "simplex",
    }
}

words! {
    /// Losses.
    LossKind {
        /// Cross-entropy of a softmax network's probabilities.
        CrossEntropy = "cross-entropy",
        /// Half the sum of squared differences, weighted by 1 / method.noise.
        LeastSquares = "least-squares",
        /// Cross-entropy for classes, least squares for values.
        Auto = "auto",
        /// 1 for each sample classified wrong; has no gradient in the network's outputs.
        ZeroOne = "zero-one",
    }
}

impl LossKind {
    /// Returns the loss that this word stands for, of targets that are classes or not.
    #[must_use]
    pub fn of_targets(self, classes: bool) -> Self {
        match (self, classes) {
            (Self::Auto, true) => Self::CrossEntropy,
            (Self::Auto, false) => Self::LeastSquares,
            (kind, _) => kind,
        }
    }

    /// Returns its name in reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::LeastSquares => "least squares",
            Self::Auto => "cross-entropy or least squares",
            Self::ZeroOne => "0-1 loss",
        }
    }
}

words! {
    /// Coefficients of Nesterov's momentum in step n since it last started.
    MomentumRule {
        /// n / (n + 3), to first order in 1/n what the recursion gives.
        FirstOrder = "first-order",
        /// (t_n - 1) / t_{n+1} with t_{n+1} = (1 + sqrt(1 + 4 t_n^2)) / 2 (Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009) 183).
        Recursive = "recursive",
    }
}

words! {
    /// Quantities that momentum extrapolates.
    MomentumOf {
        /// Each member.
        Members = "members",
        /// The mean alone; deviations from it move as without momentum.
        Mean = "mean",
    }
}

words! {
    /// Rules for the step size h_n of "eki", "eks" and "aldi".
    StepKind {
        /// h_n = h / (||D||_F + epsilon).
        Adaptive = "adaptive",
        /// h_n = h.
        Fixed = "fixed",
    }
}

words! {
    /// Schedules of the step size over a run.
    HSchedule {
        /// Constant.
        Level = "level",
        /// Falls to 0 at the last step as (1 + cos) / 2; an extension of the publication.
        Cosine = "cosine",
        /// Chosen at each step from the members' misfits Phi: h times min(1, max(K / (2 mean Phi), sqrt(K / (2 var Phi))))
        /// (Iglesias & Yang, Inverse Problems 37 (2021) 025008). "kalman" or "etki", and least squares only.
        Misfit = "misfit",
    }
}

words! {
    /// Forms in which the update is computed.
    FormKind {
        /// "mean" if members are redrawn at each step, else "explicit" if K >= J/2, else "factored".
        Auto = "auto",
        /// The J x J matrix D is formed.
        Explicit = "explicit",
        /// D stays a product of J x K matrices.
        Factored = "factored",
        /// The mean alone is moved; needs members that are redrawn at each step.
        Mean = "mean",
    }
}

words! {
    /// Covariances from which a dense network's weights move.
    Covariance {
        /// With the drawn parameters.
        Parameters = "parameters",
        /// With each layer's pre-activations, which are far fewer.
        Sums = "sums",
    }
}
