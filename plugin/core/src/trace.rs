//! Where a call stands in a distributed trace: W3C `traceparent`.
//!
//! Source: W3C Trace Context, "traceparent header".
//! Must not know: who exports spans, random numbers (new ids are arguments).

/// The span of a call, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The caller's span; `None` where the call begins a trace.
    pub parent_span_id: Option<String>,
}

impl SpanContext {
    /// The span of a call under the caller's one, if the request names it; else of a new trace. `random` becomes its
    /// ids; all zeros would be no id.
    #[must_use]
    pub fn new(traceparent: Option<&str>, random: [u64; 3]) -> Self {
        let [high, low, span] = random;
        let span_id = format!("{:016x}", span.max(1));
        match traceparent.and_then(parse) {
            Some((trace, parent)) => {
                Self { trace_id: trace.to_owned(), span_id, parent_span_id: Some(parent.to_owned()) }
            }
            None => Self { trace_id: format!("{high:016x}{:016x}", low.max(1)), span_id, parent_span_id: None },
        }
    }
}

/// The trace that a `traceparent` names; `None` where it is not valid.
#[must_use]
pub(crate) fn trace_id(header: &str) -> Option<&str> {
    parse(header).map(|(trace, _)| trace)
}

/// Trace and parent of a `traceparent`; `None` where it is not valid. Later versions may add fields.
fn parse(header: &str) -> Option<(&str, &str)> {
    let mut fields = header.trim().split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || fields.next().is_none());
    let is_valid = is_version && is_hex(trace, 32) && is_set(trace) && is_hex(parent, 16) && is_set(parent);
    (is_valid && is_hex(flags, 2)).then_some((trace, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_call_is_a_child_of_the_span_that_its_request_names() {
        let span = SpanContext::new(Some(&format!("00-{TRACE}-00f067aa0ba902b7-01")), [1, 2, 0xAB]);
        assert_eq!((span.trace_id.as_str(), span.span_id.as_str()), (TRACE, "00000000000000ab"));
        assert_eq!(span.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
        assert!(
            SpanContext::new(Some(&format!("cc-{TRACE}-00f067aa0ba902b7-01-more")), [1; 3]).parent_span_id.is_some()
        );
    }

    #[test]
    fn a_call_that_names_no_valid_span_begins_a_trace() {
        for header in [
            None,
            Some(String::new()),
            Some(format!("ff-{TRACE}-00f067aa0ba902b7-01")),
            Some(format!("00-{TRACE}-00f067aa0ba902b7-01-more")),
            Some(format!("00-{TRACE}-0000000000000000-01")),
            Some(format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))),
            Some(format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase())),
            Some(format!("00-{TRACE}-00f067aa0ba902b7")),
        ] {
            let span = SpanContext::new(header.as_deref(), [0, 0, 0]);
            assert_eq!(
                (span.parent_span_id.as_deref(), span.trace_id.len(), span.span_id.len()),
                (None, 32, 16),
                "{header:?}"
            );
            assert!(span.trace_id.ends_with('1') && span.span_id.ends_with('1'), "no id is all zeros");
        }
    }
}
