//! One HTTP request for what is still missing of a file.

use std::io::{IsTerminal as _, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::catalogue::File;
use super::part::Part;
use crate::error::Error;

/// Why an attempt ended without the whole file.
pub enum Failure {
    /// The connection ended or stalled; another attempt may go on.
    Cut(String),
    /// The server won't give this file.
    Refused(String),
    /// The disk failed.
    Local(Error),
}

/// Connections to mirrors: those through the environment's proxy, and those to this very machine without.
pub struct Link {
    outside: Agent,
    here: Agent,
}

impl Link {
    /// Connects to nothing yet.
    pub fn new() -> Self {
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(Duration::from_secs(20)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                // A stalled server counts as a cut connection.
                .timeout_per_read(Some(Duration::from_secs(30)))
                .user_agent(concat!("eki-mpi/", env!("CARGO_PKG_VERSION")))
                // Packing in transit would make a range of the file meaningless.
                .accept_encoding("identity")
        };
        Self {
            outside: config().build().into(),
            here: config().proxy(None).build().into(),
        }
    }

    /// Asks `address` for what `part` lacks of `file`, and adds it; `Ok` when the server has given all it promised.
    pub fn attempt(&self, address: &str, file: &File, part: &mut Part) -> Result<(), Failure> {
        let mut have = part.length();
        // Longer than the file can be: not a part of it.
        if have > most(file) {
            have = 0;
        }
        let mut response = self.ask(address, have)?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if resumes_at(&response, have) => have,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                part.clear().map_err(Failure::Local)?;
                return Err(Failure::Cut(
                    "the server has no such range of the file".to_owned(),
                ));
            }
            status => return Err(Failure::Refused(format!("HTTP status {status}"))),
        };
        let promised = response.body().content_length().map(|rest| start + rest);
        if let Some(whole) = promised.filter(|&whole| whole > most(file)) {
            return Err(Failure::Refused(format!(
                "offers {whole} bytes, {} expected",
                file.bytes
            )));
        }
        let bar = progress(file, promised.unwrap_or(file.bytes));
        let end = receive(&mut response, file, part, start, &bar);
        bar.finish_and_clear();
        let end = end?;
        match promised {
            Some(whole) if end < whole => {
                Err(Failure::Cut(format!("ended after {end} of {whole} bytes")))
            }
            // Without a promised length, a short file is more likely cut than packed otherwise.
            None if end < file.bytes => Err(Failure::Cut(format!(
                "ended after {end} of {} bytes",
                file.bytes
            ))),
            _ => Ok(()),
        }
    }

    /// The response to a request for all bytes from `have` on.
    fn ask(&self, address: &str, have: u64) -> Result<Response<Body>, Failure> {
        let host = address.split("//").nth(1).unwrap_or(address);
        let local = ["127.0.0.1", "localhost", "[::1]"];
        let agent = if local.iter().any(|name| host.starts_with(name)) {
            &self.here
        } else {
            &self.outside
        };
        let mut request = agent.get(address);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        request.call().map_err(|e| match e {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Refused(e.to_string()),
            _ => Failure::Cut(e.to_string()),
        })
    }
}

/// The most bytes taken for `file`: it may come packed otherwise, or unpacked.
fn most(file: &File) -> u64 {
    let content = file.content.as_ref().map_or(0, |content| content.bytes);
    file.bytes.max(content) + file.bytes / 8 + 65_536
}

/// Whether the server's part begins where ours ends.
fn resumes_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get("Content-Range");
    range
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.trim().strip_prefix("bytes"))
        .and_then(|range| range.trim_start().split('-').next())
        .and_then(|first| first.parse().ok())
        == Some(have)
}

/// Writes the body to `part` from `start` on; gives the part's length at the body's end.
fn receive(
    response: &mut Response<Body>,
    file: &File,
    part: &mut Part,
    start: u64,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    if start == 0 {
        part.clear().map_err(Failure::Local)?;
    }
    let mut from = response.body_mut().as_reader();
    let (mut end, mut buffer) = (start, vec![0; 1 << 16]);
    loop {
        bar.set_position(end);
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(end),
            Ok(n) => n,
            Err(e) => return Err(Failure::Cut(format!("{e} after {end} bytes"))),
        };
        end += n as u64;
        if end > most(file) {
            return Err(Failure::Refused(format!(
                "sends more than the {} bytes expected",
                file.bytes
            )));
        }
        part.add(&buffer[..n]).map_err(Failure::Local)?;
    }
}

/// A bar on the terminal; none where standard error goes elsewhere.
fn progress(file: &File, whole: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let form = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(whole), target)
        .with_style(style)
        .with_message(file.name)
}
