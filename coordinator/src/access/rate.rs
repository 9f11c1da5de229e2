//! Requests per second and open requests of each client. A client is a token at an address, or an address where there is no token.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use curvefleet_proto::limits::{MAX_OPEN_REQUESTS_PER_CLIENT, MAX_WRONG_TOKENS_PER_SECOND};
use tokio::time::Instant;
use tonic::Status;

/// How long a client may save up: so many seconds of requests may come at once.
const BURST: Duration = Duration::from_secs(2);
/// Clients remembered before those that have been quiet are forgotten.
const CLIENTS_KEPT: usize = 4_096;

/// Who shares a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// The token's id; empty where there is none.
    pub token: String,
    /// The address, or the network of one subscriber.
    address: Option<IpAddr>,
}

impl Client {
    pub fn new(token: &str, address: Option<IpAddr>) -> Client {
        Client { token: token.to_string(), address: address.map(subscriber) }
    }
}

/// An IPv6 subscriber has 2^64 addresses, and is one client all the same.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// The limits and what is used of them.
pub(crate) struct Rates {
    /// Time that each request costs, and each wrong token.
    request: Duration,
    wrong_token: Duration,
    per_second: u32,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    clients: HashMap<Client, Use>,
    /// By address: until when its wrong tokens reach.
    wrong: HashMap<Client, Instant>,
}

struct Use {
    /// The requests so far reach to this moment at the allowed rate; one is refused if that lies more than [`BURST`] ahead.
    until: Instant,
    open: usize,
}

/// An open request; counts as one until it is dropped.
pub(crate) struct Open {
    rates: Arc<Rates>,
    client: Client,
}

impl Rates {
    pub fn new(per_second: u32) -> Rates {
        Rates {
            request: Duration::from_secs(1) / per_second.max(1),
            wrong_token: Duration::from_secs(1) / MAX_WRONG_TOKENS_PER_SECOND,
            per_second,
            used: Mutex::default(),
        }
    }

    /// Counts a request.
    pub fn spend(&self, client: &Client) -> Result<(), Status> {
        self.spend_at(Instant::now(), client)
    }

    fn spend_at(&self, now: Instant, client: &Client) -> Result<(), Status> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        spend(self.request, now, &mut used.client(client, now).until).map_err(|_| self.too_many())
    }

    /// Counts a request that stays open for as long as what is returned.
    pub fn open(self: &Arc<Self>, client: &Client) -> Result<Open, Status> {
        let now = Instant::now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let client_use = used.client(client, now);
        if client_use.open >= MAX_OPEN_REQUESTS_PER_CLIENT {
            return Err(Status::resource_exhausted(format!(
                "this client has {MAX_OPEN_REQUESTS_PER_CLIENT} requests and streams open, and no more are taken; close some"
            )));
        }
        spend(self.request, now, &mut client_use.until).map_err(|_| self.too_many())?;
        client_use.open += 1;
        Ok(Open { rates: self.clone(), client: client.clone() })
    }

    /// Counts a wrong token; refuses an address that has shown too many of them.
    pub fn wrong_token(&self, address: Option<IpAddr>) -> Result<(), Status> {
        let now = Instant::now();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.wrong.len() >= CLIENTS_KEPT {
            used.wrong.retain(|_, until| *until > now);
        }
        let until = used.wrong.entry(Client::new("", address)).or_insert(now);
        spend(self.wrong_token, now, until).map_err(|_| {
            Status::resource_exhausted(format!(
                "this address has shown more than {MAX_WRONG_TOKENS_PER_SECOND} wrong tokens per second; ask again later, with a \
                 right one"
            ))
        })
    }

    fn too_many(&self) -> Status {
        Status::resource_exhausted(format!(
            "this client asks more often than {} times per second, which is what the coordinator allows; ask again in a moment \
             (--requests-per-second changes it)",
            self.per_second
        ))
    }
}

fn spend(cost: Duration, now: Instant, until: &mut Instant) -> Result<(), ()> {
    let next = (*until).max(now) + cost;
    if next - now > BURST.max(cost) {
        return Err(());
    }
    *until = next;
    Ok(())
}

impl Used {
    fn client(&mut self, client: &Client, now: Instant) -> &mut Use {
        if self.clients.len() >= CLIENTS_KEPT && !self.clients.contains_key(client) {
            self.clients.retain(|_, used| used.open > 0 || used.until > now);
        }
        self.clients.entry(client.clone()).or_insert(Use { until: now, open: 0 })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut used = self.rates.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = used.clients.get_mut(&self.client) {
            client.open = client.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::new("", Some(address.parse().unwrap()))
    }

    #[test]
    fn two_seconds_of_requests_may_come_at_once_and_then_one_by_one() {
        let (rates, now) = (Rates::new(10), Instant::now());
        let taken = (0..100).filter(|_| rates.spend_at(now, &client("10.0.0.1")).is_ok()).count();
        assert_eq!(taken, 20);
        assert!(rates.spend_at(now, &client("10.0.0.2")).is_ok(), "another client is not held up");
        let refusal = rates.spend_at(now, &client("10.0.0.1")).unwrap_err();
        assert!(refusal.message().contains("10 times per second"), "{refusal}");
        let later = now + Duration::from_millis(100);
        assert!(rates.spend_at(later, &client("10.0.0.1")).is_ok());
        assert!(rates.spend_at(later, &client("10.0.0.1")).is_err());
    }

    #[test]
    fn an_address_with_wrong_tokens_is_refused_for_a_while() {
        let rates = Rates::new(10);
        let address = Some("10.0.0.1".parse().unwrap());
        let taken = (0..100).filter(|_| rates.wrong_token(address).is_ok()).count();
        assert!((20..40).contains(&taken), "{taken}");
        assert!(rates.wrong_token(Some("10.0.0.2".parse().unwrap())).is_ok());
    }

    #[test]
    fn open_requests_are_counted_and_forgotten() {
        let rates = Arc::new(Rates::new(u32::MAX));
        let one = client("10.0.0.1");
        let mut open: Vec<Open> = (0..MAX_OPEN_REQUESTS_PER_CLIENT).map(|_| rates.open(&one).unwrap()).collect();
        assert_eq!(rates.open(&one).err().unwrap().code(), tonic::Code::ResourceExhausted);
        open.pop();
        assert!(rates.open(&one).is_ok());
    }

    #[test]
    fn quiet_clients_are_forgotten_and_busy_ones_are_not() {
        let (rates, began) = (Arc::new(Rates::new(1_000)), Instant::now());
        let busy = rates.open(&client("10.0.0.1")).unwrap();
        for number in 0..2 * CLIENTS_KEPT as u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(number + (20 << 24)));
            let now = began + Duration::from_millis(1) * number;
            rates.spend_at(now, &Client::new("", Some(address))).unwrap();
        }
        let used = rates.used.lock().unwrap();
        assert!(used.clients.len() <= CLIENTS_KEPT, "{}", used.clients.len());
        assert_eq!(used.clients[&client("10.0.0.1")].open, 1);
        drop(used);
        drop(busy);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
    }
}
