//! Sends the requests of a case through a gateway and reads every answer to its end.
//!
//! One thread per connection, kept open as SDKs do. Must not know: what is measured.

use crate::case::{CASE_HEADER, Case};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

/// Numbers that no request had before.
#[derive(Default)]
pub struct Tails(u64);

impl Tails {
    /// The next `count` of them, the first of which is returned.
    fn take(&mut self, count: usize) -> u64 {
        let first = self.0;
        self.0 += u64::try_from(count).expect("a few thousand");
        first
    }
}

/// Sends all requests of a case. Panics at the first that is not answered with 200.
pub fn send(url: &str, case: &Case, tails: &mut Tails) {
    let address = url.trim_start_matches("http://");
    let each = case.requests / case.connections;
    std::thread::scope(|scope| {
        for _ in 0..case.connections {
            let first = tails.take(each);
            scope.spawn(move || {
                let mut connection = TcpStream::connect(address).expect("a gateway");
                connection.set_nodelay(true).expect("a socket");
                for tail in (first..).take(each) {
                    call(&mut connection, case, tail).unwrap_or_else(|why| panic!("{}: {why}", case.name));
                }
            });
        }
    });
}

fn call(connection: &mut TcpStream, case: &Case, tail: u64) -> io::Result<()> {
    // Spread over all digits, so that the tail is no known word.
    let tail = format!("{:016x}", tail.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (before, after) = &case.request;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nauthorization: Bearer sk-bench\r\nuser-agent: OpenAI/Python 2.8.0\r\naccept: */*\r\n\
         x-tollgate-app: bench\r\nx-tollgate-team: platform\r\nx-tollgate-task: nightly-report\r\n{CASE_HEADER}: {}\r\n\r\n",
        before.len() + tail.len() + after.len(),
        case.name
    );
    connection.write_all(&[head.as_bytes(), before, tail.as_bytes(), after].concat())?;
    read(connection)
}

/// Reads a whole answer.
fn read(connection: &mut TcpStream) -> io::Result<()> {
    const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
    let broken = |what: &str| io::Error::other(what.to_owned());
    let mut piece = vec![0; 64 << 10];
    let mut answer = Vec::new();
    let mut whole = None;
    loop {
        if let Some(whole) = whole {
            let is_over = match whole {
                Some(length) => answer.len() >= length,
                None => answer.ends_with(LAST_CHUNK),
            };
            if is_over {
                return Ok(());
            }
        }
        let length = connection.read(&mut piece)?;
        if length == 0 {
            return Err(broken("the connection ended before the answer"));
        }
        answer.extend_from_slice(&piece[..length]);
        if whole.is_none()
            && let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(broken(head.lines().next().unwrap_or_default()));
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            whole = Some(length.map(|length| end + 4 + length));
        }
    }
}
