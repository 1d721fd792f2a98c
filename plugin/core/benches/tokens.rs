//! Counting speed, native, against `tiktoken-rs` in the same run: `cargo bench -p tollgate-core --bench tokens`.
//!
//! "cold" starts every iteration with an empty word cache (the dictionary in the tables is always there), "warm" with
//! one that has seen the text, and in both the text ends in a tail that no iteration saw before. Text files named in
//! `TOLLGATE_BENCH_TEXTS` (separated by `:`) are measured beside the built-in samples.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tollgate_core::tokens::{Budget, Counter, Encoding};

const PROSE: &str = "A proxy sits between every team and every model, and so it is the one place where the bill can be \
    understood before it arrives. What a call costs depends on what the provider read, what it remembered and what it \
    wrote; none of these is in the price list. ";
const JSON: &str = r#"{"type":"function","function":{"name":"get_order_status","description":"Looks up an order by its id.","parameters":{"type":"object","properties":{"order_id":{"type":"string","description":"The id printed on the receipt"},"include_history":{"type":"boolean"}},"required":["order_id"],"additionalProperties":false}}},"#;
const CHINESE: &str = "网关位于每个团队与每个模型之间，因此只有在这里才能在账单到来之前看懂它。一次调用的费用取决于供应商读取了什么、记住了什么以及写出了什么。";

fn texts() -> Vec<(String, String)> {
    let mut texts = vec![
        ("prose".to_owned(), PROSE.repeat(200)),
        ("code".to_owned(), include_str!("../src/tokens/split.rs").repeat(4)),
        ("tools".to_owned(), JSON.repeat(200)),
        ("chinese".to_owned(), CHINESE.repeat(200)),
    ];
    for path in std::env::var("TOLLGATE_BENCH_TEXTS").unwrap_or_default().split(':').filter(|path| !path.is_empty()) {
        texts.push((path.rsplit('/').next().unwrap_or(path).to_owned(), std::fs::read_to_string(path).unwrap()));
    }
    texts
}

fn tokens(criterion: &mut Criterion) {
    let mut tail = 0_u64;
    let mut with_tail = |text: &str| {
        tail += 1;
        format!("{text}\nticket {:x}", tail.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    };
    for (encoding, name, reference) in [
        (Encoding::O200kBase, "o200k", tiktoken_rs::o200k_base_singleton()),
        (Encoding::Cl100kBase, "cl100k", tiktoken_rs::cl100k_base_singleton()),
    ] {
        for (kind, text) in texts() {
            let mut group = criterion.benchmark_group(format!("{name}/{kind}"));
            group.sample_size(20).throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function("tiktoken-rs", |bencher| {
                bencher.iter_batched(
                    || with_tail(&text),
                    |text| black_box(reference.encode_ordinary(&text).len()),
                    BatchSize::LargeInput,
                );
            });
            group.bench_function("cold", |bencher| {
                bencher.iter_batched(
                    || {
                        let mut counter = Counter::new();
                        counter.count(encoding, "a", &mut Budget::unlimited());
                        (counter, with_tail(&text))
                    },
                    |(mut counter, text)| black_box(counter.count(encoding, &text, &mut Budget::unlimited())),
                    BatchSize::LargeInput,
                );
            });
            let mut counter = Counter::new();
            group.bench_function("warm", |bencher| {
                bencher.iter_batched(
                    || with_tail(&text),
                    |text| black_box(counter.count(encoding, &text, &mut Budget::unlimited())),
                    BatchSize::LargeInput,
                );
            });
            group.finish();
        }
    }
}

criterion_group!(benches, tokens);
criterion_main!(benches);
