//! Devices, their registrations, what they complain of, and what is still to be told to them.

use passarela::domain::delivery::Channel;
use passarela::domain::ids::DeviceId;
use passarela::domain::pass::Lane;
use passarela::domain::secret::Secret;
use passarela::domain::tag::Tag;
use passarela::store::devices::{AskedSince, Registering};
use passarela::store::publication::{self, Published};
use passarela::store::{devices, logs, outbox};

use super::world::{Tenant, World, device, new_id};
use crate::on_both_engines;

fn asked(tenant: &Tenant, library_id: &str, epoch: i64, n: i64) -> AskedSince {
    AskedSince {
        pass_type: tenant.pass_type.clone(),
        library_id: Secret::new(library_id.to_owned()),
        tag: Tag { epoch, n },
    }
}

on_both_engines! {
    async fn a_device_keeps_its_id_and_takes_a_new_token(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let first = w.device(&w.one, pass, "phone").await;
        let offered = DeviceId::new(new_id());
        let again = device(&w.one, "phone", "bb");
        assert_eq!(w.write(async |c| devices::upsert(c, one, offered, &again, w.after(5)).await).await, first);
        assert_eq!(w.write(async |c| devices::register(c, one, pass, first, w.now).await).await, None, "known");
        let holders = w.read(async |c| devices::list_holders(c, one, pass, 9).await).await;
        assert_eq!((holders.len(), holders[0].token_updated_at, holders[0].is_told), (1, w.after(5), true));
        assert_eq!(w.read(async |c| devices::count_holders(c, one, pass).await).await, 1);
        assert_eq!(w.read(async |c| devices::count_holders(c, w.two.brand, pass).await).await, 0);
        let each = w.read(async |c| devices::count_holders_each(c, one, &[pass]).await).await;
        assert_eq!(each.get(&pass), Some(&1));
        let lone = w.pass(&w.one, None).await.id;
        let new = w.write(async |c| devices::register(c, one, lone, first, w.now).await).await;
        assert_eq!(new, Some((2, 2)), "its newest tag and its first");
    }

    async fn a_device_is_listed_what_is_newer_than_its_tag(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await, w.pass(&w.one, None).await);
        let phone = w.device(&w.one, a.id, "phone").await;
        w.device(&w.one, b.id, "phone").await;
        w.device(&w.one, b.id, "watch").await;
        let epoch = w.now.timestamp();
        let list = async |asks: &[AskedSince]| {
            let listed = w.read(async |c| devices::list_updated(c, one, asks).await).await;
            listed.into_iter().map(|passes| passes.into_iter().map(|row| row.serial).collect()).collect::<Vec<Vec<_>>>()
        };
        let ask = |library_id: &str, epoch, n| asked(&w.one, library_id, epoch, n);
        let all = vec![a.serial.clone(), b.serial.clone()];
        let asks = [
            ask("phone", epoch, 1), ask("watch", epoch, 2), ask("phone", 0, 0), ask("nobody", epoch, 0),
            ask("phone", epoch, 999), ask("phone", epoch + 1, 2),
        ];
        let told = list(&asks).await;
        assert_eq!(told[0], std::slice::from_ref(&b.serial));
        assert!(told[1].is_empty() && told[3].is_empty());
        assert_eq!([&told[2], &told[4], &told[5]], [&all; 3], "no tag, one never handed out, another epoch's: everything");
        w.write(async |c| devices::set_listed_tag(c, one, a.id, phone, 7).await).await;
        assert_eq!(list(&[ask("phone", epoch, 2)]).await, [[a.serial.clone()]], "a registration's own tag");
        let foreign = w.read(async |c| devices::list_updated(c, w.two.brand, &asks).await).await;
        assert!(foreign.iter().all(Vec::is_empty));
    }

    async fn the_last_registration_takes_the_device_and_its_row_along(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        let phone = w.device(&w.one, a, "phone").await;
        w.device(&w.one, b, "phone").await;
        let row = [(phone.uuid(), Lane::Interactive)];
        let enqueue = async || w.write(async |c| outbox::enqueue(c, one, Channel::Apns, &row, w.now, w.now).await).await;
        assert_eq!((enqueue().await, enqueue().await), (1, 0), "one pending row a device");
        let pending = async || w.read(async |c| outbox::count_waiting(c, one, Channel::Apns, 9).await).await;
        let leave = async |pass| w.write(async |c| devices::unregister(c, one, pass, "pass.one", "phone").await).await;
        assert_eq!((leave(a).await, leave(a).await, pending().await.open), (Some(phone), None, 1));
        assert_eq!((leave(b).await, leave(b).await, pending().await.open), (Some(phone), None, 0));
    }

    async fn who_was_not_told_of_the_newest_is_found(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await.id;
        let mut phones = Vec::new();
        for name in ["a", "b", "c"] {
            phones.push(w.device(&w.one, pass, name).await);
        }
        let forgotten = async |after| w.read(async |c| outbox::list_forgotten(c, one, after, w.now, w.now, 9).await).await;
        assert!(forgotten(None).await.is_empty());
        let new = Published {
            pass, published_no: 1, tag_n: 40, last_modified: 1, render_at: None, template_version: 1,
            apple: Vec::new(), apple_hash: vec![0; 32], google: Vec::new(), google_hash: vec![0; 32],
        };
        w.write(async |c| publication::publish(c, one, &[new], w.now, w.now).await).await;
        assert_eq!(forgotten(None).await, phones);
        assert_eq!(forgotten(Some(phones[0])).await, phones[1..]);
        let row = [(phones[1].uuid(), Lane::Bulk)];
        w.write(async |c| outbox::enqueue(c, one, Channel::Apns, &row, w.now, w.now).await).await;
        assert_eq!(forgotten(None).await, [phones[0], phones[2]], "what is queued is not forgotten");
        let holders = w.read(async |c| outbox::list_holding_devices(c, one, &[pass], Some(phones[0]), 1).await).await;
        assert_eq!(holders, [phones[1]]);
        assert!(w.read(async |c| outbox::list_holding_devices(c, w.two.brand, &[pass], None, 9).await).await.is_empty());
    }

    async fn many_devices_are_stored_with_their_passes_at_once(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let (a, b) = (w.pass(&w.one, None).await.id, w.pass(&w.one, None).await.id);
        let row = |pass, name| Registering { pass, new_id: DeviceId::new(new_id()), device: device(&w.one, name, "aa") };
        let rows = [row(a, "x"), row(a, "y"), row(b, "z")];
        w.write(async |c| devices::insert_many(c, one, &rows, i64::MAX, w.now).await).await;
        w.write(async |c| devices::insert_many(c, one, &[], 0, w.now).await).await;
        let each = w.read(async |c| devices::count_holders_each(c, one, &[a, b]).await).await;
        assert_eq!((each[&a], each[&b]), (2, 1));
        let holders = w.read(async |c| devices::list_holders(c, one, b, 9).await).await;
        assert!(holders[0].is_told && holders[0].device_id == rows[2].new_id);
    }

    async fn the_newest_registrations_are_kept(engine) {
        let w = World::new(engine).await;
        let pass = w.pass(&w.one, None).await.id;
        for name in ["a", "b", "c"] {
            w.device(&w.one, pass, name).await;
        }
        let surplus = w.read(async |c| devices::list_surplus(c, w.one.brand, pass, 1).await).await;
        assert_eq!(surplus.iter().map(|id| id.reveal().as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(w.read(async |c| devices::list_surplus(c, w.one.brand, pass, 3).await).await.is_empty());
        assert!(w.read(async |c| devices::list_surplus(c, w.two.brand, pass, 0).await).await.is_empty());
    }

    async fn the_newest_complaints_are_kept_with_their_pass(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let pass = w.pass(&w.one, None).await;
        let phone = w.device(&w.one, pass.id, "phone").await;
        for index in 0..5 {
            let about = logs::About {
                pass_type: Some(&pass.pass_type),
                serial: (index != 2).then_some(pass.serial.as_str()),
                library_id: (index == 2).then_some("phone"),
            };
            let message = format!("m{index}");
            w.write(async |c| logs::insert(c, one, new_id(), about, &message, w.after(index)).await).await;
        }
        w.write(async |c| logs::insert(c, w.two.brand, new_id(), logs::About::default(), "theirs", w.now).await).await;
        assert_eq!(w.write(async |c| logs::trim(c, one, 3, 1).await).await, 1);
        assert_eq!(w.write(async |c| logs::trim(c, one, 3, 9).await).await, 1);
        let kept = async |devices: &[DeviceId]| {
            let kept = w.read(async |c| logs::list_about(c, one, pass.id, devices, 9).await).await;
            kept.into_iter().map(|row| (row.message.reveal().clone(), row.device_id)).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[]).await, [("m4".to_owned(), None), ("m3".to_owned(), None)]);
        assert_eq!(kept(&[phone]).await[2], ("m2".to_owned(), Some(phone)));
        assert_eq!(w.write(async |c| logs::trim(c, w.two.brand, 1, 9).await).await, 0);
    }
}
