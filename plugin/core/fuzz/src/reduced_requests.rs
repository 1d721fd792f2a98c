//! Any request, cut anywhere, is reduced to the same, which is JSON where the request is. The first byte says how long the
//! pieces are.

use serde_json::value::RawValue;
use tollgate_core::frame::reduce::{Keep, Reducer};

pub(crate) fn run(bytes: &[u8]) {
    let Some((size, body)) = bytes.split_first() else { return };
    for keep in [Keep::Texts, Keep::Little] {
        let reduced = |size: usize| {
            let mut reducer = Reducer::new(keep);
            body.chunks(size.max(1)).all(|piece| reducer.feed(piece));
            reducer.end()
        };
        let whole = reduced(body.len());
        assert_eq!(format!("{:?}", reduced(usize::from(*size))), format!("{whole:?}"));
        if let Some(whole) = whole.filter(|_| serde_json::from_slice::<&RawValue>(body).is_ok()) {
            assert!(serde_json::from_slice::<&RawValue>(whole.json()).is_ok(), "JSON stays JSON");
        }
    }
}
