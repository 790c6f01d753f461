//! The rate of each network's evaluation, in single and in mixed precision, against that of one large product in single
//! precision, on one thread: GFLOP/s and their ratio.
//!
//!     cargo bench --bench forward [-- NAME...]
//!
//! Other work on the machine slows whichever runs beside it, so product and network take turns, and the best of each
//! counts. Operations are those of the definition; activations, softmax and pooling are not counted, but their time is.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use eki_mpi::config::Activation;
use eki_mpi::forward::ForwardMap;
use eki_mpi::forward::activation::Output;
use eki_mpi::forward::conv::Convolutional;
use eki_mpi::forward::dense::Dense;
use eki_mpi::forward::layers::ImageShape;
use eki_mpi::forward::recurrent::Recurrent;
use eki_mpi::kernels::buffers::Aligned;
use eki_mpi::kernels::real::product;
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

fn dense(layers: &[usize], mixed: bool) -> Box<dyn ForwardMap<f32>> {
    let net = Dense::new(layers.to_vec(), Activation::Relu, Output::Softmax);
    Box::new(if mixed { net.in_mixed_precision() } else { net })
}

fn conv(side: usize, channels: usize, layers: &str, mixed: bool) -> Box<dyn ForwardMap<f32>> {
    let layers: Vec<_> = layers
        .split(", ")
        .map(|l| l.parse().expect("a layer"))
        .collect();
    let shape = ImageShape {
        channels,
        height: side,
        width: side,
    };
    let net = Convolutional::new(shape, &layers, Activation::Relu, Output::Softmax);
    let net = net.expect("a network");
    Box::new(if mixed { net.in_mixed_precision() } else { net })
}

fn recurrent(mixed: bool) -> Box<dyn ForwardMap<f32>> {
    let maps = (Activation::Tanh, Output::Softmax);
    let net = Recurrent::new(28, 28, vec![32, 32], 10, maps);
    Box::new(if mixed { net.in_mixed_precision() } else { net })
}

fn networks(mixed: bool) -> Vec<(&'static str, Box<dyn ForwardMap<f32>>)> {
    vec![
        ("784-10", dense(&[784, 10], mixed)),
        ("784-100-10", dense(&[784, 100, 10], mixed)),
        (
            "784-500-300-100-10",
            dense(&[784, 500, 300, 100, 10], mixed),
        ),
        (
            "CNN-MNIST",
            conv(
                28,
                1,
                "conv 16, conv 16, pool 4 2, conv 16, conv 16, pool 4 2, conv 12, conv 12, pool 2, dense 10",
                mixed,
            ),
        ),
        (
            "CNN-1",
            conv(
                32,
                3,
                "conv 16, conv 16, pool 2, conv 16, conv 16, pool 2, conv 32, conv 32, pool 8, dense 500, dense 10",
                mixed,
            ),
        ),
        (
            "CNN-3",
            conv(
                32,
                3,
                "conv 16, conv 16, conv 32, conv 32, conv 32, pool 2, conv 48, conv 48, conv 48, conv 48, conv 48, pool 2, \
                 conv 64, conv 64, conv 96, conv 96, conv 96, pool 8, dense 500, dense 10",
                mixed,
            ),
        ),
        ("RNN", recurrent(mixed)),
    ]
}

fn main() {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let (a, b) = (numbers(2000, 512), numbers(512, 2000));
    let mut c = Array2::zeros((2000, 2000));
    let operations = 2.0 * 2000.0 * 2000.0 * 512.0;
    println!(
        "{:<20} {:<9} {:>9} {:>9} {:>9} {:>6}",
        "network", "precision", "ms", "GFLOP/s", "product", "ratio"
    );
    let all = [(false, "single"), (true, "mixed")];
    let all =
        all.map(|(mixed, precision)| networks(mixed).into_iter().map(move |n| (precision, n)));
    for (precision, (name, net)) in all.into_iter().flatten() {
        if !chosen.is_empty() && !chosen.iter().any(|c| name.contains(c.as_str())) {
            continue;
        }
        let group = net.group();
        let (members, inputs) = (numbers(group, net.parameters()), numbers(net.features(), M));
        let mut outputs = Array3::zeros((group, net.outputs(), M));
        let mut scratch = Aligned::zeros(net.scratch(M));
        // Once a batch, for all members.
        let mut arranged = Aligned::zeros(net.arranged(M));
        net.arrange(inputs.view(), &mut arranged);
        let (mut least, mut calibration) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            calibration = calibration.min(seconds(|| {
                product(c.view_mut(), 0.0, 1.0, a.view(), b.view());
            }));
            // A few times over, so that small networks are timed with what they need in the cache.
            let round = Instant::now();
            while round.elapsed().as_secs_f64() < 0.05 {
                least = least.min(seconds(|| {
                    net.evaluate_arranged(
                        members.view(),
                        inputs.view(),
                        &arranged,
                        outputs.view_mut(),
                        &mut scratch,
                    );
                }));
            }
        }
        let rate = group as f64 * net.flops(M) / least / 1e9;
        let product = operations / calibration / 1e9;
        println!(
            "{name:<20} {precision:<9} {:>9.3} {rate:>9.1} {product:>9.1} {:>6.2}",
            least * 1e3 / group as f64,
            rate / product
        );
    }
}
