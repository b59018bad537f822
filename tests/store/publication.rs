//! From "changed" to "published".

use passarela::domain::ids::PassId;
use passarela::store::passes;
use passarela::store::publication::{self, Claim, Published};
use serde_json::Map;

use super::world::{World, write};
use crate::on_both_engines;

async fn change(w: &World, pass: PassId) {
    let stored = w.read(async |c| passes::find(c, w.one.brand, pass).await).await.unwrap();
    let data = Map::new();
    w.write(async |c| passes::set_data(c, w.one.brand, pass, &data, stored.change_no, w.now).await).await.unwrap();
}

async fn claim(w: &World, at: i64, until: i64, max: i64) -> Vec<Claim> {
    w.write(async |c| publication::claim(c, w.one.brand, w.after(at), w.after(until), max).await).await
}

fn published(
    pass: PassId,
    published_no: i64,
    tag_n: i64,
    render_at: Option<chrono::DateTime<chrono::Utc>>,
) -> Published {
    Published {
        pass,
        published_no,
        tag_n,
        last_modified: 77,
        render_at,
        template_version: 1,
        apple: b"new".to_vec(),
        apple_hash: vec![8; 32],
        google: b"object".to_vec(),
        google_hash: vec![9; 32],
    }
}

on_both_engines! {
    async fn a_claim_takes_what_is_due_until_its_lease_ends(engine) {
        let w = World::new(engine).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(w.pass(&w.one, None).await.id);
        }
        w.pass(&w.two, None).await;
        let due = async |at: i64| w.read(async |c| publication::next_due_brand(c, None, w.after(at)).await).await;
        assert_eq!(due(0).await, None);
        for id in &ids[..2] {
            change(&w, *id).await;
        }
        assert_eq!(due(0).await, Some(w.one.brand));
        assert_eq!(w.read(async |c| publication::next_due_brand(c, Some(w.one.brand), w.now).await).await, None);
        let first = claim(&w, 0, 30, 1).await;
        let second = claim(&w, 0, 30, 9).await;
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(first[0].pass, second[0].pass);
        assert!(claim(&w, 29, 60, 9).await.is_empty(), "both are leased");
        let again = claim(&w, 30, 60, 9).await;
        assert_eq!(again.len(), 2, "the leases are over");
        assert!(again.iter().all(|claim| claim.lease_no == 2));
        // A publisher that outslept its lease releases and refuses nothing any more.
        w.write(async |c| publication::release(c, w.one.brand, &first, w.now).await).await;
        w.write(async |c| publication::refuse(c, w.one.brand, first[0], "late", w.after(999)).await).await;
        assert!(claim(&w, 59, 90, 9).await.is_empty());
        w.write(async |c| publication::release(c, w.one.brand, &again[..1], w.after(40)).await).await;
        assert_eq!(claim(&w, 40, 90, 9).await.iter().map(|claim| claim.pass).collect::<Vec<_>>(), [again[0].pass]);
        let refused = again[1];
        w.write(async |c| publication::refuse(c, w.one.brand, refused, "no such field", w.after(300)).await).await;
        assert!(claim(&w, 100, 130, 9).await.iter().all(|claim| claim.pass != refused.pass), "it rests");
        assert!(claim(&w, 300, 330, 9).await.iter().any(|claim| claim.pass == refused.pass));
    }

    async fn a_refused_pass_is_tried_again_when_it_or_its_template_changes(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let refuse = async |at: i64| {
            let claims = claim(&w, at, at + 1, 9).await;
            let at = w.after(at + 300);
            w.write(async |c| publication::refuse(c, one, claims[0], "no such filter", at).await).await;
        };
        w.write(async |c| publication::touch(c, one, pass).await).await;
        refuse(0).await;
        let refused = async || w.read(async |c| publication::count_refused(c, one, 9).await).await;
        assert_eq!(refused().await, (1, Some("no such filter".to_owned())));
        assert!(claim(&w, 5, 6, 9).await.is_empty());
        change(&w, pass).await;
        refuse(5).await;
        assert_eq!(w.write(async |c| publication::retry_refused(c, w.two.brand, w.one.template, 2, w.now, 9).await).await, 0);
        assert!(claim(&w, 9, 10, 9).await.is_empty());
        assert_eq!(w.write(async |c| publication::retry_refused(c, one, w.one.template, 2, w.after(9), 9).await).await, 1);
        assert_eq!((claim(&w, 9, 10, 9).await.len(), refused().await), (1, (0, None)));
    }

    async fn what_was_published_is_served_and_a_newer_change_stays_due(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (kept, changed) = (w.pass(&w.one, None).await, w.pass(&w.one, None).await);
        change(&w, changed.id).await;
        let sources = w.read(async |c| publication::load_sources(c, one, &[changed.id, kept.id]).await).await;
        let source = sources.iter().find(|source| source.pass_id == changed.id).unwrap();
        assert_eq!((sources.len(), source.change_no, source.serial.as_str()), (2, 2, changed.serial.as_str()));
        assert!(w.read(async |c| publication::load_sources(c, w.two.brand, &[changed.id]).await).await.is_empty());
        change(&w, changed.id).await; // while it is being rendered
        let rows = w
            .write(async |c| {
                let held = publication::lock(c, one, &[changed.id]).await?;
                assert_eq!((held.len(), held[0].last_modified), (1, w.now.timestamp()));
                let new = published(changed.id, source.change_no, 50, Some(w.after(500)));
                publication::publish(c, one, &[new], w.after(1), w.now).await
            })
            .await;
        assert_eq!(rows, 1);
        let keys = [&changed, &kept, &changed].map(|pass| (pass.pass_type.clone(), pass.serial.clone()));
        let served = w.read(async |c| publication::find_served(c, one, &keys).await).await;
        let times: Vec<_> = served.iter().map(|served| served.as_ref().unwrap().last_modified).collect();
        assert_eq!(times, [77, w.now.timestamp(), 77], "in the order they were asked");
        let foreign = w.read(async |c| publication::find_served(c, w.two.brand, &keys).await).await;
        assert!(foreign.len() == 3 && foreign.iter().all(Option::is_none));
        let unknown = PassId::new(super::world::new_id());
        let found = w.read(async |c| publication::find_apple(c, one, &[unknown, changed.id]).await).await;
        assert!(found[0].is_none());
        assert_eq!(found[1].as_ref().map(|content| content.apple.as_slice()), Some(b"new".as_slice()));
        assert!(claim(&w, 0, 30, 9).await.is_empty(), "at most once a second");
        assert_eq!(claim(&w, 1, 30, 9).await.len(), 1, "the change that came meanwhile");
        w.write(async |c| publication::settle_unchanged(c, one, &[(changed.id, 3, None)], w.after(2)).await).await;
        assert!(claim(&w, 60, 90, 9).await.is_empty());
    }

    async fn a_day_that_comes_makes_a_pass_due(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let new = published(pass, 1, 2, Some(w.after(100)));
        w.write(async |c| publication::publish(c, one, &[new], w.now, w.now).await).await;
        let timed = async |at: i64| w.read(async |c| publication::next_timed_brand(c, None, w.after(at)).await).await;
        assert_eq!((timed(99).await, timed(100).await), (None, Some(one)));
        assert_eq!(w.write(async |c| publication::touch_timed(c, w.two.brand, w.after(100), 9).await).await, 0);
        assert_eq!(w.write(async |c| publication::touch_timed(c, one, w.after(100), 9).await).await, 1);
        assert_eq!(timed(100).await, None, "once");
        assert_eq!(claim(&w, 100, 130, 9).await.len(), 1);
    }

    async fn nobody_waits_for_a_pass_that_a_writer_holds(engine) {
        let w = World::new(engine).await;
        let (free, busy) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        change(&w, free).await;
        change(&w, busy).await;
        if engine == crate::engine::Engine::Sqlite {
            return; // one writer: there is nobody to wait for
        }
        let mut writer = w.db.begin().await.unwrap();
        passes::set_data(&mut writer.conn(), w.one.brand, busy, &Map::new(), 2, w.now).await.unwrap().unwrap();
        let claims = write(&w.db, async |c| publication::claim(c, w.one.brand, w.now, w.after(30), 9).await).await;
        assert_eq!(claims.iter().map(|claim| claim.pass).collect::<Vec<_>>(), [free]);
        let held = write(&w.db, async |c| publication::lock(c, w.one.brand, &[free, busy]).await).await;
        assert_eq!(held.iter().map(|held| held.pass_id).collect::<Vec<_>>(), [free]);
    }
}
