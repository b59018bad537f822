//! Roll-outs: one at a time for a template, and what they mark.

use passarela::domain::ids::{PassId, RolloutId};
use passarela::domain::rollout::{RolloutState, Stage};
use passarela::store::rollouts::{self, Rollout};
use passarela::store::{publication, templates};

use super::world::{Tenant, World, new_id};
use crate::on_both_engines;

fn rollout(w: &World, tenant: &Tenant) -> Rollout {
    Rollout {
        id: RolloutId::new(new_id()),
        template_id: tenant.template,
        from_version: 1,
        to_version: 2,
        resigns: false,
        state: RolloutState::Running,
        stage: Stage::Canary,
        reason: None,
        canary: 1,
        hold_secs: 60,
        per_minute: Some(600),
        total: 3,
        refused_seen: 0,
        touched: 0,
        touched_to: PassId::FIRST,
        next_at: w.now,
        stage_at: w.now,
        created_at: w.now,
        updated_at: w.now,
    }
}

on_both_engines! {
    async fn a_template_has_one_roll_out_under_way(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let (first, second) = (rollout(&w, &w.one), rollout(&w, &w.one));
        let theirs = rollout(&w, &w.two);
        assert!(w.write(async |c| rollouts::insert(c, one, &first).await).await);
        assert!(w.write(async |c| rollouts::insert(c, two, &theirs).await).await);
        assert!(!w.write(async |c| rollouts::insert(c, one, &second).await).await);
        assert_eq!(w.read(async |c| rollouts::find(c, one, first.id).await).await, Some(first.clone()));
        assert_eq!(w.read(async |c| rollouts::find(c, two, first.id).await).await, None);
        let active = async || w.read(async |c| rollouts::has_active(c, one, w.one.template).await).await;
        assert!(active().await);
        w.write(async |c| rollouts::supersede(c, one, w.one.template, w.after(1)).await).await;
        assert!(!active().await);
        assert!(w.write(async |c| rollouts::insert(c, one, &second).await).await);
        let listed = w.read(async |c| rollouts::list(c, one, None, 9).await).await;
        let states: Vec<_> = listed.iter().map(|rollout| (rollout.id, rollout.state)).collect();
        assert_eq!(states, [(first.id, RolloutState::Superseded), (second.id, RolloutState::Running)]);
        assert_eq!(w.read(async |c| rollouts::list(c, one, Some(first.id), 9).await).await.len(), 1);

        use RolloutState::{Paused, Running};
        let set = async |seen, to| {
            w.write(async |c| rollouts::set_state(c, one, second.id, seen, to, Some("why"), w.after(2)).await).await
        };
        assert!(set(Running, Paused).await);
        assert!(!set(Running, Paused).await, "it is paused already");
        assert_eq!(w.read(async |c| rollouts::next_due_brand(c, None, w.after(9)).await).await, Some(two));
        assert_eq!(w.read(async |c| rollouts::find(c, two, theirs.id).await).await.unwrap().state, Running);
    }

    async fn a_step_is_made_by_one_process_when_its_time_has_come(engine) {
        let w = World::new(engine).await;
        let one = w.one.brand;
        let mut ours = Rollout { next_at: w.after(5), ..rollout(&w, &w.one) };
        w.write(async |c| rollouts::insert(c, one, &ours).await).await;
        assert_eq!(w.read(async |c| rollouts::next_due_brand(c, None, w.after(4)).await).await, None);
        assert_eq!(w.write(async |c| rollouts::lock_due(c, one, w.after(4)).await).await, None);
        assert_eq!(w.read(async |c| rollouts::next_due_brand(c, None, w.after(5)).await).await, Some(one));
        assert_eq!(w.read(async |c| rollouts::next_due_brand(c, Some(one), w.after(5)).await).await, None);
        assert_eq!(w.write(async |c| rollouts::lock_due(c, one, w.after(5)).await).await, Some(ours.clone()));
        (ours.stage, ours.touched, ours.next_at, ours.updated_at) = (Stage::Rest, 2, w.after(8), w.after(5));
        w.write(async |c| rollouts::advance(c, one, &ours).await).await;
        assert_eq!(w.read(async |c| rollouts::find(c, one, ours.id).await).await, Some(ours));
    }

    async fn a_roll_out_marks_passes_behind_every_change_that_somebody_waits_for(engine) {
        let w = World::new(engine).await;
        let (one, template) = (w.one.brand, w.one.template);
        let mut passes = Vec::new();
        for _ in 0..3 {
            passes.push(w.pass(&w.one, None).await.id);
        }
        let theirs = w.pass(&w.two, None).await.id;
        passes.sort_unstable();
        assert_eq!(w.read(async |c| rollouts::count_passes(c, one, template).await).await, 3);
        let first = w.write(async |c| rollouts::lock_passes(c, one, template, PassId::FIRST, 2).await).await;
        assert_eq!(first, passes[..2]);
        let rest = w.write(async |c| rollouts::lock_passes(c, one, template, first[1], 9).await).await;
        assert_eq!(rest, passes[2..]);

        let now = w.after(100);
        w.write(async |c| rollouts::want_version(c, one, &[passes[0], passes[1], theirs], 2, now).await).await;
        let sources = w.read(async |c| publication::load_sources(c, one, &passes).await).await;
        for source in sources {
            let is_marked = source.pass_id != passes[2];
            assert_eq!((source.template_version, source.change_no == source.bulk_no), (1 + i64::from(is_marked), is_marked));
        }
        let theirs = w.read(async |c| publication::load_sources(c, w.two.brand, &[theirs]).await).await;
        assert_eq!((theirs[0].template_version, theirs[0].bulk_no), (1, 0), "another brand's");
        let waiting = async |limit| w.read(async |c| rollouts::count_waiting(c, one, template, limit).await).await;
        assert_eq!((waiting(9).await, waiting(1).await), (2, 1));

        let templates = w.read(async |c| rollouts::list_with_passes(c, one, None).await).await;
        assert_eq!(templates, [(template, 3)]);
        assert!(w.read(async |c| rollouts::list_with_passes(c, one, Some("pass.other")).await).await.is_empty());

        // What already has the version is wanted with it, and not due.
        w.write(async |c| rollouts::want_version(c, one, &passes[2..], 1, now).await).await;
        assert_eq!(waiting(9).await, 2);
        let claims = w.write(async |c| publication::claim(c, one, now, w.after(101), 1).await).await;
        w.write(async |c| publication::refuse(c, one, claims[0], "no", w.after(400)).await).await;
        let refused = async || w.read(async |c| rollouts::count_refused(c, one, template, 9).await).await;
        assert_eq!(refused().await, 1);

        // Going back: what version 2 refused is tried again with version 1, at once, and is no refusal of version 1.
        let back = [claims[0].pass];
        w.write(async |c| rollouts::want_version(c, one, &back, 1, w.after(102)).await).await;
        assert_eq!((refused().await, waiting(9).await), (0, 2));
        let again = w.write(async |c| publication::claim(c, one, w.after(102), w.after(103), 9).await).await;
        assert!(again.iter().any(|claim| claim.pass == back[0]), "due now, not when its rest is over");

        // A publisher that read version 2 a moment ago stores it: the pass stays due.
        let marked = if back[0] == passes[0] { passes[1] } else { passes[0] };
        let read = w.read(async |c| publication::load_sources(c, one, &[marked]).await).await;
        w.write(async |c| rollouts::want_version(c, one, &[marked], 1, now).await).await;
        let now_wanted = w.read(async |c| publication::load_sources(c, one, &[marked]).await).await;
        assert!(now_wanted[0].change_no > read[0].change_no && now_wanted[0].template_version == 1);

        w.write(async |c| rollouts::want_version(c, one, &[marked], 2, now).await).await;
        let taken = w.write(async |c| rollouts::unwant_version(c, one, template, 2, 1, 9).await).await;
        assert_eq!(taken, 1);
        assert_eq!(w.read(async |c| publication::load_sources(c, one, &[marked]).await).await[0].template_version, 1);

        // A roll-out of what is live takes nothing back: whoever repeats until there is no more comes to an end.
        w.write(async |c| rollouts::want_version(c, one, &[marked], 2, now).await).await;
        let taken = w.write(async |c| rollouts::unwant_version(c, one, template, 2, 2, 9).await).await;
        assert_eq!(taken, 0);
        w.write(async |c| rollouts::unwant_version(c, one, template, 2, 1, 9).await).await;

        // Signed again: due, although it has the version.
        w.write(async |c| rollouts::want_signature(c, one, &passes[2..], now).await).await;
        let sources = w.read(async |c| publication::load_sources(c, one, &passes[2..]).await).await;
        assert!(sources[0].forced_no > sources[0].published_no && sources[0].forced_no == sources[0].change_no);

        let live = async |seen, to| w.write(async |c| templates::set_live(c, one, template, seen, to).await).await;
        assert!(live(Some(1), 2).await);
        assert!(!live(Some(1), 3).await, "it is 2 now");
        assert!(live(None, 2).await);
        let sources = w.read(async |c| publication::load_sources(c, one, &passes[2..]).await).await;
        assert_eq!(sources[0].template_version, 2, "it had the version, and follows the live one");
    }
}
