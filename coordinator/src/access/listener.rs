//! Connections: accepted up to their limits, with the handshake of TLS where there is TLS. A peer that speaks no TLS to a coordinator
//! that does is let in, so that it can be told; the guard refuses all that it asks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use curvefleet_proto::limits::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// How long a peer may take for the handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, such as for want of file descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What is known of a connection; stands beside each of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its other end.
    pub address: SocketAddr,
    /// Whether it speaks no TLS, although the coordinator does.
    pub is_misspoken: bool,
}

/// A connection.
pub(crate) struct Connection {
    io: Io,
    peer: Peer,
    _place: Place,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How many connections there are of each address. An address without any is not kept.
#[derive(Default)]
struct Places(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

struct Incoming {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    places: Arc<Places>,
    handshakes: JoinSet<Option<Connection>>,
}

/// The connections that come in. Dropped, it listens no more.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let incoming = Incoming { listener, tls, places: Arc::default(), handshakes: JoinSet::new() };
    futures::stream::unfold(incoming, |mut incoming| async move {
        let connection = incoming.next().await;
        Some((Ok(connection), incoming))
    })
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => self.welcome(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    }
                },
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, address: SocketAddr) {
        let Some(place) = Places::take(&self.places, address.ip()) else {
            tracing::warn!(
                %address,
                "closed a connection: an address may have {MAX_CONNECTIONS_PER_ADDRESS}, and all together {MAX_CONNECTIONS}"
            );
            return;
        };
        let tls = self.tls.clone();
        self.handshakes.spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, handshake(stream, tls)).await;
            match shaken {
                Ok(Ok((io, is_misspoken))) => {
                    Some(Connection { io, peer: Peer { address, is_misspoken }, _place: place })
                }
                Ok(Err(error)) => {
                    tracing::debug!(%address, %error, "a connection did not come about");
                    None
                }
                Err(_) => {
                    tracing::debug!(%address, "a connection did not come about in time");
                    None
                }
            }
        });
    }
}

async fn handshake(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<(Io, bool)> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok((Io::Plain(stream), false)) };
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != TLS_HANDSHAKE {
        return Ok((Io::Plain(stream), true));
    }
    Ok((Io::Tls(Box::new(tls.accept(stream).await?)), false))
}

impl Places {
    fn take(places: &Arc<Places>, address: IpAddr) -> Option<Place> {
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.get(&address).copied().unwrap_or(0);
        if of_address >= MAX_CONNECTIONS_PER_ADDRESS || taken.values().sum::<usize>() >= MAX_CONNECTIONS {
            return None;
        }
        taken.insert(address, of_address + 1);
        Some(Place { places: places.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let places = Arc::new(Places::default());
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut taken: Vec<Place> =
            (0..MAX_CONNECTIONS_PER_ADDRESS).map(|_| Places::take(&places, one).unwrap()).collect();
        assert!(Places::take(&places, one).is_none());
        assert!(Places::take(&places, other).is_some());
        taken.pop();
        assert!(Places::take(&places, one).is_some());
        taken.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }
}
