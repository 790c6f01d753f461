//! The progress bar, on a terminal or at the far end of mpirun's pipe.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::files::numbers::number;

/// Returns a bar on a terminal; hidden elsewhere. mpirun hands ranks a pipe, so the launcher, which sees the terminal, may say
/// `EKI_PROGRESS=always` (or `never`).
pub(super) fn progress_bar(steps: u64) -> ProgressBar {
    let wanted = match std::env::var("EKI_PROGRESS").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ => std::io::stderr().is_terminal(),
    };
    let target = if !wanted {
        ProgressDrawTarget::hidden()
    } else if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(PipedTerminal), 4)
    };
    let style = ProgressStyle::with_template(
        "{bar:24} {pos}/{len} steps  {rate}  {elapsed} (left {eta})  {msg}",
    )
    .expect("a fixed template")
    .with_key(
        "rate",
        |state: &ProgressState, text: &mut dyn fmt::Write| {
            let _ = text.write_str(&rate(state.per_sec()));
        },
    );
    let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// Returns the rate of `steps` a second in words; of fewer than one a second the time that a step takes.
fn rate(steps: f64) -> String {
    match steps {
        steps if !(steps > 0.0 && steps.is_finite()) => "- s a step".to_owned(),
        steps if steps < 1.0 => format!("{} s a step", number(1.0 / steps, 2)),
        steps => format!("{} steps/s", number(steps, 2)),
    }
}

/// A terminal at the far end of mpirun's pipe: only carriage returns and clears are needed.
#[derive(Debug)]
struct PipedTerminal;

impl indicatif::TermLike for PipedTerminal {
    fn width(&self) -> u16 {
        std::env::var("COLUMNS")
            .ok()
            .and_then(|c| c.parse().ok())
            .unwrap_or(100)
    }
    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        if n > 0 {
            write!(std::io::stderr(), "\x1b[{n}A")
        } else {
            Ok(())
        }
    }
    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        if n > 0 {
            write!(std::io::stderr(), "\x1b[{n}B")
        } else {
            Ok(())
        }
    }
    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        if n > 0 {
            write!(std::io::stderr(), "\x1b[{n}C")
        } else {
            Ok(())
        }
    }
    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        if n > 0 {
            write!(std::io::stderr(), "\x1b[{n}D")
        } else {
            Ok(())
        }
    }
    fn write_line(&self, line: &str) -> std::io::Result<()> {
        writeln!(std::io::stderr(), "{line}")
    }
    fn write_str(&self, text: &str) -> std::io::Result<()> {
        write!(std::io::stderr(), "{text}")
    }
    fn clear_line(&self) -> std::io::Result<()> {
        write!(std::io::stderr(), "\r\x1b[2K")
    }
    fn flush(&self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_steps_have_their_time_and_quick_ones_their_rate() {
        let told = [0.0, 0.004, 0.5, 12.34].map(rate);
        assert_eq!(
            told,
            ["- s a step", "250 s a step", "2 s a step", "12 steps/s"]
        );
    }
}
