//! A stand-in for the providers: OpenAI Chat Completions, OpenAI Responses and Anthropic Messages on loopback.
//!
//! It reads a request the way the provider does (its own parser, tokenizer and prefix cache: nothing is shared with the filter), answers from
//! a [`Script`], and remembers what it would bill. So a test can hold an event against the truth.
//! ```text
//! request -> dialect::read -> Question -> script -> Answer --\
//!                  \-> cache -> Truth ----------------------> dialect::write -> failure -> reply
//! ```
//! Invariants: the same requests in the same order get the same answers and the same truth; wire shapes are those of the
//! provider. Must not know: the filter, prices, gateways.

mod anthropic;
pub mod cache;
pub mod failure;
mod openai_chat;
mod openai_prompt;
mod openai_responses;
pub mod tokens;
pub mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::loopback::{Delivery, Reply, Request, Server};
use cache::{PrefixCache, Segment};
use failure::Failure;
use wire::Written;

/// Selects a [`Failure`] for one request.
pub const FAILURE_HEADER: &str = "x-standin-failure";
/// Sets the pause between the events of one stream, in milliseconds.
pub const PACE_HEADER: &str = "x-standin-pace-ms";

/// A wire format the stand-in speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `POST /v1/chat/completions`
    OpenAiChat,
    /// `POST /v1/responses`
    OpenAiResponses,
    /// `POST /v1/messages`
    Anthropic,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenAiChat, Self::OpenAiResponses, Self::Anthropic];

    /// The path a client posts to.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenAiChat => "/v1/chat/completions",
            Self::OpenAiResponses => "/v1/responses",
            Self::Anthropic => "/v1/messages",
        }
    }

    fn of(path: &str) -> Option<Self> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Self::ALL.into_iter().find(|dialect| dialect.path() == path)
    }
}

/// A request as the provider understands it.
#[derive(Clone, Debug)]
pub struct Question {
    /// How it was asked.
    pub dialect: Dialect,
    /// The model asked for.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Chat only: whether the stream is to end with usage.
    pub include_usage: bool,
    /// The most tokens the answer may have.
    pub max_output: Option<u64>,
    /// The prompt as tokens, in the order in which the provider caches it.
    pub prompt: Vec<Segment>,
    /// The names of the offered tools.
    pub tools: Vec<String>,
    /// How many tool results the conversation holds.
    pub tool_results: usize,
    /// The last text the user wrote.
    pub last_user_text: String,
}

/// What the model answers.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Visible text.
    pub text: String,
    /// A tool call after the text.
    pub tool_call: Option<ToolCall>,
    /// Tokens thought and not shown.
    pub reasoning_tokens: u64,
}

/// A call of one of the offered tools.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The id that the result will name.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// What the provider bills: disjoint token counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Input neither read from nor written to the cache.
    pub input_uncached: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Input written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Visible output.
    pub output: u64,
    /// Output thought and not shown.
    pub reasoning: u64,
}

impl Truth {
    /// All input, cache reads and writes included.
    #[must_use]
    pub fn input_total(&self) -> u64 {
        self.input_uncached + self.cache_read + self.cache_write_5m + self.cache_write_1h
    }

    /// All output, reasoning included.
    #[must_use]
    pub fn output_total(&self) -> u64 {
        self.output + self.reasoning
    }
}

/// One request the stand-in has answered.
#[derive(Clone, Debug)]
pub struct Served {
    /// The wire format; `None` for a path that is no LLM call.
    pub dialect: Option<Dialect>,
    /// The path.
    pub path: String,
    /// The model asked for.
    pub model: String,
    /// Request headers as they arrived.
    pub headers: BTreeMap<String, String>,
    /// The request body as it arrived.
    pub body: Vec<u8>,
    /// The status answered.
    pub status: u16,
    /// What it would bill; nothing for a refusal.
    pub truth: Truth,
    delivered: Arc<Delivery>,
}

impl Served {
    /// Whether the client took the whole answer.
    #[must_use]
    pub fn delivered(&self) -> bool {
        self.delivered.whole.load(Ordering::Acquire)
    }

    /// Whether a write of the answer failed because the client was gone.
    #[must_use]
    pub fn broke(&self) -> bool {
        self.delivered.broken.load(Ordering::Acquire)
    }
}

/// Decides the answer to a question.
pub type Script = Box<dyn Fn(&Question) -> Answer + Send + Sync>;

/// A running stand-in. Dropping it stops it.
#[derive(Debug)]
pub struct Standin {
    server: Server,
    served: Arc<Mutex<Vec<Served>>>,
}

impl Standin {
    /// Starts a stand-in that answers every question with [`plain_answer`].
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start() -> io::Result<Self> {
        Self::with_script(Box::new(plain_answer))
    }

    /// Starts a stand-in with its own script.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn with_script(script: Script) -> io::Result<Self> {
        let served = Arc::<Mutex<Vec<Served>>>::default();
        let desk = Desk { script, cache: Mutex::default(), served: Arc::clone(&served) };
        Ok(Self { server: Server::start(move |request| desk.answer(&request))?, served })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A short deterministic answer that repeats the end of the question.
#[must_use]
pub fn plain_answer(question: &Question) -> Answer {
    let words: Vec<&str> = question.last_user_text.split_whitespace().collect();
    let end = words.get(words.len().saturating_sub(12)..).unwrap_or_default().join(" ");
    Answer {
        text: format!(
            "You asked: \u{201c}{end}\u{201d}. Here is a short and steady answer \u{2013} the same every time."
        ),
        ..Answer::default()
    }
}

/// What one server thread needs to answer.
struct Desk {
    script: Script,
    cache: Mutex<PrefixCache>,
    served: Arc<Mutex<Vec<Served>>>,
}

impl Desk {
    fn answer(&self, request: &Request) -> Reply {
        let dialect = Dialect::of(&request.path).filter(|_| request.method == "POST");
        let (model, truth, reply) = match dialect {
            Some(dialect) => self.answer_call(dialect, request),
            None => (String::new(), Truth::default(), other_path(request)),
        };
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.push(Served {
            dialect,
            path: request.path.clone(),
            model,
            headers: request.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: request.body.to_vec(),
            status: reply.status,
            truth,
            delivered: Arc::clone(&reply.delivered),
        });
        let id = served.len();
        drop(served);
        reply.with_header(wire::request_id_header(dialect), &format!("req_standin_{id:05}"))
    }

    fn answer_call(&self, dialect: Dialect, request: &Request) -> (String, Truth, Reply) {
        let refused =
            |status, message: &str| (String::new(), Truth::default(), failure::refusal(dialect, status, message));
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return refused(400, "We could not parse the JSON body of your request.");
        };
        let read = match dialect {
            Dialect::OpenAiChat => openai_chat::read(&body),
            Dialect::OpenAiResponses => openai_responses::read(&body),
            Dialect::Anthropic => anthropic::read(&body),
        };
        let question = match read {
            Ok(question) => question,
            Err(message) => return refused(400, &message),
        };
        let failure = request.header(FAILURE_HEADER).and_then(Failure::parse);
        if let Some(Failure::Status(status)) = failure {
            return (
                question.model,
                Truth::default(),
                failure::refusal(dialect, status, "The stand-in was told to fail."),
            );
        }
        let (answer, stopped_by_cap, output) = capped((self.script)(&question), question.max_output);
        let truth = Truth { output, reasoning: answer.reasoning_tokens, ..self.input(&question, request) };
        let id = format!("{:05}", self.served.lock().unwrap_or_else(PoisonError::into_inner).len());
        let written = Written { question: &question, answer: &answer, truth: &truth, stopped_by_cap, id: &id };
        let pace = request.header(PACE_HEADER).and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let reply = if question.stream {
            let events = match dialect {
                Dialect::OpenAiChat => openai_chat::stream(&written),
                Dialect::OpenAiResponses => openai_responses::stream(&written),
                Dialect::Anthropic => anthropic::stream(&written),
            };
            failure::stream(dialect, events, failure, pace)
        } else {
            let body = match dialect {
                Dialect::OpenAiChat => openai_chat::whole(&written),
                Dialect::OpenAiResponses => openai_responses::whole(&written),
                Dialect::Anthropic => anthropic::whole(&written),
            };
            failure::whole(dialect, &body, failure)
        };
        (question.model, truth, reply)
    }

    /// Splits the prompt into what the cache serves, what it takes, and the rest.
    fn input(&self, question: &Question, request: &Request) -> Truth {
        let account = request.header("x-api-key").or(request.header("authorization")).unwrap_or_default();
        let scope = format!("{account}\n{}", question.model);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let split = match question.dialect {
            Dialect::Anthropic => {
                cache.explicit(&scope, &question.prompt, anthropic::cache_minimum(&question.model), Instant::now())
            }
            Dialect::OpenAiChat | Dialect::OpenAiResponses => cache.automatic(&scope, &question.prompt, Instant::now()),
        };
        Truth {
            input_uncached: split.uncached,
            cache_read: split.read,
            cache_write_5m: split.write_5m,
            cache_write_1h: split.write_1h,
            ..Truth::default()
        }
    }
}

/// Cuts the answer at the cap; returns it, whether it was cut, and its visible tokens.
fn capped(mut answer: Answer, cap: Option<u64>) -> (Answer, bool, u64) {
    let call_tokens = answer.tool_call.as_ref().map_or(0, |call| {
        // Providers wrap a call in a handful of control tokens.
        8 + tokens::count(&call.name) + tokens::count(&call.arguments.to_string())
    });
    let text_tokens = tokens::count(&answer.text);
    let Some(cap) = cap.filter(|cap| answer.reasoning_tokens + text_tokens + call_tokens > *cap) else {
        return (answer, false, text_tokens + call_tokens);
    };
    answer.tool_call = None;
    answer.reasoning_tokens = answer.reasoning_tokens.min(cap);
    answer.text = tokens::first(&answer.text, cap - answer.reasoning_tokens);
    // A cut may fall into a character; then the provider shows less than it bills.
    let visible = (cap - answer.reasoning_tokens).min(text_tokens);
    (answer, true, visible)
}

fn other_path(request: &Request) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/models") => {
            Reply::whole(200, "application/json", r#"{"object":"list","data":[{"id":"gpt-4.1","object":"model"}]}"#)
        }
        ("POST", "/v1/files") => Reply::whole(
            200,
            "application/json",
            format!(r#"{{"id":"file-standin","object":"file","bytes":{},"purpose":"batch"}}"#, request.body.len()),
        ),
        _ => Reply::whole(
            404,
            "application/json",
            r#"{"error":{"message":"Unknown request URL.","type":"invalid_request_error","param":null,"code":"unknown_url"}}"#,
        ),
    }
}
