//! How far a step goes: the schedule of h, momentum, and when a run is over before its last step.

use super::{Plan, length};
use crate::config::{HSchedule, MethodKind, MomentumRule};
use crate::ensemble::draw::Draw;
use crate::kernels::rng::Purpose;
use crate::method::step_size::SamplerStep;

impl Plan {
    /// Returns the factor of h at `step`: h_decay to the power of the epochs passed, times the shape; or the h of a list.
    #[must_use]
    pub fn h_factor(&self, step: u64) -> f64 {
        let method = &self.config().method;
        if let Some(list) = method.h.list() {
            let place = step / length::steps_of_one_h(&self.batches);
            return list[list.len().saturating_sub(1).min(place as usize)];
        }
        let shape = match method.h_schedule {
            // By misfit it depends on what the step finds: `misfit_factor`.
            HSchedule::Level | HSchedule::Misfit => 1.0,
            HSchedule::Cosine => {
                let first = match self.batches.of_sets {
                    true => step - step % self.batches.steps_per_epoch(),
                    false => step,
                };
                let passed = first as f64 / self.steps as f64;
                f64::midpoint(1.0, (std::f64::consts::PI * passed).cos())
            }
        };
        shape * method.h_decay.powf(self.time(step))
    }

    /// Returns the factor of h that members' misfits Phi (the sum of Psi over a step's K outputs) allow: 1, or where h goes by
    /// misfit min(1, max(K / (2 mean Phi), sqrt(K / (2 var Phi)))), so that a step's observations count for no more than
    /// the members' outputs can follow. It is 1 once the mean misfit is the noise's. Iglesias & Yang, Inverse Problems 37
    /// (2021) 025008; their end at a time of 1, which is for sampling, is `run.end_time`.
    #[must_use]
    pub fn misfit_factor(&self, mean: f64, variance: f64) -> f64 {
        let half = self.observed() as f64 / 2.0;
        match self.config().method.h_schedule {
            HSchedule::Level | HSchedule::Cosine => 1.0,
            // Of no misfit at all, or none that varies, nothing is to be feared: infinity is more than 1.
            HSchedule::Misfit => f64::min(1.0, f64::max(half / mean, (half / variance).sqrt())),
        }
    }

    /// Returns the h of the Kalman gain, `factor` times the configured one; None for methods without a gain.
    #[must_use]
    pub fn gain(&self, factor: f64) -> Option<f64> {
        match self.config().method.kind {
            // Its h is the length of the step alone.
            MethodKind::Gnki => Some(1.0),
            kind => kind.with_gain().then_some(self.step_size.h * factor),
        }
    }

    /// Returns what a sampler's transform of `step`, with `factor` times the configured h, depends on; None for other methods.
    #[must_use]
    pub fn sampler(&self, step: u64, factor: f64) -> Option<SamplerStep> {
        let config = self.config();
        config.method.kind.samples().then_some(SamplerStep {
            size: self.step_size,
            factor,
            draw: Draw {
                seed: config.seed,
                purpose: Purpose::Diffuse,
                step,
            },
            parameters: self.parameters,
        })
    }

    /// Returns the momentum coefficient that extrapolates after step number `n` since momentum last started; 0 without.
    #[must_use]
    pub fn momentum(&self, n: u64) -> f64 {
        let method = &self.config().method;
        match (method.momentum, method.momentum_coefficient) {
            (false, _) => 0.0,
            (true, 0.0) if method.momentum_rule == MomentumRule::Recursive => recursive(n),
            (true, 0.0) => n as f64 / (n as f64 + 3.0),
            (true, constant) => constant,
        }
    }

    /// Returns true if a mean `misfit` of the members (the sum of Psi over a batch) is at the noise level, where the run is to end:
    /// the discrepancy principle (Morozov; for EKI Iglesias, Inverse Problems 32 (2016) 025002),
    /// (1/J) sum_j ||y - G(u_j)||^2_Gamma <= tau^2 K. A step that takes some sets of observations does not know that of all.
    #[must_use]
    pub fn at_noise_level(&self, misfit: f64) -> bool {
        let tau = self.config().run.stop_at_misfit;
        let is_reached = 2.0 * misfit <= tau * tau * self.observed() as f64;
        is_reached && tau > 0.0 && self.takes_all_sets()
    }

    /// Returns the members' mean `misfit` in deviations of the noise: 1 is the noise's own.
    #[must_use]
    pub fn in_deviations(&self, misfit: f64) -> f64 {
        (2.0 * misfit / self.observed() as f64).sqrt()
    }

    /// Returns how much of `run.end_time` is left at `time`, the sum of the h of all steps before; None without such an end.
    #[must_use]
    pub fn left(&self, time: f64) -> Option<f64> {
        let end = self.config().run.end_time;
        (end > 0.0).then_some(end - time)
    }

    /// Returns the factor of h at `step`, of which no more is taken than the members' misfits allow, by their `mean` and `variance`, and
    /// than is left at `time`.
    #[must_use]
    pub fn factor(&self, step: u64, (mean, variance): (f64, f64), time: f64) -> f64 {
        let factor = self.h_factor(step) * self.misfit_factor(mean, variance);
        // h times what is left over h may lie a rounding apart from it: `is_over` takes that for the end. Samplers go on as they like.
        let left = self.gain(factor).and_then(|_| self.left(time));
        left.map_or(factor, |left| factor.min(left / self.step_size.h))
    }

    /// Returns true if the run is over at `time`.
    #[must_use]
    pub fn is_over(&self, time: f64) -> bool {
        let end = self.config().run.end_time;
        self.left(time).is_some_and(|left| left <= 1e-12 * end)
    }
}

/// Returns (t - 1) / t' after `n` steps of the recursion t' = (1 + sqrt(1 + 4 t^2)) / 2 from t = 1.
fn recursive(n: u64) -> f64 {
    let next = |t: f64| f64::midpoint(1.0, (1.0 + 4.0 * t * t).sqrt());
    let t = (0..n).fold(1.0, |t, _| next(t));
    (t - 1.0) / next(t)
}

#[cfg(test)]
mod tests {
    use super::recursive;

    /// t = 1, 1.618034 (the golden ratio), 2.193527, 2.749791: coefficients 0, 0.281754, 0.434043; in the end as n / (n + 3).
    #[test]
    fn the_recursion_by_hand() {
        assert_eq!(recursive(0), 0.0);
        assert!((recursive(1) - 0.281_754).abs() < 1e-6);
        assert!((recursive(2) - 0.434_043).abs() < 1e-6);
        assert!((recursive(1000) - 1000.0 / 1003.0).abs() < 1e-5);
    }
}
