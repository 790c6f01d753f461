//! The run's log, and the watch that names ranks that hang.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, Once};

use eki_mpi::config::OnHang;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::open_unshared;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::hang_watch::{Watch, Watched};
use eki_mpi::run::plan::Plan;
use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::screen;

/// The log in a run's folder.
pub(super) const LOG: &str = "run.log";

/// The file to which this process logs, while there is one.
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// The text that begins each line on the screen where several runs share it.
static NAME: Mutex<String> = Mutex::new(String::new());

/// The file to which this process logs; lines that come while there is none are lost.
struct LogFile;

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *FILE.lock().expect("no thread panicked") {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error, each line with the name of its run, where that is set; a warning in a colour, where the screen has them.
struct Screen {
    warns: bool,
}

/// Begins a warning in colour: yellow.
const YELLOW: &[u8] = b"\x1b[33m";
/// Ends what is in colour.
const PLAIN: &[u8] = b"\x1b[0m";

/// The screen, as it is for a line of some level.
struct Screens;

impl<'a> MakeWriter<'a> for Screens {
    type Writer = Screen;

    fn make_writer(&'a self) -> Screen {
        Screen { warns: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Screen {
        Screen {
            warns: *about.level() <= Level::WARN,
        }
    }
}

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let name = NAME.lock().expect("no thread panicked");
        // In one piece, that lines of several processes stay whole.
        let line = match bytes.strip_suffix(b"\n") {
            Some(text) if self.warns && screen::has_colours() => {
                [name.as_bytes(), YELLOW, text, PLAIN, b"\n"].concat()
            }
            _ => [name.as_bytes(), bytes].concat(),
        };
        io::stderr().write_all(&line)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins each line on the screen with `name`.
pub(crate) fn name_lines(name: String) {
    *NAME.lock().expect("no thread panicked") = name;
}

/// An open log. Once it is dropped this process logs again to the file before it, if there was one.
pub(crate) struct OpenLog(Option<File>);

impl Drop for OpenLog {
    fn drop(&mut self) {
        *FILE.lock().expect("no thread panicked") = self.0.take();
    }
}

/// Opens the log: rank 0 to the screen, tersely, and to the file at `path`, in full. A line that cannot be written, as on a full
/// disk, does not end the run.
pub(crate) fn log_to(path: &Path) -> Result<OpenLog> {
    let file = open_unshared(path).map_err(|e| Error::io(path, "open", e))?;
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(subscribe);
    let mut open = FILE.lock().expect("no thread panicked");
    Ok(OpenLog(open.replace(file)))
}

/// Sends what the program tells to the screen and to the log.
fn subscribe() {
    let shown = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(Screens);
    let shown = match screen::is_as_log() {
        true => shown.boxed(),
        false => shown
            .without_time()
            .with_target(false)
            .with_level(false)
            .boxed(),
    };
    let shown = shown.with_filter(screen::level());
    let whole = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(|| LogFile)
        .with_filter(tracing_subscriber::filter::LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry().with(shown).with(whole);
    tracing::subscriber::set_global_default(subscriber).expect("set once");
}

/// Starts to watch for ranks that hang, which are then named (`run.hang_timeout`, `run.on_hang`). Called by all ranks.
pub(super) fn watch(comm: &Comm, plan: &Plan, folder: &Path) -> Result<Option<Watch>> {
    let (timeout, on_hang) = (plan.config().run.hang_timeout, plan.config().run.on_hang);
    let Some(timeout) = timeout.0 else {
        return Ok(None);
    };
    let host = eki_mpi::parallel::abort::host();
    let hosts = comm.gather(host.as_bytes());
    let hosts = comm.from_first(|| {
        let names = hosts.iter().map(|host| String::from_utf8_lossy(host));
        Ok(names.map(std::borrow::Cow::into_owned).collect())
    })?;
    let watched = Watched {
        folder: folder.to_path_buf(),
        rank: comm.rank(),
        hosts,
        timeout,
    };
    let first = comm.is_first();
    let hung = move |text: &str| {
        if first {
            tracing::warn!("{text}");
        } else {
            eki_mpi::parallel::abort::say(text);
        }
        if on_hang == OnHang::Abort {
            eki_mpi::parallel::abort::say(
                "run.on_hang = \"abort\": the run ends; go on with --resume",
            );
            Comm::abort(1);
        }
    };
    Watch::start(watched, hung)
        .map(Some)
        .map_err(|e| Error::Run(format!("no thread can be started: {e}")))
}
