//! [`Faults`]: host calls that misbehave on purpose, so that a filter's reaction can be tested.
//!
//! A fault replaces the call: a write with a forced status is not carried out.

/// At which calls of a function a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The first call only.
    Once,
    /// Every call.
    Always,
    /// The n-th, 2n-th, ... call.
    EveryNth(u32),
}

/// What a faulty call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Returns this status and nothing else.
    Status(u32),
    /// A `get_*` call succeeds with no data at all (null pointer, length 0).
    NoData,
    /// A `get_*` call succeeds with these bytes, say non-UTF-8 ones.
    Data(Vec<u8>),
}

/// The faults of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    function: String,
    when: When,
    effect: Effect,
    calls: u32,
}

impl Faults {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a fault of `function`, named as it is imported (`proxy_get_shared_data`).
    #[must_use]
    pub fn with(mut self, function: &str, when: When, effect: Effect) -> Self {
        self.rules.push(Rule { function: function.to_owned(), when, effect, calls: 0 });
        self
    }

    /// What this call of `function` does instead of its work, if a fault strikes.
    pub(crate) fn strike(&mut self, function: &str) -> Option<Effect> {
        let mut struck = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.function == function) {
            rule.calls += 1;
            let hit = match rule.when {
                When::Once => rule.calls == 1,
                When::Always => true,
                When::EveryNth(n) => n != 0 && rule.calls.is_multiple_of(n),
            };
            if hit && struck.is_none() {
                struck = Some(rule.effect.clone());
            }
        }
        struck
    }
}
