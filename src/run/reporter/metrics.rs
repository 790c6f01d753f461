//! metrics.jsonl: a line a step, cut back to the step a run goes on from, so that the joined log is an unbroken run's.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::First;
use super::appender::Appender;
use super::events::Events;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::files::bounded;

/// The log's file in the run's folder.
const NAME: &str = "metrics.jsonl";

/// The log of a run, open on rank 0.
#[derive(Debug)]
pub(in crate::run) struct Metrics {
    lines: Appender,
    /// The same numbers for TensorBoard, where the run writes them.
    events: Option<Events>,
}

impl Metrics {
    /// Opens the log in `folder`, drops the lines after `step`, and returns the lines that stay; with `events` the event file of
    /// TensorBoard, too.
    ///
    /// # Errors
    /// A file that is there but cannot be read, or cannot be written.
    pub(super) fn open(
        files: &Files,
        folder: &Path,
        step: u64,
        events: bool,
    ) -> Result<(Self, Vec<u8>)> {
        let path = folder.join(NAME);
        let mut kept = Vec::new();
        match bounded::regular(&path).and_then(|(mut file, _)| file.read_to_end(&mut kept)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&path, "read", e)),
            _ => {}
        }
        kept.truncate(lines_until(&kept, step));
        let events = events.then(|| Events::open(files, folder, &kept));
        let metrics = Self {
            lines: Appender::new(files, path, &kept)?,
            events: events.transpose()?,
        };
        Ok((metrics, kept))
    }

    /// The folder of the log was moved to `folder`.
    pub(super) fn moved(&mut self, folder: &Path) {
        self.lines.moved(folder.join(NAME));
        if let Some(events) = &mut self.events {
            events.moved(folder);
        }
    }

    /// Returns a copy of the log in `folder`, with what waits. A failure of its event file is logged only.
    ///
    /// # Errors
    /// The log cannot be read, or the copy not written.
    pub(super) fn copy(&self, files: &Files, folder: &Path) -> Result<Self> {
        let path = self.lines.path();
        let (mut file, _) = bounded::open(path)?;
        let mut lines = Vec::new();
        file.read_to_end(&mut lines)
            .map_err(|e| Error::io(path, "read", e))?;
        lines.extend(self.lines.waiting());
        let events = self.events.as_ref();
        let events = events.map(|_| Events::open(files, folder, &lines));
        let events = events.transpose().unwrap_or_else(|error| {
            tracing::warn!("{error}: the run goes on without events for TensorBoard");
            None
        });
        Ok(Self {
            lines: Appender::new(files, folder.join(NAME), &lines)?,
            events,
        })
    }

    /// Adds a line; returns true if so much waits by now that it should be written.
    pub(super) fn add(&mut self, line: &str) -> bool {
        if let Some(events) = &mut self.events {
            events.add(line);
        }
        self.lines.add(format!("{line}\n").as_bytes())
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The log cannot be written; the lines that it lacks wait on. A failure of the event file is logged only.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.flush_events();
        self.lines.flush()
    }

    /// Writes what waits; a failure is logged once until the next success, and tried again with later lines.
    pub(super) fn flush_or_wait(&mut self) {
        self.flush_events();
        self.lines.flush_or_wait();
    }

    fn flush_events(&mut self) {
        if let Some(events) = &mut self.events {
            events.flush_or_wait();
        }
    }

    /// Waits until all lines lie on the disk.
    ///
    /// # Errors
    /// As `flush`.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.flush_events();
        self.lines.sync()
    }
}

/// Returns the length of the lines of metrics.jsonl (`text`) up to and with `step`; lines after it, and one cut short, belong
/// to steps that will be taken again.
fn lines_until(text: &[u8], step: u64) -> usize {
    let mut length = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if !line.ends_with(b"\n") || step_of(line).is_none_or(|of| of > step) {
            break;
        }
        length += line.len();
    }
    length
}

fn step_of(line: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Line {
        step: u64,
    }
    let line: Line = serde_json::from_slice(line).ok()?;
    Some(line.step)
}

/// Returns the step of the last of whole `lines`; 0 where there are none.
pub(super) fn last_step(lines: &[u8]) -> u64 {
    let last = lines.split(|&byte| byte == b'\n').rev().nth(1);
    last.and_then(step_of).unwrap_or(0)
}

/// Returns the steps between which whole `lines` of metrics.jsonl are missing, where a line was due every `every` steps at least. What
/// that was may have changed when the run was resumed: lines at equal distances are none that are missing.
#[must_use]
pub fn gaps(lines: &[u8], every: u64) -> Vec<(u64, u64)> {
    let steps = lines.split(|&byte| byte == b'\n').filter_map(step_of);
    let steps: Vec<u64> = std::iter::once(0).chain(steps).collect();
    let distance = |i: usize| steps.get(i + 1).map(|next| next.saturating_sub(steps[i]));
    let regular = |i: usize, d: u64| {
        let beside = [i.checked_sub(1).and_then(distance), distance(i + 1)];
        steps[i + 1].is_multiple_of(d) && beside.contains(&Some(d))
    };
    (0..steps.len() - 1)
        .filter(|&i| distance(i).is_some_and(|d| d > every && !regular(i, d)))
        .map(|i| (steps[i], steps[i + 1]))
        .collect()
}

/// Scores after the first epoch, from the lines of metrics.jsonl.
pub(super) fn first_epoch(lines: &[u8]) -> First {
    #[derive(serde::Deserialize)]
    struct Line {
        epoch: u64,
        accuracy_mean: Option<f64>,
        mse_pass: Option<f64>,
    }
    let mut first = First::default();
    lines
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .take_while(|line| line.epoch == 1)
        .for_each(|line| {
            first.accuracy_first_epoch = first.accuracy_first_epoch.or(line.accuracy_mean);
            first.mse_first_pass = line.mse_pass.or(first.mse_first_pass);
        });
    first
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::files::{Call, Watch};

    #[test]
    fn metrics_are_kept_up_to_the_step_and_never_beyond_a_broken_line() {
        let text = b"{\"step\":1}\n{\"step\":2,\"loss\":null}\n{\"step\":3}\n{\"st";
        assert_eq!(lines_until(text, 2), 34);
        assert_eq!(lines_until(text, 9), 45);
        assert_eq!(lines_until(text, 0), 0);
        assert_eq!(lines_until(b"\xff\n{\"step\":1}\n", 5), 0);
        assert_eq!(last_step(&text[..34]), 2);
        assert_eq!(last_step(b""), 0);
    }

    #[test]
    fn missing_lines_are_found_and_a_changed_distance_is_none() {
        let lines = |steps: &[u64]| -> Vec<u8> {
            let line = |step: &u64| format!("{{\"step\":{step}}}\n").into_bytes();
            steps.iter().flat_map(line).collect()
        };
        for (steps, every, wanted) in [
            (&[1, 2, 3, 4][..], 1, vec![]),
            (&[1, 2, 5, 6], 1, vec![(2, 5)]),
            (&[4, 5, 6], 1, vec![(0, 4)]),
            (&[1, 5, 9, 10], 1, vec![(1, 5), (5, 9)]),
            (&[5, 10, 12, 15, 30, 35], 5, vec![(15, 30)]),
            // Every tenth, then each; each, then every tenth.
            (&[10, 20, 30, 31, 32], 1, vec![]),
            (&[1, 2, 10, 20], 10, vec![]),
            (&[], 1, vec![]),
        ] {
            assert_eq!(gaps(&lines(steps), every), wanted, "{steps:?}");
        }
    }

    /// Takes five bytes of each write, and refuses every other.
    struct Meagre(AtomicUsize);

    impl Watch for Meagre {
        fn allow(&self, call: Call, _: &Path, bytes: usize) -> std::io::Result<usize> {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            match call {
                Call::Write if number.is_multiple_of(2) => Err(ErrorKind::StorageFull.into()),
                _ => Ok(bytes.min(5)),
            }
        }
    }

    #[test]
    fn a_disk_that_is_full_now_and_then_costs_no_line_and_doubles_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::watched(Arc::new(Meagre(AtomicUsize::new(0))));
        let (mut metrics, _) = Metrics::open(&files, folder.path(), 0, false).unwrap();
        let mut wanted = String::new();
        for step in 1..60 {
            let line = format!("{{\"step\":{step}}}");
            metrics.add(&line);
            wanted += &(line + "\n");
            metrics.flush_or_wait();
        }
        while metrics.flush().is_err() {}
        let path = folder.path().join("metrics.jsonl");
        assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
    }
}
