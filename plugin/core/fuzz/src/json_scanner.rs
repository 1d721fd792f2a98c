//! Any bytes, cut anywhere, scan to the same reports. The first byte says how long the pieces are.

use tollgate_core::frame::json::{DocumentEnd, Fields, Node, Scanner, Take, Value, Visit};

static SHAPE: Node<&str> = Node {
    key: "",
    field: "root",
    take: Take::Path,
    fields: &[
        Node { key: "a", field: "a", take: Take::Value, fields: &[] },
        Node { key: "t", field: "t", take: Take::Text, fields: &[] },
        Node { key: "r", field: "r", take: Take::Raw, fields: &[] },
        Node {
            key: "o",
            field: "o",
            take: Take::Object,
            fields: &[
                Node { key: "a", field: "o.a", take: Take::Value, fields: &[] },
                Node { key: "t", field: "o.t", take: Take::Text, fields: &[] },
            ],
        },
    ],
};

/// Reports in order, fragments of one text joined.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Visit<&'static str> for Seen {
    fn open(&mut self, field: &'static str) {
        self.0.push((format!("{field} opens"), Vec::new()));
    }
    fn close(&mut self, field: &'static str) {
        self.0.push((format!("{field} closes"), Vec::new()));
    }
    fn value(&mut self, field: &'static str, value: Value<'_>) {
        self.0.push((format!("{field} is {value:?}"), Vec::new()));
    }
    fn text(&mut self, field: &'static str, fragment: &[u8]) {
        let report = format!("{field} says");
        match self.0.last_mut() {
            Some((last, text)) if *last == report => text.extend_from_slice(fragment),
            _ => self.0.push((report, fragment.to_vec())),
        }
    }
    fn raw(&mut self, field: &'static str, fragment: &[u8]) {
        self.text(field, fragment);
    }
    fn document(&mut self) {
        self.0.push((String::from("document"), Vec::new()));
    }
}

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(String, Vec<u8>)>, DocumentEnd) {
    let (mut scanner, mut seen) = (Scanner::new(&SHAPE), Seen::default());
    pieces.into_iter().for_each(|piece| scanner.feed(piece, &mut Fields::new(&mut seen)));
    let end = scanner.end(&mut Fields::new(&mut seen));
    (seen.0, end)
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((size, document)) = bytes.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(scan(document.chunks(size)), scan([document]));
}
