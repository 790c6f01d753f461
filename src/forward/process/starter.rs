//! The thread that starts a simulator's processes.
//!
//! Linux ends a child when the thread that started it ends (see `Child::start`). Threads that wait for answers come and go;
//! this one stays as long as its simulator.

use std::io;
use std::sync::{Arc, Mutex, mpsc};

use super::Simulator;
use super::child::Child;
use super::leftovers::Leftovers;

/// The channel on which started processes are sent.
type Reply = mpsc::Sender<io::Result<Child>>;

/// Starts processes of one simulator.
#[derive(Debug)]
pub struct Starter {
    simulator: Simulator,
    longest: usize,
    /// To the thread, once there is one.
    requests: Mutex<Option<mpsc::Sender<Reply>>>,
    leftovers: Arc<Leftovers>,
}

impl Starter {
    /// Returns a starter of processes of `simulator`, whose answers hold at most `longest` bytes.
    pub fn new(simulator: Simulator, longest: usize) -> Self {
        Self {
            simulator,
            longest,
            requests: Mutex::default(),
            leftovers: Arc::default(),
        }
    }

    /// Returns the leftovers of its processes that have ended.
    pub fn leftovers(&self) -> &Leftovers {
        &self.leftovers
    }

    /// Starts one child.
    ///
    /// # Errors
    /// The operating system's: no such program, no permission, no more processes.
    pub fn start(&self) -> io::Result<Child> {
        let (reply, started) = mpsc::channel();
        {
            let mut requests = self.requests.lock().expect("no thread panicked");
            if requests.is_none() {
                *requests = Some(self.thread()?);
            }
            let sent = requests.as_ref().map(|requests| requests.send(reply));
            sent.and_then(Result::ok)
                .expect("the thread waits for requests");
        }
        started.recv().expect("every request is answered")
    }

    fn thread(&self) -> io::Result<mpsc::Sender<Reply>> {
        let (requests, waiting) = mpsc::channel::<Reply>();
        let (simulator, longest) = (self.simulator.clone(), self.longest);
        let leftovers = self.leftovers.clone();
        let serve = move || {
            for reply in waiting {
                // Whoever asked waits for the reply.
                let _ = reply.send(Child::start(&simulator, longest, leftovers.clone()));
            }
        };
        let builder = std::thread::Builder::new().name("starter".to_owned());
        builder.spawn(serve).map(|_| requests)
    }
}
