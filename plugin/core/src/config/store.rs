//! What a fleet shares, from as written to as used.
//!
//! Must not know: how gateways share it.

use super::Compiler;
use super::raw::{Measure, RawConfig, RawFleet, RawLimit, RawStore};
use crate::limit::{Fleet, Limit, Mode, Window};

impl Compiler {
    pub(super) fn store(&mut self, raw: &RawConfig) -> Option<RawStore> {
        let store = raw.store.as_ref()?;
        if store.target.is_empty() {
            let hint = "name the cluster of webdis, or its `host:port` on Kong and APISIX";
            self.error("store.target".to_owned(), "missing", hint);
        }
        if !store.path.starts_with('/') {
            self.error("store.path".to_owned(), format!("`{}` is no path", store.path), "begin it with `/`");
        }
        for (name, millis) in [("interval_ms", store.interval_ms), ("timeout_ms", store.timeout_ms)] {
            if !(50..=10_000).contains(&millis) {
                self.error(format!("store.{name}"), format!("{millis} ms is of no use"), "give 50 to 10000");
            }
        }
        Some(store.clone())
    }

    /// How a fleet shares a limit; `None` where each gateway has it for itself.
    pub(super) fn fleet(
        &mut self,
        item: &str,
        raw: &RawLimit,
        window: Option<Window>,
        config: &RawConfig,
    ) -> Option<Fleet> {
        let mode = match raw.fleet {
            RawFleet::Off => return None,
            RawFleet::Eventual => Mode::Eventual,
            RawFleet::Strict => Mode::Strict,
        };
        let path = format!("{item}.fleet");
        let is_counted = !matches!(raw.measure, Measure::Repeats | Measure::UnattendedSteps);
        if !is_counted || !matches!(window, Some(Window::Fixed(..) | Window::Idle { .. })) {
            let hint = "set `per` to a time, `session` or `task`, and `refill` to `at_once`; calls in flight, repeats and \
                        unattended steps are each gateway's own";
            self.error(path, "a fleet cannot share that", hint);
            return None;
        }
        let Some(store) = &config.store else {
            self.error(path, "there is no store that a fleet could share it in", "configure `store`");
            return None;
        };
        let (interval_ms, timeout_ms) = (u64::from(store.interval_ms), u64::from(store.timeout_ms));
        Some(Fleet { mode, interval_ms, stale_ms: interval_ms.saturating_mul(2).saturating_add(timeout_ms) })
    }

    /// Leases bound what is spent only where something is refused.
    pub(super) fn can_lease(&mut self, item: &str, limit: &Limit) {
        if limit.fleet().is_some_and(|fleet| fleet.mode == Mode::Strict) && limit.deny_percent().is_none() {
            let hint = "set `action` to `deny`, or this to `eventual`";
            self.error(format!("{item}.fleet"), "nothing is leased of a limit that refuses no call", hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn errors(store: &str, limit: &str) -> Vec<String> {
        let json = format!(r#"{{"limits": [{{"id": "a", "limit": 9, {limit}}}]{store}}}"#);
        let errors = Config::parse(json.as_bytes()).err().unwrap_or_default();
        errors.iter().map(|error| error.to_string().split(';').next().unwrap_or_default().to_owned()).collect()
    }

    const STORE: &str = r#", "store": {"target": "webdis"}"#;

    #[test]
    fn a_limit_that_a_fleet_shares_needs_a_store_and_something_that_adds_up() {
        assert_eq!(errors(STORE, r#""per": "day", "fleet": "strict""#), [""; 0]);
        assert_eq!(errors(STORE, r#""per": "task", "fleet": "eventual", "action": "warn""#), [""; 0]);
        let without = ["limits[0].fleet: there is no store that a fleet could share it in"];
        assert_eq!(errors("", r#""per": "day", "fleet": "eventual""#), without);
        for limit in [
            r#""fleet": "eventual""#,
            r#""measure": "concurrency", "fleet": "eventual""#,
            r#""measure": "repeats", "per": "task", "fleet": "strict""#,
            r#""per": "day", "refill": "steadily", "fleet": "eventual""#,
        ] {
            assert_eq!(errors(STORE, limit), ["limits[0].fleet: a fleet cannot share that"], "{limit}");
        }
        let refuses_nothing = ["limits[0].fleet: nothing is leased of a limit that refuses no call"];
        assert_eq!(errors(STORE, r#""per": "day", "fleet": "strict", "action": "warn""#), refuses_nothing);
    }

    #[test]
    fn a_store_needs_a_place_a_path_and_times_that_are_of_use() {
        let store = r#", "store": {"path": "x", "interval_ms": 1, "timeout_ms": 60000}"#;
        let expected = [
            "store.target: missing",
            "store.path: `x` is no path",
            "store.interval_ms: 1 ms is of no use",
            "store.timeout_ms: 60000 ms is of no use",
        ];
        assert_eq!(errors(store, r#""per": "day""#), expected);
    }
}
