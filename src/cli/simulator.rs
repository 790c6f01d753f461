//! The work of `eki-mpi run` before and after a run with a user's simulator. Before: every rank starts the simulator and rank 0 asks
//! it once; an ask/tell run reads the outputs that the user has written. After: the parameters are printed in their own
//! units, or the questions that an ask/tell run waits for.

use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use eki_mpi::config::{CONFIG, equal};
use eki_mpi::data::observed::{ObservedOutputs, ObservedSet};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::numbers::number;
use eki_mpi::files::{Files, bounded};
use eki_mpi::forward::ask_tell::AskTell;
use eki_mpi::forward::ask_tell::files;
use eki_mpi::forward::joint_prior::JointPrior;
use eki_mpi::forward::load;
use eki_mpi::forward::process::{Failure, Halt, Process};
use eki_mpi::io::run_folder::SUMMARY;
use eki_mpi::io::run_folder::history::History;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::report::calibrated::Calibrated;
use eki_mpi::report::check;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::predictive::{Observations, Predictive};
use eki_mpi::run::check_simulator;
use eki_mpi::run::check_simulator::{Contract, Probe};
use eki_mpi::run::plan::Plan;
use eki_mpi::run::statistics::MembersAre;
use eki_mpi::run::stop::{ENDED, EXIT_STOPPED, RESERVE, Stop};
use serde_json::Value;

/// The time after which a line on the screen says that a simulator has not answered yet.
const SILENCE: Duration = Duration::from_secs(30);

/// The longest summary.json or config.toml that is read, in bytes.
const LONGEST: u64 = 1 << 26;

/// Tries the simulator of `plan`, if it has one; what it gave, where it was asked. With `only_starts` on rank 0 it is started on all ranks
/// and asked nothing. Called by all ranks, whose hosts may differ, and before anything is written.
///
/// # Errors
/// On all ranks alike: it cannot be started somewhere, or rank 0 got no outputs from it.
pub fn check_simulator(
    comm: &Comm,
    plan: &Plan,
    (stop, only_starts): (&Stop, bool),
) -> Result<Option<Probe>> {
    let resolved = &plan.resolved;
    let Some(process) = load::process(resolved, &plan.table)? else {
        return Ok(None);
    };
    let heard = Mutex::new(stop.clone());
    process.heed(Halt::new(move || {
        let mut stop = heard.lock().expect("no thread panicked");
        stop.asked(Duration::ZERO).is_some()
    }));
    let own = if comm.is_first() && resolved.config.model.probe && !only_starts {
        asked(plan, &process).map(Some)
    } else {
        let started = process.start().map(|_| None);
        started.map_err(|error| (Failure::Lost(error), None))
    };
    let refused = |(failure, set): &(Failure, Option<String>)| {
        check_simulator::refused(resolved, failure, set.as_deref()).to_string()
    };
    let flaw = match &own {
        Ok(_) => String::new(),
        Err(failure) if comm.is_first() => refused(failure),
        Err(failure) => {
            let (rank, host) = (comm.rank(), eki_mpi::parallel::abort::host());
            format!("{} (rank {rank} on host {host})", refused(failure))
        }
    };
    let flaw = comm.first_flaw(&flaw);
    let given_up = matches!(own, Err((Failure::GivenUp, _)));
    let taken = own.ok().flatten();
    comm.from_first(|| match flaw {
        Some(_) if given_up => {
            // A time limit that is over by now left no time for a step.
            stop.check_room(Duration::ZERO, RESERVE)?;
            Err(Error::Remote {
                message: "stopped before the run began, while its simulator was tried".to_owned(),
                code: EXIT_STOPPED,
            })
        }
        Some(flaw) => Err(Error::Usage(flaw)),
        None => Ok(taken),
    })
}

/// Returns true if a run of `plan` in `folder` has ended with this very configuration, and the outputs that its end is judged by, those of
/// its last members and at their mean, are kept there: resumed it takes no step and simulates nothing. For one process.
pub fn is_simulated(folder: &Path, plan: &Plan) -> bool {
    let text = |name| bounded::text(&folder.join(name), LONGEST).ok();
    let config = text(CONFIG);
    let is_same = config.is_some_and(|config| equal(&config, &plan.resolved.toml()) == Ok(true));
    let summary = text(SUMMARY).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let ended = summary.filter(|summary| {
        is_same
            && summary["reason"]
                .as_str()
                .is_some_and(|why| ENDED.contains(&why))
    });
    let step = ended.and_then(|summary| summary["steps"].as_u64());
    let history = History::open(folder).ok().flatten();
    let mean = step
        .zip(history)
        .map(|(step, kept)| kept.mean_outputs(step));
    matches!(mean, Some(Ok(Some(_))))
}

/// Returns what the simulator gave, with the seconds of an answer, of those to all sets of observations that a step takes.
///
/// # Errors
/// Why there is none, and for which set.
fn asked(plan: &Plan, process: &Process) -> std::result::Result<Probe, (Failure, Option<String>)> {
    let (answered, waits) = mpsc::channel::<()>();
    let notice = std::thread::spawn(move || {
        if waits.recv_timeout(SILENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eki_mpi::parallel::abort::say(&format!(
                "the simulator has not answered for {} s, and is waited for; if it should have, see that it \
                 reads its input line by line and flushes its output after each answer",
                SILENCE.as_secs()
            ));
        }
    });
    let probe = |process: &Process| {
        let contract = Contract {
            process,
            observations: &[],
            loss: &plan.loss,
            seed: plan.config().seed,
        };
        let set = || process.asked_for().0.set.clone();
        contract.probe().map_err(|failure| (failure, set()))
    };
    let parts = process.parts();
    let probes: std::result::Result<Vec<Probe>, _> = parts.iter().map(|part| probe(part)).collect();
    drop(answered);
    let _ = notice.join();
    let mut probes = probes?;
    let sum: f64 = probes.iter().map(|probe| probe.seconds).sum();
    Ok(Probe {
        seconds: plan.batches.share() * sum,
        ..probes.swap_remove(0)
    })
}

/// Returns `seconds` in words, in the unit that leaves the fewest digits before the point.
fn time(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        s if s < 120.0 => (1.0, "s"),
        s if s < 7200.0 => (60.0, "min"),
        s if s < 172_800.0 => (3600.0, "h"),
        _ => (86_400.0, "d"),
    };
    format!("{} {unit}", number(seconds / scale, 3))
}

/// Logs the time of one simulation, and of a step.
pub fn announce(seconds: f64, plan: &Plan, ranks: usize, threads: usize) {
    let rounds = plan.members(0).div_ceil(ranks).div_ceil(threads);
    let ensemble = seconds * rounds as f64;
    let all = match plan.steps {
        0 => "the first ensemble".to_owned(),
        steps => {
            let all = time(ensemble * steps as f64);
            format!("a step, {steps} steps about {all}")
        }
    };
    tracing::info!(
        "a simulation took {}: {rounds} one after another take about {} for {all}",
        time(seconds),
        time(ensemble),
    );
}

/// The parameters and the predictive check at the end of a simulator's run.
pub struct Answer {
    /// The parameters.
    pub calibrated: Calibrated,
    /// The check of the final members, if their outputs were kept.
    pub predictive: Option<Predictive>,
}

impl Answer {
    /// Returns the lines on it for the table at a run's end.
    pub fn table(&self) -> String {
        let check = self.predictive.as_ref();
        let check = check.map(|check| format!("  {:<28} {}\n", "predictive check", check.words()));
        self.calibrated.table() + &check.unwrap_or_default()
    }
}

/// Writes what a simulator's run on data `observed`, without those `left_out`, has found to the run's `folder`, whose final members, after `step` steps, stand for
/// what `are` says; returns it. None where there is no simulator. Called by rank 0.
///
/// # Errors
/// Files that cannot be written.
pub fn answer<T: Real>(
    (plan, observed, left_out): (&Plan, &[f64], &[String]),
    (folder, step, are): (&Path, u64, MembersAre),
    files: &Files,
) -> Result<Option<Answer>> {
    let Some(prior) = JointPrior::of(&plan.resolved)? else {
        return Ok(None);
    };
    let finished = Finished {
        folder: folder.to_path_buf(),
        resolved: plan.resolved.clone(),
    };
    let calibrated = Calibrated::of::<T>(&finished, &prior, are)?;
    calibrated.write(files, &finished)?;
    let observed = Observations::new(observed, &plan.noise, &plan.table, left_out);
    // A history that cannot be read costs the check alone, as one that cannot be written costs itself alone.
    let predictive =
        check::last(folder, (step, plan.sigma_points()), &observed).unwrap_or_else(|error| {
            tracing::warn!("no predictive check: {error}");
            None
        });
    check::write(files, folder, predictive.as_ref())?;
    Ok(Some(Answer {
        calibrated,
        predictive,
    }))
}

/// Gives `map` the outputs that the user has written into the run's `folder` for `step`. Called by all ranks.
///
/// # Errors
/// On all ranks alike: outputs that are not those asked for, line by line.
pub fn tell(comm: &Comm, map: &AskTell, (plan, folder): (&Plan, &Path), step: u64) -> Result<()> {
    let sets = plan.sets(step);
    map.ask_for(sets.clone());
    let sets: Option<Vec<&ObservedSet>> =
        sets.map(|sets| sets.into_iter().map(|set| &plan.table.sets[set]).collect());
    let outputs = match &sets {
        None => plan.table.outputs.clone(),
        Some(sets) => ObservedOutputs::joined(sets.iter().map(|set| &set.outputs)),
    };
    let shape = (map.joint_prior().parameters(), &outputs);
    let told = comm.from_first(|| files::told(folder, step, shape))?;
    for (u, outputs) in told {
        let all = outputs.map(|outputs| match &sets {
            None => outputs,
            Some(sets) => {
                let mut all = vec![f64::NAN; plan.data.outputs];
                let places = sets.iter().flat_map(|set| &set.places);
                places.zip(outputs).for_each(|(&place, z)| all[place] = z);
                all
            }
        });
        map.tell(&u, all)?;
    }
    Ok(())
}

/// Asks, on rank 0 at the end of a run, in its `folder` for the outputs at the parameters `open` that `step` needs, if any; lines
/// for the table.
///
/// # Errors
/// Files that cannot be written; outputs that are there already, of something else.
pub fn ask(
    files: &Files,
    (plan, folder, step): (&Plan, &Path, u64),
    map: &AskTell,
    open: Option<&[Vec<f64>]>,
) -> Result<String> {
    let Some(open) = open else {
        files::close(files, folder)?;
        return Ok(String::new());
    };
    let sets = plan.sets(step);
    let sets = sets.map(|sets| plan.table.set_names(&sets));
    let names = map.joint_prior().names();
    files::ask(files, (folder, step), names, open, sets.as_deref())?;
    Ok(format!(
        "  {:<28} {}: a line of outputs for each of the {} members in {} beside it\n",
        "asks for",
        files::now(folder).join(files::OUTPUTS_FILE).display(),
        open.len(),
        files::PARAMETERS
    ))
}
