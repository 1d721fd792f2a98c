//! What recorded answers consumed, read a second time: from the usage objects that each recording lists, by the rules
//! of its provider, with none of the meter's readers.
//!
//! Folders of the traffic name dialect and provider. Must not know: what the meter says.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "every test uses a part of it, and may panic"
)]

use serde_json::{Map, Value};
use tollgate_core::usage::{Bucket, Usage};

/// The sums that every provider states, or lets one compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// All input, cached or not.
    pub(crate) input: u64,
    /// All output, thought or shown.
    pub(crate) output: u64,
    /// Of the input, read from a cache.
    pub(crate) cache_read: u64,
    /// Of the input, written to a cache.
    pub(crate) cache_write: u64,
}

impl Totals {
    /// Those of token buckets.
    pub(crate) fn of(usage: &Usage) -> Self {
        Self {
            input: usage.input_total(),
            output: usage.output_total(),
            cache_read: usage.cache_read_total(),
            cache_write: usage.get(Bucket::CacheWrite5m) + usage.get(Bucket::CacheWrite1h),
        }
    }
}

/// How the counts of somebody who speaks OpenAI's formats relate.
#[derive(Clone, Copy)]
enum Rule {
    /// As OpenAI's: the parts are included.
    Included,
    /// Reasoning is output beside `completion_tokens`.
    ReasoningOnTop,
    /// Audio is input beside `prompt_tokens`.
    AudioOnTop,
    /// What the total has beyond its parts is output.
    RestIsOutput,
}

/// Who speaks OpenAI's formats without being OpenAI, and OpenAI's own older ones.
const IMITATORS: [(&str, Rule); 25] = [
    ("avian-chat", Rule::Included),
    ("azure-chat", Rule::Included),
    ("azure-responses", Rule::Included),
    ("cerebras-chat", Rule::Included),
    ("deepseek-chat", Rule::Included),
    ("deepseek-responses", Rule::Included),
    ("gemini-openai-chat", Rule::RestIsOutput),
    ("groq-chat", Rule::Included),
    ("huggingface-chat", Rule::Included),
    ("llamacpp-chat", Rule::Included),
    ("mistral-chat", Rule::AudioOnTop),
    ("ollama-openai-chat", Rule::Included),
    ("openai-completions", Rule::Included),
    ("openai-embeddings", Rule::Included),
    ("openai-responses-compact", Rule::Included),
    ("openrouter-chat", Rule::Included),
    ("openrouter-responses", Rule::Included),
    ("perplexity-chat", Rule::Included),
    ("together-chat", Rule::Included),
    ("vercel-gateway-chat", Rule::ReasoningOnTop),
    ("vllm-chat", Rule::Included),
    ("vllm-completions", Rule::Included),
    ("xai-chat", Rule::ReasoningOnTop),
    ("xai-responses", Rule::Included),
    ("zai-chat", Rule::Included),
];

/// The totals of an answer by its provider's rule; `None` where it stated nothing.
pub(crate) fn totals(folder: &str, file: &Value, answer: &[u8]) -> Option<Totals> {
    buckets(folder, file, answer).as_ref().map(Totals::of)
}

/// The buckets of an answer by its provider's rule; `None` where it stated nothing.
pub(crate) fn buckets(folder: &str, file: &Value, answer: &[u8]) -> Option<Usage> {
    let stated: Vec<&Value> = file["wire_usage"].as_array().into_iter().flatten().map(|seen| &seen["usage"]).collect();
    let searched = |usage: Usage| Usage { web_searches: searches(answer), ..usage };
    match folder {
        "anthropic" | "vertex-anthropic" => anthropic(&stated),
        "batch" => batch(file["request"]["url"].as_str().unwrap(), &stated),
        "bedrock-converse" => Some(bedrock(stated.last()?, "InputTokens", ["inputTokens", "outputTokens"])),
        "bedrock-invoke" => anthropic(&messages(&stated)).or_else(|| invoked(file)),
        "openai-chat" => openai(stated.last()?, "prompt", "completion"),
        // Billed by the second, and by the picture.
        "openai-audio" | "openai-images" => None,
        "gemini" | "vertex-gemini" => Some(gemini(stated.last()?)),
        "gemini-interactions" => interaction(answer),
        "cohere-v2" => Some(cohere(stated.last()?)),
        "ollama" => Some(ollama(stated.last()?)),
        folder => match IMITATORS.iter().find(|(name, _)| *name == folder) {
            Some((name, rule)) if name.ends_with("responses") => imitated(*rule, stated.last()?).map(searched),
            Some((_, rule)) => imitated(*rule, stated.last()?),
            None => openai(stated.last()?, "input", "output").map(searched),
        },
    }
}

/// Counts by a rule, wherever the spelling puts them.
fn imitated(rule: Rule, usage: &Value) -> Option<Usage> {
    let count = |names: &[&str]| names.iter().find_map(|name| usage.pointer(name)?.as_u64());
    let input = count(&["/prompt_tokens", "/input_tokens"])?;
    let output = count(&["/completion_tokens", "/output_tokens"]).unwrap_or(0);
    let of_input = |name: &str| {
        count(&[&format!("/prompt_tokens_details/{name}"), &format!("/input_tokens_details/{name}")]).unwrap_or(0)
    };
    let of_output = |name: &str| {
        count(&[&format!("/completion_tokens_details/{name}"), &format!("/output_tokens_details/{name}")]).unwrap_or(0)
    };
    let (heard, thought) = (of_input("audio_tokens"), of_output("reasoning_tokens"));
    let (input, output, thought) = match rule {
        Rule::Included => (input, output, thought),
        Rule::ReasoningOnTop => (input, output + thought, thought),
        Rule::AudioOnTop => (input + heard, output, thought),
        Rule::RestIsOutput => {
            let all = count(&["/total_tokens"])? - input;
            (input, all, thought + all - output)
        }
    };
    let cached = of_input("cached_tokens")
        .max(count(&["/num_cached_tokens", "/prompt_cache_hit_tokens"]).unwrap_or(0))
        .min(input);
    let written = of_input("cache_write_tokens").max(count(&["/cache_creation_input_tokens"]).unwrap_or(0));
    let mut buckets = Usage::default();
    for (bucket, tokens) in [
        (Bucket::CacheRead, cached),
        (Bucket::CacheWrite5m, written),
        (Bucket::InputAudio, heard),
        (Bucket::InputUncached, input - cached - written - heard),
        (Bucket::Reasoning, thought.min(output)),
        (Bucket::OutputAudio, of_output("audio_tokens")),
        (Bucket::OutputImage, of_output("image_tokens")),
        (Bucket::Output, output - thought.min(output) - of_output("audio_tokens") - of_output("image_tokens")),
    ] {
        buckets.set(bucket, tokens);
    }
    let searches = ["/server_tool_use/web_search_requests", "/server_tool_use_details/web_search_requests"];
    buckets.web_searches = count(&searches).or(count(&["/num_search_queries"])).unwrap_or(0);
    Some(buckets)
}

/// Results of a batch, by the rule of whoever runs it; Google tells its own twice.
fn batch(url: &str, stated: &[&Value]) -> Option<Usage> {
    let is_google = url.contains("googleapis");
    let results = if is_google { stated.get(..stated.len() / 2)? } else { stated };
    let mut sum = Usage::default();
    for usage in results {
        let usage = match url {
            url if url.contains("api.anthropic") => anthropic(&[*usage])?,
            url if url.contains("api.x.ai") => imitated(Rule::ReasoningOnTop, usage)?,
            _ if is_google => gemini(usage),
            _ => imitated(Rule::Included, usage)?,
        };
        sum.add(&usage);
    }
    (!results.is_empty()).then_some(sum)
}

/// Google's four counts add up to its total; a breakdown names the modalities that have buckets of their own.
fn gemini(usage: &Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let of = |breakdown: &str, modality: &str| {
        let items = usage[breakdown].as_array().into_iter().flatten();
        items.filter(|item| item["modality"] == modality).map(|item| item["tokenCount"].as_u64().unwrap()).sum::<u64>()
    };
    let [prompt, cached, tools] = ["promptTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount"].map(count);
    let [answer, thoughts] = ["candidatesTokenCount", "thoughtsTokenCount"].map(count);
    assert_eq!(prompt + tools + answer + thoughts, count("totalTokenCount"), "a usage that does not add up");
    let (cached_audio, cached_image) = (of("cacheTokensDetails", "AUDIO"), of("cacheTokensDetails", "IMAGE"));
    let audio = of("promptTokensDetails", "AUDIO").saturating_sub(cached_audio);
    let image = of("promptTokensDetails", "IMAGE").saturating_sub(cached_image);
    let (spoken, drawn) = (of("candidatesTokensDetails", "AUDIO"), of("candidatesTokensDetails", "IMAGE"));
    let mut buckets = Usage::default();
    for (bucket, tokens) in [
        (Bucket::InputUncached, prompt - cached - audio - image + tools),
        (Bucket::InputAudio, audio),
        (Bucket::InputImage, image),
        (Bucket::CacheRead, cached - cached_audio - cached_image),
        (Bucket::CacheReadAudio, cached_audio),
        (Bucket::CacheReadImage, cached_image),
        (Bucket::Output, answer - spoken - drawn),
        (Bucket::OutputAudio, spoken),
        (Bucket::OutputImage, drawn),
        (Bucket::Reasoning, thoughts),
    ] {
        buckets.set(bucket, tokens);
    }
    buckets
}

/// The recordings list no usage of interactions, so it is looked for in the last event that has one.
fn interaction(answer: &[u8]) -> Option<Usage> {
    let body = std::str::from_utf8(answer).unwrap();
    let events = body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let usage = events.map(|event| event["interaction"]["usage"].clone()).rfind(Value::is_object)?;
    let count = |name: &str| usage[format!("total_{name}_tokens")].as_u64().unwrap();
    let modalities = usage["input_tokens_by_modality"].as_array()?.iter();
    let image: u64 =
        modalities.filter(|item| item["modality"] == "image").map(|item| item["tokens"].as_u64().unwrap()).sum();
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input") - count("cached") - image + count("tool_use"));
    buckets.set(Bucket::InputImage, image);
    buckets.set(Bucket::CacheRead, count("cached"));
    buckets.set(Bucket::Output, count("output"));
    buckets.set(Bucket::Reasoning, count("thought"));
    Some(buckets)
}

/// What is billed counts; what was cached or thought is at most that.
fn cohere(usage: &Value) -> Usage {
    let billed = |name: &str| usage["billed_units"][name].as_u64().unwrap();
    let (input, output) = (billed("input_tokens"), billed("output_tokens"));
    let cached = usage["cached_tokens"].as_u64().unwrap_or(0).min(input);
    let thought = usage["tokens"]["reasoning_tokens"].as_u64().unwrap_or(0).min(output);
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, input - cached);
    buckets.set(Bucket::CacheRead, cached);
    buckets.set(Bucket::Output, output - thought);
    buckets.set(Bucket::Reasoning, thought);
    buckets
}

fn ollama(usage: &Value) -> Usage {
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, usage["prompt_eval_count"].as_u64().unwrap());
    buckets.set(Bucket::Output, usage["eval_count"].as_u64().unwrap());
    buckets
}

/// Input includes what was cached, written and heard; output includes what was thought and spoken. A part is at
/// most what is left of the whole.
fn openai(usage: &Value, input: &str, output: &str) -> Option<Usage> {
    let mut buckets = Usage::default();
    let mut divide = |whole: &str, rest: Bucket, parts: &[(&str, Bucket)]| {
        let mut left = usage[format!("{whole}_tokens")].as_u64()?;
        for (part, bucket) in parts {
            let tokens =
                usage[format!("{whole}_tokens_details")][format!("{part}_tokens")].as_u64().unwrap_or(0).min(left);
            left -= tokens;
            buckets.set(*bucket, tokens);
        }
        buckets.set(rest, left);
        Some(())
    };
    let parts = [("cached", Bucket::CacheRead), ("cache_write", Bucket::CacheWrite5m), ("audio", Bucket::InputAudio)];
    divide(input, Bucket::InputUncached, &parts)?;
    divide(output, Bucket::Output, &[("reasoning", Bucket::Reasoning), ("audio", Bucket::OutputAudio)])?;
    Some(buckets)
}

/// Searches as a response states them, else its finished search calls.
fn searches(answer: &[u8]) -> u64 {
    let body = std::str::from_utf8(answer).unwrap();
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut events = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let last = events.rfind(|event| !event["response"].is_null()).map(|event| event["response"].clone());
    let response = last.or_else(|| serde_json::from_str(body).ok()).unwrap();
    response["tool_usage"]["web_search"]["num_requests"].as_u64().unwrap_or_else(|| {
        let is_search = |item: &&Value| {
            item["type"] == "web_search_call" && item["status"] == "completed" && item["action"]["type"] == "search"
        };
        response["output"].as_array().into_iter().flatten().filter(is_search).count().try_into().unwrap()
    })
}

/// A later field replaces an earlier one, an absent one keeps it; iterations replace the totals.
fn anthropic(stated: &[&Value]) -> Option<Usage> {
    stated.first()?;
    let mut merged = Map::new();
    for usage in stated {
        let fields = usage.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        merged.extend(fields.map(|(key, value)| (key.clone(), value.clone())));
    }
    let merged = Value::Object(merged);
    let mut buckets = Usage::default();
    let passes = merged["iterations"].as_array().filter(|passes| !passes.is_empty());
    let whole = std::slice::from_ref(&merged);
    passes.map_or(whole, Vec::as_slice).iter().for_each(|pass| buckets.add(&anthropic_pass(pass)));
    let thought = merged["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0);
    let output = buckets.output_total();
    buckets.set(Bucket::Reasoning, thought.min(output));
    buckets.set(Bucket::Output, output - thought.min(output));
    buckets.web_searches = merged["server_tool_use"]["web_search_requests"].as_u64().unwrap_or(0);
    Some(buckets)
}

/// Input, output, cache reads and writes, none of them part of another; what is not said to be for an hour is not.
fn bedrock(usage: &Value, cache: &str, [input, output]: [&str; 2]) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let details = usage["cacheDetails"].as_array().into_iter().flatten();
    let long =
        details.filter(|detail| detail["ttl"] == "1h").map(|detail| detail["inputTokens"].as_u64().unwrap()).sum();
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count(input));
    buckets.set(Bucket::Output, count(output));
    buckets.set(Bucket::CacheRead, count(&format!("cacheRead{cache}")));
    buckets.set(Bucket::CacheWrite1h, long);
    buckets.set(Bucket::CacheWrite5m, count(&format!("cacheWrite{cache}")) - long);
    assert!(usage["totalTokens"].as_u64().is_none_or(|total| total == buckets.input_total() + buckets.output_total()));
    buckets
}

/// The usage objects of Anthropic's own format, without the metrics that Bedrock adds.
fn messages<'a>(stated: &[&'a Value]) -> Vec<&'a Value> {
    stated.iter().copied().filter(|usage| usage["output_tokens"].is_number()).collect()
}

/// What the headers of a response state whose body states nothing.
fn invoked(file: &Value) -> Option<Usage> {
    let count = |direction: &str| {
        let header = &file["response"]["headers"][format!("x-amzn-bedrock-{direction}-token-count")];
        header.as_str()?.parse::<u64>().ok()
    };
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input")?);
    buckets.set(Bucket::Output, count("output")?);
    Some(buckets)
}

/// What the split does not cover was written for five minutes, unless all that it covers was written for an hour.
fn anthropic_pass(pass: &Value) -> Usage {
    let count = |name: &str| pass[name].as_u64().unwrap_or(0);
    let split =
        |lifetime: &str| pass["cache_creation"][format!("ephemeral_{lifetime}_input_tokens")].as_u64().unwrap_or(0);
    let written = count("cache_creation_input_tokens");
    let long = if split("5m") == 0 && split("1h") > 0 { written } else { split("1h") };
    let mut buckets = Usage::default();
    buckets.set(Bucket::InputUncached, count("input_tokens"));
    buckets.set(Bucket::CacheRead, count("cache_read_input_tokens"));
    buckets.set(Bucket::CacheWrite1h, long);
    buckets.set(Bucket::CacheWrite5m, written - long);
    buckets.set(Bucket::Output, count("output_tokens"));
    buckets
}
