//! The run's log, and the watch that names ranks that hang.

use std::path::Path;
use std::sync::Mutex;

use eki_mpi::config::OnHang;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::open_unshared;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::hang_watch::{Watch, Watched};
use eki_mpi::run::plan::Plan;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Opens the log: rank 0 to the screen, tersely, and to run.log in the run's folder, in full. A line that cannot be written, as
/// on a full disk, does not end the run.
pub(super) fn log_to(folder: &Path) -> Result<()> {
    let path = folder.join("run.log");
    let file = open_unshared(&path).map_err(|e| Error::io(&path, "open", e))?;
    let screen = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_level(false)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    let whole = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(Mutex::new(file))
        .with_filter(tracing_subscriber::filter::LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry().with(screen).with(whole);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|e| Error::Run(format!("the log could not be opened: {e}")))
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
