//! The shards of a checkpoint: each rank writes its own, rank 0 hears of all.

use std::path::Path;

use super::State;
use super::whole::Whole;
use crate::ensemble::hidden_state::GatheredStates;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::io::checkpoint::{self, ShardDigest, ShardHeader};
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;

/// Writes this rank's shard of `state`, whose members carry `carried`, with what is stored `whole`: the blocks of columns that it owns. Called by all ranks.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_shard<T: Real>(
    ranks: Ranks,
    (files, folder): (&Files, &Path),
    state: &State<T>,
    (carried, whole): (Option<&GatheredStates<T>>, &Whole<T>),
    run: [u8; 32],
) -> Result<ShardDigest> {
    let ensemble = &state.ensemble;
    // What is carried or stored whole stands with block 0, the same on all ranks.
    let carried_in = |b| {
        let carried = carried.into_iter().flat_map(GatheredStates::sections);
        let carried = carried.chain(whole.iter().map(|(_, numbers)| &numbers[..]));
        carried.map(move |numbers| if b == 0 { numbers } else { &[] })
    };
    let mut sections: Vec<(&[u8], u32)> = ensemble
        .own_blocks(ranks)
        .flat_map(|b| ensemble.sections(b).into_iter().chain(carried_in(b)))
        .map(|numbers| (bytemuck::cast_slice(numbers), 0))
        .collect();
    for_each(ranks.pool, sections.iter_mut(), |_, (bytes, sum)| {
        *sum = crc32fast::hash(bytes);
    });
    let header = ShardHeader {
        rank: ranks.comm.rank() as u64,
        ranks: ranks.comm.size() as u64,
        members: ensemble.members(ranks).items() as u64,
        parameters: ensemble.parameters() as u64,
        step: state.step,
        run,
        number: size_of::<T>() as u64,
        sections: Vec::new(),
    };
    checkpoint::write_shard(files, folder, header, &sections)
}

/// Gathers the digests of all ranks' shards, or the first rank's error, on rank 0; nothing of use elsewhere. Called by all ranks.
pub(super) fn gather_stamps(comm: &Comm, own: Result<ShardDigest>) -> Result<Vec<ShardDigest>> {
    let own: std::result::Result<ShardDigest, String> =
        own.map_err(|error| format!("{}: {error}", crate::parallel::abort::place()));
    let coding = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&own, coding).expect("plain data encodes");
    let (mut stamps, mut errors) = (Vec::new(), Vec::new());
    for bytes in comm.gather(&bytes) {
        let (theirs, _): (std::result::Result<ShardDigest, String>, usize) =
            bincode::serde::decode_from_slice(&bytes, coding).expect("a rank's message decodes");
        match theirs {
            Ok(stamp) => stamps.push(stamp),
            Err(error) => errors.push(error),
        }
    }
    match errors.first() {
        None => Ok(stamps),
        Some(first) if errors.len() == 1 => Err(Error::Run(first.clone())),
        Some(first) => Err(Error::Run(format!(
            "{first} (and {} more ranks)",
            errors.len() - 1
        ))),
    }
}

/// Returns the name of this host's processor, as the system gives it; empty where it gives none.
pub(super) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or_else(String::new, |(_, name)| name.trim().to_owned())
}
