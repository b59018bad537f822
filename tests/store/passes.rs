//! Passes as the API sees them.

use passarela::domain::ids::PassId;
use passarela::domain::pass::PassStatus;
use passarela::store::passes::{self, Filter};
use serde_json::json;

use super::world::{World, first_content, new_id, pass};
use crate::on_both_engines;

on_both_engines! {
    async fn a_pass_is_found_by_what_names_it_and_by_its_own_brand_only(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let stored = w.pass(&w.one, Some("ana")).await;
        let again = pass(&w.one, Some("ana"), w.now);
        assert!(!w.write(async |c| passes::insert(c, one, &again, &first_content(9, w.now)).await).await);
        assert!(w.read(async |c| passes::find(c, one, again.id).await).await.is_none(), "a refused pass leaves no row");
        let link = stored.link.reveal();
        for (brand, is_there) in [(one, true), (two, false)] {
            let by_id = w.read(async |c| passes::find(c, brand, stored.id).await).await;
            let by_external_id = w.read(async |c| passes::find_by_external_id(c, brand, "ana").await).await;
            let by_link = w.read(async |c| passes::find_by_link(c, brand, link).await).await;
            let by_code = w.read(async |c| passes::find_customer_by_code(c, brand, &stored.code_id).await).await;
            assert_eq!(
                [by_id.is_some(), by_external_id.is_some(), by_link.is_some(), by_code.is_some()],
                [is_there; 4]
            );
        }
        let found = w.read(async |c| passes::find(c, one, stored.id).await).await.unwrap();
        assert_eq!((found.data, found.created_at, found.code_id), (stored.data, w.now, stored.code_id));
    }

    async fn a_list_is_narrowed_and_goes_page_by_page(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let mut ids = Vec::new();
        for index in 0..4 {
            ids.push(w.pass(&w.one, Some(&format!("p{index}"))).await.id);
        }
        w.pass(&w.two, Some("p0")).await;
        let void = PassStatus::Voided;
        w.write(async |c| passes::set_status(c, one, ids[1], PassStatus::Active, void, w.now).await).await.unwrap();
        let list = async |filter: Filter, after, limit| {
            let found = w.read(async |c| passes::list(c, one, &filter, after, limit).await).await;
            found.into_iter().map(|pass| pass.id).collect::<Vec<_>>()
        };
        assert_eq!(list(Filter::default(), None, 3).await, ids[..3]);
        assert_eq!(list(Filter::default(), Some(ids[2]), 3).await, ids[3..]);
        assert_eq!(list(Filter { status: Some(void), ..Filter::default() }, None, 9).await, [ids[1]]);
        assert_eq!(list(Filter { external_id: Some("p2".to_owned()), ..Filter::default() }, None, 9).await, [ids[2]]);
        assert_eq!(list(Filter { customer: Some(w.one.customer), ..Filter::default() }, None, 9).await, ids);
        assert_eq!(list(Filter { customer: Some(w.two.customer), ..Filter::default() }, None, 9).await, []);
        assert_eq!(list(Filter { template: Some(w.one.template), ..Filter::default() }, Some(ids[0]), 2).await, ids[1..3]);
    }

    async fn a_change_is_written_where_nothing_changed_since_it_was_read(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let id = w.pass(&w.one, None).await.id;
        let data = json!({ "points": 2 }).as_object().unwrap().clone();
        let set = async |brand, seen| {
            w.write(async |c| passes::set_data(c, brand, id, &data, seen, w.after(1)).await).await
        };
        assert!(set(two, 1).await.is_none());
        let changed = set(one, 1).await.unwrap();
        assert_eq!((changed.change_no, changed.published_no, changed.updated_at), (2, 1, w.after(1)));
        assert!(set(one, 1).await.is_none());
        let expire = async || {
            w.write(async |c| passes::set_status(c, one, id, PassStatus::Active, PassStatus::Expired, w.now).await).await
        };
        assert_eq!(expire().await.unwrap().status, PassStatus::Expired);
        assert!(expire().await.is_none(), "once");
        let code = changed.code_id;
        assert!(w.read(async |c| passes::find_customer_by_code(c, one, &code).await).await.is_none(), "not active");
    }

    async fn a_pass_has_one_successor_which_may_have_its_external_id(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let old = w.pass(&w.one, Some("ana")).await.id;
        let reissue = async |successor| {
            w.write(async |c| passes::set_reissued(c, one, old, successor, w.now).await).await
        };
        assert!(reissue(PassId::new(new_id())).await);
        assert!(!reissue(PassId::new(new_id())).await);
        w.write(async |c| passes::release_external_id(c, one, old).await).await;
        let successor = w.pass(&w.one, Some("ana")).await;
        let found = w.read(async |c| passes::find_by_external_id(c, one, "ana").await).await.unwrap();
        assert_eq!(found.id, successor.id);
        assert_eq!(w.read(async |c| passes::find(c, one, old).await).await.unwrap().status, PassStatus::Voided);
    }

    async fn a_form_is_answered_once(engine) {
        let w = World::new(engine).await;
        let (one, pass) = (w.one.brand, w.pass(&w.one, None).await.id);
        assert!(!w.write(async |c| passes::set_signed_up(c, w.two.brand, pass, w.now).await).await);
        assert!(w.write(async |c| passes::set_signed_up(c, one, pass, w.now).await).await);
        assert!(!w.write(async |c| passes::set_signed_up(c, one, pass, w.after(1)).await).await);
        let changed = w.read(async |c| passes::find(c, one, pass).await).await.unwrap();
        assert_eq!((changed.change_no, changed.updated_at), (2, w.now), "due without the form");
    }

    async fn what_a_pass_shows_of_others_marks_it_to_be_published(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(w.pass(&w.one, None).await.id);
        }
        let other = w.pass(&w.two, None).await.id;
        assert_eq!(w.write(async |c| passes::touch_customer(c, one, w.one.customer, w.now).await).await, 3);
        let touched = w.write(async |c| passes::touch_program(c, one, w.one.program, PassId::FIRST, 2).await).await;
        assert_eq!(touched, ids[..2]);
        let touched = w.write(async |c| passes::touch_program(c, one, w.one.program, ids[1], 2).await).await;
        assert_eq!(touched, ids[2..]);
        for (brand, id, change_no) in [(one, ids[0], 3), (w.two.brand, other, 1)] {
            assert_eq!(w.read(async |c| passes::find(c, brand, id).await).await.unwrap().change_no, change_no);
        }
    }
}
