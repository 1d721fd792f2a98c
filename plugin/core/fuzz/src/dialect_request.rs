//! Any bytes are a request in some dialect, or refused. The first byte chooses the dialect.

use tollgate_core::dialect::{Dialect, ToolText};
use tollgate_core::prompt::Piece;

pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let Ok(request) = dialect.read_request(body) else { return };
    let mut text = 0;
    for element in &request.elements {
        dialect.read_element(element, ToolText::Namespace, &mut |piece| {
            if let Piece::Text(piece) = piece {
                text += piece.len();
            }
        });
    }
    // Nothing is counted that is not in the body.
    assert!(text <= body.len() * 4, "{text} bytes of text in a body of {}", body.len());
}
