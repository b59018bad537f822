//! Brands, programs, templates, keys and the installation's one row.

use passarela::domain::ids::{KeyId, StoreId, TemplateId};
use passarela::domain::role::Role;
use passarela::store::keys::ApiKey;
use passarela::store::{brands, installation, keys, programs, templates};

use super::world::{World, new_id, program};
use crate::on_both_engines;

on_both_engines! {
    async fn the_first_master_key_is_the_one_that_is_kept(engine) {
        let w = World::new(engine).await;
        assert_eq!(w.read(async |c| installation::find_master_key_check(c).await).await, None);
        for check in [[1; 32], [2; 32]] {
            let kept = w.write(async |c| installation::keep_master_key_check(c, &check, w.now).await).await;
            assert_eq!(kept, [1; 32]);
        }
        w.read(async |c| installation::ping(c).await).await;
    }

    async fn a_brand_is_found_by_its_code_and_owns_its_pass_types(engine) {
        let w = World::new(engine).await;
        let found = w.read(async |c| brands::find_by_code(c, "aaaaaaaa").await).await.unwrap();
        assert_eq!((found.id, found.created_at), (w.one.brand, w.now));
        assert!(w.read(async |c| brands::find_by_code(c, "AAAAAAAA").await).await.is_none());
        assert_eq!(w.read(async |c| brands::load(c, w.two.brand).await).await.code, "bbbbbbbb");
        assert_eq!(w.read(async |c| brands::list(c).await).await.len(), 2);
        assert!(!w.write(async |c| brands::retire_code_keys(c, w.one.brand).await).await);
        assert!(w.write(async |c| brands::renew_code_key(c, w.one.brand, 1).await).await);
        assert!(!w.write(async |c| brands::renew_code_key(c, w.one.brand, 1).await).await);
        assert!(w.write(async |c| brands::retire_code_keys(c, w.one.brand).await).await);
        let keys = async |brand| w.read(async |c| brands::load(c, brand).await).await;
        assert_eq!((keys(w.one.brand).await.newest_code_key, keys(w.one.brand).await.oldest_code_key), (2, 2));
        assert_eq!((keys(w.two.brand).await.newest_code_key, keys(w.two.brand).await.oldest_code_key), (1, 1));
        assert!(!w.write(async |c| brands::insert_pass_type(c, w.two.brand, "pass.one", w.now).await).await);
        assert_eq!(w.read(async |c| brands::list_pass_types(c, w.one.brand).await).await, ["pass.one"]);
        assert_eq!(w.read(async |c| brands::find_owner(c, "pass.two").await).await, Some(w.two.brand));
        assert_eq!(w.read(async |c| brands::find_owner(c, "pass.three").await).await, None);
    }

    async fn tags_grow_by_what_is_taken_and_a_new_epoch_never_repeats(engine) {
        let w = World::new(engine).await;
        let take = async |count| w.write(async |c| brands::take_tags(c, w.one.brand, "pass.one", count).await).await;
        let first = take(3).await;
        assert_eq!((first.n, first.epoch), (3, w.now.timestamp()));
        assert_eq!(take(1).await.n, 4);
        w.write(async |c| brands::begin_tag_epoch(c, w.one.brand, w.now.timestamp()).await).await;
        assert_eq!(take(1).await.epoch, w.now.timestamp() + 1, "restored within the second it was made in");
        w.write(async |c| brands::begin_tag_epoch(c, w.one.brand, w.after(90).timestamp()).await).await;
        assert_eq!(take(1).await.epoch, w.after(90).timestamp());
        let other = w.write(async |c| brands::take_tags(c, w.two.brand, "pass.two", 1).await).await;
        assert_eq!((other.n, other.epoch), (1, w.now.timestamp()));
    }

    async fn a_program_is_edited_at_the_version_that_was_seen(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let new = program(Some("club"), w.now);
        assert!(w.write(async |c| programs::insert(c, one, &new).await).await);
        assert!(!w.write(async |c| programs::insert(c, one, &program(Some("club"), w.now)).await).await);
        assert!(w.write(async |c| programs::insert(c, two, &program(Some("club"), w.now)).await).await);
        let found = w.read(async |c| programs::find_by_external_id(c, one, "club").await).await.unwrap();
        assert_eq!(found.id, new.id);
        assert!(w.read(async |c| programs::find(c, two, new.id).await).await.is_none(), "another brand's");
        let edit = async |seen| {
            w.write(async |c| programs::update(c, one, new.id, Some("Novo"), None, seen, w.after(1)).await).await
        };
        assert_eq!(edit(Some(1)).await.map(|program| (program.name, program.version)), Some(("Novo".to_owned(), 2)));
        assert!(edit(Some(1)).await.is_none());
        assert_eq!(edit(None).await.unwrap().version, 3);
        assert_eq!(w.read(async |c| programs::find(c, one, new.id).await).await.unwrap().time_zone, new.time_zone);
        let page = w.read(async |c| programs::list(c, one, None, 1).await).await;
        let rest = w.read(async |c| programs::list(c, one, Some(page[0].id), 5).await).await;
        assert_eq!((page.len(), rest.len()), (1, 1));
    }

    async fn a_program_that_changed_has_its_passes_marked_from_the_first(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let due = async |after| w.read(async |c| programs::next_brand_to_touch(c, after).await).await;
        assert_eq!(due(None).await, None);
        let edit = async || w.write(async |c| programs::update(c, one, w.one.program, Some("N"), None, None, w.now).await).await;
        edit().await.unwrap();
        assert_eq!((due(None).await, due(Some(one)).await), (Some(one), None));
        assert_eq!(w.write(async |c| programs::lock_to_touch(c, two).await).await, None);
        let some = passarela::domain::ids::PassId::new(new_id());
        w.write(async |c| {
            let next = programs::lock_to_touch(c, one).await?.unwrap();
            assert_eq!((next.program_id, next.touched_to), (w.one.program, passarela::domain::ids::PassId::FIRST));
            programs::set_touched(c, one, next.program_id, Some(some)).await
        })
        .await;
        let next = w.write(async |c| programs::lock_to_touch(c, one).await).await.unwrap();
        assert_eq!(next.touched_to, some);
        edit().await.unwrap();
        let next = w.write(async |c| programs::lock_to_touch(c, one).await).await.unwrap();
        assert_eq!(next.touched_to, passarela::domain::ids::PassId::FIRST, "changed again: from the first again");
        w.write(async |c| programs::set_touched(c, one, w.one.program, None).await).await;
        assert_eq!(due(None).await, None);
    }

    async fn a_template_s_versions_keep_their_files(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let first = w.read(async |c| templates::find_by_name(c, one, "clube").await).await.unwrap();
        assert_eq!((first.id, first.version), (w.one.template, 1));
        let mut again = first.clone();
        again.id = TemplateId::new(new_id());
        let second = w.write(async |c| templates::next_version(c, one, &again).await).await;
        assert_eq!((second.id, second.version), (first.id, 2), "the same template, whatever id was offered");
        for (version, content) in [(1, b"a"), (2, b"b")] {
            w.write(async |c| templates::insert_file(c, one, first.id, version, "x.png", content).await).await;
        }
        let files = w.read(async |c| templates::list_files(c, one, first.id, 1).await).await;
        assert_eq!(files, [("x.png".to_owned(), b"a".to_vec())]);
        assert!(w.read(async |c| templates::list_files(c, two, first.id, 1).await).await.is_empty());
        assert!(w.read(async |c| templates::find(c, two, first.id).await).await.is_none());
        assert_eq!(w.read(async |c| templates::find(c, one, first.id).await).await.unwrap().version, 2);
        assert!(w.read(async |c| templates::list(c, one, Some(first.id), 5).await).await.is_empty());
    }

    async fn a_key_lives_until_it_is_revoked_or_its_time_is_over(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let key = ApiKey {
            id: KeyId::new(new_id()),
            role: Role::Pos,
            store_id: Some(StoreId::new(new_id())),
            terminal: Some("caixa-1".to_owned()),
            name: "till".to_owned(),
            created_at: w.now,
            expires_at: Some(w.after(10)),
            revoked_at: None,
        };
        w.write(async |c| keys::insert(c, one, &key, &[5; 32]).await).await;
        let live = async |brand, at| w.read(async |c| keys::find_live(c, brand, &[5; 32], w.after(at)).await).await;
        assert_eq!(live(one, 9).await.unwrap().store_id, key.store_id);
        assert!(live(one, 10).await.is_none(), "its time is over");
        assert!(live(two, 0).await.is_none(), "another brand's");
        assert!(w.write(async |c| keys::revoke(c, two, key.id, w.now).await).await.is_none());
        for at in [3, 4] {
            let revoked = w.write(async |c| keys::revoke(c, one, key.id, w.after(at)).await).await.unwrap();
            assert_eq!(revoked.revoked_at, Some(w.after(3)), "the first time stays");
        }
        assert!(live(one, 0).await.is_none());
        assert_eq!(w.read(async |c| keys::list(c, one, None, 5).await).await.len(), 1);
        assert!(w.read(async |c| keys::list(c, one, Some(key.id), 5).await).await.is_empty());
    }
}
