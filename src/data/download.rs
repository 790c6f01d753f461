//! One HTTP request for the missing rest of a file.

use std::io::{IsTerminal as _, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::part::Part;
use super::source::File;
use crate::error::Error;

/// The reason why an attempt ended without the whole file.
pub enum Failure {
    /// The connection ended or stalled; another attempt may continue.
    Cut(String),
    /// The server refuses to send this file.
    Refused(String),
    /// Writing to the disk failed.
    Local(Error),
}

/// HTTP agents: `outside` uses the environment's proxy, `here` reaches this machine without one.
pub struct Link {
    outside: Agent,
    here: Agent,
}

impl Link {
    /// Returns agents that are not connected yet.
    pub fn new() -> Self {
        let config = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(Duration::from_secs(20)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                // A stalled server counts as a cut connection.
                .timeout_per_read(Some(Duration::from_secs(30)))
                .user_agent(concat!("eki-mpi/", env!("CARGO_PKG_VERSION")))
                // Compression in transit would make a range of the file meaningless.
                .accept_encoding("identity")
        };
        Self {
            outside: config().build().into(),
            here: config().proxy(None).build().into(),
        }
    }

    /// Requests from `address` the bytes of `file` that `part` lacks, and appends them. Returns Ok when all promised
    /// bytes came.
    pub fn attempt(&self, address: &str, file: &File, part: &mut Part) -> Result<(), Failure> {
        let mut have = part.length();
        // Longer than the file can be: not a part of it.
        if have > size_limit(file) {
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
        if let Some(whole) = promised.filter(|&whole| whole > size_limit(file)) {
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
            // Without a promised length, a short file is more likely cut than packed differently.
            None if end < file.bytes => Err(Failure::Cut(format!(
                "ended after {end} of {} bytes",
                file.bytes
            ))),
            _ => Ok(()),
        }
    }

    /// Requests all bytes from byte `have` on.
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

/// Returns the largest number of bytes accepted for `file`, which may come packed differently, or unpacked.
fn size_limit(file: &File) -> u64 {
    let content = file.content.as_ref().map_or(0, |content| content.bytes);
    file.bytes.max(content) + file.bytes / 8 + 65_536
}

/// Returns true if the server's range begins where the local part ends.
fn resumes_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get("Content-Range");
    range
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.trim().strip_prefix("bytes"))
        .and_then(|range| range.trim_start().split('-').next())
        .and_then(|first| first.parse().ok())
        == Some(have)
}

/// Writes the body to `part` from byte `start` on; returns the length of the part at the end of the body.
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
        if end > size_limit(file) {
            return Err(Failure::Refused(format!(
                "sends more than the {} bytes expected",
                file.bytes
            )));
        }
        part.add(&buffer[..n]).map_err(Failure::Local)?;
    }
}

/// Returns a progress bar on the terminal; hidden if standard error is redirected.
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
