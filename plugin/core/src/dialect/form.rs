//! Reading `multipart/form-data` requests: the fields that are texts; files are passed over.
//!
//! Invariants: borrows from the body; a field given twice counts as its last; bounded parts, whatever the body.
//! Must not know: what a field means.

/// More fields than any such request has.
const FIELDS_MAX: usize = 256;

/// Whether a body is a form rather than JSON: it starts with a delimiter.
pub(super) fn is_form(body: &[u8]) -> bool {
    body.starts_with(b"--")
}

/// Calls `each` with the name and value of every field that is a text; `false` when the body is no form.
pub(super) fn fields<'a>(body: &'a [u8], mut each: impl FnMut(&'a str, &'a str)) -> bool {
    let Some((delimiter, mut rest)) = cut(body, b"\r\n") else { return false };
    if !is_form(delimiter) {
        return false;
    }
    let between = [b"\r\n", delimiter].concat();
    for _ in 0..FIELDS_MAX {
        let Some((part, after)) = cut(rest, &between) else { return true };
        if let Some((name, value)) = field(part) {
            each(name, value);
        }
        // Behind the last delimiter stands `--`.
        let Some(next) = after.strip_prefix(b"\r\n") else { return true };
        rest = next;
    }
    true
}

/// Name and value of a part; `None` for a file.
fn field(part: &[u8]) -> Option<(&str, &str)> {
    let (head, value) = cut(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    if disposition.contains("filename") {
        return None;
    }
    let (_, name) = disposition.split_once("name=")?;
    let name = match name.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => name.split(';').next()?.trim(),
    };
    Some((name, std::str::from_utf8(value).ok()?))
}

/// What stands before and behind the first occurrence.
fn cut<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = memchr::memmem::find(bytes, at)?;
    Some((bytes.get(..start)?, bytes.get(start.checked_add(at.len())?..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        fields(body, |name, value| found.push((name, value))).then_some(found)
    }

    #[test]
    fn texts_are_read_and_files_passed_over() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\x00\xff\r\n--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x\r\nContent-Disposition: form-data; name=stream\r\n\r\ntrue\r\n--x--\r\n";
        assert_eq!(read(body), Some(vec![("model", "whisper-1"), ("stream", "true")]));
    }

    #[test]
    fn what_is_cut_off_holds_what_was_whole() {
        let body =
            b"--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x\r\nContent-Disposition: form-d";
        assert_eq!(read(body), Some(vec![("model", "m")]));
        assert_eq!(read(b"{\"model\":\"m\"}\r\n"), None);
        assert_eq!(read(b"--"), None);
    }
}
