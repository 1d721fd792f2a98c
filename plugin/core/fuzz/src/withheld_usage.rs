//! Of any stream, cut anywhere, the same passes: all of it but events. The first byte says how long the pieces are.

use tollgate_core::frame::withhold::Withhold;

pub(crate) fn run(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let passed = |size: usize| {
        let mut withhold = Withhold::default();
        let mut passed: Vec<u8> = stream.chunks(size.max(1)).flat_map(|piece| withhold.feed(piece)).collect();
        passed.extend(withhold.end());
        passed
    };
    let whole = passed(stream.len());
    assert_eq!(passed(usize::from(*size)), whole);
    if !stream.windows(5).any(|word| word == b"usage") {
        assert_eq!(whole, stream);
    }
}
