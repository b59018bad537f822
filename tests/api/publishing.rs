//! From a change to those who are told: the publisher, the sweep, the calendar.

use chrono::{DateTime, TimeDelta, Utc};
use passarela::domain::delivery::Channel;
use passarela::service::publish;
use passarela::store::outbox;
use serde_json::{Value, json};

use crate::app::{TestApp, TestPass};
use crate::apple_web_service::Phone;
use crate::on_both_engines;

/// Pending deliveries of the first brand.
async fn pending(app: &TestApp) -> i64 {
    let mut reader = app.app().db.read().await.unwrap();
    outbox::count_waiting(&mut reader.conn(), app.one.brand.id, Channel::Apns, 1_000).await.unwrap().open
}

pub async fn forget_deliveries(app: &TestApp) {
    match &app.app().db {
        passarela::store::Db::Sqlite { writer, .. } => {
            sqlx::query("DELETE FROM outbox").execute(writer).await.unwrap();
        }
        passarela::store::Db::Postgres { writers: pool, .. } => {
            sqlx::query("DELETE FROM outbox").execute(pool).await.unwrap();
        }
    }
}

async fn published(app: &TestApp, pass: &TestPass) -> Value {
    Phone::new(app, "reader").fetch(pass, None).await.2.unwrap()
}

on_both_engines! {
    async fn a_change_queues_one_delivery_per_device_however_many_passes_changed(engine) {
        let app = TestApp::start(engine).await;
        let (one, two) = (app.issue("ana").await, app.issue("bia").await);
        for device in ["d1", "d2"] {
            let phone = Phone::new(&app, device);
            phone.register(&one, "aa01").await;
            phone.register(&two, "aa01").await;
        }
        assert_eq!(pending(&app).await, 0, "what was just downloaded needs no telling");
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&one, 5).await;
        app.set_points(&two, 6).await;
        app.work().await;
        assert_eq!(pending(&app).await, 2);
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&one, 7).await;
        app.work().await;
        assert_eq!(pending(&app).await, 2, "a device that will come anyway is not told twice");
    }

    async fn a_change_that_shows_nothing_tells_nobody(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let phone = Phone::new(&app, "d1");
        phone.register(&pass, "aa01").await;
        let (_, modified, _) = phone.fetch(&pass, None).await;
        app.clock.advance(TimeDelta::seconds(2));
        let body = json!({ "data": { "not_in_the_template": 1 } });
        app.patch(&format!("/api/v1/passes/{}", pass.id), &app.one.key, &body).await;
        app.work().await;
        let (_, view) = app.get(&format!("/api/v1/passes/{}", pass.id), &app.one.key).await;
        assert_eq!(view["is_published"], true);
        assert_eq!(pending(&app).await, 0);
        assert_eq!(phone.fetch(&pass, modified.as_deref()).await.0, 304);
    }

    async fn a_pass_is_published_at_most_once_a_second(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 2).await;
        app.work().await;
        app.set_points(&pass, 3).await;
        app.work().await;
        assert_eq!(published(&app, &pass).await["storeCard"]["headerFields"][0]["value"], 2);
        app.clock.advance(TimeDelta::milliseconds(1_000));
        app.work().await;
        assert_eq!(published(&app, &pass).await["storeCard"]["headerFields"][0]["value"], 3);
    }

    async fn the_sweep_heals_when_every_delivery_is_lost(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        for device in ["d1", "d2", "d3"] {
            Phone::new(&app, device).register(&pass, "aa").await;
        }
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 9).await;
        app.work().await;
        assert_eq!(pending(&app).await, 3);
        forget_deliveries(&app).await;
        app.sweep().await;
        assert_eq!(pending(&app).await, 3);
        app.sweep().await;
        assert_eq!(pending(&app).await, 3, "a second sweep finds nothing to do");
    }

    async fn a_phone_that_registers_after_a_change_is_told_and_listed(engine) {
        let app = TestApp::start(engine).await;
        let (late, other) = (app.issue("late").await, app.issue("other").await);
        // The phone downloads `late`; it changes; the phone's tag moves past that change by another pass.
        let mut phone = Phone::new(&app, "d1");
        phone.register(&other, "aa01").await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&late, 50).await;
        app.work().await;
        app.set_points(&other, 60).await;
        app.clock.advance(TimeDelta::seconds(2));
        app.work().await;
        assert_eq!(phone.list(&other).await, std::slice::from_ref(&other.serial));
        forget_deliveries(&app).await;
        assert_eq!(phone.register(&late, "aa01").await, 201);
        assert_eq!(pending(&app).await, 1, "one delayed push");
        assert_eq!(phone.list(&late).await, std::slice::from_ref(&late.serial), "though its tag is newer than the pass's");
        assert!(phone.list(&late).await.is_empty());
    }

    async fn a_change_during_publication_is_published_next(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 2).await;
        // A publisher that died after claiming: nobody else may have the pass until its lease runs out.
        let mut tx = app.app().db.begin().await.unwrap();
        let now = passarela::clock::Clock::now(&*app.clock);
        let lease = now + TimeDelta::seconds(30);
        let claims = passarela::store::publication::claim(&mut tx.conn(), app.one.brand.id, now, lease, 10).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claims.len(), 1);
        assert_eq!(publish::publish_due(app.app(), app.one.brand.id).await.unwrap().claimed, 0);
        app.set_points(&pass, 3).await;
        app.clock.advance(TimeDelta::seconds(31));
        app.work().await;
        assert_eq!(published(&app, &pass).await["storeCard"]["headerFields"][0]["value"], 3);
    }

    async fn text_that_depends_on_the_day_changes_with_the_day(engine) {
        let app = TestApp::start(engine).await;
        let noon: DateTime<Utc> = "2026-12-20T15:00:00Z".parse().unwrap();
        app.clock.set(noon);
        let pass = app.issue("ana").await;
        let phone = Phone::new(&app, "d1");
        phone.register(&pass, "aa01").await;
        let body = json!({ "data": { "offer_ends": "2026-12-24" } });
        app.clock.advance(TimeDelta::seconds(2));
        app.patch(&format!("/api/v1/passes/{}", pass.id), &app.one.key, &body).await;
        app.work().await;
        let offer = |pass: Value| {
            let fields = pass["storeCard"]["backFields"].as_array().unwrap().clone();
            fields.into_iter().find(|field| field["key"] == "offer_ends").map(|field| field["value"].as_str().unwrap().to_owned())
        };
        assert_eq!(offer(published(&app, &pass).await).as_deref(), Some("2026-12-24 (4 d)"));
        forget_deliveries(&app).await;
        // 23:59 in São Paulo: nothing yet; a minute later it is tomorrow there.
        app.clock.set("2026-12-21T02:59:00Z".parse().unwrap());
        app.work().await;
        assert_eq!(pending(&app).await, 0);
        app.clock.set("2026-12-21T03:00:00Z".parse().unwrap());
        app.work().await;
        assert_eq!(offer(published(&app, &pass).await).as_deref(), Some("2026-12-24 (3 d)"));
        assert_eq!(pending(&app).await, 1);
    }

    async fn a_pass_that_its_template_cannot_show_keeps_what_it_had(engine) {
        let app = TestApp::start(engine).await;
        let (good, bad) = (app.issue("good").await, app.issue("bad").await);
        app.clock.advance(TimeDelta::seconds(2));
        let body = json!({ "data": { "points": "many" } });
        let (status, problem) = app.patch(&format!("/api/v1/passes/{}", bad.id), &app.one.key, &body).await;
        assert_eq!((status, problem["type"].as_str()), (422, Some("/problems/template-refused")));
        // What gets in all the same, by an older design for example, is the publisher's to refuse.
        let mut tx = app.app().db.begin().await.unwrap();
        let (id, now) = (bad.id.parse().unwrap(), passarela::clock::Clock::now(&*app.clock));
        let data = body["data"].as_object().unwrap();
        passarela::store::passes::set_data(&mut tx.conn(), app.one.brand.id, id, data, 1, now).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        app.set_points(&good, 7).await;
        app.work().await;
        assert_eq!(published(&app, &bad).await["storeCard"]["headerFields"][0]["value"], 1);
        assert_eq!(published(&app, &good).await["storeCard"]["headerFields"][0]["value"], 7);
        app.set_points(&bad, 8).await;
        app.clock.advance(TimeDelta::minutes(6));
        app.work().await;
        assert_eq!(published(&app, &bad).await["storeCard"]["headerFields"][0]["value"], 8);
    }
}
