//! Event files of TensorBoard: their records by the format's definition, and as the `tensorboard` package reads them. The latter is
//! skipped, with a line, where python3 lacks the package.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

mod start;

use start::{Folder, Run, end};

const FILE: &str = "tensorboard/events.out.tfevents";

/// Two evaluations, and steps between them.
const SMALL: [&str; 5] = [
    "ensemble.members=24",
    "data.limit=60",
    "data.batch=15",
    "run.steps=6",
    "checkpoint.every_steps=4",
];

/// The scalars of a step, by tag.
type Scalars = BTreeMap<String, f32>;

/// CRC-32C as RFC 3720 defines it, bit by bit: the remainder by 0x1EDC6F41, whose input and output bits are reversed.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let carry = (remainder >> 31) ^ u32::from((byte >> bit) & 1);
            remainder = (remainder << 1) ^ (0x1EDC_6F41 * carry);
        }
    }
    !remainder.reverse_bits()
}

fn masked_crc32c(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c(bytes);
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    masked.to_le_bytes()
}

/// The data of each record of `file`, whose lengths and checksums fit.
fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !file.is_empty() {
        let (length, rest) = file.split_at(8);
        assert_eq!(rest[..4], masked_crc32c(length), "record {}", found.len());
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let (data, rest) = rest[4..].split_at(length);
        assert_eq!(rest[..4], masked_crc32c(data), "record {}", found.len());
        found.push(data);
        file = &rest[4..];
    }
    found
}

/// The fields of a message of Protocol Buffers: number, and content (of a number without length its bytes).
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let end = message.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let (number, rest) = message.split_at(end + 1);
        *message = rest;
        let low_first = number.iter().rev();
        low_first.fold(0, |sum, byte| (sum << 7) | u64::from(byte & 0x7f))
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                let number = varint(&mut message);
                found.push((key >> 3, number.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (content, rest) = message.split_at(length);
        found.push((key >> 3, content.to_vec()));
        message = rest;
    }
    found
}

/// The time, the step and the scalars of each event after the first, which names the format.
fn events(path: &Path) -> Vec<(f64, u64, Scalars)> {
    let file = std::fs::read(path).unwrap();
    let records = records(&file);
    let first = fields(records[0]);
    assert_eq!(first[0].0, 1);
    assert_eq!(first[1], (3, b"brain.Event:2".to_vec()));
    let number = |bytes: &[u8]| bytes.try_into().unwrap();
    let scalar = |(field, value): (u64, Vec<u8>)| {
        assert_eq!(field, 1);
        let value = fields(&value);
        assert_eq!((value[0].0, value[1].0, value.len()), (1, 2, 2));
        let tag = String::from_utf8(value[0].1.clone()).unwrap();
        (tag, f32::from_le_bytes(value[1].1[..].try_into().unwrap()))
    };
    let event = |record: &&[u8]| {
        let event = fields(record);
        assert_eq!(
            event.iter().map(|field| field.0).collect::<Vec<_>>(),
            [1, 2, 5]
        );
        (
            f64::from_le_bytes(number(&event[0].1)),
            u64::from_le_bytes(number(&event[1].1)),
            fields(&event[2].1).into_iter().map(scalar).collect(),
        )
    };
    records[1..].iter().map(event).collect()
}

/// The numbers of metrics.jsonl, as events are to have them: by step.
fn wanted(lines: &[serde_json::Value]) -> Vec<(u64, Scalars)> {
    let scalars = |line: &serde_json::Value| {
        let line = line.as_object().unwrap().iter();
        let numbers = line.filter(|(key, value)| *key != "step" && value.is_number());
        #[allow(clippy::cast_possible_truncation)]
        numbers
            .map(|(key, value)| (key.clone(), value.as_f64().unwrap() as f32))
            .collect()
    };
    let step = |line: &serde_json::Value| line["step"].as_u64().unwrap();
    lines
        .iter()
        .map(|line| (step(line), scalars(line)))
        .collect()
}

/// The event file in `run` says what its metrics.jsonl says.
fn agrees(run: &Path) {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events = events(&run.join(FILE));
    assert!(events.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1));
    for ((time, ..), line) in events.iter().zip(&lines) {
        let since = line["seconds"].as_f64().unwrap() - lines[0]["seconds"].as_f64().unwrap();
        assert!((time - events[0].0 - since).abs() < 1e-5);
    }
    let events: Vec<(u64, Scalars)> = events.into_iter().map(|(_, s, of)| (s, of)).collect();
    assert_eq!(events, wanted(&lines));
}

fn run() -> Folder {
    Run::new("digits", &SMALL)
        .set("output.tensorboard=true")
        .finish()
}

#[test]
fn events_hold_the_numbers_of_the_metrics_and_change_no_result() {
    let plain = Run::new("digits", &SMALL).finish();
    assert!(!plain.file("tensorboard").exists());
    for ranks in [1, 2, 3, 5] {
        let run = Run::new("digits", &SMALL).set("output.tensorboard=true");
        let run = run.on(ranks, 1).finish();
        assert_eq!(run.summary()["digest"], plain.summary()["digest"]);
        agrees(&run.file(""));
        let events = events(&run.file(FILE));
        assert_eq!(events.len(), 6);
        let (_, step, last) = &events[5];
        assert_eq!(*step, 6);
        for tag in ["loss", "spread", "step_size", "accuracy_mean"] {
            assert!(last[tag] > 0.0, "{tag}");
        }
    }
}

#[test]
fn no_step_is_twice_in_the_events_of_a_resumed_run() {
    let run = run();
    let folder = run.file("");
    let resumed = |sets: &[&str], ranks| {
        let run = Run::new("digits", &SMALL).on(ranks, 1);
        let run = sets.iter().fold(run, |run, set| run.set(*set));
        let ended = end(run.command(&folder).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    };
    let steps = || -> Vec<u64> { events(&run.file(FILE)).iter().map(|e| e.1).collect() };
    // As if the run had been killed after step 6, with its checkpoint of step 4.
    std::fs::remove_dir_all(run.file("checkpoints/step-00000006")).unwrap();
    resumed(&["output.tensorboard=true", "run.steps=8"], 2);
    assert_eq!(steps(), [1, 2, 3, 4, 5, 6, 7, 8]);
    agrees(&folder);
    // Without the key for a while, then with it again.
    resumed(&["run.steps=9"], 1);
    assert_eq!(steps().len(), 8);
    resumed(&["output.tensorboard=true", "run.steps=10"], 1);
    assert_eq!(steps(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    agrees(&folder);
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_before_the_first_step() {
    let run = run();
    std::fs::remove_dir_all(run.file("tensorboard")).unwrap();
    std::fs::write(run.file("tensorboard"), "").unwrap();
    let again = Run::new("digits", &SMALL).set("output.tensorboard=true");
    let ended = end(again
        .set("run.steps=8")
        .command(&run.file(""))
        .arg("--resume"));
    assert_ne!(ended.code, 0);
    let complaints = ended.complaints();
    assert!(
        complaints.len() == 1 && complaints[0].contains("tensorboard"),
        "{complaints:?}"
    );
    assert_eq!(run.metrics().len(), 6);
}

/// Prints the scalars of the event file in a folder: tag, step, value.
const READER: &str = "
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0}).Reload()
for tag in events.Tags()['scalars']:
    for event in events.Scalars(tag):
        print(tag, event.step, event.value)
";

#[test]
fn the_package_tensorboard_reads_them() {
    let python = || Command::new("python3");
    if end(python().args(["-c", "import tensorboard"])).code != 0 {
        eprintln!("skipped: no python3 with tensorboard");
        return;
    }
    let run = run();
    let read = end(python().args(["-c", READER]).arg(run.file("tensorboard")));
    assert_eq!(read.code, 0, "{}", read.stderr);
    let mut found: BTreeMap<u64, Scalars> = BTreeMap::new();
    for line in read.stdout.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let step = found.entry(words[1].parse().unwrap()).or_default();
        #[allow(clippy::cast_possible_truncation)]
        step.insert(words[0].to_owned(), words[2].parse::<f64>().unwrap() as f32);
    }
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        wanted(&run.metrics())
    );
}
