//! A timer that most requests never touch.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep};

/// One timer for whatever its connection waits for.
///
/// A deadline that is later than the time for which the timer is set leaves it as it is: it goes off early, and is set
/// anew then. A connection with a thousand requests a second sets it once in the time that one request may take.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready when it is `at`; `None` is never.
    pub(super) fn poll(&mut self, at: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        loop {
            if at < sleep.deadline() || sleep.is_elapsed() {
                if at <= Instant::now() {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(at);
            }
            ready!(sleep.as_mut().poll(context));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_time_that_was_asked_for_last() {
        let mut alarm = Alarm::default();
        let begun = Instant::now();
        for (first, then) in [(10, 5), (5, 10), (1, 1), (3, 0)] {
            let at = |seconds| Some(begun.max(Instant::now()) + Duration::from_secs(seconds));
            let before = Instant::now();
            let (first, then) = (at(first), at(then));
            let _ = poll_fn(|context| Poll::Ready(alarm.poll(first, context))).await;
            poll_fn(|context| alarm.poll(then, context)).await;
            assert_eq!(Some(Instant::now()), then.map(|it| it.max(before)));
        }
    }
}
