//! Advice: one sentence on what would make a run faster, from the shares of its time.

use crate::cost::StepShape;
use crate::ensemble::transform::Form;
use crate::report::account::Account;
use crate::report::environment::Environment;

/// The share of the run's time above which a phase is mentioned.
const NOTABLE: f64 = 0.15;

/// The phases that advice is on.
const CANDIDATES: [&str; 6] = [
    "wait",
    "exchange",
    "interaction",
    "evaluate",
    "report",
    "checkpoint",
];

/// Returns the first change to make. `forward` holds each rank's seconds in the forward map. Long because every cause has
/// its sentence here.
#[must_use]
pub fn advice(
    account: &Account,
    shape: &StepShape,
    environment: &Environment,
    forward: &[f64],
) -> String {
    if let Some(host) = environment.oversubscribed() {
        return format!(
            "more threads than cores: {} ranks with {} threads on the {} cores of {}; timings mean little",
            host.ranks.len(),
            host.threads,
            host.cores,
            host.name
        );
    }
    if let Some(load) = busy(account, environment) {
        let host = &environment.hosts[0];
        return format!(
            "other programs share the {} cores of {} (load {load:.1}): timings mean little",
            host.cores, host.name
        );
    }
    let idle = shape.idle();
    if idle > 0 {
        return format!(
            "{idle} of {} ranks had no member to evaluate: use fewer",
            shape.ranks
        );
    }
    let share = |name| account.phase(name).share;
    let percent = |name| format!("{:.0} %", 100.0 * share(name));
    let worst = CANDIDATES
        .into_iter()
        .filter(|&name| share(name) > limit(name, shape))
        // A single rank waits only for its simulators, briefly after each round.
        .filter(|&name| name != "wait" || shape.ranks > 1)
        .max_by(|a, b| {
            let beyond = |name| share(name) - limit(name, shape);
            beyond(a).total_cmp(&beyond(b))
        });
    match worst {
        Some("wait") => waiting(&percent("wait"), shape, environment, forward),
        Some("exchange") => format!(
            "exchange is exposed ({}): fewer ranks with more threads each",
            percent("exchange")
        ),
        Some("interaction") if shape.ranks > 1 => format!(
            "{} in the interaction, which every rank takes part in: fewer ranks with more threads each",
            percent("interaction")
        ),
        Some("interaction") if shape.form == Form::Explicit => format!(
            "{} in the interaction: a smaller batch, or method.form = \"factored\", makes it cheaper",
            percent("interaction")
        ),
        Some("evaluate") => format!(
            "{} on the test set: raise run.evaluate_every, or set run.best = \"never\"",
            percent("evaluate")
        ),
        Some(name @ ("report" | "checkpoint")) => writing(name, &percent(name), shape),
        // The operations of a simulator are unknown, but its time is known.
        _ if shape.flops_of_all().forward == 0.0 && share("forward") > 0.5 => format!(
            "{} in simulations: more ranks or threads, up to one for each of the {} members, shorten it",
            percent("forward"),
            shape.members
        ),
        _ if shape.simulates => "nothing stands out".to_owned(),
        _ if account.floor_share > 1.0 => format!(
            "the arithmetic ran at {:.0} % of the product rate, as measured at the run's end: the cores were busier then, and \
             the shares mean little",
            100.0 * account.floor_share
        ),
        _ => format!(
            "nothing stands out; the arithmetic runs at {:.0} % of the product rate",
            100.0 * account.floor_share
        ),
    }
}

/// Returns the load of rank 0's host over the last minute if it is well above the number of its cores.
fn busy(account: &Account, environment: &Environment) -> Option<f64> {
    let host = environment.hosts.first()?;
    let load = account.load?;
    // The mean over a minute says nothing about a run of seconds.
    (account.seconds >= 20.0 && load > 1.5 * host.cores as f64 + 0.5).then_some(load)
}

/// Returns the share of time above which a phase is mentioned.
fn limit(name: &str, shape: &StepShape) -> f64 {
    let flops = shape.flops_of_all();
    match name {
        // Its share of the time is expected to be as large as its share of the arithmetic.
        "interaction" => NOTABLE + 1.3 * flops.interaction / flops.total(),
        "evaluate" => 2.0 * NOTABLE,
        _ => NOTABLE,
    }
}

/// Returns how fewer bytes are written in the phase `name`, of which the share of the time is `percent`.
fn writing(name: &str, percent: &str, shape: &StepShape) -> String {
    match name {
        "checkpoint" => {
            format!("{percent} in checkpoints: raise checkpoint.every, such as to \"15min\"")
        }
        // Members and outputs of many steps go to files in this phase.
        _ if shape.keeps_steps_between() => format!(
            "{percent} in reporting and writing the history: output.history = \"ends\", or every so many steps, writes less, and so does a \
             larger run.report_every"
        ),
        _ => format!("{percent} in reporting: raise run.report_every"),
    }
}

/// Returns why ranks wait for each other.
fn waiting(percent: &str, shape: &StepShape, environment: &Environment, forward: &[f64]) -> String {
    let mean = forward.iter().sum::<f64>() / forward.len() as f64;
    let slow = (0..forward.len()).fold(0, |s, r| if forward[r] > forward[s] { r } else { s });
    let even = shape.members as f64 / shape.ranks as f64;
    let most = shape.members_of(0) as f64;
    if forward[slow] < 1.15 * mean {
        let batch = if shape.simulates {
            ""
        } else {
            ", or a larger batch"
        };
        format!(
            "{percent} waiting though no rank is slow: steps are short for {} ranks; use fewer{batch}",
            shape.ranks
        )
    } else if most > 1.15 * even {
        format!(
            "{percent} waiting: {} members do not split evenly over {} ranks",
            shape.members, shape.ranks
        )
    } else {
        format!(
            "{percent} waiting: rank {slow} on host {} is slow, {:.1} times the mean in the forward map",
            environment.host_of(slow),
            forward[slow] / mean
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resolved;
    use crate::forward::load::LoadedProblem;
    use crate::report::account::Times;
    use crate::report::environment::Host;
    use crate::run::plan::Plan;

    /// Returns the advice for `digits` on two ranks on hosts a and b, with `phases` of the given shares.
    fn said(phases: &[(&'static str, f64)], forward: &[f64], members: usize) -> String {
        said_at(0.5, false, (phases, forward, members))
    }

    /// Returns the advice at a fraction of the product rate, and for a simulator if `simulates`.
    fn said_at(
        floor_share: f64,
        simulates: bool,
        (phases, forward, members): (&[(&'static str, f64)], &[f64], usize),
    ) -> String {
        let sets = [
            "data.batch=479".to_owned(),
            format!("ensemble.members={members}"),
        ];
        let resolved = Resolved::new("digits", &sets).unwrap();
        let given = LoadedProblem::without_data(&resolved).unwrap();
        let map = given.map::<f32>(&resolved).unwrap();
        let plan = Plan::new(resolved, given.shape(), map.parameters()).unwrap();
        let mut shape = StepShape::of(&plan, map.as_ref(), forward.len(), 1);
        shape.simulates = simulates;
        let times = |share| Times {
            share,
            ..Times::default()
        };
        let account = Account {
            seconds: 100.0,
            seconds_before: 0.0,
            steps: 10,
            step_seconds: None,
            phases: phases
                .iter()
                .map(|&(name, share)| (name, times(share)))
                .collect(),
            members_samples_per_second: 0.0,
            gflops: 0.0,
            product_gflops: 0.0,
            floor_share,
            bytes_sent_per_step: 0,
            peak_rss: None,
            load: None,
            advice: String::new(),
        };
        let host = |(rank, name): (usize, &str)| Host {
            name: name.to_owned(),
            cpu: String::new(),
            cores: 1,
            bound: 1,
            ranks: vec![rank],
            threads: 1,
        };
        let environment = Environment {
            formats: crate::report::environment::Formats::NOW,
            program: "",
            rustc: None,
            mpi: String::new(),
            command: Vec::new(),
            folders: Vec::new(),
            started: String::new(),
            ranks: forward.len(),
            hosts: ["a", "b", "c"]
                .into_iter()
                .enumerate()
                .take(forward.len())
                .map(host)
                .collect(),
        };
        advice(&account, &shape, &environment, forward)
    }

    #[test]
    fn a_slow_rank_is_named_with_its_host() {
        let text = said(&[("wait", 0.31)], &[1.0, 3.0], 800);
        assert!(
            text.starts_with("31 % waiting: rank 1 on host b is slow"),
            "{text}"
        );
    }

    #[test]
    fn waiting_has_other_reasons_too() {
        assert!(said(&[("wait", 0.4)], &[1.0, 1.0], 800).contains("no rank is slow"));
        assert!(said(&[("wait", 0.4)], &[2.0, 1.0], 3).contains("do not split evenly"));
        assert!(said(&[("wait", 0.4)], &[1.0, 1.0, 1.0], 2).contains("no member to evaluate"));
    }

    #[test]
    fn one_rank_waits_for_no_other_and_a_simulator_has_no_batch() {
        let waits = [("wait", 0.5)];
        let alone = said(&waits, &[1.0], 800);
        assert!(alone.starts_with("nothing stands out; "), "{alone}");
        let alone = said_at(0.0, true, (&waits, &[1.0], 800));
        assert_eq!(alone, "nothing stands out");
        let several = said_at(0.0, true, (&waits, &[1.0, 1.0], 800));
        assert!(several.ends_with("for 2 ranks; use fewer"), "{several}");
    }

    #[test]
    fn a_rate_beyond_the_products_is_called_a_measurement_disturbed() {
        let of = (&[("forward", 0.9)][..], &[1.0, 1.0][..], 800);
        let text = said_at(1.43, false, of);
        assert!(
            text.starts_with("the arithmetic ran at 143 % of the product rate"),
            "{text}"
        );
        assert!(text.contains("mean little") && !text.contains("nothing stands out"));
    }

    #[test]
    fn the_phase_furthest_beyond_its_due_is_spoken_of() {
        let phases = [("exchange", 0.2), ("interaction", 0.3), ("evaluate", 0.31)];
        assert!(said(&phases, &[1.0, 1.0], 800).contains("exchange is exposed (20 %)"));
        assert!(said(&[("forward", 0.9)], &[1.0, 1.0], 800).contains("50 % of the product rate"));
        for (phase, key) in [
            ("report", "run.report_every"),
            ("checkpoint", "checkpoint.every"),
        ] {
            let text = said(&[(phase, 0.4), ("interaction", 0.3)], &[1.0, 1.0], 800);
            assert!(text.starts_with("40 % in") && text.contains(key), "{text}");
        }
    }
}
