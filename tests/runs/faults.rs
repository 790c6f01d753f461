//! Whatever file call fails, however a checkpoint is mutated: a resumed run finds an old
//! state or the new one, never a mix, and ends in the digest of the run that nothing happened to.
//!
//! EKI_LONG=1 mutates 100,000 times instead of 5,000.

#![allow(clippy::print_stdout, reason = "what was tried is part of the report")]

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::durable::*;
use crate::eight::{SMALL, fast_room};
use crate::inside::{self, Asked, Fault, Saboteur};
use crate::mutate;
use eki_mpi::files::{Call, Files, Watch};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::io::checkpoint;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::stop::{Limit, Stop};
use mpi::topology::Color;
use mpi::traits::Communicator as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// The bytes of all parts of every generation that has a mark: what a resumed run may believe.
fn believed(folder: &Path) -> Vec<(u64, Vec<Vec<u8>>)> {
    let marked = |step: &u64| checkpoint(folder, *step).join("mark").exists();
    let parts = |step: u64| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(checkpoint(folder, step))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("mark") && path.extension().is_none())
            .collect();
        paths.sort();
        (
            step,
            paths
                .iter()
                .map(|path| std::fs::read(path).unwrap())
                .collect(),
        )
    };
    checkpoints(folder)
        .into_iter()
        .filter(marked)
        .map(parts)
        .collect()
}

/// Settings and data of runs that differ in all else.
struct Ask<'a>(&'a [String], &'a LoadedProblem);

impl<'a> Ask<'a> {
    fn for_run(&self, folder: &'a Path, files: &'a Files, resume: bool) -> Asked<'a> {
        Asked {
            settings: self.0,
            given: self.1,
            folder,
            files,
            resume,
            wrap: |map| map,
        }
    }
}

/// On one of the ranks: every file call in turn goes wrong, in every way.
#[test]
#[ignore = "started under mpirun by the test below"]
fn rank_whose_calls_fail() {
    let universe = inside::start();
    let world = Comm::new(universe.world());
    let room = PathBuf::from(std::env::var_os("EKI_FOLDER").unwrap());
    let pool = inside::pool();
    let ranks = Ranks {
        comm: &world,
        pool: &pool,
    };
    // After the fault fewer ranks go on: the first two, or the first.
    let goes_on = world.rank() < world.size().div_ceil(2);
    let color = if goes_on {
        Color::with_value(1)
    } else {
        Color::undefined()
    };
    let fewer = universe.world().split_by_color(color).map(Comm::new);
    let mut tried = 0;
    for on_error in ["continue", "stop"] {
        let on_error = format!("checkpoint.on_error={on_error}");
        let (settings, given) =
            inside::prepared(&[&SMALL[..], &[&on_error, "checkpoint.keep=9"]].concat());
        let sound = Files::default();
        let whole = room.join(format!("whole {on_error}"));
        let asked = Ask(&settings, &given);
        let digest =
            inside::whole_run(ranks, &asked.for_run(&whole, &sound, false)).expect("nothing fails");
        let truth = believed(&whole);
        if world.size() == 1 && on_error.ends_with("continue") {
            // The first lines' write: they wait, and the log is whole in the end.
            let counts = |path: &Path| path.ends_with("metrics.jsonl");
            let files = Files::watched(Arc::new(Saboteur::new(1, Fault::Full, counts)));
            let folder = room.join("log");
            let found = inside::whole_run(ranks, &asked.for_run(&folder, &files, false));
            assert_eq!(found.expect("the run goes on"), digest);
            assert_eq!(metrics(&folder), metrics(&whole));
            assert_eq!(
                checkpoints(&folder),
                [4, 6, 8],
                "that of step 2 lacked its log"
            );
        }
        let stays = on_error.ends_with("stop");
        for fault in [Fault::Full, Fault::Short, Fault::Death] {
            for at in 0.. {
                let folder = room.join("run");
                // One rank alone has every call counted; of several, the last, and only its checkpoints: rank 0's
                // other files end the whole job, as main.rs does.
                let counts: fn(&Path) -> bool = match world.size() {
                    1 => |_| true,
                    _ => |path| {
                        path.components()
                            .any(|part| part.as_os_str() == "checkpoints")
                    },
                };
                let saboteur = Arc::new(Saboteur::new(at, fault, counts));
                let culprit = world.rank() == if stays { world.size() - 1 } else { 0 };
                let files = if culprit {
                    Files::watched(saboteur.clone())
                } else {
                    Files::default()
                };
                let result = inside::whole_run(ranks, &asked.for_run(&folder, &files, false));
                let mut calls =
                    [saboteur.calls.load(Ordering::Relaxed) as u64 * u64::from(culprit)];
                world.sum_counts(&mut calls);
                let what = format!(
                    "{fault:?} at call {at} of {} ({on_error}, {} ranks): {:?}",
                    calls[0],
                    world.size(),
                    result.as_ref().err()
                );
                if let Ok(found) = &result {
                    assert_eq!(*found, digest, "{what}");
                }
                for generation in believed(&folder) {
                    let known = truth.iter().find(|known| known.0 == generation.0);
                    assert!(
                        known == Some(&generation),
                        "a mix at step {}: {what}",
                        generation.0
                    );
                }
                world.barrier();
                if let Some(fewer) = &fewer {
                    let ranks = Ranks {
                        comm: fewer,
                        pool: &pool,
                    };
                    let again = inside::whole_run(ranks, &asked.for_run(&folder, &sound, true))
                        .unwrap_or_else(|e| panic!("{e}: {what}"));
                    assert_eq!(again, digest, "{what}");
                    if fewer.is_first() {
                        assert_eq!(metrics(&folder), metrics(&whole), "{what}");
                        std::fs::remove_dir_all(&folder).unwrap();
                    }
                }
                world.barrier();
                if calls[0] <= at as u64 {
                    break;
                }
                tried += 1;
            }
        }
    }
    if world.is_first() {
        eprintln!("tried {tried}");
    }
    drop(fewer);
    drop(universe);
    std::process::exit(0);
}

/// The number after "tried" in a rank's output.
fn tried(text: &str) -> usize {
    let after = text
        .split("tried ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    after
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn every_file_call_may_fail_in_every_way_and_no_state_is_lost_or_mixed() {
    side_by_side(&[(1, 300), (3, 200)], |_, &(ranks, least)| {
        let room = fast_room();
        let text = succeed(
            ranks_of("faults::rank_whose_calls_fail", ranks).env("EKI_FOLDER", room.path()),
        );
        eprintln!("{ranks} ranks: {} failing file calls", tried(&text));
        assert!(tried(&text) >= least, "{text}");
    });
}

/// On one of the ranks: rank 1 can never write its part.
#[test]
#[ignore = "started under mpirun by the test below"]
fn rank_beside_one_that_cannot_write() {
    let universe = inside::start();
    let world = Comm::new(universe.world());
    inside::log(&world);
    let pool = inside::pool();
    let folder = PathBuf::from(std::env::var_os("EKI_FOLDER").unwrap());
    let on_error = std::env::var("EKI_ON_ERROR").unwrap();
    let (settings, given) = inside::prepared(&[&SMALL[..], &[&on_error]].concat());
    let saboteur = Saboteur::new(0, Fault::Death, |path| {
        path.to_string_lossy().contains("part-00001-of")
    });
    let asked = Asked {
        settings: &settings,
        given: &given,
        folder: &folder,
        files: &Files::watched(Arc::new(saboteur)),
        resume: false,
        wrap: |map| map,
    };
    let result = inside::whole_run(
        Ranks {
            comm: &world,
            pool: &pool,
        },
        &asked,
    );
    let code = result
        .as_ref()
        .map_or_else(eki_mpi::error::Error::exit_code, |_| 0);
    eprintln!(
        "rank {} ends: {:?}",
        world.rank(),
        result.err().map(|e| e.to_string())
    );
    world.barrier();
    drop(universe);
    std::process::exit(code);
}

#[test]
fn when_one_rank_cannot_write_all_agree_and_go_on_or_stop_as_configured() {
    let room = tempfile::tempdir().unwrap();
    let whole = room.path().join("whole");
    succeed(&mut program(1, &SMALL, &whole));
    for (on_error, code) in [("continue", 0), ("stop", 1)] {
        let folder = room.path().join(on_error);
        let mut command = ranks_of("faults::rank_beside_one_that_cannot_write", 3);
        command.env("EKI_FOLDER", &folder);
        command.env("EKI_ON_ERROR", format!("checkpoint.on_error={on_error}"));
        let (found, text) = finish(&mut command);
        assert_eq!(found, code, "{text}");
        assert_eq!(checkpoints(&folder), [0; 0], "{text}");
        let why = "step 2: no checkpoint could be written: rank 1 on host ";
        if code == 0 {
            assert!(
                text.contains(why) && text.contains("the run goes on"),
                "{text}"
            );
            assert_eq!(digest(&folder), digest(&whole));
        } else {
            assert_eq!(
                text.matches(why).count(),
                3,
                "every rank ends alike: {text}"
            );
        }
    }
}

/// No room for checkpoints in a folder, from a step on and for so long.
struct FullDisk {
    checkpoints: PathBuf,
    from: u64,
    time: Duration,
    since: OnceLock<Instant>,
}

impl Watch for FullDisk {
    fn allow(&self, call: Call, path: &Path, bytes: usize) -> std::io::Result<usize> {
        let step = path
            .strip_prefix(&self.checkpoints)
            .ok()
            .and_then(|path| path.to_str()?.strip_prefix("step-")?.get(..8)?.parse().ok());
        let full = call == Call::Write && step.is_some_and(|step: u64| step >= self.from);
        if full && self.since.get_or_init(Instant::now).elapsed() < self.time {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(bytes)
    }
}

/// On one of the ranks: from step EKI_FROM on the last rank's disk is full, for EKI_FULL seconds. A run that never had room is
/// to stop at once.
#[test]
#[ignore = "started under mpirun by the test below"]
fn rank_on_a_full_disk() {
    let universe = inside::start();
    let world = Comm::new(universe.world());
    inside::log(&world);
    let pool = inside::pool();
    let variable = |name: &str| std::env::var(name).expect(name);
    let number = |name: &str| variable(name).parse().expect(name);
    let folder = PathBuf::from(variable("EKI_FOLDER"));
    let (settings, given) = inside::prepared(&[&SMALL[..], &[&variable("EKI_MORE")]].concat());
    let last = world.rank() + 1 == world.size();
    let files = last.then(|| {
        Files::watched(Arc::new(FullDisk {
            checkpoints: folder.join("checkpoints"),
            from: number("EKI_FROM"),
            time: Duration::from_secs(number("EKI_FULL")),
            since: OnceLock::new(),
        }))
    });
    let asked = Asked {
        settings: &settings,
        given: &given,
        folder: &folder,
        files: &files.unwrap_or_default(),
        resume: false,
        wrap: |map| map,
    };
    let now = Limit {
        time: Duration::ZERO,
        source: "--max-time",
    };
    let stop = Stop::new((number("EKI_FROM") == 1).then_some(now));
    let ranks = Ranks {
        comm: &world,
        pool: &pool,
    };
    inside::whole_run_heeding(ranks, &asked, stop).expect("the run ends well");
    world.barrier();
    drop(universe);
    std::process::exit(0);
}

#[test]
fn a_disk_that_is_full_to_the_end_costs_no_state() {
    let room = tempfile::tempdir().unwrap();
    let whole = room.path().join("whole");
    succeed(&mut program(1, &SMALL, &whole));
    let run = |name: &str, more: &str, (from, seconds): (u64, u64)| {
        let mut command = ranks_of("faults::rank_on_a_full_disk", 3);
        command
            .env("EKI_FOLDER", room.path().join(name))
            .env("EKI_MORE", more)
            .env("EKI_FROM", from.to_string())
            .env("EKI_FULL", seconds.to_string());
        (succeed(&mut command), room.path().join(name))
    };
    // Room comes while the state is kept in memory.
    let (text, folder) = run("waits", "checkpoint.wait=5min", (6, 2));
    assert!(
        text.contains("step 6: no checkpoint could be written"),
        "{text}"
    );
    assert!(
        text.contains("kept in memory until there is room, for at most 5min"),
        "{text}"
    );
    assert_eq!(checkpoints(&folder), [4, 8], "{text}");
    assert_eq!(digest(&folder), digest(&whole));
    // None comes in time.
    let (text, folder) = run("late", "checkpoint.wait=2s", (6, 600));
    assert!(
        text.contains("step 8: no checkpoint could be written"),
        "{text}"
    );
    assert_eq!(checkpoints(&folder), [2, 4], "{text}");
    assert_eq!(digest(&folder), digest(&whole));
    // Elsewhere, at the end and at a stop, from where the run goes on.
    let fallback = room.path().join("fallback");
    let more = format!("checkpoint.fallback={}", fallback.display());
    for (name, from, saved) in [("ends", 6, 8), ("stops", 1, 1)] {
        let (text, folder) = run(name, &more, (from, 600));
        let there = fallback.join(name);
        assert!(
            text.contains(&format!("--resume --out {}", there.display())),
            "{text}"
        );
        assert!(!checkpoints(&folder).contains(&saved), "{text}");
        assert_eq!(checkpoints(&there), [saved], "{text}");
        let settings = [&SMALL[..], &["--resume"]].concat();
        let text = succeed(&mut program(2, &settings, &there));
        assert!(
            text.contains(&format!("going on from step {saved} of 8")),
            "{text}"
        );
        assert_eq!(digest(&there), digest(&whole));
        assert_eq!(metrics(&there), metrics(&whole));
    }
    // A folder of another run is not touched.
    std::fs::create_dir_all(fallback.join("refused/thesis")).unwrap();
    let (text, folder) = run("refused", &more, (6, 600));
    assert!(
        text.contains("checkpoint.fallback cannot be used"),
        "{text}"
    );
    assert_eq!(
        std::fs::read_dir(fallback.join("refused")).unwrap().count(),
        1
    );
    assert_eq!(digest(&folder), digest(&whole));
}

/// What is done to a run's checkpoints, on rank 0 of one rank.
#[test]
#[ignore = "started by the test below"]
fn rank_that_reads_mutations() {
    let universe = inside::start();
    let world = Comm::new(universe.world());
    let pool = inside::pool();
    let ranks = Ranks {
        comm: &world,
        pool: &pool,
    };
    let room = PathBuf::from(std::env::var_os("EKI_FOLDER").unwrap());
    let cases: usize = std::env::var("EKI_CASES").unwrap().parse().unwrap();
    let (settings, given) = inside::prepared(&SMALL);
    let reader = mutate::Reader::new(ranks, &settings, &given, &room.join("whole"));
    let others = [
        room.join("whole"),
        room.join("other-seed"),
        room.join("other-ranks"),
    ];
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut accepted, mut refused, mut forged) = (0, 0, 0);
    for case in 0..cases {
        let folder = room.join("mutated");
        copy(&others[0].join("checkpoints"), &folder.join("checkpoints"));
        let (what, sealed) = mutate::mutate(&folder, &others, &mut random);
        match reader.read(&folder) {
            // With its checksums made to fit, a mark may lie: then all that is asked is an answer.
            _ if sealed => forged += 1,
            Ok(Some(_)) => accepted += 1,
            Ok(None) | Err(_) => refused += 1,
        }
        if !sealed {
            reader.check(&folder, &format!("case {case}: {what}"));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    eprintln!(
        "tried {cases} mutations: {accepted} read from a sound generation, {refused} refused, {forged} forged ones answered"
    );
    drop(universe);
    std::process::exit(0);
}

#[test]
fn no_mutation_of_a_checkpoint_panics_or_is_taken_for_another_state() {
    let cases = if long() { 100_000 } else { 5_000 };
    let room = fast_room();
    let run = |ranks, more: &[&str], name: &str| {
        let settings = [&SMALL[..], more].concat();
        succeed(&mut program(ranks, &settings, &room.path().join(name)));
    };
    run(3, &[], "whole");
    run(3, &["seed=2"], "other-seed");
    run(2, &[], "other-ranks");
    let start = Instant::now();
    let mut command = ranks_of("faults::rank_that_reads_mutations", 1);
    command
        .env("EKI_FOLDER", room.path())
        .env("EKI_CASES", cases.to_string());
    let text = succeed(&mut command);
    assert_eq!(tried(&text), cases, "{text}");
    let line = text.lines().find(|line| line.contains("tried")).unwrap();
    eprintln!("{line} ({:.0} s)", start.elapsed().as_secs_f64());
}

/// The older formats' files, kept for ever: each written by its version on two ranks.
#[test]
fn a_checkpoint_of_every_version_is_still_read() {
    let room = tempfile::tempdir().unwrap();
    let both = [
        "data.limit=30",
        "data.batch=10",
        "model.layers=[64,8,10]",
        "ensemble.members=3",
        "run.epochs=1",
        "run.best=never",
        "method.momentum=true",
        "--resume",
    ];
    let first = ["ensemble.rerandomise=never"];
    let second = [
        "ensemble.rerandomise=step",
        "ensemble.draw=low-rank",
        "method.covariance=sums",
        "method.rms_decay=0.99",
        "ensemble.polyak_decay=0.9",
    ];
    let third = ["ensemble.rerandomise=never", "method.momentum_of=mean"];
    let cases = [(1, &first[..]), (2, &second), (3, &third), (4, &first)];
    for ((version, own), ranks) in cases.into_iter().flat_map(|case| [(case, 1), (case, 3)]) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"));
        let kept = kept.join(format!("tests/durable/version-{version}"));
        let folder = room.path().join(format!("{version}-on-{ranks}"));
        copy(&kept, &folder);
        let mark = checkpoint::read_manifest(&checkpoint(&folder, 3)).unwrap();
        assert_eq!(
            (mark.step, mark.members, mark.parameters, mark.parts.len()),
            (3, 3, 610, 2)
        );
        assert_eq!(mark.version, version);
        assert_eq!(
            mark.data.is_some(),
            version >= 3,
            "when marks knew the data"
        );
        assert_eq!(mark.time > 0.0, version >= 4, "when marks knew a time");
        let text = succeed(&mut program(ranks, &[&both[..], own].concat(), &folder));
        assert!(text.contains("going on from step 3 of 3"), "{text}");
        let known = std::fs::read_to_string(kept.join("digest")).unwrap();
        assert_eq!(digest(&folder), known.trim(), "{version} on {ranks}");
    }
}
