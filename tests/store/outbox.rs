//! The outbox: who has what to be told, who is at it, and what came of it.

use chrono::{DateTime, Utc};
use passarela::domain::delivery::{Channel, DeliveryState};
use passarela::domain::ids::BrandId;
use passarela::domain::pass::Lane;
use passarela::domain::secret::Secret;
use passarela::store::outbox::{self, Claim, Delivery, Settled};
use passarela::store::{brands, devices, publication, pushes};
use uuid::Uuid;

use super::world::{World, device};
use crate::on_both_engines;

const APNS: Channel = Channel::Apns;

async fn enqueue(w: &World, rows: &[(Uuid, Lane)], not_before: i64, at: i64) -> u64 {
    w.write(async |c| outbox::enqueue(c, w.one.brand, APNS, rows, w.after(not_before), w.after(at)).await).await
}

async fn claim(w: &World, lane: Lane, at: i64, until: i64) -> Vec<Claim> {
    w.write(async |c| outbox::claim(c, w.one.brand, APNS, lane, w.after(at), w.after(until), 9).await).await
}

async fn row(w: &World, destination: Uuid) -> Delivery {
    w.read(async |c| outbox::find(c, w.one.brand, APNS, destination).await).await.unwrap()
}

fn done(claim: &Claim, now: DateTime<Utc>) -> Settled {
    Settled {
        destination: claim.destination,
        claim_no: claim.claim_no,
        wanted: claim.wanted,
        state: DeliveryState::Done,
        due_at: now,
        failures: 0,
        told_at: Some(now),
        answer: "200".to_owned(),
    }
}

async fn settle(w: &World, settled: &[Settled]) -> u64 {
    w.write(async |c| outbox::settle(c, w.one.brand, APNS, settled, w.after(100)).await).await
}

fn ids(count: u128) -> Vec<Uuid> {
    (1..=count).map(Uuid::from_u128).collect()
}

on_both_engines! {
    async fn a_row_is_claimed_by_one_until_its_lease_ends(engine) {
        let w = World::new(engine).await;
        let ids = ids(3);
        let rows: Vec<_> = ids.iter().map(|id| (*id, Lane::Interactive)).collect();
        assert_eq!(enqueue(&w, &rows, 0, 0).await, 3);
        let due = async |after| w.read(async |c| outbox::next_due_brand(c, APNS, after, w.after(0)).await).await;
        assert_eq!(due(None).await, Some(w.one.brand));
        assert_eq!(due(Some(w.one.brand)).await, None);
        let foreign = w.write(async |c| outbox::claim(c, w.two.brand, APNS, Lane::Interactive, w.now, w.after(30), 9).await).await;
        assert!(foreign.is_empty());
        let first = claim(&w, Lane::Interactive, 0, 30).await;
        assert_eq!(first.len(), 3);
        assert!(claim(&w, Lane::Interactive, 29, 60).await.is_empty());
        assert_eq!(due(None).await, None);
        let again = claim(&w, Lane::Interactive, 30, 60).await;
        assert!(again.iter().all(|claim| claim.claim_no == 2));
        assert_eq!(settle(&w, &first.iter().map(|claim| done(claim, w.now)).collect::<Vec<_>>()).await, 0, "outslept");
        assert_eq!(settle(&w, &again.iter().map(|claim| done(claim, w.now)).collect::<Vec<_>>()).await, 3);
        assert_eq!(settle(&w, &[done(&again[0], w.now)]).await, 0, "once");
        assert_eq!(settle(&w, &[]).await, 0);
        assert_eq!((row(&w, ids[0]).await.state, row(&w, ids[0]).await.told_at), (DeliveryState::Done, Some(w.now)));
    }

    async fn what_is_committed_while_a_row_is_told_is_told_again(engine) {
        let w = World::new(engine).await;
        let id = ids(1)[0];
        enqueue(&w, &[(id, Lane::Bulk)], 0, 0).await;
        let claims = claim(&w, Lane::Bulk, 1, 31).await;
        enqueue(&w, &[(id, Lane::Interactive)], 2, 2).await;
        assert!(claim(&w, Lane::Interactive, 3, 30).await.is_empty(), "one at a time");
        assert_eq!(settle(&w, &[done(&claims[0], w.after(4))]).await, 1);
        let after = row(&w, id).await;
        assert_eq!((after.state, after.due_at, after.lane), (DeliveryState::Pending, w.after(100), Lane::Interactive));
        assert_eq!((after.told_at, after.changed_at), (Some(w.after(4)), w.after(1)), "at least since the claim");
        let claims = claim(&w, Lane::Interactive, 100, 130).await;
        assert_eq!((claims.len(), settle(&w, &[done(&claims[0], w.after(101))]).await), (1, 1));
        assert_eq!(row(&w, id).await.state, DeliveryState::Done);
    }

    async fn a_wait_is_kept_and_an_earlier_time_is_taken(engine) {
        let w = World::new(engine).await;
        let id = ids(1)[0];
        assert_eq!(enqueue(&w, &[(id, Lane::Bulk)], 50, 0).await, 1);
        assert_eq!(enqueue(&w, &[(id, Lane::Bulk)], 60, 0).await, 0, "it is there already");
        assert_eq!(enqueue(&w, &[(id, Lane::Interactive)], 5, 1).await, 1);
        assert_eq!((row(&w, id).await.due_at, row(&w, id).await.changed_at), (w.after(5), w.now));
        let claims = claim(&w, Lane::Interactive, 5, 35).await;
        let failed = Settled { state: DeliveryState::Pending, due_at: w.after(65), failures: 1, told_at: None, ..done(&claims[0], w.now) };
        assert_eq!(settle(&w, &[failed]).await, 1);
        enqueue(&w, &[(id, Lane::Interactive)], 7, 7).await;
        assert_eq!((row(&w, id).await.due_at, row(&w, id).await.failures), (w.after(65), 1));
        assert!(w.write(async |c| outbox::retry(c, w.one.brand, APNS, id, w.after(8)).await).await);
        assert!(!w.write(async |c| outbox::retry(c, w.two.brand, APNS, id, w.after(8)).await).await);
        assert_eq!((row(&w, id).await.due_at, row(&w, id).await.failures), (w.after(8), 0));
    }

    async fn rows_are_listed_and_counted(engine) {
        let w = World::new(engine).await;
        let ids = ids(3);
        let rows: Vec<_> = ids.iter().map(|id| (*id, Lane::Interactive)).collect();
        enqueue(&w, &rows[..2], 0, 3).await;
        enqueue(&w, &rows[2..], 0, 1).await;
        let claims = claim(&w, Lane::Interactive, 5, 35).await;
        let of = |id: Uuid| claims.iter().find(|claim| claim.destination == id).unwrap();
        let parked = Settled { state: DeliveryState::Parked, told_at: None, ..done(of(ids[0]), w.now) };
        assert_eq!(settle(&w, &[parked, done(of(ids[1]), w.now)]).await, 2);
        let waiting = w.read(async |c| outbox::count_waiting(c, w.one.brand, APNS, 9).await).await;
        assert_eq!((waiting.open, waiting.oldest, waiting.parked), (1, Some(w.after(1)), 1));
        let oldest = async |channel, lane| w.read(async |c| outbox::oldest_waiting(c, channel, lane).await).await;
        assert_eq!(oldest(APNS, Lane::Interactive).await, Some(w.after(1)));
        assert_eq!((oldest(APNS, Lane::Bulk).await, oldest(Channel::Google, Lane::Interactive).await), (None, None));
        let list = async |brand: BrandId, state, after| {
            let found = w.read(async |c| outbox::list(c, brand, APNS, state, after, 9).await).await;
            found.into_iter().map(|row| row.destination).collect::<Vec<_>>()
        };
        assert_eq!(list(w.one.brand, None, None).await, ids);
        assert_eq!(list(w.one.brand, None, Some(ids[0])).await, ids[1..]);
        assert_eq!(list(w.one.brand, Some(DeliveryState::Parked), None).await, ids[..1]);
        assert_eq!(list(w.one.brand, Some(DeliveryState::Sending), None).await, ids[2..]);
        assert!(list(w.two.brand, None, None).await.is_empty());
        enqueue(&w, &rows[..1], 9, 9).await;
        assert_eq!(row(&w, ids[0]).await.state, DeliveryState::Pending, "a new change is a new try");
    }

    async fn what_a_device_was_told_and_whether_its_token_is_refused_is_noted(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        let phone = w.device(&w.one, a, "phone").await;
        w.device(&w.one, b, "phone").await;
        let last = w.write(async |c| brands::take_tags(c, one, "pass.one", 3).await).await;
        let target = async || w.read(async |c| pushes::load_targets(c, one, &[phone]).await).await.remove(0);
        assert!(w.read(async |c| pushes::load_targets(c, w.two.brand, &[phone]).await).await.is_empty());
        assert_eq!((target().await.newest_tag_n, target().await.pass_type.as_str()), (last.n, "pass.one"));
        w.write(async |c| pushes::tell(c, one, &[phone], last.n, w.after(1)).await).await;
        let holders = w.read(async |c| devices::list_holders(c, one, b, 9).await).await;
        assert!(holders[0].is_told);
        let token = |token: &str| Secret::new(token.to_owned());
        let suspect = async |brand, at| {
            w.write(async |c| pushes::suspect(c, brand, phone, &token("aa"), w.after(at)).await).await
        };
        assert!(!suspect(w.two.brand, 2).await);
        assert_eq!(target().await.refused_since, None);
        assert!(suspect(one, 3).await && suspect(one, 4).await);
        assert_eq!(target().await.refused_since, Some(w.after(3)), "since the first time");
        w.write(async |c| pushes::clear(c, one, &[phone]).await).await;
        assert_eq!(target().await.refused_since, None);
        assert!(suspect(one, 5).await);
        let same = device(&w.one, "phone", "aa");
        assert_eq!(w.write(async |c| devices::renew_token(c, one, &same, w.after(6)).await).await, None);
        let other = device(&w.one, "phone", "bb");
        assert_eq!(w.write(async |c| devices::renew_token(c, one, &other, w.after(6)).await).await, Some(phone));
        assert_eq!((target().await.refused_since, target().await.push_token.reveal().as_str()), (None, "bb"));
        let accepted = async |since| w.read(async |c| pushes::was_accepted_since(c, one, "pass.one", w.after(since)).await).await;
        assert!(!accepted(0).await);
        w.write(async |c| pushes::accept(c, one, "pass.one", w.after(-60), w.after(7)).await).await;
        w.write(async |c| pushes::accept(c, one, "pass.one", w.after(-60), w.after(9)).await).await;
        assert!(accepted(6).await && !accepted(7).await, "as often as it is worth a lock");
        let remove = async |at| w.write(async |c| pushes::remove_device(c, one, phone, &token("bb"), w.after(at)).await).await;
        assert_eq!(remove(5).await, None, "its token was renewed since");
        assert!(!suspect(one, 9).await, "the token of before");
        let mut held = remove(6).await.unwrap();
        held.sort();
        assert_eq!((held, remove(6).await), (vec![(a, w.one.customer), (b, w.one.customer)], None));
        assert!(w.read(async |c| devices::list_holders(c, one, b, 9).await).await.is_empty());
    }

    async fn a_fetch_is_that_of_the_device_that_asked_last_and_lacks_the_version(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let (a, b) = (w.device(&w.one, pass, "a").await, w.device(&w.one, pass, "b").await);
        let ask = async |name: &str, at| {
            let name = Secret::new(name.to_owned());
            w.write(async |c| pushes::note_asked(c, one, "pass.one", &name, w.after(at)).await).await;
        };
        let fetch = async |brand, tag_n, at| w.write(async |c| pushes::note_fetched(c, brand, pass, tag_n, w.after(at)).await).await;
        let fetched = async |id| {
            let holders = w.read(async |c| devices::list_holders(c, one, pass, 9).await).await;
            holders.into_iter().find(|holder| holder.device_id == id).unwrap().fetched_at
        };
        ask("b", 1).await;
        fetch(w.two.brand, 7, 2).await;
        assert_eq!((fetched(a).await, fetched(b).await), (None, None));
        fetch(one, 7, 2).await;
        assert_eq!((fetched(a).await, fetched(b).await), (None, Some(w.after(2))));
        fetch(one, 7, 3).await;
        assert_eq!((fetched(a).await, fetched(b).await), (Some(w.after(3)), Some(w.after(2))));
        ask("a", 4).await;
        fetch(one, 8, 5).await;
        fetch(one, 8, 6).await;
        assert_eq!((fetched(a).await, fetched(b).await), (Some(w.after(5)), Some(w.after(6))));
        assert_eq!(w.read(async |c| publication::find_published_at(c, one, pass).await).await, None);
    }

    async fn all_processes_have_one_provider_token(engine) {
        let w = World::new(engine).await;
        let issue = async |key, stale: i64, at: i64| {
            w.write(async |c| pushes::issue_token(c, key, w.after(stale), w.after(at)).await).await
        };
        assert_eq!(issue("KEY", -3_000, 0).await, w.after(0));
        assert_eq!(issue("KEY", -2_000, 1_000).await, w.after(0));
        assert_eq!(issue("OTHER", -2_000, 1_000).await, w.after(1_000));
        assert_eq!(issue("KEY", 1, 3_001).await, w.after(3_001));
    }
}
