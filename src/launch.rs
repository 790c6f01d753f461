//! From arguments to a run on all ranks: launcher, threads, plan, folder, log, and what is left behind.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use eki_mpi::account;
use eki_mpi::comm::Comm;
use eki_mpi::config::{Precision, Resolved};
use eki_mpi::cost::Shape;
use eki_mpi::data::folder::data_dir;
use eki_mpi::environment::Environment;
use eki_mpi::error::{Error, Result};
use eki_mpi::plan::Plan;
use eki_mpi::problem::Given;
use eki_mpi::real::Real;
use eki_mpi::report::{Reporter, Summary};
use eki_mpi::run::{self, Crew, Problem};
use eki_mpi::timing::Timing;
use rayon::ThreadPool;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::RunArguments;

/// The number of ranks the launcher says it started, if one did.
pub fn launched_ranks() -> Option<usize> {
    // Open MPI; MPICH and its kin (hydra); srun.
    [
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_STEP_NUM_TASKS",
    ]
    .iter()
    .find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// A binary built on one MPI and started by another's mpirun becomes many worlds of one rank each.
pub fn refuse_singletons(comm: &Comm) -> Result<()> {
    match launched_ranks() {
        Some(ranks) if ranks > 1 && comm.size() == 1 => Err(Error::Usage(format!(
            "the launcher started {ranks} ranks, but MPI sees only one: mpirun and this program belong to different MPI \
             installations; rebuild with that mpirun's mpicc first on PATH, or use the other mpirun"
        ))),
        _ => Ok(()),
    }
}

/// From now on a panic on this rank names it and ends all ranks.
pub fn abort_on_panic(comm: &Comm) {
    let host = mpi::environment::processor_name().unwrap_or_else(|_| "?".to_owned());
    eki_mpi::failure::abort_all_on_panic(comm.rank(), host, || Comm::abort_world(1));
}

/// Runs what `arguments` ask for on all ranks; returns the exit code.
pub fn run(comm: &Comm, arguments: &RunArguments, data: Option<&Path>) -> Result<i32> {
    // Rank 0 reads, checks and claims; the others are told. Nothing is written before all of it has passed.
    let (resolved, given) = comm.from_first(|| {
        let resolved = Resolved::new(&arguments.source, &arguments.sets)?;
        let given = Given::load(&resolved, &data_dir(data))?;
        Ok((resolved, given))
    })?;
    match resolved.config.run.precision {
        Precision::Single => run_in::<f32>(comm, arguments, resolved, given),
        Precision::Double => run_in::<f64>(comm, arguments, resolved, given),
    }
}

fn run_in<T: Real>(
    comm: &Comm,
    arguments: &RunArguments,
    resolved: Resolved,
    given: Given,
) -> Result<i32> {
    let shape = given.shape();
    let problem = given.problem::<T>(&resolved)?;
    let plan = Plan::new(resolved, shape, problem.map.parameters())?;
    let pool = threads(comm, arguments)?;
    let crew = Crew { comm, pool: &pool };
    comm.from_first(|| run::start::check_initial::<T>(&plan))?;
    let mut reporter = Reporter::silent();
    comm.from_first(|| {
        let folder = arguments.folder(&plan.resolved.name);
        reporter = Reporter::new(&folder, &plan)?;
        log_to(&folder)
    })?;
    if comm.is_first() {
        announce(comm, &pool, &plan);
    }
    let environment = Environment::gather(comm, pool.current_num_threads());
    if let Some(folder) = reporter.folder() {
        environment.write(folder)?;
        environment
            .mixed()
            .iter()
            .for_each(|line| tracing::warn!("{line}"));
    }
    let mut timing = Timing::default();
    let (state, outcome) = run::run(crew, &plan, &problem, &mut reporter, &mut timing)?;
    run::save::save(crew, &plan, &state, &outcome, reporter.folder())?;
    let summary = Summary {
        reason: "done",
        steps: state.step,
        epochs: state.step as f64 / plan.batches.steps_per_epoch() as f64,
        seconds: timing.elapsed(),
        scores: outcome.scores,
        accuracy_first_epoch: reporter.first_epoch(),
        digest: outcome.digest,
        ranks: comm.size(),
        threads: pool.current_num_threads(),
    };
    let table = reporter.finish(&summary)?;
    let shape = shape_in_the_middle(&plan, &problem, comm.size(), pool.current_num_threads());
    let account = account::account::<T>(crew, &shape, &timing, &environment);
    if let (Some(account), Some(folder)) = (account, reporter.folder()) {
        account.write(folder)?;
        crate::cli::print(&(table + &account.table()));
    }
    Ok(0)
}

/// What a step cost halfway through the run, where an ensemble that grows has its mean size.
fn shape_in_the_middle<T: Real>(
    plan: &Plan,
    problem: &Problem<T>,
    ranks: usize,
    threads: usize,
) -> Shape {
    let epoch = plan.batches.epoch(plan.steps / 2);
    Shape::at(plan, problem.map.as_ref(), (ranks, threads), epoch)
}

/// This rank's threads: as asked for, else its share of the host's cores.
fn threads(comm: &Comm, arguments: &RunArguments) -> Result<ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = (cores / comm.ranks_on_host()).max(1);
    let threads = arguments.threads.map_or(share, usize::from);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::Run(format!("{threads} threads could not be started: {e}")))
}

/// The log: rank 0 to the screen, tersely, and to run.log in the run's folder, in full.
fn log_to(folder: &Path) -> Result<()> {
    let path = folder.join("run.log");
    let file = File::create(&path).map_err(|e| Error::io(&path, "create", e))?;
    let screen = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_level(false)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    let whole = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .with_filter(tracing_subscriber::filter::LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry().with(screen).with(whole);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|e| Error::Run(format!("the log could not be opened: {e}")))
}

/// One line on what is about to run, one on each thing a user would want to know first.
fn announce(comm: &Comm, pool: &ThreadPool, plan: &Plan) {
    let members = plan.members(0);
    tracing::info!(
        "{}: {members} members of {} parameters, {} outputs a step, {:?} form, {} ranks x {} threads",
        plan.resolved.name,
        plan.parameters,
        plan.outputs(),
        plan.form(members),
        comm.size(),
        pool.current_num_threads()
    );
    let left = plan.data.train % plan.batches.batch;
    if left > 0 {
        tracing::info!(
            "batches of {} leave {left} of {} samples out of each epoch{}",
            plan.batches.batch,
            plan.data.train,
            if plan.batches.shuffle {
                ", others each time"
            } else {
                ""
            }
        );
    }
    let blocks = eki_mpi::partition::Blocks::new(plan.parameters).count();
    let idle = |holders: usize| comm.size().saturating_sub(holders);
    if idle(members.min(blocks)) > 0 {
        tracing::info!(
            "more ranks than work: {} of {} ranks evaluate no member, {} update no block of parameters",
            idle(members),
            comm.size(),
            idle(blocks)
        );
    }
}
