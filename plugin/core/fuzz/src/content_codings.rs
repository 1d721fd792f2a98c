//! Any bytes in any content coding, cut anywhere, decode to the same bytes, and to no more than is granted. The first byte
//! chooses the codings, the second says how long the pieces are.

use tollgate_core::frame::inflate::{Codings, DECODED_MAX, Ending, Inflate, RATIO_MAX};

const HEADERS: [&str; 6] = ["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate, gzip"];

pub(crate) fn run(bytes: &[u8]) {
    let [choice, size, body @ ..] = bytes else { return };
    let header = HEADERS[usize::from(*choice) % HEADERS.len()];
    let codings = Codings::of([header].into_iter()).expect("codings that are known");
    let decoded = |size: usize| {
        let (mut inflate, mut plain) = (Inflate::new(&codings), Vec::new());
        body.chunks(size.max(1)).for_each(|piece| inflate.feed(piece, &mut |bytes| plain.extend_from_slice(bytes)));
        let ending = inflate.end(&mut |bytes| plain.extend_from_slice(bytes));
        (plain, ending)
    };
    let (plain, ending) = decoded(body.len());
    assert_eq!(decoded(usize::from(*size)), (plain.clone(), ending));
    let granted = (body.len() as u64).next_multiple_of(4096) * RATIO_MAX;
    assert!(plain.len() as u64 <= granted.min(DECODED_MAX), "{} bytes of {}", plain.len(), body.len());
    // A text is taken for plain as it streams by, though it may happen to be in the coding.
    if plain != body
        && let Ok(strictly) = Inflate::whole(&codings, body, DECODED_MAX)
    {
        assert_eq!((strictly, Ending::Whole), (plain, ending));
    }
}
