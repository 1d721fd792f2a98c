//! What the APIs of Anthropic and Amazon share: tools, system blocks, and messages of content blocks.
//!
//! Must not know: how a block is written, which the dialects tell apart.

use super::object::{members, string};
use super::{Request, collect};
use crate::prompt::{Component, Element, Kind};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The members of a request body that become its prompt.
#[derive(Debug, Default)]
pub(super) struct Sections<'a> {
    pub(super) tools: Option<&'a RawValue>,
    pub(super) system: Option<&'a RawValue>,
    pub(super) messages: Option<&'a RawValue>,
}

/// How a dialect writes them.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// The name in a tool's definition.
    pub(super) tool_name: fn(&RawValue) -> Option<Cow<'_, str>>,
    /// Whether a block of a user's message is what a tool returned.
    pub(super) is_result: fn(&RawValue) -> bool,
}

impl<'a> Sections<'a> {
    /// Cuts the sections into elements, in the order in which the providers cache: tools, system, messages.
    pub(super) fn read(&self, style: Style, request: &mut Request<'a>) {
        let tools = collect(self.tools, |tool, elements| {
            let name = (style.tool_name)(tool);
            elements.push(Element { component: Component::Tools, kind: Kind::Tool, name, raw: tool });
        });
        request.extend(tools.unwrap_or_default());
        let block = |raw| Element { component: Component::System, kind: Kind::Message, name: None, raw };
        let system = self.system.filter(|raw| raw.get() != "null");
        let blocks = collect(system, |raw, elements| elements.push(block(raw)));
        request.extend(blocks.or_else(|| Some(vec![block(system?)])).unwrap_or_default());
        let mut conversation =
            collect(self.messages, |message, elements| cut(message, style, elements)).unwrap_or_default();
        Element::mark_user(&mut conversation);
        request.extend(conversation);
    }
}

/// Cuts a message into elements: one, but for a message of the user that mixes tool results with words of their own,
/// which is cut into its blocks. Tool results are a tool's, not the user's.
fn cut<'a>(message: &'a RawValue, style: Style, elements: &mut Vec<Element<'a>>) {
    let (mut role, mut content) = (None, None);
    members(message.get(), |key, value| match &*key {
        "role" => role = string(value),
        "content" => content = Some(value),
        _ => {}
    });
    let element = |component, kind, raw| Element { component, kind, name: None, raw };
    match role.as_deref() {
        Some("system") => elements.push(element(Component::System, Kind::Message, message)),
        Some("user") => {
            let user = |raw| element(Component::User, Kind::Message, raw);
            let result = |raw| element(Component::History, Kind::ToolResult, raw);
            let blocks = collect(content, |block, blocks| {
                blocks.push(if (style.is_result)(block) { result(block) } else { user(block) });
            })
            .unwrap_or_default();
            let results = blocks.iter().filter(|block| block.kind == Kind::ToolResult).count();
            match results {
                0 => elements.push(user(message)),
                all if all == blocks.len() => elements.push(result(message)),
                _ => elements.extend(blocks),
            }
        }
        _ => elements.push(element(Component::History, Kind::Message, message)),
    }
}
