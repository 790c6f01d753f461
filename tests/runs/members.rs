//! Members that fail, and forward maps that end or stall a rank: the same on all ranks, and never a job that hangs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::durable::*;
use crate::inside::{self, Asked, Changed, Wrap};
use eki_mpi::files::Files;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::stop::Stop;

const SMALL: [&str; 5] = [
    "ensemble.members=24",
    "data.limit=60",
    "data.batch=15",
    "ensemble.rerandomise=never",
    "run.epochs=3",
];

/// Ways to run it in which members that fail are left out and redrawn elsewhere in the code.
const FORMS: [(&str, &[&str]); 7] = [
    ("explicit", &["method.form=explicit"]),
    (
        "factored",
        &["method.form=factored", "method.momentum=true"],
    ),
    (
        "grown",
        &["ensemble.rerandomise=epoch", "ensemble.grow_to=40"],
    ),
    (
        "redrawn at each step",
        &["method.form=explicit", "ensemble.rerandomise=step"],
    ),
    ("mean", &["ensemble.rerandomise=step"]),
    (
        "by the Kalman gain",
        &["method.form=explicit", "method.kind=kalman"],
    ),
    (
        "factored, by the Kalman gain",
        &["method.form=factored", "method.kind=kalman"],
    ),
];

/// Which maps there are, by name.
const MAPS: [(&str, Wrap); 7] = [
    ("sound", |map| map),
    ("fifth fails", |map| {
        Box::new(Changed {
            map,
            change: |u: &[f32], z: &mut [f32]| spoil(u, z, 5, f32::NAN),
        })
    }),
    ("fifth absurd", |map| {
        Box::new(Changed {
            map,
            change: |u: &[f32], z: &mut [f32]| spoil(u, z, 5, 1e12),
        })
    }),
    ("most fail", |map| {
        Box::new(Changed {
            map,
            change: |u: &[f32], z: &mut [f32]| {
                if !hash(u).is_multiple_of(4) {
                    z.fill(f32::INFINITY)
                }
            },
        })
    }),
    ("all fail", |map| {
        Box::new(Changed {
            map,
            change: |_: &[f32], z: &mut [f32]| z.fill(f32::NAN),
        })
    }),
    ("panics", |map| {
        Box::new(Changed {
            map,
            change: |_: &[f32], _: &mut [f32]| panics_at_step_3(),
        })
    }),
    ("slow", |map| {
        Box::new(Changed {
            map,
            change: |_: &[f32], _: &mut [f32]| std::thread::sleep(Duration::from_secs(1)),
        })
    }),
];

/// What a member's parameters come to: which members fail depends on nothing else.
fn hash(parameters: &[f32]) -> u64 {
    let mix = |sum: u64, x: &f32| (sum ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3);
    parameters.iter().fold(0xcbf2_9ce4_8422_2325, mix) >> 17
}

fn spoil(parameters: &[f32], outputs: &mut [f32], share: u64, factor: f32) {
    if hash(parameters).is_multiple_of(share) {
        outputs.iter_mut().for_each(|z| *z *= factor);
    }
}

fn panics_at_step_3() {
    let place = eki_mpi::parallel::abort::place();
    if place.starts_with("rank 1 ") && place.ends_with("step 3") {
        panic!("the solver gave up");
    }
}

/// On one of the ranks: a run in the folder EKI_FOLDER with the map EKI_MAP, in the form EKI_FORM, from the checkpoint
/// there if there is one.
#[test]
#[ignore = "started under mpirun by the tests below"]
fn rank() {
    let universe = inside::start();
    let comm = Comm::new(universe.world());
    inside::log(&comm);
    let pool = inside::pool();
    let name = std::env::var("EKI_MAP").unwrap();
    let folder = PathBuf::from(std::env::var_os("EKI_FOLDER").unwrap());
    let wrap = MAPS.iter().find(|map| map.0 == name).unwrap().1;
    let form = std::env::var("EKI_FORM").unwrap();
    let form = FORMS.iter().find(|known| known.0 == form).unwrap().1;
    let every = ["checkpoint.every_steps=1", "checkpoint.keep=99"];
    let (settings, given) = inside::prepared(&[&SMALL[..], form, &every].concat());
    let files = Files::default();
    let asked = Asked {
        settings: &settings,
        given: &given,
        folder: &folder,
        files: &files,
        resume: folder.join("checkpoints").exists(),
        wrap,
    };
    comm.barrier();
    let stop = Stop::new(None);
    stop.listen(|| {
        eprintln!(
            "eki-mpi: {}: second stop signal: aborting",
            eki_mpi::parallel::abort::place()
        );
        Comm::abort(1)
    })
    .unwrap();
    let result = inside::whole_run_heeding(
        Ranks {
            comm: &comm,
            pool: &pool,
        },
        &asked,
        stop,
    );
    let code = match result {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("rank {}: {error}", comm.rank());
            comm.barrier();
            error.exit_code()
        }
    };
    drop(universe);
    std::process::exit(code);
}

fn ranks_with(map: &str, ranks: usize, folder: &Path) -> std::process::Command {
    ranks_in("explicit", map, ranks, folder)
}

fn ranks_in(form: &str, map: &str, ranks: usize, folder: &Path) -> std::process::Command {
    let mut command = ranks_of("members::rank", ranks);
    command.env("EKI_MAP", map).env("EKI_FORM", form);
    command.env("EKI_FOLDER", folder);
    command
}

fn failed(folder: &Path) -> Vec<u64> {
    let lines = metrics(folder);
    let count = |line: &String| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["failed"]
            .as_u64()
            .unwrap()
    };
    lines.iter().map(count).collect()
}

#[test]
fn failed_members_are_left_out_and_redrawn_alike_on_any_ranks() {
    let room = tempfile::tempdir().unwrap();
    for map in ["fifth fails", "fifth absurd", "most fail"] {
        let first = room.path().join(format!("{map} 1"));
        let text = succeed(&mut ranks_with(map, 1, &first));
        let counts = failed(&first);
        assert!(counts.iter().sum::<u64>() > 4, "{counts:?}");
        let warned = counts.iter().filter(|&&failed| failed >= 12).count();
        assert_eq!(text.matches(" WARN ").count(), warned, "{text}");
        assert_eq!(warned > 6, map == "most fail", "{counts:?}");
        for ranks in [2, 3, 5] {
            let other = room.path().join(format!("{map} {ranks}"));
            succeed(&mut ranks_with(map, ranks, &other));
            assert_eq!(digest(&first), digest(&other), "{map} on {ranks} ranks");
            assert_eq!(metrics(&first), metrics(&other), "{map} on {ranks} ranks");
        }
    }
}

#[test]
fn in_every_form_a_run_with_failures_depends_on_no_ranks_nor_on_a_stop() {
    let room = tempfile::tempdir().unwrap();
    for (form, _) in &FORMS[1..] {
        let (one, three) = (
            room.path().join(form),
            room.path().join(format!("{form} 3")),
        );
        succeed(&mut ranks_in(form, "fifth fails", 1, &one));
        assert!(failed(&one).iter().sum::<u64>() > 4, "{form}");
        succeed(&mut ranks_in(form, "fifth fails", 3, &three));
        let same = |what: &str| {
            assert_eq!(digest(&one), digest(&three), "{form}, {what}");
            assert_eq!(metrics(&one), metrics(&three), "{form}, {what}");
        };
        same("3 ranks");
        for step in 6..=12 {
            std::fs::remove_dir_all(checkpoint(&three, step)).unwrap();
        }
        std::fs::remove_file(three.join("summary.json")).unwrap();
        succeed(&mut ranks_in(form, "fifth fails", 2, &three));
        same("from step 5 on 2 ranks");
    }
}

#[test]
fn without_failures_the_bits_are_the_programs() {
    let room = tempfile::tempdir().unwrap();
    let (a, b) = (room.path().join("a"), room.path().join("b"));
    succeed(&mut ranks_with("sound", 2, &a));
    succeed(&mut program(3, &SMALL, &b));
    assert_eq!(digest(&a), digest(&b));
    assert_eq!(failed(&a), [0; 12]);
}

#[test]
fn with_too_few_survivors_the_run_ends_within_the_step_with_a_clear_error() {
    let room = tempfile::tempdir().unwrap();
    for ranks in [1, 3] {
        let start = Instant::now();
        let folder = room.path().join(ranks.to_string());
        let (code, text) = finish(&mut ranks_with("all fail", ranks, &folder));
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains(
                "step 1: only 0 of 24 members gave finite outputs; at least 3 are needed"
            ),
            "{text}"
        );
        assert!(start.elapsed() < patience(10.0));
        assert_eq!(metrics(&folder), [""; 0]);
    }
}

#[test]
fn a_panic_on_one_rank_ends_the_job_and_names_rank_host_and_step() {
    let room = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let (code, text) = finish(&mut ranks_with("panics", 3, &room.path().join("run")));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("eki-mpi: rank 1 on host ")
            && text.contains(" at step 3: the solver gave up ("),
        "{text}"
    );
    assert!(start.elapsed() < patience(10.0), "{text}");
}

#[test]
fn a_second_request_to_stop_ends_the_job_at_once() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let child = ranks_with("slow", 2, &folder).spawn().unwrap();
    assert!(wait_for(patience(30.0), || folder
        .join("metrics.jsonl")
        .exists()));
    let ranks = start::rank_processes(child.id());
    let start = Instant::now();
    // A step takes twelve seconds: within them the first request can only be noted.
    signal("TERM", ranks[1]);
    std::thread::sleep(Duration::from_secs(1));
    signal("TERM", ranks[1]);
    let (code, text) = ended(start::wait(child));
    assert!(
        code == 1 && text.contains("second stop signal: aborting"),
        "{code} {text}"
    );
    assert!(start.elapsed() < patience(5.0), "{text}");
}
