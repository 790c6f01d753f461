//! Localisation of a simulator's parameters: by distance, and by a threshold of their correlations.

use super::start::{Run, alone, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "an_observation_out_of_reach_informs_no_parameter",
        out_of_reach,
    ),
    (
        "localised_steps_have_equal_bits_on_any_number_of_ranks",
        bits,
    ),
    ("a_threshold_finds_what_few_members_cannot_span", threshold),
    ("more_outputs_than_members_give_the_same_step", by_members),
    ("groups_inform_their_parameters_alone", groups),
    ("a_matrix_tapers_the_gain", taper),
    (
        "a_replay_with_localisation_is_the_localised_step_of_the_first_members",
        replayed,
    ),
    ("the_places_are_kept_with_their_run", kept),
    ("what_cannot_be_localised_is_refused_in_a_line", refused),
];

/// Members of five that a file gives, and what is observed of three parameters.
const MEMBERS: [[f64; 3]; 5] = [
    [0.9, -0.3, 1.4],
    [-0.6, 0.8, 0.2],
    [0.1, 1.9, -1.0],
    [1.5, -1.2, 0.4],
    [-0.2, 0.5, -0.8],
];
const OBSERVED: [f64; 3] = [1.2, -0.4, 0.3];
const NOISE: f64 = 0.5;

/// Writes the lines of numbers `rows` to the file `name` of `case`.
fn write(case: &Case, name: &str, rows: impl IntoIterator<Item = Vec<f64>>) -> String {
    let line = |row: Vec<f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    let lines: Vec<String> = rows.into_iter().map(line).collect();
    let path = case.file(name);
    std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
    path.display().to_string()
}

/// The value of method.localise by `distance`, with parameters and observations at the same places.
fn by_distance(distance: f64, places: &str) -> String {
    format!(
        "method.localise={{ distance = {distance}, parameters = {places:?}, observations = {places:?} }}"
    )
}

/// The final members of a run whose simulator gives its parameters back, after one step that is localised by `sets`.
fn one_step(sets: &[&str]) -> Vec<Vec<f64>> {
    one_step_of(1, sets)
}

/// As `one_step`, of each parameter so many `times`, once or twice, with as many times the noise.
fn one_step_of(times: usize, sets: &[&str]) -> Vec<Vec<f64>> {
    let case = Case::new(["itself", "twice"][times - 1]);
    let observed = OBSERVED.iter().cycle().take(3 * times);
    write(&case, "observed.txt", observed.map(|y| vec![*y]));
    let places = write(&case, "places.csv", [vec![0.0], vec![10.0], vec![20.0]]);
    let initial = case.file("initial.csv");
    let rows: Vec<String> = MEMBERS
        .iter()
        .map(|u| format!("{},{},{}", u[0], u[1], u[2]))
        .collect();
    std::fs::write(&initial, format!("a,b,c\n{}\n", rows.join("\n"))).expect("a file");
    let initial = format!("ensemble.initial={}", initial.display());
    let noise = format!("method.noise={}", NOISE * times as f64);
    let fixed = [
        "model.prior=[\"a normal 0 1\", \"b normal 0 1\", \"c normal 0 1\"]",
        "method.kind=kalman",
        "method.h_schedule=level",
        "method.perturb=false",
        "ensemble.members=5",
        "output.ensemble=true",
        "run.steps=1",
        "run.end_time=0",
        &initial,
        &noise,
    ];
    let sets: Vec<String> = sets
        .iter()
        .map(|set| set.replace("PLACES", &places))
        .collect();
    let sets: Vec<&str> = fixed
        .into_iter()
        .chain(sets.iter().map(String::as_str))
        .collect();
    let (out, _) = case.finish(&case.run(&sets), "out");
    super::results::members(&out)
}

/// By hand: where each observation informs its own parameter alone, u <- u + c / (c + Gamma) (y - u) with the members' own variance c.
fn out_of_reach() {
    let mut expected = MEMBERS.map(|u| u.to_vec()).to_vec();
    for i in 0..3 {
        let column = MEMBERS.map(|u| u[i]);
        let mean = column.iter().sum::<f64>() / 5.0;
        let variance = column.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 5.0;
        for (row, u) in expected.iter_mut().zip(column) {
            row[i] = u + variance / (variance + NOISE) * (OBSERVED[i] - u);
        }
    }
    let near = one_step(&[&by_distance(9.0, "PLACES")]);
    assert!(most_apart(&near, &expected) < 1e-9, "{near:?} {expected:?}");
    // Within reach of all it is the step without localisation, which mixes the parameters.
    let (wide, none) = (one_step(&[&by_distance(1e9, "PLACES")]), one_step(&[]));
    assert!(most_apart(&wide, &none) < 1e-6, "{wide:?} {none:?}");
    assert!(most_apart(&near, &none) > 0.01, "{none:?}");
}

/// Sixty parameters in a row, each of which two observations tell of, with 20 members.
fn chain(sets: &[&str]) -> (Case, Vec<f64>, Run) {
    let case = Case::new("chain");
    let truth: Vec<f64> = (0..60).map(|i| (0.7 * f64::from(i)).sin()).collect();
    let y = super::answers::chain(&truth).into_iter();
    write(
        &case,
        "observed.txt",
        y.zip([0.05, -0.05, -0.05].iter().cycle())
            .map(|(y, off)| vec![y + off]),
    );
    let fixed = [
        "model.prior=[\"u[60] normal 0 1\"]",
        "method.kind=kalman",
        "method.h_schedule=misfit",
        "ensemble.members=20",
        "run.steps=3",
    ];
    let run = case.run(&[&fixed, sets].concat());
    (case, truth, run)
}

/// The places of the chain's parameters: on a line, or on a spiral in two dimensions.
fn chain_places(case: &Case, dimensions: usize) -> String {
    let place = |i: u32| match dimensions {
        1 => vec![f64::from(i)],
        _ => vec![
            f64::from(i) * (f64::from(i) / 9.0).cos(),
            f64::from(i) * (f64::from(i) / 9.0).sin(),
        ],
    };
    write(case, "places.csv", (0..60).map(place))
}

/// The chain's observations as a table of three groups, and which parameters these inform: the files' paths.
fn chain_groups(case: &Case) -> (String, String) {
    let truth: Vec<f64> = (0..60).map(|i| (0.7 * f64::from(i)).sin()).collect();
    let observed: Vec<_> = super::answers::chain(&truth)
        .into_iter()
        .map(Some)
        .collect();
    let groups = ["x", "y", "z"].map(|group| [group; 20]).concat();
    let table = write_table(case, "table.csv", &observed, &groups);
    let file = case.file("groups.csv");
    let text = "u[1..20], x, z\nu[21..40], x, y\nu[41..60], y, z\nu[7], y\n";
    std::fs::write(&file, text).expect("a file");
    (table, file.display().to_string())
}

/// Factors of the chain's parameters that fall with the distance from each observation, in a file.
fn chain_taper(case: &Case) -> String {
    let factor = |k: i32, i: i32| (1.0 - f64::from((k - i).abs()) / 8.0).max(0.0);
    let row = |k: i32| (0..60).map(|i| factor(k, i)).collect::<Vec<_>>();
    write_matrix(case, "taper.npy", &(0..60).map(row).collect::<Vec<_>>())
}

fn bits() {
    let kinds = [
        ("threshold", "method.kind=kalman"),
        ("{ threshold = 2 }", "method.kind=eki"),
        ("fisher", "method.kind=kalman"),
        ("distance", "method.kind=kalman"),
        ("distance", "method.kind=eki"),
        ("groups", "method.kind=kalman"),
        ("taper", "method.kind=kalman"),
    ];
    let mut found = Vec::new();
    for (localise, method) in kinds {
        let sets = [method, "method.h_schedule=level", "method.h=0.3"];
        let (case, _, run) = chain(&sets);
        let run = match localise {
            "distance" => run.set(by_distance(6.0, &chain_places(&case, 2))),
            "groups" => {
                let (table, groups) = chain_groups(&case);
                run.set(format!("data.observations={table}"))
                    .set(format!("method.localise={{ groups = {groups:?} }}"))
            }
            "taper" => run.set(format!(
                "method.localise={{ taper = {:?} }}",
                chain_taper(&case)
            )),
            other => run.set(format!("method.localise={other}")),
        };
        let (out, _) = case.finish(&run, "1");
        for (ranks, threads) in [(2, 2), (3, 1), (5, 1)] {
            let (other, _) = case.finish(&run.on(ranks, threads), &format!("{ranks}"));
            assert_eq!(
                digest(&other),
                digest(&out),
                "{localise} {method} on {ranks}"
            );
        }
        // Cut after a step, and resumed on other ranks.
        let cut = case.file("cut");
        assert_eq!(
            end(&mut run.clone().set("run.steps=1").on(2, 1).command(&cut)).code,
            0
        );
        assert_eq!(end(run.on(3, 1).command(&cut).arg("--resume")).code, 0);
        assert_eq!(digest(&cut), digest(&out), "{localise} {method} resumed");
        found.push(digest(&out));
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), kinds.len());
}

/// Twenty members span nineteen directions of sixty: localised, they find all.
fn threshold() {
    let off = |localise: &dyn Fn(&Case) -> String| {
        let (case, truth, run) = chain(&["run.steps=20", "run.stop_at_misfit=1"]);
        let (out, _) = case.finish(&run.set(localise(&case)), "out");
        let squares = super::runs::found(&out).into_iter().zip(&truth);
        (squares.map(|(u, truth)| (u - truth).powi(2)).sum::<f64>() / 60.0).sqrt()
    };
    let none = off(&|_| "method.localise=none".to_owned());
    let threshold = off(&|_| "method.localise=threshold".to_owned());
    let distance = off(&|case| by_distance(4.0, &chain_places(case, 1)));
    assert!(none > 0.3, "{none}");
    assert!(threshold < 0.15, "{threshold}");
    assert!(distance < 0.1, "{distance}");
}

/// With more outputs than members the gain is found by the members' side: three outputs of five members, and each output twice with
/// twice the noise, are the same step.
fn by_members() {
    for localise in ["sec", "{ threshold = 1.4 }", "fisher"] {
        let set = format!("method.localise={localise}");
        let (once, twice) = (one_step(&[&set]), one_step_of(2, &[&set]));
        let apart = most_apart(&once, &twice);
        assert!(apart < 1e-5, "{localise}: {once:?} {twice:?}");
        assert!(most_apart(&once, &one_step(&[])) > 0.01, "{localise}");
    }
}

/// Writes `factors`, K x P, to the .npy file `name` of `case`.
fn write_matrix(case: &Case, name: &str, factors: &[Vec<f64>]) -> String {
    let mut bytes = eki_mpi::io::npy::header(factors.len(), factors[0].len());
    bytes.extend(factors.concat().iter().flat_map(|x| x.to_le_bytes()));
    let path = case.file(name);
    std::fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

/// Writes the table of `observed` values, each in the group of its place in `groups`, to the file `name` of `case`; blank: not observed.
fn write_table(case: &Case, name: &str, observed: &[Option<f64>], groups: &[&str]) -> String {
    let mut text = "name,value,group\n".to_owned();
    for (i, (value, group)) in observed.iter().zip(groups.iter().cycle()).enumerate() {
        let value = value.map_or(String::new(), |value| value.to_string());
        text += &format!("y{i},{value},{group}\n");
    }
    let path = case.file(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// What a parameter learns from its groups it learns where there are no other observations.
fn groups() {
    let case = Case::new("itself");
    let all = OBSERVED.map(Some);
    let of_two = [all[0], all[1], None];
    let table = |name: &str, observed: &[Option<f64>]| {
        let path = write_table(&case, name, observed, &["near", "near", "far"]);
        format!("data.observations={path}")
    };
    let (three, two) = (table("three.csv", &all), table("two.csv", &of_two));
    let file = case.file("groups.csv");
    let text = "# parameters, groups\na, near\nb\nc, near\nc, far\n";
    std::fs::write(&file, text).expect("a file");
    let set = format!(
        "method.localise={{ groups = {:?} }}",
        file.display().to_string()
    );
    let localised = one_step(&[&three, &set]);
    let column = |members: &[Vec<f64>], i: usize| -> Vec<Vec<f64>> {
        members.iter().map(|u| vec![u[i]]).collect()
    };
    let same = |i: usize, other: &[Vec<f64>]| {
        let apart = most_apart(&column(&localised, i), &column(other, i));
        assert!(apart < 1e-6, "parameter {i}: {localised:?} {other:?}");
    };
    same(0, &one_step(&[&two]));
    same(1, &MEMBERS.map(|u| u.to_vec()));
    same(2, &one_step(&[&three]));
    // EKI's own step has no gain: a parameter's move is a sum over its observations.
    let eki = |sets: &[&str]| {
        one_step(
            &[
                &["method.kind=eki", "method.step=fixed", "method.h=0.1"],
                sets,
            ]
            .concat(),
        )
    };
    let localised = eki(&[&three, &set]);
    let apart = most_apart(&column(&localised, 0), &column(&eki(&[&two]), 0));
    assert!(apart < 1e-6, "{localised:?}");
}

fn taper() {
    let case = Case::new("itself");
    let set = |name: &str, factors: &[Vec<f64>]| {
        let path = write_matrix(&case, name, factors);
        format!("method.localise={{ taper = {path:?} }}")
    };
    let none = one_step(&[]);
    let ones = one_step(&[&set("ones.npy", &vec![vec![1.0; 3]; 3])]);
    assert!(most_apart(&ones, &none) < 1e-6, "{ones:?} {none:?}");
    // Half of the gain of the first parameter, none of the second, all of the third.
    let some = one_step(&[&set("some.npy", &vec![vec![0.5, 0.0, 1.0]; 3])]);
    let mut expected = none;
    for (u, start) in expected.iter_mut().zip(MEMBERS) {
        u[0] = (u[0] + start[0]) / 2.0;
        u[1] = start[1];
    }
    assert!(most_apart(&some, &expected) < 1e-6, "{some:?}");
}

/// The largest difference of two ensembles.
fn most_apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let both = a.concat().into_iter().zip(b.concat());
    both.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The mean that `replay` tells of a run without localisation is that of a run whose one step, of h = 1, is localised.
fn replayed() {
    let sets = ["run.steps=1", "method.h_schedule=level", "method.h=1"];
    let (case, _, run) = chain(&sets);
    let distance = by_distance(6.0, &chain_places(&case, 2));
    let (none, _) = case.finish(&run, "none");
    let replay = |out: &std::path::Path, more: &[&str]| {
        let told = end(alone().arg("replay").arg(out).arg("--json").args(more));
        assert_eq!(told.code, 0, "{}", told.stderr);
        let json: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
        json
    };
    for localise in [
        "method.localise=sec",
        "method.localise=threshold",
        "method.localise=fisher",
        &distance,
    ] {
        let name = localise.replace('/', " ");
        let (out, _) = case.finish(&run.clone().set(localise), &name);
        let wanted = super::runs::found(&out);
        // And of the localised run itself, where localisation is its own.
        for (found, key) in [
            (replay(&none, &["--set", localise]), "is"),
            (replay(&out, &[]), "was"),
        ] {
            assert_eq!(found["first_step"], true);
            for (p, wanted) in wanted.iter().enumerate() {
                let median = found["parameters"][p][key][0].as_f64().expect("a number");
                assert!(
                    (median - wanted).abs() < 1e-9,
                    "{localise} {p}: {median} {wanted}"
                );
            }
        }
    }
    let folder = none.to_str().expect("text");
    let told = end(alone().args(["replay", folder, "--set", "method.localise=sec"]));
    assert!(
        told.stdout
            .contains("one step of the 20 first members, as if outputs were linear")
    );
    let steps = [
        "replay",
        folder,
        "--set",
        "method.localise=sec",
        "--step",
        "1",
    ];
    case.refused(&end(alone().args(steps)), &["--step 1", "must be 0"]);
}

fn kept() {
    let (case, _, run) = chain(&[]);
    let places = chain_places(&case, 1);
    let run = run.set(by_distance(4.0, &places));
    let (out, _) = case.finish(&run, "out");
    let whole = std::fs::read(&places).expect("a file");
    let copy = out.join("parameters-places.txt");
    assert_eq!(std::fs::read(copy).expect("a copy"), whole);
    let longer = run.set("run.steps=4");
    let go_on = || end(longer.command(&out).arg("--resume"));
    std::fs::write(
        &places,
        String::from_utf8(whole)
            .expect("text")
            .replacen("59", "58", 1),
    )
    .expect("a file");
    let ended = go_on();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.complaints()[0].contains("on other data"), "{ended:?}");
    // The run itself has all that its page and its answers need.
    std::fs::remove_file(&places).expect("a file");
    let ended = end(alone().arg("evaluate").arg(&out));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

fn refused() {
    let (case, _, run) = chain(&[]);
    let places = chain_places(&case, 1);
    let few = write(&case, "few.csv", (0..59).map(|i| vec![f64::from(i)]));
    let four = write(&case, "four.csv", (0..60).map(|i| vec![f64::from(i); 4]));
    let plane = write(&case, "plane.csv", (0..60).map(|i| vec![f64::from(i); 2]));
    let nan = write(
        &case,
        "nan.csv",
        (0..60).map(|i| vec![if i == 7 { f64::NAN } else { 1.0 }]),
    );
    let one = |i: usize| {
        (0..60)
            .map(|j| f64::from(u8::from(i == j)))
            .collect::<Vec<f64>>()
    };
    let r = write(&case, "r.csv", (0..60).map(one));
    let correlated = format!("model.prior_correlation={r}");
    let with = |parameters: &str, observations: &str| {
        format!(
            "method.localise={{ distance = 4, parameters = {parameters:?}, observations = {observations:?} }}"
        )
    };
    let good = with(&places, &places);
    let (table, _) = chain_groups(&case);
    let table = format!("data.observations={table}");
    let by_groups = |name: &str, text: &str| {
        let path = case.file(name);
        std::fs::write(&path, text).expect("a file");
        format!(
            "method.localise={{ groups = {:?} }}",
            path.display().to_string()
        )
    };
    let all = "*, x, y, z\n";
    let taper = |name: &str, factors: &[Vec<f64>]| {
        let path = write_matrix(&case, name, factors);
        format!("method.localise={{ taper = {path:?} }}")
    };
    let mut beyond = vec![vec![1.0; 60]; 60];
    beyond[2][6] = 1.5;
    let uneven = good.replace("= 4,", "= [1, 2],");
    for (sets, told) in [
        (
            &[&*with(&few, &places)][..],
            &["few.csv", "59 lines", "60 parameters"][..],
        ),
        (
            &[&with(&places, &few)],
            &["few.csv", "59 lines", "60 observations"],
        ),
        (&[&with(&four, &four)], &["four.csv", "4 coordinates"]),
        (
            &[&with(&plane, &places)],
            &["places.csv", "1 coordinates", "plane.csv has 2"],
        ),
        (
            &[&with(&nan, &places)],
            &["nan.csv", "not finite in line 8"],
        ),
        (&[&uneven], &["places.csv", "gives 2 distances"]),
        (&[&with("none.csv", &places)], &["none.csv"]),
        (
            &[&good, "method.form=explicit"],
            &["method.localise", "factored form"],
        ),
        (
            &[&good, "method.kind=etki"],
            &["method.localise", "must be \"none\""],
        ),
        (
            &[&good, "method.tikhonov=1", "method.perturb=false"],
            &["method.localise", "tikhonov"],
        ),
        (&[&good, &correlated], &["method.localise", "independent"]),
        (
            &[&by_groups("plain.csv", all)],
            &["plain.csv", "column `group`"],
        ),
        (
            &[&table, &by_groups("unknown.csv", "*, x, y, w\n")],
            &["unknown.csv", "line 1", "\"w\" is no group", "x, y, z"],
        ),
        (
            &[&table, &by_groups("nobody.csv", "v, x\n")],
            &["nobody.csv", "\"v\" is no free parameter"],
        ),
        (
            &[&table, &by_groups("range.csv", "u[5..2], x\n")],
            &["range.csv", "u[5..2]", "NAME[FIRST..LAST]"],
        ),
        (
            &[&table, &by_groups("some.csv", "u[1..59], x, y, z\n")],
            &["some.csv", "no line for the parameter u[60]"],
        ),
        (
            &[&table, &by_groups("two.csv", "*, x, y\n")],
            &["two.csv", "no line with the group \"z\""],
        ),
        (
            &[&taper("rows.npy", &vec![vec![1.0; 60]; 59])],
            &["rows.npy", "[59, 60]", "60 rows"],
        ),
        (
            &[&taper("columns.npy", &vec![vec![1.0; 59]; 60])],
            &["columns.npy", "59 columns", "60 parameters"],
        ),
        (
            &[&taper("beyond.npy", &beyond)],
            &["beyond.npy", "1.5 in row 3, column 7", "from 0 to 1"],
        ),
        (&["method.localise={ taper = \"none.npy\" }"], &["none.npy"]),
        (
            &["method.localise=fisher", "ensemble.members=3"],
            &["method.localise", "at least 4"],
        ),
        (
            &["method.localise=near"],
            &["method.localise", "\"threshold\""],
        ),
        (
            &["method.localise={ distance = 4 }"],
            &["method.localise", "observations = FILE"],
        ),
    ] {
        let run = sets.iter().fold(run.clone(), |run, set| run.set(*set));
        case.refused(&end(&mut run.command(&case.file("a/run"))), told);
    }
    let ended = end(alone().args(["run", "digits", "--set", &good]));
    assert!(
        ended.code == 2 && ended.complaints()[0].contains("process"),
        "{ended:?}"
    );
}
