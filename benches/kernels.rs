//! Micro-benchmarks by criterion: products, packing, the interaction and whole steps, sizes in their names.
//!
//!     cargo bench --bench kernels [-- PART OF A NAME]
//!
//! Products and updates of a block run on one thread, the rest on all cores and one rank. The network's side of the
//! exchange is measured by `eki-mpi plan --calibrate` under mpirun, and whole runs on ranks by the bench `scaling`.

use eki_mpi::config::MethodKind;
use eki_mpi::ensemble::transform;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use eki_mpi::config::Resolved;
use eki_mpi::data::folder::data_dir;
use eki_mpi::ensemble::survivors::Survivors;
use eki_mpi::ensemble::transform::Form;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::kernels::bfloat::pair_of;
use eki_mpi::kernels::bfloat::windows;
use eki_mpi::kernels::bfloat::windows::{Summer, Sums, WindowShape, WindowSums};
use eki_mpi::kernels::buffers::{Aligned, BufferPool};
use eki_mpi::kernels::panel::Packed;
use eki_mpi::kernels::real::product;
use eki_mpi::method::loss::Loss;
use eki_mpi::method::outputs::Outputs;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::partition::Partition;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::parallel::slab::{Layout, Members, Slab};
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::Reporter;
use eki_mpi::run::timing::Timing;
use eki_mpi::run::{self};
use ndarray::Array2;

fn numbers(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7919 + j * 104_729) % 997) as f32 / 5000.0 - 0.1
    })
}

/// Products of the sizes a step has, as flops a second.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    for (m, k, n, what) in [
        (512, 1024, 512, "calibration"),
        (2000, 2000, 512, "explicit update"),
        (2000, 600, 512, "factored update"),
        (100, 784, 600, "784-100 on 600"),
        (10, 100, 600, "100-10 on 600"),
    ] {
        let (a, b, mut out) = (numbers(m, k), numbers(k, n), Array2::zeros((m, n)));
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        group.bench_function(format!("{m}x{k} by {k}x{n}, {what}"), |bench| {
            bench.iter(|| product(out.view_mut(), 0.0, 1.0, a.view(), b.view()));
        });
    }
}

/// A convolution's sums in mixed precision, 3 x 3 from 16 channels to 16 units, four places of sixteen samples at once: those
/// of an image's line, as flops a second.
fn windows(c: &mut Criterion) {
    let (side, pairs, units) = (28, 8, windows::UNITS);
    let line = side * pairs;
    let shape = WindowShape {
        height: 3,
        length: 3 * pairs,
        down: line,
        along: pairs,
    };
    let mut weights = Aligned::<f32>::zeros(shape.weights(units));
    let number = |o: usize, run: usize, k: usize| ((o * 7919 + run * 31 + k) % 997) as f32 / 5000.0;
    shape.put_weights(
        units,
        bytemuck::cast_slice_mut(&mut weights),
        |o, run, k| pair_of(number(o, run, k), -number(k, run, o)),
    );
    let biases = Aligned::<f32>::zeros(units * windows::LANES);
    let rows = 3 * line + windows::BEYOND;
    let mut inputs = Aligned::<f32>::zeros(rows * windows::LANES);
    for (i, pair) in bytemuck::cast_slice_mut::<_, u32>(&mut inputs)
        .iter_mut()
        .enumerate()
    {
        *pair = pair_of(number(i, 0, 0), number(0, 0, i));
    }
    let at = |place: usize| WindowSums {
        shape,
        weights: bytemuck::cast_slice(&weights),
        biases: &biases,
        units,
        inputs: bytemuck::cast_slice(&inputs),
        first: place * pairs,
        places: windows::PLACES,
    };
    let places: Vec<_> = (0..side - 2).step_by(windows::PLACES).collect();
    let places = &places[..places.len() - 1]; // all of them whole
    let flops = 2 * units * 9 * 2 * pairs * windows::LANES * windows::PLACES * places.len();
    let mut group = c.benchmark_group("window of bfloat16");
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function(
        "3x3, 16 channels to 16 units, a line of 24 places",
        |bench| {
            let (mut summer, mut sums) = (Summer::ready(), Sums::default());
            bench.iter(|| {
                for &place in places {
                    summer.sum(&at(place), &mut sums);
                    black_box(&mut sums);
                }
            });
        },
    );
}

/// The update of one block of 512 columns, of J = 2000 members and K = 600 outputs.
fn updates(c: &mut Criterion) {
    let (j, k, width) = (2000, 600, 512);
    let survivors = Survivors::new(vec![true; j]);
    let mut group = c.benchmark_group("update of a block");
    let mut u = numbers(j, width);
    let d = Packed::of(numbers(j, j).view());
    let mut scratch = vec![0.0; transform::update_scratch(Form::Explicit, j, k, width)];
    group.throughput(Throughput::Elements((2 * j * j * width) as u64));
    group.bench_function(format!("explicit, J {j}"), |bench| {
        bench.iter(|| transform::update_explicit(&mut u, &d, 1e-6, &survivors, &mut scratch));
    });
    let d = d.paired(&BufferPool::default());
    group.bench_function(format!("explicit in mixed precision, J {j}"), |bench| {
        bench.iter(|| transform::update_explicit(&mut u, &d, 1e-6, &survivors, &mut scratch));
    });
    let (v, w) = (
        Packed::of(numbers(j, k).view()),
        Packed::of(numbers(k, j).view()),
    );
    let mut scratch = vec![0.0; transform::update_scratch(Form::Factored, j, k, width)];
    group.throughput(Throughput::Elements((4 * j * k * width) as u64));
    group.bench_function(format!("factored, J {j}, K {k}"), |bench| {
        bench.iter(|| transform::update_factored(&mut u, (&v, &w), 1e-6, &survivors, &mut scratch));
    });
    let buffers = BufferPool::default();
    let (v, w) = (v.paired(&buffers), w.paired(&buffers));
    group.bench_function(
        format!("factored in mixed precision, J {j}, K {k}"),
        |bench| {
            bench.iter(|| {
                transform::update_factored(&mut u, (&v, &w), 1e-6, &survivors, &mut scratch)
            });
        },
    );
}

/// Members gathered from their column blocks, as each is just before the forward map.
fn layouts(c: &mut Criterion, ranks: Ranks) {
    let mut group = c.benchmark_group("gather");
    for (j, p) in [(2000, 7850), (2000, 79_510)] {
        let layout = Layout::new(ranks.comm, j, p);
        let slab = Slab::<f32>::fill(ranks.comm, ranks.pool, &layout, |_, _, block| {
            block.fill(0.5)
        });
        let members = Members::new(&slab);
        let mut out = vec![0.0_f32; p];
        let mut next = 0;
        group.throughput(Throughput::Bytes((4 * p) as u64));
        group.bench_function(format!("a member of {p} parameters from J {j}"), |bench| {
            bench.iter(|| {
                // Far from the last: members come from memory.
                next = (next + 37) % j;
                members.gather(&slab, next, &mut out);
                black_box(&mut out);
            });
        });
    }
}

/// D or its factors from the outputs of all members, slabs packed and norm included.
fn interactions(c: &mut Criterion, ranks: Ranks) {
    let mut group = c.benchmark_group("interaction");
    group.sample_size(10);
    for (form, name, j, k, gain) in [
        (Form::Factored, "factored", 2000, 600, None),
        (Form::Factored, "factored", 6000, 600, None),
        (Form::Explicit, "explicit", 2000, 600, None),
        (Form::Explicit, "explicit", 2000, 6000, None),
        (Form::Mean, "mean", 2000, 600, None),
        (Form::Factored, "factored with gain", 2000, 600, Some(1.0)),
        (Form::Explicit, "explicit with gain", 2000, 600, Some(1.0)),
        (Form::Mean, "mean with gain", 2000, 600, Some(1.0)),
        (Form::Mean, "mean with gain", 600, 2000, Some(1.0)),
    ] {
        let selected = numbers(j, k).mapv(|x| x.abs() + 0.05);
        let outputs = Outputs {
            selected: &selected,
            targets: &vec![1.0; k],
            loss: &Loss::CrossEntropy { delta: 0.005 },
            survivors: &Survivors::new(vec![true; j]),
            members: Partition::new(j, 1),
            samples: None,
            gain,
            points: None,
            noise: None,
            second_order: false,
            coefficients: None,
            sampler: None,
            localisation: None,
            mixed: false,
            buffers: &BufferPool::default(),
        };
        group.bench_function(format!("{name}, J {j}, K {k}"), |bench| {
            let kind = match gain {
                Some(_) => MethodKind::Kalman,
                None => MethodKind::Eki,
            };
            let method = eki_mpi::method::of(kind, form);
            bench.iter(|| method.transform(&outputs, ranks));
        });
    }
}

/// Whole steps on the embedded digits: medians of runs as long as criterion asks for.
fn steps(c: &mut Criterion, ranks: Ranks) {
    let mut group = c.benchmark_group("step on digits");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for (name, sets) in [
        ("64-32-10, explicit, J 574, m 287", &[][..]),
        (
            "64-100-10, factored, J 2000, m 287",
            &["model.layers=[64,100,10]", "ensemble.members=2000"],
        ),
        (
            "64-100-10, mean, J 2000, m 287",
            &[
                "model.layers=[64,100,10]",
                "ensemble.members=2000",
                "ensemble.rerandomise=step",
            ],
        ),
        (
            "64-100-10, mean, low-rank draws, J 2000, m 287",
            &[
                "model.layers=[64,100,10]",
                "ensemble.members=2000",
                "ensemble.rerandomise=step",
                "ensemble.draw=low-rank",
            ],
        ),
    ] {
        group.bench_function(name, |bench| {
            bench.iter_custom(|steps| {
                let seconds = median_step(ranks, sets, steps.max(3));
                Duration::from_secs_f64(seconds * steps as f64)
            });
        });
    }
}

/// Seconds of the median step of a run of `steps` steps.
fn median_step(ranks: Ranks, sets: &[&str], steps: u64) -> f64 {
    let plain = ["run.best=never", "run.evaluate_every=0"].map(str::to_owned);
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let all = [&plain[..], &sets[..], &[format!("run.steps={steps}")]].concat();
    let resolved = Resolved::new("digits", &all).expect("settings");
    let given = LoadedProblem::load(&resolved, &data_dir(None)).expect("digits are embedded");
    let shape = given.shape();
    let problem = given.problem::<f32>(&resolved).expect("a network");
    let plan = Plan::new(resolved, shape, problem.map.parameters()).expect("a plan");
    let mut timing = Timing::default();
    run::run(ranks, &plan, &problem, &mut Reporter::silent(), &mut timing).expect("a run");
    timing.steps().expect("steps").median
}

fn main() {
    let universe = mpi::initialize().expect("MPI");
    let comm = Comm::new(universe.world());
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    let ranks = Ranks {
        comm: &comm,
        pool: &pool,
    };
    let mut criterion = Criterion::default().configure_from_args();
    products(&mut criterion);
    windows(&mut criterion);
    updates(&mut criterion);
    layouts(&mut criterion, ranks);
    interactions(&mut criterion, ranks);
    steps(&mut criterion, ranks);
    criterion.final_summary();
}
