//! Fetching data sets from a server of the test's own: whole, cut and resumed, wrong, missing, and from where files lie.

use std::fs;
use std::path::{Path, PathBuf};

use eki_mpi::data::catalogue::{Content, File, Format, Source, find};
use eki_mpi::data::checksum::sha256;
use eki_mpi::data::fetch::{Placed, fetch, list};
use files::gzip;
use server::{Answer, Server};

mod files;
mod server;

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
fn a_part_that_is_a_link_or_another_files_name_is_not_written_through() {
    let content = noise(5_000);
    let source = source_of(&content);
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("thesis");
    fs::write(&victim, "done").unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    let part = folder.path().join("set/one.gz.part");
    let server = Server::new(vec![Answer::File(gzip(&content))]);
    for planted in [
        std::os::unix::fs::symlink::<&Path, &Path>,
        fs::hard_link::<&Path, &Path>,
    ] {
        planted(&victim, &part).unwrap();
        let placed = fetch(&source, folder.path(), Some(&server.address)).unwrap();
        assert!(placed[0].fetched);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "done");
        assert_eq!(names(folder.path()), ["one.gz"]);
        fs::remove_file(&placed[0].path).unwrap();
    }
}

#[test]
fn of_four_that_fetch_at_once_one_does_and_all_end_well() {
    let content = noise(2_000_000);
    let source = source_of(&content);
    let folder = tempfile::tempdir().unwrap();
    // The first is cut again and again, so that the others find its part.
    let cut = Answer::Cut(gzip(&content), 300_000);
    let server = Server::new(vec![
        cut.clone(),
        cut.clone(),
        cut,
        Answer::File(gzip(&content)),
    ]);
    let brought: Vec<bool> = std::thread::scope(|scope| {
        let one = || fetch(&source, folder.path(), Some(&server.address)).unwrap()[0].fetched;
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(brought.iter().filter(|&&fetched| fetched).count(), 1);
    assert_eq!(server.requests().len(), 4);
    assert_eq!(names(folder.path()), ["one.gz"]);
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
