//! What Google should hold, and what it was sent.

use passarela::domain::ids::{GoogleClassId, PassId};
use passarela::domain::pass::PassKind;
use passarela::store::google::{self, Listed, NewClass, SentObject};

use super::world::{World, new_id};
use crate::on_both_engines;

fn class(name: &str, body: &str) -> NewClass {
    let id = GoogleClassId::new(new_id());
    NewClass {
        id,
        name: name.to_owned(),
        kind: PassKind::Loyalty,
        body: body.into(),
        body_hash: body.as_bytes().to_vec(),
    }
}

on_both_engines! {
    async fn a_class_is_stored_when_it_looks_otherwise(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let put = async |brand, class: &NewClass, is_live| w.write(async |c| google::put_class(c, brand, class, is_live, w.now).await).await;
        let (first, same, other) = (class("i.a", "1"), class("i.a", "1"), class("i.a", "2"));
        assert_eq!(put(one, &first, false).await, Some(first.id), "one that is missing is better than none");
        assert_eq!(put(one, &same, true).await, None);
        assert_eq!(put(one, &other, false).await, None, "a canary's");
        assert_eq!(put(one, &other, true).await, Some(first.id));
        assert!(put(w.two.brand, &same, true).await.is_some());
        let found = w.read(async |c| google::find_class(c, one, "i.a").await).await.unwrap();
        assert_eq!((found.body.as_slice(), found.sent_hash, found.kind), (b"2".as_slice(), None, PassKind::Loyalty));
        let load = async |ids: &[GoogleClassId]| w.read(async |c| google::load_classes(c, one, ids).await).await;
        assert_eq!((load(&[first.id]).await.len(), load(&[same.id]).await.len(), load(&[]).await.len()), (1, 0, 0));
        let forgotten = async || w.read(async |c| google::list_forgotten_classes(c, one, w.now, 9).await).await;
        assert_eq!(forgotten().await, [first.id]);
        w.write(async |c| google::note_class(c, one, "i.a", Some(b"2")).await).await;
        assert!(forgotten().await.is_empty());
        w.write(async |c| google::note_class(c, one, "i.a", None).await).await;
        assert_eq!(forgotten().await, [first.id]);
    }

    async fn an_object_is_kept_from_the_first_click_on(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        let link = async |pass| w.write(async |c| google::link(c, one, pass, &format!("i.p.{pass}"), w.now).await).await;
        assert_eq!((link(a).await, link(a).await), (true, false));
        let linked = async |brand| w.read(async |c| google::list_linked(c, brand, &[a, b]).await).await;
        assert_eq!((linked(one).await, linked(w.two.brand).await), (vec![a], vec![]));
        let objects = w.read(async |c| google::load_objects(c, one, &[a, b]).await).await;
        assert_eq!((objects.len(), objects[0].pass_id, objects[0].sent_hash.clone()), (1, a, None));
        let forgotten = async |after| w.read(async |c| google::list_forgotten_objects(c, one, after, w.now, 9).await).await;
        assert_eq!((forgotten(None).await, forgotten(Some(a)).await), (vec![a], vec![]));
        let is_sent = async || w.read(async |c| google::load_objects(c, one, &[a]).await).await[0].sent_hash.is_some();
        assert!(!is_sent().await);
        let state = async || w.read(async |c| google::find_object(c, one, a).await).await.unwrap();
        assert!(!state().await.is_current);
        assert!(w.read(async |c| google::find_object(c, w.two.brand, a).await).await.is_none());
        let held = async || w.read(async |c| google::list_held(c, one, &[a, b]).await).await;
        let sent = SentObject { pass: a, hash: objects[0].body_hash.clone() };
        w.write(async |c| google::note_objects(c, one, &[sent], w.now).await).await;
        assert!(is_sent().await && held().await.is_empty() && forgotten(None).await.is_empty());
        let has_users = async |brand, has| w.write(async |c| google::note_users(c, brand, a, has).await).await;
        let owner = Some(w.one.customer);
        assert_eq!([has_users(w.two.brand, true).await, has_users(one, true).await, has_users(one, true).await], [None, owner, None]);
        assert_eq!(held().await, [a]);
        assert!(state().await.is_current && state().await.has_users && state().await.sent_at == Some(w.now));
        assert!(has_users(one, false).await == owner && held().await.is_empty());
        let spend = async |brand, at: i64| {
            w.write(async |c| google::spend_alert(c, brand, a, w.after(at - 100), w.after(at)).await).await
        };
        assert!(!spend(w.two.brand, 1).await);
        assert_eq!([spend(one, 1).await, spend(one, 2).await, spend(one, 3).await, spend(one, 4).await], [true, true, true, false]);
        assert_eq!([spend(one, 101).await, spend(one, 101).await], [true, false], "one as each falls out of the window");
    }

    async fn what_google_lists_is_held_against_what_it_was_sent(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        for (pass, name) in [(a, "i.p.a"), (b, "i.p.b")] {
            w.write(async |c| google::link(c, one, pass, name, w.now).await).await;
            let sent = SentObject { pass, hash: vec![3; 32] };
            w.write(async |c| google::note_objects(c, one, &[sent], w.now).await).await;
        }
        let names = ["i.p.b".to_owned(), "i.p.x".to_owned()];
        assert_eq!(w.read(async |c| google::find_by_names(c, one, &names).await).await, [("i.p.b".to_owned(), b)]);
        assert!(w.read(async |c| google::find_by_names(c, w.two.brand, &names).await).await.is_empty());
        w.write(async |c| google::put_class(c, one, &class("i.t", "1"), true, w.now).await).await;
        let classes = async |after: &str| w.read(async |c| google::list_classes(c, one, after, 9).await).await;
        assert_eq!((classes("").await, classes("i.t").await), (vec![("i.t".to_owned(), PassKind::Loyalty)], vec![]));
        let listed = |is_other| [Listed { pass: b, is_other }];
        let hash = async || w.read(async |c| google::load_objects(c, one, &[b]).await).await.remove(0).sent_hash;
        w.write(async |c| google::note_listed(c, one, &listed(true), false, w.after(9)).await).await;
        assert_eq!(hash().await, Some(vec![3; 32]));
        w.write(async |c| google::note_listed(c, one, &listed(true), true, w.after(9)).await).await;
        assert_eq!(hash().await, Some(vec![0]), "there, and not what we think");
        let missing = async |since| w.read(async |c| google::list_missing(c, one, w.after(since), PassId::FIRST, 9).await).await;
        assert_eq!((missing(5).await, missing(10).await, missing(0).await), (vec![a], vec![a, b], vec![]));
        w.write(async |c| google::note_missing(c, one, &[a]).await).await;
        assert_eq!(w.read(async |c| google::load_objects(c, one, &[a]).await).await[0].sent_hash, None);
    }
}
