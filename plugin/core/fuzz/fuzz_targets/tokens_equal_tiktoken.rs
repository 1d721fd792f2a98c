//! Any text has as many tokens as `tiktoken-rs` says, in both encodings. `cargo +nightly fuzz run tokens_equal_tiktoken`
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::tokens::{Budget, Counter, Encoding};

fuzz_target!(|text: &str| {
    let mut counter = Counter::new();
    for (encoding, reference) in [
        (Encoding::O200kBase, tiktoken_rs::o200k_base_singleton()),
        (Encoding::Cl100kBase, tiktoken_rs::cl100k_base_singleton()),
    ] {
        // Twice: from the tables, then from the word cache.
        for _ in 0..2 {
            let count = counter.count(encoding, text, &mut Budget::unlimited());
            if count.exact {
                assert_eq!(count.tokens, reference.encode_ordinary(text).len() as u64, "{encoding:?} of {text:?}");
            }
        }
    }
});
