//! Reasons to stop early: a signal, a file named STOP, the time allowed. Ranks hear of them here and agree elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};

use crate::config::Interval;
use crate::error::{Error, Result};
use crate::io::run_folder::{Claim, STOP_FILE};
use crate::parallel::abort;
use crate::run::{Outcome, StoppingCriterion};

/// The exit code of a run stopped early with a good checkpoint: run again with --resume. (EX_TEMPFAIL of sysexits.h.)
pub const EXIT_STOPPED: i32 = 75;

/// The reason, in summary.json, of a run that is over before its last step: its misfit is the noise's.
pub const AT_NOISE_LEVEL: &str = "noise level";

/// Why a run ended that took all its steps.
pub const AT_LAST_STEP: &str = "steps used up";
/// The reason of a run that was over at the time it was to end at.
pub const AT_TIME: &str = "end time";

/// The reasons of runs that have ended, and not stopped early.
pub const ENDED: [&str; 3] = [AT_LAST_STEP, AT_NOISE_LEVEL, AT_TIME];

impl Outcome {
    /// Returns why the run ended, as summary.json has it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match (self.stopped, self.over) {
            (Some(stopped), _) => stopped.name(),
            (None, Some(StoppingCriterion::NoiseLevel)) => AT_NOISE_LEVEL,
            (None, Some(StoppingCriterion::Time)) => AT_TIME,
            (None, None) => AT_LAST_STEP,
        }
    }
}

/// Launchers and schedulers may hand on one request twice; within this time it counts once.
const ONE_REQUEST: Duration = Duration::from_millis(300);

/// The time between rank 0's looks for the STOP file: on a shared file system each look is a message.
const LOOK: Duration = Duration::from_millis(500);

/// The time before a run's limit at which simulations are given up, beyond what its longest checkpoint took.
pub const RESERVE: Duration = Duration::from_secs(2);

/// Why a run stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A signal by its number.
    Signal(i32),
    /// The file named STOP.
    File,
    /// The time allowed is nearly over.
    Time,
    /// The next step of an ask/tell run needs outputs from the user.
    Asks,
    /// The run's folder was moved or removed, or another run has claimed it.
    Folder,
}

impl StopReason {
    /// Returns the reason as a number that ranks can agree on; 0 stands for none.
    #[must_use]
    pub fn code(self) -> f64 {
        match self {
            Self::Signal(number) => f64::from(number),
            Self::File => 1e3,
            Self::Time => 2e3,
            Self::Asks => 3e3,
            Self::Folder => 4e3,
        }
    }

    /// Returns the reason that `code` gave this number to.
    #[must_use]
    pub fn of_code(code: f64) -> Option<Self> {
        match code as i32 {
            0 => None,
            1_000 => Some(Self::File),
            2_000 => Some(Self::Time),
            3_000 => Some(Self::Asks),
            4_000 => Some(Self::Folder),
            number => Some(Self::Signal(number)),
        }
    }

    /// Returns the reason in a word or two, as summary.json has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal(SIGTERM) => "signal SIGTERM",
            Self::Signal(SIGINT) => "signal SIGINT",
            Self::Signal(SIGUSR1) => "signal SIGUSR1",
            Self::Signal(SIGUSR2) => "signal SIGUSR2",
            Self::Signal(SIGHUP) => "signal SIGHUP",
            Self::Signal(SIGXCPU) => "signal SIGXCPU",
            Self::Signal(_) => "signal",
            Self::File => "STOP file",
            Self::Time => "time limit",
            Self::Asks => "asks for outputs",
            Self::Folder => "folder moved",
        }
    }
}

/// The sources that may ask one rank to stop: signals, a time limit, the STOP file.
#[derive(Clone, Debug)]
pub struct Stop {
    signal: Arc<AtomicI32>,
    file: Option<PathBuf>,
    others: Vec<PathBuf>,
    claim: Option<Arc<Claim>>,
    looked: Option<Instant>,
    limit: Option<Limit>,
    deadline: Option<Instant>,
}

/// The time a process may take, and what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The time from now until the process must have ended.
    pub time: Duration,
    /// The option or the environment variable that sets it, as messages name it.
    pub source: &'static str,
}

impl Stop {
    /// No reason to stop but the time limit, if there is one.
    #[must_use]
    pub fn new(limit: Option<Limit>) -> Self {
        Self {
            signal: Arc::default(),
            file: None,
            others: Vec::new(),
            claim: None,
            looked: None,
            limit,
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit.time)),
        }
    }

    /// Returns the time limit, if there is one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// Refuses a time limit that is over before the first step, which takes `step` at least, could end, where `reserve` is kept
    /// to save the state.
    ///
    /// # Errors
    /// One line that names the limit.
    pub fn check_room(&self, step: Duration, reserve: Duration) -> Result<()> {
        let (Some(limit), Some(end)) = (self.limit, self.deadline) else {
            return Ok(());
        };
        if Instant::now() + step + reserve < end {
            return Ok(());
        }
        let kept = match reserve.as_secs() {
            0 => String::new(),
            seconds => format!(" beside the {seconds} s that are kept to save the state"),
        };
        Err(Error::Usage(format!(
            "{} allows {} s, which leaves no time for a step{kept}: allow more",
            limit.source,
            limit.time.as_secs()
        )))
    }

    /// Takes SIGTERM, SIGINT, SIGHUP, SIGXCPU, SIGUSR1 and SIGUSR2 as requests to stop; the second one calls `abort`, unless it is
    /// SIGHUP or SIGXCPU, which are sent again and again. SIGHUP is left alone where it is ignored (nohup).
    ///
    /// # Errors
    /// Signals that cannot be caught.
    pub fn listen(&self, abort: impl Fn() + Send + 'static) -> Result<()> {
        let asked = self.signal.clone();
        let failed = |e| Error::Run(format!("signals cannot be caught: {e}"));
        // Where the size of files is limited (ulimit -f), one that outgrows the limit is to fail, as on a full disk, and
        // not to end the process: nobody reads this.
        signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;
        let mut heard = vec![SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU];
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        heard.extend((!ignores(&status, SIGHUP)).then_some(SIGHUP));
        let mut signals = signal_hook::iterator::Signals::new(heard).map_err(failed)?;
        // A thread of its own: what a signal handler may do is too little.
        let wait = move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                match first {
                    None => {
                        first = Some(Instant::now());
                        asked.store(signal, Ordering::Relaxed);
                        // Of a rank that dies the launcher tells the number at most, and sends the others SIGTERM.
                        let (name, place) = (StopReason::Signal(signal).name(), abort::place());
                        tracing::info!("{name} to {place}: the run is to stop");
                    }
                    Some(first) if first.elapsed() < ONE_REQUEST => {}
                    Some(_) if [SIGHUP, SIGXCPU].contains(&signal) => {}
                    Some(_) => abort(),
                }
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)
            .map_err(failed)?;
        Ok(())
    }

    /// Looks from now on for a file named STOP in `folder`, and for the loss of the `claim` to it. For rank 0.
    pub fn look_in(&mut self, folder: &Path, claim: Option<Arc<Claim>>) {
        self.file = Some(folder.join(STOP_FILE));
        self.claim = claim;
    }

    /// Looks from now on for `files` too, which others remove: those that stop a whole sweep. For rank 0.
    pub fn look_also_for(&mut self, files: Vec<PathBuf>) {
        self.others = files;
    }

    /// Returns true if something asks for a stop, `reserve` being kept for what must still be done.
    pub fn asked(&mut self, reserve: Duration) -> Option<StopReason> {
        let signal = self.signal.load(Ordering::Relaxed);
        if signal != 0 {
            return Some(StopReason::Signal(signal));
        }
        let looks = self.file.is_some() || !self.others.is_empty();
        if looks && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            if self
                .claim
                .as_ref()
                .is_some_and(|claim| !claim.is_in_place())
            {
                return Some(StopReason::Folder);
            }
            let mut files = self.file.iter().chain(&self.others);
            if files.any(|file| file.exists()) {
                return Some(StopReason::File);
            }
        }
        self.deadline
            .is_some_and(|end| Instant::now() + reserve >= end)
            .then_some(StopReason::Time)
    }

    /// Removes a STOP file once the stop is made: it has done its work, or the resumed run would stop again. A folder of that name asks
    /// alike.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn done(&self) -> std::io::Result<()> {
        self.file.as_deref().map_or(Ok(()), remove_stop_file)
    }
}

/// Removes the STOP file at `path`, or an empty folder of that name, if there is one.
///
/// # Errors
/// It cannot be removed.
pub fn remove_stop_file(path: &Path) -> std::io::Result<()> {
    match (path.exists(), path.is_dir()) {
        (false, _) => Ok(()),
        (true, true) => std::fs::remove_dir(path),
        (true, false) => std::fs::remove_file(path),
    }
}

/// Returns true if /proc/self/status says that the process ignores `signal`; where it does not tell, true: it may.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Returns the row that a `reason` has in the table at a run's end: what happened, and why or how to go on.
#[must_use]
pub fn told(reason: &str) -> (&'static str, String) {
    match reason {
        AT_LAST_STEP => (
            "ended",
            format!("with its {reason} (run.steps or run.epochs)"),
        ),
        AT_NOISE_LEVEL => ("ended", format!("at the {reason} (run.stop_at_misfit)")),
        AT_TIME => ("ended", format!("at its {reason} (run.end_time)")),
        _ => ("stopped early", format!("{reason}; go on with --resume")),
    }
}

/// Returns the time that `text` allows: HH:MM:SS, of any number of hours, or a duration as in 90min or 1h30min.
///
/// # Errors
/// Returns an error in words.
pub fn parse_limit(text: &str) -> std::result::Result<Duration, String> {
    match text.parse() {
        Ok(Interval(Some(limit))) => Ok(limit),
        _ => Err(format!("{text:?}: write 90min, 1h30min or HH:MM:SS")),
    }
}

/// Returns the time a batch system leaves this process, if it says: Slurm the job's end, PBS (Torque) its whole walltime, less a
/// minute, or a quarter of a shorter one, for what has passed. LSF and OpenPBS tell a job nothing: there a signal or
/// --max-time asks. `tell` is called with a sentence on a limit that is not one and is not heeded.
#[must_use]
pub fn batch_limit(tell: impl Fn(&str)) -> Option<Limit> {
    let variable = |name: &str| std::env::var(name).ok()?.trim().parse::<u64>().ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let limits = [
        ("SLURM_JOB_END_TIME", slurm_limit as fn(u64, u64) -> _),
        ("PBS_WALLTIME", pbs_limit),
    ];
    limits.into_iter().find_map(
        |(source, limit)| match limit(variable(source)?, now.as_secs()) {
            Ok(time) => Some(Limit { time, source }),
            Err(why) => {
                tell(&format!("{source} {why}: it is not heeded"));
                None
            }
        },
    )
}

/// Returns the time until a Slurm job's `end`, in seconds since 1970 as `now` is.
fn slurm_limit(end: u64, now: u64) -> std::result::Result<Duration, &'static str> {
    match end.checked_sub(now) {
        Some(left) if left > 0 => Ok(Duration::from_secs(left)),
        _ => Err("is past: it belongs to a job that is over"),
    }
}

/// Returns the time left of a PBS job's `walltime`.
fn pbs_limit(walltime: u64, _now: u64) -> std::result::Result<Duration, &'static str> {
    let started = Duration::from_secs(60).min(Duration::from_secs(walltime) / 4);
    match Duration::from_secs(walltime).saturating_sub(started) {
        Duration::ZERO => Err("allows no time"),
        left => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_hours_minutes_and_seconds() {
        assert_eq!(parse_limit("00:00:05"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_limit("100:30:00"), Ok(Duration::from_secs(361_800)));
        assert_eq!(parse_limit("1h30min"), Ok(Duration::from_secs(5_400)));
        for wrong in [
            "", "5", "never", "1:2", "00:60:00", "0:0:0", "a:b:c", "-1:00:00", "1:+2:03",
        ] {
            assert!(parse_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_reason_survives_the_agreement() {
        for reason in [
            StopReason::Signal(SIGTERM),
            StopReason::File,
            StopReason::Time,
            StopReason::Asks,
            StopReason::Folder,
        ] {
            assert_eq!(StopReason::of_code(reason.code()), Some(reason));
        }
        assert_eq!(StopReason::of_code(0.0), None);
    }

    #[test]
    fn time_is_up_when_the_reserve_would_not_fit() {
        let limit = Limit {
            time: Duration::from_secs(100),
            source: "--max-time",
        };
        let mut stop = Stop::new(Some(limit));
        stop.check_room(Duration::from_secs(10), Duration::ZERO)
            .unwrap();
        for (step, reserve, words) in [(101, 0, "a step: allow"), (50, 51, "beside the 51 s")] {
            let [step, reserve] = [step, reserve].map(Duration::from_secs);
            let refused = stop.check_room(step, reserve).unwrap_err().to_string();
            assert!(refused.starts_with("--max-time allows 100 s"), "{refused}");
            assert!(refused.contains(words), "{refused}");
        }
        assert_eq!(stop.asked(Duration::from_secs(10)), None);
        assert_eq!(stop.asked(Duration::from_secs(101)), Some(StopReason::Time));
    }

    #[test]
    fn a_stop_file_asks_and_is_removed_when_the_stop_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut stop = Stop::new(None);
        stop.look_in(folder.path(), None);
        assert_eq!(stop.asked(Duration::ZERO), None);
        std::fs::write(folder.path().join(STOP_FILE), "").unwrap();
        std::thread::sleep(LOOK);
        assert_eq!(stop.asked(Duration::ZERO), Some(StopReason::File));
        stop.done().unwrap();
        assert!(!folder.path().join(STOP_FILE).exists());
    }

    #[test]
    fn the_stop_file_of_a_sweep_asks_and_is_left_to_the_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let mut stop = Stop::new(None);
        let file = folder.path().join(STOP_FILE);
        stop.look_also_for(vec![file.clone()]);
        assert_eq!(stop.asked(Duration::ZERO), None);
        std::fs::write(&file, "").unwrap();
        // Each run looks by itself, with no wait before its first look.
        let mut run = Stop {
            looked: None,
            ..stop.clone()
        };
        run.look_in(&folder.path().join("run"), None);
        assert_eq!(run.asked(Duration::ZERO), Some(StopReason::File));
        run.done().unwrap();
        assert!(file.exists());
    }

    #[test]
    fn a_stop_that_is_a_folder_is_removed_or_said_to_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut stop = Stop::new(None);
        stop.look_in(folder.path(), None);
        let file = folder.path().join(STOP_FILE);
        std::fs::create_dir(&file).unwrap();
        assert_eq!(stop.asked(Duration::ZERO), Some(StopReason::File));
        stop.done().unwrap();
        assert!(!file.exists());
        std::fs::create_dir_all(file.join("notes")).unwrap();
        stop.done().unwrap_err();
    }

    #[test]
    fn a_batch_systems_limit_leaves_time_or_is_not_heeded() {
        assert_eq!(slurm_limit(1_000, 400), Ok(Duration::from_secs(600)));
        slurm_limit(1_000, 1_000).unwrap_err();
        slurm_limit(1_000, 2_000_000_000).unwrap_err();
        assert_eq!(pbs_limit(14_400, 0), Ok(Duration::from_secs(14_340)));
        assert_eq!(pbs_limit(40, 0), Ok(Duration::from_secs(30)));
        pbs_limit(0, 0).unwrap_err();
    }

    #[test]
    fn nohup_is_known_by_the_mask_of_ignored_signals() {
        let status = |mask| format!("SigBlk:\t0\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores(&status("0000000000001001"), SIGHUP));
        assert!(!ignores(&status("0000000000001000"), SIGHUP));
        assert!(ignores("", SIGHUP));
    }
}
