//! Waiting for simulators: a step's simulations are settled by all ranks together, and given up where the run is to stop.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Checkpointer;
use crate::error::{Error, Result};
use crate::forward::problem::Problem;
use crate::forward::process::kept::KeptOutputs;
use crate::forward::process::{Halt, Settled};
use crate::kernels::real::Real;
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;
use crate::run::stop::{RESERVE, Stop, StopReason};

/// The file in the run's folder by which a rank that is to stop informs the others, which wait for simulators.
const TOLD: &str = ".stopping";
/// The time between a rank's looks for that file.
const LOOK: Duration = Duration::from_millis(500);

/// Reasons to stop while simulators are waited for, as one rank hears of them.
#[derive(Debug)]
pub struct Waits {
    stop: Stop,
    first: bool,
    reserve: Duration,
    file: PathBuf,
    looked: Instant,
    heard: Option<StopReason>,
    /// The reason that all ranks agreed on.
    agreed: Option<StopReason>,
}

impl Waits {
    /// Makes the simulators of a run that `keeper` saves stop waiting when the run is to stop. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks: a file of an earlier run cannot be removed.
    pub fn new<T: Real>(
        comm: &Comm,
        keeper: &Checkpointer,
        problem: &Problem<T>,
    ) -> Result<Option<Arc<Mutex<Self>>>> {
        let (Some(folder), Some(simulator)) = (&keeper.folder, problem.map.simulator()) else {
            return Ok(None);
        };
        let file = folder.join(TOLD);
        comm.from_first(|| keeper.files.remove(&file))?;
        let waits = Arc::new(Mutex::new(Self {
            stop: keeper.stop.clone(),
            first: comm.is_first(),
            reserve: RESERVE + keeper.longest_save().unwrap_or_default(),
            file,
            looked: Instant::now(),
            heard: None,
            agreed: None,
        }));
        let asked = waits.clone();
        simulator.heed(Halt::new(move || {
            asked.lock().expect("no thread panicked").asked().is_some()
        }));
        Ok(Some(waits))
    }

    /// Returns why all ranks gave up a step's simulations, if they did.
    pub fn agreed(&self) -> Option<StopReason> {
        self.agreed
    }

    /// Returns why this run is to stop, if it is, and informs the other ranks.
    fn asked(&mut self) -> Option<StopReason> {
        if self.heard.is_some() {
            return self.heard;
        }
        let own = self.stop.asked(self.reserve);
        // On time rank 0's clock alone decides.
        let own = own.filter(|reason| self.first || *reason != StopReason::Time);
        if own == Some(StopReason::Folder) {
            // Another run may be where the file would be written.
            self.heard = own;
        } else if let Some(reason) = own {
            self.heard = own;
            let file = std::fs::File::create_new(&self.file);
            // A failed write does no harm: the ranks agree at the step's end anyway.
            let _ = file.and_then(|mut file| write!(file, "{}", reason.code()));
        } else if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let told = std::fs::read_to_string(&self.file).unwrap_or_default();
            self.heard = told.parse().ok().and_then(StopReason::of_code);
        }
        self.heard
    }
}

/// The result of a round of simulations, the same on all ranks.
pub enum Round {
    /// Every member has its own outputs, or has failed.
    Good,
    /// All ranks ask their members again: most are answered at once.
    Again,
    /// The run stops: some members were not waited for.
    GivenUp,
}

/// Settles the members' simulations, if there are simulators. Called by all ranks.
///
/// # Errors
/// On all ranks alike: a simulator printed lines that nobody asked for, again after it was started anew.
pub fn settle<T: Real>(
    ranks: Ranks,
    problem: &Problem<T>,
    waits: Option<&Mutex<Waits>>,
) -> Result<Round> {
    let (comm, Some(simulator)) = (ranks.comm, problem.map.simulator()) else {
        return Ok(Round::Good);
    };
    let settled = simulator.settle();
    let asked = || waits.and_then(|waits| waits.lock().expect("no thread panicked").asked());
    // Others' simulations may take hours: this rank's core is free meanwhile.
    comm.sleep_until_all_while(|| {
        let _ = asked();
    });
    let given_up = (settled == Settled::GivenUp).then(asked).flatten();
    let stray = match &settled {
        Settled::Stray(what) => what.as_str(),
        _ => "",
    };
    let mut codes = [
        given_up.map_or(0.0, StopReason::code),
        f64::from(u8::from(settled == Settled::Again)),
        f64::from(u8::from(matches!(settled, Settled::Stray(_)))),
    ];
    comm.largest(&mut codes);
    if codes[1] > 0.0 || codes[2] > 0.0 {
        // What was kept may be such answers, too.
        simulator.with_kept(KeptOutputs::forget);
    }
    if codes[2] > 0.0 {
        return Err(stray_lines(
            comm,
            matches!(settled, Settled::Stray(_)),
            stray,
        ));
    }
    if let (Some(reason), Some(waits)) = (StopReason::of_code(codes[0]), waits) {
        let mut waits = waits.lock().expect("no thread panicked");
        waits.agreed = Some(reason);
        if comm.is_first() {
            tracing::info!(
                "{}: the simulations of this step are given up",
                reason.name()
            );
            // A file that stays is removed before the next run waits.
            let _ = std::fs::remove_file(&waits.file);
        }
        return Ok(Round::GivenUp);
    }
    Ok(if codes[1] > 0.0 {
        Round::Again
    } else {
        Round::Good
    })
}

/// Returns the error that this rank's simulator, where it is `broken` as `what` says, or another's ends the run with. Called by all
/// ranks.
fn stray_lines(comm: &Comm, broken: bool, what: &str) -> Error {
    let text = format!(
        "{}: the simulator {what}. It did so again after it was started anew, so its answers may belong to other members \
         (model.numbered = true makes it certain)",
        crate::parallel::abort::place()
    );
    let texts = comm.gather(if broken { text.as_bytes() } else { &[] });
    let found = comm.from_first::<()>(|| {
        let first = texts.iter().find(|text| !text.is_empty());
        let first = first.map_or(&[][..], Vec::as_slice);
        Err(Error::Run(String::from_utf8_lossy(first).into_owned()))
    });
    found.expect_err("rank 0 found an error")
}
