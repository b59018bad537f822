//! Events in their order, and first answers.

use passarela::domain::ids::{BrandId, EventId};
use passarela::store::events::{self, NewEvent};
use passarela::store::idempotency;
use serde_json::json;
use uuid::Uuid;

use super::world::{World, new_id};
use crate::on_both_engines;

fn event(kind: &'static str, subject: Uuid, w: &World) -> NewEvent {
    NewEvent {
        id: EventId::new(new_id()),
        kind,
        customer: None,
        pass: None,
        subject,
        data: json!({ "n": 1 }),
        occurred_at: w.now,
    }
}

on_both_engines! {
    async fn events_are_numbered_after_they_are_committed(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let subject = new_id();
        for kind in ["pass.issued", "customer.created", "pass.changed"] {
            let new = event(kind, subject, &w);
            w.write(async |c| events::insert(c, one, &new).await).await;
        }
        let new = event("pass.issued", subject, &w);
        w.write(async |c| events::insert(c, two, &new).await).await;
        let waiting = async |after: Option<BrandId>| w.read(async |c| events::next_unsequenced_brand(c, after).await).await;
        assert_eq!((waiting(None).await, waiting(Some(one)).await, waiting(Some(two)).await), (Some(one), Some(two), None));
        assert!(w.read(async |c| events::list_since(c, one, 0, 9).await).await.is_empty(), "not numbered yet");
        assert_eq!(w.write(async |c| events::sequence(c, one, 2).await).await, 2);
        assert_eq!(w.write(async |c| events::sequence(c, one, 9).await).await, 1);
        assert_eq!(w.write(async |c| events::sequence(c, one, 9).await).await, 0);
        assert_eq!(waiting(None).await, Some(two));
        let all = w.read(async |c| events::list_since(c, one, 0, 9).await).await;
        assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[1].kind, "customer.created");
        assert_eq!(w.read(async |c| events::list_since(c, one, 2, 9).await).await.len(), 1);
        let newest = async |brand| w.read(async |c| events::newest_seq(c, brand).await).await;
        assert_eq!((newest(one).await, newest(two).await), (3, 0));
        let changed = w.read(async |c| events::list_changed(c, one, "pass.", 1, 9, 9).await).await;
        assert_eq!(changed, [(subject, 3)]);
        let up_to = w.read(async |c| events::list_changed(c, one, "pass.", 0, 2, 9).await).await;
        assert_eq!(up_to, [(subject, 1)]);
    }

    async fn a_key_is_taken_once_and_its_answer_kept(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let take = async |brand, scope: &str| {
            w.write(async |c| idempotency::take(c, brand, scope, "k", &[4; 32], w.now).await).await
        };
        assert!(take(one, "online").await && !take(one, "online").await);
        assert!(take(one, "till 1").await && take(two, "online").await, "another scope, another brand");
        let body = b"{}".as_slice();
        w.write(async |c| idempotency::keep(c, one, "online", "k", 201, "application/json", body).await).await;
        let kept = w.read(async |c| idempotency::find(c, one, "online", "k").await).await.unwrap();
        assert_eq!((kept.status, kept.body.as_slice(), kept.fingerprint), (201, body, vec![4; 32]));
        assert_eq!(w.read(async |c| idempotency::find(c, one, "till 1", "k").await).await.unwrap().status, 0);
        assert_eq!(w.write(async |c| idempotency::forget(c, one, w.now, 9).await).await, 0, "not older");
        assert_eq!(w.write(async |c| idempotency::forget(c, one, w.after(1), 1).await).await, 1);
        assert_eq!(w.write(async |c| idempotency::forget(c, one, w.after(1), 9).await).await, 1);
        assert!(w.read(async |c| idempotency::find(c, two, "online", "k").await).await.is_some());
    }
}
