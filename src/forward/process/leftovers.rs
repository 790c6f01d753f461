//! Ends what simulators started and left behind, also in sessions of its own, which no process group reaches.
//!
//! Each simulator has a mark of its own in its environment, which all that it starts inherits. Once it has ended, the
//! processes that bear its mark are ended, too. They are found in /proc: on Linux alone.
//!
//! A rank does not adopt orphans instead (PR_SET_CHILD_SUBREAPER): those of all other children of a library user's process
//! would come with them and would have to be waited for, and which simulator an orphan belongs to only a mark tells.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that holds a simulator's mark.
pub const MARK: &str = "EKI_SIMULATOR";

/// The delay after a simulator's end until leftover processes are searched: those of many that end one after another in one look.
const DELAY: Duration = Duration::from_millis(500);
/// The number of searches for processes that bear a mark: one that starts another as it is ended needs a second look.
const LOOKS: usize = 50;

/// Returns a mark that no other process of this host has.
pub fn new_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = now.unwrap_or_default().as_nanos();
    format!("{}-{nanoseconds}-{count}", std::process::id())
}

/// The marks of simulators that have ended, whose helpers have not been looked for yet.
#[derive(Debug, Default)]
pub struct Leftovers {
    marks: Mutex<HashSet<String>>,
    /// Held by who looks for helpers: no other returns before.
    looking: Mutex<()>,
}

impl Leftovers {
    /// The simulator with this `mark` has ended: what it left behind is ended in a moment, by a thread of its own.
    pub fn ended(self: &Arc<Self>, mark: String) {
        let is_first = {
            let mut marks = self.marks.lock().unwrap_or_else(|e| e.into_inner());
            marks.insert(mark);
            marks.len() == 1
        };
        if !is_first {
            return;
        }
        let all = self.clone();
        let end_later = move || {
            std::thread::sleep(DELAY);
            all.end();
        };
        let thread = std::thread::Builder::new().name("leftovers".to_owned());
        if thread.spawn(end_later).is_err() {
            self.end();
        }
    }

    /// Ends what simulators that have ended left behind.
    pub fn end(&self) {
        let _looking = self.looking.lock().unwrap_or_else(|e| e.into_inner());
        let marks = std::mem::take(&mut *self.marks.lock().unwrap_or_else(|e| e.into_inner()));
        if marks.is_empty() {
            return;
        }
        for _ in 0..LOOKS {
            let found = bearing(&marks);
            if found.is_empty() {
                return;
            }
            for process in found {
                // One that has ended by now, or that may not be ended.
                let _ = kill_process(process, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The processes of this user on this host that bear one of `marks`.
fn bearing(marks: &HashSet<String>) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((entry.path(), Pid::from_raw(number)?))
    });
    let bears = |variable: &[u8]| {
        let value = variable.strip_prefix(MARK.as_bytes());
        let value = value.and_then(|value| value.strip_prefix(b"="));
        value.is_some_and(|value| std::str::from_utf8(value).is_ok_and(|v| marks.contains(v)))
    };
    numbered
        .filter(|(folder, _)| {
            // Of another user's process, and of one that has ended, nothing can be read.
            let variables = std::fs::read(folder.join("environ")).unwrap_or_default();
            variables.split(|&byte| byte == 0).any(bears)
        })
        .map(|(_, process)| process)
        .collect()
}
