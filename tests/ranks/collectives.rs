//! `Comm`: every collective gives what it promises when it is cut into chunks of three elements.

use eki_mpi::error::{Error, Result};
use eki_mpi::kernels::exact_sum::Quantum;
use eki_mpi::parallel::partition::Partition;

use crate::{Check, Crowd};

pub const CHECKS: &[Check] = &[
    ("broadcast_gives_rank_0s_bytes", broadcast),
    ("from_first_gives_rank_0s_value_or_error", from_first),
    ("gather_keeps_the_order_of_ranks", gather),
    ("all_gather_rows_fills_in_every_rank", all_gather_rows),
    ("exchange_pairs_slices_in_order", exchange),
    ("reductions_go_element_by_element", reductions),
    ("exact_sums_have_the_same_bits_in_any_split", exact_sums),
];

fn broadcast(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    for length in [0, 1, 2, 3, 4, 7, 100] {
        let sent: Vec<u8> = (0..length).map(|i| i as u8 ^ 0x5a).collect();
        let own = if comm.is_first() {
            sent.clone()
        } else {
            vec![9; 5]
        };
        assert_eq!(comm.broadcast(own), sent);
    }
}

fn from_first(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    let value: Result<(String, Vec<f64>)> = comm.from_first(|| {
        assert!(comm.is_first(), "only rank 0 looks");
        Ok(("a value".to_owned(), vec![1.5; 7]))
    });
    assert_eq!(value.unwrap(), ("a value".to_owned(), vec![1.5; 7]));
    let error = comm
        .from_first(|| -> Result<u8> { Err(Error::Usage("no such thing".to_owned())) })
        .unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("no such thing", 2)
    );
    // After an error all ranks still keep step.
    assert_eq!(comm.from_first(|| Ok(3_u8)).unwrap(), 3);
}

fn gather(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    let of_rank = |rank: usize| vec![rank as u8; rank * 5 % 7];
    let parts = comm.gather(&of_rank(comm.rank()));
    if comm.is_first() {
        let all: Vec<Vec<u8>> = (0..comm.size()).map(of_rank).collect();
        assert_eq!(parts, all);
    } else {
        assert!(parts.is_empty());
    }
}

fn all_gather_rows(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    crowd.property(40, &(0_usize..23, 0_usize..9), |(rows, width)| {
        let shared = Partition::new(rows, comm.size());
        let whole: Vec<f32> = (0..rows * width).map(|i| i as f32 + 0.5).collect();
        let own = shared.range(comm.rank());
        let mut all = vec![f32::NAN; rows * width];
        let span = own.start * width..own.end * width;
        all[span.clone()].copy_from_slice(&whole[span]);
        let before = comm.bytes_sent();
        comm.all_gather_rows(shared, width, &mut all);
        let sent = comm.bytes_sent() - before;
        let promised = (own.len() * width * 4 * (comm.size() - 1)) as u64;
        match (all == whole, sent == promised) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("{all:?} gathered")),
            (_, false) => Err(format!("{sent} bytes counted, {promised} sent")),
        }
    });
}

/// Slices of many lengths, none and more than a chunk among them, between each two ranks in both directions.
fn exchange(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    let (rank, size) = (comm.rank(), comm.size());
    let lengths = [4_usize, 0, 1, 3, 11];
    let slice = |from: usize, to: usize, i: usize| -> Vec<f64> {
        (0..lengths[i] + from % 2)
            .map(|x| (((from * 10 + to) * 10 + i) * 100 + x) as f64)
            .collect()
    };
    let pairs = || {
        (0..size)
            .filter(|&other| other != rank)
            .flat_map(|other| (0..5).map(move |i| (other, i)))
    };
    let sent: Vec<(usize, Vec<f64>)> = pairs().map(|(to, i)| (to, slice(rank, to, i))).collect();
    let mut received: Vec<(usize, Vec<f64>)> = pairs()
        .map(|(from, i)| (from, vec![f64::NAN; slice(from, rank, i).len()]))
        .collect();
    comm.exchange(
        received
            .iter_mut()
            .map(|(from, slice)| (*from, &mut slice[..])),
        sent.iter().map(|(to, slice)| (*to, &slice[..])),
    );
    for ((from, i), (_, got)) in pairs().zip(&received) {
        assert_eq!(*got, slice(from, rank, i), "slice {i} from rank {from}");
    }
    let numbers: usize = sent.iter().map(|(_, slice)| slice.len()).sum();
    assert_eq!(comm.bytes_sent(), 8 * numbers as u64);
}

fn reductions(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    let (rank, size) = (comm.rank(), comm.size());
    let mut counts: Vec<u64> = (0..10).map(|i| (i + rank) as u64).collect();
    comm.sum_counts(&mut counts);
    let ranks: usize = (0..size).sum();
    assert_eq!(
        counts,
        (0..10)
            .map(|i| (i * size + ranks) as u64)
            .collect::<Vec<_>>()
    );
    let mut largest: Vec<f64> = (0..10).map(|i| ((i + rank) % size) as f64).collect();
    comm.largest(&mut largest);
    assert_eq!(largest, vec![(size - 1) as f64; 10]);
    comm.sum_exact(&mut []);
}

/// Terms of very different size, shared out over ranks: their rounded sum is that of one rank, bit by bit.
fn exact_sums(crowd: &Crowd) {
    let comm = crowd.in_chunks(3);
    let strategy = proptest::collection::vec((-1e3_f64..1e3, -60_i32..60), 1..80);
    crowd.property(60, &strategy, |terms| {
        let terms: Vec<f64> = terms.iter().map(|(x, e)| x * 2_f64.powi(*e)).collect();
        let mut largest = [terms.iter().fold(0.0_f64, |m, t| m.max(t.abs()))];
        comm.largest(&mut largest);
        let quantum = Quantum::new(largest[0], terms.len());
        let own = Partition::new(terms.len(), comm.size()).range(comm.rank());
        let sum = |terms: &[f64]| terms.iter().map(|t| quantum.round(*t)).sum::<f64>();
        let mut sums = vec![sum(&terms[own]); 7];
        comm.sum_exact(&mut sums);
        let one = sum(&terms);
        if sums.iter().all(|s| s.to_bits() == one.to_bits()) {
            Ok(())
        } else {
            Err(format!("{sums:?}, but {one} on one rank"))
        }
    });
}
