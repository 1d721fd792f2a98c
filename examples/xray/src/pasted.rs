//! What people paste: a body alone, a raw HTTP message, or a `curl` command.
//!
//! Invariants: nothing is guessed that is not there; what cannot be read is an error that names it.
//! Must not know: wire formats.

/// A message as pasted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The method of a request.
    pub(crate) method: Option<String>,
    /// URL or path of a request.
    pub(crate) target: Option<String>,
    /// The status of a response.
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Why a pasted text is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PastedError {
    #[error("the curl command takes its body from a file ({0}): paste the body itself")]
    BodyInFile(String),
    #[error("the curl command names no URL")]
    NoUrl,
    #[error("the curl command ends inside a quotation that begins with {0}")]
    OpenQuote(char),
    #[error("`{0}` is no header: expected `name: value`")]
    NotAHeader(String),
    #[error("`{0}` is no status line: expected `HTTP/1.1 200 OK`")]
    NotAStatus(String),
}

/// Flags of curl that are followed by a value which says nothing of the call.
const FLAGS_WITH_VALUE: [&str; 14] = [
    "-o",
    "--output",
    "-u",
    "--user",
    "-A",
    "--user-agent",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-x",
    "--proxy",
    "--retry",
    "-w",
    "--write-out",
];

impl Message {
    /// Reads a request.
    pub(crate) fn request(text: &str) -> Result<Self, PastedError> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if let Some(rest) = text.strip_prefix("curl").filter(|rest| rest.starts_with(char::is_whitespace)) {
            return curl(rest);
        }
        let first = text.lines().next().unwrap_or_default();
        let mut words = first.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some(version)) if version.starts_with("HTTP/") => {
                let (headers, body) = head_and_body(text)?;
                let (method, target) = (Some(method.to_owned()), Some(target.to_owned()));
                Ok(Self { method, target, headers, body, ..Self::default() })
            }
            _ => Ok(Self { body: text.to_owned(), ..Self::default() }),
        }
    }

    /// Reads a response, also as `curl -i` prints it.
    pub(crate) fn response(text: &str) -> Result<Self, PastedError> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if !text.starts_with("HTTP/") {
            return Ok(Self { body: text.to_owned(), ..Self::default() });
        }
        let first = text.lines().next().unwrap_or_default();
        let status = first.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let status = Some(status.ok_or_else(|| PastedError::NotAStatus(first.to_owned()))?);
        let (headers, body) = head_and_body(text)?;
        // What came before the answer proper: `100 Continue`, a proxy's answer to `CONNECT`.
        if status.is_some_and(|status| status < 200) || (headers.is_empty() && body.starts_with("HTTP/")) {
            return Self::response(&body);
        }
        Ok(Self { status, headers, body, ..Self::default() })
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The headers below the first line, and what follows the first empty line.
fn head_and_body(text: &str) -> Result<(Vec<(String, String)>, String), PastedError> {
    let (_, mut rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut headers = Vec::new();
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        if line.trim().is_empty() {
            return Ok((headers, rest.to_owned()));
        }
        headers.push(header(line)?);
    }
}

fn header(line: &str) -> Result<(String, String), PastedError> {
    let (name, value) = line.split_once(':').ok_or_else(|| PastedError::NotAHeader(line.trim().to_owned()))?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

fn curl(command: &str) -> Result<Message, PastedError> {
    let mut message = Message::default();
    let mut words = words(command)?.into_iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        let mut value = || attached.clone().or_else(|| words.next()).unwrap_or_default();
        match flag.as_str() {
            "-X" | "--request" => message.method = Some(value()),
            "-H" | "--header" => message.headers.push(header(&value())?),
            "--url" => message.target = Some(value()),
            "-d" | "--data" | "--data-ascii" | "--data-binary" | "--data-raw" | "--json" => {
                let data = value();
                if data.starts_with('@') && flag != "--data-raw" {
                    return Err(PastedError::BodyInFile(data));
                }
                // curl puts `&` between several.
                if !message.body.is_empty() {
                    message.body.push('&');
                }
                message.body.push_str(&data);
            }
            flag if FLAGS_WITH_VALUE.contains(&flag) => drop(value()),
            flag if flag.starts_with('-') => {}
            _ => message.target = Some(word),
        }
    }
    if message.target.is_none() {
        return Err(PastedError::NoUrl);
    }
    Ok(message)
}

/// The words of a shell command: quoted, escaped, over several lines.
fn words(command: &str) -> Result<Vec<String>, PastedError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = command.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some('\n') | None => {}
                Some('\r') => drop(rest.next_if_eq(&'\n')),
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '\'' | '"' => quoted(character, &mut rest, word.get_or_insert_default())?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                ansi_quoted(&mut rest, word.get_or_insert_default())?;
            }
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The rest of a quotation in single quotes, where all stands for itself, or in double quotes.
fn quoted(quote: char, rest: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), PastedError> {
    while let Some(character) = rest.next() {
        match character {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match rest.next() {
                Some('\n') | None => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    Err(PastedError::OpenQuote(quote))
}

/// The rest of a quotation in `$'...'`, as browsers copy commands.
fn ansi_quoted(rest: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), PastedError> {
    while let Some(character) = rest.next() {
        match character {
            '\'' => return Ok(()),
            '\\' => match rest.next() {
                Some('n') => word.push('\n'),
                Some('r') => word.push('\r'),
                Some('t') => word.push('\t'),
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    word.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                Some(escaped) => word.push(escaped),
                None => {}
            },
            other => word.push(other),
        }
    }
    Err(PastedError::OpenQuote('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(message: &Message) -> Vec<(&str, &str)> {
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_curl_command_is_a_request_however_its_words_are_quoted() {
        let command = "curl https://api.openai.com/v1/chat/completions \\\n  -H 'Content-Type: application/json' \\\n  -H \"Authorization: Bearer \\\"key\\\"\" \\\n --max-time 60 -sS --data-raw $'{\"model\":\"m\",\"text\":\"it\\'s\\u00e9\\n\"}'";
        let message = Message::request(command).unwrap();
        assert_eq!(message.target.as_deref(), Some("https://api.openai.com/v1/chat/completions"));
        assert_eq!(pairs(&message), [("content-type", "application/json"), ("authorization", "Bearer \"key\"")]);
        assert_eq!(message.body, "{\"model\":\"m\",\"text\":\"it'sé\n\"}");
        let short = Message::request("curl --url=https://h/v1 -d '{\"a\":1}' -X PUT").unwrap();
        assert_eq!((short.method.as_deref(), short.target.as_deref()), (Some("PUT"), Some("https://h/v1")));
        assert_eq!(short.body, "{\"a\":1}");
    }

    #[test]
    fn a_curl_command_that_lacks_something_says_what() {
        let error = |command| Message::request(command).unwrap_err();
        assert_eq!(error("curl -d @body.json https://h/"), PastedError::BodyInFile("@body.json".to_owned()));
        assert_eq!(error("curl -H 'a: b'"), PastedError::NoUrl);
        assert_eq!(error("curl 'https://h/"), PastedError::OpenQuote('\''));
        assert_eq!(error("curl https://h/ -H nonsense"), PastedError::NotAHeader("nonsense".to_owned()));
    }

    #[test]
    fn raw_http_has_head_and_body_and_anything_else_is_a_body() {
        let message =
            Message::request("POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((message.method.as_deref(), message.target.as_deref()), (Some("POST"), Some("/v1/messages")));
        assert_eq!((message.header("HOST"), message.body.as_str()), (Some("api.anthropic.com"), "{\"a\":1}"));
        assert_eq!(Message::request("\u{feff} {\"a\":1}").unwrap().body, "{\"a\":1}");
        let answer = "HTTP/1.1 100 Continue\n\nHTTP/2 429 \nretry-after: 7\n\n{}";
        let message = Message::response(answer).unwrap();
        assert_eq!(
            (message.status, message.header("retry-after"), message.body.as_str()),
            (Some(429), Some("7"), "{}")
        );
        assert_eq!(Message::response("data: {}\n\n").unwrap().body, "data: {}\n\n");
        assert_eq!(
            Message::response("HTTP/1.1 fine").unwrap_err(),
            PastedError::NotAStatus("HTTP/1.1 fine".to_owned())
        );
    }
}
