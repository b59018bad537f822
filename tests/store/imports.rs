//! What imports read and write: the same as other use cases, for many at once.

use passarela::domain::identifier::IdentifierKind;
use passarela::domain::ids::{CustomerId, EventId, MemberId};
use passarela::domain::secret::Personal;
use passarela::store::customers::Identifier;
use passarela::store::events::NewEvent;
use passarela::store::imports::{self, ChangedPass, Member, NewPass, Several};
use passarela::store::{brands, customers, events, members, passes, publication};
use serde_json::json;

use super::world::{World, customer, first_content, new_id, pass};
use crate::on_both_engines;

fn identifier(kind: IdentifierKind, value: &str) -> Identifier {
    let lookup = [kind.as_str().as_bytes(), value.as_bytes()].concat();
    Identifier { kind, value: Personal::new(value.to_owned()), lookup }
}

on_both_engines! {
    async fn people_are_found_and_held_by_what_they_are_known_by(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let (ana, rui) = (customer("Ana", w.now), customer("Rui", w.now));
        w.write(async |c| imports::insert_customers(c, one, &[&ana, &rui]).await).await;
        let (cpf, phone) = (identifier(IdentifierKind::Cpf, "1"), identifier(IdentifierKind::Phone, "+55"));
        let card = identifier(IdentifierKind::CardNumber, "74");
        let rows = [(ana.id, &cpf), (ana.id, &phone), (rui.id, &phone), (ana.id, &card)];
        assert_eq!(w.write(async |c| imports::insert_identifiers(c, one, &rows, w.now).await).await, 4);
        assert_eq!(w.write(async |c| imports::insert_identifiers(c, one, &[(rui.id, &cpf)], w.now).await).await, 0, "Ana's");
        let unknown = identifier(IdentifierKind::Cpf, "2");
        let asked = [&unknown, &phone, &cpf];
        let named = w.read(async |c| imports::find_named(c, one, &asked).await).await;
        assert_eq!(named, [Ok(None), Err(Several), Ok(Some(ana.id))]);
        assert_eq!(w.read(async |c| imports::find_named(c, two, &asked).await).await, [Ok(None); 3]);
        let ids = [ana.id, rui.id, CustomerId::FIRST];
        let found = w.read(async |c| imports::find_customers(c, one, &ids).await).await;
        let mut found: Vec<_> = found.iter().map(|known| (known.customer.id, known.card_number.is_some())).collect();
        found.sort_unstable();
        assert_eq!(found, [(ana.id, true), (rui.id, false)]);
        assert!(w.read(async |c| imports::find_customers(c, two, &ids).await).await.is_empty());
        let known = w.read(async |c| imports::find_identifiers(c, one, &ids).await).await;
        assert!(known.len() == 4 && known.contains(&(rui.id, "phone".to_owned(), phone.lookup.clone())));
        let held = w.write(async |c| {
            imports::lock_lookups(c, &asked).await?;
            imports::hold_customers(c, one, &ids).await
        }).await;
        assert_eq!(held.len(), 2);
        assert!(held.contains(&(ana.id, 1)));
        assert!(w.write(async |c| customers::update(c, one, &ana, w.now).await).await);
        assert!(w.write(async |c| imports::hold_customers(c, one, &[ana.id]).await).await.contains(&(ana.id, 2)));
        assert!(w.write(async |c| imports::hold_customers(c, two, &[ana.id]).await).await.is_empty());

        let member = |customer| Member { id: MemberId::new(new_id()), program: w.one.program, customer, since: w.now };
        let both = [member(ana.id), member(rui.id)];
        assert_eq!(w.write(async |c| imports::insert_members(c, one, &both[..1]).await).await, 1);
        assert_eq!(w.write(async |c| imports::insert_members(c, one, &both).await).await, 1, "Ana is one");
        let found = w.read(async |c| imports::find_members(c, one, &ids).await).await;
        assert!(found.len() == 2 && found.contains(&both[0]));
        assert!(w.read(async |c| imports::find_members(c, two, &ids).await).await.is_empty());
        let again = w.write(async |c| members::ensure(c, one, w.one.program, ana.id, MemberId::FIRST, w.now).await).await;
        assert_eq!(again.0, both[0].id);
    }

    async fn designs_are_held_as_they_were_read(engine) {
        let w = World::new(engine).await;
        let (template, program) = (w.one.template, w.one.program);
        let hold = async |brand, templates: &[_], programs: &[_]| {
            w.write(async |c| imports::hold_designs(c, brand, templates, programs).await).await
        };
        assert!(hold(w.one.brand, &[(template, 1)], &[(program, 1)]).await);
        assert!(!hold(w.one.brand, &[(template, 2)], &[(program, 1)]).await);
        assert!(!hold(w.one.brand, &[(template, 1)], &[(program, 2)]).await);
        assert!(!hold(w.two.brand, &[(template, 1)], &[(program, 1)]).await);
        assert!(hold(w.two.brand, &[], &[]).await);
    }

    async fn passes_are_stored_together_or_told_to_be_there(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let ids = ["a", "b", "c"];
        let mut made: Vec<_> = ids.iter().map(|id| pass(&w.one, Some(id), w.now)).collect();
        made[0].token_hash = Some(vec![7; 32]);
        let tag = w.write(async |c| brands::take_tags(c, one, &w.one.pass_type, 3).await).await;
        let first = first_content(tag.n, w.now);
        let new: Vec<_> = made.iter().map(|pass| NewPass { pass, first: &first }).collect();
        assert_eq!(w.write(async |c| imports::insert_passes(c, one, &new[..2]).await).await, 2);
        let found = w.read(async |c| imports::find_passes(c, one, &ids).await).await;
        assert_eq!(found.len(), 2);
        assert!(w.read(async |c| imports::find_passes(c, two, &ids).await).await.is_empty());
        assert_eq!(w.read(async |c| passes::find(c, one, made[0].id).await).await.unwrap().token_hash, made[0].token_hash);
        let served = w.read(async |c| publication::find_apple(c, one, &[made[0].id, made[1].id]).await).await;
        assert!(served.iter().all(Option::is_some));
        let key = [(w.one.pass_type.clone(), made[0].serial.clone())];
        let served = w.read(async |c| publication::find_served(c, one, &key).await).await;
        assert_eq!(served[0].as_ref().unwrap().token_hash, made[0].token_hash);
        let serials = [(w.one.pass_type.as_str(), made[1].serial.as_str()), (w.one.pass_type.as_str(), "new")];
        let taken = w.read(async |c| imports::find_serials(c, one, &serials).await).await;
        assert_eq!(taken, [(w.one.pass_type.clone(), made[1].serial.clone())]);
        assert!(w.read(async |c| imports::find_serials(c, two, &serials).await).await.is_empty());
        // One of three is there: the caller rolls back.
        let mut tx = w.db.begin().await.unwrap();
        assert_eq!(imports::insert_passes(&mut tx.conn(), one, &new).await.unwrap(), 1);
        drop(tx);
        let links = w.read(async |c| imports::find_made(c, one, &[made[0].id, made[2].id]).await).await;
        assert_eq!((links.len(), links[0].external_id.as_deref()), (1, Some("a")));
        assert!(w.read(async |c| imports::find_made(c, two, &[made[0].id]).await).await.is_empty());
    }

    async fn changed_passes_wait_behind_what_somebody_waits_for(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let (bulk, waited) = (w.pass(&w.one, Some("a")).await, w.pass(&w.one, Some("b")).await);
        w.pass(&w.two, Some("a")).await;
        let data = json!({ "points": 2 }).as_object().unwrap().clone();
        w.write(async |c| passes::set_data(c, one, waited.id, &data, 1, w.after(1)).await).await.unwrap();
        let change = |id, seen_change_no| ChangedPass { id, seen_change_no, data: &data, order_hash: &[9; 32], token_hash: Some(&[5; 32]) };
        let set = async |brand, change: ChangedPass<'_>| {
            w.write(async |c| imports::set_passes(c, brand, &[change], w.after(5)).await).await
        };
        assert_eq!(set(one, change(bulk.id, 2)).await, 0, "it is at another change");
        assert_eq!(set(two, change(bulk.id, 1)).await, 0);
        assert_eq!(set(one, change(bulk.id, 1)).await, 1);
        assert_eq!(set(one, change(waited.id, 2)).await, 1);
        let found = w.read(async |c| passes::find(c, one, bulk.id).await).await.unwrap();
        assert_eq!(found.token_hash, Some(vec![5; 32]));
        assert_eq!((found.order_hash, found.change_no, found.data.reveal()["points"].as_i64()), (vec![9; 32], 2, Some(2)));
        let waiting = async |brand| w.read(async |c| imports::count_waiting(c, brand, 9).await).await;
        assert_eq!((waiting(one).await, waiting(two).await), (1, 0));
        // The one that somebody waits for comes first.
        let claims = w.write(async |c| publication::claim(c, one, w.after(9), w.after(99), 9).await).await;
        let sources = w.read(async |c| publication::load_sources(c, one, &[bulk.id, waited.id]).await).await;
        assert_eq!(claims.len(), 2);
        let is_bulk = |id| sources.iter().any(|source| source.pass_id == id && source.bulk_no == source.change_no);
        assert!(is_bulk(bulk.id) && !is_bulk(waited.id));

        w.write(async |c| {
            imports::lock_passes(c, one, &[bulk.id], &[w.one.customer]).await?;
            imports::touch_customers(c, one, &[w.one.customer], w.after(9)).await
        }).await;
        // Twice for a file's sake is still for nobody's.
        let again = w.read(async |c| publication::load_sources(c, one, &[bulk.id]).await).await;
        assert_eq!((again[0].change_no, again[0].bulk_no), (3, 3));
        let after = w.read(async |c| passes::find(c, one, bulk.id).await).await.unwrap();
        assert_eq!((after.change_no, after.updated_at), (3, w.after(9)));
        w.write(async |c| imports::touch_customers(c, two, &[w.one.customer], w.after(9)).await).await;
        assert_eq!(w.read(async |c| passes::find(c, one, bulk.id).await).await.unwrap().change_no, 3);
    }

    async fn events_are_recorded_together(engine) {
        let w = World::new(engine).await;
        let event = || NewEvent {
            id: EventId::new(new_id()),
            kind: "pass.issued",
            customer: Some(w.one.customer),
            pass: None,
            subject: new_id(),
            data: json!({}),
            occurred_at: w.now,
        };
        w.write(async |c| events::insert_many(c, w.one.brand, &[event(), event()]).await).await;
        assert_eq!(w.write(async |c| events::sequence(c, w.one.brand, 9).await).await, 2);
        assert_eq!(w.write(async |c| events::sequence(c, w.two.brand, 9).await).await, 0);
    }
}
