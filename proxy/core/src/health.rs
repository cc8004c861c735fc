//! What the answers to a health check come to.

use proxy_config::model::HealthCheck;

/// Whether an endpoint can take requests, as far as one check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// It cannot.
    Bad,
}

/// What is known of one endpoint by one check. Before the first answer it is good: whoever sends pods here has seen them
/// ready, and a proxy that has just started must not hold requests back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// `None` before the first answer.
    now: Option<Health>,
    /// How many answers say otherwise, one after the other.
    against: u32,
}

impl Standing {
    /// Notes an answer, and says what the endpoint is from now on if that has changed.
    #[must_use]
    pub fn note(&mut self, answer: Health, check: &HealthCheck) -> Option<Health> {
        let enough = match (self.now, answer) {
            (None, _) => 1,
            (Some(now), answer) if now == answer => {
                self.against = 0;
                return None;
            }
            (Some(_), Health::Bad) => check.unhealthy_threshold,
            (Some(_), Health::Good) => check.healthy_threshold,
        };
        self.against += 1;
        if self.against < enough {
            return None;
        }
        let before = self.now.replace(answer).unwrap_or(Health::Good);
        self.against = 0;
        (before != answer).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{GrpcQuestion, Question};

    use super::*;

    /// `+` and `-` are answers; the result has one letter for each: what the endpoint is after it.
    fn after(answers: &str) -> String {
        let check = HealthCheck {
            interval_ms: 1,
            timeout_ms: 1,
            unhealthy_threshold: 3,
            healthy_threshold: 2,
            question: Question::Grpc(GrpcQuestion::default()),
        };
        let (mut standing, mut health) = (Standing::default(), Health::Good);
        let note = |answer| {
            let answer = if answer == '+' { Health::Good } else { Health::Bad };
            if let Some(changed) = standing.note(answer, &check) {
                assert_ne!(changed, health, "only what changes is said");
                health = changed;
            }
            if health == Health::Good { '+' } else { '-' }
        };
        answers.chars().map(note).collect()
    }

    #[test]
    fn answers_in_a_row_change_what_an_endpoint_is_and_the_first_does_alone() {
        for (answers, expected) in [
            ("+--+--+---", "+++++++++-"),
            ("-", "-"),
            ("-+-++", "----+"),
            ("+---+-+++", "+++----++"),
            ("+++", "+++"),
        ] {
            assert_eq!(after(answers), expected, "{answers}");
        }
    }
}
