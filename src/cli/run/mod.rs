//! From arguments to a run on all ranks: launcher, threads, plan, folder, log, and what is left behind.

pub(crate) mod beginning;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod pool;
pub(crate) mod stopping;

use std::path::{Path, PathBuf};

use eki_mpi::config::Resolved;
use eki_mpi::cost::StepShape;
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::problem::Problem;
use eki_mpi::forward::process::Process;
use eki_mpi::io::run_folder;
use eki_mpi::io::run_folder::SUMMARY;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::launcher::launched_ranks;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::report::account;
use eki_mpi::report::environment::Environment;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::{ChiSquare, Ending, Reporter, Summary};
use eki_mpi::run::stop::{EXIT_STOPPED, Stop, StopReason};
use eki_mpi::run::timing::Timing;
use eki_mpi::run::{self, Checkpointer, Outcome, State};
use eki_mpi::with_precision;

use crate::cli::{RunArguments, screen, simulator};
use beginning::{claim, first_state, plan_and_problem, refuse_no_room};
use log::{LOG, log_to, watch};
use memory::refuse_impossible;
use simulator::Answer;
use stopping::listen;

/// The largest number of parameters whose statistics stand in summary.json; those of all are in final/parameters.csv.
const IN_SUMMARY: usize = 100;

/// Runs what `arguments` ask for on all ranks; returns the exit code.
pub fn run(comm: &Comm, arguments: &RunArguments, data: Option<&Path>) -> Result<i32> {
    let stop = listen(comm, arguments.max_time)?;
    // Rank 0 reads, checks and claims; the others are told. Nothing is written before all of it has passed.
    let (resolved, loaded) = comm.from_first(|| {
        let resolved = arguments.configuration()?;
        let loaded = LoadedProblem::load(&resolved, &data_dir(data))?;
        Ok((resolved, loaded))
    })?;
    let ended = run_loaded(comm, arguments, stop, (resolved, loaded))?;
    // Also of a run resumed at its end, which has no steps to account for.
    if comm.is_first() {
        crate::cli::print(&ended.table);
    }
    Ok(ended.stopped.map_or(0, |_| EXIT_STOPPED))
}

/// The end of a run, the same on all ranks.
pub(crate) struct Ended {
    /// Why it stopped before its last step, if it did.
    pub stopped: Option<StopReason>,
    /// The run's folder.
    pub folder: PathBuf,
    /// On rank 0 what it left, as a table.
    pub table: String,
}

/// Runs `resolved` on the data `loaded` in the folder and with the threads that `arguments` ask for. Called by all ranks.
pub(crate) fn run_loaded(
    comm: &Comm,
    arguments: &RunArguments,
    stop: Stop,
    (resolved, loaded): (Resolved, LoadedProblem),
) -> Result<Ended> {
    let precision = resolved.config.run.precision;
    with_precision!(precision, T => run_in::<T>(comm, arguments, stop, resolved, loaded))
}

/// Runs `resolved` on the data `loaded` in numbers of type T, in the folder and with the threads that `arguments` ask for. Called by all
/// ranks.
fn run_in<T: Real>(
    comm: &Comm,
    arguments: &RunArguments,
    stop: Stop,
    resolved: Resolved,
    loaded: LoadedProblem,
) -> Result<Ended> {
    let (mut plan, problem) = plan_and_problem::<T>(resolved, loaded)?;
    if arguments.is_first_ensemble {
        plan.steps = 0;
    }
    let pool = pool::threads(comm, arguments, problem.map.simulator());
    let ranks = Ranks { comm, pool: &pool };
    refuse_impossible(ranks, &plan, &problem)?;
    let is_simulated = arguments.resume
        && comm.is_first()
        && simulator::is_simulated(&arguments.folder(&plan.resolved.name), &plan);
    let probe = simulator::check_simulator(comm, &plan, (&stop, is_simulated))?;
    let simulation = probe.as_ref().map(|probe| probe.seconds);
    if let (Some(simulator), Some(probe)) = (problem.map.simulator(), probe) {
        simulator.know(probe.u, probe.outputs);
    }
    let simulates = problem.map.simulator().is_some();
    refuse_no_room(comm, arguments, (&stop, simulation), simulates)?;
    // From here on the run's folder is there.
    let (folder, claim) = claim(comm, arguments, &plan)?;
    let mut log = None;
    comm.from_first(|| {
        log = Some(log_to(&folder.join(LOG))?);
        Ok(())
    })?;
    let run = Launched {
        ranks,
        plan: &plan,
        problem: &problem,
        folder: &folder,
        files: Files::default(),
    };
    run.announce(simulation);
    let mut timing = Timing::default();
    let data = comm
        .is_first()
        .then(|| plan.digest(problem.dataset.digest()));
    let mut checkpointer = Checkpointer::new(&folder, run.files.clone(), stop)
        .on_data(data)
        .claimed(claim);
    let around = (&mut timing, &mut checkpointer);
    let state = first_state(ranks, &plan, &problem, arguments.resume, around)?;
    if let Some(map) = problem.map.ask_tell() {
        simulator::tell(comm, map, (&plan, &folder), state.step)?;
    }
    let mut reporter = run.open_reports(state.step)?;
    if !(arguments.beside_others || screen::is_quiet()) {
        reporter.show_bar(state.step, plan.steps);
    }
    let environment = run.environment(&reporter)?;
    let _watch = watch(comm, &plan, &folder)?;
    let around = (&mut reporter, &mut timing, &mut checkpointer);
    let (state, outcome) = run::run_from(ranks, &plan, &problem, state, around)?;
    checkpointer.follow(comm, &mut reporter)?;
    let around = (&mut reporter, &timing, &environment);
    let table = match arguments.is_first_ensemble && outcome.stopped.is_none() {
        true => String::new(),
        false => run.results(&state, &outcome, around)?,
    };
    drop(log);
    Ok(Ended {
        stopped: outcome.stopped,
        folder,
        table,
    })
}

/// A run whose folder is claimed: what its beginning and its end work with.
struct Launched<'a, T> {
    ranks: Ranks<'a>,
    plan: &'a Plan,
    problem: &'a Problem<T>,
    folder: &'a Path,
    files: Files,
}

impl<T: Real> Launched<'_, T> {
    /// Members that are simulated at once, else the threads of this rank.
    fn threads(&self) -> usize {
        let at_once = self.problem.map.simulator().and_then(Process::at_once);
        at_once.unwrap_or(self.ranks.pool.current_num_threads())
    }

    /// Prints what is run, and that the simulator was tried, in so many seconds.
    fn announce(&self, simulation: Option<f64>) {
        let Ranks { comm, pool } = self.ranks;
        if comm.is_first() {
            crate::cli::announce::announce(comm, pool, self.plan);
            if let Some(taken) = simulation {
                simulator::announce(taken, self.plan, comm.size(), self.threads());
            }
        }
    }

    /// Opens the reports of a run that goes on from `step`, and keeps a copy of the observations. Called by all ranks.
    fn open_reports(&self, step: u64) -> Result<Reporter> {
        let mut reporter = Reporter::silent();
        self.ranks.comm.from_first(|| {
            if step < self.plan.steps {
                // It is of a shorter run, or of an earlier stop.
                self.files.remove(&self.folder.join(SUMMARY))?;
            }
            reporter = Reporter::open(self.folder, self.plan, &self.files, step)?;
            let (resolved, observed) = (&self.plan.resolved, self.problem.dataset.observations());
            run_folder::copy_prior_matrix(&self.files, self.folder, resolved)?;
            run_folder::copy_observations(
                &self.files,
                self.folder,
                resolved,
                (observed, &self.plan.table),
            )?;
            run_folder::copy_kept(&self.files, self.folder, self.plan.kept_files())
        })?;
        Ok(reporter)
    }

    /// Gathers and writes where the run takes place, and warns of hosts that differ or cores that are bound. Called by all ranks.
    fn environment(&self, reporter: &Reporter) -> Result<Environment> {
        let Ranks { comm, pool } = self.ranks;
        let threads = pool.current_num_threads();
        let environment = Environment::gather(comm, threads, &self.plan.resolved);
        if let Some(folder) = reporter.folder() {
            environment.write(&self.files, folder)?;
            // Of a group of ranks it is not known on which cores the others run.
            let launched = launched_ranks().filter(|&ranks| ranks == comm.size());
            let bound = launched.and_then(|_| environment.bound());
            let lines = environment.mixed().into_iter().chain(bound);
            lines.for_each(|line| tracing::warn!("{line}"));
        }
        Ok(environment)
    }

    /// Writes the results of a run that led to `state` and returns them as a table; one that cannot be written says what is kept.
    /// Called by all ranks.
    fn results(
        &self,
        state: &State<T>,
        outcome: &Outcome,
        around: (&mut Reporter, &Timing, &Environment),
    ) -> Result<String> {
        let written = self.write_results(state, outcome, around);
        written.inspect_err(|error| {
            if matches!(error, Error::Io { .. }) && state.step > 0 {
                let kept = "the run's last checkpoint is kept, and --resume goes on from it";
                eki_mpi::parallel::abort::say(kept);
            }
        })
    }

    /// Writes the results of a run that led to `state` and returns them as a table. Called by all ranks.
    fn write_results(
        &self,
        state: &State<T>,
        outcome: &Outcome,
        (reporter, timing, environment): (&mut Reporter, &Timing, &Environment),
    ) -> Result<String> {
        self.save_arrays(state, outcome, reporter)?;
        // Where the run's own disk is full they are in its fallback folder, as its log is.
        let folder = reporter.folder().unwrap_or(self.folder).to_path_buf();
        let mut answer = None;
        if outcome.stopped.is_none() {
            let time = self.plan.mean_time(state.step, state.time);
            let misfit = outcome.scores.misfit_members;
            let left_out = state.left_out.names(&self.plan.table);
            let problem = (self.plan, self.problem.dataset.observations(), &*left_out);
            self.ranks.comm.from_first(|| {
                let are = reporter.members_at(self.plan, time, misfit);
                let end = (&*folder, state.step, are);
                answer = simulator::answer::<T>(problem, end, &self.files)?;
                Ok(())
            })?;
        }
        let told = answer.as_ref().map(Answer::table);
        let mut table = self.summarise((state, outcome), answer, reporter, timing)?;
        table += &told.unwrap_or_default();
        table += &self.asks((&folder, state.step), outcome)?;
        table += &self.account(reporter, timing, environment)?;
        Ok(table)
    }

    /// Writes the final arrays of a run that has ended. Called by all ranks.
    fn save_arrays(&self, state: &State<T>, outcome: &Outcome, reporter: &Reporter) -> Result<()> {
        if outcome.stopped.is_some() {
            return Ok(());
        }
        let result = (self.problem, state);
        let (folder, files) = (reporter.folder(), &self.files);
        run::final_arrays::save(self.ranks, self.plan, result, outcome, folder, files)
    }

    /// Writes summary.json and returns it as a table.
    fn summarise(
        &self,
        (state, outcome): (&State<T>, &Outcome),
        answer: Option<Answer>,
        reporter: &mut Reporter,
        timing: &Timing,
    ) -> Result<String> {
        let plan = self.plan;
        let (reason, scores) = (outcome.reason(), &outcome.scores);
        let counted = plan.observed() - state.left_out.places().len();
        let end = Ending {
            reason,
            observations: counted,
            time: plan.mean_time(state.step, state.time),
            scores,
        };
        let verdict = match outcome.stopped {
            Some(_) => None,
            None => reporter.verdict(plan, end),
        };
        let chi_square = |misfit| ChiSquare::new(misfit, counted);
        reporter.finish(&Summary {
            reason,
            verdict,
            steps: state.step,
            epochs: state.step as f64 / plan.batches.steps_per_epoch() as f64,
            seconds: timing.elapsed(),
            scores: outcome.scores,
            misfit_groups: outcome.groups.clone(),
            chi_square: scores.misfit_members.map(chi_square),
            members: answer.map(|answer| answer.calibrated.found.shortened(IN_SUMMARY)),
            left_out: state.left_out.names(&plan.table),
            first: reporter.first_epoch(),
            digest: outcome.digest.clone(),
            ranks: self.ranks.comm.size(),
            threads: self.threads(),
        })
    }

    /// Writes the members that are to be simulated next; returns what is said of them. Called by all ranks.
    fn asks(&self, (folder, step): (&Path, u64), outcome: &Outcome) -> Result<String> {
        let Some(map) = self.problem.map.ask_tell() else {
            return Ok(String::new());
        };
        let open = (outcome.stopped == Some(StopReason::Asks)).then(|| map.open());
        let place = (self.plan, folder, step);
        // Also of files that are not the run's: the others hear of what is wrong with them.
        let ask = || simulator::ask(&self.files, place, map, open.as_deref());
        self.ranks.comm.from_first(ask)
    }

    /// Writes where the time went, by what a step costs halfway through the run, where an ensemble that grows has its mean
    /// size; returns it as a table. Called by all ranks.
    fn account(
        &self,
        reporter: &Reporter,
        timing: &Timing,
        environment: &Environment,
    ) -> Result<String> {
        let (plan, Ranks { comm, pool }) = (self.plan, self.ranks);
        let split = (comm.size(), pool.current_num_threads());
        let middle = plan.batches.epoch(plan.steps / 2);
        let shape = StepShape::at(plan, self.problem.map.as_ref(), split, middle);
        let account = account::account::<T>(self.ranks, &shape, timing, environment);
        let (Some(account), Some(folder)) = (account, reporter.folder()) else {
            return Ok(String::new());
        };
        account.write(&self.files, folder)?;
        // Of the one step that each start of ask/tell takes it says nothing.
        Ok(match self.problem.map.ask_tell() {
            Some(_) => String::new(),
            None => account.table(plan.config().model.kind.simulates()),
        })
    }
}
