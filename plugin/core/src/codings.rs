//! The content codings of a call's bodies: which are asked for, and what a body is without them.
//!
//! A compressed request is decoded before it is judged, so no limit is escaped by compressing; a compressed answer is
//! decoded as it streams by. What passes through the gateway stays as it is.
//! Must not know: how a coding is undone, what the bodies mean.

use crate::call::{Body, Call, Unmetered};
use crate::config::raw::AcceptEncoding;
use crate::frame::inflate::{Codings, Ending, Fault, Inflate, accept};
use crate::head::{Headers, Upgrade};
use crate::meter::Meter;
use std::borrow::Cow;

impl Meter {
    /// What to ask the provider for in the place of the client's `accept-encoding`; `None` where that may stay. Who
    /// asked for no coding at all asks for none here either.
    #[must_use]
    pub fn accept_encoding(&self, headers: &Headers<'_>, may_withhold: bool) -> Option<String> {
        let asked = || headers.all("accept-encoding");
        match (self.config.accept_encoding, may_withhold) {
            (AcceptEncoding::Keep, _) => None,
            // Nothing can be taken out of a compressed answer.
            (AcceptEncoding::Identity, _) | (AcceptEncoding::Narrow, true) => {
                asked().any(|value| value != "identity").then(|| "identity".to_owned())
            }
            (AcceptEncoding::Narrow, false) => accept::narrowed(asked()),
        }
    }
}

impl Call {
    /// The request's body is compressed, or in a coding that is not known.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        !self.codings.as_ref().is_ok_and(Codings::is_identity)
    }

    /// The bytes of the request's body, its codings undone; `most` bytes of them.
    pub(crate) fn decoded<'a>(&self, body: Body<'a>, most: usize) -> Result<Cow<'a, [u8]>, (Unmetered, String)> {
        match body {
            Body::Whole(bytes) => self.undone(bytes, most),
            Body::Reduced(reduced) => Ok(Cow::Borrowed(reduced.json())),
            Body::TooLarge(size) => {
                let message = format!("the request body of {size} bytes is larger than the configured maximum");
                Err((Unmetered::RequestTooLarge, message))
            }
            Body::Unreadable(size) => {
                let message = format!("the gateway does not hand over the request body of {size} bytes");
                Err((Unmetered::RequestUnreadable, message))
            }
            Body::Upgraded(upgrade) => {
                let reason = match upgrade {
                    Upgrade::WebSocket => Unmetered::WebSocket,
                    Upgrade::Other => Unmetered::Upgrade,
                };
                Err((reason, "the connection goes on in another protocol".to_owned()))
            }
        }
    }

    fn undone<'a>(&self, bytes: &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, (Unmetered, String)> {
        let codings = match &self.codings {
            Ok(codings) if codings.is_identity() => return Ok(Cow::Borrowed(bytes)),
            Ok(codings) => codings,
            Err(unknown) => return Err((Unmetered::RequestEncoded, unknown.to_string())),
        };
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        Inflate::whole(codings, bytes, most).map(Cow::Owned).map_err(|fault| match fault {
            Fault::Limit => (Unmetered::RequestTooLarge, "the request body decodes to more than is read".to_owned()),
            Fault::Garbled => {
                (Unmetered::RequestEncoded, "the request body is not what its content-encoding says".to_owned())
            }
        })
    }

    /// The response ends, or is taken as it is. Once it has ended, it stays so.
    pub(crate) fn end_response(&mut self) {
        if std::mem::replace(&mut self.is_read, true) {
            return;
        }
        let Some(reader) = &mut self.reader else { return };
        let ending = self.inflate.end(&mut |bytes| reader.feed(bytes));
        self.wellformedness = reader.end();
        self.usage = reader.usage();
        match ending {
            Ending::Whole => {}
            Ending::Faulty(Fault::Limit) => _ = self.unmetered.get_or_insert(Unmetered::ResponseEncodingLimit),
            Ending::Faulty(Fault::Garbled) if !self.inflate.has_given() => {
                self.unmetered.get_or_insert(Unmetered::ResponseEncoded);
            }
            // A document that is whole is so whatever is missing behind it.
            Ending::Faulty(Fault::Garbled) | Ending::Truncated => {
                self.wellformedness.truncated |= self.wellformedness.documents == 0;
            }
        }
    }
}
