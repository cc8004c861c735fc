//! What holds for all bytes. The property tests and the fuzz targets look at the same functions.

#![allow(dead_code, unreachable_pub, reason = "each test and each fuzz target uses some of it")]

pub mod differential;
pub mod events;
pub mod rewrite;

use proxy_http1::MAX_FIELDS;

use self::{
    events::{Event, requests, responses},
    rewrite::rewritten,
};

/// However the bytes are cut into reads, the same is read.
pub fn cuts_change_nothing(input: &[u8], cuts: &[usize]) {
    assert_eq!(requests(input, cuts), requests(input, &[]), "requests in {}", input.escape_ascii());
    assert_eq!(responses(input, cuts), responses(input, &[]), "responses in {}", input.escape_ascii());
}

/// What we write of a request reads as that request, and writing it again changes nothing.
pub fn what_is_written_reads_the_same(input: &[u8]) {
    let read: Vec<Event> = requests(input, &[]).into_iter().take_while(|it| !it.is_refusal()).collect();
    // A host that HTTP/1.0 has not given is one field more.
    if read.iter().any(|it| matches!(it, Event::Request(head) if head.fields.len() == MAX_FIELDS)) {
        return;
    }
    let written = rewritten(&read);
    let again = requests(&written, &[]);
    assert_eq!(
        events::meanings(&again),
        events::meanings(&read),
        "{} was written as {}",
        input.escape_ascii(),
        written.escape_ascii()
    );
    assert_eq!(rewritten(&again), written, "written again");
}
