//! What becomes of a batch when the connection to PostgreSQL breaks at the worst moments. The bench compares every answer with the
//! model's, so that a batch carried out twice, or not at all, does not go unseen.

use curvefleet_coordinator::ledger::{Error, Ledger, Reply};

use crate::bench::{Bench, beat_of, commit_of, lease_of, runs_of, study};
use crate::database::{self, Database, Postgres};
use crate::proxy::{Cut, Proxy};

/// A PostgreSQL database behind a proxy.
pub struct Behind {
    pub postgres: Postgres,
    pub proxy: std::rc::Rc<Proxy>,
}

impl Behind {
    pub fn new(test: &str) -> Option<Behind> {
        let postgres = Postgres::new(test)?;
        let proxy = std::rc::Rc::new(Proxy::start(postgres.address()));
        Some(Behind { postgres, proxy })
    }
}

impl Database for Behind {
    fn open(&self) -> Box<dyn Ledger> {
        Box::new(database::open(&self.postgres.url_through(self.proxy.port())))
    }
}

fn bench(test: &str) -> Option<(Bench, std::rc::Rc<Proxy>)> {
    let behind = Behind::new(test)?;
    let proxy = behind.proxy.clone();
    Some((Bench::new(Box::new(behind)), proxy))
}

#[test]
fn a_batch_whose_commit_never_arrived_is_carried_out_once() {
    lose_answers("a_batch_whose_commit_never_arrived_is_carried_out_once", Cut::BeforeCommit);
}

#[test]
fn a_batch_whose_commit_was_not_answered_is_carried_out_once() {
    lose_answers("a_batch_whose_commit_was_not_answered_is_carried_out_once", Cut::AfterCommit);
}

/// A lease carried out twice would have given the second shard, or a higher fence.
fn lose_answers(test: &str, cut: Cut) {
    let Some((mut bench, proxy)) = bench(test) else { return };
    bench.submit_small("one");
    proxy.cut(cut);
    bench.register("w");
    assert!(proxy.has_cut());
    let mut leases = Vec::new();
    for fence in 1..=3 {
        proxy.cut(cut);
        let given = bench.lease_one("w");
        assert!(proxy.has_cut());
        assert_eq!((given.fence, bench.status("one").leased), (1, 2 * fence));
        leases.push(given);
    }
    for given in &leases {
        proxy.cut(cut);
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
        assert!(proxy.has_cut());
    }
    assert_eq!(bench.status("one").done, 6);
    proxy.cut(cut);
    assert_eq!(bench.submit(study("two", "3", 1)).unwrap().entered.reused, 6);
    assert!(proxy.has_cut());
}

#[test]
fn a_connection_that_broke_while_nothing_was_asked_is_not_noticed() {
    let Some((mut bench, proxy)) = bench("a_connection_that_broke_while_nothing_was_asked_is_not_noticed") else {
        return;
    };
    bench.submit_small("one");
    for _ in 0..3 {
        proxy.cut_all();
        bench.lease_one("w");
    }
}

#[test]
fn who_waits_is_told_when_the_database_stays_away_and_what_was_done_is_not_done_again() {
    let test = "who_waits_is_told_when_the_database_stays_away_and_what_was_done_is_not_done_again";
    let Some((mut bench, proxy)) = bench(test) else { return };
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let commit = commit_of("w", &given, 0, &runs_of(&given));
    proxy.cut(Cut::AfterCommit);
    proxy.go_down();
    let replies = bench.transact_unmodelled(vec![commit.clone().into()]);
    assert!(matches!(replies[0], Err(Error::Unknown)), "{replies:?}");
    let lease = lease_of("w", 1);
    let beat = beat_of("w", vec![]);
    let replies = bench.transact_unmodelled(vec![lease.clone().into(), beat.into()]);
    assert!(replies.iter().all(|reply| matches!(reply, Err(Error::Database(_)))), "{replies:?}");
    proxy.come_up();
    assert!(bench.ask(commit).unwrap(), "the commit repeated is the same commit");
    assert_eq!(bench.status("one").done, 2);
    let replies = bench.transact(vec![lease.into()]);
    assert!(matches!(&replies[0], Ok(Reply::Lease(leased)) if leased.leases[0].fence == 1));
}
