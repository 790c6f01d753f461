//! Dense networks against their definition.

use super::*;
use ndarray::Array2;

fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7919 + j * 104_729 + seed * 31) % 997) as f64 / 500.0 - 1.0
    })
}

/// One output of one sample, straight from the definition.
fn plain(
    layers: &[usize],
    activation: Activation,
    output: Output,
    u: &[f64],
    x: &[f64],
) -> Vec<f64> {
    let (mut h, mut at) = (x.to_vec(), 0);
    for (l, pair) in layers.windows(2).enumerate() {
        let (a, b) = (pair[0], pair[1]);
        h = (0..b)
            .map(|j| u[at + a * b + j] + (0..a).map(|i| h[i] * u[at + i * b + j]).sum::<f64>())
            .collect();
        at += (a + 1) * b;
        if l + 2 < layers.len() {
            for z in &mut h {
                *z = match activation {
                    Activation::Relu => z.max(0.0),
                    Activation::Tanh => z.tanh(),
                    Activation::Heaviside => f64::from(u8::from(*z > 0.0)),
                };
            }
        }
    }
    if output == Output::Softmax {
        let total: f64 = h.iter().map(|z| z.exp()).sum();
        h = h.iter().map(|z| z.exp() / total).collect();
    }
    h
}

fn evaluate<T: Real>(
    net: &Dense,
    members: &Array2<f64>,
    inputs: &Array2<f64>,
) -> ndarray::Array3<f64> {
    let (members, inputs) = (members.mapv(T::from_f64), inputs.mapv(T::from_f64));
    let c = ForwardMap::<T>::outputs(net);
    let mut out = ndarray::Array3::zeros((members.nrows(), c, inputs.ncols()));
    let mut scratch = vec![T::nan(); ForwardMap::<T>::scratch(net, inputs.ncols())];
    net.evaluate(members.view(), inputs.view(), out.view_mut(), &mut scratch);
    out.mapv(Real::as_f64)
}

impl Dense {
    /// The same without softmax.
    pub(in crate::forward) fn with_identity(self) -> Self {
        Self {
            output: Output::Identity,
            ..self
        }
    }
}

#[test]
fn outputs_are_the_definitions_in_both_precisions() {
    for layers in [
        vec![5, 3],
        vec![5, 70, 3],
        vec![7, 9, 4, 3],
        vec![3, 80, 5, 6, 2],
    ] {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
            for output in [Output::Softmax, Output::Identity] {
                let net = Dense::new(layers.clone(), activation, output);
                let (group, p) = (
                    ForwardMap::<f64>::group(&net),
                    ForwardMap::<f64>::parameters(&net),
                );
                let (members, inputs) = (numbers(group, p, 1), numbers(layers[0], 70, 2));
                let (double, single) = (
                    evaluate::<f64>(&net, &members, &inputs),
                    evaluate::<f32>(&net, &members, &inputs),
                );
                for j in 0..group {
                    for i in 0..70 {
                        let x: Vec<f64> = inputs.column(i).to_vec();
                        let want = plain(
                            &layers,
                            activation,
                            output,
                            members.row(j).as_slice().unwrap(),
                            &x,
                        );
                        for (k, want) in want.iter().enumerate() {
                            assert!(
                                (double[[j, k, i]] - want).abs() < 1e-12 * (1.0 + want.abs()),
                                "{net:?}"
                            );
                            let close =
                                (single[[j, k, i]] - want).abs() < 1e-4 * (1.0 + want.abs());
                            // A sum within rounding of 0 may fall on either side of Heaviside's step.
                            assert!(close || activation == Activation::Heaviside, "{net:?}");
                        }
                    }
                }
            }
        }
    }
}

/// Of numbers that bfloat16 holds, and whose sums it holds, outputs in mixed precision are the definition's.
#[test]
fn mixed_precision_rounds_operands_alone() {
    let quarters =
        |rows, columns, seed| numbers(rows, columns, seed).mapv(|x| (4.0 * x).round() / 4.0);
    for layers in [vec![5, 3], vec![5, 70, 3], vec![4, 9, 3]] {
        let net = Dense::new(layers.clone(), Activation::Relu, Output::Identity);
        let group = ForwardMap::<f32>::group(&net);
        let p = ForwardMap::<f32>::parameters(&net);
        let (members, inputs) = (quarters(group, p, 1), quarters(layers[0], 70, 2));
        let mixed = evaluate::<f32>(&net.clone().in_mixed_precision(), &members, &inputs);
        assert_eq!(
            mixed,
            evaluate::<f64>(&net, &members, &inputs),
            "{layers:?}"
        );
        // Others are rounded.
        let members = numbers(group, p, 1);
        let mixed = evaluate::<f32>(&net.clone().in_mixed_precision(), &members, &inputs);
        let double = evaluate::<f64>(&net, &members, &inputs);
        assert_ne!(mixed, evaluate::<f32>(&net, &members, &inputs));
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.02 * (1.0 + b.abs());
        assert!(mixed.iter().zip(&double).all(near), "{layers:?}");
    }
}

#[test]
fn a_members_bits_do_not_depend_on_the_rest_of_its_group() {
    let net = Dense::new(vec![64, 10], Activation::Relu, Output::Softmax);
    let (group, p) = (
        ForwardMap::<f32>::group(&net),
        ForwardMap::<f32>::parameters(&net),
    );
    let (members, inputs) = (numbers(group, p, 3), numbers(64, 50, 4));
    let all = evaluate::<f32>(&net, &members, &inputs);
    let mut alone = Array2::zeros((group, p));
    alone.row_mut(2).assign(&members.row(2));
    let alone = evaluate::<f32>(&net, &alone, &inputs);
    assert_eq!(all.index_axis(Axis(0), 2), alone.index_axis(Axis(0), 2));
}

/// Each layer's inputs, times its weights and with its biases, become the next one's, and the last one's the outputs.
#[test]
fn the_inputs_of_a_layer_are_what_its_units_sum_over() {
    let layers = vec![7, 5, 6, 3];
    let net = Dense::new(layers.clone(), Activation::Tanh, Output::Identity);
    let u = numbers(1, ForwardMap::<f64>::parameters(&net), 1);
    let x = numbers(7, 9, 2);
    let point = u.as_slice().unwrap();
    let inputs = |layer| ForwardMap::<f64>::layer_inputs(&net, layer, point, x.view());
    let mut at = 0;
    for (layer, (fan_in, fan_out)) in net.pairs().enumerate() {
        let found = inputs(layer).expect("a layer");
        assert_eq!((found.units, found.units_first), (fan_out, false));
        let weight = weight(&point[at..], fan_in, fan_out);
        let bias = ndarray::ArrayView1::from(&point[at + fan_in * fan_out..][..fan_out]);
        let sums = weight.t().dot(&found.columns) + bias.insert_axis(Axis(1));
        let want = match inputs(layer + 1) {
            Some(next) => next.columns.mapv(f64::atanh),
            None => evaluate::<f64>(&net, &u, &x).remove_axis(Axis(0)),
        };
        let apart = (sums - want).mapv(f64::abs);
        assert!(apart.iter().all(|x| *x < 1e-12), "{layer}: {apart}");
        at += (fan_in + 1) * fan_out;
    }
    assert!(inputs(3).is_none());
}
