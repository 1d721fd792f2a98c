//! Any bytes, cut anywhere, frame to the same messages. The first byte says how long the pieces are.

use tollgate_core::frame::eventstream::{EventStream, Headers, State, Visit};

#[derive(Default, PartialEq, Debug)]
struct Seen {
    messages: Vec<(Option<String>, Vec<u8>)>,
    complete: usize,
}

impl Visit for Seen {
    fn opens(&mut self, headers: &Headers<'_>) {
        self.messages.push((headers.get(":event-type").map(str::to_owned), Vec::new()));
    }
    fn payload(&mut self, piece: &[u8]) {
        self.messages.last_mut().expect("an open message").1.extend_from_slice(piece);
    }
    fn ends(&mut self) {
        self.complete += 1;
    }
}

fn frame<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Seen, State) {
    let (mut stream, mut seen) = (EventStream::default(), Seen::default());
    pieces.into_iter().for_each(|piece| stream.feed(piece, &mut seen));
    (seen, stream.state())
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(frame(stream.chunks(size)), frame([stream]));
}
