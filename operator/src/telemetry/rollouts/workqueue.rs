//! The queue of Rollouts under the names of client-go, which the dashboards of every controller know.

use crate::{rollouts::QueueMeasure, telemetry::text::Family};

/// The label of every family: Argo's name of the queue.
const LABELS: &[(&str, &str)] = &[("name", "Rollouts")];

pub(super) fn families(queue: &QueueMeasure) -> [Family; 7] {
    let QueueMeasure { depth, adds, retries, waits, works, unfinished, longest } = queue;
    let mut families = [
        Family::counter("workqueue_adds_total", "Rollouts that became due."),
        Family::gauge("workqueue_depth", "Rollouts that are due."),
        Family::gauge(
            "workqueue_longest_running_processor_seconds",
            "Seconds of the longest pass under way.",
        ),
        Family::histogram("workqueue_queue_duration_seconds", "Seconds from due to the start of a pass."),
        Family::counter("workqueue_retries_total", "Passes that failed and are made again."),
        Family::gauge("workqueue_unfinished_work_seconds", "Seconds of all passes under way."),
        Family::histogram("workqueue_work_duration_seconds", "Seconds of a pass."),
    ];
    let [added, due, longest_pass, queued, retried, under_way, worked] = &mut families;
    added.add(LABELS, adds);
    due.add(LABELS, depth);
    longest_pass.add(LABELS, longest.as_secs_f64());
    queued.add_histogram(LABELS, waits);
    retried.add(LABELS, retries);
    under_way.add(LABELS, unfinished.as_secs_f64());
    worked.add_histogram(LABELS, works);
    families
}
