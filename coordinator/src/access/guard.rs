//! The layer before the services: who does not pass here reaches none of them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::caller::{Caller, Who, no_token, refused};
use super::listener::Peer;
use super::rate::{Client, Open, Rates};
use super::routes::{Needs, Route, route};
use super::secret::{Secret, Shown};
use super::tokens::{Refusal, Tokens};

/// Bytes before each message of gRPC: a flag and the message's length.
const FRAME_HEAD_BYTES: usize = 5;

/// What the layer knows.
pub(crate) struct Guard {
    pub tokens: Arc<Tokens>,
    pub rates: Arc<Rates>,
    /// The one token that is taken, where the coordinator serves its own process alone.
    pub own: Option<Secret>,
}

/// Puts a guard before services.
#[derive(Clone)]
pub(crate) struct GuardLayer(pub Arc<Guard>);

/// Services with a guard before them.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    guard: Arc<Guard>,
    inner: S,
}

impl Guard {
    /// Lets a request pass, or refuses it.
    async fn admit(&self, path: &str, headers: &HeaderMap, peer: Option<Peer>) -> Result<Admitted, Status> {
        if peer.is_some_and(|peer| peer.is_misspoken) {
            return Err(Status::failed_precondition("this coordinator speaks TLS: its URL begins with https://"));
        }
        let address = peer.map(|peer| peer.address);
        let route = route(path);
        let who = match route {
            Some(Route { needs: Needs::Nothing, .. }) => Who::Anyone,
            _ => self.know(headers, peer).await?,
        };
        let token = if let Who::Holder(token) = &who { token.id.as_str() } else { "" };
        let client = Client::new(token, peer.map(|peer| peer.address.ip()));
        let open = self.rates.open(&client)?;
        // After the token was looked at, so that strangers do not learn which routes there are.
        let route = route.ok_or_else(|| Status::unimplemented(format!("this coordinator has no `{}`", shown(path))))?;
        if let Who::Holder(token) = &who
            && !route.needs.are_met_by(token.role)
        {
            return Err(Status::permission_denied(format!(
                "the token {} of `{}` is for `{}`; {} needs one for {}",
                token.id,
                token.name,
                token.role.as_str(),
                path.rsplit('/').next().unwrap_or_default(),
                route.needs.words()
            )));
        }
        let caller = Caller { tokens: self.tokens.clone(), rates: self.rates.clone(), who, client, address };
        Ok(Admitted { caller, open, route })
    }

    async fn know(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Who, Status> {
        let header = headers.get(http::header::AUTHORIZATION);
        if self.own.is_none() && !self.tokens.are_there() {
            // Who shows a token may have the first one.
            if header.is_some() {
                self.tokens.read_for_unknown().await;
            }
            if !self.tokens.are_there() {
                return Ok(Who::Anyone);
            }
        }
        let Some(header) = header else { return Err(no_token()) };
        let shown = header.to_str().ok().and_then(token_of).and_then(Shown::parse);
        let found = match (&self.own, &shown) {
            (_, None) => Err(Refusal::Unknown),
            (Some(own), Some(shown)) if shown.is(&own.sha256) => return Ok(Who::Own),
            (Some(_), Some(_)) => Err(Refusal::Unknown),
            (None, Some(shown)) => self.tokens.find(shown).await,
        };
        found.map(|token| Who::Holder(Box::new(token))).map_err(|refusal| {
            let address = peer.map(|peer| peer.address);
            if let Err(status) = self.rates.wrong_token(address.map(|address| address.ip())) {
                return status;
            }
            tracing::info!(?address, reason = refusal.sentence(), "refused a request");
            refused(refusal)
        })
    }
}

struct Admitted {
    caller: Caller,
    open: Open,
    route: &'static Route,
}

/// The token in a header's value.
fn token_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A path as far as it is shown to its sender.
fn shown(path: &str) -> &str {
    curvefleet_proto::limits::prefix(path, curvefleet_proto::limits::MAX_NAME_BYTES)
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.0.clone(), inner }
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that is ready goes along, and a fresh one stays.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let guard = self.guard.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().copied();
            let Admitted { caller, open, route } =
                match guard.admit(request.uri().path(), request.headers(), peer).await {
                    Ok(admitted) => admitted,
                    Err(status) => return Ok(status.into_http()),
                };
            request.extensions_mut().insert(caller.clone());
            let request = request.map(|body| Body::new(Bounded::new(body, route.max_message_bytes)));
            let response = inner.call(request).await?;
            let ended = Box::pin(async move { caller.ended().await });
            Ok(response.map(|body| Body::new(Watched { inner: body, ended: Some(ended), _open: open })))
        })
    }
}

/// A request's body whose messages are no longer than its route takes: the length that stands before a message is looked at before
/// memory is found for it.
struct Bounded {
    inner: Body,
    max_bytes: u32,
    head: [u8; FRAME_HEAD_BYTES],
    head_bytes: usize,
    /// Bytes of the message at hand that have not come yet.
    left: usize,
}

impl Bounded {
    fn new(inner: Body, max_bytes: u32) -> Bounded {
        Bounded { inner, max_bytes, head: [0; FRAME_HEAD_BYTES], head_bytes: 0, left: 0 }
    }

    fn look(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let taken = (FRAME_HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == FRAME_HEAD_BYTES {
                let [_, length @ ..] = self.head;
                let length = u32::from_be_bytes(length);
                if length > self.max_bytes {
                    let max_bytes = self.max_bytes;
                    return Err(Status::out_of_range(format!(
                        "the message has {length} bytes; at most {max_bytes} are taken here"
                    )));
                }
                (self.head_bytes, self.left) = (0, length as usize);
            }
        }
        Ok(())
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
            && let Err(status) = self.look(bytes)
        {
            return Poll::Ready(Some(Err(status)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

/// What becomes known when a caller may not any more.
type Ended = Pin<Box<dyn Future<Output = Status> + Send>>;

/// A response's body that ends, with the reason, when its caller's token does. While it lasts, the request counts as open.
struct Watched {
    inner: Body,
    /// `None` once it has ended.
    ended: Option<Ended>,
    _open: Open,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let watched = &mut *self;
        let Some(ended) = &mut watched.ended else { return Poll::Ready(None) };
        // The answer first: one that is there is given.
        match Pin::new(&mut watched.inner).poll_frame(context) {
            Poll::Pending => {}
            ready => return ready,
        }
        let status = std::task::ready!(ended.as_mut().poll(context));
        self.ended = None;
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        if let Err(status) = status.add_header(&mut trailers) {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(length: u32, sent: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(std::iter::repeat_n(7, sent));
        bytes
    }

    /// However the bytes are cut, the lengths are found; and a length that is too large before any byte of its message has come.
    #[test]
    fn lengths_are_found_in_any_pieces() {
        let mut bytes = message(3, 3);
        bytes.extend(message(0, 0));
        bytes.extend(message(10, 10));
        let good = bytes.len();
        bytes.extend(message(11, 0));
        for piece in 1..=bytes.len() {
            let mut bounded = Bounded::new(Body::empty(), 10);
            let mut passed = 0;
            let refused = bytes.chunks(piece).find_map(|piece| {
                passed += piece.len();
                bounded.look(piece).err()
            });
            assert!(refused.unwrap().message().contains("11 bytes; at most 10"), "pieces of {piece}");
            assert!(passed > good, "pieces of {piece}");
        }
        assert!(Bounded::new(Body::empty(), 10).look(&bytes[..good]).is_ok());
    }

    #[test]
    fn tokens_are_found_in_headers() {
        assert_eq!(token_of("Bearer cfl_1_2"), Some("cfl_1_2"));
        assert_eq!(token_of("bearer  cfl_1_2 "), Some("cfl_1_2"));
        for wrong in ["cfl_1_2", "Basic cfl_1_2", "", "Bearer"] {
            assert_eq!(token_of(wrong), None, "{wrong}");
        }
    }
}
