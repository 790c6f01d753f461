//! The batch scripts in `cluster/`: what they hand to the launcher, and that 75, and nothing else, brings another job.
//!
//! PBS and LSF are stand-ins here, a few lines of shell that write down what they are given. Slurm is real: one node
//! of our own, from `tests/slurm/private`, where `EKI_TEST_SLURM=1` says that it is installed and we are root.
//! EKI_LONG=1 leaves it to Slurm to warn the real program, which takes minutes.

mod durable;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use durable::{digest, long, patience};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const RUN: &str = "dnn2 --set model.layers=[784,10] --out runs/dnn2";

/// A folder with the batch system's commands and a program that writes its arguments to `ran` and ends as told.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// The program's first job ends with the first code, the next with the second, and so on.
    fn new(codes: &[i32]) -> Site {
        let site = Site {
            folder: tempfile::tempdir().unwrap(),
        };
        let lines: String = codes.iter().map(|code| format!("{code}\n")).collect();
        fs::write(site.path("codes"), lines).unwrap();
        site.command(
            "eki-mpi",
            r#"echo "$*" >>DIR/ran; exit "$(sed -n "$(wc -l <DIR/ran)p" DIR/codes)""#,
        );
        site.command(
            "mpirun",
            r#"echo "$*" >>DIR/launched; while [[ $1 != */eki-mpi ]]; do shift; done; exec "$@""#,
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a shell command into the folder; `DIR` in it stands for the folder.
    fn command(&self, name: &str, body: &str) -> PathBuf {
        let body = body.replace("DIR", self.folder.path().to_str().unwrap());
        fs::write(self.path(name), format!("#!/bin/bash\n{body}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name)
    }

    /// A command as a batch system starts it: in another folder, with this site's commands found first.
    fn start(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = format!(
            "{}:{}",
            self.folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        command
            .env("PATH", path)
            .env("EKI_MPI", self.path("eki-mpi"))
            .env_remove("EKI_RUN")
            .env_remove("EKI_SCRIPT")
            .current_dir("/");
        command
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Sends a signal to a child once the program has started `jobs` times.
    fn signal(&self, child: &Child, signal: &str, jobs: usize) {
        let begun = Instant::now();
        while self.lines("ran").len() < jobs {
            assert!(begun.elapsed() < patience(20.0), "no job started");
            sleep(Duration::from_millis(20));
        }
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

// ---- PBS ------------------------------------------------------------------------------------------------------------

/// `qsub` of PBS: knows `-v NAMES` and a script, keeps the variables for `pbs_job`, and refuses anything else.
fn pbs(codes: &[i32]) -> Site {
    let site = Site::new(codes);
    site.command(
        "qsub",
        r#"[[ $# == 3 && $1 == -v && $2 != *=* && $3 == cluster/pbs.sh ]] || exit 9
        for name in ${2//,/ }; do printf '%s=%s\t' "$name" "${!name}"; done >>DIR/queue; echo >>DIR/queue"#,
    );
    site.command(
        "qstat",
        r#"[[ $* == "-f 7.server" ]] || exit 9; echo "Job Id: 7.server"; echo "    Resource_List.walltime = 04:00:00""#,
    );
    fs::write(site.path("nodes"), "a\na\na\na\nb\nb\nb\nb\n").unwrap();
    let first = site
        .start(site.path("qsub"))
        .args(["-v", "EKI_RUN,EKI_MPI", "cluster/pbs.sh"])
        .env("EKI_RUN", RUN)
        .status();
    assert!(first.unwrap().success());
    site
}

/// The job at this place in the queue, as PBS would start it.
fn pbs_job(site: &Site, place: usize) -> Command {
    let mut job = site.start("bash");
    job.arg(format!("{PROJECT}/cluster/pbs.sh"))
        .env("PBS_O_WORKDIR", PROJECT)
        .env("PBS_JOBID", "7.server")
        .env("PBS_NODEFILE", site.path("nodes"))
        .env("OMP_NUM_THREADS", "8");
    job.env_remove("EKI_MPI");
    for pair in site.lines("queue")[place].split_terminator('\t') {
        let (key, value) = pair.split_once('=').unwrap();
        job.env(key, value);
    }
    job
}

#[test]
fn pbs_submits_the_same_job_until_done() {
    let site = pbs(&[75, 75, 0]);
    let mut done = 0;
    while done < site.lines("queue").len() {
        assert!(done < 5, "a job that is done was submitted again");
        pbs_job(&site, done).status().unwrap();
        done += 1;
    }
    assert_eq!(done, 3);
    let program = site.path("eki-mpi");
    let program = program.display();
    let nodes = site.path("nodes");
    let nodes = nodes.display();
    // Ranks from the nodes' file, threads from ompthreads, and the time limit less a minute.
    let arguments = format!("run {RUN} --threads 8 --max-time 03:59:00 --resume");
    assert_eq!(site.lines("ran"), vec![arguments.clone(); 3]);
    let line = format!("-n 8 --hostfile {nodes} --bind-to none {program} {arguments}");
    assert_eq!(site.lines("launched"), vec![line; 3]);
}

#[test]
fn pbs_submits_nothing_after_an_error_or_a_qdel() {
    for code in [1, 2, 137] {
        let site = pbs(&[code]);
        let status = pbs_job(&site, 0).status().unwrap();
        assert_eq!(status.code(), Some(code));
        assert_eq!(site.lines("queue").len(), 1);
    }
    let site = pbs(&[75]);
    site.command(
        "eki-mpi",
        "echo >>DIR/ran; trap 'exit 75' USR1; while :; do sleep .05; done",
    );
    let mut job = pbs_job(&site, 0).spawn().unwrap();
    site.signal(&job, "-TERM", 1);
    assert_eq!(job.wait().unwrap().code(), Some(75));
    assert_eq!(site.lines("queue").len(), 1, "a deleted job came back");
}

/// A program that stops with 75 for the reason on the next line of `reasons`, which it writes as the real one does.
fn stops_for(site: &Site, reasons: &[&str]) {
    fs::write(site.path("reasons"), reasons.join("\n")).unwrap();
    site.command(
        "eki-mpi",
        r#"echo "$*" >>DIR/ran; while [[ $1 != --out && $1 != --out=* ]]; do shift; done
        out=$2; [[ $1 == --out ]] || out=${1#--out=}; mkdir -p "$out"
        printf '{\n  "reason": "%s",\n  "steps": 1\n}\n' "$(sed -n "$(wc -l <DIR/ran)p" DIR/reasons)" >"$out/summary.json"
        exit 75"#,
    );
}

/// Reasons to stop for which the next job goes on, and then one for which none does.
const CHAINS: [&[&str]; 5] = [
    &["time limit", "STOP file"],
    &["signal SIGUSR1", "asks for outputs"],
    &["time limit", "signal SIGTERM"],
    &["signal SIGXCPU", "signal SIGHUP"],
    &["signal SIGUSR2", "signal SIGINT"],
];

#[test]
fn a_stop_by_a_person_or_for_outputs_ends_the_chain_of_jobs() {
    for reasons in CHAINS {
        let site = pbs(&[]);
        stops_for(&site, reasons);
        for place in 0..2 {
            let mut job = pbs_job(&site, place);
            let run = format!("dnn2 --out={}/run", site.folder.path().display());
            let output = job.env("EKI_RUN", run).output().unwrap();
            assert_eq!(output.status.code(), Some(75), "{reasons:?}");
        }
        assert_eq!(site.lines("queue").len(), 2, "PBS, {reasons:?}");

        let site = Site::new(&[]);
        stops_for(&site, reasons);
        let run = format!("dnn2 --out {}/run", site.folder.path().display());
        assert_eq!(lsf_of(&site, &run).code(), Some(76), "LSF, {reasons:?}");
        assert_eq!(site.lines("ran").len(), 2, "LSF, {reasons:?}");

        let site = slurm_site();
        stops_for(&site, reasons);
        let out = format!("--out={}", site.path("run").display());
        for _ in 0..2 {
            let status = slurm_job(&site).arg(&out).status();
            assert_eq!(status.unwrap().code(), Some(75));
        }
        assert_eq!(site.lines("requeued"), ["requeue 7"], "{reasons:?}");
    }
}

#[test]
fn pbs_reads_words_as_the_command_line_does_and_limits_of_a_minute() {
    for (walltime, limit) in [("00:01:00", "00:00:45"), ("00:00:20", "00:00:15")] {
        let site = pbs(&[0]);
        site.command(
            "qstat",
            &format!("echo '    Resource_List.walltime = {walltime}'"),
        );
        site.command("eki-mpi", r#"printf '%s|' "$@" >>DIR/ran"#);
        let words =
            r#"'my model.toml' --set model.layers=[784,10] --set "data.name=a b" --out='the run'"#;
        let status = pbs_job(&site, 0).env("EKI_RUN", words).status().unwrap();
        assert!(status.success());
        let ran = format!(
            "run|my model.toml|--set|model.layers=[784,10]|--set|data.name=a b|--out=the run|--threads|8|--max-time|{limit}|--resume|"
        );
        assert_eq!(site.lines("ran"), [ran]);
    }
    for script in ["pbs.sh", "lsf.sh"] {
        let site = Site::new(&[0]);
        let mut job = site.start("bash");
        job.arg(format!("{PROJECT}/cluster/{script}"))
            .env("EKI_RUN", "dnn2 --out 'runs")
            .env("PBS_O_WORKDIR", PROJECT)
            .env("LS_SUBCWD", PROJECT);
        assert_eq!(job.output().unwrap().status.code(), Some(2), "{script}");
        assert!(site.lines("ran").is_empty());
    }
}

// ---- LSF ------------------------------------------------------------------------------------------------------------

/// The value of an option in a batch script's directives.
fn directive(script: &str, option: &str) -> String {
    let start = format!("#BSUB {option} ");
    let line = script.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().trim_matches('"').to_owned()
}

fn lsf_job(site: &Site) -> Command {
    let mut job = site.start("bash");
    job.arg(site.path("submitted"))
        .env("EKI_RUN", RUN)
        .env("LS_SUBCWD", PROJECT)
        .env("LSB_JOBID", "7")
        .env("LSB_DJOB_NUMPROC", "64");
    job
}

/// `bsub < cluster/lsf.sh`, and then what LSF does with `-wa`, `-wt` and `-Q`.
fn lsf(site: &Site) -> ExitStatus {
    lsf_of(site, RUN)
}

/// As `lsf`, of the run `run`.
fn lsf_of(site: &Site, run: &str) -> ExitStatus {
    site.command("bsub", "cat >DIR/submitted");
    let script = fs::File::open(format!("{PROJECT}/cluster/lsf.sh")).unwrap();
    let submitted = site.start(site.path("bsub")).stdin(script).status();
    assert!(submitted.unwrap().success());
    let script = fs::read_to_string(site.path("submitted")).unwrap();
    assert!(directive(&script, "-wt").parse::<u32>().unwrap() >= 2);
    let requeue = directive(&script, "-Q");
    loop {
        let status = lsf_job(site).env("EKI_RUN", run).status().unwrap();
        let code = status.code().unwrap().to_string();
        if !requeue.split(' ').any(|listed| listed == code) {
            return status;
        }
        assert!(site.lines("ran").len() < 5, "LSF would requeue for ever");
    }
}

#[test]
fn lsf_requeues_until_done() {
    let site = Site::new(&[75, 75, 0]);
    assert!(lsf(&site).success());
    let arguments = format!("run {RUN} --threads 8 --resume");
    assert_eq!(site.lines("ran"), vec![arguments.clone(); 3]);
    let program = site.path("eki-mpi");
    let line = format!(
        "-n 8 --map-by node --bind-to none {} {arguments}",
        program.display()
    );
    assert_eq!(site.lines("launched"), vec![line; 3]);
}

#[test]
fn lsf_tells_the_program_its_limit_where_bjobs_knows_it() {
    for (answer, limit) in [
        ("04:00:00", " --max-time 03:59:00"),
        ("100:30:30", " --max-time 100:29:30"),
        ("00:01:00", " --max-time 00:00:45"),
        ("-", ""),
        ("240.0/hostA", ""),
    ] {
        let site = Site::new(&[0]);
        site.command(
            "bjobs",
            &format!(
                r#"[[ $* == "-noheader -hms -o runtimelimit 7" ]] || exit 9; echo "{answer}""#
            ),
        );
        assert!(lsf(&site).success());
        let arguments = format!("run {RUN} --threads 8{limit} --resume");
        assert_eq!(site.lines("ran"), [arguments], "{answer}");
    }
}

#[test]
fn lsf_requeues_nothing_after_an_error() {
    for code in [1, 2, 137] {
        let site = Site::new(&[code]);
        assert_eq!(lsf(&site).code(), Some(code));
        assert_eq!(site.lines("ran").len(), 1);
    }
}

#[test]
fn lsf_hands_the_warning_on_but_lets_bkill_end_the_job() {
    // bkill sends INT, and after a while TERM.
    for (signal, code) in [("-USR1", 75), ("-XCPU", 75), ("-TERM", 143), ("-INT", 143)] {
        let site = Site::new(&[75]);
        let script = fs::read_to_string(format!("{PROJECT}/cluster/lsf.sh")).unwrap();
        assert_eq!(directive(&script, "-wa"), "USR1");
        fs::write(site.path("submitted"), script).unwrap();
        site.command(
            "eki-mpi",
            "echo >>DIR/ran; trap 'exit 75' USR1; while :; do sleep .05; done",
        );
        let mut job = lsf_job(&site).spawn().unwrap();
        site.signal(&job, signal, 1);
        assert_eq!(job.wait().unwrap().code(), Some(code));
    }
}

// ---- Slurm, a stand-in ----------------------------------------------------------------------------------------------

/// `scontrol` of Slurm, which writes down what it is asked.
fn slurm_site() -> Site {
    let site = Site::new(&[]);
    site.command("scontrol", r#"echo "$*" >>DIR/requeued"#);
    site
}

/// The batch script as Slurm would start it with 4 ranks of 8 threads.
fn slurm_job(site: &Site) -> Command {
    slurm_job_of(site, "dnn2")
}

/// As `slurm_job`, of these words.
fn slurm_job_of(site: &Site, words: &str) -> Command {
    let mut job = site.start("bash");
    job.arg(format!("{PROJECT}/cluster/slurm.sbatch"))
        .args(words.split(' '))
        .env("SLURM_SUBMIT_DIR", PROJECT)
        .env("SLURM_NTASKS", "4")
        .env("SLURM_CPUS_PER_TASK", "8")
        .env("SLURM_JOB_ID", "7");
    job
}

/// A Slurm whose tasks go on when `sbatch --wait` is killed, and a simulator that takes a second, of two parameters and six
/// members, of which the third's outputs hold zero bytes and the fourth has none.
fn array_site() -> Site {
    let site = Site::new(&[]);
    site.command(
        "sbatch",
        r#"for a in "$@"; do case $a in --array=*) l=${a#--array=};; esac; s=$a; done
        case $l in *-*) l=$(seq ${l%-*} ${l#*-});; *) l=${l//,/ };; esac
        touch DIR/queued
        (for t in $l; do SLURM_ARRAY_TASK_ID=$t setsid bash "$s" & done; wait; rm DIR/queued) >/dev/null &
        echo 7; wait"#,
    );
    site.command(
        "squeue",
        r#"[[ "$*" == *--jobs=7 ]] || exit 9; echo >>DIR/squeued
        if [[ -e DIR/queued ]]; then echo "7_1 R"; else echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi"#,
    );
    site.command(
        "simulate",
        r#"echo $SLURM_ARRAY_TASK_ID >>DIR/began; sleep "${SECONDS_EACH:-1}"; case $SLURM_ARRAY_TASK_ID in 3) printf '1 \0 2';; 4) exit 3;; *) echo "$1" "$2" 7;; esac"#,
    );
    fs::write(site.path("observed"), "1\n2\n3\n").unwrap();
    let text = "preset = \"ask-tell\"\n[model]\nprior = [\"a normal 0 1\", \"b normal 0 1\"]\n[data]\n\
                observations = \"observed\"\n[method]\nnoise = 0.01\n[ensemble]\nmembers = 6\n[run]\nsteps = 1\n";
    fs::write(site.path("asks.toml"), text).unwrap();
    site
}

fn array_driver(site: &Site) -> Command {
    let mut driver = site.start("bash");
    driver
        .arg(format!("{PROJECT}/cluster/ask-tell.sh"))
        .args(["asks.toml", "asks"])
        .arg(format!("{PROJECT}/cluster/member.sbatch"))
        .env("EKI_MPI", env!("CARGO_BIN_EXE_eki-mpi"))
        .env("SIMULATOR", site.path("simulate"))
        .env_remove("SLURM_JOB_END_TIME")
        .current_dir(site.folder.path());
    driver
}

#[test]
fn ask_tell_started_again_waits_for_the_array_that_runs() {
    let site = array_site();
    // Longer than it takes to end the first driver and start the second on a busy machine.
    let mut driver = array_driver(&site)
        .env("SECONDS_EACH", "6")
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while site.lines("began").len() < 6 {
        assert!(begun.elapsed() < patience(20.0), "no task began");
        sleep(Duration::from_millis(20));
    }
    // A lost connection: the script and its sbatch end at once, Slurm's tasks do not.
    let children = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &driver.id().to_string()])
        .output();
    let children = String::from_utf8(children.unwrap().stdout).unwrap();
    driver.kill().unwrap();
    driver.wait().unwrap();
    for child in children.split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
    let ended = array_driver(&site).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("waiting for job 7 (queued)"), "{said}");
    // The fourth, which left nothing, once more: what became of its task nobody saw.
    assert_eq!(site.lines("began")[6..], ["4"], "{said}");
    let step = site.path("asks/ask/step-00000000");
    let outputs = fs::read_to_string(step.join("outputs.csv")).unwrap();
    let lines: Vec<&str> = outputs.lines().collect();
    assert_eq!(lines.len(), 6, "{outputs}");
    assert!(!outputs.contains('\0'), "{outputs:?}");
    assert_eq!(
        lines[2..4],
        ["failed: its outputs hold zero bytes", "failed: no outputs"]
    );
    let left = fs::read_dir(&step).unwrap().flatten();
    let names = left.map(|entry| entry.file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("part")).count(), 0);
}

#[test]
fn ask_tell_stops_for_a_stop_file_and_goes_on_when_started_again() {
    let site = array_site();
    fs::create_dir(site.path("asks")).unwrap();
    fs::write(site.path("asks/STOP"), "").unwrap();
    assert_eq!(array_driver(&site).status().unwrap().code(), Some(75));
    assert!(site.lines("began").is_empty() && !site.path("asks/STOP").exists());
    assert!(array_driver(&site).status().unwrap().success());
    assert_eq!(site.lines("began").len(), 6);
}

#[test]
fn srun_is_given_the_cores_of_a_rank() {
    let site = Site::new(&[0]);
    let srun =
        r#"echo "$*" >>DIR/launched; while [[ $1 != */eki-mpi ]]; do shift; done; exec "$@""#;
    site.command("srun", srun);
    let mut job = slurm_job(&site);
    job.args(["--out", "run"])
        .env("EKI_LAUNCH", "srun --mpi=pmix");
    assert!(job.status().unwrap().success());
    let line = format!(
        "-c 8 --mpi=pmix {} run dnn2 --out run --threads 8 --resume",
        site.path("eki-mpi").display()
    );
    assert_eq!(site.lines("launched"), [line]);
}

/// A sweep goes on by itself, and takes no --resume.
#[test]
fn a_sweep_is_given_its_words_alone() {
    let words = "sweep mine.toml --out s --groups 2";
    let site = Site::new(&[75, 0]);
    assert!(lsf_of(&site, words).success());
    assert_eq!(site.lines("ran"), vec![format!("{words} --threads 8"); 2]);
    let site = pbs(&[0]);
    let status = pbs_job(&site, 0).env("EKI_RUN", words).status();
    assert!(status.unwrap().success());
    let ran = format!("{words} --threads 8 --max-time 03:59:00");
    assert_eq!(site.lines("ran"), [ran]);
    let site = slurm_site();
    slurm_job_of(&site, words).status().unwrap();
    assert_eq!(site.lines("ran")[0], format!("{words} --threads 8"));
}

#[test]
fn scaling_doubles_the_ranks_up_to_the_jobs() {
    let site = Site::new(&[]);
    site.command("cargo", r#"printf '%s|' "$@" >DIR/benched"#);
    let mut job = site.start("bash");
    job.arg(format!("{PROJECT}/cluster/scaling.sbatch"))
        .args(["dnn2", "--per-rank", "500"])
        .env("SLURM_SUBMIT_DIR", PROJECT)
        .env("SLURM_NTASKS", "24")
        .env("SLURM_CPUS_PER_TASK", "8")
        .env("SLURM_JOB_ID", "7");
    assert!(job.status().unwrap().success());
    let line = "bench|--locked|--offline|--bench|scaling|--|--source|dnn2|--ranks|1,2,4,8,16|--threads|8|--cores|192|\
                --launcher|mpirun -n {ranks} --bind-to none|--out|scaling-7|--per-rank|500|";
    assert_eq!(site.lines("benched"), [line]);
    let mut job = site.start("bash");
    job.arg(format!("{PROJECT}/cluster/scaling.sbatch"))
        .env("SLURM_SUBMIT_DIR", PROJECT);
    assert_eq!(job.status().unwrap().code(), Some(2));
}

#[test]
fn a_job_without_a_folder_is_refused() {
    // Without --out every job would begin a new folder, and none would ever be resumed.
    for (script, folder) in [
        ("pbs.sh", "PBS_O_WORKDIR"),
        ("lsf.sh", "LS_SUBCWD"),
        ("slurm.sbatch", "SLURM_SUBMIT_DIR"),
    ] {
        let site = Site::new(&[0]);
        let mut job = site.start("bash");
        job.arg(format!("{PROJECT}/cluster/{script}"))
            .arg("dnn2")
            .env("EKI_RUN", "dnn2")
            .env(folder, PROJECT);
        let output = job.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{script}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
        assert!(site.lines("ran").is_empty());
    }
}

// ---- Slurm ----------------------------------------------------------------------------------------------------------

/// The states in which a job ends.
const ENDS: [&str; 4] = ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"];

/// A real Slurm that ends with this value: it holds the daemons' standard input open.
struct Slurm {
    daemons: Child,
    site: Site,
}

impl Slurm {
    /// None, which is said, where none is to be had.
    fn start() -> Option<Slurm> {
        if std::env::var("EKI_TEST_SLURM").is_err() {
            eprintln!("skipped: EKI_TEST_SLURM is not set (it wants root, slurm-wlm and munge)");
            return None;
        }
        let site = Site::new(&[]);
        fs::remove_file(site.path("mpirun")).unwrap(); // the real one
        // Real ranks: each waits for the warning in its first two jobs, and ends well in the third.
        site.command(
            "eki-mpi",
            r#"((OMPI_COMM_WORLD_RANK)) || echo "$*" >>DIR/ran
            if ((${SLURM_RESTART_COUNT:-0} == 2)); then exit 0; fi
            trap 'exit 75' USR1; while :; do sleep .05; done"#,
        );
        let mut daemons = Command::new(format!("{PROJECT}/tests/slurm/private"))
            .arg(site.path("slurm"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(daemons.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "Slurm did not start");
        Some(Slurm { daemons, site })
    }

    /// Runs one of Slurm's commands in the project's folder.
    fn ask(&self, command: &str, arguments: &[&str]) -> String {
        let output = self
            .site
            .start(command)
            .args(arguments)
            .env("SLURM_CONF", self.site.path("slurm/slurm.conf"))
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_mpi_yield_when_idle", "1")
            .current_dir(PROJECT)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command} {arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Submits the batch script with two ranks of two threads, for so many minutes less fifty seconds.
    fn submit(&self, minutes: u32, run: &str) -> String {
        let log = self.site.path("job.log");
        let line = format!(
            "--parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=2 --time={minutes} --signal=B:USR1@50 \
             --output={} cluster/slurm.sbatch {run}",
            log.display()
        );
        let arguments: Vec<&str> = line.split(' ').collect();
        self.ask("sbatch", &arguments).trim().to_owned()
    }

    /// Waits until what Slurm knows of the job, which is returned, is `enough`.
    fn until(&self, job: &str, enough: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        let mut held: Option<Instant> = None;
        loop {
            let shown = self.ask("scontrol", &["show", "job", job]);
            if enough(&shown) {
                return shown;
            }
            let log = self.site.lines("job.log").join("\n");
            // Slurm forgets a job some minutes after its end.
            let ended = ENDS.contains(&word(&shown, "JobState="));
            assert!(
                !ended && begun.elapsed() < patience(400.0),
                "{shown}\n{log}"
            );
            // Slurm holds a requeued job back for two minutes, which is more than its last part needs to be gone.
            if word(&shown, "JobState=") == "PENDING" && word(&shown, "Reason=") == "BeginTime" {
                let held = held.get_or_insert_with(Instant::now).elapsed();
                let idle = self.ask("sinfo", &["--noheader", "--format=%t"]).trim() == "idle";
                if idle && held > patience(3.0) {
                    let job = format!("JobId={job}");
                    self.ask("scontrol", &["update", &job, "StartTime=now"]);
                }
            } else {
                held = None;
            }
            sleep(Duration::from_millis(300));
        }
    }

    /// Waits until the job is in this state, or has ended in another.
    fn wait(&self, job: &str, state: &str) {
        let shown = self.until(job, |shown| {
            let now = word(shown, "JobState=");
            now == state || ENDS.contains(&now)
        });
        let log = self.site.lines("job.log").join("\n");
        assert_eq!(word(&shown, "JobState="), state, "{shown}\n{log}");
    }

    /// How often Slurm put the job back into its queue.
    fn restarts(&self, job: &str) -> u32 {
        let shown = self.ask("scontrol", &["show", "job", job]);
        word(&shown, "Restarts=").parse().expect("a number")
    }
}

/// The word after `key` in what scontrol shows.
fn word<'a>(shown: &'a str, key: &str) -> &'a str {
    let mut words = shown.split_whitespace();
    words.find_map(|word| word.strip_prefix(key)).unwrap_or("")
}

impl Drop for Slurm {
    fn drop(&mut self) {
        drop(self.daemons.stdin.take());
        let _ = self.daemons.wait();
    }
}

#[test]
fn a_job_is_requeued_by_slurm_until_done_and_ended_by_scancel() {
    let Some(slurm) = Slurm::start() else { return };

    // Warned before its limit, twice, and done in its third run: the job is one to Slurm, and so is its log.
    let job = slurm.submit(1, RUN);
    slurm.wait(&job, "COMPLETED");
    assert_eq!(slurm.restarts(&job), 2);
    let arguments = format!("run {RUN} --threads 2 --resume");
    assert_eq!(slurm.site.lines("ran"), vec![arguments; 3]);

    let job = slurm.submit(1, RUN);
    slurm.wait(&job, "RUNNING");
    slurm.ask("scancel", &[&job]);
    slurm.wait(&job, "CANCELLED");
    sleep(Duration::from_secs(8)); // longer than Slurm waits before it kills
    slurm.wait(&job, "CANCELLED");
}

/// The program itself: warned, requeued and resumed by Slurm until done, it ends in the digest of a run never stopped.
///
/// Its first two jobs have more steps to do than any machine does before it is warned; the third is given its end. Slurm's
/// shortest limit is a minute: but for the long mode the warnings are sent by hand, to the batch script alone as Slurm
/// would.
#[test]
fn slurm_requeues_the_program_to_the_unbroken_digest() {
    let Some(slurm) = Slurm::start() else { return };
    let program = env!("CARGO_BIN_EXE_eki-mpi");
    let exec = r#"((${SLURM_RESTART_COUNT:-0} < 2)) || set -- "$@" --set run.steps=$(<DIR/end)
        exec PROGRAM "$@""#;
    let exec = exec.replace("PROGRAM", program);
    slurm.site.command("eki-mpi", &exec);
    let run = "digits --set run.best=never --set run.evaluate_every=0";
    let parts = slurm.site.path("parts");
    let steps = || slurm.site.lines("parts/metrics.jsonl").len();
    let minutes = if long() { 1 } else { 10 };
    let endless = format!("{run} --set run.steps=10000000 --out {}", parts.display());
    let job = slurm.submit(minutes, &endless);
    for restart in 1..=2 {
        if !long() {
            let before = steps();
            slurm.until(&job, |shown| {
                word(shown, "JobState=") == "RUNNING" && steps() > before
            });
            slurm.ask("scancel", &["--batch", "--signal=USR1", &job]);
        }
        slurm.until(&job, |shown| {
            word(shown, "Restarts=") == restart.to_string()
        });
    }
    let end = steps() + 100;
    fs::write(slurm.site.path("end"), end.to_string()).unwrap();
    slurm.wait(&job, "COMPLETED");
    let log = slurm.site.lines("job.log").join("\n");
    assert_eq!(slurm.restarts(&job), 2, "{log}");
    assert_eq!(log.matches("going on from step").count(), 2, "{log}");
    let whole = slurm.site.path("whole");
    let mut command = slurm.site.start(program);
    command.arg("run").args(run.split(' ')).arg("--out");
    command
        .arg(&whole)
        .args(["--set", &format!("run.steps={end}")]);
    assert!(command.output().unwrap().status.success());
    assert_eq!(digest(&parts), digest(&whole), "{log}");
    eprintln!("Slurm requeued the run twice, of {end} steps");
}

/// What a person stops, or waits for a person, is not put back into the queue.
#[test]
fn slurm_requeues_neither_after_a_stop_file_nor_for_questions() {
    let Some(slurm) = Slurm::start() else { return };
    let exec = format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_eki-mpi"));
    slurm.site.command("eki-mpi", &exec);
    let out = slurm.site.path("run");
    let job = slurm.submit(
        10,
        &format!("digits --set run.steps=10000000 --out={}", out.display()),
    );
    slurm.until(&job, |_| slurm.site.lines("run/metrics.jsonl").len() > 1);
    fs::write(out.join("STOP"), "").unwrap();
    slurm.wait(&job, "FAILED");
    assert_eq!(slurm.restarts(&job), 0);

    let asks = slurm.site.path("asks.toml");
    fs::write(slurm.site.path("observed"), "1\n2\n3\n").unwrap();
    let text = "preset = \"ask-tell\"\n[model]\nprior = [\"a normal 0 1\"]\n[data]\nobservations = \"OBSERVED\"\n\
                [method]\nnoise = 0.01\n";
    let observed = slurm.site.path("observed");
    fs::write(&asks, text.replace("OBSERVED", observed.to_str().unwrap())).unwrap();
    let out = slurm.site.path("asked");
    let job = slurm.submit(10, &format!("{} --out {}", asks.display(), out.display()));
    slurm.wait(&job, "FAILED");
    assert_eq!(slurm.restarts(&job), 0);
    let log = slurm.site.lines("job.log").join("\n");
    assert!(
        log.contains("no further job: stopped by STOP file"),
        "{log}"
    );
    assert!(
        log.contains("no further job: the run asks for outputs"),
        "{log}"
    );
}

/// A simulator that calls MPI_Init, alone or by a launcher of its own, beside ranks that srun started: it sees nothing of them.
#[test]
fn slurm_steps_run_simulators_that_use_mpi() {
    let Some(slurm) = Slurm::start() else { return };
    let types = slurm
        .site
        .start("srun")
        .arg("--mpi=list")
        .env("SLURM_CONF", slurm.site.path("slurm/slurm.conf"))
        .output()
        .unwrap();
    if !String::from_utf8_lossy(&[types.stdout, types.stderr].concat()).contains("pmix") {
        return eprintln!("skipped: this Slurm cannot start Open MPI's ranks (srun --mpi=pmix)");
    }
    let source = slurm.site.path("line.c");
    fs::write(
        &source,
        "#include <mpi.h>\n#include <stdio.h>\nint main(int c, char **v) {\nint n; double a, b;\nMPI_Init(&c, &v);\n\
         MPI_Comm_size(MPI_COMM_WORLD, &n);\nwhile (scanf(\"%lf %lf\", &a, &b) == 2) {\n\
         for (int t = 0; t < 12; t++) printf(\"%.17g \", n * a + t * b);\nputs(\"\"); fflush(stdout); }\nMPI_Finalize(); }\n",
    )
    .unwrap();
    let simulator = slurm.site.path("line");
    let mut compile = slurm.site.start("mpicc");
    assert!(
        compile
            .arg(&source)
            .arg("-o")
            .arg(&simulator)
            .status()
            .unwrap()
            .success()
    );
    for (name, launcher) in [("alone", &[][..]), ("launched", &["mpirun", "-n", "1"])] {
        let mut command: Vec<&str> = launcher.to_vec();
        command.push(simulator.to_str().unwrap());
        let text = format!(
            "preset = \"process\"\n[model]\ncommand = {command:?}\nprior = [\"level normal 1 1\", \"slope normal 0.5 0.5\"]\n\
             [data]\nobservations = {:?}\n[method]\nnoise = 0.01\n[ensemble]\nmembers = 4\n[run]\nsteps = 1\n",
            Path::new(PROJECT).join("tests/simulator/observed.txt")
        );
        let path = slurm.site.path("line.toml");
        fs::write(&path, text).unwrap();
        let out = slurm.site.path(name);
        let words = [
            "--mpi=pmix",
            "--ntasks=2",
            env!("CARGO_BIN_EXE_eki-mpi"),
            "run",
        ];
        let files = [
            path.to_str().unwrap(),
            "--threads=1",
            "--out",
            out.to_str().unwrap(),
        ];
        slurm.ask("srun", &[words, files].concat());
        let summary = fs::read_to_string(out.join("summary.json")).unwrap();
        assert!(summary.contains("\"ranks\": 2"), "{name}: {summary}");
        let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        assert!(metrics.contains("\"failed\":0"), "{name}: {metrics}");
    }
    assert_eq!(
        digest(&slurm.site.path("alone")),
        digest(&slurm.site.path("launched"))
    );
}

/// Each member a task of an array that Slurm runs: the run that the same simulator gives as a process.
#[test]
fn slurm_simulates_the_members_that_a_run_asks_for() {
    let Some(slurm) = Slurm::start() else { return };
    let program = env!("CARGO_BIN_EXE_eki-mpi");
    // A line at twelve times; a slope below 0.5 is a member that fails. As an argument, or line after line.
    let line = r#"awk '{ if ($2 < 0.5) { print "failed"; next } for (t = 0; t < 12; t++) printf "%.17g ", $1 + t * $2; print "" }'"#;
    let asked = slurm.site.command(
        "simulate",
        &format!("z=$(echo \"$*\" | {line}); [[ $z != failed ]] && echo \"$z\""),
    );
    let process = slurm.site.command(
        "process",
        &format!("while read -r u; do echo \"$u\" | {line}; done"),
    );
    let settings = |model: &str| {
        format!(
            "[model]\n{model}\nprior = [\"level normal 1 1\", \"slope normal 0.5 0.5\"]\n[data]\nobservations = {:?}\n\
             [method]\nnoise = 0.01\n[ensemble]\nmembers = 10\n[run]\nsteps = 2\nstop_at_misfit = 0\n",
            Path::new(PROJECT).join("tests/simulator/observed.txt")
        )
    };
    let text = format!("preset = \"ask-tell\"\n{}", settings(""));
    fs::write(slurm.site.path("asks.toml"), text).unwrap();
    let command = format!("command = [{process:?}]");
    let text = format!("preset = \"process\"\n{}", settings(&command));
    fs::write(slurm.site.path("process.toml"), text).unwrap();

    let mut driver = slurm.site.start(format!("{PROJECT}/cluster/ask-tell.sh"));
    driver
        .arg(slurm.site.path("asks.toml"))
        .arg(slurm.site.path("asks"))
        .arg(format!("{PROJECT}/cluster/member.sbatch"))
        .env("EKI_MPI", program)
        .env("SIMULATOR", asked)
        .env("SLURM_CONF", slurm.site.path("slurm/slurm.conf"));
    let ended = driver.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let mut command = slurm.site.start(program);
    command.arg("run").arg(slurm.site.path("process.toml"));
    command.arg("--out").arg(slurm.site.path("process-run"));
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let asks = slurm.site.path("asks");
    assert_eq!(digest(&asks), digest(&slurm.site.path("process-run")));
    let outputs = fs::read_to_string(asks.join("ask/step-00000000/outputs.csv")).unwrap();
    assert!(outputs.contains("failed: no outputs"), "{outputs}");
}
