//! The rate of each network's evaluation against that of one large product, on one thread: GFLOP/s and their ratio.
//!
//!     cargo bench --bench forward [-- NAME...]
//!
//! Other work on the machine slows whichever runs beside it, and the long product more than a short network, so the two
//! take turns, and each network's best counts against the best product of the whole run: a ratio no noise flatters. Operations are those of the definition; activations, softmax and pooling are not counted, but their time is.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use eki_mpi::forward::ForwardMap;
use eki_mpi::forward::activation::{Activation, Output};
use eki_mpi::forward::conv::Convolutional;
use eki_mpi::forward::dense::Dense;
use eki_mpi::forward::layers::Shape;
use eki_mpi::forward::recurrent::Recurrent;
use eki_mpi::real::product;
use ndarray::{Array2, Array3};

/// Samples of a batch.
const M: usize = 600;

/// Rounds each network is timed in.
const ROUNDS: usize = 20;

fn numbers(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7919 + j * 104_729) % 997) as f32 / 5000.0 - 0.1
    })
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn dense(layers: &[usize]) -> Box<dyn ForwardMap<f32>> {
    Box::new(Dense::new(
        layers.to_vec(),
        Activation::Relu,
        Output::Softmax,
    ))
}

fn conv(side: usize, channels: usize, layers: &str) -> Box<dyn ForwardMap<f32>> {
    let layers: Vec<_> = layers
        .split(", ")
        .map(|l| l.parse().expect("a layer"))
        .collect();
    let shape = Shape {
        channels,
        height: side,
        width: side,
    };
    let net = Convolutional::new(shape, &layers, Activation::Relu, Output::Softmax);
    Box::new(net.expect("a network"))
}

fn networks() -> Vec<(&'static str, Box<dyn ForwardMap<f32>>)> {
    let maps = (Activation::Tanh, Output::Softmax);
    vec![
        ("784-10", dense(&[784, 10])),
        ("784-100-10", dense(&[784, 100, 10])),
        ("784-500-300-100-10", dense(&[784, 500, 300, 100, 10])),
        (
            "CNN-MNIST",
            conv(
                28,
                1,
                "conv 16, conv 16, pool 4 2, conv 16, conv 16, pool 4 2, conv 12, conv 12, pool 2, dense 10",
            ),
        ),
        (
            "CNN-1",
            conv(
                32,
                3,
                "conv 16, conv 16, pool 2, conv 16, conv 16, pool 2, conv 32, conv 32, pool 8, dense 500, dense 10",
            ),
        ),
        (
            "RNN",
            Box::new(Recurrent::new(28, 28, vec![32, 32], 10, maps)),
        ),
    ]
}

fn main() {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let product = Calibration::new();
    let mut calibration = f64::INFINITY;
    let mut measured = Vec::new();
    for (name, net) in networks() {
        if !chosen.is_empty() && !chosen.iter().any(|c| name.contains(c.as_str())) {
            continue;
        }
        let (least, beside) = time(net.as_ref(), &product);
        calibration = calibration.min(beside);
        measured.push((name, net.group() as f64, net.flops(M), least));
    }
    let rate = Calibration::OPERATIONS / calibration / 1e9;
    println!("2000 x 2000 by 2000 x 512: {rate:.1} GFLOP/s");
    println!(
        "{:<20} {:>9} {:>9} {:>6}",
        "network", "ms", "GFLOP/s", "ratio"
    );
    for (name, group, flops, seconds) in measured {
        let (ms, own) = (seconds * 1e3 / group, group * flops / seconds / 1e9);
        println!("{name:<20} {ms:>9.3} {own:>9.1} {:>6.2}", own / rate);
    }
}

/// The large product that sets the measure.
struct Calibration {
    a: Array2<f32>,
    b: Array2<f32>,
}

impl Calibration {
    const OPERATIONS: f64 = 2.0 * 2000.0 * 2000.0 * 512.0;

    fn new() -> Self {
        Self {
            a: numbers(2000, 2000),
            b: numbers(2000, 512),
        }
    }

    fn seconds(&self, c: &mut Array2<f32>) -> f64 {
        seconds(|| product(c.view_mut(), 0.0, 1.0, self.a.view(), self.b.view()))
    }
}

/// The least seconds of one group of `net`, and of the product in turn with it.
fn time(net: &dyn ForwardMap<f32>, product: &Calibration) -> (f64, f64) {
    let group = net.group();
    let members = numbers(group, net.parameters());
    let inputs = numbers(net.features(), M);
    let mut outputs = Array3::zeros((group, net.outputs(), M));
    let mut scratch = vec![0.0; net.scratch(M)];
    let mut c = Array2::zeros((2000, 512));
    let (mut least, mut beside) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        beside = beside.min(product.seconds(&mut c));
        // A few times over, so that small networks are timed with what they need in the cache.
        for _ in 0..4 {
            least = least.min(seconds(|| {
                net.evaluate(
                    members.view(),
                    inputs.view(),
                    outputs.view_mut(),
                    &mut scratch,
                );
            }));
        }
    }
    (least, beside)
}
