//! A token's text: `cfl_`, its id, and a secret of 256 random bits. The ledger keeps id and SHA-256 of the secret: who reads the ledger
//! cannot use what is in it, and a hash that is slow on purpose would protect nothing more, because there is nothing to guess.

use curvefleet_proto::access::bearer::PREFIX;
use curvefleet_proto::limits::MAX_HOLDER_BYTES;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Random bytes of an id: enough that no two of a ledger's are the same.
const ID_BYTES: usize = 6;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A new token.
pub struct Secret {
    /// Names it.
    pub id: String,
    /// What its holder is given.
    pub text: String,
    /// What is kept.
    pub sha256: String,
}

/// What a request shows.
pub(crate) struct Shown {
    /// Which token it says it is.
    pub id: String,
    /// SHA-256 of its secret.
    digest: [u8; 32],
}

impl Secret {
    /// A token from the system's randomness.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn new() -> std::io::Result<Secret> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        for bytes in [&mut id[..], &mut secret[..]] {
            getrandom::fill(bytes).map_err(std::io::Error::other)?;
        }
        let (id, secret) = (hex::encode(id), hex::encode(secret));
        let sha256 = hex::encode(Sha256::digest(secret.as_bytes()));
        Ok(Secret { text: format!("{PREFIX}{id}_{secret}"), id, sha256 })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Secret({}, …)", self.id)
    }
}

/// The name of a token's holder: letters, digits and `._@-`, so that it can stand before a worker's name and in a sentence.
///
/// # Errors
/// With a sentence, if it is none.
pub fn check_holder(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if (1..=MAX_HOLDER_BYTES).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("the holder's name must have 1 to {MAX_HOLDER_BYTES} letters, digits, dots, dashes, underscores or @"))
}

impl Shown {
    /// A token's text; `None` if it is none.
    pub fn parse(text: &str) -> Option<Shown> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES) {
            return None;
        }
        Some(Shown { id: id.to_string(), digest: Sha256::digest(secret.as_bytes()).into() })
    }

    /// Whether its secret is the one that has this SHA-256, in a time that does not depend on either.
    pub fn is(&self, sha256: &str) -> bool {
        hex::encode(self.digest).as_bytes().ct_eq(sha256.as_bytes()).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_no_other() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        let shown = Shown::parse(&one.text).unwrap();
        assert_eq!(shown.id, one.id);
        assert!(shown.is(&one.sha256) && !shown.is(&other.sha256) && !shown.is(""));
        assert!(!one.sha256.contains(&one.text[20..]) && !format!("{one:?}").contains(&one.text[20..]));
    }

    #[test]
    fn what_is_no_token_is_not_read_as_one() {
        let text = Secret::new().unwrap().text;
        let upper = text.to_uppercase();
        for wrong in
            ["", "cfl_", "cfl__", "Bearer", &text[..text.len() - 1], &text[4..], &format!("{text}0"), &upper, "cfl_é_é"]
        {
            assert!(Shown::parse(wrong).is_none(), "{wrong}");
        }
    }
}
