//! The memory that this job may use: the least of what the host has, what its control control_group_limits and its batch job allow,
//! and the limits of the process.

use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A limit on memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The limit in bytes.
    pub bytes: u64,
    /// The origin of the limit, as messages name it.
    pub source: String,
}

/// Returns the least limit for all processes of this job on this host together; None if none is known (not Linux).
#[must_use]
pub fn memory_of_host() -> Option<MemoryLimit> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let proc = |name: &str| read(&Path::new("/proc").join(name)).unwrap_or_default();
    let host_limit = host_limit(&proc("meminfo"));
    let control_group_limits =
        control_group_limits(&proc("self/cgroup"), &proc("self/mountinfo"), read);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let slurm_limits = slurm_limits(
        |name| std::env::var(name).ok(),
        now.map_or(0, |now| now.as_secs()),
    );
    let all = host_limit
        .into_iter()
        .chain(control_group_limits)
        .chain(slurm_limits);
    all.min_by_key(|limit| limit.bytes)
}

/// Returns the least limit of this process alone (ulimit), if there is one.
#[must_use]
pub fn memory_of_process() -> Option<MemoryLimit> {
    process_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// Reads the host's memory from the text of /proc/meminfo.
fn host_limit(meminfo: &str) -> Option<MemoryLimit> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(MemoryLimit {
        bytes: kib * 1024,
        source: "all of its memory".to_owned(),
    })
}

/// Returns the limits of the control control_group_limits (versions 1 and 2) that contain this process according to
/// /proc/self/cgroup, and of the control_group_limits around them, as far as /proc/self/mountinfo shows them.
fn control_group_limits(
    cgroup: &str,
    mountinfo: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Vec<MemoryLimit> {
    let mut limits = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (left, right): (Vec<_>, Vec<_>) =
            (left.split(' ').collect(), right.split(' ').collect());
        let (&[_, _, _, root, mount, ..], &[kind, _, options, ..]) = (&left[..], &right[..]) else {
            continue;
        };
        let named = |list: &str| list.split(',').any(|word| word == "memory");
        let (file, version_1) = match kind {
            "cgroup2" => ("memory.max", false),
            "cgroup" if named(options) => ("memory.limit_in_bytes", true),
            _ => continue,
        };
        // "4:memory:/path" in version 1, "0::/path" in version 2.
        let path = cgroup.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let ours = if version_1 {
                named(controllers)
            } else {
                controllers.is_empty()
            };
            ours.then_some(path)
        });
        let within = Path::new(path.unwrap_or("/"));
        let within = within
            .strip_prefix(root)
            .or_else(|_| within.strip_prefix("/"));
        let plain = |path: &&Path| path.components().all(|c| matches!(c, Component::Normal(_)));
        let within = within.ok().filter(plain).unwrap_or(Path::new(""));
        for group in within.ancestors() {
            let path: PathBuf = Path::new(mount).join(group).join(file);
            if let Some(bytes) = read(&path).and_then(|text| text.trim().parse().ok()) {
                let source = path.display().to_string();
                limits.push(MemoryLimit { bytes, source });
            }
        }
    }
    limits
}

/// Returns Slurm's limit for the job on each node, given in MiB: --mem, or --mem-per-cpu and --mem-per-gpu times what
/// the job has there. A terminal may outlive its job and keep the variables, so they are ignored from the job's end on.
fn slurm_limits(variable: impl Fn(&str) -> Option<String>, now: u64) -> Vec<MemoryLimit> {
    let number = |name: &str| variable(name)?.trim().parse::<u64>().ok();
    if number("SLURM_JOB_END_TIME").is_some_and(|end| end <= now) {
        return Vec::new();
    }
    let each = [
        ("SLURM_MEM_PER_NODE", None),
        ("SLURM_MEM_PER_CPU", Some("SLURM_CPUS_ON_NODE")),
        ("SLURM_MEM_PER_GPU", Some("SLURM_GPUS_ON_NODE")),
    ];
    let limit = |(name, count): (&str, Option<&str>)| {
        // 0 means all memory of the node.
        let one = number(name).filter(|&mib| mib > 0)?;
        let (count, of) = match count {
            Some(count) => (number(count)?, format!(" x {count}")),
            None => (1, String::new()),
        };
        Some(MemoryLimit {
            bytes: one.checked_mul(count)?.checked_mul(1 << 20)?,
            source: format!("{name}{of}"),
        })
    };
    each.into_iter().filter_map(limit).collect()
}

/// Returns the least of a process's limits in /proc/self/limits: of its address space and of its data.
fn process_limit(limits: &str) -> Option<MemoryLimit> {
    let kinds = [
        ("Max address space", "ulimit -v"),
        ("Max data size", "ulimit -d"),
    ];
    let limit = |(name, source): (&str, &str)| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        let bytes = line.split_whitespace().next()?.parse().ok()?;
        let source = source.to_owned();
        Some(MemoryLimit { bytes, source })
    };
    kinds.into_iter().filter_map(limit).min_by_key(|l| l.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const MOUNTS: &str = "\
25 22 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:16 - cgroup cgroup rw,cpu
33 25 0:29 /box /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn least(cgroup: &str, files: &[(&str, &str)]) -> Option<MemoryLimit> {
        let files: HashMap<PathBuf, String> = files
            .iter()
            .map(|(path, text)| (Path::new("/sys/fs/cgroup").join(path), (*text).to_owned()))
            .collect();
        let limits = control_group_limits(cgroup, MOUNTS, |path| files.get(path).cloned());
        limits.into_iter().min_by_key(|limit| limit.bytes)
    }

    #[test]
    fn the_least_limit_of_a_control_group_and_those_around_it_holds() {
        let old = "9:cpu:/other\n4:memory:/slurm/job_7/step_0\n0::/\n";
        let files = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/slurm/job_7/memory.limit_in_bytes", "1000\n"),
            ("memory/slurm/job_7/step_0/memory.limit_in_bytes", "2000\n"),
            ("memory/other/memory.limit_in_bytes", "10\n"),
        ];
        let limit = least(old, &files).unwrap();
        assert_eq!(limit.bytes, 1000);
        assert_eq!(
            limit.source,
            "/sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes"
        );
        // Version 2, in a container that sees a part of the hierarchy.
        let new = "0::/box/inner\n";
        let files = [
            ("unified/memory.max", "700\n"),
            ("unified/inner/memory.max", "max\n"),
        ];
        assert_eq!(least(new, &files).unwrap().bytes, 700);
        assert_eq!(least("0::/../elsewhere\n", &files).unwrap().bytes, 700);
        assert_eq!(least(new, &[]), None);
    }

    #[test]
    fn slurm_allows_a_node_what_was_asked_for_while_the_job_runs() {
        let job = |pairs: &[(&str, &str)], now| {
            let pairs: HashMap<_, _> = pairs.iter().copied().collect();
            slurm_limits(|name| pairs.get(name).map(|v| (*v).to_owned()), now)
        };
        let node = [("SLURM_MEM_PER_NODE", "100"), ("SLURM_JOB_END_TIME", "50")];
        assert_eq!(job(&node, 40)[0].bytes, 100 << 20);
        assert!(job(&node, 50).is_empty());
        assert!(job(&[("SLURM_MEM_PER_NODE", "0")], 0).is_empty());
        let cores = [("SLURM_MEM_PER_CPU", "10"), ("SLURM_CPUS_ON_NODE", "4")];
        assert_eq!(job(&cores, 0)[0].bytes, 40 << 20);
    }

    #[test]
    fn a_process_has_limits_of_its_own() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max data size             unlimited            unlimited            bytes\n\
                    Max address space         600000               unlimited            bytes\n";
        assert_eq!(process_limit(text).unwrap().bytes, 600_000);
        assert_eq!(process_limit(&text.replace("600000", "unlimited")), None);
        assert_eq!(
            host_limit("MemTotal:       2 kB\nMemFree: 1 kB\n")
                .unwrap()
                .bytes,
            2048
        );
    }
}
