//! The contexts of this VM: roots (one per plugin configuration) and streams (one per request).
//!
//! Gateways call contexts that were never created (APISIX, when authentication refuses a request), delete them
//! twice, or call back while a call is under way; all of that does nothing. A VM has one thread.
//! Must not know: what contexts do.

use crate::abi::{self, Action};
use crate::http::Http;
use crate::root::Root;
use crate::vm::Vm;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

#[derive(Default)]
struct Contexts {
    roots: HashMap<u32, Root>,
    /// Each with the id of its root.
    streams: HashMap<u32, (u32, Http)>,
    vm: Rc<Vm>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
    /// Contexts that ended while a call of ours was under way: a stream that it closed.
    static ENDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `act` on the contexts, unless a call of ours is already on them.
fn with<T>(act: impl FnOnce(&mut Contexts) -> Option<T>) -> Option<T> {
    CONTEXTS.with(|contexts| contexts.try_borrow_mut().ok().and_then(|mut contexts| act(&mut contexts)))
}

/// A context begins: a root when it has no parent, else a stream of that root.
pub(crate) fn create(context: u32, parent: u32) {
    with(|contexts| {
        if parent == 0 {
            contexts.roots.insert(context, Root::new(Rc::clone(&contexts.vm)));
        } else {
            contexts.streams.insert(context, (parent, Http::new(context, parent)));
        }
        Some(())
    });
}

/// A root gets its configuration.
pub(crate) fn configure(context: u32, size: usize) {
    with(|contexts| contexts.roots.get_mut(&context).map(|root| root.configure(size)));
}

/// A callback of a root.
pub(crate) fn root(context: u32, callback: impl FnOnce(&mut Root)) {
    with(|contexts| contexts.roots.get_mut(&context).map(callback));
}

/// A callback of a stream; `Continue` where the stream is unknown.
pub(crate) fn http(context: u32, callback: impl FnOnce(&mut Http, &mut Root) -> Action) -> u32 {
    let action = with(|contexts| {
        let (root, http) = contexts.streams.get_mut(&context)?;
        Some(callback(http, contexts.roots.get_mut(root)?))
    });
    ENDED.take().into_iter().for_each(delete);
    match action.unwrap_or(Action::Continue) {
        Action::Continue => 0,
        Action::Pause => 1,
    }
}

/// A response begins. Where a plugin moved the request to another place of nginx, APISIX tells a new stream of it, which gets
/// all that the one knows which saw the request.
pub(crate) fn hand_on(context: u32) {
    with(|contexts| {
        let (root, _) = contexts.streams.get(&context).filter(|(_, http)| !http.has_begun())?;
        let id = contexts.roots.get_mut(root)?.host().shown_call()?;
        let from = contexts.streams.iter().find_map(|(from, (_, http))| http.is_of(&id).then_some(*from))?;
        let (root, http) = contexts.streams.remove(&from)?;
        contexts.streams.insert(context, (root, http));
        Some(())
    });
}

/// A call of ours was answered, or failed: a root's, or a stream's own, whichever of them the gateway names (Kong and APISIX
/// always name the root). Requests that waited for it go on.
pub(crate) fn on_callout_answered(context: u32, token: u32, is_answered: bool, body_size: usize) {
    let told = with(|contexts| {
        let root = contexts.streams.get(&context).map_or(context, |(root, _)| *root);
        Some(contexts.roots.get_mut(&root)?.on_callout_answered(token, is_answered, body_size))
    });
    for (waiting, is_told) in told.unwrap_or_default() {
        let heard = with(|contexts| {
            let (root, http) = contexts.streams.get_mut(&waiting)?;
            let root = contexts.roots.get_mut(root)?;
            // Where a stream made the call itself, its gateway acts for it, and lets it go on.
            let is_moved = root.host().asks_in_root();
            if is_moved {
                root.metrics.note("set_effective_context", abi::act_for(waiting))?;
            }
            Some((http.on_heard(root, is_told), is_moved))
        });
        if heard == Some((Action::Continue, true)) {
            let went_on = abi::continue_request();
            note(waiting, "continue_stream", went_on);
        }
    }
    ENDED.take().into_iter().for_each(delete);
}

/// Counts a host call of a stream that failed.
fn note(context: u32, function: &str, result: Result<(), abi::Status>) {
    with(|contexts| {
        let (root, _) = contexts.streams.get(&context)?;
        contexts.roots.get_mut(root)?.metrics.note(function, result)
    });
}

/// A context ends.
pub(crate) fn delete(context: u32) {
    let done = with(|contexts| {
        if let Some((root, mut http)) = contexts.streams.remove(&context) {
            contexts.roots.get_mut(&root).into_iter().for_each(|root| http.on_delete(root));
        } else {
            contexts.roots.remove(&context);
        }
        Some(())
    });
    if done.is_none() {
        ENDED.with_borrow_mut(|ended| ended.push(context));
    }
}
