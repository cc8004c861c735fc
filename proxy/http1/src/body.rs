//! A body on its way in (RFC 9112 §6).

use crate::{Framing, Malformed, chunked::Chunked};

/// Reads one body. It is shown all bytes after the head, in pieces of any size, and says what they are.
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
    /// How many bytes of content may still come.
    allowed: u64,
}

#[derive(Clone, Debug)]
enum State {
    Over,
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'b> {
    /// Content, without what frames it.
    Content(&'b [u8]),
    /// Its trailer section and the end. It can be [written](crate::write::last_chunk) on.
    Trailers(&'b [u8]),
    /// The end, without trailers.
    End,
}

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'b> {
    /// How many bytes are read and need not be shown again.
    pub taken: usize,
    /// What they were. `None`: framing, or nothing; more is needed to say what comes next. What was not taken is to be
    /// shown again with it.
    pub part: Option<Part<'b>>,
}

impl Body {
    /// For a body of this framing and of at most `limit` bytes of content.
    pub fn new(framing: Framing, limit: u64) -> Result<Self, Malformed> {
        let state = match framing {
            Framing::None => State::Over,
            Framing::Length(length) if length > limit => return Err(Malformed::BodyTooLarge),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
        Ok(Self { state, allowed: limit })
    }

    /// Takes what it can from the front of `input`. After [`Part::End`] or [`Part::Trailers`] it takes nothing more and
    /// says [`Part::End`] again: what follows is the next message.
    pub fn step<'b>(&mut self, input: &'b [u8]) -> Result<Step<'b>, Malformed> {
        let step = match &mut self.state {
            State::Over | State::Length(0) => Step { taken: 0, part: Some(Part::End) },
            State::Length(_) | State::UntilClose if input.is_empty() => Step { taken: 0, part: None },
            State::Length(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                Step { taken, part: Some(Part::Content(&input[..taken])) }
            }
            State::UntilClose => Step { taken: input.len(), part: Some(Part::Content(input)) },
            State::Chunked(chunked) => chunked.step(input)?,
        };
        match step.part {
            Some(Part::Content(content)) => {
                let left = self.allowed.checked_sub(content.len() as u64);
                self.allowed = left.ok_or(Malformed::BodyTooLarge)?;
            }
            Some(Part::Trailers(_) | Part::End) => self.state = State::Over,
            None => {}
        }
        Ok(step)
    }

    /// Whether all of it has been read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over | State::Length(0))
    }

    /// Whether the end of the connection is its end. Anywhere else it is cut off (RFC 9112 §8).
    #[must_use]
    pub fn may_end_with_connection(&self) -> bool {
        matches!(self.state, State::Over | State::Length(0) | State::UntilClose)
    }
}
