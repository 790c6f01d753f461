//! Runs inside this process as well as by the program: digests for any ranks and threads, failing calls, failing members.
//!
//! They are one program, for each that runs the loop itself takes the compiler a minute.

#[path = "../durable/mod.rs"]
mod durable;
#[path = "../durable/eight.rs"]
mod eight;
#[path = "../durable/inside.rs"]
mod inside;
#[path = "../durable/mutate.rs"]
mod mutate;
mod splits;

mod digests;
mod faults;
#[cfg(feature = "gradients")]
mod gradients;
mod members;
mod networks;

use durable::start;

/// On one of the ranks of `splits`.
#[test]
#[ignore = "started under mpirun by the tests of splits"]
fn rank_of_many_runs() {
    splits::on_this_rank();
}
