//! `curvefleet token`: who may use a coordinator.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use curvefleet_coordinator::access::secret::Secret;
use curvefleet_coordinator::ledger::direct::DirectLedger;
use curvefleet_coordinator::ledger::postgres::DatabaseUrl;
use curvefleet_coordinator::ledger::tokens::{self, ListTokens, MakeToken, RevokeToken};
use curvefleet_coordinator::options::{STORE, ledger_file};
use curvefleet_proto::v1::{self, CreateTokenRequest, ListTokensRequest, RevokeTokenRequest};

use super::gc::parse_grace;
use super::{now_ms, print_json};
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{print_table, time};
use crate::output::say;

/// Make, list and revoke tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it; it is shown this once
    Create(Create),
    /// List the tokens, without their secrets
    List(List),
    /// End a token for good
    Revoke(Revoke),
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// All that people do, and tokens
    Admin,
    /// Submit, cancel, retry, pause; and look
    Submit,
    /// What workers do, and nothing else
    Worker,
    /// Look, and nothing else
    Read,
}

/// How long a token is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity(Option<Duration>);

/// Whom to ask: a coordinator, or the ledger itself.
#[derive(Debug, Args)]
struct Where {
    #[command(flatten)]
    coordinator: Coordinator,
    /// Work on the ledger itself, on the coordinator's machine and as its user, instead of asking a coordinator with a token for
    /// admin: so the first token is made; a coordinator may be at work meanwhile
    #[arg(long)]
    direct: bool,
    /// With --direct: the store that the coordinator was given
    #[arg(long, env = "CURVEFLEET_STORE", default_value = STORE, value_name = "URL")]
    store: String,
    /// With --direct: the ledger that the coordinator was given [default: ledger.sqlite in the store's folder, or
    /// ./curvefleet-ledger.sqlite where the store is no folder]
    #[arg(long, env = "CURVEFLEET_LEDGER", value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// With --direct: the ledger's PostgreSQL database, in place of a file
    #[arg(long, env = "CURVEFLEET_DATABASE", hide_env_values = true, value_name = "URL", conflicts_with = "ledger")]
    database: Option<DatabaseUrl>,
}

/// Make a token.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for
    #[arg(long)]
    role: Role,
    /// Who holds it: a person, a machine or a group of workers, which then have names that begin with this [default: the role]
    #[arg(long, value_name = "HOLDER")]
    name: Option<String>,
    /// How long it is valid, such as 12h or 30d; or never
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_validity)]
    expires: Validity,
    /// Write it into this new file, which only you may read, instead of showing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
}

/// List the tokens.
#[derive(Debug, Args)]
pub struct List {
    /// Print the tokens for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// End a token.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The token's id, as `curvefleet token list` shows it
    id: String,
    #[command(flatten)]
    place: Where,
}

impl Token {
    /// Does it.
    ///
    /// # Errors
    /// If the coordinator or the ledger refuses, or the file cannot be written.
    pub async fn execute(self) -> Result<(), Failure> {
        match self {
            Token::Create(create) => create.execute().await,
            Token::List(list) => list.execute().await,
            Token::Revoke(revoke) => revoke.execute().await,
        }
    }
}

impl Create {
    async fn execute(self) -> Result<(), Failure> {
        // Before anything is made, so that no token is lost for want of a file.
        let mut file = self.out.as_deref().map(new_secret_file).transpose()?;
        let made = self.make().await;
        let (text, token) = match made {
            Ok(made) => made,
            Err(failure) => {
                if let Some(path) = &self.out {
                    // It is empty, and was made here.
                    drop(std::fs::remove_file(path));
                }
                return Err(failure);
            }
        };
        let until =
            if token.expires_ms == 0 { "for ever".to_string() } else { format!("until {}", time(token.expires_ms)) };
        eprintln!("made the token {} of {} for {}, valid {until}", token.id, token.name, word(token.role));
        match (&mut file, &self.out) {
            (Some(file), Some(path)) => {
                let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
                written.map_err(|error| Failure::other(format!("{} cannot be written: {error}", path.display())))?;
                eprintln!("it is in {}", path.display());
            }
            _ => say!("{text}"),
        }
        Ok(())
    }

    async fn make(&self) -> Result<(String, v1::Token), Failure> {
        let name = self.name.clone().unwrap_or_else(|| self.role.ledger().as_str().to_string());
        let valid_ms = self.expires.0.map_or(0, |valid| u64::try_from(valid.as_millis()).unwrap_or(u64::MAX));
        if !self.place.direct {
            let mut client = self.place.coordinator.connect_tokens().await?;
            let request = CreateTokenRequest { name, role: self.role.message().into(), valid_ms };
            let made = client.create_token(request).await?.into_inner();
            let token = made.token.ok_or_else(|| Failure::other("the coordinator answered without a token"))?;
            return Ok((made.secret, token));
        }
        curvefleet_coordinator::access::secret::check_holder(&name).map_err(Failure::user)?;
        let role = self.role.ledger();
        let secret =
            Secret::new().map_err(|error| Failure::other(format!("the system gives no random bytes: {error}")))?;
        let Secret { id, text, sha256 } = secret;
        let make = MakeToken { id, name, role, sha256, valid_ms, who: by_hand() };
        let token = self.place.on_ledger(move |ledger| ledger.ask(make)).await?;
        Ok((text, message(token)))
    }
}

impl List {
    async fn execute(self) -> Result<(), Failure> {
        let tokens = if self.place.direct {
            self.place.check_that_it_is_there()?;
            let told = self.place.on_ledger(|ledger| ledger.ask(ListTokens)).await?;
            told.tokens.into_iter().map(message).collect()
        } else {
            let mut client = self.place.coordinator.connect_tokens().await?;
            client.list_tokens(ListTokensRequest {}).await?.into_inner().tokens
        };
        if self.json {
            print_json(&tokens.iter().map(json).collect());
        } else if tokens.is_empty() {
            say!(
                "there is no token yet; make the first with: curvefleet token create --direct --role admin --name NAME"
            );
        } else {
            let rows: Vec<_> = tokens.iter().map(|token| row(token, now_ms())).collect();
            print_table(&["token", "holder", "for", "state", "made", "expires"], &rows);
        }
        Ok(())
    }
}

impl Revoke {
    async fn execute(self) -> Result<(), Failure> {
        // Whoever pastes the whole token means its id, which is no secret.
        let id = self.id.trim_start_matches("cfl_").split('_').next().unwrap_or_default().to_string();
        let token = if self.place.direct {
            self.place.check_that_it_is_there()?;
            message(self.place.on_ledger(move |ledger| ledger.ask(RevokeToken { id, who: by_hand() })).await?)
        } else {
            let mut client = self.place.coordinator.connect_tokens().await?;
            let revoked = client.revoke_token(RevokeTokenRequest { id }).await?.into_inner().token;
            revoked.ok_or_else(|| Failure::other("the coordinator answered without a token"))?
        };
        say!("the token {} of {} opens nothing any more", token.id, token.name);
        Ok(())
    }
}

impl Where {
    fn file(&self) -> PathBuf {
        ledger_file(self.ledger.as_deref(), &self.store)
    }

    fn check_that_it_is_there(&self) -> Result<(), Failure> {
        if self.database.is_some() || self.file().is_file() {
            return Ok(());
        }
        let message = "name it with --ledger, or the coordinator's store with --store";
        Err(Failure::user(format!("there is no ledger {}; {message}", self.file().display())))
    }

    async fn on_ledger<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut DirectLedger) -> Result<T, curvefleet_coordinator::ledger::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let (database, file) = (self.database.clone(), self.file());
        let asked = tokio::task::spawn_blocking(move || {
            let mut ledger = DirectLedger::open(database.as_ref(), &file)?;
            eprintln!("ledger: {}", ledger.place);
            ask(&mut ledger).map_err(Failure::user)
        });
        asked.await.map_err(Failure::other)?
    }
}

impl Role {
    fn ledger(self) -> tokens::Role {
        match self {
            Role::Admin => tokens::Role::Admin,
            Role::Submit => tokens::Role::Submit,
            Role::Worker => tokens::Role::Worker,
            Role::Read => tokens::Role::Read,
        }
    }

    fn message(self) -> v1::Role {
        match self {
            Role::Admin => v1::Role::Admin,
            Role::Submit => v1::Role::Submit,
            Role::Worker => v1::Role::Worker,
            Role::Read => v1::Role::Read,
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("never"),
            Some(valid) => write!(formatter, "{} s", valid.as_secs()),
        }
    }
}

fn parse_validity(text: &str) -> Result<Validity, String> {
    if text == "never" {
        return Ok(Validity(None));
    }
    match parse_grace(text)? {
        Duration::ZERO => {
            Err("a token that is valid for no time opens nothing; give a time such as 30d, or never".to_string())
        }
        valid => Ok(Validity(Some(valid))),
    }
}

/// Who works on the ledger itself, for the audit.
fn by_hand() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_string());
    format!("{user} on the coordinator's machine")
}

/// A new file that only its owner may read.
pub(super) fn new_secret_file(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::user(format!(
            "{} is there already, and nothing is overwritten; give it another name",
            path.display()
        )),
        _ => Failure::user(format!("{} cannot be made: {error}", path.display())),
    })
}

fn message(token: tokens::Token) -> v1::Token {
    let role = match token.role {
        tokens::Role::Admin => v1::Role::Admin,
        tokens::Role::Submit => v1::Role::Submit,
        tokens::Role::Worker => v1::Role::Worker,
        tokens::Role::Read => v1::Role::Read,
    };
    let tokens::Token { id, name, created_ms, expires_ms, revoked_ms, .. } = token;
    v1::Token { id, name, role: role.into(), created_ms, expires_ms, revoked_ms }
}

fn word(role: i32) -> &'static str {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Admin) => "admin",
        Ok(v1::Role::Submit) => "submit",
        Ok(v1::Role::Worker) => "worker",
        Ok(v1::Role::Read) => "read",
        Ok(v1::Role::Unspecified) | Err(_) => "unknown",
    }
}

fn state(token: &v1::Token, now_ms: u64) -> &'static str {
    if token.revoked_ms > 0 {
        "revoked"
    } else if token.expires_ms > 0 && now_ms >= token.expires_ms {
        "expired"
    } else {
        "valid"
    }
}

fn row(token: &v1::Token, now_ms: u64) -> Vec<String> {
    let expires = if token.expires_ms == 0 { "never".to_string() } else { time(token.expires_ms) };
    let words = [&token.id, &token.name, word(token.role), state(token, now_ms)];
    words.into_iter().map(str::to_string).chain([time(token.created_ms), expires]).collect()
}

fn json(token: &v1::Token) -> serde_json::Value {
    serde_json::json!({
        "id": token.id, "name": token.name, "role": word(token.role), "created_ms": token.created_ms,
        "expires_ms": token.expires_ms, "revoked_ms": token.revoked_ms, "state": state(token, now_ms()),
    })
}
