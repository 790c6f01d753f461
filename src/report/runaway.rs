//! Members that run away from their mean are told of, once.

/// The spread is told of from so many times what it was at first. EKI's falls; a re-draw with gamma above the first
/// ensemble's is the user's own wish, and seldom so large.
const TIMES: f64 = 4.0;

/// Watches over the members' spread.
#[derive(Debug, Default)]
pub struct Runaway {
    first: Option<f64>,
    told: bool,
}

impl Runaway {
    /// A sentence at the first `spread` that has grown too far; `momentum`: whether each member has its own.
    pub fn see(&mut self, step: u64, spread: f64, momentum: bool) -> Option<String> {
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
            "step {step}: the members' spread has grown from {first:.2e} to {spread:.2e}: {hint}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_of_once_and_only_growth() {
        let mut watched = Runaway::default();
        let mut told = |spread, momentum| watched.see(7, spread, momentum);
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
            watched.see(1, first, false);
            watched.see(2, then, false)
        };
        assert!(grown(1.0, f64::INFINITY).is_some_and(|text| text.contains("method.h")));
        assert_eq!(grown(0.0, 1.0), None, "a point has no spread");
    }
}
