//! A watch over hanging ranks, independent of MPI: each rank writes its pulse to a small file in the run's folder.
//!
//! A rank whose step does not end within the timeout reads all pulses twice. A pulse that has stopped belongs to a
//! stopped or dead process. A pulse that goes on, of a rank that computes while others wait, belongs to a rank that is
//! stuck in its work. If all ranks wait, a message was lost. The hanging ranks are named, and the run continues or ends
//! as configured. The files are written every eighth of the timeout, so shorter runs write none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::files::Files;
use crate::parallel::abort;

/// The subfolder of the run's folder that holds the pulses.
const FOLDER: &str = "pulse";

/// The run that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The run's folder, on all ranks.
    pub folder: PathBuf,
    /// This rank's number.
    pub rank: usize,
    /// The host of each rank.
    pub hosts: Vec<String>,
    /// The time after which an unfinished step is reported.
    pub timeout: Duration,
}

/// The watch of one rank over the others, on a thread that also writes this rank's pulse; it ends when dropped.
#[derive(Debug)]
pub struct Watch {
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// A sign of life of one rank, as stored in its file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Pulse {
    /// A counter that grows with every write.
    beat: u64,
    /// The rank's place, as "rank 3 on host b at step 17".
    place: String,
    /// True if the rank waits for others.
    waits: bool,
}

impl Watch {
    /// Starts the watch on this rank. `hung` is called at most once a step, on the lowest rank that is alive, with a
    /// sentence that names the ranks that hang.
    ///
    /// # Errors
    /// The system's error if no thread can be started.
    pub fn start(watched: Watched, hung: impl Fn(&str) + Send + 'static) -> std::io::Result<Self> {
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = ended.clone();
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || watched.watch(&shared, hung))?;
        Ok(Self {
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.ended.0.lock().expect("never poisoned") = true;
        self.ended.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watched {
    /// Returns the file that holds the pulse of `rank`.
    fn file(&self, rank: usize) -> PathBuf {
        self.folder.join(FOLDER).join(format!("rank-{rank:05}"))
    }

    /// Returns the file in which this rank writes its pulse before renaming it.
    fn new_file(&self) -> PathBuf {
        self.file(self.rank).with_extension("new")
    }

    /// Writes this rank's pulse and looks for hanging ranks until `ended`.
    fn watch(&self, ended: &(Mutex<bool>, Condvar), hung: impl Fn(&str)) {
        let beat_every = self.timeout / 8;
        let (mut beat, mut progress, mut since) = (0, abort::progress(), Instant::now());
        // The pulses read when this rank had not moved for half the timeout.
        let mut before: Option<Vec<Option<Pulse>>> = None;
        let mut reported = false;
        loop {
            let guard = ended.0.lock().expect("never poisoned");
            let (guard, _) = ended
                .1
                .wait_timeout_while(guard, beat_every, |ended| !*ended)
                .expect("never poisoned");
            if *guard {
                break;
            }
            drop(guard);
            beat += 1;
            self.write(beat);
            if abort::progress() != progress {
                (progress, since, before, reported) =
                    (abort::progress(), Instant::now(), None, false);
            }
            if reported || since.elapsed() < self.timeout / 2 {
                continue;
            }
            match &before {
                None => before = Some(self.read()),
                Some(before) if since.elapsed() >= self.timeout - beat_every => {
                    reported = true;
                    if let Some(text) = self.diagnose(before, &self.read()) {
                        hung(&text);
                    }
                }
                Some(_) => {}
            }
        }
        for file in [self.file(self.rank), self.new_file()] {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir(self.folder.join(FOLDER));
    }

    /// Writes this rank's pulse. A failure is ignored: the rank then looks as if it had stopped.
    fn write(&self, beat: u64) {
        let pulse = Pulse {
            beat,
            place: abort::place(),
            waits: abort::is_waiting(),
        };
        let text = serde_json::to_vec(&pulse).expect("plain data");
        let _ = self.write_file(&text);
    }

    /// Writes `text` to this rank's file, whole or not at all.
    fn write_file(&self, text: &[u8]) -> Result<()> {
        let (files, folder) = (Files::default(), self.folder.join(FOLDER));
        files.create_folder(&folder)?;
        // A link leads to another folder, whose files are not the run's.
        if folder.is_symlink() {
            return Ok(());
        }
        // Renamed when whole: all watches start together, so that readers and writers often meet.
        let (file, new) = (self.file(self.rank), self.new_file());
        let mut sink = files.create(&new)?;
        let written = sink.write_all(text);
        written.map_err(|e| Error::io(&new, "write", e))?;
        files.rename(&new, &file)
    }

    /// Reads the pulses of all ranks.
    fn read(&self) -> Vec<Option<Pulse>> {
        (0..self.hosts.len())
            .map(|rank| read_pulse(&self.file(rank)))
            .collect()
    }

    /// Returns a sentence that names the ranks that hang, from their pulses at two times. Returns None unless this is
    /// the lowest rank that is alive.
    fn diagnose(&self, before: &[Option<Pulse>], now: &[Option<Pulse>]) -> Option<String> {
        let stopped = |rank: usize| rank != self.rank && before[rank] == now[rank];
        if (0..self.rank).any(|rank| !stopped(rank)) {
            return None;
        }
        let name = |rank: usize| match &now[rank] {
            Some(pulse) => pulse.place.clone(),
            // Ranks are at most one step apart.
            None => format!(
                "rank {rank} on host {}{}",
                self.hosts[rank],
                abort::step_text()
            ),
        };
        let list = |ranks: Vec<usize>| {
            let names: Vec<String> = ranks.iter().take(8).map(|&rank| name(rank)).collect();
            let more = ranks.len() - names.len();
            let rest = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            names.join(", ") + &rest
        };
        let (dead, alive): (Vec<usize>, Vec<usize>) =
            (0..self.hosts.len()).partition(|&rank| stopped(rank));
        let busy: Vec<usize> = alive
            .into_iter()
            .filter(|&rank| now[rank].as_ref().is_some_and(|pulse| !pulse.waits))
            .collect();
        let seconds = self.timeout.as_secs_f64();
        Some(if !dead.is_empty() {
            format!(
                "no step ended in {seconds:.0} s: no sign of life from {}",
                list(dead)
            )
        } else if !busy.is_empty() {
            format!(
                "no step ended in {seconds:.0} s: still at work are {}",
                list(busy)
            )
        } else {
            format!(
                "no step ended in {seconds:.0} s: all ranks wait for messages; a link may be down"
            )
        })
    }
}

/// Reads a pulse; None if the file is missing or damaged.
fn read_pulse(path: &Path) -> Option<Pulse> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_written_through_no_link_and_makes_no_run_anew() {
        let room = tempfile::tempdir().unwrap();
        let (run, victim) = (room.path().join("run"), room.path().join("thesis"));
        let watched = Watched {
            folder: run.clone(),
            rank: 0,
            hosts: vec!["a".to_owned()],
            timeout: Duration::from_secs(1),
        };
        watched.write(1);
        assert!(!run.exists());
        fs::create_dir_all(run.join(FOLDER)).unwrap();
        fs::write(&victim, "done").unwrap();
        for planted in ["rank-00000.new", "rank-00000"] {
            let link = run.join(FOLDER).join(planted);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&victim, &link).unwrap();
            watched.write(2);
            assert_eq!(
                read_pulse(&watched.file(0)).map(|pulse| pulse.beat),
                Some(2)
            );
            assert_eq!(fs::read_to_string(&victim).unwrap(), "done");
        }
        fs::remove_dir_all(run.join(FOLDER)).unwrap();
        let elsewhere = room.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, run.join(FOLDER)).unwrap();
        watched.write(3);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
