//! A web server of a few lines that answers as it is told to, for the tests of downloads.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How the server answers the requests it gets, in turn; the last answer stands for all later ones.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The file, or the range asked for.
    File(Vec<u8>),
    /// As `File`, but the connection ends after so many bytes of the body.
    Cut(Vec<u8>, usize),
    /// The whole file, whatever range was asked for.
    Whole(Vec<u8>),
    /// The file without saying how long it is, cut after so many bytes.
    Unsized(Vec<u8>, usize),
    /// A part of the file from its start, whatever range was asked for.
    Misplaced(Vec<u8>),
    /// A status and nothing else.
    Status(&'static str),
}

/// A request's path, and where the range it asked for starts.
pub type Request = (String, Option<usize>);

/// A server on a port of its own; ends with the test process.
pub struct Server {
    /// Its address, without a slash at the end.
    pub address: String,
    /// What it was asked.
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers on a free port of this machine.
    pub fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let answer = answers.get(i).or(answers.last()).unwrap();
                let stream = stream.unwrap();
                let asked = request(&stream);
                log.lock().unwrap().push(asked.clone());
                // A client that hangs up is part of what is tested.
                let _ = respond(stream, answer, asked.1);
            }
        });
        Self { address, seen }
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// The path and the start of the range of one request.
fn request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut from = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    (path, from)
}

fn respond(mut to: TcpStream, answer: &Answer, from: Option<usize>) -> std::io::Result<()> {
    let close = "Connection: close\r\n\r\n";
    let (body, most) = match answer {
        Answer::Status(status) => {
            return write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n{close}");
        }
        Answer::Unsized(body, most) => {
            write!(to, "HTTP/1.1 200 OK\r\n{close}")?;
            return to.write_all(&body[..*most]);
        }
        Answer::Whole(body) => {
            write!(
                to,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{close}",
                body.len()
            )?;
            return to.write_all(body);
        }
        Answer::Misplaced(body) => {
            let n = body.len();
            let range = format!(
                "Content-Range: bytes 0-{}/{n}\r\nContent-Length: {n}",
                n - 1
            );
            write!(to, "HTTP/1.1 206 Partial Content\r\n{range}\r\n{close}")?;
            return to.write_all(body);
        }
        Answer::File(body) => (body, body.len()),
        Answer::Cut(body, most) => (body, *most),
    };
    let start = from.unwrap_or(0);
    if start >= body.len() {
        return write!(
            to,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n{close}"
        );
    }
    let rest = &body[start..];
    match from {
        Some(start) => write!(
            to,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\n",
            body.len() - 1,
            body.len()
        )?,
        None => write!(to, "HTTP/1.1 200 OK\r\n")?,
    }
    write!(to, "Content-Length: {}\r\n{close}", rest.len())?;
    to.write_all(&rest[..most.min(rest.len())])
}
