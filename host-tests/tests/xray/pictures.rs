//! Light and dark, and the pictures of the documentation. `TOLLGATE_UPDATE=1` takes them anew.

use std::fs;

use tollgate_host::artifact;

use crate::browser::{Browser, Scheme};

/// What the repository keeps of a picture.
const BYTES_MAX: usize = 200_000;

/// Takes a picture of the page in each scheme, from a place on; the ground must be light in one and dark in the other.
fn take(browser: &mut Browser, name: &str, from: &str, height: u64) {
    browser.size(1280, height);
    let mut grounds = Vec::new();
    for (scheme, suffix) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.prefer(scheme);
        browser.eval(&format!(
            "{{ document.querySelector('{from}').scrollIntoView(); document.activeElement?.blur(); true }}"
        ));
        let picture = browser.screenshot();
        assert!(picture.len() < BYTES_MAX, "{name}-{suffix}: {} bytes", picture.len());
        grounds.push(browser.text("getComputedStyle(document.body).backgroundColor"));
        if std::env::var_os("TOLLGATE_UPDATE").is_some() {
            let folder = artifact::root().join("examples/xray/screenshots");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("{name}-{suffix}.png")), picture).expect("a written picture");
        }
    }
    let brightness = |ground: &String| -> u32 {
        ground
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|number| number.parse::<u32>().ok())
            .take(3)
            .sum()
    };
    assert!(brightness(&grounds[0]) > 600 && brightness(&grounds[1]) < 150, "{grounds:?}");
}

/// Whether the picture of the first chart has another colour for its text in each scheme.
fn ink(browser: &mut Browser) -> String {
    browser.text("Chart.getChart(document.querySelector('canvas')).options.scales.x.ticks.color")
}

#[test]
fn both_halves_are_drawn_light_and_dark() {
    let (page, mut browser, _) = crate::open_sample();
    browser.wait_for("document.querySelectorAll('canvas').length === 4");
    browser.wait_for("Chart.getChart(document.querySelector('canvas'))");
    let light = ink(&mut browser);
    take(&mut browser, "log", "body", 1250);
    take(&mut browser, "changes", "section:has(> #compare-form)", 860);
    assert_ne!(ink(&mut browser), light, "charts do not follow the colours of the system");
    browser.prefer(Scheme::Light);
    browser.click("#nav-call");
    browser.wait_for("!document.querySelector('#call').hidden");
    browser.click("#example");
    browser.wait_for("document.querySelector('#alternatives')");
    take(&mut browser, "call", "body", 1120);
    crate::close(&page, browser);
}
