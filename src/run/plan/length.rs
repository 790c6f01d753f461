//! The length of a run: its steps, by epochs, by a number, or by a list of their sizes.

use crate::config::{HSchedule, MethodKind, Resolved};
use crate::data::batch::Batches;
use crate::error::Result;

/// Returns the steps that take the same h of a list: one, or of sets of observations in batches those of a pass.
pub(super) fn steps_of_one_h(batches: &Batches) -> u64 {
    match batches.of_sets {
        true => batches.steps_per_epoch(),
        false => 1,
    }
}

/// Returns the steps of a run of `resolved` with these `batches`.
///
/// # Errors
/// More steps than can be counted, or than a list of step sizes has.
pub(super) fn steps(resolved: &Resolved, batches: &Batches) -> Result<u64> {
    let (run, h) = (&resolved.config.run, &resolved.config.method.h);
    let many = || resolved.error("run.epochs", "must not overflow the count of steps");
    if let Some(list) = h.list() {
        let steps = (list.len() as u64)
            .checked_mul(steps_of_one_h(batches))
            .ok_or_else(many)?;
        let epochs = steps.div_ceil(batches.steps_per_epoch());
        if run.steps > steps {
            let allowed = format!("must be at most {steps}, for which method.h has a step size");
            return Err(resolved.error("run.steps", allowed));
        }
        if run.steps == 0 && resolved.is_given("run.epochs") && run.epochs != epochs {
            let allowed = format!("must be {epochs} or left out, as method.h is a list");
            return Err(resolved.error("run.epochs", allowed));
        }
        return Ok(if run.steps == 0 { steps } else { run.steps });
    }
    match run.steps {
        0 => (run.epochs)
            .checked_mul(batches.steps_per_epoch())
            .ok_or_else(many),
        steps => Ok(steps),
    }
}

/// Refuses a list of step sizes where they are not each step's own.
pub(super) fn check_list(resolved: &Resolved) -> Result<()> {
    let method = &resolved.config.method;
    if method.h.list().is_none() {
        return Ok(());
    }
    if !matches!(method.kind, MethodKind::Kalman | MethodKind::Etki) {
        let allowed = "must be one number but for method.kind = \"kalman\" or \"etki\"";
        return Err(resolved.error("method.h", allowed));
    }
    if method.h_schedule != HSchedule::Level {
        let allowed = "must be \"level\", as method.h is a list";
        return Err(resolved.error("method.h_schedule", allowed));
    }
    if method.h_decay != 1.0 {
        let allowed = "must be 1, as method.h is a list";
        return Err(resolved.error("method.h_decay", allowed));
    }
    Ok(())
}
