//! `eki-mpi check-model FILE.toml`: a simulator tried before a run relies on it.

use std::fmt::Write as _;

use clap::Args;
use eki_mpi::config::{Interval, Resolved};
use eki_mpi::error::Result;
use eki_mpi::files::numbers::number;
use eki_mpi::forward::load;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::process::{Process, Renewed};
use eki_mpi::forward::random_field::RandomField;
use eki_mpi::method::loss::Loss;
use eki_mpi::run::check_simulator;
use eki_mpi::run::check_simulator::{Answer, Contract, Findings, Nonsense};
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::too_few;

/// Which simulator, and how long it is waited for.
#[derive(Clone, Debug, Args)]
pub struct CheckArguments {
    /// The configuration file of a run with a simulator
    #[arg(value_name = "FILE.toml")]
    source: String,
    /// Change a key, as in --set model.timeout=5min
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Members of the prior that are simulated
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    members: u16,
    /// How long an answer is waited for, where model.timeout does not say
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    patience: Interval,
}

/// Answers `eki-mpi check-model`: what was found, and whether a run may begin.
pub fn answer(arguments: &CheckArguments, data_dir: &std::path::Path) -> Result<(String, bool)> {
    let mut resolved = Resolved::new(&arguments.source, &arguments.sets)?;
    for text in &resolved.warnings {
        eki_mpi::parallel::abort::say(text);
    }
    let given = LoadedProblem::load(&resolved, data_dir)?;
    let limit = resolved.config.model.timeout.0.or(arguments.patience.0);
    resolved.config.model.timeout = Interval(limit);
    let observed = given.table();
    let Some(process) = load::process(&resolved, &observed)? else {
        let allowed = "must be \"process\": check-model tries the simulator that a run starts";
        return Err(resolved.error("model.kind", allowed));
    };
    let parameters = process.joint_prior().coordinates();
    let plan = Plan::with_noise(resolved, given.noise(), given.shape(), parameters)?
        .with_table(observed)?
        .localised_by(given.tapers())?;
    if plan.table.sets.is_empty() {
        let given = (given.observations(), &plan.loss);
        return tried(arguments, &plan, &process, given);
    }
    // Each set has a simulator, observations and noise of its own.
    let (mut text, mut all_sound) = (String::new(), true);
    for (set, part) in plan.table.sets.iter().zip(process.parts()) {
        let own: Vec<f64> = set
            .places
            .iter()
            .map(|&place| given.observations()[place])
            .collect();
        let loss = plan.loss.of_outputs(&set.places);
        text += &format!("set {}\n", set.name);
        let (found, is_sound) = tried(arguments, &plan, part, (&own, &loss))?;
        text += &found;
        all_sound &= is_sound;
    }
    Ok((text, all_sound))
}

/// Tries `process` on its `observations` with their `loss`; returns what was found and is advised, and whether a run may begin.
fn tried(
    arguments: &CheckArguments,
    plan: &Plan,
    process: &Process,
    (observations, loss): (&[f64], &Loss),
) -> Result<(String, bool)> {
    let contract = Contract {
        process,
        observations,
        loss,
        seed: plan.config().seed,
    };
    let set = process.asked_for().0.set.as_deref();
    let findings = contract
        .check(usize::from(arguments.members))
        .map_err(|failure| check_simulator::refused(&plan.resolved, &failure, set))?;
    let table = table(plan, &contract, &findings);
    let against = against(&contract, &findings);
    let is_sound = against.is_none();
    let advice = against.unwrap_or_else(|| advice(plan, &contract, &findings, &arguments.source));
    Ok((format!("{table}{advice}\n"), is_sound))
}

/// Returns the lines on what is tried: the command, its sizes, the fields of its prior, and an estimated noise.
fn head(plan: &Plan, contract: &Contract) -> String {
    let (prior, k) = (contract.process.joint_prior(), contract.observations.len());
    let fields: usize = prior.fields().map(RandomField::coordinates).sum();
    let p = match (prior.parameters(), prior.coordinates()) {
        (all, free) if fields > 0 => {
            format!("{all} parameters ({free} coordinates, {fields} of them of fields)")
        }
        (all, free) if all == free => format!("{all} parameters"),
        (all, free) => format!("{all} parameters ({free} free)"),
    };
    let mut text = format!(
        "{}: {}, {p}, {k} observations\n",
        plan.resolved.name,
        plan.config().model.command.join(" ")
    );
    text.extend((prior.fields()).map(|field| format!("  {}\n", field.description())));
    let estimated = plan.noise.estimated.iter();
    text.extend(estimated.map(|line| format!("  {line}\n")));
    text
}

fn table(plan: &Plan, contract: &Contract, f: &Findings) -> String {
    let k = contract.observations.len();
    let mut text = head(plan, contract);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<28} {value}");
    };
    let took = format!("{} s with its start", number(f.centre.seconds, 3));
    line(
        "the prior's centre",
        match &f.centre.outputs {
            Ok(outputs) => format!(
                "{k} finite numbers, {took}, misfit {}",
                number(contract.misfit(outputs), 4)
            ),
            Err(failure) => format!("no outputs, {took}: {failure}"),
        },
    );
    let outputs = f.outputs();
    line("members", told_members(f));
    line(
        "seconds a member",
        spread(f.members.iter().map(|a| a.seconds).collect()),
    );
    line("the same question twice", told_repeated(f.repeated));
    line("two at the same time", told_together(f));
    let far = contract.far(f, plan.config().method.outlier_ratio);
    if !far.is_empty() {
        let beyond = plan.config().method.outlier_ratio;
        line(
            "members too far to count",
            format!("{} (method.outlier_ratio = {beyond:e})", told_places(&far)),
        );
    }
    if !outputs.is_empty() {
        let misfits = outputs.iter().map(|z| contract.misfit(z)).collect();
        line(
            "misfit",
            spread(misfits) + " (1: as near as the noise lets it)",
        );
        line(
            "observations within reach",
            format!(
                "{} of {k} lie between what members give",
                contract.covered(f)
            ),
        );
        line("outputs that never move", told_still(plan, contract, f));
    }
    let nonsense = match &f.nonsense {
        Nonsense::Refused(how) => how,
        Nonsense::Answered => "answered with numbers, as if it were a member",
        Nonsense::Silence => "no answer",
    };
    line("a line that is no numbers", nonsense.to_owned());
    let ends = if f.ends {
        "it ends"
    } else {
        "it goes on, and is ended"
    };
    line("at the end of its input", ends.to_owned());
    if f.renewed.count > 0 {
        let Renewed { count, how } = &f.renewed;
        line(
            "started anew",
            format!("{count} times between two questions: it {how}"),
        );
    }
    text + &told_parameters(contract, f)
}

/// Returns how many members have outputs, and why the first that has none has none.
fn told_members(f: &Findings) -> String {
    let good = f.outputs().len();
    let first = f.members.iter().find_map(|a| a.outputs.as_ref().err());
    let why = first.map_or(String::new(), |failure| {
        format!("; the first that fails {failure}")
    });
    format!("{good} of {} with outputs{why}", f.members.len())
}

fn told_repeated(distance: Option<f64>) -> String {
    match distance {
        None => "no outputs to compare".to_owned(),
        Some(0.0) => "the same answer: deterministic".to_owned(),
        Some(d) => format!(
            "differs by {} deviations of the noise: not deterministic",
            number(d, 4)
        ),
    }
}

fn told_together(f: &Findings) -> String {
    match f.together {
        None => "fewer than two members have outputs".to_owned(),
        Some(f64::INFINITY) => "no outputs, where one alone has some".to_owned(),
        Some(_) if !f.clashes() => "the same answers as alone".to_owned(),
        Some(apart) => format!(
            "answers differ by {} deviations of the noise from those alone",
            number(apart, 4)
        ),
    }
}

fn told_places(places: &[usize]) -> String {
    let shown: Vec<String> = places.iter().take(8).map(|k| (k + 1).to_string()).collect();
    match places.len() {
        0 => "none".to_owned(),
        n if n > 8 => format!("{n}: number {} ...", shown.join(", ")),
        _ => format!("number {}", shown.join(", ")),
    }
}

/// Returns which outputs never move, by their names in a table of observations, else by their numbers.
fn told_still(plan: &Plan, contract: &Contract, f: &Findings) -> String {
    let still = f.still();
    if plan.table.names.is_empty() || still.is_empty() {
        return told_places(&still);
    }
    let place = |k: usize| match &contract.process.asked_for().0.set {
        Some(name) => {
            let set = plan.table.sets.iter().find(|set| set.name == *name);
            set.map_or(k, |set| set.places[k])
        }
        None => k,
    };
    let names = still.iter().take(8).map(|&k| plan.table.name(place(k)));
    let names = names.collect::<Vec<_>>().join(", ");
    match still.len() {
        n if n > 8 => format!("{n}: {names} ..."),
        _ => names,
    }
}

/// Least, median and largest.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| number(values[i], 4);
    let n = values.len();
    format!("{} .. {} .. {}", at(0), at(n / 2), at(n - 1))
}

/// Each parameter with the range of most of its prior, and what it moves.
fn told_parameters(contract: &Contract, f: &Findings) -> String {
    let prior = contract.process.joint_prior();
    let mut text = String::new();
    for (p, moved) in f.moved.iter().enumerate() {
        let (name, (low, high)) = prior.moved(p);
        let [low, high] = [low, high].map(|u| number(u, 5));
        let unknown = match f.centre.outputs {
            Ok(_) => "no outputs one deviation up",
            Err(_) => "not measured: there are no outputs at the prior's centre",
        };
        let moved = moved.map_or(unknown.to_owned(), |d| {
            format!("outputs move by {} deviations of the noise", number(d, 4))
        });
        let name = format!("{name} in {low} .. {high}");
        let _ = writeln!(text, "  {name:<40} {moved}");
    }
    text
}

/// Returns why a run should not begin, if it should not.
fn against(contract: &Contract, f: &Findings) -> Option<String> {
    let (good, all) = (f.outputs().len(), f.members.len());
    if 2 * good < all {
        return Some(format!(
            "{} of {all} members fail: narrow model.prior, or mend what the failures tell of",
            all - good
        ));
    }
    if f.clashes() {
        return Some(
            "two simulators at the same time give other answers than one alone, and a run asks one on each thread of each rank: do they \
             write to the same file? Let each work in a folder of its own"
                .to_owned(),
        );
    }
    let same = good > 1 && f.still().len() == contract.observations.len();
    let unmoved = f.moved.iter().all(|moved| *moved == Some(0.0));
    (same && unmoved).then(|| {
        format!(
            "all {good} members gave the same outputs, so that no observation can tell the parameters: does the simulator read \
             them?"
        )
    })
}

/// Returns the one sentence that matters most.
fn advice(plan: &Plan, contract: &Contract, f: &Findings, source: &str) -> String {
    let (good, all) = (f.outputs().len(), f.members.len());
    let k = contract.observations.len();
    let prior = contract.process.joint_prior();
    let unmoved = f.moved.iter().enumerate();
    let unmoved = unmoved
        .filter(|(_, moved)| **moved == Some(0.0))
        .map(|(p, _)| prior.moved(p).0);
    let unmoved: Vec<String> = unmoved.collect();
    if !unmoved.is_empty() {
        return format!(
            "no output moves with {}: no observation can tell it",
            unmoved.join(", ")
        );
    }
    if f.repeated.is_some_and(|d| d > 1.0) {
        return "the simulator's own noise is larger than method.noise: average over it, or enlarge method.noise".to_owned();
    }
    if f.nonsense == Nonsense::Silence {
        return "a line it cannot read leaves it silent: let it answer \"failed\", or set model.timeout".to_owned();
    }
    if f.nonsense == Nonsense::Answered {
        return "it answers a line that is no numbers with numbers: let it read each number, and answer \"failed\" where it can't".to_owned();
    }
    if 2 * contract.covered(f) < k {
        return format!(
            "only {} of {k} observations lie between what members give: widen model.prior, or look at units and order",
            contract.covered(f)
        );
    }
    let rounds = plan.members(0);
    if let Some(text) = too_few(plan) {
        return text;
    }
    if good < all {
        return format!(
            "{} of {all} members fail, and a run leaves such members out and redraws them: narrow model.prior, mend what the \
             failures tell of, or set model.timeout where one may never answer",
            all - good
        );
    }
    let far = contract.far(f, plan.config().method.outlier_ratio);
    if !far.is_empty() {
        return format!(
            "{} of {all} members lie too far from the observations to count, and a run leaves such members out and redraws them: \
             narrow model.prior, or let the simulator answer \"failed\" there",
            far.len()
        );
    }
    if let Err(failure) = &f.centre.outputs {
        return format!(
            "there are no outputs at the prior's centre, so that what each parameter moves is not known: the simulator {failure}"
        );
    }
    let seconds: f64 = f.members.iter().map(|a: &Answer| a.seconds).sum::<f64>() / all as f64;
    format!(
        "all is well: `mpirun -n R eki-mpi run {source}` simulates {rounds} members a step, about {} s over R",
        number(seconds * rounds as f64, 3)
    )
}
