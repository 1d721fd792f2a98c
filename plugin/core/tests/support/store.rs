//! The store of a fleet as a value: what `account.lua` does, said once more and simply, in whole numbers.
#![allow(dead_code, reason = "not every test that simulates a store needs all of it")]

use std::collections::BTreeMap;
use tollgate_core::limit::{Answer, Ask};

/// What one gateway said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) number: u64,
    pub(crate) spent: i128,
    pub(crate) claim: i128,
}

/// A window of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) said: BTreeMap<String, Said>,
    pub(crate) debt: i128,
}

/// All windows, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    pub(crate) windows: BTreeMap<String, Window>,
    /// Nothing is granted until gateways have restored what the store lost.
    pub(crate) is_settling: bool,
}

impl Window {
    pub(crate) fn spent(&self) -> i128 {
        self.said.values().map(|said| said.spent).sum()
    }

    pub(crate) fn claimed(&self) -> i128 {
        self.said.values().map(|said| said.claim).sum()
    }
}

impl Store {
    /// What a gateway says of a window of an account, and what it hears.
    pub(crate) fn ask(&mut self, key: &str, gateway: &str, ask: &Ask) -> Answer {
        let window = self.windows.entry(key.to_owned()).or_default();
        let said = window.said.get(gateway).copied().unwrap_or_default();
        if ask.number > said.number {
            window.debt = window.debt.max(ask.debt);
            let have = said.claim.max(ask.have);
            let others = window.claimed() - said.claim;
            let free = ask.limit.map_or(i128::MAX, |limit| (limit - others - have - window.debt).max(0));
            let claim = if ask.want < have || ask.limit.is_none() {
                ask.want
            } else if self.is_settling {
                have
            } else {
                have + (ask.want - have).min(free)
            };
            window.said.insert(gateway.to_owned(), Said { number: ask.number, spent: ask.spent, claim });
        }
        let own = window.said.get(gateway).copied().unwrap_or_default();
        Answer {
            number: own.number,
            claim: own.claim,
            others_spent: window.spent() - own.spent,
            others_claimed: window.claimed() - own.claim,
            debt: window.debt,
        }
    }
}
