//! A full disk, a limit on the size of files, and kills at any moment of any rank or all: a run goes on on other ranks to
//! the same end.
//!
//! EKI_LONG=1 kills 1,000 times instead of 30 (about 25 minutes on two cores).

mod durable;
#[path = "durable/eight.rs"]
mod eight;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use durable::*;
use eight::{SMALL, fast_room};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A file system of `size` at `folder`, unmounted when dropped; none where this machine can't.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", size, "tmpfs"])
            .arg(folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder.to_path_buf())),
            other => {
                eprintln!("skipped: no small file system can be mounted here: {other:?}");
                None
            }
        }
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_new_checkpoints_and_no_old_one() {
    let room = tempfile::tempdir().unwrap();
    let disk = room.path().join("disk");
    // Room for the program's small files and two generations of some 130 kB, but not for a third beside them.
    let Some(_tiny) = Tiny::mount(&disk, "size=400k") else {
        return;
    };
    let (folder, whole) = (disk.join("run"), room.path().join("whole"));
    let settings = [
        &SMALL[..],
        &[
            "ensemble.grow_to=0",
            "ensemble.members=7",
            "checkpoint.keep=2",
        ],
    ]
    .concat();
    succeed(&mut program(1, &settings, &whole));
    let (code, text) = finish(&mut program(3, &settings, &folder));
    assert!(
        text.contains("step 6: no checkpoint could be written"),
        "{text}"
    );
    assert!(
        text.contains("No space left on device") && text.contains("the newest is that of step 4"),
        "{text}"
    );
    assert_eq!((code, checkpoints(&folder)), (0, vec![2, 4]), "{text}");
    assert_eq!(digest(&folder), digest(&whole));
    // With room again, on other ranks, from step 4.
    let grown = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(&disk)
        .status();
    assert!(grown.is_ok_and(|status| status.success()));
    let text = succeed(&mut program(
        2,
        &[&settings[..], &["--resume"]].concat(),
        &folder,
    ));
    assert!(text.contains("going on from step 4 of 8"), "{text}");
    assert_eq!(digest(&folder), digest(&whole));
    assert_eq!(metrics(&folder), metrics(&whole));
}

/// What ranks share is a file to the system, and so is a checkpoint: 64 MiB are too few for either.
#[test]
fn a_limit_on_the_size_of_files_costs_checkpoints_alone() {
    let room = tempfile::tempdir().unwrap();
    let (folder, whole) = (room.path().join("limited"), room.path().join("whole"));
    let settings = [
        "ensemble.members=6000",
        "model.layers=[64,80,10]",
        "data.limit=60",
        "data.batch=15",
        "run.steps=2",
        "run.best=never",
        "run.evaluate_every=0",
    ];
    succeed(&mut program(2, &settings, &whole));
    let mut limited = Command::new("sh");
    // In units of 512 bytes.
    limited.args(["-c", "ulimit -f 131072; exec \"$@\"", "sh"]);
    let text = succeed(&mut within(limited, &program(2, &settings, &folder)));
    assert!(
        text.contains("step 2: no checkpoint could be written"),
        "{text}"
    );
    assert_eq!(digest(&folder), digest(&whole));
}

#[test]
fn killed_at_any_moment_a_run_goes_on_on_other_ranks_to_the_same_end() {
    let kills = if long() { 1_000 } else { 30 };
    let room = fast_room();
    let settings = [
        &SMALL[..],
        &[
            "run.steps=120",
            "checkpoint.every_steps=1",
            "run.hang_timeout=never",
        ],
    ]
    .concat();
    let whole = room.path().join("whole");
    succeed(&mut program(1, &settings, &whole));
    let again = [&settings[..], &["--resume"]].concat();
    let seed = if long() { std::process::id() } else { 4 };
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(seed));
    let (mut killed, mut finished, mut resumed) = (0, 0, 0);
    let (mut launched, mut stuck, mut left) = (0, 0, 0);
    let mut folder = room.path().join("run-0");
    while killed < kills {
        let ranks = [1, 2, 3, 5][random.random_range(0..4)];
        // The last step is saved: kills have met all of this run's, and the next has them before it.
        if checkpoint(&folder, 120).join("mark").exists() {
            let text = succeed(&mut program(ranks, &again, &folder));
            same_end(&folder, &whole, &text);
            finished += 1;
            folder = room.path().join(format!("run-{finished}"));
        }
        let mut command = match ranks {
            1 => alone(&again, &folder),
            _ => program(ranks, &again, &folder),
        };
        // What a killed launcher leaves in shared memory goes with the test.
        command.env("OMPI_MCA_btl_vader_backing_directory", room.path());
        let mut child = command.spawn().expect("mpirun starts");
        launched += 1;
        // Most of them in the midst of the steps, which write without a pause; the rest at any time.
        if random.random_bool(0.7) {
            let log = folder.join("metrics.jsonl");
            let before = std::fs::metadata(&log).and_then(|log| log.modified()).ok();
            let moved = || std::fs::metadata(&log).and_then(|log| log.modified()).ok() != before;
            let mut over = || moved() || child.try_wait().is_ok_and(|status| status.is_some());
            wait_for(patience(20.0), &mut over);
            std::thread::sleep(Duration::from_millis(random.random_range(0..150)));
        } else {
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
        }
        let processes = match ranks {
            1 => vec![child.id()],
            _ => start::rank_processes(child.id()),
        };
        // One rank, or all and the launcher, as when a host loses its power.
        match processes.get(random.random_range(0..processes.len().max(1))) {
            Some(&rank) if random.random_bool(0.6) => signal("KILL", rank),
            _ => {
                processes.iter().for_each(|&rank| signal("KILL", rank));
                signal("KILL", child.id());
            }
        }
        stuck += usize::from(!launcher_ends(&mut child));
        let (code, text) = ended(start::wait(child));
        // MPICH's ranks may start when their launcher was just killed, and wait for each other for ever: a batch system
        // clears them away.
        if !wait_for(patience(5.0), || ranks_in(&folder).is_empty()) {
            left += 1;
            let ranks = ranks_in(&folder);
            ranks.iter().for_each(|&rank| signal("KILL", rank));
            assert!(
                wait_for(patience(10.0), || ranks_in(&folder).is_empty()),
                "{text}"
            );
        }
        assert!(
            !text.contains("skipped as damaged") || text.contains("was never finished"),
            "unusable: {text}"
        );
        assert!(![1, 2].contains(&code), "{text}");
        killed += usize::from(code != 0);
        if long() && code != 0 && killed.is_multiple_of(50) {
            eprintln!(
                "{killed} kills, {resumed} resumed, {finished} ends, {stuck} launchers stuck"
            );
        }
        resumed += usize::from(text.contains("going on from step"));
    }
    let text = succeed(&mut program(2, &again, &folder));
    same_end(&folder, &whole, &text);
    eprintln!(
        "{killed} kills, {resumed} resumed runs, {} ends, all equal; {stuck} launchers did not notice, {left} left ranks",
        finished + 1
    );
    // Should the launcher hang whenever a rank dies, that would be ours to mend.
    assert!(stuck <= 1 + launched / 20, "{stuck} of {launched}");
}

/// Whether the launcher ends by itself once a rank has died. Open MPI 4's, met in the midst of starting ranks, may lock
/// itself up: it is then killed with all its ranks, as somebody at the terminal would.
fn launcher_ends(child: &mut Child) -> bool {
    if wait_for(patience(20.0), || {
        child.try_wait().is_ok_and(|status| status.is_some())
    }) {
        return true;
    }
    let ranks = start::rank_processes(child.id());
    ranks.iter().for_each(|&rank| signal("KILL", rank));
    signal("KILL", child.id());
    false
}

/// The processes that were started with `folder` in their command line and have not ended.
fn ranks_in(folder: &Path) -> Vec<u32> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let ranks = processes.filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let named = line.split(|&byte| byte == 0).any(|word| word == folder);
        let pid = entry.file_name().to_str()?.parse().ok()?;
        named.then_some(pid)
    });
    ranks.collect()
}

fn same_end(folder: &Path, whole: &Path, text: &str) {
    assert_eq!(digest(folder), digest(whole), "{text}");
    assert_eq!(metrics(folder), metrics(whole), "{text}");
}
