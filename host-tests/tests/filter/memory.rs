//! Memory does not grow with the length of an answer or the number of calls.

use tollgate_host::gateway::Profile;
use tollgate_host::standin::Dialect;

use super::support::{ask, event, gateway, one, pass};

/// Pages of 64 KiB in a mebibyte.
const MEBIBYTE: u64 = 16;

#[test]
fn a_stream_of_twenty_megabytes_grows_memory_by_less_than_one() {
    for profile in Profile::ALL {
        for dialect in Dialect::ALL {
            let exchange = one(dialect, true);
            let gateway = gateway(profile, "{}");
            assert_eq!(pass(&gateway, exchange, 1000).status(), 200);
            let before = gateway.worker(0).memory_pages();
            let stream = ask(&gateway, exchange);
            stream.respond(exchange.response_head());
            // Everything but the end, over and over: text that no usage figure of the provider covers.
            let events: Vec<&[u8]> = exchange.response.split_inclusive(|byte| *byte == b'\n').collect();
            let beginning = events[..events.len() / 2].concat();
            let piece = beginning.repeat((64 << 10) / beginning.len());
            let mut sent = 0;
            while sent < 20_000_000 {
                stream.response_body(&piece, false);
                sent += piece.len();
            }
            stream.response_body(&exchange.response, true);
            let outcome = stream.finish();
            assert_eq!(outcome.trap, None, "{profile:?} {dialect:?}");
            assert_eq!(event(profile, &outcome)["outcome"], "complete", "{profile:?} {dialect:?}");
            let grown = gateway.worker(0).memory_pages() - before;
            assert!(grown < MEBIBYTE, "{profile:?} {dialect:?}: {grown} pages");
        }
    }
}

#[test]
fn a_thousand_calls_hold_no_more_memory_than_ten() {
    let exchange = one(Dialect::Anthropic, true);
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        (0..10).for_each(|_| drop(pass(&gateway, exchange, 1000)));
        let before = gateway.worker(0).memory_pages();
        (0..1000).for_each(|_| drop(pass(&gateway, exchange, 1000)));
        assert_eq!(gateway.worker(0).memory_pages(), before, "{profile:?}");
    }
}
