//! Jobs: one holder at a time, and no step backwards.

use passarela::domain::ids::JobId;
use passarela::domain::job::{JobKind, JobState, Tally};
use passarela::domain::rows::Layout;
use passarela::store::jobs::{self, Advance, Defaults, Job};

use super::world::{World, new_id};
use crate::on_both_engines;

fn job(w: &World, spool: &str) -> Job {
    Job {
        id: JobId::new(new_id()),
        kind: JobKind::ImportPasses,
        state: JobState::Running,
        spool: spool.to_owned(),
        layout: Layout::of_csv(b"external_id", &[passarela::domain::rows::Known::Text("external_id")]).unwrap().0,
        defaults: Defaults { template: Some(w.one.template), ..Defaults::default() },
        size_bytes: 100,
        offset_bytes: 12,
        next_line: 2,
        tally: Tally::default(),
        reason: None,
        lease_no: 0,
        created_at: w.now,
        updated_at: w.now,
    }
}

on_both_engines! {
    async fn a_job_is_worked_on_by_one_who_has_its_file(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let (first, second) = (job(&w, "here"), job(&w, "there"));
        w.write(async |c| jobs::insert(c, one, &first).await).await;
        w.write(async |c| jobs::insert(c, one, &second).await).await;
        assert_eq!(w.read(async |c| jobs::find(c, one, first.id).await).await, Some(first.clone()));
        assert_eq!(w.read(async |c| jobs::find(c, two, first.id).await).await, None);
        assert_eq!(w.read(async |c| jobs::list(c, one, None, 9).await).await.len(), 2);
        let before = w.read(async |c| jobs::list(c, one, Some(second.id), 9).await).await;
        assert_eq!(before, std::slice::from_ref(&first));
        assert_eq!(w.read(async |c| jobs::sum_running(c, one).await).await, (2, 200));
        assert_eq!(w.read(async |c| jobs::sum_running(c, two).await).await, (0, 0));
        let ids = [first.id, second.id, JobId::FIRST];
        assert_eq!(w.read(async |c| jobs::list_running(c, one, &ids).await).await.len(), 2);
        assert!(w.read(async |c| jobs::list_running(c, two, &ids).await).await.is_empty());

        // One without a file is anybody's; its count is no size.
        let codes = Job { spool: String::new(), kind: JobKind::IssueCoupons, size_bytes: 1_000_000, ..job(&w, "") };
        w.write(async |c| jobs::insert(c, two, &codes).await).await;
        assert_eq!(w.read(async |c| jobs::sum_running(c, two).await).await, (0, 0));
        assert_eq!(w.read(async |c| jobs::count_batches(c, two).await).await, 1);
        assert_eq!(w.read(async |c| jobs::count_batches(c, one).await).await, 0);
        assert_eq!(w.read(async |c| jobs::next_due_brand(c, Some(one), "nowhere", w.now).await).await, Some(two));
        let claimed = w.write(async |c| jobs::claim(c, two, "nowhere", w.now, w.after(30)).await).await.unwrap();
        assert_eq!(claimed.id, codes.id);

        let due = async |spool, now| w.read(async |c| jobs::next_due_brand(c, None, spool, now).await).await;
        assert_eq!((due("here", w.now).await, due("nowhere", w.now).await), (Some(one), None));
        let claim = async |now, until| w.write(async |c| jobs::claim(c, one, "here", now, until).await).await;
        let held = claim(w.now, w.after(30)).await.unwrap();
        assert_eq!((held.id, held.lease_no), (first.id, 1));
        assert_eq!((claim(w.after(29), w.after(60)).await, due("here", w.after(29)).await), (None, None));
        // The lease ran out: another goes on, and the first can no longer.
        let other = claim(w.after(30), w.after(60)).await.unwrap();
        let tally = Tally { created: 3, changed: 2, unchanged: 1, refused: 4 };
        let to = Advance { offset_bytes: 50, next_line: 12, tally, is_over: false, lease_until: w.after(90) };
        assert!(!w.write(async |c| jobs::advance(c, one, &held, &to, w.now).await).await);
        assert!(!w.write(async |c| jobs::advance(c, two, &other, &to, w.now).await).await);
        assert!(w.write(async |c| jobs::advance(c, one, &other, &to, w.after(31)).await).await);
        let now = w.read(async |c| jobs::find(c, one, first.id).await).await.unwrap();
        assert_eq!((now.offset_bytes, now.next_line, now.tally, now.state), (50, 12, tally, JobState::Running));
        w.write(async |c| jobs::release(c, one, &held, w.now, Some("late")).await).await;
        assert_eq!(claim(w.after(89), w.after(99)).await, None, "who lost the lease cannot let go of it");
        w.write(async |c| jobs::release(c, one, &other, w.after(40), Some("no signer")).await).await;
        assert_eq!(w.read(async |c| jobs::find(c, one, first.id).await).await.unwrap().reason.as_deref(), Some("no signer"));
        let last = claim(w.after(40), w.after(70)).await.unwrap();
        assert!(w.write(async |c| jobs::advance(c, one, &last, &Advance { is_over: true, ..to }, w.after(41)).await).await);
        let now = w.read(async |c| jobs::find(c, one, first.id).await).await.unwrap();
        assert_eq!((now.state, now.reason), (JobState::Finished, None));
        let end = async |id| w.write(async |c| jobs::end(c, one, id, JobState::Cancelled, None, w.after(50)).await).await;
        assert_eq!((end(first.id).await, end(second.id).await, end(second.id).await), (false, true, false));
    }

    async fn what_became_of_lines_is_read_in_order_and_forgotten_in_time(engine) {
        let w = World::new(engine).await;
        let (one, two) = (w.one.brand, w.two.brand);
        let (old, running) = (job(&w, "here"), job(&w, "here"));
        for job in [&old, &running] {
            w.write(async |c| jobs::insert(c, one, job).await).await;
            for line in [72, 2, 142] {
                w.write(async |c| jobs::insert_outcomes(c, one, job.id, line, &[line as u8]).await).await;
            }
        }
        let list = async |after, limit| w.read(async |c| jobs::list_outcomes(c, one, old.id, after, limit).await).await;
        assert_eq!(list(0, 2).await, [(2, vec![2]), (72, vec![72])]);
        assert_eq!(list(72, 2).await, [(142, vec![142])]);
        assert!(w.read(async |c| jobs::list_outcomes(c, two, old.id, 0, 9).await).await.is_empty());
        w.write(async |c| jobs::end(c, one, old.id, JobState::Failed, Some("gone"), w.after(5)).await).await;
        let forget = async |brand, before, limit| {
            w.write(async |c| jobs::forget_outcomes(c, brand, before, limit).await).await
        };
        assert_eq!((forget(one, w.after(5), 9).await, forget(two, w.after(6), 9).await), (0, 0));
        assert_eq!((forget(one, w.after(6), 2).await, forget(one, w.after(6), 2).await), (2, 1));
        assert!(list(0, 9).await.is_empty());
        assert_eq!(w.read(async |c| jobs::list_outcomes(c, one, running.id, 0, 9).await).await.len(), 3);
    }
}
