//! The simulators: logistic growth, sound or at fault in one way or another.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{NOISE, TRUTH};

/// Sizes of a population at the end of each of 12 months.
pub fn logistic(growth: f64, capacity: f64) -> Vec<f64> {
    let mut x = 0.1;
    let month = |_| {
        for _ in 0..100 {
            x += 0.01 * growth * x * (1.0 - x / capacity);
        }
        x
    };
    (0..12).map(month).collect()
}

/// A line over the same 12 months.
pub fn line_of(level: f64, slope: f64) -> Vec<f64> {
    (0..12)
        .map(|month| level + slope * f64::from(month))
        .collect()
}

/// Of many numbers, each with half of its neighbour: as many outputs as parameters.
pub fn chain(u: &[f64]) -> Vec<f64> {
    let after = u.iter().cycle().skip(1);
    u.iter()
        .zip(after)
        .map(|(u, after)| u + 0.5 * after)
        .collect()
}

/// What arrives of `size` farther and farther off.
pub fn faint(decay: f64, size: f64) -> Vec<f64> {
    (0..12)
        .map(|place| size * (-decay.exp() * (1.0 + 0.1 * f64::from(place))).exp())
        .collect()
}

/// What is observed at the truth: errors of one deviation, now above, now below.
pub fn observed() -> Vec<f64> {
    let signs = [
        1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0,
    ];
    let sizes = logistic(TRUTH[0], TRUTH[1]);
    sizes
        .iter()
        .zip(signs)
        .map(|(x, s)| x + s * NOISE)
        .collect()
}

/// A simulator of kind `arguments[0]`, which may leave lines in the file `arguments[1]`.
pub fn simulate(arguments: &[String]) {
    let (kind, file) = (arguments[0].as_str(), arguments.get(1));
    let mark = |line: &str| {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file?);
        // In one piece: simulators of several ranks write to it at once, and may be killed at any moment.
        file.ok()?.write_all(format!("{line}\n").as_bytes()).ok()
    };
    mark(&std::process::id().to_string());
    if kind == "leaves-helpers" {
        for helper in leave_helpers() {
            mark(&helper);
        }
    }
    let mut count = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("text");
        let (number, line) = match kind {
            "numbered" | "numbered-twice" => line.split_once(' ').expect("a number"),
            _ => ("", line.as_str()),
        };
        if !number.is_empty() {
            print!("{number} ");
        }
        let numbers: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        let outputs = match (kind, &numbers[..]) {
            ("chain", numbers) => chain(numbers),
            ("itself", numbers) => numbers.to_vec(),
            ("twice", numbers) => [numbers, numbers].concat(),
            ("same", _) => observed(),
            // For most of a prior about 4 nothing arrives.
            ("faint", &[decay, size]) => faint(decay, size),
            ("line", &[level, slope]) => line_of(level, slope),
            // Some members lack one output.
            ("gappy", &[level, slope]) => {
                let mut outputs = line_of(level, slope);
                let gap = usize::try_from(hash(line) % 36).expect("small");
                outputs
                    .iter_mut()
                    .skip(gap)
                    .take(1)
                    .for_each(|z| *z = f64::NAN);
                outputs
            }
            ("one", &[growth]) => logistic(growth, TRUTH[1]),
            // Four months of a line.
            ("seasons", &[level, slope]) => {
                let set = std::env::var("EKI_SET").unwrap_or_default();
                let season: Option<usize> = set.strip_prefix('s').and_then(|s| s.parse().ok());
                let Some(season) = season.filter(|season| *season < 3) else {
                    println!("failed: no such season: {set:?}");
                    continue;
                };
                mark(&format!("asked {set} {line}"));
                line_of(level, slope)[4 * season..4 * season + 4].to_vec()
            }
            (_, &[growth, capacity]) => logistic(growth, capacity),
            _ => {
                println!("failed: two numbers, please");
                continue;
            }
        };
        count += 1;
        if kind == "holds"
            && file.is_some_and(|file| Path::new(file).with_file_name("hold").exists())
        {
            mark("held");
            std::thread::sleep(Duration::from_secs(1000));
        }
        if kind == "paced" {
            mark(&format!("asked {line}"));
            pace(file.expect("a file"));
        }
        if kind == "helper" && hash(line).is_multiple_of(PLIGHTS) {
            // It lives on, and holds this process's pipes.
            let helper = std::process::Command::new("sleep").arg("1000").spawn();
            mark(&helper.expect("sleep").id().to_string());
            std::process::abort();
        }
        let first = kind == "stray-once" && count == 4 && mark_first(file);
        answer(kind, line, count, &outputs);
        std::io::stdout().flush().expect("a reader");
        if first || kind == "numbered-twice" {
            std::thread::sleep(Duration::from_millis(3));
            print!("{number} ");
            answer(kind, line, count, &outputs);
        }
        std::io::stdout().flush().expect("a reader");
        if kind == "paced" {
            mark(&format!("answered {line}"));
        }
    }
    if kind == "stubborn" {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

/// The `count`-th answer to `line`, whose outputs are `sizes`.
fn answer(kind: &str, line: &str, count: usize, sizes: &[f64]) {
    let words: Vec<String> = sizes.iter().map(|x| format!("{x:?}")).collect();
    let sound = words.join(" ");
    match (kind, hash(line) % PLIGHTS) {
        ("failing", 0) | ("unlucky", 0..4) => println!("failed: an unlucky member"),
        ("failing", 1) => println!("{}", sound.replace(&words[3], "nan")),
        ("failing", 2) => die("out of cheese", 3),
        ("failing", 3) if count.is_multiple_of(2) => {
            println!("{}", words.join(",").replace(&words[3], ""))
        }
        ("failing", 3) => println!("{} {}", words[0], words[1]),
        ("failing", 4) => std::process::abort(),
        ("blank", 0) => println!(),
        ("blank-flood", _) => loop {
            println!();
        },
        ("hanging" | "leaves-helpers", 0) => std::thread::sleep(Duration::from_secs(1000)),
        ("centre-dies", _) if line.starts_with("0.8944") => die("no such centre", 1),
        (licensed, _) if licensed.starts_with("licensed ") => {
            if count > number_after(licensed) as usize {
                println!("failed: no licence is left");
            } else {
                println!("{sound}");
            }
        }
        (once, _) if once.starts_with("once ") => {
            println!("{sound}");
            std::process::exit(number_after(once));
        }
        (twice, _) if twice.starts_with("twice ") => {
            println!("{sound}");
            std::io::stdout().flush().expect("a reader");
            std::thread::sleep(Duration::from_millis(number_after(twice) as u64));
            println!("{sound}");
        }
        ("dies", _) => die("no licence", 1),
        ("silent", _) => {}
        ("blank-after", _) => {
            println!("{sound}");
            std::io::stdout().flush().expect("a reader");
            // It comes when the next question has been put already.
            std::thread::sleep(Duration::from_millis(5));
            println!();
        }
        ("one-late", _) if count == 1 => println!("{sound}\n{sound}"),
        ("greeting", _) if count == 1 => println!("Logistic growth 1.0\n{sound}"),
        ("noisy", _) => {
            let shifted = sizes.iter().map(|x| x + 0.001 * count as f64);
            println!(
                "{}",
                shifted.map(|x| x.to_string()).collect::<Vec<_>>().join(",")
            );
        }
        ("killed", _) if count == 5 => kill_oneself_once(),
        ("launcher", _) if std::env::vars().any(|(name, _)| of_launcher(&name)) => {
            println!("failed: it sees its launcher's variables");
        }
        ("slow", _) => {
            std::thread::sleep(Duration::from_millis(20));
            println!("{sound}");
        }
        ("fortran", _) if count == 1 => println!("\u{feff}{sound}\r"),
        ("fortran", _) => {
            let exponents = words.iter().map(|word| format!("{word}-000"));
            println!("{}", exponents.collect::<Vec<_>>().join(",\t"));
        }
        ("flood", _) => {
            eprintln!("{}", "warning: nothing to worry about\n".repeat(10_000));
            println!("{sound}");
        }
        _ => println!("{sound}"),
    }
}

/// How many ways there are for a member to fare.
const PLIGHTS: u64 = 12;

/// How the member asked by `line` fails, if it does.
pub fn plight(kind: &str, line: &str) -> Option<u64> {
    let failing = match kind {
        "failing" => 5,
        "unlucky" => 4,
        _ => 0,
    };
    Some(hash(line) % PLIGHTS).filter(|&plight| plight < failing)
}

fn hash(line: &str) -> u64 {
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    line.bytes().fold(0xcbf2_9ce4_8422_2325, mix) >> 17
}

fn die(words: &str, code: i32) -> ! {
    eprintln!("simulator: {words}");
    std::process::exit(code)
}

/// SIGKILL, as the system sends it where memory runs out: the first children of every rank get it at their fifth answer.
fn kill_oneself_once() {
    let this = std::process::id().to_string();
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &this])
        .status();
    std::thread::sleep(Duration::from_secs(10));
}

/// Starts two helpers in sessions of their own, one of them an orphan at once; their process ids.
fn leave_helpers() -> [String; 2] {
    let nothing = std::process::Stdio::null;
    let child = std::process::Command::new("setsid")
        .args(["sleep", "1000"])
        .stdin(nothing())
        .stdout(nothing())
        .stderr(nothing())
        .spawn();
    let orphan = std::process::Command::new("sh")
        .args([
            "-c",
            "setsid sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!",
        ])
        .output();
    let orphan = String::from_utf8(orphan.expect("sh").stdout).expect("text");
    [
        child.expect("setsid").id().to_string(),
        orphan.trim().to_owned(),
    ]
}

/// Takes a quarter of a second where there is a file "pace" beside `file`, and does not end where `file` has as many answers as
/// that says.
fn pace(file: &str) {
    let Ok(most) = std::fs::read_to_string(Path::new(file).with_file_name("pace")) else {
        return;
    };
    let marks = std::fs::read_to_string(file).unwrap_or_default();
    let answers = marks.lines().filter(|line| line.starts_with("answered "));
    let holds = answers.count() >= most.parse().expect("a number");
    std::thread::sleep(Duration::from_millis(if holds { 1_000_000 } else { 250 }));
}

/// The number that ends a simulator's `kind`.
fn number_after(kind: &str) -> i32 {
    let number = kind.rsplit(' ').next().and_then(|n| n.parse().ok());
    number.expect("a number")
}

/// Whether "stray" is not in `file` yet; then it is from now on.
fn mark_first(file: Option<&String>) -> bool {
    let Some(file) = file else { return false };
    let marks = std::fs::read_to_string(file).unwrap_or_default();
    if marks.lines().any(|line| line == "stray") {
        return false;
    }
    std::fs::write(file, marks + "stray\n").is_ok()
}

fn of_launcher(name: &str) -> bool {
    let ours = [
        "OMPI_",
        "PMIX_",
        "PMI_",
        "MPI_LOCAL",
        "SLURM_STEP",
        "SLURM_LOCALID",
    ];
    ours.iter().any(|prefix| name.starts_with(prefix)) && !name.contains("ALLOW_RUN_AS_ROOT")
}
