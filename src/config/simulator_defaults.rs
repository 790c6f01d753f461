//! The method of a simulator where the configuration does not say: by the Kalman gain, in steps that the misfits allow.
//!
//! The presets set `method.kind = "kalman"` and `method.h_schedule = "misfit"`, which earlier versions did not. What a file or
//! `--set` says of the step comes before them, and a run that began by an earlier version keeps what it began with.

use toml::Table;

use super::h_value::HValue;
use super::keys::{FormKind, HSchedule, PriorSource};
use super::kinds::MethodKind;
use super::resolved::Resolved;

/// The key of the method.
const KIND: &str = "method.kind";
/// The key of the schedule of h.
const SCHEDULE: &str = "method.h_schedule";
/// The key of the misfit at which a run ends.
const STOP: &str = "run.stop_at_misfit";
/// The step of "uki", whose artificial covariances are those of its publication.
const UKI_H: f64 = 0.5;
/// The key of the prior behind first members.
const PRIOR: &str = "ensemble.prior";
/// The presets that earlier versions had without a schedule: a `method.h` beside them was each step's own.
const EARLIER: [&str; 2] = ["process", "ask-tell"];

impl Resolved {
    /// Takes back what a preset says of a simulator's method where the file or `--set` says otherwise: `method.step` and
    /// `method.epsilon` are keys of "eki", a `method.h` given with a preset of earlier versions, or as a list, is taken as it is, without a
    /// Kalman gain there is no "misfit", and a method that holds the prior does not stop at the noise level.
    pub(super) fn settle_simulator_defaults(&mut self) {
        // A list says how many steps there are.
        if self.config.method.h.list().is_some() && !self.is_given("run.steps") {
            self.config.run.steps = 0;
        }
        if self.config.method.kind == MethodKind::Uki && !self.is_given("method.h") {
            self.config.method.h = HValue::Constant(UKI_H);
            self.origins.remove("method.h");
        }
        if !self.config.model.kind.simulates() {
            return;
        }
        let of_eki = ["method.step", "method.epsilon"];
        if !self.is_given(KIND) && of_eki.iter().any(|key| self.is_given(key)) {
            self.set_kind(MethodKind::Eki);
        }
        if self.config.method.kind.holds_prior() && !self.is_given(STOP) {
            self.config.run.stop_at_misfit = 0.0;
            self.origins.remove(STOP);
        }
        self.settle_prior();
        let origin = self.origins.get(SCHEDULE);
        let is_earlier = origin.is_some_and(|origin| EARLIER.contains(&&**origin));
        let own = is_earlier && self.is_given("method.h") || self.config.method.h.list().is_some();
        let kind = self.config.method.kind;
        let level = own || !kind.with_gain() || matches!(kind, MethodKind::Gnki | MethodKind::Uki);
        if level && !self.is_given(SCHEDULE) {
            self.set_schedule(HSchedule::Level);
        }
    }

    /// Keeps what a run began with, of whose configuration `started` is the TOML, where an earlier version's preset left the
    /// method at its default; returns a line on it if that changes anything.
    pub fn keep_earlier_defaults(&mut self, started: &str) -> Option<String> {
        if !self.config.model.kind.simulates() {
            return None;
        }
        let started: Table = started.parse().ok()?;
        let method = started.get("method")?.as_table()?;
        let began =
            |name: &str, word: &str| method.get(name).and_then(|v| v.as_str()) == Some(word);
        let (eki, level) = (MethodKind::Eki, HSchedule::Level);
        let mut kept = Vec::new();
        let now = &self.config.method;
        let (of_kind, of_schedule) = (now.kind != eki, now.h_schedule != level);
        if of_kind && began("kind", eki.word()) && !self.is_given(KIND) {
            self.set_kind(eki);
            kept.push(format!("{KIND} = \"{}\"", eki.word()));
        }
        if of_schedule && began("h_schedule", level.word()) && !self.is_given(SCHEDULE) {
            self.set_schedule(level);
            kept.push(format!("{SCHEDULE} = \"{}\"", level.word()));
        }
        kept.extend(self.keep_earlier_prior(&started));
        (!kept.is_empty()).then(|| {
            format!(
                "the run began with defaults of an earlier version and keeps them: {}",
                kept.join(", ")
            )
        })
    }

    /// Takes the first members of a file as the prior, where all members are kept and nothing else is said. A run's own configuration
    /// that says nothing is an earlier version's, which went by the laws.
    fn settle_prior(&mut self) {
        let (ensemble, form) = (&self.config.ensemble, self.config.method.form);
        let is_mean =
            ensemble.redrawn_each_step() && matches!(form, FormKind::Auto | FormKind::Mean);
        let from_file = ensemble.initial != "prior";
        if from_file && !is_mean && !self.is_given(PRIOR) && !self.is_of_run() {
            self.config.ensemble.prior = PriorSource::Sample;
        }
    }

    /// Keeps the prior of a run of an earlier version, which went by the laws of model.prior also where its first members came from a
    /// file; returns that setting if it changes anything.
    fn keep_earlier_prior(&mut self, started: &Table) -> Option<String> {
        let ensemble = started.get("ensemble")?.as_table()?;
        let own = &self.config.ensemble;
        if ensemble.contains_key("prior") || own.prior == PriorSource::Laws || self.is_given(PRIOR)
        {
            return None;
        }
        self.config.ensemble.prior = PriorSource::Laws;
        Some(format!("{PRIOR} = \"laws\""))
    }

    fn set_kind(&mut self, kind: MethodKind) {
        self.config.method.kind = kind;
        self.origins.remove(KIND);
    }

    fn set_schedule(&mut self, schedule: HSchedule) {
        self.config.method.h_schedule = schedule;
        self.origins.remove(SCHEDULE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The method and the schedule of h of preset `source` with `sets`.
    fn chosen(source: &str, sets: &[&str]) -> (MethodKind, HSchedule) {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let method = Resolved::new(source, &sets).unwrap().config.method;
        (method.kind, method.h_schedule)
    }

    #[test]
    fn a_simulators_method_is_by_misfit_where_nothing_is_said_of_the_step() {
        use HSchedule::{Cosine, Level, Misfit};
        use MethodKind::{Eki, Etki, Kalman};
        for source in ["process", "ask-tell"] {
            for (sets, wanted) in [
                (&[][..], (Kalman, Misfit)),
                (&["ensemble.members=9"], (Kalman, Misfit)),
                (&["method.kind=kalman"], (Kalman, Misfit)),
                (&["method.kind=etki"], (Etki, Misfit)),
                (&["method.step=kalman"], (Kalman, Misfit)),
                // Steps of a size that the user chose.
                (&["method.kind=kalman", "method.h=0.25"], (Kalman, Level)),
                (&["method.h=0.5"], (Kalman, Level)),
                (
                    &["method.h=0.5", "method.h_schedule=misfit"],
                    (Kalman, Misfit),
                ),
                (&["method.h_schedule=cosine"], (Kalman, Cosine)),
                // Configurations of the adaptive step stay what they were.
                (&["method.kind=eki"], (Eki, Level)),
                (&["method.step=fixed"], (Eki, Level)),
                (&["method.step=adaptive", "method.h=2"], (Eki, Level)),
                (&["method.epsilon=0.1"], (Eki, Level)),
            ] {
                assert_eq!(chosen(source, sets), wanted, "{source} {sets:?}");
            }
        }
        assert_eq!(chosen("posterior", &[]), (Kalman, Misfit));
        assert_eq!(chosen("posterior", &["method.h=0.1"]), (Kalman, Misfit));
        assert_eq!(chosen("digits", &["method.h=2"]), (Eki, Level));
        assert_eq!(
            chosen("posterior", &["method.h=[0.5, 0.5]"]),
            (Kalman, Level)
        );
        assert_eq!(chosen("esmda", &[]), (Kalman, Level));
    }

    #[test]
    fn a_run_of_an_earlier_version_keeps_the_method_that_it_began_with() {
        let began = "[method]\nkind = \"eki\"\nh_schedule = \"level\"\n";
        let resumed = |sets: &[&str], began: &str| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            let mut resolved = Resolved::new("process", &sets).unwrap();
            let said = resolved.keep_earlier_defaults(began);
            let method = resolved.config.method;
            (method.kind, method.h_schedule, said.is_some())
        };
        let (eki, kalman) = (MethodKind::Eki, MethodKind::Kalman);
        let (level, misfit) = (HSchedule::Level, HSchedule::Misfit);
        assert_eq!(resumed(&[], began), (eki, level, true));
        assert_eq!(resumed(&[], ""), (kalman, misfit, false));
        let now = began.replace("eki", "kalman").replace("level", "misfit");
        assert_eq!(resumed(&[], &now), (kalman, misfit, false));
        let by_gain = began.replace("eki", "kalman");
        assert_eq!(
            resumed(&["method.kind=kalman"], &by_gain),
            (kalman, level, true)
        );
        // What is asked for now is another configuration, and refused as such.
        assert_eq!(
            resumed(&["method.kind=kalman"], began),
            (kalman, level, true)
        );
    }
}
