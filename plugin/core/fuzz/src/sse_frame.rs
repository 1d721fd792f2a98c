//! Any bytes, cut anywhere, frame to the same events. The first byte says how long the pieces are.

use tollgate_core::frame::sse::{Sse, Visit};

#[derive(Default, PartialEq, Debug)]
struct Seen {
    events: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Visit for Seen {
    fn data(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
    }
    fn end(&mut self) {
        self.events.push(std::mem::take(&mut self.data));
    }
}

fn frame<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut sse, mut seen) = (Sse::default(), Seen::default());
    pieces.into_iter().for_each(|piece| sse.feed(piece, &mut seen));
    sse.end(&mut seen);
    seen
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(frame(stream.chunks(size)), frame([stream]));
}
