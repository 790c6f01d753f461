//! Starts programs for the tests: the built `eki-mpi` alone or under mpirun, and whatever else is to run on ranks.
//!
//! The launcher is `mpirun`, or what `EKI_MPIRUN` names (`EKI_MPIRUN=mpirun.mpich`). More ranks than cores and the
//! root account are allowed for by variables that other launchers pass over.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What a program left when it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; -1 where a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// The lines of standard error that are the program's own words on what went wrong.
    pub fn complaints(&self) -> Vec<&str> {
        let ours = |line: &&str| line.starts_with("eki-mpi: ");
        self.stderr.lines().filter(ours).collect()
    }
}

/// `program` on `ranks` ranks, ready for its arguments.
pub fn on_ranks(ranks: usize, program: &Path) -> Command {
    let mut command = Command::new(launcher());
    command.args(["-n", &ranks.to_string()]).arg(program);
    allow_for_launchers(&mut command);
    command
}

/// The launcher's name.
pub fn launcher() -> String {
    std::env::var("EKI_MPIRUN").unwrap_or_else(|_| "mpirun".to_owned())
}

/// Lets launchers that `command` is or starts have more ranks than cores, and be started by root.
pub fn allow_for_launchers(command: &mut Command) {
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        // More ranks than cores, and none tied to a core: tests run side by side. Open MPI 4, then 5.
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
        ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
        ("PRTE_MCA_hwloc_default_binding_policy", "none"),
        // A rank that waits gives its core away.
        ("OMPI_MCA_mpi_yield_when_idle", "1"),
        // Containers forbid reading another process's memory, and Open MPI says so at length.
        ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
        NO_FABRIC,
    ] {
        command.env(name, value);
    }
}

/// Open MPI 4.1's transport for fabrics, which no test uses, now and then waits in MPI_Init for a lock that it holds
/// itself (seen in `opal_common_ofi_export_memory_monitor`, while network interfaces came and went).
const NO_FABRIC: (&str, &str) = ("OMPI_MCA_btl", "^ofi");

/// The built program, started without a launcher.
pub fn alone() -> Command {
    let mut command = Command::new(program());
    command.env(NO_FABRIC.0, NO_FABRIC.1);
    command
}

/// The built program on `ranks` ranks; one rank needs no launcher.
pub fn eki_mpi(ranks: usize) -> Command {
    if ranks == 1 {
        alone()
    } else {
        on_ranks(ranks, &program())
    }
}

/// Makes the ranks that `command` starts send each other messages only, as ranks of several hosts do.
pub fn apart(command: &mut Command) {
    command.env(eki_mpi::parallel::comm::SHARED_MEMORY, "never");
}

/// The built program.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_eki-mpi"))
}

/// No test's run takes as long as this, a slow and busy machine allowed for.
const STUCK: Duration = Duration::from_secs(1200);

/// A PATH by which `python3` has NumPy; None, with a line that says so, where no Python has it.
pub fn path_with_numpy() -> Option<String> {
    let path = std::env::var("PATH").expect("PATH");
    // The system's packages are for the system's Python, which another may stand before.
    let tried = [path.clone(), format!("/usr/bin:{path}")];
    let found = tried.into_iter().find(|path| {
        let mut command = Command::new("env");
        command.args(["python3", "-c", "import numpy"]);
        end(command.env("PATH", path)).code == 0
    });
    if found.is_none() {
        eprintln!("skipped: no python3 with NumPy");
    }
    found
}

/// The folder of the Python package.
pub fn python_package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/python")
}

/// Waits for `child`, whose output is piped. One that never ends fails its test, with what it printed, instead of
/// holding up all the others.
pub fn wait(child: Child) -> Output {
    let pid = child.id();
    let (over, end) = mpsc::channel();
    let watch = std::thread::spawn(move || {
        let stuck = end.recv_timeout(STUCK).is_err();
        if stuck {
            // A launcher that dies has its ranks die as well; its own end it might put off.
            for process in rank_processes(pid).into_iter().chain([pid]) {
                let _ = Command::new("kill")
                    .args(["-KILL", &process.to_string()])
                    .status();
            }
        }
        stuck
    });
    let output = child
        .wait_with_output()
        .expect("a process that was started");
    // Nobody listens where the watch has ended it.
    let _ = over.send(());
    assert!(
        !watch.join().expect("no panic"),
        "it did not end: {output:?}"
    );
    output
}

/// Runs `command` to its end.
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.stderr(Stdio::piped()).spawn();
    wait(child.unwrap_or_else(|e| panic!("{command:?} could not be started: {e}")))
}

/// Runs `command` to its end.
pub fn end(command: &mut Command) -> Ended {
    let output = output(command);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The processes that mpirun, process `launcher`, started on this host: the ranks in order.
pub fn rank_processes(launcher: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name in brackets: state, then the parent.
        let Some((name, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        if rest.split_whitespace().nth(1) != Some(&launcher.to_string()) {
            continue;
        }
        // MPICH's launcher has one process between itself and the ranks of a host.
        if name.ends_with("(hydra_pmi_proxy") {
            found.extend(rank_processes(pid));
        } else {
            found.push(pid);
        }
    }
    found.sort_unstable();
    found
}

/// A whole run of the program: what is run, changed how, by how many.
#[derive(Clone, Debug)]
pub struct Run {
    /// Preset or file.
    pub source: String,
    /// The `--set`s.
    pub sets: Vec<String>,
    /// Ranks R.
    pub ranks: usize,
    /// Threads of each rank.
    pub threads: usize,
    /// Whether ranks send each other messages only, as ranks of several hosts do.
    pub apart: bool,
}

impl Run {
    /// `source` changed by `sets`, "key=value" each, on one rank and thread.
    pub fn new(source: &str, sets: &[&str]) -> Self {
        Self {
            source: source.to_owned(),
            sets: sets.iter().map(|s| (*s).to_owned()).collect(),
            ranks: 1,
            threads: 1,
            apart: false,
        }
    }

    /// The same run with one more "key=value".
    pub fn set(mut self, set: impl Into<String>) -> Self {
        self.sets.push(set.into());
        self
    }

    /// The same run on so many ranks and threads.
    pub fn on(&self, ranks: usize, threads: usize) -> Self {
        Self {
            ranks,
            threads,
            ..self.clone()
        }
    }

    /// The same run by ranks that share no memory.
    #[allow(dead_code)]
    pub fn apart(&self) -> Self {
        Self {
            apart: true,
            ..self.clone()
        }
    }

    /// The command that runs it into the folder `out`.
    pub fn command(&self, out: &Path) -> Command {
        let mut command = eki_mpi(self.ranks);
        command.arg("run").arg(&self.source);
        for set in &self.sets {
            command.args(["--set", set]);
        }
        command.args(["--threads", &self.threads.to_string()]);
        if self.apart {
            apart(&mut command);
        }
        command.arg("--out").arg(out);
        command
    }

    /// Runs it into a folder of its own, which is gone when the value returned is.
    pub fn finish(&self) -> Folder {
        let whole = tempfile::tempdir().expect("a temporary folder");
        let path = whole.path().join("run");
        let ended = end(&mut self.command(&path));
        assert_eq!(ended.code, 0, "{self:?}: {}", ended.stderr);
        Folder {
            _whole: whole,
            path,
        }
    }

    /// The digest of the final ensemble.
    pub fn digest(&self) -> String {
        let digest = self.finish().summary()["digest"].clone();
        digest.as_str().expect("a digest").to_owned()
    }
}

/// A finished run's folder.
#[derive(Debug)]
pub struct Folder {
    _whole: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    /// The file `name` in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// summary.json.
    pub fn summary(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.file("summary.json")).expect("summary.json");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The lines of metrics.jsonl.
    pub fn metrics(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.file("metrics.jsonl")).expect("metrics.jsonl");
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(parse).collect()
    }
}

/// Writes `numbers` as an .npy file of `shape`, row-major.
pub fn write_npy<T: npyz::AutoSerialize + Copy>(path: &Path, shape: &[u64], numbers: &[T]) {
    use npyz::WriterBuilder as _;
    let file = std::io::BufWriter::new(std::fs::File::create(path).expect("a new file"));
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(file)
        .begin_nd()
        .expect("an .npy header");
    writer.extend(numbers.iter().copied()).expect("numbers");
    writer.finish().expect("an .npy file");
}

/// The shape and numbers of an .npy file.
pub fn read_npy<T: npyz::Deserialize>(path: &Path) -> (Vec<u64>, Vec<T>) {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let npy = npyz::NpyFile::new(std::io::BufReader::new(file)).expect("an .npy file");
    (npy.shape().to_vec(), npy.into_vec().expect("numbers"))
}
