//! The fuzz targets over the test data: as it is, cut off, and with bytes changed. libFuzzer looks further; here they cannot
//! be left behind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fuzz::{TARGETS, run};
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// Bodies of requests and answers, compressed ones too, one of each kind that there is, and what no body shows.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for dialect in std::fs::read_dir(testdata).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(files) = std::fs::read_dir(&dialect) else { continue };
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
        for file in files.iter().take(2) {
            let exchange: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let text = |side: &str| exchange[side]["body"].as_str().map(|body| body.as_bytes().to_vec());
            let binary = exchange["response"]["body_base64"].as_str().map(|body| STANDARD.decode(body).unwrap());
            seeds.extend([text("request"), text("response"), binary].into_iter().flatten());
        }
    }
    seeds.extend(OTHERS.iter().map(|seed| seed.to_vec()));
    seeds
});

/// A configuration, a zone, a store's answer, a form, the head of a request, a line of a log.
const OTHERS: [&[u8]; 6] = [
    br#"{"limits":[{"id":"a","per":"day","limit":1,"time_zone":"Europe/Berlin"}]}"#,
    b"\x00\x6a\xb0\xc5\x10Europe/Berlin",
    br#"{"EVAL":"ab.1790000000 1 1 10 20 30 0 2 10 20 30 0 3 10 20 30 0"}"#,
    b"whisper-1\x00RIFF\r\n--\r\n",
    b"/v1/chat/completions\napi.openai.com\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nbaggage: team=a;b,app=%41",
    br#"event: {"schema":"tollgate.event/1","id":"a"}"#,
];

#[test]
fn every_target_takes_the_test_data_as_it_is_and_cut_off() {
    assert!(SEEDS.len() > 40);
    for (name, target) in TARGETS {
        for seed in SEEDS.iter().filter(|seed| seed.len() < 20_000) {
            for choice in [0, 3, 7, 23] {
                println!("{name}: {choice} before {}", String::from_utf8_lossy(&seed[..seed.len().min(80)]));
                target(&[&[choice, choice + 1][..], seed].concat());
                target(&[&[choice][..], seed].concat());
            }
            target(seed);
            target(&seed[..seed.len() / 2]);
        }
    }
}

#[test]
fn every_target_is_a_program_of_libfuzzers() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let (_, programs) = manifest.split_once("[[bin]]").unwrap();
    let programs: Vec<_> =
        programs.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    assert_eq!(programs, TARGETS.map(|(name, _)| name));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_target_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        TARGETS.iter().for_each(|(name, _)| run(name, &bytes));
    }

    #[test]
    fn every_target_takes_test_data_with_bytes_changed(
        seed in 0..SEEDS.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = SEEDS[seed][..SEEDS[seed].len().min(4_000)].to_vec();
        for (at, byte) in changes.iter().filter(|_| !bytes.is_empty()).cloned().collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        TARGETS.iter().for_each(|(name, _)| run(name, &bytes));
    }
}
