//! Any text has as many tokens as `tiktoken-rs` says, in both encodings.

use tollgate_core::tokens::{Budget, Counter, Encoding};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
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
}
