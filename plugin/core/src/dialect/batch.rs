//! Batches: calls that are made together, answered later at a lower price, and told by other requests.
//!
//! Creating a batch states nothing. Its results are answers as single calls give them, each inside an envelope that
//! depends on who runs the batch: one document with all of them, or one a line. So an envelope only says where an
//! answer starts; whoever reads single answers reads it. Results are told apart by the model that gave them. OpenAI also
//! states the totals of a batch where its state is asked for, Google gives every inline result twice.
//! Invariants: bounded memory, however many results; an answer that is cut off counts for nothing.
//! Must not know: prices; what was counted before.

use super::answer::note;
use super::reader::{object, path, raw, value};
use super::{Answer, Dialect, ResponseReader, UsagePart};
use crate::frame::json::{Fields, Node, Value, Visit};
use crate::frame::{Documents, Wellformedness};
use crate::head::ResponseHead;
use crate::money::Usd;

/// Who runs a batch, and how its results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Anthropic's message batches: a result a line.
    Anthropic,
    /// Google's, with the results inside.
    Gemini,
    /// Google's results a line, in a file.
    GeminiFile,
    /// Mistral's jobs, with the results inside.
    Mistral,
    /// The state of a batch at OpenAI, with its totals.
    Openai,
    /// Results a line, in a file of OpenAI's or an imitator's.
    OpenaiFile,
    /// xAI's results, in pages.
    Xai,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 7] =
        [Self::Anthropic, Self::Gemini, Self::GeminiFile, Self::Mistral, Self::Openai, Self::OpenaiFile, Self::Xai];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic_batch",
            Self::Gemini => "gemini_batch",
            Self::GeminiFile => "gemini_batch_file",
            Self::Mistral => "mistral_batch",
            Self::Openai => "openai_batch",
            Self::OpenaiFile => "openai_batch_file",
            Self::Xai => "xai_batch",
        }
    }

    /// Whose single answers the results are. Where there are several, an answer is whose that states usage.
    pub(super) const fn answers(self) -> &'static [Dialect] {
        match self {
            Self::Anthropic => &[Dialect::AnthropicMessages],
            Self::Gemini | Self::GeminiFile => &[Dialect::Gemini],
            Self::Mistral | Self::Xai => &[Dialect::OpenaiChat],
            // Embeddings and text completions state their usage as chat does.
            Self::Openai | Self::OpenaiFile => &[Dialect::OpenaiResponses, Dialect::OpenaiChat],
        }
    }

    const fn shape(self) -> &'static Node<Field> {
        match self {
            Self::Anthropic => &ANTHROPIC,
            Self::Gemini => &GEMINI,
            Self::GeminiFile => &GEMINI_FILE,
            Self::Mistral => &MISTRAL,
            Self::Openai => &OPENAI,
            Self::OpenaiFile => &OPENAI_FILE,
            Self::Xai => &XAI,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Other,
    Id,
    /// The file that the results are in.
    OutputFile,
    /// One result.
    Result,
    /// The same result once more.
    Repeated,
    Error,
    ErrorType,
}

const ID: Node<Field> = value("id", Field::Id);
const ERROR: Node<Field> =
    object("error", Field::Error, &[value("type", Field::ErrorType), value("status", Field::ErrorType)]);
const BODY: Node<Field> = path("response", Field::Other, &[raw("body", Field::Result)]);

const ANTHROPIC: Node<Field> =
    path("", Field::Other, &[ID, path("result", Field::Other, &[raw("message", Field::Result)]), ERROR]);
const OPENAI: Node<Field> = path(
    "",
    Field::Other,
    // xAI's and Mistral's names beside OpenAI's.
    &[ID, value("batch_id", Field::Id), value("output_file_id", Field::OutputFile), ERROR],
);
const OPENAI_FILE: Node<Field> = path("", Field::Other, &[BODY]);
const MISTRAL: Node<Field> = path(
    "",
    Field::Other,
    &[ID, value("output_file", Field::OutputFile), path("outputs", Field::Other, &[BODY]), ERROR],
);
const XAI: Node<Field> = path(
    "",
    Field::Other,
    &[
        path(
            "results",
            Field::Other,
            &[path(
                "batch_result",
                Field::Other,
                &[path("response", Field::Other, &[raw("chat_get_completion", Field::Result)])],
            )],
        ),
        ERROR,
    ],
);
const GEMINI_FILE: Node<Field> = path("", Field::Other, &[raw("response", Field::Result)]);

const NAME: Node<Field> = value("name", Field::Id);
const GEMINI: Node<Field> = path(
    "",
    Field::Other,
    &[
        NAME,
        path(
            "response",
            Field::Other,
            &[
                path(
                    "inlinedResponses",
                    Field::Other,
                    &[path("inlinedResponses", Field::Other, &[raw("response", Field::Result)])],
                ),
                value("responsesFile", Field::OutputFile),
            ],
        ),
        path(
            "metadata",
            Field::Other,
            &[path(
                "output",
                Field::Other,
                &[
                    path(
                        "inlinedResponses",
                        Field::Other,
                        &[path("inlinedResponses", Field::Other, &[raw("response", Field::Repeated)])],
                    ),
                    value("responsesFile", Field::OutputFile),
                ],
            )],
        ),
        ERROR,
    ],
);

/// Reads the results of a batch.
pub(super) struct Response {
    documents: Documents,
    results: Results,
    /// The totals stand in the document itself.
    totals: Option<Tally>,
}

impl Response {
    pub(super) fn boxed(layout: Layout) -> Box<dyn ResponseReader> {
        Box::new(Self {
            documents: Documents::new(layout.shape()),
            results: Results::new(layout),
            totals: (layout == Layout::Openai).then(|| Tally::new(layout)),
        })
    }
}

impl ResponseReader for Response {
    fn head(&mut self, _head: &ResponseHead<'_>) {}

    fn feed(&mut self, bytes: &[u8]) {
        self.documents.feed(bytes, &mut Fields::new(&mut self.results));
        self.totals.iter_mut().for_each(|totals| totals.feed(bytes));
    }

    fn end(&mut self) -> Wellformedness {
        self.totals.iter_mut().for_each(Tally::result_ends);
        self.documents.end(&mut Fields::new(&mut self.results))
    }

    fn answer(&self) -> &Answer {
        &self.results.answer
    }

    fn statements(&self) -> u64 {
        self.results.told().results
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        let tally = self.totals.as_ref().unwrap_or_else(|| self.results.told());
        (tally.results > 0).then(|| tally.parts.clone())
    }

    fn cost(&self) -> Option<Usd> {
        self.results.told().cost
    }
}

/// Collects what the envelopes say.
struct Results {
    answer: Answer,
    tally: Tally,
    repeated: Tally,
}

impl Results {
    fn new(layout: Layout) -> Self {
        let answer = Answer { service_tier: Some("batch".to_owned()), ..Answer::default() };
        Self { answer, tally: Tally::new(layout), repeated: Tally::new(layout) }
    }

    /// What was told, once.
    const fn told(&self) -> &Tally {
        if self.tally.results == 0 { &self.repeated } else { &self.tally }
    }
}

impl Visit<Field> for Results {
    fn open(&mut self, field: Field) {
        if matches!(field, Field::Error) {
            self.answer.fails();
        }
    }

    fn close(&mut self, field: Field) {
        match field {
            Field::Result => self.tally.result_ends(),
            Field::Repeated => self.repeated.result_ends(),
            _ => {}
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let answer = &mut self.answer;
        match field {
            Field::Id => note(&mut answer.id, value),
            Field::OutputFile => note(&mut answer.output_file, value),
            Field::ErrorType => answer.error_type(value),
            Field::Other | Field::Result | Field::Repeated | Field::Error => {}
        }
    }

    fn raw(&mut self, field: Field, fragment: &[u8]) {
        match field {
            Field::Repeated => self.repeated.feed(fragment),
            _ => self.tally.feed(fragment),
        }
    }
}

/// More models than one batch asks; the results of further ones count as the last's.
const MODELS_MAX: usize = 256;

/// The results read so far, by model.
struct Tally {
    layout: Layout,
    /// Whoever may read the answer that is being told.
    readers: Vec<Box<dyn ResponseReader>>,
    parts: Vec<UsagePart>,
    /// What the results say that they cost, as long as all say so.
    cost: Option<Usd>,
    results: u64,
}

impl Tally {
    const fn new(layout: Layout) -> Self {
        Self { layout, readers: Vec::new(), parts: Vec::new(), cost: None, results: 0 }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.readers.is_empty() {
            self.readers = self.layout.answers().iter().map(|dialect| dialect.response_reader()).collect();
        }
        self.readers.iter_mut().for_each(|reader| reader.feed(bytes));
    }

    fn result_ends(&mut self) {
        for mut reader in std::mem::take(&mut self.readers) {
            reader.end();
            let Some(parts) = reader.usage() else { continue };
            let model = reader.answer().model.as_deref();
            parts.iter().for_each(|part| self.add(part, model));
            let before = if self.results == 0 { Some(Usd::ZERO) } else { self.cost };
            self.cost = before.and_then(|cost| Some(cost.plus(reader.cost()?)));
            self.results = self.results.saturating_add(1);
            return;
        }
    }

    fn add(&mut self, part: &UsagePart, model: Option<&str>) {
        let model = part.model.as_deref().or(model);
        let is_full = self.parts.len() >= MODELS_MAX;
        let known = self.parts.iter().position(|known| known.model.as_deref() == model);
        let place = known.or_else(|| self.parts.len().checked_sub(1).filter(|_| is_full));
        match place.and_then(|place| self.parts.get_mut(place)) {
            Some(known) => known.usage.add(&part.usage),
            None => self.parts.push(UsagePart { model: model.map(str::to_owned), usage: part.usage }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layout: Layout, body: &str) -> Vec<(Option<String>, u64, u64)> {
        let mut reader = Response::boxed(layout);
        body.as_bytes().chunks(7).for_each(|piece| reader.feed(piece));
        reader.end();
        let parts = reader.usage().unwrap_or_default();
        parts.into_iter().map(|part| (part.model, part.usage.input_total(), part.usage.output_total())).collect()
    }

    #[test]
    fn results_are_added_up_by_model_and_failed_ones_count_for_nothing() {
        let line = |model, input, output| {
            format!(
                "{{\"custom_id\":\"1\",\"result\":{{\"type\":\"succeeded\",\"message\":{{\"id\":\"msg_1\",\"model\":\"{model}\",\"usage\":{{\"input_tokens\":{input},\"output_tokens\":{output},\"service_tier\":\"batch\"}}}}}}}}\n"
            )
        };
        let failed = "{\"custom_id\":\"2\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":\"error\"}}}\n";
        let body = [line("a", 10, 1), failed.to_owned(), line("b", 5, 2), line("a", 20, 3)].concat();
        let expected = vec![(Some("a".to_owned()), 30, 4), (Some("b".to_owned()), 5, 2)];
        assert_eq!(read(Layout::Anthropic, &body), expected);
        let cut = body.len() - 20;
        let expected = vec![(Some("a".to_owned()), 10, 1), (Some("b".to_owned()), 5, 2)];
        assert_eq!(read(Layout::Anthropic, body.get(..cut).unwrap()), expected);
    }

    #[test]
    fn a_file_of_results_holds_answers_of_any_of_openais_apis() {
        let body = concat!(
            r#"{"id":"batch_req_1","response":{"status_code":200,"body":{"object":"response","model":"m","usage":{"input_tokens":4,"output_tokens":2}}}}"#,
            "\n",
            r#"{"id":"batch_req_2","response":{"status_code":200,"body":{"object":"chat.completion","model":"m","usage":{"prompt_tokens":3,"completion_tokens":1}}}}"#,
            "\n",
            r#"{"id":"batch_req_3","response":{"status_code":200,"body":{"object":"list","model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}}}"#,
            "\n",
            r#"{"id":"batch_req_4","response":{"status_code":400,"body":{"error":{"message":"no"}}}}"#,
        );
        let expected = vec![(Some("m".to_owned()), 7, 3), (Some("e".to_owned()), 8, 0)];
        assert_eq!(read(Layout::OpenaiFile, body), expected);
    }

    #[test]
    fn google_tells_its_results_twice_and_they_count_once() {
        let result = r#"{"inlinedResponses":{"inlinedResponses":[{"response":{"modelVersion":"g","usageMetadata":{"promptTokenCount":13,"candidatesTokenCount":1,"thoughtsTokenCount":43,"totalTokenCount":57}}}]}}"#;
        let both = format!(r#"{{"name":"batches/1","metadata":{{"output":{result}}},"response":{result}}}"#);
        let once = format!(r#"{{"name":"batches/1","metadata":{{"output":{result}}}}}"#);
        for body in [both, once] {
            assert_eq!(read(Layout::Gemini, &body), vec![(Some("g".to_owned()), 13, 44)]);
        }
    }

    #[test]
    fn the_state_of_a_batch_states_its_totals() {
        let body = r#"{"id":"batch_1","model":"m","status":"completed","output_file_id":"file-1","usage":{"input_tokens":36,"output_tokens":224}}"#;
        assert_eq!(read(Layout::Openai, body), vec![(Some("m".to_owned()), 36, 224)]);
        assert_eq!(read(Layout::Openai, r#"{"id":"batch_1","status":"in_progress","usage":null}"#), vec![]);
    }
}
