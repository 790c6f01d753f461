//! Where each layer of a dense network stands among its parameters, and among the draws of a low-rank member.

use std::ops::Range;

use crate::forward::dense::Dense;

/// Rows of a weight summed together, at most; part of the format.
const ROWS: usize = 128;

/// One layer among the parameters and among a member's draws.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) fan_in: usize,
    pub(super) fan_out: usize,
    /// First parameter.
    pub(super) at: usize,
    /// First draw: A (rank x fan_in), then B (rank x fan_out), then the bias (fan_out).
    pub(super) draw: usize,
    /// The prior's deviation.
    pub(super) deviation: f64,
}

impl Layer {
    pub(super) fn left(&self, rank: usize) -> Range<usize> {
        self.draw..self.draw + rank * self.fan_in
    }

    pub(super) fn right(&self, rank: usize) -> Range<usize> {
        let start = self.draw + rank * self.fan_in;
        start..start + rank * self.fan_out
    }

    pub(super) fn bias(&self, rank: usize) -> Range<usize> {
        let start = self.draw + rank * (self.fan_in + self.fan_out);
        start..start + self.fan_out
    }
}

/// The layers of `net`, each with its place.
pub(super) fn layers(net: &Dense, rank: usize) -> Vec<Layer> {
    let (mut at, mut draw) = (0, 0);
    net.pairs()
        .zip(net.segments())
        .map(|((fan_in, fan_out), segment)| {
            let layer = Layer {
                fan_in,
                fan_out,
                at,
                draw,
                deviation: segment.deviation,
            };
            at += (fan_in + 1) * fan_out;
            draw += rank * (fan_in + fan_out) + fan_out;
            layer
        })
        .collect()
}

/// The parts of the parameters that are summed apart: panels of a weight's rows, and the bias (None).
pub(super) fn part_table(net: &Dense, rank: usize) -> Vec<(Layer, Option<Range<usize>>)> {
    layers(net, rank)
        .into_iter()
        .flat_map(|layer| {
            let panels = (0..layer.fan_in)
                .step_by(ROWS)
                .map(move |start| Some(start..(start + ROWS).min(layer.fan_in)));
            panels.chain([None]).map(move |rows| (layer, rows))
        })
        .collect()
}
