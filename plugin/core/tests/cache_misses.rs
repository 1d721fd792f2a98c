//! Why a prompt cache missed: sessions of an agent against providers whose caches are modelled here, from their pages on
//! prompt caching and from nothing of the code under test. Each call says by hand what is to be found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::Bytes;
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::prefix::{Conversation, MissReason, Seen, Templates};
use tollgate_core::time::Timestamp;

/// A beginning of a prompt that the provider holds.
struct Entry {
    blocks: Vec<String>,
    expires: u64,
}

/// What a provider's cache does: tokens are bytes / 4.
#[derive(Clone, Copy, PartialEq)]
enum Provider {
    /// Entries at markers, found up to twenty blocks back from one.
    Anthropic,
    /// Steps of 128 tokens from 1,024 on.
    OpenAi,
}

struct World {
    provider: Provider,
    meter: Meter,
    entries: Vec<Entry>,
    /// What the gateway remembers, by key.
    records: BTreeMap<String, Bytes>,
    now: u64,
}

/// A prompt in blocks, some marked.
#[derive(Clone, Default)]
struct Prompt {
    tools: Vec<String>,
    system: String,
    /// Text of the messages, which are the user's and the assistant's by turns.
    messages: Vec<String>,
    is_system_marked: bool,
    is_tail_marked: bool,
}

/// Words of about this many tokens, different for every seed.
fn words(seed: &str, tokens: usize) -> String {
    let text: String = (0..).map(|number| format!("{seed} {number}, ")).take(tokens).collect();
    text.chars().take(tokens * 4).collect()
}

fn tokens(blocks: &[String]) -> u64 {
    blocks.iter().map(|block| block.len() as u64 / 4).sum()
}

impl Prompt {
    fn agent(seed: &str) -> Self {
        Self {
            tools: vec![words(&format!("{seed} search"), 700), words(&format!("{seed} read"), 500)],
            system: words(&format!("{seed} rules"), 900),
            messages: vec![words(&format!("{seed} question"), 300)],
            is_system_marked: true,
            is_tail_marked: true,
        }
    }

    /// One turn more: an answer, and what comes next.
    fn turn(&mut self, turns: usize) {
        for _ in 0..turns {
            for role in ["answer", "next"] {
                self.messages.push(words(&format!("{role} {}", self.messages.len()), 60));
            }
        }
    }

    fn blocks(&self) -> Vec<String> {
        self.tools.iter().chain([&self.system]).chain(&self.messages).cloned().collect()
    }

    /// How many blocks lie before each marker and at it.
    fn markers(&self) -> Vec<usize> {
        let template = self.tools.len() + 1;
        let system = self.is_system_marked.then_some(template);
        system.into_iter().chain(self.is_tail_marked.then_some(template + self.messages.len())).collect()
    }

    fn anthropic(&self) -> Value {
        let marker = json!({"type": "ephemeral"});
        let tool = |(at, text): (usize, &String)| json!({"name": format!("tool_{at}"), "description": text, "input_schema": {"type": "object"}});
        let mut system = json!([{"type": "text", "text": self.system}]);
        if self.is_system_marked {
            system[0]["cache_control"] = marker.clone();
        }
        let message = |(at, text): (usize, &String)| {
            let role = ["user", "assistant"][at % 2];
            // What is marked is a block; unmarked it is a string again in the next call.
            match self.is_tail_marked && at + 1 == self.messages.len() {
                true => json!({"role": role, "content": [{"type": "text", "text": text, "cache_control": marker}]}),
                false => json!({"role": role, "content": text}),
            }
        };
        json!({
            "model": "claude-sonnet-4-5", "max_tokens": 100,
            "tools": self.tools.iter().enumerate().map(tool).collect::<Vec<_>>(),
            "system": system,
            "messages": self.messages.iter().enumerate().map(message).collect::<Vec<_>>(),
        })
    }

    fn openai(&self) -> Value {
        let tool = |(at, text): (usize, &String)| json!({"type": "function", "function": {"name": format!("tool_{at}"), "description": text, "parameters": {"type": "object"}}});
        let turns = self.messages.iter().enumerate();
        let turns = turns.map(|(at, text)| json!({"role": (["user", "assistant"][at % 2]), "content": text}));
        let messages = std::iter::once(json!({"role": "system", "content": self.system})).chain(turns);
        json!({
            "model": "gpt-5.2",
            "tools": self.tools.iter().enumerate().map(tool).collect::<Vec<_>>(),
            "messages": messages.collect::<Vec<_>>(),
        })
    }
}

impl World {
    fn new(provider: Provider) -> Self {
        let meter = Meter::new(Config::default(), [1, 2]);
        Self { provider, meter, entries: Vec::new(), records: BTreeMap::new(), now: 1_790_000_000 }
    }

    /// Tokens read from the cache, and written to it.
    fn cache(&mut self, prompt: &Prompt) -> (u64, u64) {
        let (blocks, now) = (prompt.blocks(), self.now);
        self.entries.retain(|entry| entry.expires > now);
        match self.provider {
            Provider::Anthropic => {
                let markers = prompt.markers();
                let lookup = |entries: &mut Vec<Entry>, marker: usize| {
                    let lengths = (marker.saturating_sub(19)..=marker).rev();
                    lengths.into_iter().find_map(|length| {
                        let entry = entries.iter_mut().find(|entry| entry.blocks == blocks[..length])?;
                        entry.expires = now + 300;
                        Some(length)
                    })
                };
                let found: Vec<_> = markers.iter().filter_map(|marker| lookup(&mut self.entries, *marker)).collect();
                let read = tokens(&blocks[..found.into_iter().max().unwrap_or(0)]);
                for marker in &markers {
                    if tokens(&blocks[..*marker]) >= 1_024 {
                        self.entries.retain(|entry| entry.blocks != blocks[..*marker]);
                        self.entries.push(Entry { blocks: blocks[..*marker].to_vec(), expires: now + 300 });
                    }
                }
                let last = markers.last().map_or(0, |marker| tokens(&blocks[..*marker]));
                (read, if last >= 1_024 { last.saturating_sub(read) } else { 0 })
            }
            Provider::OpenAi => {
                let common =
                    |entry: &Entry| entry.blocks.iter().zip(&blocks).take_while(|(one, other)| one == other).count();
                let common = self.entries.iter().map(common).max().unwrap_or(0);
                let read = tokens(&blocks[..common]);
                self.entries.push(Entry { blocks: blocks.clone(), expires: now + 300 });
                (if read < 1_024 { 0 } else { read - read % 128 }, 0)
            }
        }
    }

    /// A call this many seconds after the one before.
    fn call(&mut self, after: u64, prompt: &Prompt, headers: &[(&str, &str)]) -> Event {
        self.now += after;
        let (read, written) = self.cache(prompt);
        let total = tokens(&prompt.blocks());
        let (host, path, request, usage) = match self.provider {
            Provider::Anthropic => (
                "api.anthropic.com",
                "/v1/messages",
                prompt.anthropic(),
                json!({"input_tokens": total - read - written, "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": 5}),
            ),
            Provider::OpenAi => (
                "api.openai.com",
                "/v1/chat/completions",
                prompt.openai(),
                json!({"prompt_tokens": total, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": read}}),
            ),
        };
        let answer = json!({"id": "1", "model": request["model"], "usage": usage,
            "content": [{"type": "text", "text": "ok"}], "choices": [{"message": {"content": "ok"}}]});
        let now = Timestamp::from_seconds(self.now);
        let head = RequestHead { method: "POST", path, host, headers: Headers::new(headers), ..RequestHead::default() };
        let mut call = self.meter.open(&head, "1".to_owned(), now).unwrap();
        self.meter.admit(&mut call, Body::Whole(request.to_string().as_bytes()));
        self.meter.respond(&mut call, &ResponseHead { status: 200, headers: Headers::default() });
        self.meter.read(&mut call, answer.to_string().as_bytes(), now);
        let mut event = self.meter.end(call, Ending::Complete, now.plus_millis(400));
        self.compare(&mut event, now.plus_millis(400));
        event
    }

    fn compare(&mut self, event: &mut Event, now: Timestamp) {
        let call = event.sighting.take().unwrap();
        let known = self.records.entry(call.conversation.as_str().to_owned()).or_default();
        let mut conversation = Conversation::of_bytes(known);
        let Seen { mut miss, is_new, is_cold, .. } = conversation.observe(&call, now);
        *known = conversation.to_bytes();
        assert!(known.0.len() < 4 << 10, "{} bytes", known.0.len());
        let mut drift = None;
        if is_new {
            let known = self.records.entry(call.templates.as_str().to_owned()).or_default();
            let mut templates = Templates::of_bytes(known);
            let of_template;
            (of_template, drift) = templates.observe(&call, now);
            *known = templates.to_bytes();
            miss = of_template.filter(|_| is_cold).or(miss);
        }
        event.compare(miss, drift);
    }
}

#[track_caller]
fn assert_found(event: &Event, expected: Option<MissReason>, difference: Option<(&str, u64)>) {
    let found = event.cache.first_difference.as_ref().map(|found| (found.component, found.index));
    assert_eq!((event.cache.miss_reason, found), (expected, difference), "{event:#?}");
}

use MissReason::{BelowMinimum, Cold, Expired, NotRequested, PrefixMismatch, TemplateChanged, WindowExceeded};

const SESSION: &[(&str, &str)] = &[("x-tollgate-app", "shop"), ("x-tollgate-session", "s-1")];

#[test]
fn of_fifty_calls_of_a_session_every_reason_is_right() {
    let mut world = World::new(Provider::Anthropic);
    let mut agent = Prompt::agent("a");
    let mut calls = 0;
    let mut call = |world: &mut World, after: u64, agent: &Prompt, expected, difference| {
        calls += 1;
        println!("call {calls}");
        let event = world.call(after, agent, SESSION);
        assert_found(&event, expected, difference);
        event
    };
    call(&mut world, 0, &agent, Some(Cold), None);
    for _ in 0..13 {
        agent.turn(1);
        call(&mut world, 60, &agent, None, None);
    }
    // Lunch, then on as before.
    agent.turn(1);
    let event = call(&mut world, 301, &agent, Some(Expired), None);
    assert!(event.cache.missed_tokens.unwrap() > 2_400, "{:?}", event.cache);
    for _ in 0..4 {
        agent.turn(1);
        call(&mut world, 299, &agent, None, None);
    }
    // A tool appears between the two.
    agent.tools.insert(1, words("pay", 400));
    agent.turn(1);
    let event = call(&mut world, 10, &agent, Some(TemplateChanged), Some(("tools", 1)));
    let drift = event.template.unwrap().drift.unwrap();
    assert_eq!((drift.component, drift.tools_added.len(), drift.tools_removed), ("tools", 1, 0));
    assert!(drift.system_tokens == 0 && (200..600).contains(&drift.tools_tokens), "{drift:?}");
    for _ in 0..4 {
        agent.turn(1);
        call(&mut world, 20, &agent, None, None);
    }
    // The instructions change; the tools before them have no marker of their own.
    agent.system.replace_range(2_000..2_004, "****");
    let event = call(&mut world, 20, &agent, Some(TemplateChanged), Some(("system", 0)));
    assert_eq!(event.template.unwrap().drift.unwrap().tools_tokens, 0);
    for _ in 0..4 {
        agent.turn(1);
        call(&mut world, 20, &agent, None, None);
    }
    // An early answer is edited: the template is still read.
    agent.messages[3] = words("edited", 60);
    agent.turn(1);
    let event = call(&mut world, 20, &agent, Some(PrefixMismatch), Some(("history", 3)));
    assert!(event.cache_read_tokens.unwrap() > 2_000);
    for _ in 0..4 {
        agent.turn(1);
        call(&mut world, 20, &agent, None, None);
    }
    // Twelve turns at once: the last entry lies 24 blocks back.
    agent.turn(12);
    call(&mut world, 20, &agent, Some(WindowExceeded), None);
    for _ in 0..4 {
        agent.turn(1);
        call(&mut world, 20, &agent, None, None);
    }
    // Nine turns are within the window.
    agent.turn(9);
    call(&mut world, 20, &agent, None, None);
    // The tools as they were, under the instructions as they are, and back.
    let now = agent.clone();
    agent.tools.remove(1);
    call(&mut world, 20, &agent, Some(TemplateChanged), Some(("system", 0)));
    agent = now;
    agent.turn(1);
    call(&mut world, 20, &agent, None, None);
    // Nothing is marked any more, then the tail alone.
    (agent.is_system_marked, agent.is_tail_marked) = (false, false);
    call(&mut world, 20, &agent, Some(NotRequested), None);
    agent.is_tail_marked = true;
    call(&mut world, 301, &agent, Some(Expired), None);
    agent.turn(1);
    call(&mut world, 20, &agent, None, None);
    // The oldest turns are dropped to make room: no marker before them, so nothing is left.
    agent.messages.drain(1..7);
    call(&mut world, 20, &agent, Some(PrefixMismatch), Some(("history", 1)));
    agent.turn(1);
    call(&mut world, 20, &agent, None, None);
    call(&mut world, 3_000, &agent, Some(Expired), None);
    call(&mut world, 1, &agent, None, None);
    // A short prompt is not cached, however it is marked.
    let short = Prompt { messages: vec![words("short", 200)], is_tail_marked: true, ..Prompt::default() };
    call(&mut world, 1, &short, Some(BelowMinimum), None);
    agent.turn(1);
    call(&mut world, 1, &agent, None, None);
    assert!(calls >= 50, "{calls}");
}

#[test]
fn an_automatic_cache_has_its_reasons_too() {
    let mut world = World::new(Provider::OpenAi);
    let mut agent = Prompt::agent("o");
    let call = |world: &mut World, after: u64, agent: &Prompt, expected, difference| {
        let event = world.call(after, agent, SESSION);
        assert_found(&event, expected, difference);
    };
    call(&mut world, 0, &agent, Some(Cold), None);
    for _ in 0..5 {
        agent.turn(1);
        call(&mut world, 60, &agent, None, None);
    }
    agent.turn(1);
    call(&mut world, 400, &agent, Some(Expired), None);
    agent.messages[1] = words("edited", 60);
    call(&mut world, 10, &agent, Some(PrefixMismatch), Some(("history", 1)));
    agent.tools[0].replace_range(0..4, "****");
    call(&mut world, 10, &agent, Some(TemplateChanged), Some(("tools", 0)));
    agent.turn(1);
    call(&mut world, 10, &agent, None, None);
    let short = Prompt { messages: vec![words("short", 200)], ..Prompt::default() };
    call(&mut world, 10, &short, Some(BelowMinimum), None);
}

#[test]
fn a_new_conversation_is_held_against_its_application() {
    let mut world = World::new(Provider::Anthropic);
    let session = |id| [("x-tollgate-app", "shop"), ("x-tollgate-session", id)];
    let mut agent = Prompt::agent("a");
    assert_found(&world.call(0, &agent, &session("1")), Some(Cold), None);
    // Another question under the same template, which has a marker of its own.
    agent.messages = vec![words("other", 300)];
    assert_found(&world.call(10, &agent, &session("2")), None, None);
    agent.messages = vec![words("third", 300)];
    assert_found(&world.call(301, &agent, &session("3")), Some(Expired), None);
    agent.tools.push(words("pay", 300));
    agent.messages = vec![words("fourth", 300)];
    assert_found(&world.call(10, &agent, &session("4")), Some(TemplateChanged), Some(("tools", 2)));
    // Without a marker at its end, the template cannot be read by another conversation.
    agent.is_system_marked = false;
    agent.messages = vec![words("fifth", 300)];
    world.entries.clear();
    assert_found(&world.call(10, &agent, &session("5")), Some(PrefixMismatch), Some(("user", 0)));
}
