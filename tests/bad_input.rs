//! Bad input is refused: one line on standard error that names what is at fault, exit code 2, and nothing written.

mod start;

use std::path::Path;
use std::process::Command;

use start::{Ended, alone, eki_mpi, end, on_ranks, program, write_npy};

/// Ends `command` and checks that it was refused, with one line, which holds all of `words`; returns the line.
fn refused(command: &mut Command, words: &[&str]) -> String {
    let ended: Ended = end(command);
    assert_eq!(ended.code, 2, "{command:?}: {}", ended.stderr);
    let complaints = ended.complaints();
    assert_eq!(complaints.len(), 1, "{command:?}: {}", ended.stderr);
    let line = complaints[0];
    for word in words {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
    assert_eq!(ended.stdout, "", "{command:?}");
    // A launcher adds words of its own on an exit code that is not 0.
    if Path::new(command.get_program()) == program() {
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    line.to_owned()
}

/// That `eki-mpi run source --set ...` is refused, alone, with a line that holds `words`; no folder is made.
fn refused_run(source: &str, sets: &[&str], words: &[&str]) {
    refused_by(1, source, sets, words);
}

/// As `refused_run`, and on three ranks with the same line: at each place in a start where input can be refused, once.
fn refused_on_ranks(source: &str, sets: &[&str], words: &[&str]) {
    let [alone, by_three] = [1, 3].map(|ranks| refused_by(ranks, source, sets, words));
    assert_eq!(alone, by_three, "the same line on any number of ranks");
}

fn refused_by(ranks: usize, source: &str, sets: &[&str], words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/run");
    let mut command = eki_mpi(ranks);
    command.args(["run", source]).arg("--out").arg(&out);
    for set in sets {
        command.args(["--set", set]);
    }
    let line = refused(&mut command, words);
    assert!(!folder.path().join("a").exists(), "{sets:?} left a folder");
    line
}

fn refused_sets(sets: &[&str], words: &[&str]) {
    refused_run("digits", sets, words)
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    refused_on_ranks(
        "digits",
        &["ensemble.member=10"],
        &["ensemble.member = 10", "ensemble.members"],
    );
    refused_sets(&["momentum=true"], &["method.momentum"]);
    refused_sets(&["data.name.x=1"], &["data.name.x", "unknown key"]);
}

#[test]
fn values_of_the_wrong_type_say_what_is_allowed() {
    refused_on_ranks(
        "digits",
        &["ensemble.members=many"],
        &["ensemble.members = \"many\"", "an integer"],
    );
    refused_sets(&["ensemble.members=10.5"], &["10.5", "an integer"]);
    refused_sets(&["method.momentum=1"], &["true or false"]);
    refused_sets(&["model.layers=64"], &["a list of at least 2 integers"]);
    refused_sets(
        &["model.activation=softmax"],
        &["\"relu\", \"tanh\", \"heaviside\""],
    );
    refused_sets(&["data.name=7"], &["text"]);
    // A value with a line break in it is still told on one line.
    refused_sets(
        &["method.h=\"a\\nb\""],
        &["method.h", "a finite number greater than 0"],
    );
}

#[test]
fn impossible_values_say_what_is_possible() {
    refused_on_ranks(
        "digits",
        &["ensemble.members=1"],
        &["ensemble.members = 1", "at least 2"],
    );
    refused_sets(&["data.batch=0"], &["at least 1"]);
    refused_on_ranks(
        "digits",
        &["data.batch=1438"],
        &["data.batch = 1438", "at most the 1437 training samples"],
    );
    refused_sets(&["data.limit=50", "data.batch=51"], &["at most the 50"]);
    refused_sets(&["data.limit=1438"], &["data.limit", "at most 1437"]);
    refused_sets(
        &["data.validation=1437"],
        &["data.validation", "less than the 1437"],
    );
    refused_sets(&["method.h=0"], &["method.h = 0", "greater than 0"]);
    refused_sets(
        &["ensemble.inflation={ kind = \"adaptive\", target = 1, most = 2 }"],
        &["needs method.loss = \"least-squares\""],
    );
    refused_sets(
        &["ensemble.inflation={ kind = \"rtps\", weight = 2 }"],
        &["weight = NUMBER up to 1"],
    );
    refused_sets(&["method.h=[]"], &["or a list of such"]);
    refused_sets(&["method.h=[1, 2]"], &["must be one number"]);
    refused_sets(&["method.h=-1"], &["greater than 0"]);
    refused_sets(&["method.h=inf"], &["finite"]);
    refused_sets(
        &["ensemble.gamma=-0.5"],
        &["ensemble.gamma = -0.5", "at least 0"],
    );
    refused_sets(&["ensemble.gamma=nan"], &["finite"]);
    refused_sets(&["run.epochs=0"], &["at least 1"]);
    refused_sets(&["method.noise=[]"], &["method.noise"]);
    refused_sets(
        &["method.loss=least-squares", "method.noise=[1, 2]"],
        &["one number or 10"],
    );
    refused_sets(
        &["ensemble.grow_to=100"],
        &["ensemble.grow_to = 100", "at least ensemble.members"],
    );
    refused_on_ranks(
        "digits",
        &["method.form=mean"],
        &["ensemble.rerandomise = \"step\""],
    );
    refused_on_ranks(
        "digits",
        &[
            "ensemble.rerandomise=step",
            "ensemble.rerandomise_every=2",
            "ensemble.draw=low-rank",
        ],
        &[
            "ensemble.draw = \"low-rank\"",
            "ensemble.rerandomise_every = 1",
        ],
    );
    refused_sets(
        &["ensemble.rerandomise_every=0"],
        &["ensemble.rerandomise_every = 0", "at least 1"],
    );
    refused_sets(
        &["method.rms_decay=1"],
        &["method.rms_decay = 1", "less than 1"],
    );
    refused_sets(
        &[
            "method.kind=kalman",
            "method.form=factored",
            "ensemble.members=200",
        ],
        &[
            "method.form = \"factored\"",
            "fewer members than outputs, of which there are 287",
        ],
    );
    refused_sets(
        &["method.rms_decay=0.9"],
        &["method.rms_decay = 0.9", "ensemble.rerandomise = \"step\""],
    );
    refused_sets(
        &[
            "method.rms_decay=0.9",
            "ensemble.rerandomise=step",
            "ensemble.rerandomise_every=2",
        ],
        &["method.rms_decay = 0.9", "ensemble.rerandomise_every = 1"],
    );
    refused_sets(
        &["ensemble.polyak_decay=0.9", "ensemble.rerandomise=epoch"],
        &[
            "ensemble.polyak_decay = 0.9",
            "ensemble.rerandomise = \"step\"",
        ],
    );
    refused_sets(
        &["method.covariance=sums"],
        &["method.covariance", "ensemble.draw = \"low-rank\""],
    );
    let low_rank = ["ensemble.rerandomise=step", "ensemble.draw=low-rank"];
    refused_sets(
        &[
            &low_rank[..],
            &["model.kind=conv", "method.covariance=sums"],
        ]
        .concat(),
        &["method.covariance", "model.kind = \"dense\""],
    );
    refused_sets(
        &[&low_rank[..], &["model.kind=recurrent"]].concat(),
        &["ensemble.draw", "\"dense\" or \"conv\""],
    );
    refused_sets(
        &[
            "run.precision=mixed",
            "ensemble.rerandomise=step",
            "ensemble.draw=low-rank",
        ],
        &["run.precision = \"mixed\"", "full draws"],
    );
    refused_sets(&["ensemble.active_layers=[]"], &["at least 1 integers"]);
    refused_sets(
        &["ensemble.active_layers=[1, 2]", "ensemble.rerandomise=step"],
        &["ensemble.active_layers = [1, 2]", "model.kind = \"conv\""],
    );
    refused_sets(
        &["ensemble.active_layers=[1, 2]", "model.kind=conv"],
        &["ensemble.active_layers", "ensemble.rerandomise = \"step\""],
    );
    refused_sets(
        &[
            "ensemble.active_layers=[1, 3]",
            "model.kind=conv",
            "ensemble.rerandomise=step",
        ],
        &["ensemble.active_layers = [1, 3]", "from 1 to 2"],
    );
    refused_sets(
        &["ensemble.whiten=-1"],
        &["ensemble.whiten = -1", "at least 0"],
    );
    refused_sets(
        &["ensemble.whiten=0.1"],
        &["ensemble.whiten = 0.1", "ensemble.rerandomise = \"step\""],
    );
    for network in [
        ["model.kind=recurrent", "ensemble.whiten=0.1"],
        ["ensemble.draw=low-rank", "ensemble.whiten=0.1"],
    ] {
        refused_sets(
            &[network[0], network[1], "ensemble.rerandomise=step"],
            &["ensemble.whiten = 0.1", "full draws"],
        );
    }
    refused_sets(
        &["method.tikhonov=1", "method.loss=least-squares"],
        &["method.tikhonov = 1", "one set of observations"],
    );
    refused_run(
        "linear",
        &[
            "method.tikhonov=1",
            "method.kind=kalman",
            "method.perturb=true",
        ],
        &["method.tikhonov = 1", "method.perturb = false"],
    );
    refused_sets(
        &["ensemble.inflation=1.1", "ensemble.rerandomise=step"],
        &["ensemble.inflation = 1.1", "ensemble.gamma"],
    );
    refused_sets(&["ensemble.inflation=0"], &["greater than 0"]);
    let sparse = "method.kind=sparse";
    for (sets, words) in [
        (&[sparse][..], "at most 128 parameters, and there are 255"),
        (&[sparse, "data.name=random"], "or method.threshold must be"),
        (
            &[
                sparse,
                "data.name=random",
                "method.penalty=1",
                "method.momentum=true",
            ],
            "must be false",
        ),
    ] {
        refused_run("linear", sets, &[words, "\"sparse\""]);
    }
    let uki = "method.kind=uki";
    for (set, words) in [
        (
            "ensemble.members=64",
            "must be 511, the sigma points of 255",
        ),
        ("method.h=1", "must be one number below 1"),
        ("method.regularisation=1.5", "must be at most 1"),
        ("run.end_time=1", "must be 0"),
        ("ensemble.centre=prior", "must be \"prior\""),
    ] {
        refused_run("linear", &[uki, set], &[words, "\"uki\""]);
    }
    for other in [
        &["method.form=explicit"][..],
        &["ensemble.rerandomise=step"],
        &["run.precision=mixed"],
    ] {
        refused_sets(
            &[&["method.localise=1"], other].concat(),
            &[
                "method.localise = { sec = 1 }",
                "factored form",
                "mixed precision",
            ],
        );
    }
    refused_sets(
        &["run.end_time=1"],
        &["run.end_time = 1", "method.kind = \"kalman\""],
    );
    refused_sets(&["method.h_schedule=round"], &["\"cosine\""]);
    refused_sets(&["data.augment=-1"], &["at least 0"]);
    refused_sets(
        &["data.augment=8"],
        &["data.augment = 8", "less than the 8 pixels"],
    );
    refused_run(
        "linear",
        &["data.augment=1"],
        &["data.augment = 1", "no images"],
    );
    refused_run(
        "linear",
        &["data.affine=0.1"],
        &["data.affine = 0.1", "no images"],
    );
    refused_sets(&["data.affine=1"], &["at least 0 and less than 1"]);
    refused_run(
        "linear",
        &["data.elastic=2"],
        &["data.elastic = 2", "no images"],
    );
    refused_sets(&["data.elastic=-1"], &["at least 0"]);
    refused_sets(
        &["data.elastic=8"],
        &["data.elastic = 8", "less than the 8 pixels"],
    );
    refused_sets(
        &["run.epochs=9223372036854775807"],
        &["run.epochs", "overflow"],
    );
}

#[test]
fn models_that_do_not_fit_the_data_say_what_would() {
    refused_on_ranks(
        "digits",
        &["model.layers=[784, 10]"],
        &["model.layers = [784, 10]", "begin with 64 and end with 10"],
    );
    refused_sets(&["model.layers=[64, 32, 11]"], &["end with 10"]);
    refused_sets(&["model.layers=[64]"], &["at least 2"]);
    refused_sets(&["model.layers=[64, 0, 10]"], &["from 1 to"]);
    refused_sets(
        &["model.output=identity"],
        &["method.loss", "least-squares"],
    );
    refused_sets(&["model.kind=linear"], &["data.name", "elliptic or random"]);
    refused_on_ranks(
        "linear",
        &["model.kind=dense"],
        &["data.name", "needs model.kind"],
    );
    for loss in ["cross-entropy", "zero-one"] {
        let set = format!("method.loss={loss}");
        refused_run("linear", &[&set], &["method.loss", "values"]);
    }
    let cart = |set: &str, words: &[&str]| refused_run("cart-pole", &[set], words);
    cart("model.layers=[4, 2]", &["begin with 4 and end with 1"]);
    cart("model.output=softmax", &["model.output", "auto"]);
    cart("data.scale=standard", &["data.scale", "unit"]);
    cart("data.name=digits", &["data.name", "must be cart-pole"]);
    cart("model.kind=dense", &["needs model.kind = \"cart-pole\""]);
    cart("data.limit=1001", &["data.limit", "at most 1000"]);
}

#[test]
fn files_and_presets_that_are_not_there_or_are_not_toml() {
    refused_on_ranks("digitz", &[], &["digitz", "did you mean digits?"]);
    refused_run(
        "nowhere/mine.toml",
        &[],
        &["nowhere/mine.toml", "cannot be read"],
    );
    refused_sets(&["method.h"], &["method.h", "key.path=value"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let name = file.display().to_string();
    for (text, words) in [
        (
            "seed = 1\n[method]\nh = = 2\n",
            vec!["mine.toml:3", "not TOML"],
        ),
        ("preset = \"digitz\"\n", vec!["mine.toml", "preset"]),
        (
            "preset = \"digits\"\n[method]\nH = 2\n",
            vec!["mine.toml", "method.H", "method.h"],
        ),
        (
            "preset = \"digits\"\n[method]\nh = 0.0\n",
            vec!["mine.toml", "method.h"],
        ),
        (
            "preset = \"digits\"\n[data]\nbatch = 5000\n",
            vec!["mine.toml", "data.batch", "1437"],
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        refused_on_ranks(&name, &[], &words);
    }
    std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    refused_run(&name, &[], &["mine.toml", "cannot be read"]);
}

/// An .npy file for 5 members of the 64-10 network's 650 parameters, in its parts.
fn npy(header: &str, body: &[u8]) -> Vec<u8> {
    let padding = 64 - (10 + header.len() + 1) % 64;
    let header = format!("{header}{}\n", " ".repeat(padding));
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(body);
    file
}

#[test]
fn initial_ensembles_that_do_not_fit_or_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("initial.npy");
    let initial = format!("ensemble.initial={}", path.display());
    let check = |words: &[&str]| {
        let sets = ["model.layers=[64, 10]", "ensemble.members=5", &initial];
        refused_on_ranks("digits", &sets, &[&["initial.npy"], words].concat());
    };
    check(&["cannot be read"]);
    let numbers = vec![0.5_f32; 5 * 650];
    write_npy(&path, &[4, 650], &numbers[..4 * 650]);
    check(&["[4, 650]", "5 x 650"]);
    write_npy(&path, &[650, 5], &numbers);
    check(&["[650, 5]", "5 x 650"]);
    write_npy(&path, &[3250], &numbers);
    check(&["[3250]"]);
    write_npy(&path, &[5, 650], &vec![0.5_f64; 5 * 650]);
    check(&["<f8", "float32"]);
    write_npy(&path, &[5, 650], &vec![1_i32; 5 * 650]);
    check(&["<i4", "float32"]);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut damaged = numbers.clone();
        damaged[2 * 650 + 7] = bad;
        write_npy(&path, &[5, 650], &damaged);
        check(&[&bad.to_string(), "member 2, parameter 7"]);
    }
    let sound = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 650), }";
    let body: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
    write(&npy(sound, &body[..body.len() - 1]));
    check(&["cut short"]);
    write(&npy(sound, &[]));
    check(&["cut short"]);
    write(&npy(sound, &body)[..40]);
    check(&["not an .npy file"]);
    write(&npy(&sound.replace("False", "True"), &body));
    check(&["Fortran order"]);
    write(b"member,parameter\n");
    check(&["not an .npy file"]);
    write(b"");
    check(&["not an .npy file"]);
    // Fields of a record are not numbers, though their names' types are right.
    write(&npy(
        "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (5, 650), }",
        &body,
    ));
    check(&["float32"]);
}

#[test]
fn a_sound_initial_ensemble_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("initial.npy");
    write_npy(&path, &[5, 650], &vec![0.5_f32; 5 * 650]);
    let run = start::Run::new(
        "digits",
        &[
            "model.layers=[64, 10]",
            "ensemble.members=5",
            "run.steps=1",
            "run.best=never",
        ],
    );
    run.set(format!("ensemble.initial={}", path.display()))
        .finish();
}

#[test]
fn data_that_is_unknown_missing_or_damaged() {
    refused_on_ranks(
        "digits",
        &["data.name=mnits"],
        &["data.name", "mnist", "elliptic"],
    );
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("run"));
    let check = |words: &[&str]| {
        for ranks in [1, 3] {
            let mut command = eki_mpi(ranks);
            command
                .args(["run", "dnn1", "--data-dir"])
                .arg(&data)
                .arg("--out")
                .arg(&out);
            refused(&mut command, words);
            assert!(!out.exists());
        }
    };
    check(&["mnist"]);
    let mnist = data.join("mnist");
    std::fs::create_dir_all(&mnist).unwrap();
    check(&["mnist"]);
    let names = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ];
    for name in names {
        std::fs::write(mnist.join(name), b"<html>404 not found</html>").unwrap();
    }
    check(&["-ubyte.gz", "magic"]);
    // The right beginning, and then nothing.
    for name in names {
        std::fs::write(mnist.join(name), [0, 0, 8, 1, 0, 0, 0, 9, 1, 2]).unwrap();
    }
    check(&["-ubyte.gz"]);
}

#[test]
fn output_folders_in_use_or_not_writable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let used = folder.path().join("used");
    std::fs::create_dir(&used).unwrap();
    std::fs::write(used.join("summary.json"), "{}").unwrap();
    let outs: [(&Path, &str); 4] = [
        (&used, "another folder with --out"),
        (&file, "cannot be"),
        (&file.join("below"), "cannot be"),
        // No one may make folders here, root neither.
        (Path::new("/proc/eki-mpi-test"), "cannot be"),
    ];
    for (out, words) in outs {
        for ranks in [1, 3] {
            let mut command = eki_mpi(ranks);
            command
                .args(["run", "digits", "--set", "run.steps=1", "--out"])
                .arg(out);
            refused(&mut command, &[&out.display().to_string(), words]);
        }
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(&used).unwrap().count(), 1);
}

#[test]
fn a_link_that_leads_nowhere_is_no_output_folder_and_nothing_is_made_where_it_points() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for out in [link.clone(), link.join("run")] {
        let mut command = alone();
        command.args(["run", "digits", "--set", "run.steps=1", "--out"]);
        command.arg(out);
        refused(
            &mut command,
            &["link: is a link to nowhere, which does not exist"],
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Words that cannot be printed change nothing: neither the exit code of a refusal nor a run.
#[test]
fn standard_error_on_a_full_device_changes_no_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let mut wrong = alone();
    wrong.args(["run", "digits", "--set", "method.h=0", "--out"]);
    wrong.arg(folder.path().join("wrong"));
    assert_eq!(wrong.stderr(full()).status().unwrap().code(), Some(2));
    let mut unknown = alone();
    let status = unknown.arg("no-such-command").stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(2));
    let mut runs = alone();
    runs.args([
        "run",
        "digits",
        "--set",
        "run.steps=2",
        "--set",
        "ensemble.members=10",
        "--out",
    ]);
    runs.arg(folder.path().join("run"));
    let status = runs
        .stderr(full())
        .stdout(std::process::Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
}

/// A program built on one MPI and started by the launcher of another becomes R worlds of one rank each; the launcher's
/// variables tell. The first process says so, once; the others end as it does.
#[test]
fn ranks_started_as_singletons_by_a_foreign_launcher() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (size, rank) in [
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
    ] {
        let start = |number: &str| {
            let mut command = alone();
            command.args(["run", "digits", "--out"]).arg(&out);
            command.env(size, "3").env(rank, number);
            command
        };
        refused(&mut start("0"), &["3 ranks", "MPI sees only one"]);
        let other = end(&mut start("2"));
        assert_eq!((other.code, other.stderr.as_str()), (2, ""));
    }
    assert!(!out.exists());
}

/// Arguments that clap refuses: its own words, once, exit 2.
#[test]
fn arguments_that_do_not_parse() {
    for ranks in [1, 3] {
        for arguments in [
            &["rum"][..],
            &["run", "--threads", "0"],
            &["run", "digits", "--sett", "x=1"],
        ] {
            let ended = end(eki_mpi(ranks).args(arguments));
            assert_eq!(ended.code, 2, "{}", ended.stderr);
            let errors = ended
                .stderr
                .lines()
                .filter(|line| line.starts_with("error: "));
            assert_eq!(errors.count(), 1, "{}", ended.stderr);
        }
    }
    let ended = end(on_ranks(3, &program()).args(["presets", "digitz"]));
    assert_eq!(
        (ended.code, ended.complaints().len()),
        (2, 1),
        "{}",
        ended.stderr
    );
}

/// Absurd sizes are refused by a line, not by the allocator.
#[test]
fn sizes_beyond_the_machine_say_so() {
    for (set, told) in [
        ("ensemble.members=1000000000000000", "must be at most"),
        ("ensemble.members=1000000000", "GiB"),
        ("model.layers=[64, 100000000, 10]", "from 1 to 1000000"),
        ("ensemble.grow_to=1000000000000000", "must be at most"),
        ("data.batch=1000000000000000", "at most 100000000"),
        ("method.localise=9007199254740993", "at most 100"),
        ("run.report_every=9223372036854775807", "at most"),
    ] {
        refused(eki_mpi(1).args(["run", "digits", "--set", set]), &[told]);
    }
    refused_on_ranks(
        "adding",
        &["data.examples=100000000", "data.length=100000"],
        &["data.length = 100000", "GiB"],
    );
    for (preset, sets, words) in [
        (
            "adding",
            &["data.examples=1000000000000000"][..],
            &["data.examples", "at most"][..],
        ),
        (
            "adding",
            &["data.length=1000000000000"],
            &["data.length", "at most"],
        ),
        (
            "copying",
            &["data.length=9223372036854775807"],
            &["data.length", "at most"],
        ),
        (
            "copying",
            &["data.examples=100000000", "data.length=100000000"],
            &["GiB"],
        ),
        (
            "sunspots",
            &["data.lags=2147483647"],
            &["data.lags", "at most"],
        ),
        (
            "digits",
            &["model.layers=[64, 1000000, 1000000, 1000000, 10]"],
            &["model.layers", "at most"],
        ),
        (
            "digits",
            &["model.layers=[64, 1000000, 100000, 10]"],
            &["GiB"],
        ),
        (
            "digits",
            &[
                "model.kind=conv",
                "model.network=[\"conv 1048576 1048576\", \"dense 10\"]",
            ],
            &["model.network"],
        ),
        (
            "digits",
            &[
                "model.kind=conv",
                "model.network=[\"conv 1000000000000000\", \"dense 10\"]",
            ],
            &["model.network"],
        ),
        (
            "digits",
            &[
                "model.kind=conv",
                "model.network=[\"conv 1048576\", \"conv 1048576\", \"dense 10\"]",
            ],
            &["model.network"],
        ),
        (
            "digits",
            &["model.kind=recurrent", "model.units=[1000000, 1000000]"],
            &["model.units"],
        ),
        (
            "dnn2-low-rank",
            &[
                "data.name=digits",
                "model.layers=[64, 1000, 10]",
                "ensemble.rank=64000",
                "ensemble.members=100000000",
            ],
            &["GiB"],
        ),
    ] {
        refused_run(preset, sets, words);
    }
    let ranks = ["plan", "digits", "--ranks", "4294967295"];
    let ended = end(alone().args(ranks));
    assert!(
        ended.code == 2 && ended.stderr.contains("1000000"),
        "{}",
        ended.stderr
    );
}

/// A pipe would be waited for without end, and a device read without end.
#[test]
fn files_that_are_none_are_refused_by_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for name in ["pipe", "pipe.npy"] {
        let made = Command::new("mkfifo").arg(file(name)).status();
        assert!(made.expect("mkfifo").success());
    }
    std::fs::create_dir(file("folder")).unwrap();
    let configuration = "preset = \"process\"\n[model]\ncommand = [\"true\"]\nprior = [\"a normal 0 1\"]\n\
                         [method]\nnoise = 1\n";
    std::fs::write(file("mine.toml"), configuration).unwrap();
    for other in [
        &file("pipe"),
        &file("pipe.npy"),
        "/dev/zero",
        &file("folder"),
    ] {
        let words = &[other, "not a regular file"][..];
        refused_run(other, &[], words);
        refused_run(
            &file("mine.toml"),
            &[&format!("data.observations={other}")],
            words,
        );
        refused_run("digits", &[&format!("ensemble.initial={other}")], words);
    }
}

/// What single precision makes infinite, or 0, would end the first step, after the folder is made.
#[test]
fn numbers_beyond_single_precision_are_refused() {
    for set in [
        "method.h=1e39",
        "method.delta=1e-50",
        "method.noise=[1e-60]",
        "ensemble.gamma=1e300",
    ] {
        let key = set.split('=').next().unwrap_or_default();
        refused_sets(&[set], &[key, "single precision holds"]);
    }
    refused_sets(&["method.h=1e39", "run.precision=mixed"], &["method.h"]);
}

#[test]
fn a_runs_folder_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    let ended = end(alone().args(["run", "digits"]).arg("--out").arg(&out));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("must be UTF-8"), "{}", ended.stderr);
    assert!(!out.exists());
}

/// The least limit of memory that holds counts: a batch job's, a process's own, a control group's.
#[test]
fn a_run_beyond_the_memory_it_may_take_is_refused_before_its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let large = ["--set", "model.layers=[64,2000,10]"];
    let words = ["ensemble.members = 574", "1 ranks on this host need", "GiB"];
    let run = |command: &mut Command, words: &[&str]| {
        let out = folder.path().join("run");
        command
            .args(["run", "digits", "--threads", "1"])
            .args(large);
        refused(command.arg("--out").arg(&out), words);
        assert!(!out.exists());
    };
    let node = [("SLURM_MEM_PER_NODE", "100")];
    let cores = [("SLURM_MEM_PER_CPU", "50"), ("SLURM_CPUS_ON_NODE", "2")];
    for job in [&node[..], &cores[..]] {
        let words = [&words[..], &[job[0].0]].concat();
        run(
            alone()
                .env_remove("SLURM_JOB_END_TIME")
                .envs(job.iter().copied()),
            &words,
        );
        let mut plan = alone();
        plan.args(["plan", "digits", "--ranks", "1"]).args(large);
        let ended = end(plan
            .env_remove("SLURM_JOB_END_TIME")
            .envs(job.iter().copied()));
        assert!(
            ended.stdout.contains("too much for this host"),
            "{}",
            ended.stdout
        );
    }
    // More addresses than the program needs itself, which are not all memory.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v 8000000; exec \"$@\"", "sh"])
        .arg(program());
    let ended = end(limited.args(["plan", "digits", "--ranks", "1"]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v 700000; exec \"$@\"", "sh"])
        .arg(program());
    let out = folder.path().join("run");
    limited.args([
        "run",
        "digits",
        "--threads",
        "1",
        "--set",
        "model.layers=[64,9000,10]",
    ]);
    let ended = end(limited.arg("--out").arg(&out));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("(ulimit -v)"), "{}", ended.stderr);
    assert!(!out.exists());
}

#[test]
fn more_ranks_than_work_is_said_where_it_costs_time() {
    let folder = tempfile::tempdir().unwrap();
    let observed = folder.path().join("observed");
    std::fs::write(&observed, "1\n2\n").unwrap();
    let file = folder.path().join("asks.toml");
    let text = format!(
        "preset = \"process\"\n[model]\ncommand = [\"true\"]\nprior = [\"a normal 0 1\"]\n[data]\nobservations = {observed:?}\n\
         [method]\nnoise = 0.01\n[ensemble]\nmembers = 8\n"
    );
    std::fs::write(&file, text).unwrap();
    let plan = |ranks: &str| {
        let ended = end(alone().arg("plan").arg(&file).args(["--ranks", ranks]));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    assert!(!plan("8").contains("more ranks than work"));
    assert!(plan("9").contains("more ranks than work: 1 evaluate no member"));
}
