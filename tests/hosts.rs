//! Two and three hosts made of network namespaces on one machine: the same digest as on one host; a host that is cut off
//! ends the job with a clear message within the time set; the run goes on on the hosts that are left.
//!
//! Needs root, `ip` with namespaces, and Open MPI's mpirun; skipped with a printed reason where they are missing.

mod durable;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use durable::*;

/// Steps of about a millisecond on three hosts of one rank.
const SMALL: [&str; 6] = [
    "ensemble.members=24",
    "data.limit=60",
    "data.batch=15",
    "ensemble.rerandomise=epoch",
    "run.best=never",
    "run.evaluate_every=0",
];

/// Hosts 1 to n and, to start jobs from, host 0, with addresses of their own on one bridge; taken down when dropped.
struct Hosts {
    tag: String,
    net: String,
    count: usize,
    agent: PathBuf,
}

fn ip(line: &str) -> Output {
    let output = Command::new("ip").args(line.split(' ')).output();
    output.unwrap_or_else(|e| panic!("ip {line}: {e}"))
}

impl Hosts {
    /// `count` hosts, or the reason there are none.
    fn up(count: usize, room: &Path) -> Result<Self, String> {
        let launcher = std::env::var("EKI_MPIRUN").unwrap_or_else(|_| "mpirun".to_owned());
        let version = Command::new(&launcher).arg("--version").output();
        let version = version.map_err(|e| format!("{launcher}: {e}"))?;
        if !String::from_utf8_lossy(&version.stdout).contains("Open MPI) 4") {
            return Err("the launcher is not Open MPI 4".to_owned());
        }
        Command::new("ip")
            .arg("-V")
            .output()
            .map_err(|e| format!("ip: {e}"))?;
        let number = std::process::id() % 250;
        let hosts = Self {
            tag: format!("eki{number}"),
            net: format!("10.77.{number}"),
            count,
            agent: room.join("agent"),
        };
        let (tag, net) = (&hosts.tag, &hosts.net);
        // What was sent to a host that is cut off is given up after some seconds: the kernel's own setting is a quarter
        // of an hour, and keep-alive probes are not sent as long as something waits to be delivered.
        let patience = room.join("retries");
        std::fs::write(&patience, "5\n").expect("a file");
        let patience = patience.display();
        let mut lines = vec![
            format!("link add {tag} type bridge"),
            format!("link set {tag} up"),
        ];
        for host in 0..=count {
            let name = format!("{tag}h{host}");
            lines.extend([
                format!("netns add {name}"),
                format!("link add {name} type veth peer name eth0 netns {name}"),
                format!("link set {name} master {tag} up"),
                format!("-n {name} addr add {net}.{host}/24 dev eth0"),
                format!("-n {name} link set eth0 up"),
                format!("-n {name} link set lo up"),
                format!("netns exec {name} cp {patience} /proc/sys/net/ipv4/tcp_retries2"),
            ]);
        }
        for line in lines {
            let output = ip(&line);
            if !output.status.success() {
                // What was made so far is taken down with `hosts`.
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("ip {line}: {}", why.trim()));
            }
        }
        // In place of ssh: runs its command on a host, which has a name of its own, too.
        let script = format!(
            "#!/bin/sh\nhost={tag}h${{1##*.}}\nshift\nexec ip netns exec $host unshare --uts sh -c \"hostname $host; $*\"\n"
        );
        std::fs::write(&hosts.agent, script).expect("a script");
        let made = Command::new("chmod").arg("755").arg(&hosts.agent).status();
        assert!(made.expect("chmod").success());
        Ok(hosts)
    }

    /// The program on one rank of each of the hosts numbered `which`, or several of one named several times, over TCP,
    /// started from host 0.
    fn run(&self, which: &[usize], settings: &[&str], folder: &Path) -> Command {
        let mut first = Command::new("ip");
        first.args(["netns", "exec", &format!("{}h0", self.tag)]);
        let mut command = within(first, &program(which.len(), settings, folder));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let list: Vec<String> = which
            .iter()
            .map(|host| format!("{}.{host}:1", self.net))
            .collect();
        let net = format!("{}.0/24", self.net);
        for (name, value) in [
            ("orte_default_hostfile", "none"),
            ("plm_rsh_agent", self.agent.to_str().expect("text")),
            ("btl", "tcp,self"),
            ("pml", "ob1"),
            ("btl_tcp_if_include", &net),
            ("oob_tcp_if_include", &net),
            // A host that does not answer is given up after some ten seconds, not Open MPI's eight minutes.
            ("oob_tcp_keepalive_time", "4"),
            ("oob_tcp_keepalive_intvl", "2"),
            ("oob_tcp_keepalive_probes", "3"),
        ] {
            command.env(format!("OMPI_MCA_{name}"), value);
        }
        command.env_remove("OMPI_MCA_rmaps_base_oversubscribe");
        command.env("OMPI_MCA_orte_default_dash_host", list.join(","));
        command
    }

    /// Ends all that runs on any host.
    fn quiet(&self) {
        for host in 0..=self.count {
            let inside = ip(&format!("netns pids {}h{host}", self.tag));
            for pid in String::from_utf8_lossy(&inside.stdout).lines() {
                signal("KILL", pid.parse().expect("a process"));
            }
        }
    }

    /// Cuts `host` off, or joins it again.
    fn link(&self, host: usize, state: &str) {
        assert!(
            ip(&format!("link set {}h{host} {state}", self.tag))
                .status
                .success()
        );
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.quiet();
        for host in 0..=self.count {
            let name = format!("{}h{host}", self.tag);
            ip(&format!("link del {name}"));
            ip(&format!("netns del {name}"));
        }
        ip(&format!("link del {}", self.tag));
    }
}

#[test]
fn hosts_give_one_hosts_digest_and_the_loss_of_one_is_told_and_survived() {
    let room = tempfile::tempdir().unwrap();
    let hosts = match Hosts::up(3, room.path()) {
        Ok(hosts) => hosts,
        Err(why) => return eprintln!("skipped: no hosts can be made here: {why}"),
    };
    let whole = |steps: u64| {
        let (steps, name) = (format!("run.steps={steps}"), format!("whole-{steps}"));
        let folder = room.path().join(name);
        if !folder.exists() {
            succeed(&mut program(1, &[&SMALL[..], &[&steps]].concat(), &folder));
        }
        folder
    };
    // Of two ranks of one host each reads the other's members where they lie, and sends its own to the third.
    for which in [&[1, 2][..], &[3, 1, 2], &[1, 1, 2]] {
        let folder = room.path().join(format!("on-{which:?}"));
        succeed(&mut hosts.run(which, &[&SMALL[..], &["run.steps=40"]].concat(), &folder));
        assert_eq!(digest(&folder), digest(&whole(40)), "{which:?}");
        let environment = std::fs::read_to_string(folder.join("environment.json")).unwrap();
        assert!(
            which
                .iter()
                .all(|host| environment.contains(&format!("{}h{host}", hosts.tag))),
            "{environment}"
        );
    }

    let folder = room.path().join("cut");
    // The program tells what is the matter, and Open MPI's daemons miss each other soon after. (Were the program to end
    // itself at once, mpirun would send the lost host a word that it then waits many minutes to deliver.)
    let rules = [
        "run.steps=10000000",
        "run.hang_timeout=3s",
        "checkpoint.every_steps=20",
    ];
    let mut child = hosts
        .run(&[1, 2, 3], &[&SMALL[..], &rules].concat(), &folder)
        .spawn()
        .unwrap();
    let marked = || {
        let steps = checkpoints(&folder).into_iter();
        steps
            .filter(|&step| checkpoint(&folder, step).join("mark").exists())
            .max()
    };
    let saved = wait_for(patience(30.0), || marked().is_some());
    hosts.link(2, "down");
    let cut = Instant::now();
    let ends = wait_for(patience(60.0), || {
        child.try_wait().expect("a child").is_some()
    });
    let after = cut.elapsed().as_secs_f64();
    // The lost host's own processes hold the output open for as long as they live.
    hosts.quiet();
    let (code, text) = ended(start::wait(child));
    assert!(saved && ends && code != 0 && code != 75, "{text}");
    assert!(
        text.contains("no step ended in 3 s: all ranks wait for messages; a link may be down"),
        "{text}"
    );
    eprintln!("a host's loss was told and the job ended in {after:.0} s");

    let newest = marked().unwrap();
    let steps = format!("run.steps={}", newest + 30);
    let text = succeed(&mut hosts.run(
        &[1, 3],
        &[&SMALL[..], &[&steps, "--resume"]].concat(),
        &folder,
    ));
    assert!(text.contains("going on from step"), "{text}");
    assert_eq!(digest(&folder), digest(&whole(newest + 30)));
}
