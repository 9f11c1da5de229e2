//! Who may ask what. Every request passes the `guard` before it reaches a service: it knows the route, the token and the address, and
//! lets it through, with the `Caller` beside it, or refuses it with a sentence.
//!
//! - `routes`: **the one table** of what each route needs
//! - `secret`: a token's text: making one, reading one, comparing in constant time
//! - `tokens`: the ledger's tokens, at hand
//! - `caller`: who asks, for services, streams and the audit
//! - `rate`: requests per second and open requests of each client
//! - `guard`: the layer before the services
//! - `listener`: connections, with TLS or without, and how many
//! - `tls`: the coordinator's certificate and key

pub(crate) mod caller;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod rate;
pub mod routes;
pub mod secret;
pub mod tls;
pub(crate) mod tokens;

pub(crate) use caller::Caller;
pub(crate) use guard::GuardLayer;
pub(crate) use tokens::Tokens;
