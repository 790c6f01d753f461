//! How much the screen shows, and in which colours: `-q`, `-v`, `-vv`, `--color`, NO_COLOR.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use clap::{ArgAction, Args, ColorChoice};
use tracing_subscriber::filter::LevelFilter;

/// How much of what happens is shown on standard error, and whether in colours.
#[derive(Debug, Args)]
pub struct Screen {
    /// Show warnings and errors only, and no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show more of a run; twice (-vv), as its log has it, with times
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Colours: auto has them on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

/// The amount of output: 0 quiet, 1 as usual, 2 verbose, 3 very verbose.
static AMOUNT: AtomicU8 = AtomicU8::new(1);
/// True if standard error has colours.
static COLOURS: AtomicBool = AtomicBool::new(false);

impl Screen {
    /// From now on the screen shows what these arguments ask for.
    pub fn apply(&self) {
        let amount = match self.quiet {
            true => 0,
            false => 1 + self.verbose.min(2),
        };
        AMOUNT.store(amount, Ordering::Relaxed);
        let colours = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
                std::io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
            }
        };
        COLOURS.store(colours, Ordering::Relaxed);
    }
}

/// Returns the colours that `arguments` ask for, before they are parsed: help and errors of arguments have them, too.
pub fn colours_of(arguments: &[String]) -> ColorChoice {
    let mut asked = ColorChoice::Auto;
    for (i, argument) in arguments.iter().enumerate() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.get(i + 1).map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None if argument == "--" => break,
            None => None,
        };
        asked = value.and_then(|value| value.parse().ok()).unwrap_or(asked);
    }
    asked
}

/// Returns true if no progress is to be shown.
pub fn is_quiet() -> bool {
    AMOUNT.load(Ordering::Relaxed) == 0
}

/// Returns true if lines are to be shown as the log has them.
pub fn is_as_log() -> bool {
    AMOUNT.load(Ordering::Relaxed) == 3
}

/// Returns the least level of the lines that are shown.
pub fn level() -> LevelFilter {
    match AMOUNT.load(Ordering::Relaxed) {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    }
}

/// Returns true if standard error has colours.
pub fn has_colours() -> bool {
    COLOURS.load(Ordering::Relaxed)
}
