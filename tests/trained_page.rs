//! The page of a network: what it confuses, what it is most wrong about, what its first layer looks for, and what it forecasts.

mod start;

use start::{Folder, Run, alone, end};

/// The page of `run`.
fn page(run: &Folder) -> String {
    let ended = end(alone().arg("report").arg(run.file("")));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stdout.contains("without"), "{}", ended.stdout);
    let page = std::fs::read_to_string(run.file("report.html")).unwrap();
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    // The page asks for nothing from elsewhere.
    let images = page.matches("<img ").count();
    assert_eq!(page.matches("src=\"").count(), images);
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), images);
    assert_eq!(page.matches("alt=\"").count(), images);
    page
}

/// The part of `page` below the heading `title`.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<h2>{title}</h2>")).expect(title);
    rest.split("<h2>").next().expect("a part")
}

#[test]
fn the_page_of_a_classifier_counts_confusions_and_shows_the_worst_samples() {
    let sets = [
        "run.epochs=4",
        "ensemble.members=60",
        "output.ensemble=true",
    ];
    let run = Run::new("digits", &sets).finish();
    let page = page(&run);
    let classes = section(&page, "Classes");
    let counted = |kind: &str| -> usize {
        let mark = format!("<td class=\"{kind}\"");
        let cells = classes.split(&*mark).skip(1);
        let number = |cell: &str| {
            let (_, rest) = cell.split_once('>').expect("a cell");
            rest.split('<')
                .next()
                .expect("its text")
                .parse()
                .unwrap_or(0)
        };
        cells.map(number).sum()
    };
    let (right, wrong) = (counted("right"), counted("wrong"));
    let accuracy = run.summary()["accuracy_mean"].as_f64().unwrap();
    let found = right as f64 / (right + wrong) as f64;
    assert!((found - accuracy).abs() < 1e-9, "{found} {accuracy}");
    let shown = section(&page, "Worst-classified samples")
        .matches("<img ")
        .count();
    assert_eq!(shown, wrong.min(24));
    let units = section(&page, "First layer").matches("<img ").count();
    assert_eq!(units, 32);
    assert!(section(&page, "Uncertainty").contains("mean confidence"));
    // Each chart has its numbers.
    let charts = page.matches("role=\"img\"").count();
    assert!(
        page.matches("<summary>Data of this chart</summary>")
            .count()
            >= charts,
        "{charts}"
    );
}

#[test]
fn samples_that_are_no_images_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("train.csv");
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 7, i % 5, ["no", "<yes>"][i % 11 % 2]));
    std::fs::write(&table, format!("a,b,c\n{}", rows.collect::<String>())).unwrap();
    let sets = [
        "model.layers=[2, 4, 2]",
        "ensemble.members=10",
        "run.epochs=1",
        "data.target=c",
    ];
    let run = Run::new("digits", &sets).set(format!("data.train={}", table.display()));
    let page = page(&run.set("data.batch=10").finish());
    assert!(section(&page, "Classes").contains("&lt;yes&gt;"));
    assert!(section(&page, "Worst-classified samples").contains("taken for"));
    assert!(!page.contains("<h2>First layer</h2>") && !page.contains("<img "));
}

#[test]
fn the_page_of_a_series_has_its_forecasts_beside_the_simple_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wave.csv");
    let rows = (0..60).map(|t| format!("{t},{}\n", 10.0 + (f64::from(t) * 0.4).sin()));
    std::fs::write(&file, format!("day,height\n{}", rows.collect::<String>())).unwrap();
    let sets = [
        "ensemble.members=20",
        "run.epochs=1",
        "model.units=[6]",
        "output.ensemble=true",
    ];
    let run = Run::new("sunspots", &sets).set(format!("data.series={}", file.display()));
    let page = page(&run.set("data.target=height").finish());
    let forecasts = section(&page, "Forecasts");
    for words in [
        "persistence",
        "AR(2)",
        "AR(20)",
        "network at the mean",
        "members' mean ± deviation",
    ] {
        assert!(forecasts.contains(words), "{words}");
    }
    // Values 1 to 59 and the one after the end.
    let (_, data) = forecasts.split_once("<details").expect("the data");
    assert_eq!(data.matches("<tr>").count(), 1 + 60);
}

#[test]
fn a_page_that_is_watched_is_loaded_again_until_the_run_has_ended() {
    let run = Run::new("digits", &["run.epochs=1", "ensemble.members=20"]).finish();
    let kept = run.file("kept.json");
    std::fs::rename(run.file("summary.json"), &kept).unwrap();
    let mut watch = alone();
    watch.arg("report").arg(run.file("")).arg("--watch");
    let mut watched = watch.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let page = || std::fs::read_to_string(run.file("report.html")).unwrap_or_default();
    while page().is_empty() {
        assert!(watched.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(page().contains("http-equiv=\"refresh\""));
    assert!(page().contains("This run has not ended."));
    std::fs::rename(&kept, run.file("summary.json")).unwrap();
    let output = start::wait(watched);
    assert!(output.status.success(), "{output:?}");
    assert!(!page().contains("http-equiv") && !page().contains("has not ended"));
}
