//! Whole runs through the library: the same digest on any number of ranks, and another as soon as one rank errs.

use std::path::Path;

use eki_mpi::config::Resolved;
use eki_mpi::data::{Dataset, Targets};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::prior::{Prior, Segment};
use eki_mpi::forward::{ForwardMap, MapShape};
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::partition::{BLOCK, Blocks, Partition};
use eki_mpi::run;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::Reporter;
use eki_mpi::run::stop::StopReason;
use eki_mpi::run::timing::Timing;
use ndarray::{Array2, ArrayView2, ArrayViewMut3};

use crate::{Check, Crowd};

pub const CHECKS: &[Check] = &[
    (
        "one_bit_off_in_one_ranks_draw_changes_the_digest",
        one_bit_off,
    ),
    ("a_run_sends_what_the_formula_says", bytes_of_a_run),
    ("a_loop_of_ones_own_asks_and_tells", asked_and_told),
    ("sizes_that_do_not_fit_are_errors_of_the_library", misfits),
];

/// A forward map as another, on a rank whose draws of one parameter may be off by one bit of its deviation.
struct Drawn {
    map: Box<dyn ForwardMap<f32>>,
    wrong: Option<usize>,
}

impl ForwardMap<f32> for Drawn {
    fn shape(&self) -> MapShape {
        self.map.shape()
    }
    fn group(&self) -> usize {
        self.map.group()
    }
    fn flops(&self, m: usize) -> f64 {
        self.map.flops(m)
    }
    fn scratch(&self, m: usize) -> usize {
        self.map.scratch(m)
    }
    fn prior(&self) -> Prior {
        let mut deviations = vec![0.0_f32; self.parameters()];
        self.map.prior().deviations(0, 1.0, &mut deviations);
        if let Some(wrong) = self.wrong {
            deviations[wrong] = f32::from_bits(deviations[wrong].to_bits() ^ 1);
        }
        let segment = |deviation| Segment {
            count: 1,
            deviation: f64::from(deviation),
        };
        Prior::new(deviations.into_iter().map(segment).collect())
    }
    fn evaluate(
        &self,
        members: ArrayView2<f32>,
        inputs: ArrayView2<f32>,
        outputs: ArrayViewMut3<f32>,
        scratch: &mut [f32],
    ) {
        self.map.evaluate(members, inputs, outputs, scratch);
    }
}

/// 64-23-10 on the digits, 43 members, 1735 parameters in four blocks, three steps.
const SETS: [&str; 9] = [
    "model.layers=[64, 23, 10]",
    "data.limit=100",
    "data.batch=33",
    "ensemble.members=43",
    "ensemble.rerandomise=never",
    "run.epochs=1",
    "run.evaluate_every=0",
    "run.best=never",
    "seed=3",
];

/// The digest of a run of `comm`'s ranks changed by `sets`, and the bytes this rank sent; `wrong` names a parameter that
/// this rank draws wrongly.
fn whole_run(crowd: &Crowd, comm: Comm, sets: &[&str], wrong: Option<usize>) -> (String, u64) {
    let sets: Vec<String> = SETS.iter().chain(sets).map(|s| (*s).to_owned()).collect();
    let resolved = Resolved::new("digits", &sets).expect("a sound configuration");
    let given = LoadedProblem::load(&resolved, Path::new("nowhere")).expect("embedded data");
    let shape = given.shape();
    let mut problem = given.problem::<f32>(&resolved).expect("a fitting model");
    problem.map = Box::new(Drawn {
        map: problem.map,
        wrong,
    });
    let plan = Plan::new(resolved, shape, problem.map.parameters()).expect("a sound plan");
    let (mut reporter, mut timing) = (Reporter::silent(), Timing::default());
    let (_, outcome) = run::run(
        crowd.ranks(&comm),
        &plan,
        &problem,
        &mut reporter,
        &mut timing,
    )
    .expect("a run");
    (outcome.digest, comm.bytes_sent())
}

/// The test of the test: were one rank to draw one parameter with its last bit wrong, the digests would tell.
fn one_bit_off(crowd: &Crowd) {
    let comm = crowd.comm();
    for sets in [
        &["method.form=explicit"][..],
        &["method.form=factored"],
        &["ensemble.rerandomise=epoch", "run.epochs=2"],
        &["ensemble.rerandomise=step", "method.form=explicit"],
    ] {
        let (sound, _) = whole_run(crowd, crowd.comm(), sets, None);
        crowd.same_bits(&sets.join(","), sound.as_bytes());
        // Some of the others near, some far.
        let (in_twos, _) = whole_run(crowd, crowd.comm().on_hosts_of(2), sets, None);
        assert_eq!(in_twos, sound, "{sets:?} on hosts of two ranks");
        // The last rank that updates a block draws its first parameter wrongly.
        let blocks = Blocks::new(1735).count();
        let owners = Partition::new(blocks, comm.size());
        let last = owners.owner(blocks - 1);
        let wrong = (comm.rank() == last).then(|| owners.range(last).start * BLOCK);
        let (faulty, _) = whole_run(crowd, crowd.comm(), sets, wrong);
        assert_ne!(faulty, sound, "{sets:?}");
    }
}

/// A step's volume in the explicit form: this rank's slab but for its own members, its members' outputs but for its
/// own samples, D, and for each member two numbers and for each block one, on which all ranks agree. Two more
/// exchanges: the members at the start, and at the end the scores' sums and the digests. Ranks that read each other's
/// slabs send nothing of them.
fn bytes_of_a_run(crowd: &Crowd) {
    bytes_of_a_run_of(crowd, &|| crowd.comm());
    bytes_of_a_run_of(crowd, &|| crowd.comm().on_hosts_of(1));
}

fn bytes_of_a_run_of(crowd: &Crowd, comm: &dyn Fn() -> Comm) {
    let sent = |steps| {
        let sets = ["method.form=explicit", steps];
        whole_run(crowd, comm(), &sets, None).1
    };
    let (one, three) = (sent("run.steps=1"), sent("run.steps=3"));
    let comm = comm();
    let (members, parameters, outputs) = (43, 1735, 33);
    let blocks = Blocks::new(parameters);
    let part = |items: usize| Partition::new(items, comm.size()).range(comm.rank());
    let columns: usize = part(blocks.count()).map(|b| blocks.range(b).len()).sum();
    let own = part(members).len();
    // K is less than J: outputs go to all, and so do the rows of D, which are made by the dozen.
    let dozens = part(members.div_ceil(12)).len();
    let sent_of_d = (own * outputs + dozens * 12 * members) * (comm.size() - 1);
    let far = if comm.near().len() == 1 {
        members - own
    } else {
        0
    };
    let step = 4 * (far * columns + sent_of_d) + 8 * (3 * members + blocks.count());
    let formula = if comm.size() == 1 { 0 } else { 2 * step as u64 };
    assert_eq!(three - one, formula, "bytes of two steps");
}

/// Observations of growth at twelve times, by members that the caller evaluates, of which those beyond a bound fail.
fn asked_and_told(crowd: &Crowd) {
    let comm = crowd.comm();
    let ranks = crowd.ranks(&comm);
    let observed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulator/observed.txt");
    let sets = [
        "model.prior=[\"rate uniform 0 1\", \"start normal 1 0.5\"]",
        &format!("data.observations={observed}"),
        "method.noise=0.01",
        "ensemble.members=13",
        "run.steps=3",
        "run.stop_at_misfit=0",
    ];
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    let resolved = Resolved::new("ask-tell", &sets).expect("a sound configuration");
    let given = LoadedProblem::load(&resolved, Path::new("nowhere")).expect("observations");
    let shape = given.shape();
    let problem = given.problem::<f64>(&resolved).expect("a map");
    let map = problem.map.ask_tell().expect("what is asked");
    let plan = Plan::new(resolved, shape, 2).expect("a sound plan");
    let mut state = run::State::start(ranks, &plan, &problem.map.prior()).expect("members");
    for step in 0..=3 {
        let (mut reporter, mut timing) = (Reporter::silent(), Timing::default());
        let around = (&mut reporter, &mut timing, &mut run::Checkpointer::none());
        let (reached, outcome) =
            run::run_from(ranks, &plan, &problem, state, around).expect("a step");
        assert_eq!(reached.step, step);
        if step == 3 {
            assert_eq!(outcome.stopped, None);
            return crowd.same_bits("told", outcome.digest.as_bytes());
        }
        assert_eq!(outcome.stopped, Some(StopReason::Asks));
        let open = map.open();
        assert_eq!(open.len(), 13);
        // In the order of members, and the same on all ranks.
        crowd.same_bits(
            &format!("asked-{step}"),
            bytemuck::cast_slice(&open.concat()),
        );
        for u in &open {
            let sizes = (0..12).map(|t| u[1] * libm::exp(u[0] * 0.1 * f64::from(t)));
            let told = map.tell(u, (u[1] < 1.6).then(|| sizes.collect()));
            told.expect("as many outputs as observations");
        }
        state = reached;
    }
}

/// A forward map of any sizes, whose outputs are 0: parameters, parameters of its prior, inputs and outputs.
#[derive(Clone, Copy)]
struct Sized(usize, usize, usize, usize);

impl ForwardMap<f32> for Sized {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.0,
            features: self.2,
            outputs: self.3,
        }
    }

    fn prior(&self) -> Prior {
        Prior::new(vec![Segment {
            count: self.1,
            deviation: 1.0,
        }])
    }

    fn evaluate(
        &self,
        _members: ArrayView2<f32>,
        _inputs: ArrayView2<f32>,
        mut outputs: ArrayViewMut3<f32>,
        _scratch: &mut [f32],
    ) {
        outputs.fill(0.0);
    }
}

/// What a caller puts together from parts that do not fit is an error on all ranks, and no panic and no result.
fn misfits(crowd: &Crowd) {
    let comm = crowd.comm();
    let sets: Vec<String> = SETS.iter().map(|s| (*s).to_owned()).collect();
    let resolved = Resolved::new("digits", &sets).expect("a sound configuration");
    let given = LoadedProblem::load(&resolved, Path::new("nowhere")).expect("embedded data");
    let plan = Plan::new(resolved.clone(), given.shape(), 7).expect("a sound plan");
    let run = |map: Sized, change: &dyn Fn(&mut Dataset)| {
        let mut problem = given.clone().problem::<f32>(&resolved).expect("a model");
        problem.map = Box::new(map);
        change(&mut problem.dataset);
        let (mut reporter, mut timing) = (Reporter::silent(), Timing::default());
        let ranks = crowd.ranks(&comm);
        run::run(ranks, &plan, &problem, &mut reporter, &mut timing).map(drop)
    };
    let sound = Sized(7, 7, 64, 10);
    for (map, words) in [
        (
            Sized(8, 8, 64, 10),
            "prior has 8 parameters, and the plan was made for 7",
        ),
        (
            Sized(8, 7, 64, 10),
            "map has 8 parameters, and the plan was made for 7",
        ),
        (
            Sized(7, 6, 64, 10),
            "prior has 6 parameters, and the plan was made for 7",
        ),
        (
            Sized(7, 7, 65, 10),
            "takes 65 inputs, and the plan was made for 64",
        ),
        (
            Sized(7, 7, 64, 11),
            "gives 11 outputs, and the plan was made for 10",
        ),
    ] {
        let error = run(map, &|_| ()).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let fewer = |data: &mut Dataset| data.train = data.train.select(&[0, 1, 2]);
    let narrower =
        |data: &mut Dataset| data.test.targets = Targets::Values(Array2::zeros((360, 1)));
    let mixed = |data: &mut Dataset| data.train.inputs = data.test.inputs.clone();
    for (change, words) in [
        (
            &fewer as &dyn Fn(&mut Dataset),
            "training set has 3 targets",
        ),
        (&narrower, "test set has 1 outputs a sample"),
        (&mixed, "training set has 360 rows of inputs"),
    ] {
        let error = run(sound, change).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(run(sound, &|_| ()).is_ok());
    let problem = given.problem::<f32>(&resolved).expect("a model");
    let plan = Plan::new(resolved, plan.data, problem.map.parameters()).expect("a plan");
    let state = run::State::<f32>::start(crowd.ranks(&comm), &plan, &problem.map.prior());
    assert!(state.expect("members").ensemble.centre().is_err());
}
