//! Measures the network between the ranks of a run: latency, overhead per message, and bandwidth.

use std::time::Instant;

use serde::Serialize;

use crate::parallel::comm::Comm;

/// The speed of the network between ranks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Network {
    /// The seconds from sending a few bytes to receiving them on another rank.
    pub latency: f64,
    /// The seconds that each further message costs its sender.
    pub overhead: f64,
    /// The bytes per second that each rank can send while all ranks send.
    pub bandwidth: f64,
}

impl Network {
    /// Measures the network between the ranks of `comm`, at least two. Called by all ranks.
    #[must_use]
    pub fn measure(comm: &Comm) -> Self {
        let (rank, ranks) = (comm.rank(), comm.size());
        let (next, before) = ((rank + 1) % ranks, (rank + ranks - 1) % ranks);
        let ring = |messages: usize, length: usize| {
            let (sent, mut received) = (vec![0_f32; length], vec![0_f32; length * messages]);
            comm.barrier();
            let start = Instant::now();
            comm.exchange(
                received.chunks_mut(length).map(|piece| (before, piece)),
                (0..messages).map(|_| (next, &sent[..])),
            );
            start.elapsed().as_secs_f64()
        };
        // All ranks repeat equally often; each round counts with its slowest rank, and the fastest round is taken.
        let least = |messages: usize, length: usize, times: usize| {
            let mut seconds = [f64::INFINITY];
            for _ in 0..times {
                let mut round = [ring(messages, length)];
                comm.largest(&mut round);
                seconds[0] = seconds[0].min(round[0]);
            }
            seconds[0]
        };
        let (one, many) = (least(1, 2, 50), least(65, 2, 50));
        let (pieces, length) = (8, 1 << 20);
        Self {
            latency: one,
            overhead: ((many - one) / 64.0).max(0.0),
            bandwidth: (pieces * length * size_of::<f32>()) as f64 / least(pieces, length, 6),
        }
    }
}
