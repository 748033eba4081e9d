//! What every backend does.

use std::{future::Future, sync::Arc};

use doorward::{
    domain::throttle::Failures,
    ephemeral::{
        Ephemeral, PENDING_REQUESTS, PENDING_REQUESTS_OF_NETWORK, SIGN_IN_FAILURES,
        SIGN_IN_FAILURES_OF_NETWORK, TOKEN_FAILURES,
    },
};
use tokio::sync::Barrier;

use crate::server::{Backend, at, waiting};

on_both!(
    a_value_lasts_until_its_time_and_is_taken_once,
    a_value_that_is_put_back_gains_no_time,
    a_value_that_was_put_back_too_late_is_not_there,
    of_sixty_four_takers_one_wins,
    sixty_four_bumps_at_once_are_sixty_four,
    a_counter_keeps_the_end_of_its_window_and_starts_anew_after_it,
    a_counter_never_falls_below_nothing,
    a_clock_that_is_set_back_makes_no_window_longer,
    of_many_who_replace_what_they_saw_one_succeeds,
    what_is_there_is_replaced_by_nobody_who_saw_nothing,
    keys_and_slots_do_not_meet,
    any_text_is_a_key,
);

/// Runs `count` tasks at the same moment, every second one at the other replica.
async fn race<T, F>(
    backend: &Backend,
    count: usize,
    mut runner: impl FnMut(usize, Arc<Ephemeral>) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|i| {
            let replica = if i % 2 == 0 { &backend.here } else { &backend.there };
            let (start, run) = (Arc::clone(&start), runner(i, Arc::clone(replica)));
            tokio::spawn(async move {
                start.wait().await;
                run.await
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

async fn a_value_lasts_until_its_time_and_is_taken_once(backend: Backend) {
    let (here, there) = (&backend.here, &backend.there);
    here.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
    here.put(&PENDING_REQUESTS, "k", &waiting("b"), at(0)).await;
    let found = there.get(&PENDING_REQUESTS, "k", at(599)).await.unwrap();
    assert_eq!((found.query.as_str(), found.signed_in), ("b", None));
    assert!(here.get(&PENDING_REQUESTS, "k", at(600)).await.is_none());
    assert_eq!(there.take(&PENDING_REQUESTS, "k", at(1)).await.unwrap().query, "b");
    assert!(here.take(&PENDING_REQUESTS, "k", at(1)).await.is_none());
    assert!(here.get(&PENDING_REQUESTS, "k", at(1)).await.is_none());

    here.put(&PENDING_REQUESTS, "late", &waiting("a"), at(0)).await;
    assert!(there.take(&PENDING_REQUESTS, "late", at(600)).await.is_none());
    backend.close().await;
}

async fn a_value_that_is_put_back_gains_no_time(backend: Backend) {
    backend.here.put_back(&PENDING_REQUESTS, "k", &waiting("a"), at(0), at(500)).await;
    assert!(backend.there.get(&PENDING_REQUESTS, "k", at(599)).await.is_some());
    assert!(backend.there.get(&PENDING_REQUESTS, "k", at(600)).await.is_none());
    backend.close().await;
}

async fn a_value_that_was_put_back_too_late_is_not_there(backend: Backend) {
    backend.here.put_back(&PENDING_REQUESTS, "k", &waiting("a"), at(0), at(700)).await;
    assert!(backend.here.get(&PENDING_REQUESTS, "k", at(700)).await.is_none());
    backend.close().await;
}

async fn of_sixty_four_takers_one_wins(backend: Backend) {
    for round in 0..8 {
        let key = format!("k{round}");
        backend.here.put(&PENDING_REQUESTS, &key, &waiting("a"), at(0)).await;
        let taken = race(&backend, 64, |_, replica| {
            let key = key.clone();
            async move { replica.take(&PENDING_REQUESTS, &key, at(1)).await }
        });
        assert_eq!(taken.await.iter().flatten().count(), 1);
    }
    backend.close().await;
}

async fn sixty_four_bumps_at_once_are_sixty_four(backend: Backend) {
    let mut counts =
        race(
            &backend,
            64,
            |_, replica| async move { replica.bump(&TOKEN_FAILURES, "192.0.2.0/24", at(0)).await },
        )
        .await;
    counts.sort_unstable();
    assert_eq!(counts, (1..=64).collect::<Vec<_>>());
    race(&backend, 64, |_, replica| async move {
        replica.unbump(&TOKEN_FAILURES, "192.0.2.0/24", at(1)).await;
    })
    .await;
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "192.0.2.0/24", at(2)).await, 1);
    backend.close().await;
}

async fn a_counter_keeps_the_end_of_its_window_and_starts_anew_after_it(backend: Backend) {
    let bump = async |seconds| backend.here.bump(&TOKEN_FAILURES, "n", at(seconds)).await;
    assert_eq!(bump(0).await, 1);
    assert_eq!(backend.there.bump(&TOKEN_FAILURES, "n", at(59)).await, 2);
    assert_eq!(bump(60).await, 1);
    assert_eq!(backend.there.get(&TOKEN_FAILURES, "n", at(61)).await, Some(1));
    assert_eq!(backend.there.get(&TOKEN_FAILURES, "n", at(120)).await, None);
    backend.close().await;
}

async fn a_counter_never_falls_below_nothing(backend: Backend) {
    backend.here.unbump(&TOKEN_FAILURES, "n", at(0)).await;
    backend.here.unbump(&TOKEN_FAILURES, "n", at(0)).await;
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    backend.here.unbump(&TOKEN_FAILURES, "n", at(0)).await;
    backend.here.unbump(&TOKEN_FAILURES, "n", at(0)).await;
    assert_eq!(backend.there.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    backend.close().await;
}

async fn a_clock_that_is_set_back_makes_no_window_longer(backend: Backend) {
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "n", at(-3600)).await, 2);
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "n", at(-3541)).await, 3);
    assert_eq!(backend.here.bump(&TOKEN_FAILURES, "n", at(-3540)).await, 1);
    backend.close().await;
}

async fn of_many_who_replace_what_they_saw_one_succeeds(backend: Backend) {
    let failures = |count| Failures { count, last: 0 };
    let mut seen = None;
    for count in 1..=8 {
        let done = race(&backend, 32, |_, replica| async move {
            replica.replace(&SIGN_IN_FAILURES, "k", seen.as_ref(), &failures(count), at(0)).await
        });
        assert_eq!(done.await.into_iter().filter(|done| *done).count(), 1);
        seen = backend.there.get(&SIGN_IN_FAILURES, "k", at(1)).await;
        assert_eq!(seen, Some(failures(count)));
    }
    backend.close().await;
}

async fn what_is_there_is_replaced_by_nobody_who_saw_nothing(backend: Backend) {
    let (one, two) = (Failures { count: 1, last: 0 }, Failures { count: 2, last: 0 });
    let replace =
        async |seen, value, now| backend.here.replace(&SIGN_IN_FAILURES, "k", seen, value, now).await;
    assert!(!replace(Some(&one), &two, at(0)).await);
    assert!(replace(None, &one, at(0)).await);
    assert!(!replace(None, &two, at(1)).await);
    assert!(!replace(Some(&two), &two, at(1)).await);
    assert!(replace(Some(&one), &two, at(1)).await);
    // What is over is nothing.
    assert!(!replace(Some(&two), &one, at(3601)).await);
    assert!(replace(None, &one, at(3601)).await);
    backend.close().await;
}

async fn keys_and_slots_do_not_meet(backend: Backend) {
    for slot in [&TOKEN_FAILURES, &SIGN_IN_FAILURES_OF_NETWORK, &PENDING_REQUESTS_OF_NETWORK] {
        for key in ["", "n", "n:", "1:n", "n n"] {
            assert_eq!(backend.here.bump(slot, key, at(0)).await, 1, "{slot:?} {key:?}");
        }
    }
    backend.close().await;
}

async fn any_text_is_a_key(backend: Backend) {
    for key in ["a\r\nFLUSHALL\r\n", "\0", "ÄÖ\u{1F511}", &"x".repeat(5000), "' or 1", "*", "$"] {
        backend.here.put(&PENDING_REQUESTS, key, &waiting(key), at(0)).await;
    }
    for key in ["a\r\nFLUSHALL\r\n", "\0", "ÄÖ\u{1F511}", &"x".repeat(5000), "' or 1", "*", "$"] {
        assert_eq!(backend.there.take(&PENDING_REQUESTS, key, at(1)).await.unwrap().query, key);
    }
    backend.close().await;
}
