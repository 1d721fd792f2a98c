//! What the APIs of Anthropic and Amazon share: tools, system blocks, and messages of content blocks.
//!
//! Must not know: how a block is written, which the dialects tell apart.

use super::object::string;
use super::{Request, collect, gather};
use crate::frame::raw::{Cursor, Raw};
use crate::prompt::{Component, Element, Kind};
use std::borrow::Cow;

/// The members of a request body that become its prompt.
#[derive(Debug, Default)]
pub(super) struct Sections<'a> {
    pub(super) tools: Vec<Element<'a>>,
    pub(super) system: Option<Raw<'a>>,
    pub(super) messages: Vec<Element<'a>>,
}

/// How a dialect writes them.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// The name in a tool's definition.
    pub(super) tool_name: for<'a> fn(&mut Cursor<'a>) -> Option<Cow<'a, str>>,
    /// Whether a member of a block of a user's message says that the block is what a tool returned.
    pub(super) says_result: fn(&str, &mut Cursor<'_>) -> bool,
}

impl<'a> Sections<'a> {
    /// Takes the tools that are next.
    pub(super) fn read_tools(&mut self, tools: &mut Cursor<'a>, style: Style) {
        let tools = gather(tools, |tool, elements| {
            let mut name = None;
            let raw = tool.raw_after(|tool| name = (style.tool_name)(tool));
            elements.extend(raw.map(|raw| Element { component: Component::Tools, kind: Kind::Tool, name, raw }));
        });
        self.tools = tools.unwrap_or_default();
    }

    /// Takes the messages that are next.
    pub(super) fn read_messages(&mut self, messages: &mut Cursor<'a>, style: Style) {
        self.messages = gather(messages, |message, elements| cut(message, style, elements)).unwrap_or_default();
    }

    /// Puts the sections in the order in which the providers cache: tools, system, messages.
    pub(super) fn arrange(mut self, request: &mut Request<'a>) {
        request.extend(self.tools);
        let block = |raw| Element { component: Component::System, kind: Kind::Message, name: None, raw };
        let system = self.system.filter(|raw| raw.get() != "null");
        let blocks = collect(system, |raw, elements| elements.push(block(raw)));
        request.extend(blocks.or_else(|| Some(vec![block(system?)])).unwrap_or_default());
        Element::mark_user(&mut self.messages);
        request.extend(self.messages);
    }
}

/// Cuts a message into elements: one, but for a message of the user that mixes tool results with words of their own,
/// which is cut into its blocks. Tool results are a tool's, not the user's.
fn cut<'a>(message: &mut Cursor<'a>, style: Style, elements: &mut Vec<Element<'a>>) {
    let element = |component, kind, raw| Element { component, kind, name: None, raw };
    let (mut role, mut blocks) = (None, Vec::new());
    let whole = message.raw_after(|message| {
        message.members(|key, value| match &*key {
            "role" => role = value.raw().and_then(string),
            "content" => {
                blocks = gather(value, |block, blocks| blocks.extend(cut_block(block, style))).unwrap_or_default()
            }
            _ => {}
        });
    });
    let Some(message) = whole else { return };
    match role.as_deref() {
        Some("system") => elements.push(element(Component::System, Kind::Message, message)),
        Some("user") => {
            let results = blocks.iter().filter(|block| block.kind == Kind::ToolResult).count();
            match results {
                0 => elements.push(element(Component::User, Kind::Message, message)),
                all if all == blocks.len() => elements.push(element(Component::History, Kind::ToolResult, message)),
                _ => elements.extend(blocks),
            }
        }
        _ => elements.push(element(Component::History, Kind::Message, message)),
    }
}

/// A block of a message, if it is the user's. A point in the cache is nobody's.
fn cut_block<'a>(block: &mut Cursor<'a>, style: Style) -> Option<Element<'a>> {
    let (mut is_result, mut is_point) = (false, false);
    let raw = block.raw_after(|block| {
        block.members(|key, value| {
            is_point |= key == "cachePoint";
            is_result |= (style.says_result)(&key, value);
        });
    })?;
    if is_point {
        return None;
    }
    let (component, kind) =
        if is_result { (Component::History, Kind::ToolResult) } else { (Component::User, Kind::Message) };
    Some(Element { component, kind, name: None, raw })
}
