//! The program: arguments to a plan to a run. The one place that prints an error and ends all ranks.

#![cfg_attr(not(feature = "gradients"), forbid(unsafe_code))]

mod cli;

use std::process::ExitCode;

use eki_mpi::cost::calibrate::Network;
use eki_mpi::error::Error;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::launcher::{launched_rank, launched_ranks, refuse_singletons};
use mpi::Threading;

use cli::{Cli, Command};

fn main() -> ExitCode {
    #[cfg(feature = "gradients")]
    one_thread_a_tensor();
    let parsed = Cli::parsed();
    // Only runs need the other ranks; under a launcher rank 0 alone answers the rest.
    let runs = matches!(&parsed, Ok(cli) if cli.runs());
    if !runs && launched_ranks().is_none() {
        return code(answer(parsed, None));
    }
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
        return code(tell(&Error::Run("MPI could not be initialised".to_owned())));
    };
    let comm = Comm::new(universe.world());
    crate::cli::run::stopping::abort_on_panic(&comm);
    if !runs {
        let network = (measures(&parsed) && comm.size() > 1).then(|| Network::measure(&comm));
        let exit = if comm.is_first() {
            answer(parsed, network)
        } else {
            0
        };
        // The first rank may be measuring its cores.
        comm.sleep_until_all();
        return code(exit);
    }
    let cli = parsed.unwrap_or_else(|_| unreachable!("a run was parsed"));
    let data = cli.data_dir.as_deref();
    let outcome = refuse_singletons(&comm).and_then(|()| match cli.command {
        Some(Command::Run(arguments)) => cli::run::run(&comm, &arguments, data),
        Some(Command::Sweep(arguments)) => cli::sweep::run(&comm, &arguments, data),
        Some(Command::Twin(arguments)) => cli::twin::run(&comm, &arguments, data),
        Some(Command::Verify(arguments)) => cli::verify::run(&comm, &arguments, data),
        _ => cli::run::run(&comm, &cli::RunArguments::default(), data),
    });
    match outcome {
        Ok(exit) => code(exit),
        // Rank 0 alone touches files once the run goes: the others would wait for ever.
        Err(error @ Error::Io { .. }) => {
            tell(&error);
            Comm::abort(1)
        }
        Err(error) => {
            // Singletons are all first, each in a world of its own.
            let exit = if comm.is_first() && launched_rank().unwrap_or(0) == 0 {
                tell(&error)
            } else {
                error.exit_code()
            };
            // All ranks are here or on their way, or this one has failed alone. None may leave before rank 0 has spoken.
            let patience = cli::run::stopping::abort_unless_dropped(exit);
            comm.barrier();
            // MPI's end waits for the others, too.
            std::mem::forget(patience);
            code(exit)
        }
    }
}

/// Returns true if the command measures the network between ranks.
fn measures(parsed: &Result<Cli, clap::Error>) -> bool {
    matches!(parsed, Ok(cli) if matches!(&cli.command, Some(Command::Plan(plan)) if plan.measures()))
}

/// Tensors' products ask this at each call, and count the host's processors where it is not set; their threads would
/// only get in the way of ours.
#[cfg(feature = "gradients")]
#[allow(
    unsafe_code,
    reason = "the tensors' library is told by the environment alone"
)]
fn one_thread_a_tensor() {
    // SAFETY: the first thing the program does: no other thread has been started that could read the environment.
    unsafe {
        std::env::set_var("RAYON_NUM_THREADS", "1");
    }
}

/// Everything but a run, on one process.
fn answer(parsed: Result<Cli, clap::Error>, network: Option<Network>) -> i32 {
    match parsed {
        Ok(cli) => cli::answer(cli, network).unwrap_or_else(|error| tell(&error)),
        Err(error) => {
            let _ = error.print();
            error.exit_code()
        }
    }
}

/// Prints an error on one line; returns its exit code.
fn tell(error: &Error) -> i32 {
    eki_mpi::parallel::abort::say(&error.to_string());
    error.exit_code()
}

fn code(exit: i32) -> ExitCode {
    ExitCode::from(u8::try_from(exit).unwrap_or(1))
}
