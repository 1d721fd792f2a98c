//! Any bytes, cut anywhere, are the results of a batch with the same usage. The first byte chooses whose batch, the second
//! says how long the pieces are.

use tollgate_core::dialect::{Dialect, Layout};
use tollgate_core::head::ResponseHead;

pub(crate) fn run(bytes: &[u8]) {
    let [choice, size, results @ ..] = bytes else { return };
    let layout = Layout::ALL[usize::from(*choice) % Layout::ALL.len()];
    let read = |size: usize| {
        let mut reader = Dialect::Batch(layout).response_reader();
        reader.head(&ResponseHead { status: 200, ..ResponseHead::default() });
        results.chunks(size.max(1)).for_each(|piece| reader.feed(piece));
        (reader.end(), reader.usage(), reader.answer().id.clone(), reader.answer().output_file.clone())
    };
    assert_eq!(read(usize::from(*size)), read(results.len()));
}
