//! A report that is renewed: it follows the manifest, ends with the study, and leaves a page that stays.
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use curvefleet_analysis::report::watch::{News, Watch};
use curvefleet_analysis::{Error, ReportOptions, write_report};
use curvefleet_proto::artifact::{manifest_key, report_folder};
use support::{Fixture, Shape};

/// Looks follow one another as fast as they can; what changes between them is changed by the one who is asked before each.
fn watch(fixture: &Fixture, name: &str) -> Watch {
    Watch::new(fixture.store.clone(), vec![fixture.study.name.clone()], name.to_string(), Duration::from_millis(1))
}

fn page(fixture: &Fixture, name: &str) -> String {
    std::fs::read_to_string(fixture.path(&report_folder("synthetic", name)).join("index.html")).unwrap()
}

fn in_words(news: &News<'_>) -> String {
    match news {
        News::Written(summary) => format!("{} of {}", summary.done, summary.planned),
        News::Waiting => "waiting".to_string(),
        News::Trouble(error) => format!("trouble: {error}"),
    }
}

#[tokio::test]
async fn a_report_is_written_again_when_runs_arrive_and_ends_with_the_study() {
    let mut fixture = Fixture::write(&Shape::default());
    let whole = fixture.manifest.clone();
    std::fs::remove_file(fixture.path(&manifest_key("synthetic"))).unwrap();
    let looks = RefCell::new(0);
    let fixture_cell = RefCell::new(&mut fixture);
    let before = async || {
        *looks.borrow_mut() += 1;
        let look = *looks.borrow();
        let mut fixture = fixture_cell.borrow_mut();
        // Nothing is done at the looks 1 and 2; six runs from 3 on, and all from 6 on.
        if look == 3 || look == 6 {
            fixture.manifest = if look == 3 { whole[..6].to_vec() } else { whole.clone() };
            fixture.write_manifest();
        }
        if look == 5 {
            assert!(page(&fixture, "live").contains("class=\"renewed\""), "the page says that it is renewed");
        }
        false
    };
    let heard = RefCell::new(Vec::new());
    let watching = watch(&fixture_cell.borrow(), "live");
    let summary = watching
        .follow(|| UNIX_EPOCH, before, |news| heard.borrow_mut().push(in_words(&news)), std::future::pending())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard.into_inner(), ["waiting", "6 of 18", "18 of 18"]);
    assert_eq!((summary.done, summary.pending), (18, 0));
    // What is left is what a report at the end would have been.
    let left = fixture.files(&report_folder("synthetic", "live"));
    write_report(&fixture.store, "synthetic", ReportOptions { time: "live".to_string() }).await.unwrap();
    assert!(left == fixture.files(&report_folder("synthetic", "live")));
    assert!(!page(&fixture, "live").contains("class=\"renewed\""));
}

#[tokio::test]
async fn a_watch_that_is_stopped_leaves_a_page_that_stays() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.manifest.truncate(6);
    fixture.write_manifest();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stop = RefCell::new(Some(stop));
    let tell = |_: News<'_>| {
        if let Some(stop) = stop.borrow_mut().take() {
            stop.send(()).unwrap();
        }
    };
    let stopped = async { stopped.await.unwrap() };
    let summary = watch(&fixture, "stopped").follow(|| UNIX_EPOCH, async || false, tell, stopped).await.unwrap();
    assert_eq!(summary.unwrap().pending, 12);
    let page = page(&fixture, "stopped");
    assert!(!page.contains("class=\"renewed\"") && page.contains("not trained yet"));
}

/// A coordinator knows that a cancelled study will have no more runs.
#[tokio::test]
async fn a_study_that_is_known_to_have_ended_is_not_waited_for() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.manifest.truncate(6);
    fixture.write_manifest();
    let ended = watch(&fixture, "ended").follow(|| UNIX_EPOCH, async || true, |_| {}, std::future::pending());
    assert_eq!(ended.await.unwrap().unwrap().done, 6);
}

#[tokio::test]
async fn trouble_with_a_manifest_passes_and_an_unknown_study_does_not() {
    let fixture = Fixture::write(&Shape::default());
    let whole = std::fs::read(fixture.path(&manifest_key("synthetic"))).unwrap();
    fixture.put(&manifest_key("synthetic"), b"half a manifest");
    let looks = RefCell::new(0);
    let before = async || {
        *looks.borrow_mut() += 1;
        if *looks.borrow() == 2 {
            fixture.put(&manifest_key("synthetic"), &whole);
        }
        false
    };
    let heard = RefCell::new(Vec::new());
    let tell = |news: News<'_>| heard.borrow_mut().push(in_words(&news));
    watch(&fixture, "trouble").follow(|| UNIX_EPOCH, before, tell, std::future::pending()).await.unwrap();
    let heard = heard.into_inner();
    assert!(heard[0].starts_with("trouble: the manifest") && heard[1] == "18 of 18", "{heard:?}");

    let unknown =
        Watch::new(fixture.store.clone(), vec!["other".to_string()], "x".to_string(), Duration::from_millis(1));
    let error = unknown.follow(|| UNIX_EPOCH, async || false, |_| {}, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, Error::UnknownStudy { .. }), "{error}");
}
