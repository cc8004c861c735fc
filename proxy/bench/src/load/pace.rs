//! Clients that send when it is time, whatever became of earlier requests.

use std::{cell::RefCell, collections::VecDeque, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_local, yield_now},
    time::Instant,
};

use super::{Clock, Measured, connect, http1};
use crate::scenario::Scenario;

/// Requests whose time has come and that nobody has sent yet.
#[derive(Debug, Default)]
struct Due {
    since: RefCell<VecDeque<Instant>>,
    more: Notify,
}

impl Due {
    /// The time at which the next request should be sent, once there is one that waits.
    async fn next(&self) -> Instant {
        loop {
            let first = self.since.borrow_mut().pop_front();
            match first {
                Some(first) => return first,
                None => self.more.notified().await,
            }
        }
    }
}

/// Connections that share requests which come at this rate a second.
pub(super) fn clients(
    scenario: Scenario,
    address: SocketAddr,
    rate: u32,
    request: &Rc<[u8]>,
    clock: &Clock,
) -> Vec<JoinHandle<anyhow::Result<Measured>>> {
    let due = Rc::<Due>::default();
    let each = (0..scenario.connections()).map(|_| {
        let (due, request, clock) = (Rc::clone(&due), Rc::clone(request), clock.clone());
        spawn_local(async move {
            let mut stream = connect(address).await?;
            let (mut measured, mut buffer) = (Measured::default(), vec![0; http1::ROOM]);
            while !clock.is_over() {
                let since = due.next().await;
                http1::exchange(&mut stream, scenario, &request, &mut buffer).await?;
                clock.note(&mut measured, since);
            }
            Ok(measured)
        })
    });
    let mut clients: Vec<_> = each.collect();
    let clock = clock.clone();
    clients.push(spawn_local(async move {
        pace(&due, Duration::from_secs(1) / rate, &clock).await;
        Ok(Measured::default())
    }));
    clients
}

/// Says when it is time. It never sleeps: timers are no finer than a millisecond.
async fn pace(due: &Due, interval: Duration, clock: &Clock) {
    let mut next = Instant::now();
    while !clock.is_over() {
        while next <= Instant::now() {
            due.since.borrow_mut().push_back(next);
            due.more.notify_one();
            next += interval;
        }
        yield_now().await;
    }
    // Whoever waits sees that it is over after one more.
    for _ in 0..10_000 {
        due.since.borrow_mut().push_back(next);
    }
    due.more.notify_waiters();
}
