//! From arguments to a run on all ranks: launcher, threads, plan, folder, log, and what is left behind.

mod pool;

use eki_mpi::parallel::memory;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use eki_mpi::config::{OnHang, Resolved};
use eki_mpi::cost::StepShape;
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::{Files, open_unshared};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::problem::Problem;
use eki_mpi::forward::process::Process;
use eki_mpi::io::run_folder;
use eki_mpi::io::run_folder::Claim;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::hang_watch::{Watch, Watched};
use eki_mpi::parallel::launcher::launched_ranks;
use eki_mpi::parallel::memory::MemoryLimit;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::report::account;
use eki_mpi::report::environment::Environment;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::{Reporter, Summary};
use eki_mpi::run::stop;
use eki_mpi::run::stop::{EXIT_STOPPED, Limit, Stop, StopReason};
use eki_mpi::run::timing::{Phase, Timing};
use eki_mpi::run::{self, Checkpointer, State};
use eki_mpi::with_precision;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cli::RunArguments;

/// From now on a panic on this rank names it and ends all ranks.
pub fn abort_on_panic(comm: &Comm) {
    let host = eki_mpi::parallel::abort::host();
    eki_mpi::parallel::abort::abort_all_on_panic(comm.rank(), host, || Comm::abort(1));
}

/// Runs what `arguments` ask for on all ranks; returns the exit code.
pub fn run(comm: &Comm, arguments: &RunArguments, data: Option<&Path>) -> Result<i32> {
    let stop = Stop::new(time_limit(comm, arguments));
    stop.listen(|| {
        let place = eki_mpi::parallel::abort::place();
        eki_mpi::parallel::abort::say(&format!("{place}: second stop signal: aborting"));
        Comm::abort(1)
    })?;
    // Rank 0 reads, checks and claims; the others are told. Nothing is written before all of it has passed.
    let (resolved, given) = comm.from_first(|| {
        let resolved = Resolved::new(&arguments.source, &arguments.sets)?;
        let given = LoadedProblem::load(&resolved, &data_dir(data))?;
        Ok((resolved, given))
    })?;
    let precision = resolved.config.run.precision;
    with_precision!(precision, T => run_in::<T>(comm, arguments, stop, resolved, given))
}

fn run_in<T: Real>(
    comm: &Comm,
    arguments: &RunArguments,
    stop: Stop,
    resolved: Resolved,
    given: LoadedProblem,
) -> Result<i32> {
    let shape = given.shape();
    let problem = given.problem::<T>(&resolved)?;
    let plan = Plan::new(resolved, shape, problem.map.parameters())?;
    let pool = pool::threads(comm, arguments, problem.map.simulator());
    let at_once = problem.map.simulator().and_then(Process::at_once);
    let threads = at_once.unwrap_or(pool.current_num_threads());
    let ranks = Ranks { comm, pool: &pool };
    refuse_impossible(ranks, &plan, &problem)?;
    let simulation = crate::cli::simulator::check_simulator(comm, &plan, &stop)?;
    comm.from_first(|| {
        stop.check_room(simulation.map_or(Duration::ZERO, Duration::from_secs_f64))
    })?;
    let (folder, claim) = claim(comm, arguments, &plan)?;
    comm.from_first(|| log_to(&folder))?;
    if comm.is_first() {
        crate::cli::announce::announce(comm, &pool, &plan);
        if let Some(taken) = simulation {
            crate::cli::simulator::announce(taken, &plan, comm.size(), threads);
        }
    }
    let files = Files::default();
    let mut timing = Timing::default();
    let data = comm.is_first().then(|| problem.dataset.digest());
    let mut keeper = Checkpointer::new(&folder, files.clone(), stop)
        .on_data(data)
        .claimed(claim);
    let around = (&mut timing, &mut keeper);
    let state = first_state(ranks, &plan, &problem, arguments.resume, around)?;
    let asks = problem.map.ask_tell();
    if let Some(map) = asks {
        crate::cli::simulator::tell(comm, map, (&plan, &folder), state.step)?;
    }
    let mut reporter = Reporter::silent();
    comm.from_first(|| {
        reporter = Reporter::open(&folder, &plan, &files, state.step)?;
        let observed = problem.dataset.observations();
        run_folder::copy_observations(&files, &folder, &plan.resolved, observed)
    })?;
    let environment = Environment::gather(comm, pool.current_num_threads(), &plan.resolved);
    if let Some(folder) = reporter.folder() {
        environment.write(&files, folder)?;
        let bound = launched_ranks().and_then(|_| environment.bound());
        let lines = environment.mixed().into_iter().chain(bound);
        lines.for_each(|line| tracing::warn!("{line}"));
    }
    let _watch = watch(comm, &plan, &folder)?;
    let around = (&mut reporter, &mut timing, &mut keeper);
    let (state, outcome) = run::run_from(ranks, &plan, &problem, state, around)?;
    keeper.follow(comm, &mut reporter)?;
    if outcome.stopped.is_none() {
        run::final_arrays::save(
            ranks,
            &plan,
            (problem.map.as_ref(), &state),
            &outcome,
            reporter.folder(),
            &files,
        )?;
    }
    let reason = outcome.reason();
    let ended = outcome.stopped.is_none();
    let mut table = reporter.finish(&Summary {
        reason,
        verdict: ended
            .then(|| reporter.verdict(&plan, reason, &outcome.scores))
            .flatten(),
        steps: state.step,
        epochs: state.step as f64 / plan.batches.steps_per_epoch() as f64,
        seconds: timing.elapsed(),
        scores: outcome.scores,
        first: reporter.first_epoch(),
        digest: outcome.digest,
        ranks: comm.size(),
        threads,
    })?;
    if let Some(map) = asks {
        let open = (outcome.stopped == Some(StopReason::Asks)).then(|| map.open());
        // Also of files that are not the run's: the others hear of what is wrong with them.
        table += &comm.from_first(|| {
            crate::cli::simulator::ask(&files, (&folder, state.step), map, open.as_deref())
        })?;
    }
    if outcome.stopped.is_none() {
        let write = || crate::cli::simulator::calibrated::<T>(&plan, &folder, &files);
        table += &comm.from_first(write)?;
    }
    let shape = shape_in_the_middle(&plan, &problem, comm.size(), pool.current_num_threads());
    let account = account::account::<T>(ranks, &shape, &timing, &environment);
    if let (Some(account), Some(folder)) = (account, reporter.folder()) {
        account.write(&files, folder)?;
        // Of the one step that each start takes it says nothing.
        if asks.is_none() {
            table += &account.table();
        }
    }
    // Also of a run resumed at its end, which has no steps to account for.
    if comm.is_first() {
        crate::cli::print(&table);
    }
    Ok(outcome.stopped.map_or(0, |_| EXIT_STOPPED))
}

/// The state a run begins with: as it was left, where it is to be taken up and was saved, else a new one.
fn first_state<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    resume: bool,
    (timing, keeper): (&mut Timing, &mut Checkpointer),
) -> Result<State<T>> {
    let prior = problem.map.prior();
    let resumed = match resume {
        true => keeper.resume(ranks, plan, &prior)?,
        false => None,
    };
    let first = ranks.comm.is_first();
    if let Some(resumed) = resumed {
        timing.resume(resumed.seconds);
        if first {
            let step = resumed.state.step;
            tracing::info!("going on from step {step} of {}", plan.steps);
        }
        return Ok(resumed.state);
    }
    // A run that asks stops before its first step, and has nothing to save until it has taken it.
    if first && resume && problem.map.ask_tell().is_none() {
        tracing::info!("no checkpoint to resume: starting from the beginning");
    }
    timing.measure(Phase::Start, || State::start(ranks, plan, &prior))
}

/// The time this process may take: as asked for, else as the batch system says.
fn time_limit(comm: &Comm, arguments: &RunArguments) -> Option<Limit> {
    let asked = arguments.max_time.map(|time| Limit {
        time,
        source: "--max-time",
    });
    asked.or_else(|| {
        stop::batch_limit(|text| {
            if comm.is_first() {
                eki_mpi::parallel::abort::say(text);
            }
        })
    })
}

/// The run's folder, the same on all ranks, and rank 0's claim to it.
fn claim(comm: &Comm, arguments: &RunArguments, plan: &Plan) -> Result<(PathBuf, Option<Claim>)> {
    let mut claim = None;
    let folder = comm.path_from_first(|| {
        let folder = arguments.folder(&plan.resolved.name);
        let folder = std::path::absolute(&folder).map_err(|e| Error::io(&folder, "find", e))?;
        claim = Some(run_folder::claim(
            &folder,
            arguments.resume,
            &plan.resolved.toml(),
        )?);
        Ok(folder)
    })?;
    Ok((folder, claim))
}

/// From now on ranks that hang are named.
fn watch(comm: &Comm, plan: &Plan, folder: &Path) -> Result<Option<Watch>> {
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

/// What a step cost halfway through the run, where an ensemble that grows has its mean size.
fn shape_in_the_middle<T: Real>(
    plan: &Plan,
    problem: &Problem<T>,
    ranks: usize,
    threads: usize,
) -> StepShape {
    let epoch = plan.batches.epoch(plan.steps / 2);
    StepShape::at(plan, problem.map.as_ref(), (ranks, threads), epoch)
}

/// Refuses a run whose first members are not to be had, or whose ranks on this host need more memory than it has, before any
/// of it is taken. Called by all ranks.
fn refuse_impossible<T: Real>(ranks: Ranks, plan: &Plan, problem: &Problem<T>) -> Result<()> {
    let comm = ranks.comm;
    comm.from_first(|| run::start::check_initial::<T>(plan))?;
    let on_host = comm.ranks_on_host();
    let shape = StepShape::at(
        plan,
        problem.map.as_ref(),
        (comm.size(), ranks.pool.current_num_threads()),
        plan.last_epoch(),
    );
    let shape = shape.with_near(comm.near().len());
    let place = if comm.is_first() {
        "this host".to_owned()
    } else {
        format!("host {}", eki_mpi::parallel::abort::host())
    };
    let flaw = too_large(&shape, on_host, &place).unwrap_or_default();
    let flaws = comm.gather(flaw.as_bytes());
    comm.from_first(|| match flaws.iter().find(|flaw| !flaw.is_empty()) {
        Some(flaw) => Err(Error::Usage(String::from_utf8_lossy(flaw).into_owned())),
        None => Ok(()),
    })
}

/// Why the run does not fit into the memory of this host, `place`, with its `ranks`, or into that of this process.
fn too_large(shape: &StepShape, ranks: usize, place: &str) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let one = shape.memory(0).peak();
    let refused = |needed: u64, who: String, limit: MemoryLimit| {
        (needed > limit.bytes).then(|| {
            format!(
                "ensemble.members = {}: {who} {:.1} GiB, and it may have {:.1} ({}): take fewer members or more hosts \
                 (eki-mpi plan --ranks R tells what each rank needs)",
                shape.members,
                gib(needed),
                gib(limit.bytes),
                limit.source
            )
        })
    };
    let host = memory::memory_of_host().and_then(|limit| {
        refused(
            one.saturating_mul(ranks as u64),
            format!("{ranks} ranks on {place} need"),
            limit,
        )
    });
    host.or_else(|| {
        memory::memory_of_process()
            .and_then(|limit| refused(one, format!("a rank on {place} needs"), limit))
    })
}

/// The log: rank 0 to the screen, tersely, and to run.log in the run's folder, in full. That a line cannot be written, as on
/// a full disk, does not end the run.
fn log_to(folder: &Path) -> Result<()> {
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
