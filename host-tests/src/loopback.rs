//! A small HTTP/1.1 server on a free loopback port: whole requests in, scripted [`Reply`]s out.
//!
//! A reply is data (chunks, pauses, how it ends), so handlers are plain functions and every timing or failure a test needs is a
//! value. Invariants: only 127.0.0.1; dropping the [`Server`] stops its thread and closes its connections.
//! Must not know: LLM dialects, OTLP, gateways.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

/// A request, its body read to the end.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Request {
    /// The value of a header, when present and text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// What became of it.
    pub delivered: Arc<Delivery>,
}

/// How far a reply came.
#[derive(Debug, Default)]
pub struct Delivery {
    /// The client has been sent everything.
    pub whole: AtomicBool,
    /// A write failed: the client has gone away.
    pub broken: AtomicBool,
}

/// The body of a [`Reply`].
#[derive(Clone, Debug)]
pub enum Body {
    /// At once, with `content-length`.
    Whole(Vec<u8>),
    /// Piece by piece, chunked, `pace` apart.
    Pieces {
        /// What to send, in order.
        pieces: Vec<Vec<u8>>,
        /// The pause before each piece but the first.
        pace: Duration,
        /// How it ends.
        ending: Ending,
    },
}

/// How a body that is sent in pieces ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As HTTP wants it.
    Clean,
    /// The connection is cut in the middle of the body.
    Cut,
    /// Never: the piece is repeated until the client goes away (or a minute has passed).
    Repeat(Vec<u8>),
}

impl Reply {
    /// A JSON (or other) body sent at once.
    #[must_use]
    pub fn whole(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Body::Whole(body.into()),
            delivered: Arc::default(),
        }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on a free loopback port that answers every request with `handler`.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn start(handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_on(0, handler)
    }

    /// The same on a given port, where one stopped before.
    ///
    /// # Errors
    /// When the port cannot be bound or no thread started.
    pub fn start_on(port: u16, handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handler = Arc::new(handler);
        let thread = std::thread::Builder::new().name(format!("loopback-{}", address.port())).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(listener, handler) => {}
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops every connection task with it.
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only when the thread has already ended.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Outgoing = BoxBody<Bytes, io::Error>;

async fn accept<H: Fn(Request) -> Reply + Send + Sync + 'static>(listener: TcpListener, handler: Arc<H>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| respond(request, Arc::clone(&handler)));
            // An error here is a client that went away, or a body that was cut on purpose.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond<H: Fn(Request) -> Reply>(
    request: hyper::Request<Incoming>,
    handler: Arc<H>,
) -> Result<hyper::Response<Outgoing>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off is no request: whatever arrived is not worth an answer that anyone will read.
    let Ok(body) = body.collect().await else {
        return Ok(response(&Reply::whole(400, "text/plain", "the request body broke off")));
    };
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    Ok(response(&handler(request)))
}

fn response(reply: &Reply) -> hyper::Response<Outgoing> {
    let body = match &reply.body {
        Body::Whole(bytes) => {
            reply.delivered.whole.store(true, Ordering::Release);
            Full::new(Bytes::from(bytes.clone())).map_err(|never| match never {}).boxed()
        }
        Body::Pieces { pieces, pace, ending } => {
            let (sender, channel) = Channel::<Bytes, io::Error>::new(1);
            tokio::spawn(send(sender, pieces.clone(), *pace, ending.clone(), Arc::clone(&reply.delivered)));
            channel.boxed()
        }
    };
    let mut response = hyper::Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(reply.status).unwrap_or(hyper::StatusCode::IM_A_TEAPOT);
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn send(
    mut sender: Sender<Bytes, io::Error>,
    pieces: Vec<Vec<u8>>,
    pace: Duration,
    ending: Ending,
    delivered: Arc<Delivery>,
) {
    for (index, piece) in pieces.into_iter().enumerate() {
        if index > 0 && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        if sender.send_data(Bytes::from(piece)).await.is_err() {
            return delivered.broken.store(true, Ordering::Release);
        }
    }
    match ending {
        Ending::Clean => delivered.whole.store(true, Ordering::Release),
        Ending::Cut => {
            // Let what was sent reach the client before the connection is cut.
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.abort(io::Error::other("cut on purpose"));
        }
        Ending::Repeat(piece) => {
            let pace = pace.max(Duration::from_millis(5));
            let most = Duration::from_secs(60).as_millis() / pace.as_millis().max(1);
            for _ in 0..most {
                tokio::time::sleep(pace).await;
                if sender.send_data(Bytes::from(piece.clone())).await.is_err() {
                    return delivered.broken.store(true, Ordering::Release);
                }
            }
        }
    }
}
