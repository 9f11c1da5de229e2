//! The service for who may use the coordinator.

use std::sync::Arc;

use curvefleet_proto::v1::token_service_server::TokenService;
use curvefleet_proto::v1::{
    self, CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse,
};
use tonic::{Request, Response, Status};

use super::{Core, check, refuse};
use crate::access::Caller;
use crate::access::secret::{Secret, check_holder};
use crate::ledger::tokens::{ListTokens, MakeToken, RevokeToken, Role, Token};

/// [`TokenService`] over the ledger.
pub(crate) struct TokenApi {
    core: Arc<Core>,
}

impl TokenApi {
    pub fn new(core: Arc<Core>) -> TokenApi {
        TokenApi { core }
    }

    /// What was changed counts here at once, and elsewhere when the tokens are read again.
    async fn read_again(&self) {
        if let Err(error) = self.core.tokens.read().await {
            tracing::warn!(%error, "cannot read the tokens again at once");
        }
    }
}

#[tonic::async_trait]
impl TokenService for TokenApi {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        if !self.core.tokens.are_there() {
            return Err(Status::failed_precondition(
                "this coordinator has no tokens yet, so that whoever reaches it could make itself its master; the first token is \
                 made on the ledger itself, on the coordinator's machine: curvefleet token create --direct --role admin --name NAME",
            ));
        }
        let CreateTokenRequest { name, role, valid_ms } = request.into_inner();
        check_holder(&name).map_err(Status::invalid_argument)?;
        let role = v1::Role::try_from(role).ok().and_then(ledger_role);
        let role = role.ok_or_else(|| Status::invalid_argument("the request does not say what the token is for"))?;
        let secret =
            Secret::new().map_err(|error| Status::internal(format!("the system gives no random bytes: {error}")))?;
        let Secret { id, text, sha256 } = secret;
        let make = MakeToken { id, name, role, sha256, valid_ms, who: who.clone() };
        let token = self.core.ledger.ask(make).await.map_err(refuse::ledger)?;
        tracing::info!(id = token.id, name = token.name, role = role.as_str(), who, "made a token");
        self.read_again().await;
        Ok(Response::new(CreateTokenResponse { secret: text, token: Some(message(token)) }))
    }

    async fn list_tokens(&self, _: Request<ListTokensRequest>) -> Result<Response<ListTokensResponse>, Status> {
        let told = self.core.ledger.ask(ListTokens).await.map_err(refuse::ledger)?;
        Ok(Response::new(ListTokensResponse { tokens: told.tokens.into_iter().map(message).collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let who = Caller::of(&request)?.audit_name();
        let id = request.into_inner().id;
        check::name("the token's id", &id)?;
        let token = self.core.ledger.ask(RevokeToken { id, who: who.clone() }).await.map_err(refuse::ledger)?;
        tracing::info!(id = token.id, name = token.name, who, "revoked a token");
        self.read_again().await;
        Ok(Response::new(RevokeTokenResponse { token: Some(message(token)) }))
    }
}

fn ledger_role(role: v1::Role) -> Option<Role> {
    match role {
        v1::Role::Unspecified => None,
        v1::Role::Admin => Some(Role::Admin),
        v1::Role::Submit => Some(Role::Submit),
        v1::Role::Worker => Some(Role::Worker),
        v1::Role::Read => Some(Role::Read),
    }
}

fn message(token: Token) -> v1::Token {
    let role = match token.role {
        Role::Admin => v1::Role::Admin,
        Role::Submit => v1::Role::Submit,
        Role::Worker => v1::Role::Worker,
        Role::Read => v1::Role::Read,
    };
    v1::Token {
        id: token.id,
        name: token.name,
        role: role.into(),
        created_ms: token.created_ms,
        expires_ms: token.expires_ms,
        revoked_ms: token.revoked_ms,
    }
}
