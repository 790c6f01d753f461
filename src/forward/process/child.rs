//! One running simulator: started, asked a line, heard a line, and ended with all that it started.
//!
//! Nothing here blocks for ever on a simulator that doesn't listen: its pipes are polled, for writing and reading alike. That
//! it has ended is learned from the process itself, for what it started may hold its pipes open.

use std::io::{ErrorKind, Read, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child as Process, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};

use super::Simulator;
use super::failure::Failure;
use super::halt::{Halt, LOOK, Wait};
use super::leftovers::{Leftovers, MARK, new_mark};
use super::variables::without_launchers;

/// The time that a simulator may take to end after its standard output has ended.
const LAST: Duration = Duration::from_secs(2);
/// Bytes that are kept of standard error: its end.
const TAIL: usize = 4096;
/// Lines of standard error that are kept where a simulator has ended.
const LINES: usize = 12;

/// Signals that end simulators.
const SIGNALS: [(i32, &str); 7] = [
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (15, "SIGTERM"),
];

/// A simulator that runs.
#[derive(Debug)]
pub struct Child {
    process: Process,
    questions: Option<ChildStdin>,
    answers: ChildStdout,
    errors: Option<ChildStderr>,
    /// Bytes read beyond the last whole line.
    heard: Vec<u8>,
    /// The end of standard error.
    tail: Vec<u8>,
    /// The longest line an answer may be.
    longest: usize,
    /// Questions it has answered.
    answered: u64,
    /// A variable in the environment of every process that it starts, by which leftovers are found.
    mark: String,
    leftovers: Arc<Leftovers>,
}

impl Child {
    /// Starts `simulator`; an answer holds at most `longest` bytes. What it leaves behind at its end is for `leftovers`.
    ///
    /// It is the first of a process group of its own, so that Ctrl-C at a terminal, which asks a run to stop at its next
    /// step, does not reach it; and Linux ends it should the thread that starts it end in any way.
    ///
    /// # Errors
    /// The operating system's: no such program, no permission, no more processes.
    pub(super) fn start(
        simulator: &Simulator,
        longest: usize,
        leftovers: Arc<Leftovers>,
    ) -> std::io::Result<Self> {
        let mut starting = simulator.starting().ok_or(ErrorKind::InvalidInput)?;
        starting
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(folder) = &simulator.folder {
            starting.current_dir(folder);
        }
        without_launchers(&mut starting);
        let mark = new_mark();
        starting.env(MARK, &mark);
        ends_with_its_parent(&mut starting);
        let mut process = starting.spawn()?;
        let pipes = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        );
        let (Some(questions), Some(answers), Some(errors)) = pipes else {
            unreachable!("all three were asked for")
        };
        let child = Self {
            process,
            questions: Some(questions),
            answers,
            errors: Some(errors),
            heard: Vec::new(),
            tail: Vec::new(),
            longest,
            answered: 0,
            mark,
            leftovers,
        };
        child.questions.iter().try_for_each(never_wait)?;
        never_wait(&child.answers)?;
        child.errors.iter().try_for_each(never_wait)?;
        Ok(child)
    }

    /// Questions it has answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Asks `question`, a whole line, and waits for a line in answer.
    ///
    /// # Errors
    /// No line came, or more than was asked for.
    pub fn ask(&mut self, question: &str, wait: Wait) -> Result<String, Failure> {
        let open = self.hear();
        // Blank lines after an answer hold no numbers of another member: they are skipped.
        while let Some(line) = self.line()? {
            if !line.is_empty() {
                return Err(Failure::Unasked(shown(&line)));
            }
        }
        if !open || self.status().is_some() {
            return Err(self.ended(0));
        }
        let mut unsent = question.as_bytes();
        let mut sent = 0;
        loop {
            self.wait(wait, !unsent.is_empty())?;
            sent += self.say(&mut unsent);
            let mut open = self.hear();
            let mut line = self.line()?;
            if line.is_none() && open && self.status().is_some() {
                // What it said last may have come since.
                self.hear();
                line = self.line()?;
                open = false;
            }
            if let Some(line) = line {
                self.answered += 1;
                return Ok(line);
            }
            if !open {
                return Err(self.ended(sent));
            }
        }
    }

    /// A line that was not asked for, if one comes within `patience`.
    pub fn unasked(&mut self, patience: Duration) -> Option<String> {
        let wait = Wait {
            deadline: Some(Instant::now() + patience),
            halt: None,
        };
        loop {
            let stray = self.stray();
            if stray.is_some() || self.status().is_some() || self.wait(wait, false).is_err() {
                return stray;
            }
        }
    }

    /// A line that was not asked for and is here already, if any.
    pub fn stray(&mut self) -> Option<String> {
        self.hear();
        loop {
            match self.line() {
                Ok(Some(line)) if line.is_empty() => {}
                Ok(line) => return line.map(|line| shown(&line)),
                Err(_) => return Some("a line without end".to_owned()),
            }
        }
    }

    /// The last lines on standard error that are not blank.
    fn last_words(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.tail);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(shown).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }

    /// Closes the simulator's input: one that reads to the end of its input ends now.
    pub fn dismiss(&mut self) {
        self.questions = None;
    }

    /// Waits for it to end of itself, at most until `deadline`; whether it did.
    pub fn await_end(&mut self, deadline: Instant) -> bool {
        while self.status().is_none() {
            self.hear();
            // What it says now is not asked for, and must not fill its pipe or this memory.
            self.heard.clear();
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Returns how the process ended, if it has. It is not forgotten by the system: until it is dropped, its number and its group's are its own.
    fn status(&self) -> Option<WaitIdStatus> {
        let id = WaitId::Pid(Pid::from_child(&self.process));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(id, options).ok().flatten()
    }

    /// Waits until a pipe is ready, for reading, or for writing where there is something `to_say`, or for `LOOK`.
    fn wait(&self, wait: Wait, to_say: bool) -> Result<(), Failure> {
        let now = Instant::now();
        if wait.halt.is_some_and(Halt::asked) {
            return Err(Failure::GivenUp);
        }
        let left = wait.deadline.map(|end| end.saturating_duration_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Failure::TimedOut);
        }
        let mut pipes = vec![PollFd::new(&self.answers, PollFlags::IN)];
        pipes.extend(self.errors.iter().map(|e| PollFd::new(e, PollFlags::IN)));
        if let (Some(questions), true) = (&self.questions, to_say) {
            pipes.push(PollFd::new(questions, PollFlags::OUT));
        }
        let most = Timespec::try_from(left.unwrap_or(LOOK).min(LOOK)).ok();
        match poll(&mut pipes, most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(Failure::Lost(e.into())),
        }
    }

    /// Sends as many bytes as the pipe takes, and returns their number. A closed pipe is no error here: the process has ended, which is seen there.
    fn say(&mut self, unsent: &mut &[u8]) -> usize {
        let whole = unsent.len();
        while let (Some(questions), false) = (&mut self.questions, unsent.is_empty()) {
            match questions.write(unsent) {
                Ok(sent) => *unsent = &unsent[sent..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    let sent = whole - unsent.len();
                    // Poll would say "writable" for ever.
                    *unsent = &[];
                    return sent;
                }
            }
        }
        whole - unsent.len()
    }

    /// Takes what it has said; whether it may say more.
    fn hear(&mut self) -> bool {
        // A pipe at its end is always ready: it must not be waited for again.
        if let Some(errors) = &mut self.errors
            && !drain(errors, &mut self.tail)
        {
            self.errors = None;
        }
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        drain(&mut self.answers, &mut self.heard)
    }

    /// The next line it has said, which may be empty.
    fn line(&mut self) -> Result<Option<String>, Failure> {
        if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            return Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()));
        }
        if self.heard.len() > self.longest {
            let begin =
                String::from_utf8_lossy(&self.heard[..60.min(self.heard.len())]).into_owned();
            let longest = self.longest;
            return Err(Failure::Garbled(format!(
                "began with {:?} and went on for over {longest} bytes without a line's end",
                shown(&begin)
            )));
        }
        Ok(None)
    }

    /// Why there will be no more answers, after `sent` bytes of a question.
    fn ended(&mut self, sent: usize) -> Failure {
        let cut = !self.heard.is_empty();
        self.await_end(Instant::now() + LAST);
        let status = self.status();
        let unread = self.questions.as_ref().map_or(0, |questions| {
            ioctl_fionread(questions).map_or(0, |bytes| bytes as usize)
        });
        let sound = status
            .as_ref()
            .is_some_and(|s| s.exit_status() == Some(0) && !cut);
        let mut how = status
            .as_ref()
            .map_or("closed its standard output".to_owned(), told);
        if cut {
            how += " in the middle of a line";
        }
        Failure::Ended {
            how,
            killed: status.is_some_and(|s| matches!(s.terminating_signal(), Some(9 | 15))),
            between: self.answered > 0 && (sound || unread >= sent),
            words: self.last_words(),
        }
    }
}

impl Drop for Child {
    /// It goes, and what it started with it: also where it has ended of itself before.
    fn drop(&mut self) {
        // Until it is waited for, its number and its group's are its own.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.leftovers.ended(std::mem::take(&mut self.mark));
    }
}

/// Returns how a process ended, in words.
fn told(status: &WaitIdStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match SIGNALS.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => format!("was ended by {name}"),
            None => format!("was ended by signal {signal}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

/// `text` as it may stand in a message: one line, not too long.
fn shown(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match clean.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &clean[..end]),
        None => clean,
    }
}

/// Appends what `pipe` holds to `room`, or a part of it where it is filled as fast as it is read; whether more may come.
fn drain(pipe: &mut impl Read, room: &mut Vec<u8>) -> bool {
    let mut part = [0; 1 << 14];
    for _ in 0..16 {
        match pipe.read(&mut part) {
            Ok(0) => return false,
            Ok(count) => room.extend_from_slice(&part[..count]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// Makes `pipe` non-blocking.
fn never_wait(pipe: &impl AsFd) -> std::io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Linux ends the child when the thread that started it ends, however that ends: a killed rank leaves none behind.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "what runs between fork and exec may only be given unsafely"
)]
fn ends_with_its_parent(starting: &mut Command) {
    let parent = std::process::id();
    let before_it_runs = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended just before that.
        let there = rustix::process::getppid().is_some_and(|p| p.as_raw_pid() as u32 == parent);
        if there {
            Ok(())
        } else {
            Err(ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
    unsafe { starting.pre_exec(before_it_runs) };
}

#[cfg(not(target_os = "linux"))]
fn ends_with_its_parent(_: &mut Command) {}
