//! The runs of one group of ranks, one after the other: each group takes the next run that no other has taken.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eki_mpi::config::sweep::{SCORES, Sweep, SweepRun};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;
use eki_mpi::files::numbers::number;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::parallel::abort;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::run::stop::{EXIT_STOPPED, Stop, StopReason};

use super::folder::{Folder, State};
use crate::cli::RunArguments;
use crate::cli::run::stopping::abort_unless_dropped;
use crate::cli::run::{Ended, log, run_loaded};

/// The ranks that run one configuration at a time.
pub struct Group<'a> {
    /// Its ranks.
    pub comm: &'a Comm,
    pub sweep: &'a Sweep,
    pub folder: &'a Folder,
    /// The folder of data sets.
    pub data: PathBuf,
    /// Threads of each rank, where they are given.
    pub threads: Option<u16>,
    /// Other groups run beside this one.
    pub is_one_of_several: bool,
}

/// The outcome of a group's runs.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why it stopped before all runs were taken, if it did; else why the last run stopped that stopped alone.
    pub stopped: Option<StopReason>,
    /// On the group's first rank what has become of the runs that it took.
    taken: Vec<(usize, State)>,
}

impl Outcome {
    /// Returns the states of the runs that this group took, as bytes; nothing but on its first rank.
    pub fn states(&self, comm: &Comm) -> Vec<u8> {
        let config = bincode::config::standard();
        let states = if comm.is_first() {
            &self.taken[..]
        } else {
            &[]
        };
        bincode::serde::encode_to_vec(states, config).expect("plain data encodes")
    }
}

/// Returns `states` with those that the groups have sent in `bytes`, which arrive before a shared file system shows them.
pub fn merged(mut states: Vec<State>, bytes: &[Vec<u8>]) -> Vec<State> {
    let config = bincode::config::standard();
    for bytes in bytes {
        let (told, _): (Vec<(usize, State)>, usize) =
            bincode::serde::decode_from_slice(bytes, config).expect("a rank's own bytes decode");
        for (index, state) in told {
            states[index] = state;
        }
    }
    states
}

impl Group<'_> {
    /// Runs what no other group has taken until nothing is left or something asks for a stop. Called by all ranks of the group.
    ///
    /// # Errors
    /// On all ranks alike: the sweep's folder cannot be used. A run that fails is no error.
    pub fn run_all(&self, mut stop: Stop) -> Result<Outcome> {
        let current = Arc::new(Mutex::new(None));
        self.mark_panics(current.clone());
        if self.comm.is_first() {
            stop.look_also_for(self.folder.stop_files().to_vec());
        }
        let mut outcome = Outcome::default();
        let mut first = 0;
        loop {
            let mut asked = [stop.asked(Duration::ZERO).map_or(0.0, StopReason::code)];
            self.comm.largest(&mut asked);
            if let Some(reason) = StopReason::of_code(asked[0]) {
                outcome.stopped = Some(reason);
                break;
            }
            let next = self.comm.from_first(|| self.next(first))?;
            let Some(index) = next else { break };
            first = index + 1;
            let run = &self.sweep.runs[index];
            current
                .lock()
                .expect("no thread panicked")
                .replace(run.name.clone());
            let end = self.run(index, &stop);
            current.lock().expect("no thread panicked").take();
            abort::leave_steps();
            if self.conclude((index, run), end, (&mut stop, &mut outcome))? {
                break;
            }
        }
        self.stop_others(&outcome);
        Ok(outcome)
    }

    /// Returns the next run from number `first` on, for this group alone. Called by its first rank.
    fn next(&self, first: usize) -> Result<Option<usize>> {
        for (index, run) in self.sweep.runs.iter().enumerate().skip(first) {
            let is_open = matches!(self.folder.state(run), State::Begun | State::Waiting);
            if is_open && self.folder.take(run)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Runs run number `index`, from where it was left if it had begun. Called by all ranks of the group.
    fn run(&self, index: usize, stop: &Stop) -> Result<Ended> {
        let run = &self.sweep.runs[index];
        let folder = self.folder.of(run);
        let (resume, loaded) = self.comm.from_first(|| {
            tracing::info!(
                "run {} of {}: {}",
                index + 1,
                self.sweep.runs.len(),
                run.name
            );
            if self.is_one_of_several {
                log::name_lines(format!("{}: ", run.name));
            }
            let loaded = LoadedProblem::load(&run.resolved, &self.data)?;
            Ok((folder.exists(), loaded))
        })?;
        let arguments = RunArguments {
            out: Some(folder),
            resume,
            threads: self.threads,
            is_of_sweep: true,
            beside_others: self.is_one_of_several,
            ..RunArguments::default()
        };
        run_loaded(
            self.comm,
            &arguments,
            stop.clone(),
            (run.resolved.clone(), loaded),
        )
    }

    /// Says and records how a run ended; returns true if the sweep stops. Called by all ranks of the group.
    fn conclude(
        &self,
        (index, run): (usize, &SweepRun),
        end: Result<Ended>,
        (stop, outcome): (&mut Stop, &mut Outcome),
    ) -> Result<bool> {
        match &end {
            // The group's first rank alone touches files: the others would wait for ever.
            Err(error @ Error::Io { .. }) => self.fail_all(run, error),
            // This rank may have failed alone.
            Err(error) => {
                let _patience = abort_unless_dropped(error.exit_code());
                self.comm.barrier();
            }
            Ok(_) => {}
        }
        let (reason, stops_all) = self.comm.from_first(|| {
            let (state, stopped) = self.judge(run, end, stop)?;
            log::name_lines(String::new());
            outcome.taken.push((index, state));
            Ok(stopped.map_or((0.0, false), |(reason, all)| (reason.code(), all)))
        })?;
        outcome.stopped = StopReason::of_code(reason).or(outcome.stopped);
        Ok(stops_all)
    }

    /// Returns what has become of a run, and of one that stopped why, and whether the sweep stops with it. Called by the group's
    /// first rank.
    fn judge(
        &self,
        run: &SweepRun,
        end: Result<Ended>,
        stop: &mut Stop,
    ) -> Result<(State, Option<(StopReason, bool)>)> {
        let stopped = match end {
            Ok(ended) => ended.stopped,
            Err(error) => {
                let asked = stop.asked(Duration::ZERO);
                let is_stopped = asked.is_some() || error.exit_code() == EXIT_STOPPED;
                if !is_stopped {
                    let reason = error.to_string();
                    tracing::warn!("the run failed: {reason}");
                    self.folder.mark_failed(&run.name, &reason)?;
                    return Ok((State::Failed(reason), None));
                }
                tracing::warn!("{error}");
                Some(asked.unwrap_or(StopReason::Time))
            }
        };
        let Some(reason) = stopped else {
            let state = self.folder.state(run);
            tracing::info!("ended: {}", scores(&state));
            return Ok((state, None));
        };
        tracing::info!("stopped: {}", reason.name());
        // Outputs that an ask/tell run waits for, or a STOP in the run's own folder, concern this run alone.
        let stops_all = match reason {
            StopReason::Asks => false,
            StopReason::File => self.folder.stop_files().iter().any(|file| file.exists()),
            _ => true,
        };
        Ok((State::Begun, Some((reason, stops_all))))
    }

    /// Ends all ranks of the sweep after an error that this rank alone has met; the run is marked as failed.
    fn fail_all(&self, run: &SweepRun, error: &Error) -> ! {
        let marked = self.folder.mark_failed(&run.name, &error.to_string());
        let beside = marked.err().map_or(String::new(), |e| format!("; {e}"));
        abort::say(&format!(
            "run {} failed, and this start of the sweep with it: {error}{beside}; the same command goes on with the other runs",
            run.name
        ));
        Comm::abort(1)
    }

    /// Lets the other groups know that a signal has stopped this one: it may have met no rank of theirs.
    fn stop_others(&self, outcome: &Outcome) {
        let is_signal = matches!(outcome.stopped, Some(StopReason::Signal(_)));
        if self.is_one_of_several && is_signal && self.comm.is_first() {
            let [_, file] = self.folder.stop_files();
            if let Err(error) = Files::default().write_whole(&file, b"") {
                tracing::warn!("the other groups are not told to stop: {error}");
            }
        }
    }

    /// Makes a panic say in the sweep's folder which run failed: after it nothing else can.
    fn mark_panics(&self, current: Arc<Mutex<Option<String>>>) {
        let folder = self.folder.clone();
        abort::abort_all_on_panic(self.comm.rank(), abort::host(), move || {
            let name = current.try_lock().ok().and_then(|name| name.clone());
            if let Some(name) = name {
                let reason = format!("{}: a panic, told on standard error", abort::place());
                let _ = folder.mark_failed(&name, &reason);
            }
            Comm::abort(1)
        });
    }
}

/// Returns the scores and seconds of a run that has ended, in words.
fn scores(state: &State) -> String {
    let summary = state.summary().unwrap_or_default();
    let names = SCORES.iter().map(|(name, _)| *name).chain(["seconds"]);
    let shown = names.filter_map(|name| {
        let score = summary[name].as_f64()?;
        Some(format!("{name} {}", number(score, 4)))
    });
    shown.collect::<Vec<_>>().join("  ")
}
