//! Who may use the coordinators of this ledger.

use curvefleet_proto::limits::MAX_TOKENS;

use super::operation::Apply;
use super::sql::{Context, Row, values};
use super::{Error, audit};

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// All that people do, and tokens.
    Admin,
    /// Studies, and looking.
    Submit,
    /// What workers do, and nothing else.
    Worker,
    /// Looking, and nothing else.
    Read,
}

/// A token as it is kept: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Names it; the part of the token that is no secret.
    pub id: String,
    /// Its holder.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// SHA-256 of its secret, 64 hex digits.
    pub sha256: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// From when it opens nothing; 0 means never.
    pub expires_ms: u64,
    /// When it was revoked; 0 where it was not.
    pub revoked_ms: u64,
}

/// A token to keep.
#[derive(Debug, Clone)]
pub struct MakeToken {
    /// Names it; unique.
    pub id: String,
    /// Its holder.
    pub name: String,
    /// What it opens.
    pub role: Role,
    /// SHA-256 of its secret.
    pub sha256: String,
    /// How long it is valid, in milliseconds; 0 means for ever.
    pub valid_ms: u64,
    /// Who makes it, for the audit.
    pub who: String,
}

/// Asks for all tokens.
#[derive(Debug, Clone)]
pub struct ListTokens;

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The time by the ledger's clock, milliseconds since 1970: what expiry goes by.
    pub now_ms: u64,
    /// The newest first.
    pub tokens: Vec<Token>,
}

/// A token to end. One that was revoked before stays as it is.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// Its id.
    pub id: String,
    /// Who revokes it, for the audit.
    pub who: String,
}

impl Role {
    /// All of them, the mightiest first.
    pub const ALL: [Role; 4] = [Role::Admin, Role::Submit, Role::Worker, Role::Read];

    /// The word in the database and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Submit => "submit",
            Role::Worker => "worker",
            Role::Read => "read",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl Token {
    /// Whether it opens something at that time.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.revoked_ms == 0 && !self.has_expired(now_ms)
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_ms > 0 && now_ms >= self.expires_ms
    }
}

impl Apply for MakeToken {
    fn apply(&self, context: &mut Context<'_>) -> Result<Token, Error> {
        let known = read(context)?;
        check(self, &known, context.now_ms)?;
        let expires_ms = if self.valid_ms == 0 { 0 } else { context.now_ms.saturating_add(self.valid_ms) };
        context.execute(
            "INSERT INTO tokens (id, name, role, sha256, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            values![&self.id, &self.name, self.role.as_str(), &self.sha256, context.now_ms, expires_ms],
        )?;
        audit::record(
            context,
            &self.who,
            "make token",
            &self.name,
            &format!("{}, for {}", self.id, self.role.as_str()),
        )?;
        find(context, &self.id)
    }
}

impl Apply for ListTokens {
    fn apply(&self, context: &mut Context<'_>) -> Result<Tokens, Error> {
        Ok(Tokens { now_ms: context.now_ms, tokens: read(context)? })
    }
}

impl Apply for RevokeToken {
    fn apply(&self, context: &mut Context<'_>) -> Result<Token, Error> {
        let token = find(context, &self.id)?;
        if token.revoked_ms > 0 {
            return Ok(token);
        }
        // At the beginning of time, too, it is not 0.
        let revoked_ms = context.now_ms.max(1);
        context.execute("UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1", values![&self.id, revoked_ms])?;
        audit::record(context, &self.who, "revoke token", &token.name, &self.id)?;
        find(context, &self.id)
    }
}

/// Refuses a token that would be one too many, or make its holder two.
fn check(make: &MakeToken, known: &[Token], now_ms: u64) -> Result<(), Error> {
    if known.len() >= MAX_TOKENS {
        return Err(Error::Invalid(format!("the ledger holds {MAX_TOKENS} tokens, and no more are taken")));
    }
    if known.iter().any(|token| token.id == make.id) {
        return Err(Error::Invalid(format!("there is a token `{}` already", make.id)));
    }
    let other = known.iter().find(|token| token.name == make.name && token.role != make.role && token.is_live(now_ms));
    match other {
        Some(other) => Err(Error::Invalid(format!(
            "`{}` holds the token {} for `{}`; name the holder of one for `{}` otherwise, or revoke that one first",
            make.name,
            other.id,
            other.role.as_str(),
            make.role.as_str()
        ))),
        None => Ok(()),
    }
}

fn read(context: &mut Context<'_>) -> Result<Vec<Token>, Error> {
    context.rows(
        "SELECT id, name, role, sha256, created_ms, expires_ms, revoked_ms FROM tokens ORDER BY created_ms DESC, id",
        values![],
        token,
    )
}

fn find(context: &mut Context<'_>, id: &str) -> Result<Token, Error> {
    let found = context.row(
        "SELECT id, name, role, sha256, created_ms, expires_ms, revoked_ms FROM tokens WHERE id = ?1",
        values![id],
        token,
    )?;
    found.ok_or_else(|| Error::NoToken(id.to_string()))
}

fn token(row: &dyn Row) -> Result<Token, Error> {
    let word = row.text(2)?;
    Ok(Token {
        id: row.text(0)?,
        name: row.text(1)?,
        role: Role::parse(&word).ok_or_else(|| Error::unreadable("role", &word))?,
        sha256: row.text(3)?,
        created_ms: row.unsigned(4)?,
        expires_ms: row.unsigned(5)?,
        revoked_ms: row.unsigned(6)?,
    })
}
