//! The digests of many runs on many numbers of ranks and threads: all runs of one number of ranks share one start of MPI.
//!
//! An ignored test at the root, `rank_of_many_runs`, calls `on_this_rank`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use eki_mpi::config::Resolved;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::Reporter;
use eki_mpi::run::timing::Timing;
use eki_mpi::with_precision;

use crate::start::{self, Run};

/// Where the ranks find the runs: on each line the threads, the source and the changes, with tabs between them.
const RUNS: &str = "EKI_TEST_RUNS";
/// Where rank 0 leaves the digests, a line each.
const DIGESTS: &str = "EKI_TEST_DIGESTS";

/// Runs each of `cases` on one rank and one thread, and on all its splits: numbers of ranks and threads. All splits end in the
/// digest of one rank and one thread, and so does the program itself in the first case; that of each case is returned.
pub fn hold(cases: &[(Run, &[(usize, usize)])]) -> Vec<String> {
    let mut starts: BTreeMap<(usize, bool), Vec<(usize, Run)>> = BTreeMap::new();
    for (case, (run, splits)) in cases.iter().enumerate() {
        let mut add = |run: Run| {
            let of = (run.ranks, run.apart);
            starts.entry(of).or_default().push((case, run));
        };
        add(run.on(1, 1));
        for &(ranks, threads) in *splits {
            add(run.on(ranks, threads));
            // Ranks of this start share one host's memory; on several hosts they do not.
            if (2..64).contains(&ranks) {
                add(run.on(ranks, threads).apart());
            }
        }
    }
    let mut found: Vec<String> = Vec::new();
    for (of, runs) in starts {
        for ((case, run), digest) in runs.iter().zip(digests(of, &runs)) {
            // One rank without shared memory is the first of all starts, and each case's first run there is on one thread.
            if found.len() == *case {
                assert_eq!((run.ranks, run.threads), (1, 1));
                assert_eq!(digest.len(), 64, "SHA-256 in hexadecimal: {digest}");
                found.push(digest);
            } else {
                assert_eq!(digest, found[*case], "{run:?}");
            }
        }
    }
    let program = cases[0].0.on(3, 2);
    assert_eq!(program.digest(), found[0], "the program: {program:?}");
    found
}

/// The digests of `runs` by one start of MPI on so many ranks, which share memory or are `apart`.
fn digests((ranks, apart): (usize, bool), runs: &[(usize, Run)]) -> Vec<String> {
    let room = tempfile::tempdir().unwrap();
    let (asked, found) = (room.path().join("runs"), room.path().join("digests"));
    let lines: String = runs.iter().fold(String::new(), |mut text, (_, run)| {
        let _ = writeln!(
            text,
            "{}\t{}\t{}",
            run.threads,
            run.source,
            run.sets.join("\t")
        );
        text
    });
    std::fs::write(&asked, lines).unwrap();
    let this = std::env::current_exe().expect("a test has a path");
    let mut command = start::on_ranks(ranks, &this);
    let words = ["--exact", "--ignored", "--nocapture", "--test-threads=1"];
    command.arg("rank_of_many_runs").args(words);
    command.env(RUNS, &asked).env(DIGESTS, &found);
    if apart {
        start::apart(&mut command);
    }
    let ended = start::end(&mut command);
    assert_eq!(ended.code, 0, "{ranks} ranks: {}", ended.stderr);
    let found = std::fs::read_to_string(found).unwrap();
    let found: Vec<String> = found.lines().map(str::to_owned).collect();
    assert_eq!(found.len(), runs.len());
    found
}

/// Runs all that is asked for, on one of the ranks, and ends the process.
pub fn on_this_rank() {
    let (universe, _) =
        mpi::initialize_with_threading(mpi::Threading::Funneled).expect("MPI starts");
    let world = Comm::new(universe.world());
    let host = eki_mpi::parallel::abort::host();
    eki_mpi::parallel::abort::abort_all_on_panic(world.rank(), host, || Comm::abort(1));
    let variable = |name: &str| std::env::var_os(name).expect(name);
    let asked = std::fs::read_to_string(variable(RUNS)).unwrap();
    let digests: String = asked
        .lines()
        .map(|line| {
            let mut words = line.split('\t').map(str::to_owned);
            let threads = words.next().and_then(|word| word.parse().ok()).unwrap();
            let source = words.next().unwrap();
            let resolved = Resolved::new(&source, &words.collect::<Vec<_>>()).unwrap();
            let precision = resolved.config.run.precision;
            with_precision!(precision, T => digest::<T>(&world, threads, resolved)) + "\n"
        })
        .collect();
    if world.is_first() {
        std::fs::write(variable(DIGESTS), digests).unwrap();
    }
    drop(world);
    drop(universe);
    std::process::exit(0);
}

/// The digest of one run. Called by all ranks.
fn digest<T: Real>(comm: &Comm, threads: usize, resolved: Resolved) -> String {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("threads");
    let ranks = Ranks { comm, pool: &pool };
    let data = std::env::var("EKI_DATA_DIR").unwrap_or_default();
    let loaded = LoadedProblem::load(&resolved, Path::new(&data)).unwrap();
    let (shape, noise) = (loaded.shape(), loaded.noise());
    let problem = loaded.problem::<T>(&resolved).unwrap();
    let plan = Plan::with_noise(resolved, noise, shape, problem.map.parameters()).unwrap();
    let around = (&mut Reporter::silent(), &mut Timing::default());
    let ended = run::run(ranks, &plan, &problem, around.0, around.1);
    ended.unwrap().1.digest
}
