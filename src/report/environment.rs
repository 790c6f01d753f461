//! The environment of a run: versions, hosts with their processors, ranks and threads; environment.json.
//!
//! Product kernels choose blocks by the processor's caches, so equal bits are promised only between hosts with the same
//! processor model; a mix is reported.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::{ENVIRONMENT, Resolved};
use crate::error::Result;
use crate::files::Files;
use crate::parallel::comm::Comm;

/// The content of environment.json.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// The version of the program.
    pub program: &'static str,
    /// The versions of the formats of the run's files.
    pub formats: Formats,
    /// The compiler that built the program, if known.
    pub rustc: Option<&'static str>,
    /// The name of the MPI library, its first line.
    pub mpi: String,
    /// The command line of rank 0.
    pub command: Vec<String>,
    /// The folders in which the files named in the configuration were searched for; first the one where rank 0 was
    /// started.
    pub folders: Vec<String>,
    /// The start of the run in UTC.
    pub started: String,
    /// The number R of ranks.
    pub ranks: usize,
    /// The hosts, in the order of their first ranks.
    pub hosts: Vec<Host>,
}

/// The versions of the formats of a run's files. A number rises where a key or column changes its meaning or goes; keys and columns that are
/// added leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Formats {
    /// The version of metrics.jsonl.
    pub metrics: u32,
    /// The version of summary.json.
    pub summary: u32,
    /// The version of timing.json.
    pub timing: u32,
    /// The version of the tables, CSV, in final/ and steps/.
    pub tables: u32,
}

impl Formats {
    /// The versions that this version of the program writes.
    pub const NOW: Self = Self {
        metrics: 1,
        summary: 1,
        timing: 1,
        tables: 1,
    };
}

/// A host and the part of it that the run uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Host {
    /// The host's name.
    pub name: String,
    /// The processor's model.
    pub cpu: String,
    /// The number of logical cores that the ranks on this host may use together.
    pub cores: usize,
    /// The number of logical cores that the ranks on this host are bound to together; more than `cores` if a quota
    /// allows fewer.
    #[serde(skip)]
    pub bound: usize,
    /// The ranks on this host.
    pub ranks: Vec<usize>,
    /// The number of threads of all ranks on this host.
    pub threads: usize,
}

/// The host of one rank, as that rank sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RankHost {
    host: String,
    cpu: String,
    /// The cores that this rank may run on, if the system says so.
    cores: BTreeSet<usize>,
    /// The number of cores that this rank may use at once.
    usable: usize,
    threads: usize,
}

impl Environment {
    /// Gathers the environment of a run of `resolved` on the ranks of `comm`, this one with `threads` threads. Called
    /// by all ranks; complete on rank 0.
    #[must_use]
    pub fn gather(comm: &Comm, threads: usize, resolved: &Resolved) -> Self {
        let config = bincode::config::standard();
        let rank_host = RankHost::of_this_rank(threads);
        let bytes = bincode::serde::encode_to_vec(&rank_host, config).expect("plain data encodes");
        let rank_hosts = comm.gather(&bytes).into_iter().map(|bytes| {
            let decoded = bincode::serde::decode_from_slice(&bytes, config);
            decoded.expect("a rank's own bytes decode").0
        });
        let mpi = mpi::environment::library_version().unwrap_or_default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            formats: Formats::NOW,
            program: env!("CARGO_PKG_VERSION"),
            rustc: option_env!("EKI_RUSTC"),
            mpi: mpi
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end_matches('\0')
                .to_owned(),
            // A path or an argument need not be UTF-8.
            folders: resolved
                .folders()
                .iter()
                .map(|folder| folder.to_string_lossy().into_owned())
                .collect(),
            command: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            started: utc(since.map_or(0, |since| since.as_secs())),
            ranks: comm.size(),
            hosts: hosts(rank_hosts),
        }
    }

    /// Writes environment.json to `folder`. Called by rank 0.
    ///
    /// # Errors
    /// `Error::Io` if the file cannot be written.
    pub fn write(&self, files: &Files, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).expect("plain data encodes") + "\n";
        files.write_whole(&folder.join(ENVIRONMENT), json.as_bytes())
    }

    /// Returns a warning if the hosts have processors of different models.
    #[must_use]
    pub fn mixed(&self) -> Option<String> {
        let models: BTreeSet<&str> = self.hosts.iter().map(|host| host.cpu.as_str()).collect();
        (models.len() > 1).then(|| {
            let models: Vec<&str> = models.into_iter().collect();
            format!(
                "hosts have different processors ({}): the same bits are promised among hosts of one model only",
                models.join("; ")
            )
        })
    }

    /// Returns a warning if the launcher (this process's parent) has bound the ranks of rank 0's host to fewer cores
    /// than the launcher itself may use, as Open MPI does with one or two ranks.
    #[must_use]
    pub fn bound(&self) -> Option<String> {
        let parent = format!("/proc/{}/status", std::os::unix::process::parent_id());
        let status = std::fs::read_to_string(parent).ok()?;
        let given = core_list(&field(&status, "Cpus_allowed_list")?).len();
        let bound = self.hosts.first()?.bound;
        (0 < bound && bound < given).then(|| {
            format!(
                "the launcher binds its ranks on this host to {bound} of {given} cores: mpirun --bind-to none lets them use all"
            )
        })
    }

    /// Returns the host whose threads exceed its cores most, if any.
    #[must_use]
    pub fn oversubscribed(&self) -> Option<&Host> {
        let beyond = |host: &&Host| host.threads > host.cores;
        self.hosts
            .iter()
            .filter(beyond)
            .max_by_key(|host| host.threads - host.cores)
    }

    /// Returns the name of the host of `rank`.
    #[must_use]
    pub fn host_of(&self, rank: usize) -> &str {
        let host = self.hosts.iter().find(|host| host.ranks.contains(&rank));
        host.map_or("?", |host| &host.name)
    }
}

impl RankHost {
    /// Returns what this rank, with `threads` threads, sees of its host.
    fn of_this_rank(threads: usize) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = field(&read("/proc/cpuinfo"), "model name");
        let allowed = field(&read("/proc/self/status"), "Cpus_allowed_list");
        Self {
            host: mpi::environment::processor_name().unwrap_or_else(|_| "?".to_owned()),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: allowed.map_or_else(BTreeSet::new, |list| core_list(&list)),
            usable: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads,
        }
    }
}

/// Returns the value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// Returns the numbers of a list like "0-3,8".
fn core_list(list: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<usize>().ok()?..=to.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Groups what the ranks see of their hosts, in the order of ranks, by host.
fn hosts(rank_hosts: impl Iterator<Item = RankHost>) -> Vec<Host> {
    let mut hosts: Vec<(Host, BTreeSet<usize>)> = Vec::new();
    for (rank, rank_host) in rank_hosts.enumerate() {
        let known = hosts
            .iter()
            .position(|(host, _)| host.name == rank_host.host);
        let place = known.unwrap_or_else(|| {
            let host = Host {
                name: rank_host.host.clone(),
                cpu: rank_host.cpu.clone(),
                cores: 0,
                bound: 0,
                ranks: Vec::new(),
                threads: 0,
            };
            hosts.push((host, BTreeSet::new()));
            hosts.len() - 1
        });
        let (host, cores) = &mut hosts[place];
        // Ranks bound to different cores add up; all ranks share a quota below the cores they may run on.
        let quota = rank_host.usable < rank_host.cores.len();
        cores.extend(&rank_host.cores);
        host.bound = cores.len();
        host.cores = if quota || rank_host.cores.is_empty() {
            rank_host.usable
        } else {
            cores.len()
        };
        host.ranks.push(rank);
        host.threads += rank_host.threads;
    }
    hosts.into_iter().map(|(host, _)| host).collect()
}

/// Formats `seconds` since 1970 as 2026-11-24T02:51:03Z (Howard Hinnant's civil-from-days).
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months are counted from March, so that the leap day ends the year.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank_host(host: &str, cpu: &str, cores: &str, usable: usize, threads: usize) -> RankHost {
        RankHost {
            host: host.to_owned(),
            cpu: cpu.to_owned(),
            cores: core_list(cores),
            usable,
            threads,
        }
    }

    fn of(rank_hosts: Vec<RankHost>) -> Environment {
        Environment {
            formats: Formats::NOW,
            program: "",
            rustc: None,
            mpi: String::new(),
            command: Vec::new(),
            folders: Vec::new(),
            started: String::new(),
            ranks: rank_hosts.len(),
            hosts: hosts(rank_hosts.into_iter()),
        }
    }

    #[test]
    fn cores_of_bound_ranks_add_up_and_shared_ones_do_not() {
        let bound = of(vec![
            rank_host("a", "x", "0-1", 2, 2),
            rank_host("a", "x", "2-3", 2, 2),
        ]);
        assert_eq!(bound.hosts[0].cores, 4);
        assert!(bound.oversubscribed().is_none() && bound.mixed().is_none());
        let shared = of(vec![
            rank_host("a", "x", "0-1", 2, 2),
            rank_host("a", "x", "0-1", 2, 2),
        ]);
        assert_eq!(shared.oversubscribed().map(|host| host.cores), Some(2));
        // A container with a quota of 2 on a host of 64 cores.
        let quota = of(vec![rank_host("a", "x", "0-63", 2, 3)]);
        assert_eq!(quota.oversubscribed().map(|host| host.cores), Some(2));
    }

    #[test]
    fn a_mix_of_processors_is_told_of() {
        let mixed = of(vec![
            rank_host("a", "x", "0", 1, 1),
            rank_host("b", "y", "0", 1, 1),
        ]);
        assert!(mixed.mixed().is_some_and(|line| line.contains("x; y")));
        assert_eq!((mixed.host_of(0), mixed.host_of(1)), ("a", "b"));
    }

    #[test]
    fn seconds_become_the_calendars_date() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_767_225_599), "2025-12-31T23:59:59Z");
    }
}
