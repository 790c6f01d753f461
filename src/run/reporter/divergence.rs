//! Warnings, once each, of members that diverge from their mean and of a rising loss.

use super::Record;
use crate::data::catalogue::is_series;
use crate::files::numbers::number;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;

/// The members' spread, as a multiple of the first ensemble's, from which it is a divergence. EKI's falls; a re-draw with gamma above the first
/// ensemble's is the user's own wish, and seldom so large.
const TIMES: f64 = 4.0;

/// The averaged loss, as a multiple of its first value, from which it is a divergence: classes guessed wrong with certainty have some
/// twice the loss of classes not known, (-ln 0.005) 0.9 against ln 10.
const RISEN: f64 = 1.5;

/// The averaged loss, as a multiple of its lowest value, from which it is a divergence, if half of the decrease since the first step is lost.
const RISEN_AGAIN: f64 = 3.0;

/// A step's part in the averaged loss.
const PART: f64 = 0.05;

/// Watches over a run that may diverge.
#[derive(Debug, Default)]
pub struct Divergence {
    runaway: Runaway,
    rise: Rise,
}

impl Divergence {
    /// Returns a warning after a step, if one is due.
    pub fn see(&mut self, plan: &Plan, record: &Record) -> impl Iterator<Item = String> {
        let grown = self.runaway.see(record, ExtraArrays::of(plan).previous);
        // A series' single values, and sets of observations, have losses of their own.
        let batches = !is_series(&plan.config().data.name) && plan.takes_all_sets();
        let length = match plan.descent {
            Some(_) => "method.rate",
            None => "method.h",
        };
        let risen = batches.then(|| self.rise.see(record, length)).flatten();
        grown.into_iter().chain(risen)
    }
}

/// Watches over the members' spread.
#[derive(Debug, Default)]
struct Runaway {
    first: Option<f64>,
    told: bool,
}

/// Watches over the loss.
#[derive(Debug, Default)]
struct Rise {
    losses: Option<Losses>,
    told: bool,
}

#[derive(Debug)]
struct Losses {
    first: f64,
    average: f64,
    /// The lowest average.
    lowest: f64,
}

impl Rise {
    /// Returns a sentence at the first step by which the loss has risen too far; `length`: the key that sets the steps' length.
    fn see(&mut self, record: &Record, length: &str) -> Option<String> {
        let loss = record.loss;
        if record.step == 1 {
            self.losses = Some(Losses {
                first: loss,
                average: loss,
                lowest: loss,
            });
        }
        // A run taken up again has no first loss: one of its steps may well have half another's.
        let losses = self.losses.as_mut()?;
        losses.average += PART * (loss - losses.average);
        losses.lowest = losses.lowest.min(losses.average);
        let Losses {
            first,
            average,
            lowest,
        } = *losses;
        let lost = average > RISEN_AGAIN * lowest && average > 0.5 * (first + lowest);
        if self.told || lowest <= 0.0 || !(lost || average > RISEN * first) {
            return None;
        }
        self.told = true;
        Some(format!(
            "step {}: the loss has risen to some {}, from {} in the first step and {} at best: \
             unless it falls again, a smaller {length} is needed",
            record.step,
            number(average, 4),
            number(first, 4),
            number(lowest, 4)
        ))
    }
}

impl Runaway {
    /// Returns a sentence at the first spread that has grown too far; `momentum`: whether each member has its own.
    fn see(&mut self, record: &Record, momentum: bool) -> Option<String> {
        let (step, spread) = (record.step, record.spread);
        let first = *self.first.get_or_insert(spread);
        if self.told || first <= 0.0 || spread < TIMES * first {
            return None;
        }
        self.told = true;
        let hint = if momentum {
            "momentum of each member drives them apart; method.momentum_of = \"mean\" leaves them together"
        } else {
            "a smaller method.h may hold them"
        };
        Some(format!(
            "step {step}: the members' spread has grown from {} to {}: {hint}",
            number(first, 3),
            number(spread, 3)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, loss: f64, spread: f64) -> Record {
        Record {
            step,
            epoch: 1,
            samples: step,
            members: 4,
            failed: 0,
            missing: 0,
            loss,
            d_norm: 1.0,
            step_size: 1.0,
            spread,
            alike: false,
            inflation: None,
            taken_back: false,
            seconds: 0.0,
            scores: None,
        }
    }

    #[test]
    fn a_loss_that_rises_is_told_of_once_and_noise_is_not() {
        let told = |losses: fn(u64) -> f64| {
            let mut watched = Rise::default();
            let record = |step| record(step, losses(step), 1.0);
            (1..=200)
                .filter_map(|step| watched.see(&record(step), "method.h"))
                .collect::<Vec<_>>()
        };
        let one = told(|step| match step {
            8 => 20.0,
            0..30 => 2.3,
            _ => 4.8,
        });
        assert_eq!(one.len(), 1, "{one:?}");
        assert!(
            one[0].starts_with("step 39") && one[0].ends_with("a smaller method.h is needed"),
            "{one:?}"
        );
        let again = told(|step| if step < 100 { 3.6 / step as f64 } else { 4.0 });
        assert_eq!(again.len(), 1, "{again:?}");
        assert!(again[0].starts_with("step 1"), "{again:?}");
        let falling = told(|step| [0.2, 1.0][step as usize % 2] * 3.6 / step as f64);
        assert_eq!(falling, [""; 0]);
        let mut resumed = Rise::default();
        assert!((51..90).all(|step| {
            resumed
                .see(&record(step, step as f64, 1.0), "method.h")
                .is_none()
        }));
    }

    #[test]
    fn growth_is_told_of_once_and_only_growth() {
        let mut watched = Runaway::default();
        let mut told = |spread, momentum| watched.see(&record(7, 1.0, spread), momentum);
        assert_eq!(told(0.05, true), None);
        assert_eq!(told(0.01, true), None);
        assert_eq!(told(0.19, true), None);
        let text = told(0.21, true).expect("four times 0.05");
        assert!(
            text.contains("momentum_of") && text.starts_with("step 7"),
            "{text}"
        );
        assert_eq!(told(9.0, true), None);
        let grown = |first, then| {
            let mut watched = Runaway::default();
            watched.see(&record(1, 1.0, first), false);
            watched.see(&record(2, 1.0, then), false)
        };
        assert!(grown(1.0, f64::INFINITY).is_some_and(|text| text.contains("method.h")));
        assert_eq!(grown(0.0, 1.0), None, "a point has no spread");
    }
}
