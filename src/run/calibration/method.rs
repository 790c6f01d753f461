//! The methods of a calibration, by name, as the keys of a configuration that they stand for.

/// How a calibration moves its members. Any key of a method can be changed by `Calibration::set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Ensemble Kalman inversion with the step h / (||D|| + epsilon): Kovachki & Stuart, Inverse Problems 35 (2019) 095005.
    Eki,
    /// The same with Nesterov's momentum (MEKI).
    EkiWithMomentum,
    /// Steps by the Kalman gain: Iglesias, Law & Stuart, Inverse Problems 29 (2013) 045001. They need fewer simulations.
    Kalman,
    /// Steps by the Kalman gain whose size follows from the members' misfits: Iglesias & Yang, Inverse Problems 37 (2021)
    /// 025008. The safe choice for simulators that are far from linear, and the default.
    #[default]
    KalmanByMisfit,
    /// The same with perturbed observations up to the time 1: members become a sample of the posterior, exact for a linear map,
    /// a normal prior and many members. It takes some hundred members.
    Posterior,
    /// Ensemble transform Kalman inversion: the step by the Kalman gain as a deterministic square root, whose members shrink to
    /// the covariance that the step leaves: Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022) 125006.
    Etki,
    /// The same up to the time 1, in steps whose size follows from the members' misfits: mean and covariance of the posterior
    /// without noise of the method, exact for a linear map and a normal prior. Fewer members than for `Posterior` do, but they are no
    /// sample: of their quantiles nothing follows.
    PosteriorByEtki,
    /// Affine invariant Langevin dynamics: members walk about in the posterior from the time 5 on, here to 8, whatever they began with.
    /// It takes two members more than parameters, and more steps than `Posterior`: Garbuno-Inigo, Nuesken & Reich, SIAM J. Appl. Dyn.
    /// Syst. 19 (2020) 1633.
    PosteriorByAldi,
    /// Unscented Kalman inversion: 2 P + 1 sigma points, whatever number of members is asked for, end at the mean and covariance of the
    /// posterior, exact for a linear map and a normal prior: Huang, Schneider & Stuart, J. Comput. Phys. 463 (2022) 111262.
    PosteriorByUki,
    /// Tikhonov's EKI by the Kalman gain: all members go to the posterior's mode, where misfit and distance from the prior's mean
    /// are least together: Chada, Stuart & Tong, SIAM J. Numer. Anal. 58 (2020) 1263. It takes more members than parameters, and
    /// comes the nearer the more `run.steps` are set.
    PosteriorMode,
}

/// The number of steps of a run that ends by itself at the time 1: more than any would take.
const MANY_STEPS: (&str, &str) = ("run.steps", "1000");

/// Draws without sampling errors of their mean and covariance.
const SECOND_ORDER: (&str, &str) = ("ensemble.second_order_exact", "true");

impl Method {
    /// The keys and values that it stands for.
    pub(super) fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Eki => &[("method.kind", "eki")],
            Self::EkiWithMomentum => &[("method.kind", "eki"), ("method.momentum", "true")],
            Self::Kalman => &[("method.kind", "kalman"), ("method.h_schedule", "level")],
            Self::KalmanByMisfit => &[("method.kind", "kalman"), ("method.h_schedule", "misfit")],
            Self::Posterior => &[
                ("method.kind", "kalman"),
                ("method.h_schedule", "misfit"),
                ("method.perturb", "true"),
                ("run.end_time", "1"),
                ("run.stop_at_misfit", "0"),
                SECOND_ORDER,
                MANY_STEPS,
            ],
            Self::Etki => &[("method.kind", "etki"), ("method.h_schedule", "level")],
            Self::PosteriorByEtki => &[
                ("method.kind", "etki"),
                ("method.h_schedule", "misfit"),
                ("run.end_time", "1"),
                ("run.stop_at_misfit", "0"),
                SECOND_ORDER,
                MANY_STEPS,
            ],
            Self::PosteriorByAldi => &[
                ("method.kind", "aldi"),
                ("method.h_schedule", "level"),
                ("method.h", "1"),
                ("run.end_time", "8"),
                ("run.stop_at_misfit", "0"),
                MANY_STEPS,
            ],
            Self::PosteriorByUki => &[
                ("method.kind", "uki"),
                ("method.h_schedule", "level"),
                ("method.h", "0.5"),
                ("run.steps", "12"),
                ("run.stop_at_misfit", "0"),
            ],
            Self::PosteriorMode => &[
                ("method.kind", "kalman"),
                ("method.h_schedule", "misfit"),
                ("method.tikhonov", "1"),
                ("run.stop_at_misfit", "0"),
            ],
        }
    }
}
