//! Settling a call: what it consumed, by which source, what that costs, and the event that says so.
//!
//! The provider's own figures are believed, zero included, and its own price too: the list then says how the stated
//! cost divides. Where it gave none although it worked (a stream without
//! usage, an answer that broke off), the input counted before and the output that was delivered are charged, and
//! marked. An error that consumed nothing costs nothing.
//! Must not know: wire formats, gateways.

use crate::attribution::Dimension;
use crate::cache::{Composition, Share};
use crate::calibration::{Observation, Subject, Tokenizer};
use crate::call::{Call, Ending, Unmetered};
use crate::dialect::{Answer, Operation, UsagePart};
use crate::event::{
    CacheEffect, ComponentShare, CostSource, Event, MediaShare, Outcome, PriceRow, Progress, Proportion, Timing,
    ToolWeight, ToolWeights, UsageSource,
};

use crate::money::Usd;
use crate::names::EVENT_SCHEMA;
use crate::ordered;
use crate::price::{Cost, Lookup, PriceBook, Quote, Source, Terms, Unpriced, is_kin};
use crate::prompt::Component;
use crate::response_cache::ResponseCacheEffect;
use crate::time::Timestamp;
use crate::tokens::{Budget, Counter};
use crate::trace;
use crate::usage::{Bucket, Direction, PerBucket, Usage};
use std::collections::BTreeMap;

/// What a call consumed, and how it ended.
#[derive(Debug)]
pub(crate) struct Settlement {
    outcome: Outcome,
    parts: Vec<UsagePart>,
    /// What a response cache avoided.
    avoided: Option<Vec<UsagePart>>,
    source: UsageSource,
    /// Without parts: nothing was consumed. Otherwise `unmetered` says why nothing is known.
    is_known: bool,
    unmetered: Option<Unmetered>,
}

impl Settlement {
    /// Settles a call; without an ending, as far as it got.
    #[inline(never)]
    pub(crate) fn of(call: &Call, ending: Option<Ending>, counter: &mut Counter) -> Self {
        let arrival = Arrival::of(call);
        let outcome = outcome(call, ending, arrival);
        let why = Self::unknown(call, outcome, arrival);
        let (parts, source) = match (outcome, call.usage.clone()) {
            (Outcome::Denied | Outcome::LocalReply, _) => (Vec::new(), UsageSource::None),
            (Outcome::InFlight | Outcome::Complete, Some(parts)) => (parts, UsageSource::Reported),
            (_, Some(parts)) => completed(call, parts, counter),
            (_, None) if why.is_some() => (Vec::new(), UsageSource::None),
            (Outcome::UpstreamError, None) if delivered(call).is_none() => (Vec::new(), UsageSource::None),
            (Outcome::InFlight, None) => predicted(call),
            (_, None) => counted(call, counter),
        };
        let (parts, source) = with_input(call, parts, source);
        let why = why.filter(|_| source == UsageSource::None);
        let (is_known, unmetered) = (why.is_none(), call.unmetered.clone().or(why));
        // What a kept answer states was consumed when it was made.
        if is_known && call.served_by.is_some() && !parts.is_empty() {
            let (parts, avoided, source) = (Vec::new(), Some(parts), UsageSource::None);
            return Self { outcome, parts, avoided, source, is_known, unmetered };
        }
        Self { outcome, parts, avoided: None, source, is_known, unmetered }
    }

    /// Why nothing can be said of a call's usage where the provider states none; `None` where it can be counted, or
    /// where nothing was consumed.
    fn unknown(call: &Call, outcome: Outcome, arrival: Arrival) -> Option<Unmetered> {
        match outcome {
            Outcome::Denied | Outcome::LocalReply => None,
            Outcome::UpstreamError if delivered(call).is_none() => None,
            // A request that was not read has no counted input, a response that was not read no counted output.
            _ if call.unmetered.is_some() => call.unmetered.clone(),
            _ if call.route.dialect.delivers_media() => Some(media_reason(call)),
            // The error status of a reset is the gateway's own.
            Outcome::UpstreamReset if call.status.is_none_or(|status| status >= 400) => Some(Unmetered::NoResponse),
            // All that an embedding consumes is its input.
            Outcome::Complete if arrival == Arrival::Whole && embeds(call) => None,
            Outcome::Complete if delivered(call).is_none() => Some(match arrival {
                _ if call.status.is_none() => Unmetered::NoResponse,
                Arrival::Unknown => Unmetered::ResponseUnknown,
                _ if answer(call).is_some_and(|answer| answer.is_background && !answer.terminal) => {
                    Unmetered::UsagePending
                }
                Arrival::Part | Arrival::Whole => Unmetered::UsageUnreported,
            }),
            _ => None,
        }
    }

    /// What a cache in the gateway avoided.
    fn response_cache(&self, call: &Call, answer: &Answer, prices: &PriceBook) -> Option<ResponseCacheEffect> {
        let avoided_usd = Bill::of(call, answer, self.avoided.as_ref()?, prices).total;
        Some(ResponseCacheEffect { served_by: call.served_by.clone(), avoided_usd, avoidable_usd: None })
    }

    /// What a call teaches that ended well, showed all of its prompt as text, and was worked on by its model alone.
    fn taught(&self, call: &Call, usage: &Usage) -> Option<Observation> {
        let prompt = &call.prompt;
        let is_plain = prompt.is_whole && !prompt.exact && self.parts.len() == 1 && usage.web_searches == 0;
        let is_reported = self.outcome == Outcome::Complete && self.source == UsageSource::Reported;
        let model = call.asked.model.as_deref().filter(|_| is_plain && is_reported)?;
        let subject = Subject::new(model, prompt.has_tools());
        Some(Observation { subject, predicted: prompt.untaught, reported: usage.input_total() })
    }

    /// What of the event is shown while the call runs, without working out the rest.
    pub(crate) fn progress<'a>(&self, call: &'a Call, prices: &PriceBook) -> Progress<'a> {
        let answer = answer(call);
        let mut usage = Usage::default();
        self.parts.iter().for_each(|part| usage.add(&part.usage));
        let known = Some(usage).filter(|_| self.is_known);
        // Before the provider reports anything, only the input is predicted.
        let reported = known.filter(|_| call.usage.is_some());
        Progress {
            outcome: self.outcome,
            operation: call.route.operation.name(),
            provider: call.provider(),
            request_model: call.asked.model.as_deref(),
            response_model: answer.and_then(|answer| answer.model.as_deref()),
            input_tokens: known.map(|usage| usage.input_total()),
            output_tokens: reported.map(|usage| usage.output_total()),
            cache_read_tokens: reported.map(|usage| usage.cache_read_total()),
            cost_usd: known.and_then(|_| self.total(call, answer.unwrap_or(&Answer::default()), prices)),
            app: call.attribution.get(Dimension::App),
        }
    }

    /// What it costs so far, as the event will say it of the same parts.
    fn total(&self, call: &Call, answer: &Answer, prices: &PriceBook) -> Option<Usd> {
        let listed = |part: &UsagePart| quote(call, answer, part, prices).ok()?.cost(&part.usage).whole();
        stated(call, &self.parts).or_else(|| self.parts.iter().map(listed).sum())
    }

    /// The event.
    #[inline(never)]
    pub(crate) fn event(&self, call: &Call, prices: &PriceBook, now: Timestamp) -> Event {
        let nothing = Answer::default();
        let answer = call.reader.as_ref().map_or(&nothing, |reader| reader.answer());
        let bill = Bill::of(call, answer, &self.parts, prices);
        let usage = bill.usage;
        let is_known = self.is_known;
        let tokens = |bucket: Bucket| is_known.then(|| usage.get(bucket));
        let sum = |buckets: [Bucket; 2]| {
            is_known.then(|| buckets.iter().fold(0_u64, |sum, bucket| sum.saturating_add(usage.get(*bucket))))
        };
        Event {
            schema: EVENT_SCHEMA,
            id: call.id.clone(),
            request_id: call.request_id.clone(),
            time: call.opened.to_string(),
            opened: call.opened,
            trace_id: call.traceparent.as_deref().and_then(trace::trace_id).map(str::to_owned),
            traceparent: call.traceparent.clone(),
            dialect: call.route.dialect.name(),
            provider: call.provider().to_owned(),
            operation: call.route.operation.name(),
            request_model: call.asked.model.clone(),
            response_model: answer.model.clone(),
            response_id: answer.id.clone(),
            billed_for: call.billed_for.clone(),
            stream: call.asked.stream || (call.wellformedness.events && call.wellformedness.documents > 0),
            status: call.status,
            outcome: self.outcome,
            error_type: answer.error.as_ref().and_then(|error| error.kind.clone()),
            finish_reason: answer.finish_reason.clone(),
            input_tokens: is_known.then(|| usage.input_total()),
            output_tokens: is_known.then(|| usage.output_total()),
            input_uncached_tokens: tokens(Bucket::InputUncached),
            cache_read_tokens: is_known.then(|| usage.cache_read_total()),
            cache_write_5m_tokens: tokens(Bucket::CacheWrite5m),
            cache_write_1h_tokens: tokens(Bucket::CacheWrite1h),
            reasoning_tokens: tokens(Bucket::Reasoning),
            audio_input_tokens: sum([Bucket::InputAudio, Bucket::CacheReadAudio]),
            audio_output_tokens: tokens(Bucket::OutputAudio),
            web_searches: is_known.then_some(usage.web_searches),
            citation_tokens: is_known.then_some(usage.citation_tokens),
            images: (answer.images > 0).then_some(answer.images),
            audio_seconds: answer.audio_seconds,
            usage,
            usage_source: self.source,
            unmetered_reason: self.unmetered.as_ref().map(ToString::to_string),
            predicted_input_tokens: (!call.prompt.parts.is_empty()).then(|| call.prompt.tokens()),
            learned_factor: learned_factor(call),
            media: media(call),
            taught: self.taught(call, &usage),
            standard_tokens: standard_tokens(call, answer),
            cost_usd: bill.total.filter(|_| is_known),
            list_cost_usd: bill.list_total.filter(|_| is_known),
            contracted_cost_usd: bill.contracted_total.filter(|_| is_known),
            cost_source: if is_known { bill.source } else { CostSource::Unknown },
            unpriced_reason: call.unpriced.as_ref().map(ToString::to_string).or_else(|| bill.unpriced.clone()),
            cost: bill.by_bucket(),
            prices: bill.rows.clone(),
            service_tier: tier(answer).map(str::to_owned),
            components: if is_known { bill.components() } else { BTreeMap::new() },
            tool_results: bill.tool_results().filter(|_| is_known),
            tools: bill.tools(call, answer).filter(|_| is_known),
            token_efficiency_ratio: bill.efficiency().filter(|_| is_known && !call.prompt.parts.is_empty()),
            cache: CacheEffect {
                hit_rate: Proportion::of(usage.cache_read_total(), usage.input_total()),
                savings_usd: bill.savings.filter(|_| is_known),
                savings_ratio: bill.savings_ratio().filter(|_| is_known),
                effective_input_per_million_usd: bill.input_per_million().filter(|_| is_known),
                miss_reason: None,
                first_difference: None,
                missed_tokens: None,
            },
            template: None,
            response_cache: self.response_cache(call, answer, prices),
            discounts_cache: bill.discounts_cache,
            sighting: None,
            attribution: call.attribution.clone(),
            task: None,
            retry: None,
            attempts: None,
            routing: None,
            task_outcome: None,
            step: None,
            told_tries: None,
            error_class: None,
            rate_limits: None,
            time_per_output_token_us: None,
            tools_called: answer.tools_called.clone(),
            limits: call.findings.clone(),
            changes: (!call.changes.is_empty()).then(|| call.changes.clone()),
            timing: Timing {
                ttft_ms: call.first_byte.map(|first| first.millis_since(call.opened)),
                duration_ms: now.millis_since(call.opened),
            },
        }
    }
}

/// How much of an answer arrived, as the answer itself tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Nothing that tells: no body, or one that is no answer, or that is not read.
    Unknown,
    /// A part.
    Part,
    /// All of it.
    Whole,
}

impl Arrival {
    fn of(call: &Call) -> Self {
        let seen = &call.wellformedness;
        // A stream says when it is over; a single document is over when it is complete.
        let is_stream = seen.events || call.route.dialect.streams_documents();
        let is_over = match is_stream {
            true => seen.done || answer(call).is_some_and(|answer| answer.terminal),
            false => seen.documents > 0 && !seen.truncated,
        };
        match is_over {
            true => Self::Whole,
            false if seen.documents > 0 || seen.truncated => Self::Part,
            false => Self::Unknown,
        }
    }
}

/// How the call stands. What the answer says outranks what the gateway saw: an error is an error whoever hangs up, a
/// whole answer is complete even where the connection breaks behind it. Where it says nothing, the gateway's word counts.
fn outcome(call: &Call, ending: Option<Ending>, arrival: Arrival) -> Outcome {
    let is_error =
        call.status.is_some_and(|status| status >= 400) || answer(call).is_some_and(|answer| answer.error.is_some());
    match (ending, arrival) {
        (None, _) => Outcome::InFlight,
        (Some(Ending::Denied), _) => Outcome::Denied,
        (Some(Ending::LocalReply), _) => Outcome::LocalReply,
        (Some(Ending::UpstreamReset), Arrival::Unknown) => Outcome::UpstreamReset,
        _ if is_error => Outcome::UpstreamError,
        (_, Arrival::Whole) => Outcome::Complete,
        (Some(Ending::Cut), _) => Outcome::Cut,
        (Some(Ending::ClientGone), _) => Outcome::ClientGone,
        (Some(Ending::UpstreamReset), _) => Outcome::UpstreamReset,
        (Some(Ending::Complete), Arrival::Part) => Outcome::Truncated,
        (Some(Ending::Complete), Arrival::Unknown) => Outcome::Complete,
    }
}

fn answer(call: &Call) -> Option<&Answer> {
    call.reader.as_ref().map(|reader| reader.answer())
}

/// What the provider says that these parts cost; of what was told before, the rest has no statement of its own.
fn stated(call: &Call, parts: &[UsagePart]) -> Option<Usd> {
    call.reader.as_ref().filter(|_| !parts.is_empty() && !call.is_rest)?.cost()
}

/// Why an answer of pictures or sound has no tokens.
fn media_reason(call: &Call) -> Unmetered {
    match answer(call) {
        Some(Answer { audio_seconds: Some(_), .. }) => Unmetered::BilledBySecond,
        Some(Answer { images: 1.., .. }) => Unmetered::BilledByImage,
        _ => Unmetered::UsageUnreported,
    }
}

/// What was delivered, where anything was.
fn delivered(call: &Call) -> Option<&Answer> {
    answer(call).filter(|answer| !answer.delivered.is_empty())
}

/// The input as predicted, nothing else.
fn predicted(call: &Call) -> (Vec<UsagePart>, UsageSource) {
    let mut usage = Usage::default();
    usage.set(Bucket::InputUncached, call.prompt.tokens());
    let source = if call.prompt.exact { UsageSource::Counted } else { UsageSource::Estimated };
    (vec![UsagePart { model: None, usage }], source)
}

/// The input as predicted and the output as delivered.
fn counted(call: &Call, counter: &mut Counter) -> (Vec<UsagePart>, UsageSource) {
    let (mut parts, mut source) = predicted(call);
    let (output, is_exact) = delivered_tokens(call, counter);
    if let Some(part) = parts.first_mut() {
        part.usage.set(Bucket::Output, output);
    }
    if !is_exact {
        source = UsageSource::Estimated;
    }
    (parts, source)
}

/// Whether the call is for vectors of texts that were read.
fn embeds(call: &Call) -> bool {
    call.route.operation == Operation::Embeddings && !call.prompt.parts.is_empty()
}

/// Stated usage with the input that the provider left out, as predicted.
fn with_input(call: &Call, mut parts: Vec<UsagePart>, source: UsageSource) -> (Vec<UsagePart>, UsageSource) {
    if source == UsageSource::None || !call.reader.as_ref().is_some_and(|reader| reader.omits_input()) {
        return (parts, source);
    }
    let (input, counted) = predicted(call);
    if let (Some(part), Some(input)) = (parts.first_mut(), input.first()) {
        part.usage.add(&input.usage);
    }
    (parts, if source == UsageSource::Estimated { source } else { counted })
}

/// Usage that the provider stated before the answer broke off: its output is at least what was delivered.
fn completed(call: &Call, mut parts: Vec<UsagePart>, counter: &mut Counter) -> (Vec<UsagePart>, UsageSource) {
    if call.is_silent() || answer(call).is_none_or(|answer| answer.terminal) {
        return (parts, UsageSource::Reported);
    }
    let stated = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.usage.output_total()));
    let (output, is_exact) = delivered_tokens(call, counter);
    let missing = output.saturating_sub(stated);
    match parts.last_mut() {
        Some(part) if missing > 0 => {
            part.usage.set(Bucket::Output, part.usage.get(Bucket::Output).saturating_add(missing));
            (parts, if is_exact { UsageSource::Counted } else { UsageSource::Estimated })
        }
        _ => (parts, UsageSource::Reported),
    }
}

/// Tokens of the delivered text, and whether they were counted rather than estimated.
fn delivered_tokens(call: &Call, counter: &mut Counter) -> (u64, bool) {
    let Some(answer) = answer(call) else { return (0, true) };
    let model = answer.model.as_deref().or(call.asked.model.as_deref()).unwrap_or_default();
    let tokenizer = Tokenizer::of(model);
    let count = counter.count(tokenizer.encoding, &answer.delivered.text(), &mut Budget::per_request());
    // What was not kept is taken to be like text: four bytes a token.
    let beyond = answer.delivered.beyond().div_ceil(4);
    let is_exact = count.exact && beyond == 0 && tokenizer.permille == 1_000 && !Tokenizer::hides_thinking(model);
    (tokenizer.scale(count.tokens).saturating_add(beyond), is_exact)
}

fn learned_factor(call: &Call) -> Option<Proportion> {
    let (predicted, untaught) = (call.prompt.tokens(), call.prompt.untaught);
    Proportion::of(predicted, untaught).filter(|_| predicted != untaught)
}

#[inline(never)]
fn media(call: &Call) -> BTreeMap<&'static str, MediaShare> {
    let shares = call.prompt.media.iter();
    ordered::map(shares.map(|(modality, count, tokens)| (modality.name(), MediaShare { count, tokens })))
}

/// Characters of a text, in the unit that `standard_tokens` counts.
pub(crate) fn characters(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

fn standard_tokens(call: &Call, answer: &Answer) -> u64 {
    call.prompt.characters.saturating_add(answer.delivered.characters()).div_ceil(4)
}

/// The parts of a call with their prices.
struct Bill {
    usage: Usage,
    /// What it costs, divided; without what is unpriced.
    cost: Cost,
    /// `None` where a part has no price.
    total: Option<Usd>,
    /// The total by the list, whatever the operator agreed on.
    list_total: Option<Usd>,
    /// The total by what the operator agreed on, whatever the provider states.
    contracted_total: Option<Usd>,
    /// What the cache saved, by what the operator agreed on.
    savings: Option<Usd>,
    uncached: Option<Usd>,
    /// A stated cost that no price divides.
    unattributed: Option<Usd>,
    source: CostSource,
    unpriced: Option<String>,
    composition: Composition,
    rows: Vec<PriceRow>,
    /// Cached input has a price of its own.
    discounts_cache: bool,
}

impl Bill {
    #[inline(never)]
    fn of(call: &Call, answer: &Answer, parts: &[UsagePart], prices: &PriceBook) -> Self {
        let mut bill = Self {
            usage: Usage::default(),
            cost: Cost::default(),
            total: Some(Usd::ZERO),
            list_total: Some(Usd::ZERO),
            contracted_total: None,
            savings: None,
            uncached: Some(Usd::ZERO),
            unattributed: None,
            source: CostSource::List,
            unpriced: None,
            composition: Composition::default(),
            rows: Vec::new(),
            discounts_cache: false,
        };
        for part in parts {
            bill.usage.add(&part.usage);
            match quote(call, answer, part, prices) {
                Ok(quote) => bill.add_quoted(call, &part.usage, &quote),
                Err(unpriced) => bill.add_unpriced(call, &part.usage, unpriced.to_string()),
            }
        }
        bill.contracted_total = bill.total;
        bill.savings = bill.total.and_then(|total| Some(bill.uncached?.minus(total)));
        if let Some(stated) = stated(call, parts) {
            bill.take_stated(call, stated);
        }
        bill
    }

    /// The provider says what the call costs: that is its cost, divided as the prices would divide it.
    #[inline(never)]
    fn take_stated(&mut self, call: &Call, stated: Usd) {
        let contracted = self.contracted_total.filter(|total| *total != Usd::ZERO);
        let mut running = Usd::ZERO;
        let mut given = Usd::ZERO;
        // The running sum is what is rounded, so that the shares sum exactly to the stated cost.
        let mut share = |list: Usd| {
            running = running.plus(list);
            let upto = contracted.and_then(|total| stated.apportioned(running, total)).unwrap_or(stated);
            let share = upto.minus(given);
            given = upto;
            share
        };
        if contracted.is_some() {
            let per_bucket = PerBucket::from_fn(|bucket| share(self.cost.per_bucket.get(bucket)));
            let (citation, web_search) = (share(self.cost.citation), share(self.cost.web_search));
            let request = share(self.cost.request);
            self.cost = Cost { per_bucket, citation, web_search, request, total: stated, ..self.cost };
            self.composition = Composition::of(&call.prompt, &self.usage, Some(&per_bucket));
        } else {
            self.unattributed = Some(stated);
            self.composition = Composition::of(&call.prompt, &self.usage, None);
        }
        self.total = Some(stated);
        self.source = CostSource::Provider;
        self.unpriced = None;
    }

    #[inline(never)]
    fn add_quoted(&mut self, call: &Call, usage: &Usage, quote: &Quote<'_>) {
        let is_list = quote.source() == Source::List && quote.discount().is_none();
        let cost = quote.cost(usage);
        let list = if is_list { Some(cost) } else { quote.list_cost(usage) };
        let list = list.and_then(|cost| cost.whole());
        self.list_total = self.list_total.and_then(|total| Some(total.plus(list?)));
        if let Some(kind) = cost.missing() {
            return self.add_unpriced(call, usage, format!("`{}` has no price for {kind}", quote.model()));
        }
        self.composition.add(&Composition::of(&call.prompt, usage, Some(&cost.per_bucket)));
        self.total = self.total.map(|total| total.plus(cost.total));
        self.uncached = self.uncached.map(|uncached| uncached.plus(quote.uncached_cost(usage).total));
        self.cost = self.cost.plus(&cost);
        if !is_list && self.source == CostSource::List {
            self.source = CostSource::Override;
        }
        if let Some(unpriced) = quote.unpriced() {
            self.unpriced.get_or_insert_with(|| unpriced.to_string());
        }
        self.discounts_cache |= quote.discounts_cache(usage.input_total());
        let row = PriceRow {
            provider: quote.provider().map(str::to_owned),
            model: quote.model().to_owned(),
            source: quote.source().into(),
            discount_percent: quote.discount().map(ToString::to_string),
            assumes_standard: quote.assumes_standard(),
        };
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
    }

    fn add_unpriced(&mut self, call: &Call, usage: &Usage, reason: String) {
        self.composition.add(&Composition::of(&call.prompt, usage, None));
        self.total = None;
        self.list_total = None;
        self.uncached = None;
        self.source = CostSource::Unknown;
        self.unpriced.get_or_insert(reason);
    }

    #[inline(never)]
    fn by_bucket(&self) -> BTreeMap<&'static str, Usd> {
        if self.total.is_none() {
            return BTreeMap::new();
        }
        if let Some(stated) = self.unattributed {
            return BTreeMap::from([("unattributed", stated)]);
        }
        let cost = &self.cost;
        let fees = [("citation", cost.citation), ("web_search", cost.web_search), ("request", cost.request)];
        let buckets = self.cost.per_bucket.iter().map(|(bucket, cost)| (bucket.name(), cost));
        ordered::map(buckets.chain(fees).filter(|(_, cost)| *cost != Usd::ZERO))
    }

    /// What each tool definition weighs, and what those weigh that the answer does not call.
    #[inline(never)]
    fn tools(&self, call: &Call, answer: &Answer) -> Option<ToolWeights> {
        /// The heaviest tell the story; an event of a thousand tools must still fit a log line.
        const HEAVIEST_MAX: usize = 32;
        let weigh = |(name, share): (&str, &Share)| ToolWeight {
            called: answer.tools_called.iter().any(|called| called == name),
            name: name.to_owned(),
            tokens: share.tokens,
            cost_usd: share.cost.filter(|_| self.is_divided()),
        };
        let weighed = || call.prompt.tools().map(|part| part.name.as_deref()).zip(self.composition.tools());
        let unnamed = weighed().filter(|(name, _)| name.is_none());
        let overhead_tokens = unnamed.fold(0_u64, |sum, (_, share)| sum.saturating_add(share.tokens));
        let tools: Vec<_> = weighed().filter_map(|(name, share)| Some(weigh((name?, share)))).collect();
        let count = u64::try_from(tools.len()).unwrap_or(u64::MAX);
        if count == 0 && overhead_tokens == 0 {
            return None;
        }
        let unused = || tools.iter().filter(|tool| !tool.called);
        let unused_tokens = unused().fold(0_u64, |sum, tool| sum.saturating_add(tool.tokens));
        let unused_cost_usd = unused().map(|tool| tool.cost_usd).sum::<Option<Usd>>();
        let mut heaviest = Vec::new();
        for tool in tools {
            ordered::insert(&mut heaviest, HEAVIEST_MAX, tool, |one, other| other.tokens.cmp(&one.tokens));
        }
        Some(ToolWeights { count, overhead_tokens, unused_tokens, unused_cost_usd, heaviest })
    }

    fn efficiency(&self) -> Option<Proportion> {
        let (input, output) = (self.usage.input_total(), self.usage.output_total());
        let asked = self.composition.get(Component::User).tokens;
        Proportion::of(asked.saturating_add(output), input.saturating_add(output))
    }

    #[inline(never)]
    fn components(&self) -> BTreeMap<&'static str, ComponentShare> {
        let share = |component: Component| (component.name(), self.share(&self.composition.get(component)));
        Component::ALL.into_iter().map(share).collect()
    }

    /// What tools returned; `None` where the prompt holds none of it.
    fn tool_results(&self) -> Option<ComponentShare> {
        Some(self.composition.tool_results()).filter(|share| share.tokens > 0).map(|share| self.share(&share))
    }

    fn share(&self, share: &Share) -> ComponentShare {
        ComponentShare {
            tokens: share.tokens,
            cached_tokens: share.cached_tokens,
            share: Proportion::of(share.tokens, self.usage.input_total()),
            cost_usd: self.is_divided().then(|| share.cost.unwrap_or(Usd::ZERO)),
        }
    }

    /// Whether the cost is known, and what each token costs of it.
    fn is_divided(&self) -> bool {
        self.total.is_some() && self.unattributed.is_none()
    }

    fn savings_ratio(&self) -> Option<Proportion> {
        let savings = self.savings?;
        Proportion::of_money(savings, self.contracted_total?.plus(savings))
    }

    fn input_per_million(&self) -> Option<Usd> {
        let is_input = |(bucket, cost): (Bucket, Usd)| (bucket.direction() == Direction::Input).then_some(cost);
        let input: Usd = self.cost.per_bucket.iter().filter_map(is_input).sum();
        let tokens = self.usage.input_total();
        (self.is_divided() && tokens > 0).then(|| input.ratio(1_000_000, tokens))
    }
}

/// The tier that an answer names; `auto` is none, but what early events say before one is chosen.
fn tier(answer: &Answer) -> Option<&str> {
    answer.service_tier.as_deref().filter(|tier| !tier.eq_ignore_ascii_case("auto"))
}

/// The prices of a part: by the model it names and no other, else by the one that answered, else the one asked for;
/// the other way round where the dialect says so.
fn quote<'b>(call: &Call, answer: &Answer, part: &UsagePart, prices: &'b PriceBook) -> Result<Quote<'b>, Unpriced> {
    let asked = &call.asked;
    let terms = Terms {
        service_tier: tier(answer).or(asked.service_tier.as_deref()),
        batch: false,
        speed: answer.speed.as_deref().or(asked.speed.as_deref()),
        inference_geo: answer.inference_geo.as_deref().or(call.route.region),
        search_context_size: answer.search_context_size.as_deref().or(asked.search_context_size.as_deref()),
    };
    let provider = call.priced_at();
    let lookup = |model, alias| Lookup { provider, model, alias, at: call.consumed, terms };
    if let Some(own) = &part.model {
        return prices.quote(&lookup(own, None));
    }
    match (answer.model.as_deref(), asked.model.as_deref()) {
        (Some(answered), Some(asked)) if call.route.dialect.is_priced_as_asked() => {
            let quote = prices.quote(&lookup(asked, Some(answered)));
            quote.or_else(|unpriced| prices.quote(&lookup(answered, None)).map_err(|_| unpriced))
        }
        (Some(answered), Some(asked)) => {
            let quote = prices.quote(&lookup(answered, Some(asked)));
            match quote {
                // Another model may have answered than the one that was asked. Then that one's price says nothing.
                Err(unpriced) if is_kin(answered, asked) => prices.quote(&lookup(asked, None)).map_err(|_| unpriced),
                quote => quote,
            }
        }
        (Some(answered), None) => prices.quote(&lookup(answered, None)),
        (None, asked) => prices.quote(&lookup(asked.unwrap_or_default(), None)),
    }
}
