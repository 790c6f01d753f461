//! Convolutional networks against their definition.

use super::super::testing::{apply, check, close, dense, evaluate, numbers};
use super::*;
use crate::forward::inputs::COLUMNS;
use ndarray::s;

fn net(shape: (usize, usize, usize), layers: &str, activation: Activation) -> Convolutional {
    let (channels, height, width) = shape;
    let layers: Vec<Layer> = layers.split(", ").map(|l| l.parse().unwrap()).collect();
    let shape = ImageShape {
        channels,
        height,
        width,
    };
    Convolutional::new(shape, &layers, activation, Output::Softmax).unwrap()
}

/// A convolution of one sample, padded with zeros.
fn convolve(u: &[f64], h: &[f64], from: ImageShape, outputs: usize, kernel: usize) -> Vec<f64> {
    let (height, width, before) = (
        from.height as isize,
        from.width as isize,
        (kernel as isize - 1) / 2,
    );
    let taps = from.channels * kernel * kernel;
    let mut z = Vec::new();
    for o in 0..outputs {
        for y in 0..height {
            for x in 0..width {
                let mut sum = u[taps * outputs + o];
                for k in 0..taps {
                    let (c, i, j) = (k / (kernel * kernel), k / kernel % kernel, k % kernel);
                    let (y, x) = (y + i as isize - before, x + j as isize - before);
                    if (0..height).contains(&y) && (0..width).contains(&x) {
                        let at = (c as isize * height + y) * width + x;
                        sum += u[o * taps + k] * h[at as usize];
                    }
                }
                z.push(sum);
            }
        }
    }
    z
}

fn largest(h: &[f64], from: ImageShape, window: usize, stride: usize) -> Vec<f64> {
    let mut z = Vec::new();
    for c in 0..from.channels {
        for y in (0..=from.height - window).step_by(stride) {
            for x in (0..=from.width - window).step_by(stride) {
                let at =
                    |k: usize| h[(c * from.height + y + k / window) * from.width + x + k % window];
                z.push((0..window * window).map(at).fold(f64::MIN, f64::max));
            }
        }
    }
    z
}

/// The outputs of one sample, straight from the definition; `widths` of the dense layers.
fn plain(net: &Convolutional, widths: &[usize], u: &[f64], x: &[f64]) -> Vec<f64> {
    let (mut h, mut at) = (x.to_vec(), 0);
    for stage in &net.body.stages {
        h = match *stage {
            Stage::Convolution {
                from,
                outputs,
                kernel,
            } => convolve(&u[at..], &h, from, outputs, kernel)
                .into_iter()
                .map(|z| apply(net.body.activation, z))
                .collect(),
            Stage::Pool {
                from,
                window,
                stride,
            } => largest(&h, from, window, stride),
        };
        at += stage.parameters();
    }
    for (l, &width) in widths.iter().enumerate() {
        let d = h.len();
        if l + 1 == widths.len() {
            return dense(&u[at..], &h, width, Output::Softmax);
        }
        let z = dense(&u[at..], &h, width, Output::Identity);
        h = z
            .into_iter()
            .map(|z| apply(net.body.activation, z))
            .collect();
        at += (d + 1) * width;
    }
    unreachable!("the last layer is dense")
}

#[test]
fn outputs_are_the_definitions_in_both_precisions() {
    for (shape, layers, widths) in [
        ((1, 5, 7), "conv 3, pool 2, dense 4", vec![4]),
        (
            (2, 6, 5),
            "conv 9 2, conv 5, pool 3 2, dense 6, dense 3",
            vec![6, 3],
        ),
        ((3, 4, 4), "pool 2 1, conv 4 5, dense 2", vec![2]),
        ((1, 1, 1), "conv 17 1, dense 1", vec![1]),
        ((2, 3, 3), "dense 5, dense 2", vec![5, 2]),
    ] {
        for activation in [Activation::Relu, Activation::Tanh] {
            let net = net(shape, layers, activation);
            check(&net, 51, |u, x| plain(&net, &widths, u, x), 1e-4);
        }
    }
}

#[test]
fn heaviside_units_are_the_definitions_too() {
    let net = net(
        (2, 5, 5),
        "conv 6, pool 2, conv 3, dense 3",
        Activation::Heaviside,
    );
    let u = numbers(1, ForwardMap::<f64>::parameters(&net), 1);
    let x = numbers(50, 7, 2);
    let got = evaluate::<f64>(&net, &u, &x);
    for i in 0..7 {
        let want = plain(&net, &[3], u.as_slice().unwrap(), &x.column(i).to_vec());
        for (k, want) in want.into_iter().enumerate() {
            assert!(close(got[[0, k, i]], want, 1e-12));
        }
    }
}

/// The published architectures and the counts stated for them: 3 x 3 kernels, a bias for each channel, pooling windows
/// inside the image alone (28 -> 13 -> 5 -> 2 in CNN-MNIST).
#[test]
fn the_published_networks_have_the_parameters_stated_for_them() {
    let colour = (3, 32, 32);
    for (shape, layers, parameters) in [
        (
            (1, 28, 28),
            "conv 16, conv 16, pool 4 2, conv 16, conv 16, pool 4 2, conv 12, conv 12, pool 2, dense 10",
            10_658,
        ),
        (
            colour,
            "conv 16, conv 16, pool 2, conv 16, conv 16, pool 2, conv 32, conv 32, pool 8, dense 500, dense 10",
            42_806,
        ),
        (
            colour,
            "conv 16, conv 16, conv 16, pool 2, conv 32, conv 32, conv 32, pool 2, conv 48, conv 48, conv 64, pool 8, \
             dense 500, dense 10",
            128_102,
        ),
        (
            colour,
            "conv 16, conv 16, conv 32, conv 32, conv 32, pool 2, conv 48, conv 48, conv 48, conv 48, conv 48, pool 2, \
             conv 64, conv 64, conv 96, conv 96, conv 96, pool 8, dense 500, dense 10",
            462_534,
        ),
    ] {
        let net = net(shape, layers, Activation::Relu);
        assert_eq!(ForwardMap::<f32>::parameters(&net), parameters);
        assert_eq!(ForwardMap::<f32>::prior(&net).parameters(), parameters);
        assert_eq!(ForwardMap::<f32>::outputs(&net), 10);
    }
}

#[test]
fn the_priors_fans_count_the_kernel() {
    let net = net((2, 4, 4), "conv 3 5, dense 2", Activation::Relu);
    let mut deviations = vec![0.0; 153 + 98];
    ForwardMap::<f64>::prior(&net).deviations(0, 1.0, &mut deviations);
    let (kernel, head) = ((2.0 / 125.0_f64).sqrt(), (2.0 / 50.0_f64).sqrt());
    assert!(deviations[..153].iter().all(|&d| close(d, kernel, 1e-15)));
    assert!(deviations[153..].iter().all(|&d| close(d, head, 1e-15)));
}

/// Padding counts for nothing: 3 x 3 windows on 4 x 5 places hold 10 x 13 inputs, not 9 x 20.
#[test]
fn flops_count_each_product_once() {
    let net = net((2, 4, 5), "conv 3, pool 2, dense 7", Activation::Relu);
    let want = 2.0 * 11.0 * (3.0 * 2.0 * 130.0 + 12.0 * 7.0);
    assert_eq!(ForwardMap::<f32>::flops(&net, 11), want);
}

#[test]
fn a_nan_among_the_parameters_reaches_the_outputs_through_any_activation() {
    for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
        let net = net(
            (1, 5, 5),
            "conv 2, pool 2, conv 3, pool 2, dense 3",
            activation,
        );
        let p = ForwardMap::<f32>::parameters(&net);
        for at in 0..p {
            let mut u = numbers(1, p, 1);
            u[[0, at]] = f64::NAN;
            for net in [net.clone(), net.clone().in_mixed_precision()] {
                let out = evaluate::<f32>(&net, &u, &numbers(25, 9, 2));
                let failed = (0..9).all(|i| out.slice(s![0, .., i]).iter().any(|z| z.is_nan()));
                assert!(
                    failed,
                    "{activation:?} {at} {:?}",
                    net.body.paired.is_some()
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let shape = ImageShape {
        channels: 1,
        height: 4,
        width: 6,
    };
    let refuse = |layers: &[&str]| {
        let layers: Vec<Layer> = layers.iter().map(|l| l.parse().unwrap()).collect();
        Convolutional::new(shape, &layers, Activation::Relu, Output::Softmax).expect_err("refused")
    };
    assert!(refuse(&["conv 3"]).contains("end with"));
    assert!(refuse(&["dense 3", "conv 3", "dense 1"]).contains("after a dense"));
    assert!(refuse(&["pool 5", "dense 1"]).contains("4 x 6"));
}

/// Of numbers that bfloat16 holds, and whose sums it holds, outputs in mixed precision are the definition's: of any count of
/// channels, kernels of any side, pools before, between and after each other, a last chunk that is not full.
#[test]
fn mixed_precision_rounds_operands_alone() {
    for (shape, layers) in [
        ((1, 5, 7), "conv 3, pool 2, dense 4"),
        ((2, 6, 5), "conv 9 2, conv 5, pool 3 2, dense 3"),
        ((3, 4, 4), "pool 2 1, conv 4 5, dense 2"),
        ((1, 1, 1), "conv 17 1, dense 1"),
        ((2, 3, 3), "dense 5, dense 2"),
        (
            (1, 9, 9),
            "conv 16, conv 33, pool 4 2, pool 2 1, conv 12, dense 2",
        ),
        ((5, 3, 6), "conv 40 4, dense 2"),
    ] {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
            let net = Convolutional {
                head: net(shape, layers, activation).head.with_identity(),
                ..net(shape, layers, activation)
            };
            let mixed = net.clone().in_mixed_precision();
            let p = ForwardMap::<f32>::parameters(&net);
            let d = ForwardMap::<f32>::features(&net);
            // Few weights are not zero, so that sums stay short.
            let few = numbers(1, p, 1).mapv(|x| if x.abs() < 0.08 { x.signum() } else { 0.0 });
            let whole = numbers(d, 37, 2).mapv(|x| (2.0 * x).round());
            let (got, want) = (
                evaluate::<f32>(&mixed, &few, &whole),
                evaluate::<f64>(&net, &few, &whole),
            );
            if activation != Activation::Tanh {
                assert_eq!(got, want, "{layers} {activation:?}");
            }
            // Others are rounded.
            let (members, inputs) = (numbers(1, p, 1).mapv(|x| x / 4.0), numbers(d, 37, 2));
            let (got, want) = (
                evaluate::<f32>(&mixed, &members, &inputs),
                evaluate::<f32>(&net, &members, &inputs),
            );
            assert_ne!(got, want);
            let scale = want.iter().fold(0.1, |most: f64, x| most.max(x.abs()));
            if activation != Activation::Heaviside {
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.03 * scale;
                assert!(got.iter().zip(&want).all(near), "{layers} {activation:?}");
            }
        }
    }
}

/// A network from any of its layers on, given what those before make of the inputs, has the whole one's outputs.
#[test]
fn a_network_from_one_layer_on_is_the_rest_of_it() {
    for (shape, layers, cuts) in [
        (
            (1, 9, 9),
            "conv 4, pool 2, conv 3, conv 5 2, pool 2, dense 6, dense 3",
            4,
        ),
        ((2, 5, 6), "pool 2, conv 9, dense 2", 2),
        ((2, 3, 3), "dense 5, dense 2", 1),
    ] {
        let single = net(shape, layers, Activation::Tanh);
        for net in [single.clone().in_mixed_precision(), single] {
            let p = ForwardMap::<f32>::parameters(&net);
            let d = ForwardMap::<f32>::features(&net);
            let (u, x) = (numbers(1, p, 1), numbers(d, 37, 2));
            let whole = evaluate::<f32>(&net, &u, &x);
            let point: Vec<f32> = u.iter().map(|&u| u as f32).collect();
            let inputs = x.mapv(|x| x as f32);
            for layer in 1..=cuts {
                let LayerSuffix { map, before } = net.tail(layer).expect("a layer");
                let mut reached = vec![f32::NAN; map.features() * 37];
                before(&point, inputs.view(), &mut reached);
                let reached = ArrayView2::from_shape((map.features(), 37), &reached).unwrap();
                let own = u.slice(s![.., p - map.parameters()..]).to_owned();
                let from = evaluate::<f32>(map.as_ref(), &own, &reached.mapv(f64::from));
                // In mixed precision the first layer sums in an order of its own, and what it gives is rounded.
                let bound = if net.body.paired.is_some() {
                    0.02
                } else {
                    1e-6
                };
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < bound;
                assert!(whole.iter().zip(&from).all(near), "{layers} {layer}");
            }
            assert!(ForwardMap::<f32>::tail(&net, cuts + 1).is_none());
            assert!(ForwardMap::<f32>::tail(&net, 0).is_none());
        }
    }
}

/// What a layer's inputs times its weights come to, with its biases, are its sums: of every window, or of those that are taken
/// where there are many; and so are those of the dense layers after.
#[test]
fn the_inputs_of_a_layer_are_what_its_units_sum_over() {
    for (shape, layers, samples) in [
        (
            (1, 9, 8),
            "conv 4, pool 2, conv 3, conv 5 2, pool 2, dense 6, dense 3",
            11,
        ),
        ((2, 12, 13), "conv 3 5, conv 4, dense 2", 40),
    ] {
        let net = net(shape, layers, Activation::Tanh);
        let point = numbers(1, ForwardMap::<f64>::parameters(&net), 1);
        let point = point.as_slice().unwrap();
        let x = numbers(ForwardMap::<f64>::features(&net), samples, 2);
        let inputs = |layer| net.layer_inputs(layer, point, x.view());
        let (mut layer, mut start) = (0, 0);
        for (at, stage) in net.body.stages.iter().enumerate() {
            let (taps, units) = stage.size();
            if units == 0 {
                continue;
            }
            let LayerInputs {
                columns,
                units_first,
                ..
            } = inputs(layer).expect("a layer");
            let (to, _) = net.body.cut(at + 1);
            let mut reached = Array2::zeros((to.output().size(), samples));
            let there = reached.as_slice_mut().unwrap();
            to.reach_once(&point[..to.parameters()], x.view(), there);
            let places = reached.nrows() / units;
            let apart = (places * samples).div_ceil(columns.ncols());
            assert!(units_first && columns.ncols() <= COLUMNS && columns.nrows() == taps);
            assert_eq!(apart > 1, places * samples > COLUMNS);
            let mut met = vec![false; places];
            for (j, column) in columns.columns().into_iter().enumerate() {
                let (place, sample) = (j * apart / samples, j * apart % samples);
                met[place] = true;
                for unit in 0..units {
                    let weights = &point[start + unit * taps..][..taps];
                    let sum: f64 = weights.iter().zip(column).map(|(w, h)| w * h).sum();
                    let sum = sum + point[start + units * taps + unit];
                    let want = reached[[unit * places + place, sample]];
                    assert!(close(apply(Activation::Tanh, sum), want, 1e-12));
                }
            }
            assert!(met.iter().all(|&met| met), "every place is met");
            (layer, start) = (layer + 1, start + stage.parameters());
        }
        let head = &net.head;
        let mut reached = Array2::zeros((net.body.output().size(), samples));
        let there = reached.as_slice_mut().unwrap();
        net.body.reach_once(&point[..start], x.view(), there);
        for dense in 0..head.segments().count() {
            let found = inputs(layer + dense).expect("a layer");
            let own = head.layer_inputs(dense, &point[start..], reached.view());
            assert_eq!(found.columns, own.expect("a dense one").columns);
            assert_eq!(found.units, head.pairs().nth(dense).expect("a layer").1);
        }
        assert!(inputs(layer + head.segments().count()).is_none());
    }
}
