//! Any bytes are the answer of a fleet's store, or none; what it says of an account is taken, and calls can be held against it.

use tollgate_core::config::raw::Debt;
use tollgate_core::fleet::{self, Said};
use tollgate_core::limit::{Account, Asked, Asking, Due, Fleet, Mode, Span, Terms, Wanted, Window, Zone};
use tollgate_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_040);

pub(crate) fn run(bytes: &[u8]) {
    for asked in [0, 1, 3] {
        let Some(Said { answers, .. }) = fleet::said(bytes, asked) else { continue };
        assert_eq!(answers.len(), asked);
        for answer in answers {
            let terms = Terms {
                window: Window::Fixed(Span::Day, Zone::default()),
                allowed: 100,
                burst: 100,
                cool_down_ms: 0,
                debt: Debt::Carry,
                thresholds: Vec::new(),
                fleet: Some(Fleet { mode: Mode::Strict, interval_ms: 1_000, stale_ms: 10_000 }),
            };
            let mut account = Account::default();
            let Some(Asked::Now(ask)) = account.ask(&terms, Some(100), Due::Waits(10), NOW) else { continue };
            account.take(&terms, &ask, &answer, NOW);
            let wanted = Wanted { amount: 10, least: None, deny_percent: Some(100), asking: Asking::Done };
            account.reserve(&terms, 1, wanted, NOW);
            account.settle(&terms, None, 10, NOW);
            let _ = account.ask(&terms, Some(100), Due::InUse, NOW);
        }
    }
}
