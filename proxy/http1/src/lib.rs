//! HTTP/1.1 on the wire (RFC 9112): heads and bodies, read strictly and written anew.
//!
//! Nothing here reads or writes a socket: bytes come in as slices, and go out into buffers that the caller owns. What
//! two readers could understand differently is refused with a [`Malformed`] that says the status of the answer; the
//! connection ends after it. A message that was read is never passed on as it came: its head is [written](write) from
//! what was understood, so that whoever reads it next sees what was decided on.
//!
//! A message is read in three steps, none of which allocates:
//!
//! 1. [`HeadEnd`] finds the end of the head in bytes that arrive in pieces. Each byte is looked at once.
//! 2. [`Request::parse`] or [`Response::parse`] reads the head.
//! 3. [`Body`], made from the head's [`Framing`], tells content from framing until the message ends.
//!
//! What comes after the end of a body is the next message (RFC 9112 §9.3.2).

mod body;
mod chunked;
mod connection;
mod fields;
mod framing;
mod malformed;
mod request;
mod response;
mod scan;
mod target;
pub mod write;

pub use self::{
    body::{Body, Part, Step},
    connection::Persistence,
    fields::{Field, Fields, MAX_FIELDS, Room},
    framing::Framing,
    malformed::Malformed,
    request::{Request, Version},
    response::{Asked, Response},
    scan::{HeadEnd, Kind},
    target::{Target, is_authority},
};
