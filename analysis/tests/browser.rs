//! The report in a browser: what the page's script answers to a pointer, and that nothing is missing without it. Needs Chromium, by the
//! name `chromium`, `chromium-browser` or `google-chrome` on the path, or where `CURVEFLEET_TEST_CHROMIUM` says; skipped by name elsewhere.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use curvefleet_analysis::{ReportOptions, write_report};
use curvefleet_proto::artifact::report_folder;
use support::{Fixture, Shape};

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CURVEFLEET_TEST_CHROMIUM").map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let on_path = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    named.into_iter().chain(on_path).find(|path| path.is_file())
}

/// What a page is after its scripts, and `driver` after them, have run.
fn dump(chromium: &Path, page: &Path, driver: &str) -> String {
    let html = std::fs::read_to_string(page).unwrap();
    let driven = page.with_file_name("driven.html");
    std::fs::write(&driven, html.replace("</body>", &format!("<script>(() => {{ {driver} }})();</script></body>")))
        .unwrap();
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,2400", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", driven.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Writes down in the page's own elements what stands in the tip over points of figures, and what is drawn after a click.
const DRIVER: &str = r#"
  const note = (name, value) => document.body.setAttribute("data-" + name, value);
  const over = (figure, x, y) => {
    const svg = document.querySelector(`figure[id^="${figure}"] svg`);
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x * scale, clientY: box.top + y * scale, bubbles: true }));
    const tip = document.getElementById("tip");
    return tip.hidden ? "hidden" : tip.textContent.replaceAll("\n", "; ");
  };
  const plots = (figure) => JSON.parse(document.querySelector(`figure[id^="${figure}"] script.values`).textContent);
  const [left, top, width, height] = plots("learning-curve-map")[0].area;
  note("map", over("learning-curve-map", left + width - 1, top + 1));
  note("outside", over("learning-curve-map", 2, 2));
  const ribbon = plots("metrics-by-epoch")[2];
  const point = ribbon.lines[1].points[3];
  const at = (axis, value) => (value - axis.range[0]) / (axis.range[1] - axis.range[0]);
  const spot = [ribbon.area[0] + at(ribbon.x, point[0]) * ribbon.area[2] - 0.5, ribbon.area[1] + (1 - at(ribbon.y, point[1])) * ribbon.area[3]];
  note("line", over("metrics-by-epoch", ...spot));
  note("name", ribbon.lines[1].name);
  const button = document.querySelector(`.chooser button[data-c="${ribbon.lines[1].mark}"]`);
  button.click();
  note("pressed", button.getAttribute("aria-pressed"));
  note("off", document.querySelectorAll("svg .line.off").length);
  note("hidden-line", over("metrics-by-epoch", ...spot));
  document.querySelector(".chooser [data-all]").click();
  note("shown-again", document.querySelectorAll("svg .line.off").length);
  note("requests", performance.getEntriesByType("resource").length);
"#;

fn noted(dom: &str, name: &str) -> String {
    let start = format!(" data-{name}=\"");
    let from = dom.find(&start).unwrap_or_else(|| panic!("{name} was not noted")) + start.len();
    dom[from..].split('"').next().unwrap_or_default().to_string()
}

#[tokio::test]
async fn a_pointer_finds_values_and_conditions_are_chosen() {
    let Some(chromium) = chromium() else {
        println!(
            "skipped: the report in a browser: there is no chromium on the path, and CURVEFLEET_TEST_CHROMIUM names none"
        );
        return;
    };
    let fixture = Fixture::write(&Shape::default());
    write_report(&fixture.store, "synthetic", ReportOptions { time: "browser".to_string() }).await.unwrap();
    let page = fixture.path(&report_folder("synthetic", "browser")).join("index.html");
    let dom = dump(&chromium, &page, DRIVER);
    // The upper right cell is the last time step after the last epoch: 12 steps and 4 epochs.
    let map = noted(&dom, "map");
    assert!(map.starts_with("wave/point; accuracy 0.") && map.ends_with("time step 12, epoch 4"), "{map}");
    assert_eq!(noted(&dom, "outside"), "hidden");
    let (line, name) = (noted(&dom, "line"), noted(&dom, "name"));
    assert!(line.starts_with(&format!("{name}; epoch 4; max 0.")) && line.contains(" [0."), "{line}");
    assert_eq!(noted(&dom, "pressed"), "false");
    assert_ne!(noted(&dom, "off"), "0");
    assert!(!noted(&dom, "hidden-line").starts_with(&name), "{}", noted(&dom, "hidden-line"));
    assert_eq!((noted(&dom, "shown-again"), noted(&dom, "requests")), ("0".to_string(), "0".to_string()));
}
