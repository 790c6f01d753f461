//! The event file of TensorBoard (`output.tensorboard`): the numbers of each line of metrics.jsonl, by step.
//!
//! It follows from the lines of metrics.jsonl alone, and is written anew from those that stay when a run is resumed: no step is in
//! it twice.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::appender::Appender;
use crate::error::Result;
use crate::files::Files;
use crate::io::event_file::{FOLDER, NAME, first_record, scalars_record};

/// The event file of a run, open on rank 0.
#[derive(Debug)]
pub(super) struct Events {
    file: Appender,
    /// When the run would have begun, had it never been interrupted, in seconds since 1970.
    began: f64,
}

impl Events {
    /// Writes the event file in the run's `folder` anew with the whole `lines` of metrics.jsonl, and leaves it open.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(files: &Files, folder: &Path, lines: &[u8]) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0.0, |now| now.as_secs_f64());
        let lines: Vec<&[u8]> = lines.split_inclusive(|&byte| byte == b'\n').collect();
        let began = now - lines.last().and_then(|line| seconds(line)).unwrap_or(0.0);
        let records = lines.iter().filter_map(|line| record(began, line));
        let records = std::iter::once(first_record(began)).chain(records);
        let records: Vec<u8> = records.flatten().collect();
        let folder = folder.join(FOLDER);
        files.create_folder(&folder)?;
        let file = Appender::new(files, folder.join(NAME), &records)?;
        Ok(Self { file, began })
    }

    /// The run's folder was moved to `folder`.
    pub fn moved(&mut self, folder: &Path) {
        self.file.moved(folder.join(FOLDER).join(NAME));
    }

    /// Adds the event of a `line` of metrics.jsonl.
    pub fn add(&mut self, line: &str) {
        if let Some(record) = record(self.began, line.as_bytes()) {
            self.file.add(&record);
        }
    }

    /// Writes the events that wait. A failure is logged, and does not stop the run.
    pub fn flush_or_wait(&mut self) {
        self.file.flush_or_wait();
    }
}

/// Returns the seconds since the run began of a `line` of metrics.jsonl.
fn seconds(line: &[u8]) -> Option<f64> {
    let line: Value = serde_json::from_slice(line).ok()?;
    line["seconds"].as_f64()
}

/// Returns the record of a `line` of metrics.jsonl, of a run that `began` so many seconds after 1970; None for a line that is no
/// record of a step. Lines hold null for numbers that are not finite, and events NaN.
fn record(began: f64, line: &[u8]) -> Option<Vec<u8>> {
    let Ok(Value::Object(line)) = serde_json::from_slice(line) else {
        return None;
    };
    let step = line.get("step")?.as_u64()?;
    let seconds = line.get("seconds").and_then(Value::as_f64);
    let scalars = line.iter().filter(|(key, _)| *key != "step");
    let scalars = scalars.filter_map(|(key, value)| match value {
        Value::Number(number) => Some((key.as_str(), number.as_f64()?)),
        Value::Null => Some((key.as_str(), f64::NAN)),
        _ => None,
    });
    Some(scalars_record(
        began + seconds.unwrap_or(0.0),
        step,
        scalars,
    ))
}
