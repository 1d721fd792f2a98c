//! The X-ray page's half in wasm: what the page shows is computed here, by the same core as in the filter.
//!
//! [`open_call`] meters one pasted exchange; [`Log`] holds the events of a log and answers questions about them. Values cross
//! to JavaScript as JSON, amounts of money in it as exact decimal strings.
//! Invariants: no clock, no I/O; money is added up here, as integers, and never in JavaScript.
//! Must not know: the page, how something is drawn.

mod call;
mod compare;
mod exchange;
mod log;
mod pasted;
mod row;
mod sum;
mod view;

use tollgate_core::logged;
use tollgate_core::price::PriceBook;
use wasm_bindgen::prelude::wasm_bindgen;

/// Meters one exchange: JSON of [`call::Question`] in, JSON of [`call::Opened`] out.
///
/// # Errors
/// What is wrong with what was pasted, for its reader.
#[wasm_bindgen]
pub fn open_call(question: &str) -> Result<String, String> {
    let question = serde_json::from_str(question).map_err(|why| why.to_string())?;
    json(&call::open(&question).map_err(|why| why.to_string())?)
}

/// The price list: its name, every model as `provider/model`, and those that calls are compared with, as JSON.
///
/// # Errors
/// None that can happen.
#[wasm_bindgen]
pub fn models() -> Result<String, String> {
    let names: Vec<_> = PriceBook::models().map(|(provider, model)| format!("{provider}/{model}")).collect();
    json(&serde_json::json!({"list": PriceBook::source(), "names": names, "compared": call::COMPARED}))
}

/// The event that a line of a log holds, as JSON.
///
/// # Errors
/// Why it holds none.
#[wasm_bindgen]
pub fn event_of_line(line: &str) -> Result<String, String> {
    let event = logged::event(line).map_err(|why| why.to_string())?;
    event.map(std::borrow::Cow::into_owned).ok_or_else(|| "there is no event in this line any more".to_owned())
}

/// The events of a log.
#[wasm_bindgen]
#[derive(Default)]
pub struct Log(log::Log);

#[wasm_bindgen]
impl Log {
    /// An empty log.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece of the file, cut anywhere.
    pub fn feed(&mut self, piece: &[u8]) {
        self.0.feed(piece);
    }

    /// The file ends: what was read, as JSON of [`log::Contents`].
    ///
    /// # Errors
    /// Why there is nothing to show: which line is the first without an event, and what is wrong with it.
    pub fn end(&mut self) -> Result<String, String> {
        json(&self.0.end().map_err(|why| why.to_string())?)
    }

    /// Answers JSON of [`view::Query`] with JSON of [`view::View`].
    ///
    /// # Errors
    /// When it is no such query.
    pub fn view(&self, query: &str) -> Result<String, String> {
        let query = serde_json::from_str(query).map_err(|why| why.to_string())?;
        json(&view::of(&self.0, &query))
    }

    /// Answers JSON of [`compare::Query`] with JSON of [`tollgate_core::bill::Lines`].
    ///
    /// # Errors
    /// When it is no such query.
    pub fn compare(&self, query: &str) -> Result<String, String> {
        let query = serde_json::from_str(query).map_err(|why| why.to_string())?;
        json(&compare::of(&self.0, &query).map_err(|why| why.to_string())?)
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|why| why.to_string())
}
