//! The engine of the published rows (benches/rows), on rows of a second: their order, what is stored of each, and that the same
//! command goes on after a stop.

#[path = "../../benches/rows/engine/mod.rs"]
mod engine;

use std::path::Path;
use std::process::Command;

use super::durable::{alone, digest, patience, start, succeed, wait_for};
use super::eight::fast_room;
use engine::order::{Order, Request};
use engine::row::rows;
use engine::stored::{Stored, read_all};
use engine::sweep::Engine;
use engine::table;

/// Keys of a run of four steps an epoch.
const SMALL: &str = "--set data.limit=60 --set data.batch=15 --set ensemble.members=6 --set run.best=never \
                     --set run.evaluate_every=1 --set checkpoint.every_steps=1";

/// Writes rows.toml, whose rows are (name, epochs, further keys).
fn write_rows(folder: &Path, list: &[(&str, u64, &str)]) {
    let row = |(name, epochs, further): &(&str, u64, &str)| {
        format!(
            "[[row]]\nname = \"{name}\"\nmodel = \"digits\"\ntitle = \"{name}\"\nepochs = {epochs}\n\
             command = \"run digits {SMALL} --set run.epochs={epochs} --set model.activation='relu'\"\n{further}\n"
        )
    };
    let text: String = list.iter().map(row).collect();
    std::fs::write(folder.join("rows.toml"), text).unwrap();
}

/// An engine of the rows in `room`, and its program.
fn engine(room: &Path) -> (Engine, Command) {
    let engine = Engine {
        folder: room.to_owned(),
        out: room.join("out"),
        commit: "abc1234".to_owned(),
        pause: 0.01,
    };
    let mut program = start::alone();
    program.env("EKI_PROGRESS", "never");
    (engine, program)
}

fn order(engine: &Engine, seeds: &[u64]) -> Order {
    let request = Request {
        only: vec![],
        seeds: seeds.to_vec(),
    };
    Order::new(&engine.folder, &engine.out, &start::program(), &request).unwrap()
}

fn names(order: &Order) -> Vec<String> {
    order.runs.iter().map(|run| run.name()).collect()
}

fn run(room: &Path, seeds: &[u64]) -> i32 {
    let (engine, program) = engine(room);
    let order = order(&engine, seeds);
    let options = ["--threads=1".to_owned()];
    engine.run(&order.runs, program, &options).unwrap()
}

fn stored(room: &Path, name: &str, seed: u64) -> Stored {
    read_all(room).unwrap()[&(name.to_owned(), seed)].clone()
}

#[test]
fn what_lacks_is_run_stored_and_drawn() {
    let room = fast_room();
    let room = room.path();
    write_rows(
        room,
        &[
            ("ours", 2, "extends = true"),
            ("open", 2, ""),
            ("known", 2, "published = 0.5\nreadme = \"known\""),
            ("by-hand", 2, "by_hand = true"),
        ],
    );
    let (engine, _) = engine(room);
    let first = order(&engine, &[3, 4]);
    assert_eq!(first.left_out, ["by-hand: made by hand"]);
    // Runs of seconds cost alike: a published row is worth ten of the publication without a score, and a hundred of ours; a further
    // seed a tenth.
    let expected = ["known-3", "open-3", "known-4", "ours-3", "open-4", "ours-4"];
    assert_eq!(names(&first), expected);
    assert_eq!(run(room, &[3, 4]), 0);
    assert!(names(&order(&engine, &[3, 4])).is_empty());
    let run = stored(room, "known", 4);
    assert_eq!(
        (run.epochs, run.members, run.ranks, run.threads),
        (2.0, 6, 1, 1)
    );
    assert_eq!(run.commit, "abc1234");
    assert_eq!(run.curve.len(), 2);
    assert_eq!(run.accuracy_mean, Some(run.curve[1].1));
    // The stored command makes the same run.
    let words = run.command.replace('\'', "");
    let settings: Vec<&str> = words.split(" --set ").skip(1).map(str::trim).collect();
    let again = room.join("again");
    succeed(&mut alone(&settings, &again));
    assert_eq!(run.digest.as_deref(), Some(digest(&again).as_str()));
    let [readme, results] = ["README.md", "RESULTS.md"].map(|name| room.join(name));
    for file in [&readme, &results] {
        std::fs::write(
            file,
            "before\n<!-- rows -->\nold\n<!-- end of rows -->\nafter\n",
        )
        .unwrap();
    }
    table::draw(room, &results, &readme).unwrap();
    let text = std::fs::read_to_string(&results).unwrap();
    let [a, b] = [3, 4].map(|seed| stored(room, "known", seed).accuracy_mean.unwrap());
    let (mean, deviation) = ((a + b) / 2.0, (a - b).abs() / 2.0_f64.sqrt());
    let line = format!("| known | 0.5000 | {mean:.4} ± {deviation:.4} |");
    assert!(
        text.contains(&line) && text.contains("| 6 | 2 | 3, 4 |"),
        "{text}"
    );
    assert!(
        text.contains("| by-hand | - | not run |") && !text.contains("old"),
        "{text}"
    );
    let text = std::fs::read_to_string(&readme).unwrap();
    assert!(
        text.contains(&line) && !text.contains("ours (ours)"),
        "{text}"
    );
}

#[test]
fn a_run_that_is_cut_is_stored_with_its_epochs_and_replaced_when_it_goes_on() {
    let room = fast_room();
    let room = room.path();
    // So many that the stop arrives before the end on a fast machine too.
    const EPOCHS: u64 = 400;
    write_rows(room, &[("long", EPOCHS, "published = 0.5")]);
    let path = room.join("long-1.json");
    let code = std::thread::scope(|scope| {
        let going = scope.spawn(|| run(room, &[1]));
        assert!(
            wait_for(patience(60.0), || path.exists()),
            "nothing is stored as it comes"
        );
        std::fs::write(room.join("out/STOP"), "").unwrap();
        going.join().unwrap()
    });
    assert_eq!(code, 75);
    let cut = stored(room, "long", 1);
    assert!(
        cut.epochs >= 1.0 && cut.epochs < EPOCHS as f64,
        "{}",
        cut.epochs
    );
    assert_eq!(cut.epochs, cut.curve.len() as f64);
    assert_eq!(
        (cut.digest, cut.accuracy_mean),
        (None, Some(cut.curve.last().unwrap().1))
    );
    // What has begun costs less, and is worth less, than a whole one.
    let (engine, _) = engine(room);
    let lacking = order(&engine, &[1]).runs.remove(0);
    assert!(lacking.value < 100.0, "{}", lacking.value);
    assert_eq!(run(room, &[1]), 0);
    let whole = stored(room, "long", 1);
    assert_eq!(
        (whole.epochs, whole.curve.len()),
        (EPOCHS as f64, EPOCHS as usize)
    );
    assert!(whole.curve.starts_with(&cut.curve) && whole.digest.is_some());
    // A shorter run, and one of other settings, replace nothing.
    let row = &rows(room).unwrap()[0];
    let short = room.join("short");
    let keys = SMALL.replace("--set ", "");
    let keys: Vec<&str> = keys.split_whitespace().collect();
    succeed(&mut alone(&[&keys[..], &["run.epochs=3"]].concat(), &short));
    assert!(engine.store_longer(row, &short).unwrap().is_none());
    let other = room.join("other");
    succeed(&mut alone(
        &[&keys[..], &["run.epochs=1", "method.h=3"]].concat(),
        &other,
    ));
    let why = engine.store_longer(row, &other).unwrap_err().to_string();
    assert!(why.contains("not a run of the row long: method.h"), "{why}");
}
