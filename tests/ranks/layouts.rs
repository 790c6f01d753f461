//! `Layout`, `Slab`, `Members`: whoever asks for a member gets the numbers the slabs hold, whatever J, P and R are.

use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::slab::{Layout, Members, Slab};

use crate::{Check, Crowd};

pub const CHECKS: &[Check] = &[
    ("every_number_has_one_owner_in_each_layout", owners),
    ("members_hold_what_the_slabs_hold_after_each_carry", carried),
    ("an_exchange_sends_each_number_once", bytes_of_an_exchange),
    #[cfg(target_os = "linux")]
    ("ranks_of_one_host_send_nothing", nothing_sent),
];

/// J from 1, fewer than ranks, to 40; P from 1 to more than six blocks.
fn sizes() -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    (1..40, 1..3300)
}

/// The number of member j's parameter p after `round` updates; distinct for all.
fn number(j: usize, p: usize, round: usize) -> f64 {
    ((round * 100 + j) * 10_000 + p) as f64
}

fn owners(crowd: &Crowd) {
    let comm = crowd.comm();
    crowd.property(60, &sizes(), |(members, parameters)| {
        let layout = Layout::new(&comm, members, parameters);
        let mut held = vec![0_u64; members + parameters];
        layout.own_members().for_each(|j| held[j] += 1);
        for b in layout.own_blocks() {
            layout.blocks.range(b).for_each(|p| held[members + p] += 1);
        }
        comm.sum_counts(&mut held);
        let once = held.iter().all(|&owners| owners == 1);
        once.then_some(()).ok_or_else(|| format!("owners {held:?}"))
    });
}

/// Three rounds: the slabs as filled, and two updates of each block, by two threads in any order; of ranks that read each
/// other's slabs, of ranks that do not, and of hosts of two.
fn carried(crowd: &Crowd) {
    carried_by(crowd, crowd.in_chunks(97));
    carried_by(crowd, crowd.in_chunks(97).on_hosts_of(1));
    carried_by(crowd, crowd.in_chunks(97).on_hosts_of(2));
}

fn carried_by(crowd: &Crowd, comm: Comm) {
    crowd.property(25, &sizes(), |(members, parameters)| {
        let layout = Layout::new(&comm, members, parameters);
        let mut slab = Slab::<f64>::fill(&comm, &crowd.pool, &layout, |_, columns, block| {
            block
                .indexed_iter_mut()
                .for_each(|((j, p), x)| *x = number(j, columns.start + p, 0));
        });
        let mut held = Members::new(&slab);
        let mut out = vec![0.0; parameters];
        for round in 0..3 {
            let seen: Vec<_> = layout.own_blocks().collect();
            layout.update_and_send(
                &comm,
                &crowd.pool,
                &mut slab,
                &mut held,
                seen.iter(),
                |_, b, block, along| {
                    assert_eq!(b, *along, "each block comes with its own neighbour");
                    let step = if round == 0 { 0.0 } else { number(0, 0, 1) };
                    block.mapv_inplace(|x| x + step);
                },
            );
            for j in layout.own_members() {
                held.gather(&slab, j, &mut out);
                let wrong = (0..parameters).find(|&p| out[p] != number(j, p, round));
                if let Some(p) = wrong {
                    return Err(format!(
                        "round {round}: member {j}, parameter {p} is {}",
                        out[p]
                    ));
                }
            }
        }
        Ok(())
    });
}

/// What one exchange of `layout`'s members sends from this rank, in bytes.
fn sent(crowd: &Crowd, comm: &Comm, layout: &Layout) -> u64 {
    let mut slab = Slab::<f32>::fill(comm, &crowd.pool, layout, |_, _, _| ());
    let mut held = Members::new(&slab);
    let before = comm.bytes_sent();
    layout.update_and_send(
        comm,
        &crowd.pool,
        &mut slab,
        &mut held,
        std::iter::repeat(()),
        |_, _, _, ()| (),
    );
    comm.bytes_sent() - before
}

/// The volume of one exchange: each rank sends its slab's columns of the members that others evaluate, once:
/// (J - J/R) P/R numbers, and all ranks together J P less what stays.
fn bytes_of_an_exchange(crowd: &Crowd) {
    let comm = crowd.comm().on_hosts_of(1);
    crowd.property(25, &sizes(), |(members, parameters)| {
        let layout = Layout::new(&comm, members, parameters);
        let sent = sent(crowd, &comm, &layout);
        let columns: usize = layout
            .own_blocks()
            .map(|b| layout.blocks.range(b).len())
            .sum();
        let formula = 4 * (members - layout.own_members().len()) * columns;
        (sent == formula as u64)
            .then_some(())
            .ok_or_else(|| format!("{sent} bytes sent, {formula} by the formula"))
    });
}

/// All ranks of these checks are on one host: whoever is on it is near, and no parameters are sent.
#[cfg(target_os = "linux")]
fn nothing_sent(crowd: &Crowd) {
    let comm = crowd.comm();
    let all: Vec<usize> = (0..comm.size()).collect();
    assert_eq!(comm.near(), all);
    assert_eq!(crowd.comm().on_hosts_of(1).near(), [comm.rank()]);
    assert_eq!(sent(crowd, &comm, &Layout::new(&comm, 17, 2000)), 0);
}
