//! Who asks. The guard puts a [`Caller`] beside each request that it lets through.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::{Request, Status};

use super::rate::{Client, Rates};
use super::tokens::{Refusal, Tokens};
use crate::ledger::tokens::Token;

/// Who asks, and for how long they may.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(super) tokens: Arc<Tokens>,
    pub(super) rates: Arc<Rates>,
    pub(super) who: Who,
    pub(super) client: Client,
    pub(super) address: Option<SocketAddr>,
}

/// How the caller is known.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// By nothing: there are no tokens, or the route needs none.
    Anyone,
    /// By the token of this process.
    Own,
    /// By a token of the ledger.
    Holder(Box<Token>),
}

impl Caller {
    /// The caller of a request.
    ///
    /// # Errors
    /// If the request came by without passing the guard, which no request should.
    pub fn of<T>(request: &Request<T>) -> Result<Caller, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        caller.ok_or_else(|| Status::internal("the request did not pass the guard"))
    }

    /// For the audit and logs: the token's holder and id, and the address.
    pub fn audit_name(&self) -> String {
        let address = self.address.map_or_else(|| "unknown".to_string(), |address| address.to_string());
        match &self.who {
            Who::Anyone => address,
            Who::Own => "this process".to_string(),
            Who::Holder(token) => format!("{} (token {}, {address})", token.name, token.id),
        }
    }

    /// The name in the fleet of a worker that calls itself so. The holder's name comes before it, so that no worker can speak for
    /// one of another holder, whatever it calls itself.
    pub fn worker(&self, name: &str) -> String {
        match &self.who {
            Who::Holder(token) => format!("{}/{name}", token.name),
            Who::Anyone | Who::Own => name.to_string(),
        }
    }

    /// Asked for each message of a stream: whether the caller still may, and not too often.
    ///
    /// # Errors
    /// With the status that ends the stream.
    pub fn again(&self) -> Result<(), Status> {
        if let Who::Holder(token) = &self.who {
            self.tokens.still(&token.id).map_err(refused)?;
        }
        self.rates.spend(&self.client)
    }

    /// Waits until the caller may not any more; gives the status that says why.
    pub async fn ended(&self) -> Status {
        match &self.who {
            Who::Holder(token) => refused(self.tokens.ended(&token.id).await),
            Who::Anyone => {
                self.tokens.first().await;
                no_token()
            }
            Who::Own => std::future::pending().await,
        }
    }
}

/// The status for a token that opens nothing.
pub(super) fn refused(refusal: Refusal) -> Status {
    Status::unauthenticated(refusal.sentence())
}

/// The status for a request without a token.
pub(super) fn no_token() -> Status {
    Status::unauthenticated(
        "this coordinator asks for a token and was shown none: name its file with --token-file, or set CURVEFLEET_TOKEN (who runs \
         the coordinator makes one with `curvefleet token create`)",
    )
}
