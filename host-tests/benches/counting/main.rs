//! How fast the filter counts inside wasmtime, beside `tiktoken-rs` there and on the bare machine in the same run. `make bench` runs
//! it; `BENCHMARKS.md` explains it.
//!
//! Rounds take turns, and of each measure the fastest round is printed: what else the machine does only ever adds to it.
//! Invariants: no request is sent twice, each ends in a tail that none before it had; every count is held against
//! `tiktoken-rs`.
//! Must not know: how tokens are counted.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::float_arithmetic, reason = "a bench")]

mod reference;
#[path = "../gateway/text.rs"]
#[allow(dead_code, reason = "no answers are needed here")]
mod text;
mod vm;

use reference::Reference;
use serde_json::json;
use std::time::{Duration, Instant};
use tollgate_host::artifact;
use vm::{Admitted, Vm};
use wasmtime::{Engine, Module};

/// Bytes of each text, about.
const TEXT: usize = 250_000;
/// What a prompt of one message, or of two, has beside their text.
const FRAMING: [u64; 2] = [7, 11];

fn main() {
    let is_quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let rounds = if is_quick { 5 } else { 20 };
    let engine = Engine::default();
    let module = Module::from_file(&engine, artifact::wasm().expect("the filter builds")).expect("a module");
    let reference = Module::from_file(&engine, artifact::reference().expect("it builds")).expect("a module");
    let mut reference = Reference::start(&engine, &reference).expect("an instance");
    let mut tails = Tails::default();
    println!(
        "\nCounting, MB/s\n\n| text | tiktoken-rs, native | in wasmtime | Tollgate in wasmtime, first seen | seen before |\n\
         |---|---|---|---|---|"
    );
    for (name, text) in texts() {
        let start = || Vm::start(&engine, &module).expect("a VM");
        println!("{}", counting(name, &text, rounds, &mut tails, &mut reference, &start));
    }
    println!("{}", conversation(rounds, &mut tails, &mut Vm::start(&engine, &module).expect("a VM")));
}

/// Texts no part of which is like another.
fn texts() -> [(&'static str, String); 4] {
    let sources = ["plugin/core/src", "plugin/src"].map(|room| artifact::root().join(room));
    let tools: Vec<_> = (0..TEXT / 800).map(text::tool).collect();
    [
        ("prose", text::prose(1, TEXT)),
        ("code", sources.iter().flat_map(|room| files(room)).collect::<String>().chars().take(TEXT).collect()),
        ("JSON tools", json!(tools).to_string()),
        ("Chinese", chinese(TEXT)),
    ]
}

/// The Rust files of a directory, without those below it, in the order of their names.
fn files(directory: &std::path::Path) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(directory).expect("sources").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn chinese(bytes: usize) -> String {
    const SUBJECTS: [&str; 5] = ["仓库", "承运商", "我们的计划员", "这个仪表板", "夜间任务"];
    const VERBS: [&str; 4] = ["报告了", "预计会有", "拒绝了", "重新发送了"];
    const OBJECTS: [&str; 6] = [
        "北部区域的迟到包裹",
        "超过约定重量的退货",
        "每个产品系列的利润率",
        "少见的重复发票",
        "下个季度的预测",
        "没有地址的客户",
    ];
    const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    let mut text = String::new();
    for number in 1.. {
        let digits: String = number.to_string().bytes().map(|digit| DIGITS[usize::from(digit - b'0')]).collect();
        let [subject, verb, object] = [SUBJECTS[number % 5], VERBS[(number / 2) % 4], OBJECTS[(number / 3) % 6]];
        text.push_str(&format!("{subject}{verb}{object}，见第{digits}行；"));
        if text.len() >= bytes {
            break;
        }
    }
    text
}

/// What a VM counts before it is measured: its memory is in use then, as that of `tiktoken-rs` is, and its caches are full of
/// words that none of the texts has.
const STRANGE: std::ops::Range<u64> = 1..9;

/// Made-up words of two to nine letters, 60 KB of them: as much as a request's budget allows of text that must be merged.
fn strange(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) % below
    };
    let mut text = String::new();
    while text.len() < 60_000 {
        let letters = next(8) + 2;
        (0..letters).for_each(|_| text.extend(u8::try_from(next(26)).map(|letter| char::from(b'a' + letter))));
        text.push([' ', '_', '.', '\n'][usize::try_from(next(4)).expect("below four")]);
    }
    text
}

/// A row: a text in a prompt of its own, in a VM that never saw it, and again before another tail.
fn counting(
    name: &str,
    text: &str,
    rounds: usize,
    tails: &mut Tails,
    reference: &mut Reference,
    start: &dyn Fn() -> Vm,
) -> String {
    let bare = tiktoken_rs::o200k_base_singleton();
    let [mut native, mut sandboxed, mut first, mut again] = [Duration::MAX; 4];
    let count = |text: &str| u64::try_from(bare.encode_ordinary(text).len()).expect("a number");
    let check = |admitted: &Admitted, expected: u64| assert_eq!(admitted.input_tokens, expected, "{name}");
    for _ in 0..rounds {
        let text = format!("{text} {}", tails.next());
        let began = Instant::now();
        let tokens = count(&text);
        native = native.min(began.elapsed());
        let (counted, took) = reference.count(&text).expect("a count");
        assert_eq!(counted, tokens, "{name}");
        sandboxed = sandboxed.min(took);
        let mut vm = start();
        STRANGE.for_each(|seed| _ = vm.admit(&prompt(&[&strange(seed)])).expect("a call"));
        let admitted = vm.admit(&prompt(&[&text])).expect("a call");
        check(&admitted, tokens + FRAMING[0]);
        first = first.min(admitted.took);
        let tail = tails.next();
        let admitted = vm.admit(&prompt(&[&text, &tail])).expect("a call");
        check(&admitted, tokens + count(&tail) + FRAMING[1]);
        again = again.min(admitted.took);
    }
    let speed = |took: Duration| text.len() as f64 / took.as_secs_f64() / 1e6;
    let [native, sandboxed, first, again] = [native, sandboxed, first, again].map(speed);
    format!(
        "| {name} {:.0} KB | {native:.0} | {sandboxed:.0} | {first:.0} (×{:.1}; of native ×{:.1}) | {again:.0} |",
        text.len() as f64 / 1e3,
        first / sandboxed,
        first / native
    )
}

fn prompt(texts: &[&str]) -> Vec<u8> {
    let messages: Vec<_> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    json!({"model": "gpt-4.1", "messages": messages}).to_string().into_bytes()
}

/// An agent's request that was seen before but for its tail, and one with 4 KB of new text.
fn conversation(rounds: usize, tails: &mut Tails, vm: &mut Vm) -> String {
    let (before, after) = text::request(196_000, false);
    let mut admit = |tail: &str| {
        let body = [&before, tail.as_bytes(), &after].concat();
        (body.len(), vm.admit(&body).expect("a call").took)
    };
    admit(&tails.next());
    let [mut known, mut step] = [Duration::MAX; 2];
    let mut bytes = 0;
    for round in 0..rounds * 10 {
        let (length, took) = admit(&tails.next());
        (bytes, known) = (length, known.min(took));
        step = step.min(admit(&format!("{} {}", tails.next(), text::prose(100_000 * (round + 1), 4_000))).1);
    }
    let speed = bytes as f64 / known.as_secs_f64() / 1e9;
    format!(
        "\nA request of 196 KB, all of it seen before but its tail: {} µs, {speed:.2} GB/s; with 4 KB of new text: {} µs",
        known.as_micros(),
        step.as_micros()
    )
}

/// Texts that no request had before.
#[derive(Default)]
struct Tails(u64);

impl Tails {
    /// Spread over all digits, so that a tail is no known word.
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("{:016x}", self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}
