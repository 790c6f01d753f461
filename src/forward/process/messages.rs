//! Messages of one rank about its simulators.

/// Warns of `text`: on rank 0 in the log, on others on standard error.
pub(super) fn warn(text: &str) {
    match tracing::dispatcher::has_been_set() {
        true => tracing::warn!("{text}"),
        false => say_here(text),
    }
}

/// Prints `text` and where it comes from on standard error.
pub(super) fn say_here(text: &str) {
    let place = crate::parallel::abort::place();
    crate::parallel::abort::say(&format!("{place}: {text}"));
}
