//! Making, listing and revoking tokens.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::audit::ListAudit;
use curvefleet_coordinator::ledger::tokens::{ListTokens, MakeToken, RevokeToken, Role};

use crate::bench::Bench;

/// A token that is valid for so long.
pub fn token_of(id: &str, name: &str, role: Role, valid_ms: u64) -> MakeToken {
    let (id, name, sha256) = (id.to_string(), name.to_string(), "ab".repeat(32));
    MakeToken { id, name, role, sha256, valid_ms, who: "test".to_string() }
}

fn ids(bench: &mut Bench) -> Vec<String> {
    bench.ask(ListTokens).unwrap().tokens.into_iter().map(|token| token.id).collect()
}

pub fn tokens_are_kept_with_their_expiry_the_newest_first(bench: &mut Bench) {
    assert_eq!(ids(bench), Vec::<String>::new());
    let made = bench.ask(token_of("a", "alice", Role::Admin, 0)).unwrap();
    assert_eq!((made.expires_ms, made.revoked_ms), (0, 0));
    bench.now_ms += 5;
    let made = bench.ask(token_of("b", "lab", Role::Worker, 100)).unwrap();
    assert_eq!(made.expires_ms, bench.now_ms + 100);
    assert!(made.is_live(bench.now_ms + 99) && !made.is_live(bench.now_ms + 100));
    assert_eq!(ids(bench), ["b", "a"]);
    assert_eq!(bench.ask(ListTokens).unwrap().now_ms, bench.now_ms);
}

pub fn a_holder_has_one_role_at_a_time(bench: &mut Bench) {
    bench.ask(token_of("a", "lab", Role::Worker, 100)).unwrap();
    bench.ask(token_of("b", "lab", Role::Worker, 0)).unwrap();
    assert!(matches!(bench.ask(token_of("c", "lab", Role::Read, 0)), Err(Error::Invalid(_))));
    assert!(matches!(bench.ask(token_of("a", "other", Role::Read, 0)), Err(Error::Invalid(_))));
    bench.now_ms += 100;
    bench.ask(RevokeToken { id: "b".to_string(), who: "test".to_string() }).unwrap();
    bench.ask(token_of("c", "lab", Role::Read, 0)).unwrap();
    assert_eq!(ids(bench), ["c", "a", "b"]);
}

pub fn revoking_is_for_good_and_audited(bench: &mut Bench) {
    bench.ask(token_of("a", "alice", Role::Submit, 0)).unwrap();
    let revoke = || RevokeToken { id: "a".to_string(), who: "root".to_string() };
    let revoked = bench.ask(revoke()).unwrap();
    assert_eq!(revoked.revoked_ms, bench.now_ms);
    bench.restart();
    bench.now_ms += 7;
    assert_eq!(bench.ask(revoke()).unwrap(), revoked);
    let audit = bench.ask(ListAudit { target: "alice".to_string(), before: None, limit: 9 }).unwrap();
    let told: Vec<_> =
        audit.iter().map(|entry| (entry.who.as_str(), entry.what.as_str(), entry.note.as_str())).collect();
    assert_eq!(told, [("root", "revoke token", "a"), ("test", "make token", "a, for submit")]);
    let unknown = bench.ask(RevokeToken { id: "z".to_string(), who: "root".to_string() });
    assert!(matches!(unknown, Err(Error::NoToken(id)) if id == "z"));
}
