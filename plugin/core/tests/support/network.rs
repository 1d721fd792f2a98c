//! Messages on their way between gateways and the store that they share: lost, repeated, delayed and overtaken.
#![allow(dead_code, reason = "not every test that simulates a network needs all of it")]

use proptest::prelude::*;
use tollgate_core::limit::{Answer, Ask};

/// What becomes of one of the messages that are under way.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It arrives; where it is repeated, it is still under way.
    Arrives { which: usize, repeats: bool },
    /// It never does.
    Lost { which: usize },
}

/// All that is under way. `From` tells who asked.
pub(crate) struct Network<From> {
    messages: Vec<(From, Ask, Option<Answer>)>,
}

impl<From> Default for Network<From> {
    fn default() -> Self {
        Self { messages: Vec::new() }
    }
}

impl<From: Clone> Network<From> {
    pub(crate) fn send(&mut self, from: From, ask: Ask) {
        self.messages.push((from, ask, None));
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// All that is under way is lost.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    /// A message meets its fate. `serve` is what the store answers to a request; an answer is given to whom it is for.
    pub(crate) fn meet(
        &mut self,
        fate: &Fate,
        serve: impl FnOnce(&From, &Ask) -> Answer,
    ) -> Option<(From, Ask, Answer)> {
        let (Fate::Arrives { which, .. } | Fate::Lost { which }) = fate;
        let which = which.checked_rem(self.messages.len())?;
        let message = match fate {
            Fate::Arrives { repeats: true, .. } => self.messages.get(which)?.clone(),
            Fate::Arrives { repeats: false, .. } => self.messages.swap_remove(which),
            Fate::Lost { .. } => {
                self.messages.swap_remove(which);
                return None;
            }
        };
        match message {
            (from, ask, Some(answer)) => Some((from, ask, answer)),
            (from, ask, None) => {
                let answer = serve(&from, &ask);
                self.messages.push((from, ask, Some(answer)));
                None
            }
        }
    }
}

/// Fates of which so many in a hundred are losses.
pub(crate) fn fates(lost_percent: u32) -> impl Strategy<Value = Fate> {
    prop_oneof![
        100 - lost_percent => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(which, repeats)| Fate::Arrives { which, repeats }),
        lost_percent => any::<usize>().prop_map(|which| Fate::Lost { which }),
    ]
}
