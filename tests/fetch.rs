//! Fetching data sets from a server of the test's own: whole, cut and resumed, wrong, missing, and from where files lie.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use eki_mpi::data::catalogue::{Content, File, Format, Source, find};
use eki_mpi::data::checksum::sha256;
use eki_mpi::data::fetch::{Placed, fetch, list};
use files::gzip;

mod files;

/// How the server answers the requests it gets, in turn; the last answer stands for all later ones.
#[derive(Clone, Debug)]
enum Answer {
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
type Request = (String, Option<usize>);

/// A server on a port of its own; ends with the test process.
struct Server {
    address: String,
    /// What it was asked.
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn new(answers: Vec<Answer>) -> Self {
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

    fn requests(&self) -> Vec<Request> {
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

/// A set of one file `one.gz` that holds `content` packed, at two mirrors that nothing answers.
fn source_of(content: &[u8]) -> Source {
    let packed = gzip(content);
    let text = |bytes: &[u8]| -> &'static str { sha256(bytes).unwrap().leak() };
    let file = File {
        name: "one.gz",
        published: "published.gz",
        bytes: packed.len() as u64,
        sha256: vec![text(&packed)].leak(),
        content: Some(Content {
            bytes: content.len() as u64,
            sha256: text(content),
        }),
    };
    Source {
        name: "set",
        files: vec![file].leak(),
        folder: "set",
        mirrors: &["http://127.0.0.1:1/a/", "http://127.0.0.1:1/b/"],
        format: Format::Idx,
        ..find("mnist").unwrap().clone()
    }
}

/// Bytes that gzip hardly shrinks.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// The names in the set's folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.join("set"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn fetched(folder: &Path) -> Vec<Placed> {
    let path: PathBuf = folder.join("set/one.gz");
    vec![Placed {
        path,
        fetched: true,
    }]
}

#[test]
fn a_file_is_brought_whole_and_then_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(200_000);
    let (source, server) = (
        source_of(&content),
        Server::new(vec![Answer::File(gzip(&content))]),
    );
    let placed = fetch(&source, folder.path(), Some(&server.address)).unwrap();
    assert_eq!(placed, fetched(folder.path()));
    assert_eq!(
        fs::read(folder.path().join("set/one.gz")).unwrap(),
        gzip(&content)
    );
    assert_eq!(names(folder.path()), ["one.gz"]);
    let again = fetch(&source, folder.path(), Some(&server.address)).unwrap();
    assert!(!again[0].fetched);
    assert_eq!(server.requests(), [("/set/one.gz".to_owned(), None)]);
}

#[test]
fn a_cut_connection_is_resumed_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(200_000);
    let packed = gzip(&content);
    let server = Server::new(vec![
        Answer::Cut(packed.clone(), 70_000),
        Answer::Cut(packed.clone(), 50_000),
        Answer::File(packed),
    ]);
    fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
    let ranges: Vec<_> = server
        .requests()
        .into_iter()
        .map(|(_, from)| from)
        .collect();
    assert_eq!(ranges, [None, Some(70_000), Some(120_000)]);
    assert_eq!(names(folder.path()), ["one.gz"]);
}

#[test]
fn a_later_call_goes_on_from_the_part_an_earlier_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(200_000);
    let (source, packed) = (source_of(&content), gzip(&content));
    let dying = Server::new(vec![
        Answer::Cut(packed.clone(), 1000),
        Answer::Status("503 Busy"),
    ]);
    let error = fetch(&source, folder.path(), Some(&dying.address)).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(names(folder.path()), ["one.gz.part"]);
    let server = Server::new(vec![Answer::File(packed)]);
    fetch(&source, folder.path(), Some(&server.address)).unwrap();
    assert_eq!(server.requests()[0].1, Some(1000));
}

#[test]
fn a_server_that_knows_no_ranges_gives_the_file_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(200_000);
    let packed = gzip(&content);
    let server = Server::new(vec![
        Answer::Cut(packed.clone(), 70_000),
        Answer::Whole(packed),
    ]);
    fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
    assert_eq!(server.requests()[1].1, Some(70_000));
}

#[test]
fn a_range_that_does_not_start_where_the_part_ends_is_not_added() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(50_000);
    let packed = gzip(&content);
    let server = Server::new(vec![
        Answer::Cut(packed.clone(), 20_000),
        Answer::Misplaced(packed.clone()),
        Answer::File(packed),
    ]);
    fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
    let ranges: Vec<_> = server
        .requests()
        .into_iter()
        .map(|(_, from)| from)
        .collect();
    assert_eq!(ranges, [None, Some(20_000), None]);
}

#[test]
fn a_body_of_unknown_length_is_not_taken_for_whole_when_it_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(50_000);
    let packed = gzip(&content);
    let server = Server::new(vec![
        Answer::Unsized(packed.clone(), 20_000),
        Answer::File(packed),
    ]);
    fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
    assert_eq!(server.requests()[1].1, Some(20_000));
}

#[test]
fn wrong_content_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(50_000);
    let mut wrong = gzip(&content);
    wrong[30_000] ^= 1;
    let server = Server::new(vec![Answer::File(wrong)]);
    let error = fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("has SHA-256") && text.contains("expected"),
        "{text}"
    );
    assert!(
        text.contains("by hand") && text.contains("one.gz"),
        "{text}"
    );
    assert!(!text.contains('\n'), "{text}");
    assert!(names(folder.path()).is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_stale_part_is_thrown_away_once_it_proves_wrong() {
    for stale in [noise(1000), noise(60_000), noise(900_000)] {
        let folder = tempfile::tempdir().unwrap();
        let content = noise(50_000);
        fs::create_dir_all(folder.path().join("set")).unwrap();
        fs::write(folder.path().join("set/one.gz.part"), stale).unwrap();
        let server = Server::new(vec![Answer::File(gzip(&content))]);
        fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
        assert_eq!(names(folder.path()), ["one.gz"]);
    }
}

#[test]
fn a_whole_part_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(1000);
    fs::create_dir_all(folder.path().join("set")).unwrap();
    fs::write(folder.path().join("set/one.gz.part"), gzip(&content)).unwrap();
    let placed = fetch(
        &source_of(&content),
        folder.path(),
        Some("http://127.0.0.1:1"),
    )
    .unwrap();
    assert_eq!(placed, fetched(folder.path()));
}

#[test]
fn content_packed_otherwise_or_not_at_all_is_as_good() {
    let content = noise(50_000);
    let repacked = [gzip(&content[..20_000]), gzip(&content[20_000..])].concat();
    for body in [content.clone(), repacked] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new(vec![Answer::File(body)]);
        fetch(&source_of(&content), folder.path(), Some(&server.address)).unwrap();
        assert_eq!(names(folder.path()), ["one.gz"]);
    }
}

#[test]
fn a_file_far_larger_than_published_is_not_downloaded() {
    for (answer, says) in [
        (Answer::Whole(noise(900_000)), "offers 900000 bytes"),
        (Answer::Unsized(noise(900_000), 900_000), "sends more than"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::new(vec![answer]);
        let error = fetch(
            &source_of(&noise(1000)),
            folder.path(),
            Some(&server.address),
        )
        .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!names(folder.path()).contains(&"one.gz".to_owned()));
    }
}

#[test]
fn the_next_mirror_is_asked_when_one_has_no_such_file() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(1000);
    let first = Server::new(vec![Answer::Status("404 Not Found")]);
    let second = Server::new(vec![Answer::File(gzip(&content))]);
    let mut source = source_of(&content);
    let base = |server: &Server| -> &'static str { format!("{}/public/", server.address).leak() };
    source.mirrors = vec![base(&first), base(&second)].leak();
    fetch(&source, folder.path(), None).unwrap();
    for server in [first, second] {
        assert_eq!(
            server.requests(),
            [("/public/published.gz".to_owned(), None)]
        );
    }
}

#[test]
fn without_a_network_each_mirror_and_the_way_by_hand_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&source_of(&noise(1000)), folder.path(), None).unwrap_err();
    let text = error.to_string();
    for says in [
        "127.0.0.1:1/a/published.gz",
        "127.0.0.1:1/b/published.gz",
        "place one.gz in",
        "EKI_MIRROR",
    ] {
        assert!(text.contains(says), "{text:?} should say {says:?}");
    }
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_file_of_the_users_own_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("set")).unwrap();
    fs::write(folder.path().join("set/one"), b"mine").unwrap();
    let error = fetch(
        &source_of(&noise(1000)),
        folder.path(),
        Some("http://127.0.0.1:1"),
    )
    .unwrap_err();
    assert!(error.to_string().contains("not replaced"), "{error}");
    assert_eq!(error.exit_code(), 2);
    assert_eq!(fs::read(folder.path().join("set/one")).unwrap(), b"mine");
}

#[test]
fn the_list_tells_what_is_there_what_is_not_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let series = folder.path().join("series");
    fs::create_dir_all(&series).unwrap();
    fs::write(
        series.join("zurich-sunspots.csv"),
        "date,value\n1749-01,1\n",
    )
    .unwrap();
    let mnist = folder.path().join("mnist");
    fs::create_dir_all(&mnist).unwrap();
    fs::write(mnist.join("train-images-idx3-ubyte"), "").unwrap();
    let lines = list(folder.path());
    let line = |name: &str| lines.iter().find(|l| l.starts_with(name)).unwrap().clone();
    assert_eq!(lines.len(), 7);
    assert!(line("digits").contains("there"));
    assert!(line("svhn").contains("missing"));
    assert!(line("svhn").contains(&folder.path().join("svhn").display().to_string()));
    assert!(line("mnist").contains("incomplete"));
    assert!(line("mnist").contains("train-labels-idx1-ubyte.gz"));
    assert!(line("sunspots").contains("not as published"));
}
