//! From a request's elements to the counted prompt.
//!
//! Must not know: prices, limits, responses.

use crate::attribution::bounded;
use crate::calibration::Tokenizer;
use crate::dialect::{Dialect, Request};
use crate::meter::Meter;
use crate::prompt::{Kind, Part, Piece, Prompt};
use crate::tokens::Budget;

impl Meter {
    pub(crate) fn count(&mut self, dialect: Dialect, request: &Request<'_>) -> Prompt {
        let model = request.model.as_deref().unwrap_or_default();
        let tokenizer = Tokenizer::of(model);
        let mut budget = Budget::per_request();
        let mut prompt = Prompt {
            exact: tokenizer.permille == 1_000 && !request.has_unseen,
            priming: if request.elements.is_empty() { 0 } else { dialect.priming(model) },
            ..Prompt::default()
        };
        for element in &request.elements {
            // Providers do not render a tool's definition as the JSON that is counted.
            prompt.exact &= element.kind != Kind::Tool;
            let (mut tokens, mut characters) = (0_u64, 0_u64);
            dialect.read_element(element, &mut |piece| match piece {
                Piece::Text(text) => {
                    let count = self.counter.count(tokenizer.encoding, &text, &mut budget);
                    tokens = tokens.saturating_add(tokenizer.scale(count.tokens));
                    characters = characters.saturating_add(crate::settlement::characters(&text));
                    prompt.exact &= count.exact;
                }
                Piece::Framing(around) => tokens = tokens.saturating_add(around),
                Piece::Media => prompt.exact = false,
            });
            prompt.characters = prompt.characters.saturating_add(characters);
            let name = element.name.as_deref().map(bounded);
            prompt.parts.push(Part { component: element.component, kind: element.kind, name, tokens });
        }
        prompt
    }
}
