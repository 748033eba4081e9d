//! What is needed wherever several grants or API keys end one by one.

use crate::{
    domain::audit::Event,
    store::{Applied, StoreError},
};

/// Verdicts on those that are not over yet, each with the event that tells of it.
pub(super) fn verdicts<T, V>(
    all: &[T],
    decide: impl Fn(&T) -> Option<V>,
    event: impl Fn(&T) -> Event,
) -> Vec<(V, Event)> {
    all.iter().filter_map(|one| Some((decide(one)?, event(one)))).collect()
}

/// Ends them one after the other. Answers how many ended now; the others were over a moment earlier.
pub(super) async fn one_by_one<V>(
    verdicts: Vec<(V, Event)>,
    end: impl AsyncFn(&V, &Event) -> Result<Applied, StoreError>,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for (verdict, event) in verdicts {
        if end(&verdict, &event).await? == Applied::Done {
            ended += 1;
        }
    }
    Ok(ended)
}
