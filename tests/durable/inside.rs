//! Whole runs inside a rank of a test: with file calls that fail and forward maps that misbehave.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use eki_mpi::config::Resolved;
use eki_mpi::error::Result;
use eki_mpi::files::{Call, Files, Watch};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::prior::Prior;
use eki_mpi::forward::{ForwardMap, MapShape};
use eki_mpi::io::run_folder;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::{Reporter, Summary};
use eki_mpi::run::stop::Stop;
use eki_mpi::run::timing::Timing;
use eki_mpi::run::{self, Checkpointer, State};
use mpi::environment::Universe;
use ndarray::{ArrayView2, ArrayViewMut3};

/// Wraps the forward map of a run.
pub type Wrap = fn(Box<dyn ForwardMap<f32>>) -> Box<dyn ForwardMap<f32>>;

/// What a run is asked for.
pub struct Asked<'a> {
    pub settings: &'a [String],
    pub given: &'a LoadedProblem,
    pub folder: &'a Path,
    pub files: &'a Files,
    pub resume: bool,
    pub wrap: Wrap,
}

/// MPI on this rank; a failed assertion ends all ranks.
pub fn start() -> Universe {
    let (universe, _) =
        mpi::initialize_with_threading(mpi::Threading::Funneled).expect("MPI starts");
    let rank = Comm::new(universe.world()).rank();
    eki_mpi::parallel::abort::abort_all_on_panic(rank, eki_mpi::parallel::abort::host(), || {
        Comm::abort(1)
    });
    universe
}

/// The log, on rank 0's standard error.
pub fn log(comm: &Comm) {
    if comm.is_first() {
        let log = tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_ansi(false);
        log.without_time().init();
    }
}

pub fn pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a thread")
}

/// `settings` and the digits, for a run.
pub fn prepared(settings: &[&str]) -> (Vec<String>, LoadedProblem) {
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
    let resolved = Resolved::new("digits", &settings).expect("a sound configuration");
    let given = LoadedProblem::load(&resolved, Path::new("nowhere")).expect("embedded data");
    (settings, given)
}

/// A run as the program makes it, to its digest. Called by all ranks.
pub fn whole_run(ranks: Ranks, asked: &Asked) -> Result<String> {
    whole_run_heeding(ranks, asked, Stop::new(None))
}

/// As `whole_run`, heeding `stop`.
pub fn whole_run_heeding(ranks: Ranks, asked: &Asked, stop: Stop) -> Result<String> {
    let comm = ranks.comm;
    let resolved = Resolved::new("digits", asked.settings)?;
    let shape = asked.given.shape();
    let mut problem = asked.given.clone().problem::<f32>(&resolved)?;
    problem.map = (asked.wrap)(problem.map);
    let plan = Plan::new(resolved, shape, problem.map.parameters())?;
    let mut claim = None;
    comm.from_first(|| {
        claim = Some(run_folder::claim(
            asked.folder,
            asked.resume,
            &plan.resolved.toml(),
        )?);
        Ok(())
    })?;
    let prior = problem.map.prior();
    let mut keeper = Checkpointer::new(asked.folder, asked.files.clone(), stop);
    let resumed = match asked.resume {
        true => keeper.resume(ranks, &plan, &prior)?,
        false => None,
    };
    let state = match resumed {
        Some(resumed) => resumed.state,
        None => State::start(ranks, &plan, &prior)?,
    };
    let (mut reporter, mut timing) = (Reporter::silent(), Timing::default());
    comm.from_first(|| {
        reporter = Reporter::open(asked.folder, &plan, asked.files, state.step)?;
        Ok(())
    })?;
    let around = (&mut reporter, &mut timing, &mut keeper);
    let (state, outcome) = run::run_from(ranks, &plan, &problem, state, around)?;
    run::final_arrays::save(
        ranks,
        &plan,
        (&problem, &state),
        &outcome,
        reporter.folder(),
        asked.files,
    )?;
    reporter.finish(&Summary {
        reason: eki_mpi::run::stop::AT_LAST_STEP,
        verdict: None,
        steps: state.step,
        epochs: 0.0,
        seconds: 0.0,
        scores: outcome.scores,
        misfit_groups: Vec::new(),
        chi_square: None,
        members: None,
        left_out: Vec::new(),
        first: reporter.first_epoch(),
        digest: outcome.digest.clone(),
        ranks: comm.size(),
        threads: 1,
    })?;
    Ok(outcome.digest)
}

/// How a file call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails: the disk is full.
    Full,
    /// It writes half, and fails when the rest is tried.
    Short,
    /// It writes half, and after it no call reaches the disk any more, as if the process or the host had died.
    Death,
}

/// Lets the call numbered `at` of those that `counts` go wrong.
pub struct Saboteur {
    pub calls: AtomicUsize,
    at: usize,
    fault: Fault,
    counts: fn(&Path) -> bool,
}

impl Saboteur {
    pub fn new(at: usize, fault: Fault, counts: fn(&Path) -> bool) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            at,
            fault,
            counts,
        }
    }
}

impl Watch for Saboteur {
    fn allow(&self, call: Call, path: &Path, bytes: usize) -> io::Result<usize> {
        if !(self.counts)(path) {
            return Ok(bytes);
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let refused = || Err(io::Error::from(io::ErrorKind::StorageFull));
        let writes = call == Call::Write && bytes > 1;
        match (self.fault, number.cmp(&self.at)) {
            (_, std::cmp::Ordering::Less) => Ok(bytes),
            (Fault::Full, std::cmp::Ordering::Equal) => refused(),
            (Fault::Short | Fault::Death, std::cmp::Ordering::Equal) if writes => Ok(bytes / 2),
            (Fault::Short, std::cmp::Ordering::Equal) => refused(),
            (Fault::Short, _) if number == self.at + 1 && writes => refused(),
            (Fault::Death, _) => refused(),
            _ => Ok(bytes),
        }
    }
}

/// A forward map whose outputs are then changed by `change`, told the member's parameters.
pub struct Changed<F> {
    pub map: Box<dyn ForwardMap<f32>>,
    pub change: F,
}

impl<F: Fn(&[f32], &mut [f32]) + Send + Sync> ForwardMap<f32> for Changed<F> {
    fn shape(&self) -> MapShape {
        self.map.shape()
    }
    fn group(&self) -> usize {
        self.map.group()
    }
    fn flops(&self, m: usize) -> f64 {
        self.map.flops(m)
    }
    fn scratch(&self, m: usize) -> usize {
        self.map.scratch(m)
    }
    fn prior(&self) -> Prior {
        self.map.prior()
    }
    fn evaluate(
        &self,
        members: ArrayView2<f32>,
        inputs: ArrayView2<f32>,
        mut outputs: ArrayViewMut3<f32>,
        scratch: &mut [f32],
    ) {
        self.map
            .evaluate(members, inputs, outputs.view_mut(), scratch);
        for (member, mut output) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
            let member = member.to_slice().expect("rows are consecutive");
            (self.change)(
                member,
                output.as_slice_mut().expect("outputs are consecutive"),
            );
        }
    }
}
