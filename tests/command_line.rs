//! The command line itself: help with examples that are right, what the screen shows, completions, manual pages, durations.

mod program;

use std::fs;
use std::process::Command;

use program::start::{Ended, alone, end};
use program::{alone as answer, printed, refused};

/// The words of commands, from the help of the program.
fn commands() -> Vec<String> {
    let help = printed(&answer(&["--help"]));
    let (_, after) = help.split_once("Commands:\n").expect("a list of commands");
    let (list, _) = after.split_once("\n\n").expect("an end of it");
    // What goes on from the line before is indented further.
    let names = list.lines().filter(|line| !line.starts_with("   "));
    let words = names.filter_map(|line| line.split_whitespace().next());
    words
        .map(str::to_owned)
        .filter(|word| word != "help")
        .collect()
}

#[test]
fn each_help_has_examples_and_each_example_is_right() {
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    let mut pages = vec![printed(&answer(&["--help"]))];
    pages.extend(
        commands
            .iter()
            .map(|name| printed(&answer(&[name, "--help"]))),
    );
    for page in pages {
        let (_, examples) = page
            .split_once("\nExamples:\n")
            .unwrap_or_else(|| panic!("{page}"));
        let lines: Vec<&str> = examples
            .lines()
            .take_while(|line| line.starts_with("  "))
            .collect();
        assert!(!lines.is_empty(), "{page}");
        for line in lines {
            let line = line.split(" > ").next().expect("a part");
            let line = line.split(" | ").next().expect("a part").split('#').next();
            let words = line.expect("a part").split_whitespace();
            let words = words.skip_while(|word| *word != "eki-mpi").skip(1);
            // Arguments are looked at before the help is shown.
            let words: Vec<&str> = words.chain(["--help"]).collect();
            let shown = printed(&answer(&words));
            assert!(shown.contains("Usage: eki-mpi"), "{words:?}: {shown}");
        }
    }
    assert_eq!(
        answer(&["plan", "digits", "--rank", "2", "--help"])
            .status
            .code(),
        Some(2)
    );
}

/// A small run, changed by `arguments`, with the environment `variables`.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let room = tempfile::tempdir().expect("a folder");
    let mut command = alone();
    // The earlier name of a key is warned of.
    command.args(["run", "linear", "--set", "run.steps=2"]);
    command.args([
        "--set",
        "ensemble.members=4",
        "--set",
        "method.h_shape=level",
    ]);
    command.args(["--set", "run.hang_timeout=00:10:00", "--out"]);
    command.arg(room.path().join("run")).args(arguments);
    command.envs(variables.iter().copied());
    end(&mut command)
}

#[test]
fn the_screen_shows_as_much_as_is_asked_for() {
    let (quiet, usual) = (run(&["-q"], &[]), run(&[], &[]));
    let (more, all) = (run(&["-v"], &[]), run(&["-vv"], &[]));
    for ended in [&quiet, &usual, &more, &all] {
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        // The result is no message.
        assert!(ended.stdout.contains("digest"), "{}", ended.stdout);
    }
    assert!(!quiet.stderr.contains("step 1"), "{}", quiet.stderr);
    assert!(
        usual
            .stderr
            .lines()
            .any(|line| line.starts_with("linear: "))
    );
    let lines = |ended: &Ended| ended.stderr.lines().count();
    assert!(lines(&quiet) < lines(&usual) && lines(&usual) <= lines(&more));
    assert!(
        all.stderr.lines().all(|line| line.contains("Z ")),
        "{}",
        all.stderr
    );
    assert_eq!(run(&["-q", "-v"], &[]).code, 2);
    // A bar has no place there, even where the launcher says that somebody watches.
    let watched = run(&["--quiet"], &[("EKI_PROGRESS", "always")]);
    assert!(!watched.stderr.contains("steps"), "{}", watched.stderr);
}

#[test]
fn colours_come_when_asked_for() {
    let coloured = |arguments: &[&str], name: &str| {
        let ended = end(alone().args(arguments).env(name, "1"));
        (ended.stdout + &ended.stderr).contains('\x1b')
    };
    assert!(!coloured(&["rn"], "EKI_NOTHING"));
    assert!(coloured(&["rn", "--color", "always"], "NO_COLOR"));
    assert!(coloured(&["--color=always", "run", "--help"], "NO_COLOR"));
    assert!(!coloured(
        &["--color=never", "run", "--help"],
        "CLICOLOR_FORCE"
    ));
    let warned = |color: &str| run(&["--color", color], &[]).stderr;
    let plain = warned("never");
    assert!(!plain.contains('\x1b'), "{plain}");
    let yellow = warned("always");
    let marked: Vec<&str> = yellow
        .lines()
        .filter(|line| line.contains('\x1b'))
        .collect();
    // Of all lines the warnings alone.
    assert!(
        !marked.is_empty() && marked.len() < yellow.lines().count(),
        "{yellow}"
    );
    assert!(
        marked
            .iter()
            .all(|line| line.starts_with("\x1b[33m") && line.ends_with("\x1b[0m"))
    );
    assert!(refused(&answer(&["presets", "DIGITS"])).contains("did you mean digits?"));
}

#[test]
fn shells_complete_all_commands() {
    let room = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&answer(&["completions", shell]));
        for name in commands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        assert!(script.contains("max-time"), "{shell}");
        if shell == "bash" {
            let path = room.path().join(shell);
            fs::write(&path, script).expect("a file");
            // A real shell: what it offers after `eki-mpi ver`.
            let asked = "source \"$0\"; COMP_WORDS=(eki-mpi ver); COMP_CWORD=1; _eki__mpi eki-mpi ver eki-mpi; echo ${COMPREPLY[*]}";
            let offered = end(Command::new("bash").args(["-c", asked]).arg(&path));
            assert_eq!(offered.stdout.trim(), "verify", "{}", offered.stderr);
        }
    }
    assert_eq!(answer(&["completions", "cmd"]).status.code(), Some(2));
}

#[test]
fn each_command_has_a_manual_page() {
    let room = tempfile::tempdir().expect("a folder");
    let folder = room.path().join("man1");
    let told = printed(&answer(&["man", "--out", folder.to_str().expect("text")]));
    let mut names = commands();
    names.push(String::new());
    assert_eq!(told.lines().count(), names.len());
    for name in names {
        let page = format!("eki-mpi-{name}");
        let page = page.trim_end_matches('-');
        let text = fs::read_to_string(folder.join(format!("{page}.1"))).expect(page);
        assert!(text.contains(&format!(".TH {page} 1")), "{text}");
        assert!(text.contains("Examples:"), "{page}");
        if !name.is_empty() {
            assert_eq!(printed(&answer(&["man", &name])), text);
        }
    }
    assert!(refused(&answer(&["man", "rn"])).contains("there are run, presets"));
}

#[test]
fn durations_are_written_alike_everywhere() {
    for text in ["1h", "90min", "1h30min", "01:30:00"] {
        let words = ["run", "digits", "--max-time", text, "--help"];
        assert_eq!(answer(&words).status.code(), Some(0), "{text}");
        let key = format!("checkpoint.every=\"{text}\"");
        let planned = answer(&["plan", "digits", "--set", &key]);
        assert_eq!(planned.status.code(), Some(0), "{text}");
    }
    for wrong in ["90", "1:30", "0s", "never"] {
        let ended = answer(&["run", "digits", "--max-time", wrong]);
        assert_eq!(ended.status.code(), Some(2), "{wrong}");
    }
}
