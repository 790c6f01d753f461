//! The methods of a calibration, by name, as the keys of a configuration that they stand for.

/// How a calibration moves its members. Any key of a method can be changed by `Calibration::set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Ensemble Kalman inversion with the step h / (||D|| + epsilon): Kovachki & Stuart, Inverse Problems 35 (2019) 095005.
    #[default]
    Eki,
    /// The same with Nesterov's momentum (MEKI).
    EkiWithMomentum,
    /// Steps by the Kalman gain: Iglesias, Law & Stuart, Inverse Problems 29 (2013) 045001. They need fewer simulations.
    Kalman,
    /// Steps by the Kalman gain whose size follows from the members' misfits: Iglesias & Yang, Inverse Problems 37 (2021)
    /// 025008. The safe choice for simulators that are far from linear.
    KalmanByMisfit,
    /// The same with perturbed observations up to the time 1: members become a sample of the posterior, exact for a linear map,
    /// a normal prior and many members. It takes some hundred members.
    Posterior,
}

impl Method {
    /// The keys and values that it stands for.
    pub(super) fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Eki => &[],
            Self::EkiWithMomentum => &[("method.momentum", "true")],
            Self::Kalman => &[("method.kind", "kalman")],
            Self::KalmanByMisfit => &[("method.kind", "kalman"), ("method.h_schedule", "misfit")],
            Self::Posterior => &[
                ("method.kind", "kalman"),
                ("method.h_schedule", "misfit"),
                ("method.perturb", "true"),
                ("run.end_time", "1"),
                ("run.stop_at_misfit", "0"),
            ],
        }
    }
}
