//! Pieces of the library among ranks: this program starts itself under mpirun on R = 1, 2, 3, 5 and 8 ranks.
//!
//! The starting process prints lines as `cargo test` does. Each check runs on all ranks at once; one that fails on
//! any rank ends that mpirun, and the checks after it are started anew. What a check computes may be given to
//! `Crowd::same_bits`: the starting process fails where it differs between numbers of ranks.
//!
//! Arguments: words that a check's name must contain, as with any other test; `--list` lists.
#![allow(
    clippy::print_stdout,
    reason = "a test program talks on its standard output"
)]

mod collectives;
mod interactions;
mod layouts;
mod runs;
#[path = "../start/mod.rs"]
mod start;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use mpi::Threading;
use mpi::environment::Universe;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use rayon::ThreadPool;

/// The numbers of ranks every check runs on.
const RANKS: [usize; 5] = [1, 2, 3, 5, 8];

/// Set, to the names of the checks, in the environment of the ranks.
const ASKED: &str = "EKI_TEST_CHECKS";

/// Longer than any one check takes: who passes it hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A check: its name, and what all ranks do.
type Check = (&'static str, fn(&Crowd));

fn checks() -> Vec<Check> {
    [
        collectives::CHECKS,
        layouts::CHECKS,
        interactions::CHECKS,
        runs::CHECKS,
    ]
    .concat()
}

fn main() -> ExitCode {
    match std::env::var(ASKED) {
        Ok(names) => {
            on_this_rank(&names);
            ExitCode::SUCCESS
        }
        Err(_) => start_all(),
    }
}

/// The ranks, as one of them sees them, while checks run.
pub struct Crowd {
    universe: Universe,
    /// This rank's threads.
    pub pool: ThreadPool,
}

impl Crowd {
    /// All ranks.
    pub fn comm(&self) -> Comm {
        Comm::new(self.universe.world())
    }

    /// All ranks, who talk in chunks of so many elements.
    pub fn in_chunks(&self, elements: usize) -> Comm {
        self.comm().with_chunks(elements)
    }

    /// `comm` with this rank's threads.
    pub fn ranks<'a>(&'a self, comm: &'a Comm) -> Ranks<'a> {
        Ranks {
            comm,
            pool: &self.pool,
        }
    }

    /// Tests `property` on `cases` values of `strategy`, the same on all ranks, none of which panics: it holds where
    /// no rank finds fault, so all ranks go on, or look for a smaller case, alike.
    pub fn property<S: Strategy>(
        &self,
        cases: u32,
        strategy: &S,
        property: impl Fn(S::Value) -> Result<(), String>,
    ) {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let outcome = runner.run(strategy, |value| {
            let found = property(value);
            let mut faults = [u64::from(found.is_err())];
            self.comm().sum_counts(&mut faults);
            match (found, faults[0]) {
                (Err(fault), _) => Err(TestCaseError::fail(fault)),
                (Ok(()), 0) => Ok(()),
                (Ok(()), _) => Err(TestCaseError::fail("another rank finds fault")),
            }
        });
        // The ranks that found the fault speak before any ends the others.
        if let Err(fault) = &outcome {
            if !fault.to_string().contains("another rank") {
                println!("rank {}: {fault}", self.comm().rank());
            }
            self.comm().barrier();
        }
        outcome.expect("the property holds");
    }

    /// Says that `bits`, the same on all ranks, should be the same for any number of ranks, under this `name`.
    pub fn same_bits(&self, name: &str, bits: &[u8]) {
        let comm = self.comm();
        let all = comm.gather(bits);
        for (rank, theirs) in all.iter().enumerate() {
            assert_eq!(theirs, bits, "{name}: rank {rank} against rank 0");
        }
        if comm.is_first() {
            println!("bits {name} {bits:02x?}");
        }
    }
}

/// One of the ranks: runs the checks `names` names, and says on rank 0 which begin and end.
fn on_this_rank(names: &str) {
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let crowd = Crowd {
        universe,
        pool: pool.expect("two threads"),
    };
    let rank = crowd.comm().rank();
    eki_mpi::parallel::abort::abort_all_on_panic(rank, "this host".to_owned(), || Comm::abort(1));
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        panic!("still at work after {} s", PATIENCE.as_secs());
    });
    for (name, check) in checks() {
        if names.split(' ').any(|asked| asked == name) {
            if rank == 0 {
                println!("begin {name}");
            }
            check(&crowd);
            crowd.comm().barrier();
            if rank == 0 {
                println!("end {name}");
            }
        }
    }
}

/// The starting process: every check on every number of ranks.
fn start_all() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let asked: Vec<&str> = checks()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| words.is_empty() || words.iter().any(|word| name.contains(word.as_str())))
        .collect();
    if arguments.iter().any(|a| a == "--list") {
        asked.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    println!("\nrunning {} tests", asked.len() * RANKS.len());
    let (mut passed, mut failed) = (0, 0);
    let mut bits: BTreeMap<String, String> = BTreeMap::new();
    for ranks in RANKS {
        let mut left = asked.clone();
        while !left.is_empty() {
            let ended = start_checks(ranks, &left);
            let mut fault = None;
            for line in ended.stdout.lines() {
                if let Some((name, value)) =
                    line.strip_prefix("bits ").and_then(|l| l.split_once(' '))
                {
                    let known = bits
                        .entry(name.to_owned())
                        .or_insert_with(|| value.to_owned());
                    if known.as_str() != value {
                        fault = Some(format!("{name}: the bits are not those of fewer ranks"));
                    }
                } else if let Some(name) = line.strip_prefix("end ") {
                    left.retain(|other| *other != name);
                    tell(name, ranks, fault.take(), (&mut passed, &mut failed));
                }
            }
            if left.is_empty() && ended.code == 0 {
                break;
            }
            // The check that began last did not end; without one, MPI itself did not start or did not end.
            let begun = ended
                .stdout
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("begin "));
            let culprit = begun.filter(|name| left.contains(name));
            let said = format!("exit code {}\n{}{}", ended.code, ended.stdout, ended.stderr);
            tell(
                culprit.unwrap_or("mpirun"),
                ranks,
                Some(said),
                (&mut passed, &mut failed),
            );
            match culprit {
                Some(name) => left.retain(|other| *other != name),
                None => left.clear(),
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        start.elapsed().as_secs_f64()
    );
    ExitCode::from(u8::from(failed > 0) * 101)
}

fn start_checks(ranks: usize, names: &[&str]) -> start::Ended {
    let this = std::env::current_exe().expect("the path of this program");
    let mut command = if ranks == 1 {
        std::process::Command::new(this)
    } else {
        start::on_ranks(ranks, &this)
    };
    start::end(command.env(ASKED, names.join(" ")))
}

fn tell(name: &str, ranks: usize, fault: Option<String>, (passed, failed): (&mut u32, &mut u32)) {
    let verdict = if fault.is_none() { "ok" } else { "FAILED" };
    *if fault.is_none() { passed } else { failed } += 1;
    println!("test {name} on {ranks} ranks ... {verdict}");
    if let Some(fault) = fault {
        println!("{fault}");
    }
}
